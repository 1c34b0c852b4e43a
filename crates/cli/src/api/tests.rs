use super::*;
use ootheca_api::operations::{Op, operation};
use proptest::prelude::*;
use serde_json::json;
use std::{collections::BTreeSet, sync::LazyLock};

static DOCUMENT: LazyLock<Value> = LazyLock::new(ootheca_server::openapi);
static API: LazyLock<Command> = LazyLock::new(|| commands(Command::new("api")));

fn api() -> Command {
    API.clone()
}

/// The request that a command line produces.
fn parse(words: &[&str]) -> std::result::Result<Request, String> {
    let matches =
        api().try_get_matches_from(["api"].iter().chain(words)).map_err(|error| error.to_string())?;
    let (name, matches) = matches.subcommand().expect("an operation");
    let row = TABLE.iter().find(|row| row.name == name).expect("a row");
    let flags = flags::of(&DOCUMENT, row);
    request(row, &flags, matches, |_, value| Ok(value.to_owned())).map_err(|failure| failure.message)
}

#[test]
fn every_operation_is_a_valid_command() {
    let api = api();
    api.clone().debug_assert();
    let names: BTreeSet<&str> = api.get_subcommands().map(Command::get_name).collect();
    assert_eq!(names, TABLE.iter().map(|row| row.name).collect());
}

#[test]
fn every_path_parameter_is_a_required_flag() {
    for row in &TABLE {
        let flags = flags::of(&DOCUMENT, row);
        let found: Vec<&str> = flags
            .iter()
            .filter(|flag| flag.location == Location::Path && flag.required)
            .map(|flag| flag.wire.as_str())
            .collect();
        assert_eq!(found, row.path_params().collect::<Vec<_>>(), "{}", row.name);
    }
}

#[test]
fn operations_have_a_name_in_kebab_case() {
    for row in TABLE.iter().filter(|row| row.implemented) {
        assert_eq!(flags::kebab(row.name), row.handler.replace('_', "-"));
    }
    assert_eq!(parse(&["list-clusters"]), parse(&["ListClusters"]));
}

#[test]
fn flags_set_path_query_body_and_headers() {
    let words =
        ["UpdateSQLUserPassword", "--cluster-id", "a/b", "--name", "x y", "--password", "p", "--dry-run"];
    let request = parse(&words).expect("a request");
    assert_eq!(
        (request.method, request.path.as_str()),
        ("PUT", "/api/v1/clusters/a%2Fb/sql-users/x%20y/password")
    );
    assert_eq!(request.query, [("dry_run".to_owned(), "true".to_owned())]);
    assert_eq!(request.body, Some(json!({ "password": "p" })));
    let request = parse(&["ListClusters", "--show-inactive", "--limit=7", "--version-header", "2022-03-31"]);
    let request = request.expect("a request");
    assert_eq!(request.query[0], ("show_inactive".to_owned(), "true".to_owned()));
    assert_eq!(request.query[1], ("pagination.limit".to_owned(), "7".to_owned()));
    assert_eq!((request.body, request.headers), (None, vec![("Cc-Version", "2022-03-31".to_owned())]));
}

#[test]
fn flags_override_members_of_the_body() {
    let whole = r#"{"name":"old","spec":{"plan":"BASIC"}}"#;
    let request = parse(&["CreateCluster", "--name", "new", "--body", whole]).expect("a request");
    assert_eq!(request.body, Some(json!({ "name": "new", "spec": { "plan": "BASIC" } })));
    let request = parse(&["EditDatabase", "--cluster-id", "1", "--name", "a", "--body-name", "b"]);
    assert_eq!(request.expect("a request").body, Some(json!({ "name": "b" })));
}

#[test]
fn invalid_arguments_are_rejected_before_a_request_is_sent() {
    let invalid: [(&[&str], &str); 6] = [
        (&["GetCluster"], "--cluster-id"),
        (&["ListClusters", "--sort-by", "SIZE"], "CREATED_AT"),
        (&["ListClusters", "--limit", "many"], "invalid digit"),
        (&["CreateCluster", "--spec", "{"], "invalid JSON"),
        (&["CreateCluster", "--name", "x", "--body", "[]"], "must be a JSON object"),
        (&["ListCluster"], "ListClusters"),
    ];
    for (words, message) in invalid {
        let error = parse(words).expect_err("an error");
        assert!(error.contains(message), "{words:?}: {error}");
    }
}

#[test]
fn the_help_of_an_operation_says_if_it_is_not_implemented() {
    let api = api();
    let about =
        |name: &str| api.find_subcommand(name).and_then(Command::get_about).expect("help").to_string();
    assert!(about("GetClientCACert").contains("not implemented"));
    assert!(!about("ListClusters").contains("not implemented"));
    let row = operation(Op::ListBackups);
    assert_eq!(
        parse(&[row.name, "--cluster-id", "1"]).expect("a request").path,
        "/api/v1/clusters/1/backups"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn kebab_case_is_lower_case_and_idempotent(name in "[A-Za-z0-9_.]{1,30}") {
        let once = flags::kebab(&name);
        prop_assert!(once.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
        prop_assert_eq!(flags::kebab(&once), once);
    }

    #[test]
    fn any_text_is_sent_unchanged(name in any::<String>().prop_filter("no NUL on a command line", |text| !text.contains('\0'))) {
        let request = parse(&["CreateDatabase", "--cluster-id", "1", &format!("--name={name}")]);
        prop_assert_eq!(request.map(|request| request.body), Ok(Some(json!({ "name": name }))));
    }
}
