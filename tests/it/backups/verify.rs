//! Backups are verified within a week. Those that are damaged are neither listed nor restored, and are replaced. The
//! cluster has a condition until they have expired.

use super::shared::{
    DAY, HOUR, LIMIT, archive, backup_after, backups, boot, database, databases, furnish, now, objects,
    restore, restore_into_itself, take_backup,
};
use crate::support::{advance, column};
use ootheca_testkit::{Client, Engine, Ootheca, eventually_within};
use serde_json::{Value, json};
use std::fs;

pub(super) const WEEK: i64 = 7 * DAY;

/// The value of a series whose labels contain `label`.
pub(super) fn series(client: &Client, name: &str, label: &str) -> f64 {
    let answer = client.raw("GET", "/metrics").send();
    let text = String::from_utf8_lossy(&answer.bytes).into_owned();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(name)?.split_once("} "));
    let found = lines.find(|(labels, _)| labels.contains(label));
    found
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or_else(|| panic!("no {name} of {label} in {text}"))
}

fn verifications(client: &Client, result: &str) -> f64 {
    series(client, "ootheca_backup_verifications_total", &format!("result=\"{result}\""))
}

fn is_damaged(client: &Client, cluster: &str) -> bool {
    series(client, "ootheca_cluster_backup_damaged", cluster) > 0.0
}

pub(super) fn enable(client: &Client, cluster: &str, enabled: bool) {
    client.patch(&format!("/clusters/{cluster}/backups-config"), json!({ "enabled": enabled })).ok();
}

/// A cluster with two backups that share a base, and no further ones.
fn with_backups(server: &Ootheca, engine: Engine) -> (String, [Value; 2]) {
    let cluster = furnish(server, engine, "some-cluster");
    let first = take_backup(server, &cluster, HOUR);
    database(server, &cluster, "later");
    let second = take_backup(server, &cluster, HOUR);
    enable(server, &cluster, false);
    (cluster, [first, second])
}

/// The objects of a kind, in order.
fn objects_of(server: &Ootheca, cluster: &str, kind: &str) -> Vec<String> {
    objects(server, cluster).into_iter().filter(|name| name.contains(&format!("/{kind}/"))).collect()
}

#[track_caller]
fn becomes_damaged(server: &Ootheca, cluster: &str) {
    advance(server, WEEK);
    eventually_within(LIMIT, "the damage is found", || is_damaged(server, cluster).then_some(()));
}

fn a_damaged_base_is_replaced(engine: Engine) {
    let mut server = boot(engine);
    let (cluster, [first, _]) = with_backups(&server, engine);
    for name in objects_of(&server, &cluster, "base") {
        let path = archive(&server, &cluster).join(name);
        let mut content = fs::read(&path).expect("an object");
        let middle = content.len() / 2;
        content[middle] ^= 1;
        fs::write(path, content).expect("written");
    }
    becomes_damaged(&server, &cluster);
    let listed = backups(&server, &cluster);
    assert!(listed.is_empty(), "damaged backups are not listed: {listed:#?}");
    restore(&server, &cluster, json!({ "backup_id": first["id"] })).refused(404);
    let shown = server.get(&format!("/clusters/{cluster}"));
    let kinds = column(&shown.ok()["ootheca"]["conditions"], "kind");
    assert!(kinds.contains(&"BackupDamaged".to_owned()), "{kinds:?}");
    assert!(server.log().contains("backups are damaged"));
    server.restart();
    eventually_within(LIMIT, "the condition is back", || is_damaged(&server, &cluster).then_some(()));
    let before = now(&server);
    enable(&server, &cluster, true);
    let backup = backup_after(&server, &cluster, &before);
    assert!(is_damaged(&server, &cluster), "the damaged backups have not expired");
    database(&server, &cluster, "latest");
    restore_into_itself(&server, &cluster, &backup);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb", "later"]);
}

#[test]
fn a_damaged_base_is_replaced_on_the_simulated_engine() {
    a_damaged_base_is_replaced(Engine::Simulated);
}

#[test]
fn a_damaged_base_is_replaced_on_postgres() {
    a_damaged_base_is_replaced(Engine::Postgres);
}

fn damage_of_an_older_base_is_shown_until_its_backups_have_expired(engine: Engine) {
    let server = boot(engine);
    let cluster = furnish(&server, engine, "some-cluster");
    let first = take_backup(&server, &cluster, HOUR);
    let old = objects_of(&server, &cluster, "base");
    database(&server, &cluster, "later");
    let second = take_backup(&server, &cluster, DAY + HOUR);
    assert_eq!((old.len(), objects_of(&server, &cluster, "base").len()), (1, 2));
    for name in old {
        fs::remove_file(archive(&server, &cluster).join(name)).expect("removed");
    }
    becomes_damaged(&server, &cluster);
    let listed = backups(&server, &cluster);
    assert!(!listed.contains(&first) && listed.contains(&second), "{listed:#?}");
    let before = objects_of(&server, &cluster, "base").len();
    database(&server, &cluster, "latest");
    take_backup(&server, &cluster, DAY + HOUR);
    assert!(objects_of(&server, &cluster, "base").len() > before, "a new base was copied");
    assert!(is_damaged(&server, &cluster), "the damaged backups have not expired");
    advance(&server, 30 * DAY);
    eventually_within(LIMIT, "the condition is gone", || {
        // Makes the server look again after it has removed the expired backups.
        advance(&server, HOUR);
        (!is_damaged(&server, &cluster)).then_some(())
    });
}

#[test]
fn damage_of_an_older_base_is_shown_until_its_backups_have_expired_on_the_simulated_engine() {
    damage_of_an_older_base_is_shown_until_its_backups_have_expired(Engine::Simulated);
}

#[test]
fn damage_of_an_older_base_is_shown_until_its_backups_have_expired_on_postgres() {
    damage_of_an_older_base_is_shown_until_its_backups_have_expired(Engine::Postgres);
}

fn missing_wal_hides_only_the_backups_that_need_it(engine: Engine) {
    let server = boot(engine);
    let (cluster, [first, second]) = with_backups(&server, engine);
    let listed = backups(&server, &cluster);
    assert_eq!(objects_of(&server, &cluster, "base").len(), 1);
    let last = objects_of(&server, &cluster, "wal").pop().expect("a segment");
    fs::remove_file(archive(&server, &cluster).join(last)).expect("removed");
    becomes_damaged(&server, &cluster);
    let left = backups(&server, &cluster);
    assert!(left.contains(&first) && !left.contains(&second), "{listed:#?}, then {left:#?}");
    restore(&server, &cluster, json!({ "backup_id": second["id"] })).refused(404);
    restore_into_itself(&server, &cluster, &first);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb"]);
}

#[test]
fn missing_wal_hides_only_the_backups_that_need_it_on_the_simulated_engine() {
    missing_wal_hides_only_the_backups_that_need_it(Engine::Simulated);
}

#[test]
fn missing_wal_hides_only_the_backups_that_need_it_on_postgres() {
    missing_wal_hides_only_the_backups_that_need_it(Engine::Postgres);
}

#[test]
fn a_gap_in_the_wal_is_found_on_postgres() {
    let server = boot(Engine::Postgres);
    let cluster = furnish(&server, Engine::Postgres, "some-cluster");
    take_backup(&server, &cluster, HOUR);
    for name in ["one", "two", "three"] {
        database(&server, &cluster, name);
        take_backup(&server, &cluster, HOUR);
    }
    enable(&server, &cluster, false);
    let segments = objects_of(&server, &cluster, "wal");
    assert!(segments.len() > 2, "{segments:?}");
    let newest = backups(&server, &cluster).pop().expect("a backup");
    fs::remove_file(archive(&server, &cluster).join(&segments[segments.len() - 2])).expect("removed");
    becomes_damaged(&server, &cluster);
    assert!(!backups(&server, &cluster).contains(&newest));
}

#[test]
fn intact_backups_stay_listed_on_postgres() {
    let server = boot(Engine::Postgres);
    let (cluster, kept) = with_backups(&server, Engine::Postgres);
    for count in 1..3 {
        advance(&server, WEEK);
        eventually_within(LIMIT, "the backups are verified", || {
            (verifications(&server, "intact") >= f64::from(count)).then_some(())
        });
    }
    assert!(!is_damaged(&server, &cluster) && verifications(&server, "damaged") == 0.0);
    let listed = backups(&server, &cluster);
    assert!(kept.iter().all(|backup| listed.contains(backup)), "{listed:#?}");
}
