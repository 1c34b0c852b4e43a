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

/// The request that these words make.
fn asked(words: &[&str]) -> std::result::Result<Request, String> {
    let matches =
        api().try_get_matches_from(["api"].iter().chain(words)).map_err(|error| error.to_string())?;
    let (name, matches) = matches.subcommand().expect("an operation");
    let row = TABLE.iter().find(|row| row.name == name).expect("a row");
    let flags = flags::of(&DOCUMENT, row);
    request(row, &flags, matches, |_, value| Ok(value.to_owned())).map_err(|failure| failure.message)
}

#[test]
fn every_row_is_a_command_that_clap_accepts() {
    let api = api();
    api.clone().debug_assert();
    let names: BTreeSet<&str> = api.get_subcommands().map(Command::get_name).collect();
    assert_eq!(names, TABLE.iter().map(|row| row.name).collect());
}

#[test]
fn every_parameter_of_a_path_is_a_required_flag() {
    for row in &TABLE {
        let flags = flags::of(&DOCUMENT, row);
        let found: Vec<&str> = flags
            .iter()
            .filter(|flag| flag.place == Place::Path && flag.required)
            .map(|flag| flag.wire.as_str())
            .collect();
        assert_eq!(found, row.path_params().collect::<Vec<_>>(), "{}", row.name);
    }
}

#[test]
fn names_have_two_spellings() {
    for row in TABLE.iter().filter(|row| row.implemented) {
        assert_eq!(flags::kebab(row.name), row.handler.replace('_', "-"));
    }
    assert_eq!(asked(&["list-clusters"]), asked(&["ListClusters"]));
}

#[test]
fn flags_go_where_they_belong() {
    let words =
        ["UpdateSQLUserPassword", "--cluster-id", "a/b", "--name", "x y", "--password", "p", "--dry-run"];
    let request = asked(&words).expect("a request");
    assert_eq!(
        (request.method, request.path.as_str()),
        ("PUT", "/api/v1/clusters/a%2Fb/sql-users/x%20y/password")
    );
    assert_eq!(request.query, [("dry_run".to_owned(), "true".to_owned())]);
    assert_eq!(request.body, Some(json!({ "password": "p" })));
    let request = asked(&["ListClusters", "--show-inactive", "--limit=7", "--version-header", "2022-03-31"]);
    let request = request.expect("a request");
    assert_eq!(request.query[0], ("show_inactive".to_owned(), "true".to_owned()));
    assert_eq!(request.query[1], ("pagination.limit".to_owned(), "7".to_owned()));
    assert_eq!((request.body, request.headers), (None, vec![("Cc-Version", "2022-03-31".to_owned())]));
}

#[test]
fn flags_are_laid_over_the_body() {
    let whole = r#"{"name":"old","spec":{"plan":"BASIC"}}"#;
    let request = asked(&["CreateCluster", "--name", "new", "--body", whole]).expect("a request");
    assert_eq!(request.body, Some(json!({ "name": "new", "spec": { "plan": "BASIC" } })));
    let request = asked(&["EditDatabase", "--cluster-id", "1", "--name", "a", "--body-name", "b"]);
    assert_eq!(request.expect("a request").body, Some(json!({ "name": "b" })));
}

#[test]
fn what_can_not_be_right_is_refused_before_it_is_sent() {
    let wrong: [(&[&str], &str); 6] = [
        (&["GetCluster"], "--cluster-id"),
        (&["ListClusters", "--sort-by", "SIZE"], "CREATED_AT"),
        (&["ListClusters", "--limit", "many"], "invalid digit"),
        (&["CreateCluster", "--spec", "{"], "no JSON"),
        (&["CreateCluster", "--name", "x", "--body", "[]"], "must be an object"),
        (&["ListCluster"], "ListClusters"),
    ];
    for (words, says) in wrong {
        let error = asked(words).expect_err("a refusal");
        assert!(error.contains(says), "{words:?}: {error}");
    }
}

#[test]
fn what_is_not_built_yet_says_so() {
    let api = api();
    let about =
        |name: &str| api.find_subcommand(name).and_then(Command::get_about).expect("help").to_string();
    assert!(about("ListBackups").contains("not built yet"));
    assert!(!about("ListClusters").contains("not built yet"));
    let row = operation(Op::ListBackups);
    assert_eq!(
        asked(&[row.name, "--cluster-id", "1"]).expect("a request").path,
        "/api/v1/clusters/1/backups"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn kebab_is_lower_case_and_settles(name in "[A-Za-z0-9_.]{1,30}") {
        let once = flags::kebab(&name);
        prop_assert!(once.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
        prop_assert_eq!(flags::kebab(&once), once);
    }

    #[test]
    fn any_text_arrives_as_it_is(name in any::<String>().prop_filter("no NUL on a command line", |text| !text.contains('\0'))) {
        let request = asked(&["CreateDatabase", "--cluster-id", "1", &format!("--name={name}")]);
        prop_assert_eq!(request.map(|request| request.body), Ok(Some(json!({ "name": name }))));
    }
}
