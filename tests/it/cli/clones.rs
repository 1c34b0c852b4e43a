//! `ootheca cluster create` for clones, and for clusters that delete themselves.

use super::{
    Cli, Output,
    backups::{UNTIL_FIRST, UNTIL_NEXT, backups, server_with_backups, value},
};
use crate::support::{PASSWORD, advance, id, in_days, real, simulated, sql_user};
use ootheca_model::Timestamp;
use serde_json::json;
use std::time::{Duration, SystemTime};

/// Runs `cluster create` with these words.
#[track_caller]
fn create(cli: &Cli, words: &[&str]) -> Output {
    cli.run(&[&["cluster", "create"][..], words].concat())
}

/// The names of the users or the databases of a cluster, one per line.
#[track_caller]
fn names(cli: &Cli, noun: &str, cluster: &str) -> String {
    cli.run(&[noun, "list", cluster, "--output", "name"]).ok().to_owned()
}

#[test]
fn a_cluster_is_cloned_by_name_or_id() {
    let server = simulated();
    let cli = Cli::beside(&server);
    let source = id(&server.create_cluster("red-fox", "STANDARD"));
    cli.run(&["database", "create", "red-fox", "shop"]).ok();
    sql_user(&server, &source, "maria");

    let same = create(&cli, &["clone", "blue-dog", "--from", "red-fox"]);
    assert_eq!(value(&same, "plan"), "STANDARD");
    assert_eq!(value(&same, "regions"), "us-central1");
    assert!(same.err.contains("Success! Created cluster blue-dog"), "{same:?}");
    let words = ["basic", "tiny-ant", "us-east-1", "--from", &source, "--label", "team=data", "--json"];
    let other = create(&cli, &words).json();
    assert_eq!((&other["plan"], &other["cloud_provider"]), (&json!("BASIC"), &json!("AWS")));
    assert_eq!(other["labels"], json!({ "team": "data" }));
    for clone in ["blue-dog", "tiny-ant"] {
        assert_eq!(names(&cli, "database", clone), "defaultdb\nshop\n", "{clone}");
        assert_eq!(names(&cli, "user", clone), "maria\n", "{clone}");
    }
    let listed = cli.run(&["restore", "list", "blue-dog", "--json"]).json();
    let restore = &listed["restores"][0];
    assert_eq!((&restore["status"], &restore["backup_id"]), (&json!("SUCCESS"), &json!("")), "{listed:#}");
    assert_eq!(restore["source_cluster_name"], "red-fox", "{listed:#}");
    let generated = create(&cli, &["clone", "--source-cluster-id", &source, "--json"]).json();
    assert!(generated["name"].as_str().is_some_and(|name| name.contains('-')), "{generated:#}");
}

#[test]
fn a_clone_begins_with_a_backup_or_with_the_data_at_a_time() {
    let (server, cli) = server_with_backups();
    let source = id(&server.create_cluster("red-fox", "STANDARD"));
    advance(&server, UNTIL_FIRST);
    let [oldest] = backups::<1>(&server, &source);
    sql_user(&server, &source, "maria");
    advance(&server, UNTIL_NEXT);
    let [newest, _] = backups::<2>(&server, &source).map(|backup| id(&backup));
    sql_user(&server, &source, "ada");
    let (oldest, time) = (id(&oldest), oldest["as_of_time"].as_str().expect("a time").to_owned());
    let clone = |name: &str, words: &[&str]| {
        create(&cli, &[&["clone", name, "--from", "red-fox"][..], words].concat())
    };

    let cases: [(&str, &[&str], &str); 4] = [
        ("blue-dog", &[], "ada\nmaria\n"),
        ("tiny-ant", &["--backup", &newest], "maria\n"),
        ("white-owl", &["--backup-id", &oldest], ""),
        ("green-cat", &["--at", &time], ""),
    ];
    for (name, words, users) in cases {
        clone(name, words).ok();
        assert_eq!(names(&cli, "user", name), users, "{name}");
    }
    let restore = |name: &str| {
        let listed = cli.run(&["restore", "list", name, "--json"]).json();
        listed["restores"][0].clone()
    };
    assert_eq!(restore("white-owl")["backup_id"], oldest);
    assert_eq!(restore("green-cat")["point_in_time"], time);
    let early = clone("big-bear", &["--at", "2020-01-01T00:00:00Z"]);
    assert!(early.fails(1).contains("point_in_time"), "{early:?}");

    cli.run(&["cluster", "delete", "red-fox", "--yes"]).ok();
    clone("big-bear", &["--backup", &newest]).fails(3);
    let words = ["clone", "big-bear", "--from", &source];
    create(&cli, &words).fails(1);
    create(&cli, &[&words[..], &["--backup", &newest]].concat()).ok();
    assert_eq!(names(&cli, "user", "big-bear"), "maria\n");
}

#[test]
fn refusals_of_clones_name_the_flag() {
    let server = simulated();
    let cli = Cli::beside(&server);
    server.create_cluster("red-fox", "STANDARD");
    let clone = ["clone", "blue-dog", "--from", "red-fox"];
    let cases: [(&[&str], &[&str], &str); 12] = [
        (&["clone", "blue-dog"], &[], "--from"),
        (&["basic", "blue-dog"], &["--at", "2026-03-01T10:30:00Z"], "--from"),
        (&["basic", "blue-dog"], &["--masking-sql", "-"], "--from"),
        (&clone, &["--at", "yesterday"], "--at"),
        (&clone, &["--backup", "some-id", "--at", "2026-03-01T10:30:00Z"], "--at"),
        (&clone, &["--masking-database", "shop"], "--masking-sql"),
        (&clone, &["--masking-sql", "/nonexistent"], "--masking-sql"),
        // The command before a pipe can have failed.
        (&clone, &["--masking-sql", "-"], "--masking-sql"),
        (&clone, &["--expires-in", "1w"], "--expires-in"),
        (&clone, &["--expires-at", "tomorrow"], "--expires-at"),
        (&clone, &["--expires-in", "1h", "--expires-at", "2030-01-01T00:00:00Z"], "--expires-at"),
        (&["basic", "blue-dog"], &["--delete-protection", "--expires-in", "1h"], "--expires-in"),
    ];
    for (words, flags, named) in cases {
        let refused = create(&cli, &[words, flags].concat());
        assert!(refused.fails(2).contains(named), "{flags:?}: {refused:?}");
    }
    let misspelled = create(&cli, &["clone", "blue-dog", "--from", "redfox"]);
    assert!(misspelled.fails(3).contains("did you mean red-fox?"), "{misspelled:?}");
    assert_eq!(cli.run(&["cluster", "list", "--output", "name"]).ok(), "red-fox\n");
}

#[test]
fn a_clone_that_could_not_be_created_says_why() {
    let server = simulated();
    let cli = Cli::beside(&server);
    server.create_cluster("red-fox", "STANDARD");
    let words = ["cluster", "create", "clone", "blue-dog", "--from", "red-fox"];
    let failed = cli.run_with("DELETE FROM people", &[&words[..], &["--masking-sql", "-"]].concat());
    assert!(failed.fails(1).contains("error: could not create cluster blue-dog: "), "{failed:?}");
    assert!(failed.err.contains("runs no SQL servers"), "the script was sent: {failed:?}");
    assert!(failed.err.contains("hint: nothing is left of it; the name can be used again"), "{failed:?}");
    cli.run(&words).ok();
}

#[test]
fn masking_sql_from_standard_input_runs_before_a_clone_serves() {
    let server = real();
    let cli = Cli::beside(&server);
    let source = id(&server.create_cluster("red-fox", "BASIC"));
    sql_user(&server, &source, "maria");
    let sql = |cluster: &str, text: &str| server.psql(cluster, "maria", PASSWORD, text).ok().to_owned();
    sql(&source, "CREATE TABLE people AS SELECT 'maria@example.com' AS email");
    let clone = |name: &str, masking: &str| {
        let words = ["cluster", "create", "clone", name, "--from", "red-fox", "--masking-sql", "-", "--json"];
        cli.run_with(masking, &words)
    };

    let clone_id = id(&clone("blue-dog", "UPDATE people SET email = 'hidden'").json());
    assert_eq!(sql(&clone_id, "SELECT email FROM people"), "hidden");
    assert_eq!(sql(&source, "SELECT email FROM people"), "maria@example.com");
    let failed = clone("tiny-ant", "UPDATE people SET email = (1 / 0)::text");
    assert!(failed.fails(1).contains("division by zero"), "{failed:?}");
    cli.run(&["cluster", "info", "tiny-ant"]).fails(3);
}

#[test]
fn a_cluster_expires_at_a_time_or_after_a_duration() {
    let server = simulated();
    let cli = Cli::beside(&server);
    let in_two_days = || Timestamp::from(SystemTime::now()).after(Duration::from_secs(48 * 3600));
    let earliest = in_two_days();
    let created = create(&cli, &["basic", "blue-dog", "--expires-in", "48h", "--json"]).json();
    let expires_at: Timestamp = created["expires_at"].as_str().expect("a time").parse().expect("a time");
    assert!(earliest <= expires_at && expires_at <= in_two_days(), "{created:#}");

    let time = in_days(2);
    let shown = time.replace('T', " ");
    let clone = create(&cli, &["clone", "tiny-ant", "--from", "blue-dog", "--expires-at", &time]);
    assert_eq!(value(&clone, "expires"), shown);
    assert_eq!(value(&cli.run(&["cluster", "info", "tiny-ant"]), "expires"), shown);
    let kept = create(&cli, &["clone", "white-owl", "--from", "blue-dog", "--json"]).json();
    assert!(kept["expires_at"].is_null(), "a clone doesn't expire with its source: {kept:#}");
    let listed = cli.run(&["cluster", "list", "--output", "csv"]);
    let line = |start: &str| listed.ok().lines().find(|line| line.starts_with(start)).expect(start);
    assert!(line("NAME,").ends_with(",EXPIRES"), "{listed:?}");
    assert!(line("tiny-ant,").ends_with(&format!(",{shown}")), "{listed:?}");
    assert!(line("white-owl,").ends_with(','), "{listed:?}");
    let past = create(&cli, &["basic", "green-cat", "--expires-at", "2020-01-01T00:00:00Z"]);
    assert!(past.fails(1).contains("expires_at"), "{past:?}");
}
