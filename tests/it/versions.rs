//! Every implemented operation in every version, compared with our rules, and with the official descriptions
//! in the directory `OOTHECA_CONTRACT` if it is set.

use crate::{
    pipeline::success,
    support::{PASSWORD, id, in_days, simulated, sql_user},
};
use ootheca_api::{
    operations::{Operation, TABLE},
    router::{self, Resolved},
};
use ootheca_testkit::{Ootheca, Record};
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::PathBuf,
    process::Command,
    sync::PoisonError,
};

const VERSIONS: [&str; 5] = ["2022-03-31", "2022-09-20", "2023-04-10", "2024-09-16", "2026-09-15"];

/// Deliberate differences between responses and the description of their version: the version and a part of
/// the finding.
const ON_PURPOSE: [(&str, &str); 10] = [
    // The default dialect follows the official page: current enum values, and its format of lists.
    ("2022-03-31", "plan: "),
    ("2022-03-31", "operation_status: "),
    ("2022-03-31", "config.serverless: \"spend_limit\" is a required property"),
    ("2022-03-31", " ListAvailableRegions regions.*: "),
    ("2022-03-31", " ListClusterNodes pagination."),
    // Newer enum values are not hidden from older versions.
    ("2022-09-20", " ListAvailableRegions regions.*.provider: \"AZURE\""),
    ("2022-09-20", "roles.*.name: \"ORG_ROLE_FOLDER_ADMIN\""),
    ("2023-04-10", " ListAuditLogs entries.*.action: "),
    ("2024-09-16", " ListAuditLogs entries.*.action: \"AUDIT_LOG_ACTION_UPDATE_BACKUP_CONFIGURATION\""),
    // This member changed from an object to a string in all versions at once.
    ("2023-04-10", " ListAuditLogs entries.*.payload: "),
];

/// A response that was recorded.
struct Shown {
    version: &'static str,
    operation: &'static str,
    answer: Value,
}

/// IDs for the path parameters.
fn furnish(server: &Ootheca) -> HashMap<&'static str, String> {
    let basic = server.create_cluster("walk-basic", "BASIC");
    server.create_cluster("walk-standard", "STANDARD");
    let advanced = id(&server.create_cluster("walk-advanced", "ADVANCED"));
    let window = json!({ "offset_duration": "172800s", "window_duration": "21600s" });
    server.put(&format!("/clusters/{advanced}/maintenance-window"), window).ok();
    let window = json!({ "start_time": in_days(10), "end_time": in_days(12) });
    let window = id(server.post(&format!("/clusters/{advanced}/blackout-windows"), window).ok());
    let cluster = id(&basic);
    let limits = json!({ "request_unit_limit": "20000000", "storage_mib_limit": "2048" });
    server.patch(&format!("/clusters/{cluster}"), json!({ "serverless": { "usage_limits": limits } })).ok();
    sql_user(server, &cluster, "walker");
    let (account, _) = server.new_account("walker", &["CLUSTER_ADMIN"]);
    let key = server.post("/api-keys", json!({ "name": "walker", "service_account_id": account }));
    let folder = server.post("/folders", json!({ "name": "walked" })).text("/resource_id");
    let issuer = json!({ "issuer_url": "https://issuer.example.com", "audience": "walk" });
    let issuer = id(server.post("/jwt-issuers", issuer).ok());
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "walker", "emails": [{ "value": "walker@example.com" }],
    });
    let user = id(server.raw("POST", "/api/scim/v2/Users").json(&user).send().ok());
    let members = json!([{ "value": user }]);
    let group = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Walkers", "members": members });
    let group = id(server.raw("POST", "/api/scim/v2/Groups").json(&group).send().ok());
    let schema = "urn:ietf:params:scim:schemas:core:2.0:User".to_owned();
    HashMap::from([
        ("cluster_id", cluster),
        ("advanced", advanced),
        ("blackout_window_id", window),
        ("user_id", account),
        ("key", key.text("/api_key/id")),
        ("folder_id", folder),
        ("issuer", issuer),
        ("user", user),
        ("group", group),
        ("schemaId", schema),
        ("resourceId", "User".to_owned()),
    ])
}

/// The path of this read with existing IDs; `None` if there is no such resource.
fn path(row: &Operation, ids: &HashMap<&str, String>) -> Option<String> {
    let mut path = row.path.to_owned();
    for name in row.path_params() {
        let key = match (name, row.tag) {
            ("cluster_id", "Blackout Windows" | "Maintenance Windows") => "advanced",
            ("id", "API Keys") => "key",
            ("id", "Service Accounts") => "user_id",
            ("id", "SCIM") if row.name.contains("Group") => "group",
            ("id", "SCIM") => "user",
            ("id", _) => "issuer",
            _ => name,
        };
        path = path.replace(&format!("{{{name}}}"), ids.get(key)?);
    }
    let query = if row.name == "GetPersonUsersByEmail" { "?email=somebody%40example.com" } else { "" };
    Some(path + query)
}

/// Calls every implemented operation in `version`, with success.
fn walk(version: &'static str) -> Vec<Shown> {
    let people = r#"["somebody@example.com"]"#;
    let mut server = success::server().env("OOTHECA_ORGANIZATION__PEOPLE", people).boot();
    let ids = furnish(&server);
    let record = Record::default();
    server.speak(|client| client.with_version(version).recorded(&record));
    let search = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"] });
    let reads = TABLE.iter().filter(|row| row.implemented && row.audit.is_none());
    // Extensions have no older versions.
    for row in reads.filter(|row| !row.is_extension()) {
        if let Some(path) = path(row, &ids) {
            let request = server.raw(row.method.name(), &path);
            let request = if row.has_body { request.json(&search) } else { request };
            request.send().ok();
        }
    }
    success::run_all(&server);
    let record = record.lock().unwrap_or_else(PoisonError::into_inner);
    let shown = record.iter().filter(|entry| entry.status == 200).filter_map(|entry| {
        let path = entry.path.split('?').next().unwrap_or_default();
        let Ok(Resolved::Found { operation, .. }) = router::resolve(&entry.method, path) else { return None };
        let answer = serde_json::from_slice(&entry.answer).unwrap_or_default();
        if operation.is_extension() {
            return None;
        }
        Some(Shown { version, operation: operation.name, answer })
    });
    shown.collect()
}

#[test]
fn every_operation_in_every_version() {
    let shown: Vec<Shown> = VERSIONS.into_iter().flat_map(walk).collect();
    for version in VERSIONS {
        let seen: BTreeSet<&str> =
            shown.iter().filter(|one| one.version == version).map(|one| one.operation).collect();
        let built = TABLE.iter().filter(|row| row.implemented && !row.is_extension());
        let missing: Vec<&str> = built.map(|row| row.name).filter(|name| !seen.contains(name)).collect();
        assert!(missing.is_empty(), "{version}: the walk left out {missing:?}");
    }
    shown.iter().for_each(check_words);
    match std::env::var_os("OOTHECA_CONTRACT") {
        Some(folder) => validate(&PathBuf::from(folder), &shown),
        None => println!("versions: OOTHECA_CONTRACT names no folder, so only our own rules were checked"),
    }
}

/// Checks our rules for the enum values of a version.
fn check_words(shown: &Shown) {
    let text = shown.answer.to_string();
    let (old, older) = (shown.version == "2023-04-10", shown.version == "2022-09-20");
    let what = format!("{} {}: {text}", shown.version, shown.operation);
    let has = |words: &[&str]| words.iter().any(|word| text.contains(&format!("\"{word}\"")));
    assert_eq!(has(&["ORG_ROLE_ORG_MEMBER"]), older && text.contains("ORG_MEMBER"), "{what}");
    assert!(!(old || older) || !has(&["BASIC", "STANDARD", "ADVANCED", "upgrade_type"]), "{what}");
    assert!(old || older || !has(&["SERVERLESS", "DEDICATED", "spend_limit"]), "{what}");
    assert!(!older || !has(&["usage_limits"]), "{what}");
    assert_eq!(has(&["CLUSTER_STATUS_UNSPECIFIED"]), older && has(&["operation_status"]), "{what}");
    assert_eq!(has(&["next"]), shown.version == "2022-03-31" && has(&["next_page"]), "{what}");
}

/// Compares with the official descriptions.
fn validate(contract: &PathBuf, shown: &[Shown]) {
    let lines: Vec<String> = shown
        .iter()
        // In the default dialect, some changes have an empty response.
        .filter(|one| !one.answer.is_null())
        .map(|one| json!({ "version": one.version, "operation": one.operation, "answer": one.answer }))
        .map(|line| line.to_string())
        .collect();
    let folder = ootheca_testkit::Folder::new();
    let recording = folder.path().join("answers.jsonl");
    fs::write(&recording, lines.join("\n")).expect("a file");
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut python = Command::new(repository.join("target/clients/bin/python"));
    python.arg(repository.join("tests/clients/validate_answers.py")).arg(contract).arg(&recording);
    let output = python.output().unwrap_or_else(|error| panic!("{error}; ./dev test installs its parts"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let (findings, checked): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.contains(' '));
    let excuses =
        |line: &str, (version, part): &(&str, &str)| line.starts_with(version) && line.contains(part);
    let wrong: Vec<&&str> =
        findings.iter().filter(|line| !ON_PURPOSE.iter().any(|known| excuses(line, known))).collect();
    assert!(wrong.is_empty(), "responses that do not match the description: {wrong:#?}");
    for known in &ON_PURPOSE {
        assert!(findings.iter().any(|line| excuses(line, known)), "no longer needed: {known:?}");
    }
    let checked: usize = checked.first().and_then(|count| count.parse().ok()).unwrap_or(0);
    assert!(checked > 60, "only {checked} responses have a description");
    println!("versions: {checked} answers are as the official descriptions say");
}

#[test]
fn a_client_of_2022_sets_a_spend_limit() {
    let server = simulated();
    let client = server.with_version("2022-09-20");
    let spec = json!({ "serverless": { "regions": ["us-central1"], "spend_limit": 500 } });
    let made = client.post("/clusters", json!({ "name": "money-cluster", "provider": "GCP", "spec": spec }));
    let cluster = made.ok();
    assert_eq!(
        (&cluster["plan"], &cluster["operation_status"]),
        (&json!("SERVERLESS"), &json!("CLUSTER_STATUS_UNSPECIFIED"))
    );
    let routing_id = &cluster["config"]["serverless"]["routing_id"];
    assert_eq!(cluster["config"]["serverless"], json!({ "spend_limit": 500, "routing_id": routing_id }));
    let at = format!("/clusters/{}", id(cluster));
    let newest = server.get(&at);
    let limits = json!({ "request_unit_limit": "20000000", "storage_mib_limit": "2048" });
    assert_eq!(
        (&newest.body["plan"], &newest.body["config"]["serverless"]["usage_limits"]),
        (&json!("BASIC"), &limits)
    );

    let next = server.with_version("2023-04-10");
    let older = next.get(&at);
    let expected = json!({ "spend_limit": 500, "usage_limits": limits, "routing_id": routing_id });
    assert_eq!(older.ok()["config"]["serverless"], expected);
    let patched = client.patch(&at, json!({ "serverless": { "spend_limit": 0 } }));
    assert_eq!(patched.ok()["config"]["serverless"]["spend_limit"], 0);
    let half = json!({ "serverless": { "usage_limits": { "request_unit_limit": "1" } } });
    assert!(next.patch(&at, half).refused(400).contains("must have both"));
    let missing = json!({ "name": "second-cluster", "provider": "GCP", "spec": { "serverless": { "regions": ["us-central1"] } } });
    let refused = client.post("/clusters", missing.clone());
    assert_eq!(
        refused.refused(400),
        "invalid argument: serverless.spend_limit: is required in Cc-Version 2022-09-20"
    );
    assert_eq!(next.post("/clusters", missing).ok()["plan"], "SERVERLESS");
    assert_eq!(client.delete(&at).ok()["state"], "DELETED", "the response is the cluster");
}

#[test]
fn editions_are_refused_in_every_version() {
    let server = simulated();
    let limits = json!({ "request_unit_limit": "1000000", "storage_mib_limit": "1024" });
    let serverless = json!({ "regions": ["us-central1"], "usage_limits": limits });
    let dedicated = json!({ "region_nodes": { "us-central1": 1 }, "hardware": { "machine_spec": { "num_virtual_cpus": 4 } } });
    let specs = [
        json!({ "edition": "STANDARD", "serverless": serverless }),
        json!({ "edition": "STANDARD", "plan": "STANDARD", "serverless": serverless }),
        json!({ "edition": "MISSION_CRITICAL", "dedicated": dedicated }),
    ];
    let body = |spec: &Value| json!({ "name": "edition-cluster", "provider": "GCP", "spec": spec });
    for version in VERSIONS.into_iter().chain(["latest"]) {
        for spec in &specs {
            let refused = server.with_version(version).post("/clusters", body(spec));
            let message = refused.refused(403);
            assert_eq!(message, "the requested edition is not enabled for this organization", "{version}");
            assert_eq!(refused.body["code"], 7, "{refused}");
        }
    }
    assert_eq!(server.get("/clusters").ok()["clusters"], json!([]));
    let none = json!({ "edition": null, "serverless": serverless });
    let made = server.post("/clusters", body(&none));
    assert_eq!((&made.ok()["plan"], made.body.get("edition")), (&json!("BASIC"), None));
    // No version can change an edition: in a PATCH it is an unknown member.
    let patch = json!({ "edition": "STANDARD", "labels": { "a": "b" } });
    let changed = server.patch(&format!("/clusters/{}", id(&made.body)), patch);
    assert_eq!(changed.ok()["labels"], json!({ "a": "b" }));
}

#[test]
fn roles_and_parameters_of_2022() {
    let server = simulated();
    let client = server.with_version("2022-09-20");
    let (account, _) = server.new_account("robot", &[]);
    let at = format!("/roles/{account}");
    let body =
        json!({ "roles": [{ "name": "ORG_ROLE_CLUSTER_ADMIN", "resource": { "type": "ORGANIZATION" } }] });
    let names = |answer: &Value| crate::support::column(&answer["roles"], "name");
    assert_eq!(names(client.put(&at, body).ok()), ["ORG_ROLE_ORG_MEMBER", "ORG_ROLE_CLUSTER_ADMIN"]);
    let added = client.request("POST", &format!("{at}/ORGANIZATION//ORG_ROLE_ORG_ADMIN")).send();
    assert!(names(added.ok()).contains(&"ORG_ROLE_ORG_ADMIN".to_owned()), "{added}");
    assert!(names(server.get(&at).ok()).contains(&"ORG_ADMIN".to_owned()));
    let filtered = client.get("/service-accounts?roles=ORG_ROLE_AUDITOR&roles=ORG_ROLE_CLUSTER_ADMIN");
    assert!(crate::support::column(&filtered.ok()["service_accounts"], "name").contains(&"robot".to_owned()));
    let cluster = id(&server.create_cluster("strings", "ADVANCED"));
    let string = client.get(&format!("/clusters/{cluster}/connection-string?os=OS_WINDOWS"));
    assert!(string.text("/connection_string").contains("$env:appdata"), "{string}");
    let regions = client.get("/clusters/available-regions?provider=CLOUD_PROVIDER_UNSPECIFIED");
    assert!(regions.ok()["regions"][0]["name"].is_string(), "{regions}");
    let user = json!({ "name": "u", "password": PASSWORD });
    assert_eq!(*client.post(&format!("/clusters/{cluster}/sql-users"), user).ok(), json!({ "name": "u" }));
}
