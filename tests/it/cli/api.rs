//! `ootheca api`: every operation of the table.

use super::Cli;
use crate::support::{id, simulated};
use ootheca_api::operations::TABLE;
use serde_json::json;
use std::fs;

#[test]
fn every_operation_is_listed() {
    let listed = Cli::new().run(&["api", "--list", "--output", "name"]);
    let names: Vec<&str> = listed.ok().lines().collect();
    assert_eq!(names, TABLE.iter().map(|row| row.name).collect::<Vec<_>>());
}

#[test]
fn api_commands_print_the_response_of_the_api() {
    let server = simulated();
    let cli = Cli::beside(&server);
    let cluster = server.create_cluster("blue-dog", "BASIC");
    assert_eq!(&cli.run(&["api", "list-clusters"]).json(), server.get("/clusters").ok());
    let by_name = cli.run(&["api", "GetCluster", "--cluster-id", "blue-dog"]).json();
    assert_eq!(by_name["id"], cluster["id"]);
    let path = ["api", "CreateDatabase", "--cluster-id", "blue-dog"];
    let with = |words: &[&str]| cli.run(&[&path[..], words].concat());
    assert_eq!(with(&["--name", "dry", "--dry-run"]).json()["name"], "dry");
    let file = cli.home().join("body.json");
    fs::write(&file, json!({ "name": "one" }).to_string()).expect("a file");
    assert_eq!(with(&["--body", &format!("@{}", file.display())]).json()["name"], "one");
    let words = [&path[..], &["--body", "-"]].concat();
    assert_eq!(cli.run_with(r#"{"name":"two"}"#, &words).json()["name"], "two");
    with(&["--name", "three", "--idempotency-key", "k"]).ok();
    with(&["--name", "three", "--idempotency-key", "k"]).ok();
    with(&["--name", "three"]).fails(1);
    let databases = cli.run(&["database", "list", "blue-dog", "--output", "name"]);
    assert_eq!(databases.ok(), "defaultdb\none\nthree\ntwo\n");
    let old = with(&["--name", "four", "--version-header", "2022-03-31"]);
    assert_eq!(old.code, 0, "{old:?}");
}

#[test]
fn an_operation_that_is_not_implemented_fails_with_the_error_of_the_server() {
    let server = simulated();
    let cli = Cli::beside(&server);
    let cluster = id(&server.create_cluster("blue-dog", "BASIC"));
    let mut tried = 0;
    for row in TABLE.iter().filter(|row| !row.implemented && row.path_params().eq(["cluster_id"])).take(5) {
        let result = cli.run(&["api", row.name, "--cluster-id", &cluster]);
        assert!(
            result.fails(1).contains("not implemented") && result.err.contains("trace ID: "),
            "{result:?}"
        );
        tried += 1;
    }
    // Once all operations are implemented, there is nothing to try.
    assert_eq!(tried == 0, TABLE.iter().all(|row| row.implemented));
}

#[test]
fn completions_contain_commands_operations_and_values() {
    let cli = Cli::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = cli.run(&["completions", shell]);
        // The scripts for elvish and PowerShell don't contain the values of flags.
        let values = if matches!(shell, "elvish" | "powershell") { &[][..] } else { &["CREATED_AT"] };
        for word in ["UpdateSQLUserPassword", "service-account"].iter().chain(values) {
            assert!(script.ok().contains(word), "the script for {shell} does not contain {word}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let cli = Cli::new();
    let folder = cli.home().join("man");
    cli.run(&["man", &folder.display().to_string()]).ok();
    for page in ["ootheca.1", "ootheca-cluster-sql.1", "ootheca-api-ListClusters.1"] {
        let text = fs::read_to_string(folder.join(page)).unwrap_or_default();
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
    assert!(cli.run(&["man"]).ok().contains(".TH ootheca 1"));
}
