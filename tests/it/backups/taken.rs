//! Backups are taken when they are due, and listed.

use super::{
    lists::List,
    shared::{
        DAY, HOUR, LIMIT, backup_after, backups, boot, database, furnish, is_suspended, now, objects,
        restore_into_itself, run, suspend, take_backup, time, users,
    },
};
use crate::support::{advance, column, id, sql_user};
use ootheca_model::backup::BackupId;
use ootheca_testkit::{BACKUPS, Engine, Ootheca, eventually_within};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// When the first backup of a cluster is due, in seconds after its creation.
const FIRST: i64 = 10;

fn a_first_backup_is_taken(engine: Engine) {
    let server = boot(engine);
    let cluster = server.create_cluster("some-cluster", "STANDARD");
    advance(&server, FIRST);
    let backup = eventually_within(LIMIT, "a backup is taken", || backups(&server, &id(&cluster)).pop());
    assert_eq!(backup, json!({ "id": backup["id"], "as_of_time": backup["as_of_time"] }));
    let taken = time(&backup["as_of_time"]);
    assert_eq!(taken.0 % 1000, 0, "whole milliseconds");
    let due = time(&cluster["created_at"]).after(Duration::from_secs(10));
    assert!(taken.after(Duration::from_millis(1)) > due, "not before it is due");
    let parsed: BackupId = id(&backup).parse().expect("an ID");
    assert_eq!((parsed.to_string(), parsed.time()), (id(&backup), taken));
}

#[test]
fn a_first_backup_is_taken_on_the_simulated_engine() {
    a_first_backup_is_taken(Engine::Simulated);
}

#[test]
fn a_first_backup_is_taken_on_postgres() {
    a_first_backup_is_taken(Engine::Postgres);
}

/// A cluster with six backups of two recovery points, and the path of its list.
fn with_six_backups(server: &Ootheca) -> (String, Vec<Value>) {
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    take_backup(server, &cluster, HOUR);
    take_backup(server, &cluster, 4 * HOUR);
    database(server, &cluster, "app");
    take_backup(server, &cluster, HOUR);
    let all = backups(server, &cluster);
    assert_eq!(all.len(), 6, "{all:#?}");
    (format!("/clusters/{cluster}/backups"), all)
}

#[test]
fn a_list_contains_a_backup_for_each_due_time() {
    let server = boot(Engine::Simulated);
    let (_, all) = with_six_backups(&server);
    let times: Vec<_> = all.iter().map(|backup| time(&backup["as_of_time"])).collect();
    for pair in times[..5].windows(2) {
        assert_eq!(pair[1].since(pair[0]), Duration::from_secs(3600), "{all:#?}");
    }
    assert!(times[5].since(times[4]) >= Duration::from_secs(3600), "{all:#?}");
    let ids: BTreeSet<String> = column(&json!(all), "id").into_iter().collect();
    assert_eq!(ids.len(), all.len());
    for backup in &all {
        let parsed: BackupId = id(backup).parse().expect("an ID");
        assert_eq!(parsed.time(), time(&backup["as_of_time"]), "{backup}");
    }
}

fn list<'a>(server: &'a Ootheca, path: &'a str, all: &[Value]) -> List<'a> {
    List::new(server, path, "backups", "as_of_time", all)
}

#[test]
fn backups_are_ordered_and_filtered_by_time() {
    let server = boot(Engine::Simulated);
    let (path, all) = with_six_backups(&server);
    list(&server, &path, &all).is_ordered_and_filtered_by_time();
    server.get("/clusters/6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f/backups").refused(404);
}

#[test]
fn pages_contain_each_backup_once() {
    let server = boot(Engine::Simulated);
    let (path, all) = with_six_backups(&server);
    list(&server, &path, &all).has_pages();
}

fn unchanged_data_needs_no_new_objects(engine: Engine) {
    let server = boot(engine);
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    take_backup(&server, &cluster, HOUR);
    // A new SQL server writes some WAL on its own.
    eventually_within(LIMIT, "a backup stores nothing", || {
        let (before, count) = (objects(&server, &cluster), backups(&server, &cluster).len());
        assert!(!before.is_empty());
        take_backup(&server, &cluster, 3 * HOUR);
        let added = backups(&server, &cluster).len() - count;
        (objects(&server, &cluster) == before).then(|| assert_eq!(added, 3))
    });
}

#[test]
fn unchanged_data_needs_no_new_objects_on_the_simulated_engine() {
    unchanged_data_needs_no_new_objects(Engine::Simulated);
}

#[test]
fn unchanged_data_needs_no_new_objects_on_postgres() {
    unchanged_data_needs_no_new_objects(Engine::Postgres);
}

#[test]
fn a_suspended_cluster_gets_backups_and_is_not_resumed() {
    let server = boot(Engine::Postgres);
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    sql_user(&server, &cluster, "keeper");
    take_backup(&server, &cluster, DAY);
    run(&server, &cluster, "CREATE TABLE kept AS SELECT 7 AS n");
    suspend(&server, &cluster);
    let resumed = || server.log().matches("cluster resumed").count();
    let before = resumed();
    // What the server has written before it stopped.
    let written = take_backup(&server, &cluster, DAY);
    let stored = objects(&server, &cluster);
    for _ in 0..2 {
        take_backup(&server, &cluster, DAY);
    }
    assert_eq!(objects(&server, &cluster), stored, "a suspended cluster can't change");
    assert!(is_suspended(&server, &cluster));
    assert_eq!(resumed(), before);
    restore_into_itself(&server, &cluster, &written);
    assert_eq!(run(&server, &cluster, "SELECT n FROM kept"), "7");
}

#[test]
fn a_changed_configuration_takes_a_backup_at_once() {
    let server = boot(Engine::Simulated);
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    take_backup(&server, &cluster, HOUR);
    for change in [json!({ "frequency_minutes": 5 }), json!({ "retention_days": 7 })] {
        let before = now(&server);
        server.patch(&format!("/clusters/{cluster}/backups-config"), change).ok();
        backup_after(&server, &cluster, &before);
    }
    take_backup(&server, &cluster, 5 * 60);
}

#[test]
fn backups_that_are_enabled_again_take_one_at_once() {
    let mut server = boot(Engine::Simulated);
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    take_backup(&server, &cluster, HOUR);
    let path = format!("/clusters/{cluster}/backups-config");
    let shown = server.get(&path).ok().clone();
    for is_restarted in [false, true] {
        server.patch(&path, json!({ "enabled": false })).ok();
        if is_restarted {
            server.restart();
        }
        let before = now(&server);
        assert_eq!(*server.patch(&path, json!({ "enabled": true })).ok(), shown);
        backup_after(&server, &cluster, &before);
    }
    let count = backups(&server, &cluster).len();
    take_backup(&server, &cluster, HOUR);
    assert_eq!(backups(&server, &cluster).len(), count + 1, "the next one is due as usual");
}

#[test]
fn a_disabled_configuration_takes_no_backups() {
    let server = boot(Engine::Simulated);
    let [cluster, witness] =
        ["some-cluster", "witness"].map(|name| id(&server.create_cluster(name, "STANDARD")));
    let configure = |enabled: bool| {
        server.patch(&format!("/clusters/{cluster}/backups-config"), json!({ "enabled": enabled })).ok();
    };
    take_backup(&server, &witness, HOUR);
    take_backup(&server, &cluster, HOUR);
    configure(false);
    database(&server, &cluster, "app");
    let before = backups(&server, &cluster);
    for _ in 0..3 {
        take_backup(&server, &witness, HOUR);
    }
    assert_eq!(backups(&server, &cluster), before);
    configure(true);
    take_backup(&server, &cluster, HOUR);
}

#[test]
fn backups_can_be_restored_while_the_server_takes_none() {
    let mut server = boot(Engine::Simulated);
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    let backup = take_backup(&server, &cluster, HOUR);
    sql_user(&server, &cluster, "later");
    server.terminate();
    server.relaunch(|launch| launch.env(BACKUPS, "false"));
    server.start();
    advance(&server, DAY);
    restore_into_itself(&server, &cluster, &backup);
    assert_eq!(users(&server, &cluster), ["keeper"]);
    advance(&server, DAY);
    assert_eq!(backups(&server, &cluster), [backup], "no backup was taken");
}

#[test]
fn servers_archive_wal_only_for_backups() {
    let mut server = boot(Engine::Postgres);
    let cluster = furnish(&server, Engine::Postgres, "some-cluster");
    assert_eq!(run(&server, &cluster, "SHOW archive_mode"), "on");
    server.terminate();
    server.relaunch(|launch| launch.env(BACKUPS, "false"));
    server.start();
    server.when_created(&cluster);
    assert_eq!(run(&server, &cluster, "SHOW archive_mode"), "off");
}
