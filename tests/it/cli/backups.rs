//! `ootheca backup list` and `ootheca restore`. The configuration is tested with the other nouns.

use super::{Cli, Output};
use crate::support::{PROGRAM, advance, id, simulated, sql_user};
use ootheca_testkit::{Ootheca, ServerBuilder, eventually};
use serde_json::{Value, json};

/// A cluster is backed up ten seconds after its creation.
pub(super) const UNTIL_FIRST: i64 = 11;
/// A STANDARD cluster is backed up every hour.
pub(super) const UNTIL_NEXT: i64 = 3601;
const UNKNOWN: &str = "6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f";

pub(super) fn server_with_backups() -> (Ootheca, Cli) {
    let server = ServerBuilder::new(PROGRAM).backups().boot();
    let cli = Cli::beside(&server);
    (server, cli)
}

/// The backups of a cluster, newest first, once there are as many.
pub(super) fn backups<const COUNT: usize>(server: &Ootheca, cluster: &str) -> [Value; COUNT] {
    let path = format!("/clusters/{cluster}/backups?pagination.sort_order=DESC");
    eventually("the backups are taken", || {
        let listed = server.get(&path);
        let found = listed.ok()["backups"].as_array().expect("a list").clone();
        found.try_into().ok()
    })
}

#[test]
fn backups_are_listed_newest_first() {
    let (server, cli) = server_with_backups();
    let cluster = id(&server.create_cluster("red-fox", "STANDARD"));
    advance(&server, UNTIL_FIRST);
    backups::<1>(&server, &cluster);
    advance(&server, UNTIL_NEXT);
    let all = backups::<2>(&server, &cluster);
    let [newest, oldest] = &all;
    let list = |words: &[&str]| cli.run(&[&["backup", "list", "red-fox"][..], words].concat());
    let time = |backup: &Value| backup["as_of_time"].as_str().expect("a time").to_owned();
    let line = |backup: &Value| format!("{},{}Z\n", id(backup), time(backup)[..19].replace('T', " "));

    let csv = list(&["--output", "csv"]);
    assert_eq!(csv.ok(), format!("ID,AS OF\n{}{}", line(newest), line(oldest)));
    assert_eq!(csv.err, "", "there are no more");
    assert_eq!(list(&["--json"]).json()["backups"], json!(all));
    let names = |words: &[&str]| list(&[words, &["--output", "name"]].concat());
    let (first, last) = (format!("{}\n", id(newest)), format!("{}\n", id(oldest)));
    let one = names(&["--limit", "1"]);
    assert_eq!(one.ok(), first);
    assert!(one.err.contains("There are more"), "{one:?}");
    assert_eq!(names(&["--limit", "1", "--ascending"]).ok(), last);
    assert_eq!(names(&["--since", &time(newest)]).ok(), first);
    assert_eq!(names(&["--until", &time(newest)]).ok(), last);
    assert!(list(&["--since", "yesterday"]).fails(1).contains("start_time"));
    assert!(list(&["--limit", "0"]).fails(2).contains("--limit"));
    let same = cli.run(&["cluster", "backup", "ls", &cluster, "--output", "name"]);
    assert_eq!(same.ok(), format!("{first}{last}"));
    cli.run(&["backup", "list", "green-cat"]).fails(3);
}

#[test]
fn a_list_says_that_the_server_takes_no_backups() {
    let server = simulated();
    let cli = Cli::beside(&server);
    let cluster = id(&server.create_cluster("red-fox", "STANDARD"));
    for name in ["red-fox", &cluster] {
        let listed = cli.run(&["backup", "list", name, "--output", "csv"]);
        assert_eq!(listed.ok(), "ID,AS OF\n");
        assert!(listed.err.contains("turned off backups on this server"), "{listed:?}");
    }
    let listed = cli.run(&["backup", "list", "red-fox", "--json"]);
    assert_eq!((listed.json()["backups"].clone(), listed.err.as_str()), (json!([]), ""));
}

#[test]
fn a_cluster_is_restored_from_its_backups() {
    let (server, cli) = server_with_backups();
    let cluster = id(&server.create_cluster("red-fox", "STANDARD"));
    advance(&server, UNTIL_FIRST);
    let [empty] = backups::<1>(&server, &cluster).map(|backup| id(&backup));
    sql_user(&server, &cluster, "maria");
    advance(&server, UNTIL_NEXT);
    let [newest, _] = backups::<2>(&server, &cluster).map(|backup| id(&backup));
    sql_user(&server, &cluster, "ada");
    let users = || cli.run(&["user", "list", "red-fox", "--output", "name"]).ok().to_owned();
    let restore = |words: &[&str]| cli.run(&[&["restore", "create", "red-fox"][..], words].concat());

    assert!(restore(&[]).fails(2).contains("--backup"));
    assert!(restore(&["--backup", &newest, "--from", "red-fox", "-y"]).fails(2).contains("--from"));
    let unconfirmed = restore(&["--backup", &newest]);
    assert!(unconfirmed.fails(2).contains("Replace all data"), "{unconfirmed:?}");
    assert!(unconfirmed.err.contains("--yes"), "{unconfirmed:?}");
    restore(&["--backup", UNKNOWN, "--yes"]).fails(3);
    assert_eq!(users(), "ada\nmaria\n", "nothing was restored");

    let restored = restore(&["--from", "red-fox", "--yes"]);
    assert_eq!(value(&restored, "status"), "SUCCESS");
    assert_eq!(value(&restored, "backup"), newest);
    for text in ["∙∙∙ restoring cluster red-fox…", "Success! Restored cluster red-fox"] {
        assert!(restored.err.contains(text), "{text}: {restored:?}");
    }
    assert_eq!(users(), "maria\n");
    let restored = restore(&["--backup-id", &empty, "-y", "--json"]);
    assert_eq!((&restored.json()["backup_id"], restored.err.as_str()), (&json!(empty), ""));
    assert_eq!(users(), "");
    let started = restore(&["--backup", &newest, "-y", "--no-wait", "--json"]).json();
    let show = |restore: &str| cli.run(&["cluster", "restore", "get", "red-fox", restore, "--json"]).json();
    eventually("the restore is complete", || (show(&id(&started))["status"] == "SUCCESS").then_some(()));
    assert_eq!(users(), "maria\n");

    let path = format!("/clusters/{cluster}/restores");
    let listed = cli.run(&["restore", "list", "red-fox", "--json"]).json();
    let order = server.get(&format!("{path}?pagination.sort_order=DESC"));
    assert_eq!(listed["restores"], order.ok()["restores"]);
    assert_eq!(listed["restores"].as_array().map(Vec::len), Some(3));
    assert_eq!(&show(&id(&started)), server.get(&format!("{path}/{}", id(&started))).ok());
    let newest = cli.run(&["cluster", "restore", "ls", "red-fox", "--limit", "1", "--output", "csv"]);
    let header = "ID,STATUS,SOURCE,AS OF,CREATED AT,COMPLETED AT\n";
    assert!(newest.ok().starts_with(&format!("{header}{},SUCCESS,red-fox,", id(&started))), "{newest:?}");
    cli.run(&["restore", "show", "red-fox", UNKNOWN]).fails(3);
}

#[test]
fn a_cluster_is_restored_to_a_time() {
    let (server, cli) = server_with_backups();
    let cluster = id(&server.create_cluster("red-fox", "STANDARD"));
    server.create_cluster("blue-dog", "STANDARD");
    advance(&server, UNTIL_FIRST);
    let [oldest] = backups::<1>(&server, &cluster);
    sql_user(&server, &cluster, "maria");
    advance(&server, UNTIL_NEXT);
    backups::<2>(&server, &cluster);
    let time = oldest["as_of_time"].as_str().expect("a time");
    let users = |cluster: &str| cli.run(&["user", "list", cluster, "--output", "name"]).ok().to_owned();
    let restore = |words: &[&str]| cli.run(&[&["restore", "create"][..], words].concat());

    let malformed = restore(&["red-fox", "--at", "yesterday"]);
    assert!(malformed.fails(2).contains("--at"), "{malformed:?}");
    assert!(malformed.err.contains("such as 2026-03-01T10:30:00Z"), "{malformed:?}");
    assert!(restore(&["red-fox", "--at", time, "--backup", UNKNOWN]).fails(2).contains("--backup"));
    let unconfirmed = restore(&["red-fox", "--at", time]);
    assert!(unconfirmed.fails(2).contains(&format!("with those at {time}?")), "{unconfirmed:?}");
    let early = restore(&["red-fox", "--at", "2020-01-01T00:00:00Z", "--yes"]);
    assert!(early.fails(1).contains("point_in_time"), "{early:?}");
    assert_eq!(users("red-fox"), "maria\n", "nothing was restored");

    let another = restore(&["blue-dog", "--from", "red-fox", "--point-in-time", time, "--yes", "--json"]);
    assert_eq!(another.json()["point_in_time"], time);
    assert_eq!(users("blue-dog"), "");
    let restored = restore(&["red-fox", "--at", time, "--yes"]);
    assert_eq!(value(&restored, "status"), "SUCCESS");
    assert_eq!(value(&restored, "backup"), id(&oldest));
    assert_eq!(value(&restored, "as of"), format!("{}Z", time[..19].replace('T', " ")));
    assert_eq!(users("red-fox"), "");
}

/// The value of a line such as ` status: SUCCESS`.
#[track_caller]
pub(super) fn value<'a>(output: &'a Output, name: &str) -> &'a str {
    let prefix = format!(" {name}:");
    let found = output.ok().lines().find_map(|line| line.strip_prefix(&prefix));
    found.unwrap_or_else(|| panic!("no {name}: {output:?}")).trim()
}

#[test]
fn a_failed_restore_says_why() {
    let (server, cli) = server_with_backups();
    let source = id(&server.create_cluster("red-fox", "STANDARD"));
    server.create_cluster("blue-dog", "STANDARD");
    server.create_cluster("tiny-ant", "BASIC");
    cli.run(&["database", "create", "blue-dog", "shop"]).ok();
    sql_user(&server, &source, "maria");
    advance(&server, UNTIL_FIRST);
    let [backup] = backups::<1>(&server, &source);
    let restore = |destination: &str, source: &str| {
        cli.run(&["restore", "create", destination, "--from", source, "--yes"])
    };

    let failed = restore("blue-dog", "red-fox");
    assert!(failed.fails(1).contains("error: could not restore cluster blue-dog: "), "{failed:?}");
    assert!(failed.err.contains("shop"), "the message says what is in the way: {failed:?}");
    assert!(failed.err.contains("hint: the data of the cluster is unchanged"), "{failed:?}");
    assert_eq!(cli.run(&["database", "ls", "blue-dog", "--output", "name"]).ok(), "defaultdb\nshop\n");
    let listed = cli.run(&["restore", "list", "blue-dog", "--json"]).json();
    let shown = cli.run(&["restore", "show", "blue-dog", &id(&listed["restores"][0])]);
    assert_eq!(value(&shown, "status"), "FAILED");
    assert!(value(&shown, "error").contains("shop"), "{shown:?}");

    assert!(restore("tiny-ant", "red-fox").fails(1).contains("plan"));
    assert!(restore("blue-dog", "redfox").fails(3).contains("did you mean red-fox?"));
    cli.run(&["cluster", "delete", "red-fox", "--yes"]).ok();
    let kept = cli.run(&["backup", "list", &source, "--output", "name"]);
    assert_eq!(kept.ok(), format!("{}\n", id(&backup)), "backups outlive their cluster");
    server.create_cluster("white-owl", "STANDARD");
    restore("white-owl", "red-fox").fails(3);
    assert_eq!(value(&restore("white-owl", &source), "status"), "SUCCESS");
    assert_eq!(cli.run(&["user", "list", "white-owl", "--output", "name"]).ok(), "maria\n");
}

#[test]
fn databases_and_tables_are_restored_without_replacing_data() {
    let (server, cli) = server_with_backups();
    let cluster = id(&server.create_cluster("red-fox", "ADVANCED"));
    cli.run(&["database", "create", "red-fox", "shop"]).ok();
    advance(&server, UNTIL_FIRST);
    backups::<1>(&server, &cluster);
    cli.run(&["database", "delete", "red-fox", "shop", "--yes"]).ok();
    cli.run(&["database", "create", "red-fox", "later"]).ok();
    let databases = || cli.run(&["database", "ls", "red-fox", "--output", "name"]).ok().to_owned();
    let restore = |words: &[&str]| {
        cli.run(&[&["restore", "create", "red-fox", "--from", "red-fox"][..], words].concat())
    };

    assert!(restore(&["--table", "orders"]).fails(2).contains("--database"));
    assert!(restore(&["--into-db", "later"]).fails(2).contains("--table"));
    let two = restore(&["--database", "shop", "--database", "later", "--table", "orders"]);
    assert!(two.fails(2).contains("a single --database"), "{two:?}");
    assert!(restore(&["--type", "database"]).fails(1).contains("objects"));
    assert_eq!(databases(), "defaultdb\nlater\n", "nothing was restored");

    let restored = restore(&["--database", "shop"]);
    for (name, expected) in [("status", "SUCCESS"), ("type", "DATABASE"), ("objects", "shop")] {
        assert_eq!(value(&restored, name), expected);
    }
    assert!(restored.err.contains("Success! Restored database shop into cluster red-fox"), "{restored:?}");
    let failed = restore(&["--database", "shop"]);
    let said = failed.fails(1);
    assert!(said.contains("error: could not restore database shop into cluster red-fox: "), "{said}");
    assert!(said.contains("hint: the data of the cluster is unchanged"), "{said}");
    restore(&["--database", "shop", "--new-db-name", "copy", "--schema-only"]).ok();
    assert_eq!(databases(), "copy\ndefaultdb\nlater\nshop\n");
    let tables = ["--database", "shop", "--table", "orders", "--schema", "sales", "--into-db", "later"];
    let done = restore(&[&tables[..], &["--skip-missing-views", "--json"]].concat()).json();
    assert_eq!(done["objects"], json!([{ "database": "shop", "schema": "sales", "table": "orders" }]));
    assert_eq!(done["restore_opts"], json!({ "into_db": "later", "skip_missing_views": true }));
    let shown = cli.run(&["restore", "show", "red-fox", &id(&done)]);
    assert_eq!(value(&shown, "objects"), "shop.sales.orders");
}
