//! The action and the source of an audit entry. They only depend on the request, so a refused attempt has the
//! same action as a successful one.

use serde_json::{Map, Value};

/// The start of the `User-Agent` of our command line.
const OWN_CLIENT: &str = "ootheca/";

/// Operations whose body can select a more specific action than the one in the table, with these actions.
pub const NARROWER: [(&str, &[&str]); 4] = [
    ("CreateSession", &["ACCEPT_USER_INVITE"]),
    (
        "UpdateCluster",
        &[
            "CREATE_PLAN_MIGRATION",
            "FINALIZE_CLUSTER_MAJOR_VERSION_UPDATE",
            "ROLLBACK_CLUSTER_MAJOR_VERSION_UPDATE",
            "SET_DELETE_PROTECTION",
            "UPDATE_CLUSTER_MAJOR_VERSION",
        ],
    ),
    ("UpdatePhysicalReplicationStream", &["CANCEL_PHYSICAL_REPLICATION_STREAM"]),
    ("SetAwsEndpointConnectionState", &["REJECT_PRIVATE_LINK"]),
];

/// The source of a call: the console if it uses a session, otherwise our command line or the API.
pub fn source(user_agent: Option<&str>, by_session: bool) -> &'static str {
    match user_agent {
        _ if by_session => "UI",
        Some(agent) if agent.starts_with(OWN_CLIENT) => "CLI",
        _ => "CC_API",
    }
}

/// The action of a call: the one in the table, unless the body selects a more specific one.
pub fn action(operation: &str, usual: &'static str, body: &[u8]) -> &'static str {
    if !NARROWER.iter().any(|(known, _)| *known == operation) {
        return usual;
    }
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else { return usual };
    let members = members(body);
    let word = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    match (operation, word("status"), word("upgradestatus")) {
        ("UpdateCluster", _, status) => cluster_action(&members, status).unwrap_or(usual),
        ("UpdatePhysicalReplicationStream", "CANCELED", _) => "CANCEL_PHYSICAL_REPLICATION_STREAM",
        ("SetAwsEndpointConnectionState", "REJECTED", _) => "REJECT_PRIVATE_LINK",
        _ => usual,
    }
}

/// The members of a body, at the top level or in `spec`, by their names in lower case without separators.
fn members(body: Map<String, Value>) -> Map<String, Value> {
    let mut members = Map::new();
    for (name, value) in body {
        match value {
            Value::Null => {}
            Value::Object(inner) if name == "spec" => members.extend(self::members(inner)),
            value => drop(members.insert(name.replace('_', "").to_lowercase(), value)),
        }
    }
    members
}

fn cluster_action(members: &Map<String, Value>, upgrade_status: &str) -> Option<&'static str> {
    if members.contains_key("cockroachversion") {
        return Some("UPDATE_CLUSTER_MAJOR_VERSION");
    }
    match upgrade_status {
        "FINALIZED" => return Some("FINALIZE_CLUSTER_MAJOR_VERSION_UPDATE"),
        "ROLLBACK_RUNNING" => return Some("ROLLBACK_CLUSTER_MAJOR_VERSION_UPDATE"),
        _ => {}
    }
    if members.contains_key("plan") {
        return Some("CREATE_PLAN_MIGRATION");
    }
    let only_protection = members.len() == 1 && members.contains_key("deleteprotection");
    only_protection.then_some("SET_DELETE_PROTECTION")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ootheca_api::operations::TABLE;
    use std::{
        collections::{BTreeMap, BTreeSet},
        env, fs,
        path::Path,
    };

    type Actions = BTreeMap<String, BTreeSet<String>>;

    /// The actions that each changing operation can write, of official operations or of extensions.
    fn actions(extensions: bool) -> Actions {
        let rows = TABLE.iter().filter(|row| row.is_extension() == extensions);
        let changes = rows.filter_map(|row| Some((row.name, row.audit?)));
        let all = changes.map(|(name, usual)| {
            let narrower = NARROWER.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, all)| all);
            let words = narrower.iter().chain([&usual]).map(|word| (*word).to_owned());
            (name.to_owned(), words.collect())
        });
        all.collect()
    }

    /// The table in appendix B: operations, followed by their actions in upper case.
    fn appendix(text: &str) -> Actions {
        let section = text.split("# Appendix B").nth(1).and_then(|rest| rest.split("\n# ").next());
        let rows = section.unwrap_or_default().lines().filter_map(|line| {
            let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
            let (name, words) = (cells.next()?, cells.next()?);
            let words = words.split(|letter: char| !letter.is_ascii_uppercase() && letter != '_');
            let words: BTreeSet<String> =
                words.filter(|word| word.contains('_')).map(str::to_owned).collect();
            let words = words.into_iter().filter(|word| word.len() > 3);
            name.starts_with(|letter: char| letter.is_ascii_uppercase())
                .then(|| (name.to_owned(), words.collect()))
        });
        rows.collect()
    }

    #[test]
    fn expected_audit_actions() {
        for (file, extensions) in [("audit_actions.txt", false), ("audit_actions-ootheca.txt", true)] {
            let lines = actions(extensions).into_iter().map(|(name, words)| {
                format!("{name}: {}\n", words.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
            });
            let text = lines.collect::<String>();
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../expected").join(file);
            if env::var_os("UPDATE_EXPECTED").is_some() {
                fs::write(&path, &text).unwrap();
            }
            let expected = fs::read_to_string(&path).unwrap_or_default();
            assert!(text == expected, "expected/{file} differs; UPDATE_EXPECTED=1 writes it anew");
        }
        // The contract is only compared if it is available.
        if let Some(folder) = env::var_os("OOTHECA_CONTRACT") {
            let contract = appendix(&fs::read_to_string(Path::new(&folder).join("semantics.md")).unwrap());
            assert_eq!(contract.len(), 76);
            let actions = actions(false);
            // The appendix is older than this action, which version 2026-09-15 added.
            let newer = BTreeSet::from(["UPDATE_BACKUP_CONFIGURATION".to_owned()]);
            for (name, words) in &contract {
                let words = if name == "UpdateBackupConfiguration" { &newer } else { words };
                assert_eq!(actions.get(name), Some(words), "{name}");
            }
        }
    }

    #[test]
    fn the_source_depends_on_session_and_user_agent() {
        assert_eq!(source(None, false), "CC_API");
        assert_eq!(source(Some("curl/8.0"), false), "CC_API");
        assert_eq!(source(Some("ootheca/0.1"), false), "CLI");
        assert_eq!(source(Some("not ootheca/0.1"), false), "CC_API");
        assert_eq!(source(Some("ootheca/0.1"), true), "UI");
    }

    #[test]
    fn the_body_selects_a_more_specific_action() {
        let cluster = |body: &str| action("UpdateCluster", "UPDATE_CLUSTER", body.as_bytes());
        for (body, expected) in [
            (r#"{"delete_protection":"ENABLED"}"#, "SET_DELETE_PROTECTION"),
            (r#"{"spec":{"deleteProtection":"ENABLED","plan":null}}"#, "SET_DELETE_PROTECTION"),
            (r#"{"delete_protection":"ENABLED","labels":{}}"#, "UPDATE_CLUSTER"),
            (r#"{"plan":"STANDARD","serverless":{}}"#, "CREATE_PLAN_MIGRATION"),
            (r#"{"cockroach_version":"v25.4"}"#, "UPDATE_CLUSTER_MAJOR_VERSION"),
            (r#"{"upgrade_status":"FINALIZED"}"#, "FINALIZE_CLUSTER_MAJOR_VERSION_UPDATE"),
            (r#"{"upgrade_status":"ROLLBACK_RUNNING"}"#, "ROLLBACK_CLUSTER_MAJOR_VERSION_UPDATE"),
            ("{}", "UPDATE_CLUSTER"),
            ("[1", "UPDATE_CLUSTER"),
        ] {
            assert_eq!(cluster(body), expected, "{body}");
        }
        let stream = |body: &str| {
            action("UpdatePhysicalReplicationStream", "FAILOVER_PHYSICAL_REPLICATION_STREAM", body.as_bytes())
        };
        assert_eq!(stream(r#"{"status":"CANCELED"}"#), "CANCEL_PHYSICAL_REPLICATION_STREAM");
        assert_eq!(stream(r#"{"status":"FAILING_OVER"}"#), "FAILOVER_PHYSICAL_REPLICATION_STREAM");
        let endpoint =
            |body: &str| action("SetAwsEndpointConnectionState", "ACCEPT_PRIVATE_LINK", body.as_bytes());
        assert_eq!(endpoint(r#"{"status":"REJECTED"}"#), "REJECT_PRIVATE_LINK");
        assert_eq!(endpoint(r#"{"status":"AVAILABLE"}"#), "ACCEPT_PRIVATE_LINK");
        let other = action("CreateFolder", "CREATE_FOLDER", br#"{"plan":"x"}"#);
        assert_eq!(other, "CREATE_FOLDER");
    }
}
