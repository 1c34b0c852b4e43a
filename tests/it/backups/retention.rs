//! Backups are kept for the retention of their cluster, and then removed with their objects.

use super::shared::{
    DAY, HOUR, LIMIT, backups, boot, database, documents, ended, furnish, objects, restore,
    restore_into_itself, run, swap_repository, take_backup, users,
};
use crate::support::{advance, id};
use ootheca_store::Kind;
use ootheca_testkit::{Engine, Ootheca, eventually_within};
use serde_json::json;
use std::collections::BTreeSet;

/// The default retention, in seconds.
const RETENTION: i64 = 30 * DAY;

/// The recovery points that are stored, also expired ones.
fn points(server: &Ootheca, cluster: &str) -> BTreeSet<String> {
    documents(server, Kind::RecoveryPoint, cluster).iter().map(id).collect()
}

fn expired_backups_are_removed(engine: Engine) {
    let server = boot(engine);
    let cluster = furnish(&server, engine, "some-cluster");
    let first = take_backup(&server, &cluster, HOUR);
    database(&server, &cluster, "second");
    let expires = [first.clone(), take_backup(&server, &cluster, 2 * DAY)];
    let (old, old_points) = (objects(&server, &cluster), points(&server, &cluster));
    assert_eq!(old.iter().filter(|name| name.contains("/base/")).count(), 2, "{old:?}");
    assert!(!old_points.is_empty());
    database(&server, &cluster, "third");
    let kept = take_backup(&server, &cluster, RETENTION + DAY);
    eventually_within(LIMIT, "everything that has expired is removed", || {
        let gone = objects(&server, &cluster).is_disjoint(&old);
        (gone && points(&server, &cluster).is_disjoint(&old_points)).then_some(())
    });
    let listed = backups(&server, &cluster);
    assert!(listed.contains(&kept) && expires.iter().all(|backup| !listed.contains(backup)), "{listed:#?}");
    restore(&server, &cluster, json!({ "backup_id": first["id"] })).refused(404);
    restore_into_itself(&server, &cluster, &kept);
    if engine == Engine::Postgres {
        assert_eq!(run(&server, &cluster, "SELECT n FROM kept"), "7");
    }
}

#[test]
fn expired_backups_are_removed_on_the_simulated_engine() {
    expired_backups_are_removed(Engine::Simulated);
}

#[test]
fn expired_backups_are_removed_on_postgres() {
    expired_backups_are_removed(Engine::Postgres);
}

#[test]
fn an_expired_backup_is_not_listed_before_it_is_removed() {
    let server = boot(Engine::Simulated);
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    let first = take_backup(&server, &cluster, HOUR);
    // Whether the server has noticed it or not.
    advance(&server, RETENTION + HOUR);
    assert!(!backups(&server, &cluster).contains(&first));
    restore(&server, &cluster, json!({ "backup_id": first["id"] })).refused(404);
}

#[test]
fn backups_of_a_deleted_cluster_stay_until_they_expire() {
    let server = boot(Engine::Simulated);
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    let witness = id(&server.create_cluster("witness", "STANDARD"));
    take_backup(&server, &cluster, HOUR);
    let stored = (objects(&server, &cluster), points(&server, &cluster));
    server.delete(&format!("/clusters/{cluster}")).ok();
    for _ in 0..3 {
        take_backup(&server, &witness, DAY);
    }
    assert_eq!((objects(&server, &cluster), points(&server, &cluster)), stored);
    advance(&server, RETENTION);
    eventually_within(LIMIT, "everything of the cluster is removed", || {
        let rows = [Kind::RecoveryPoint, Kind::BackupBase].map(|kind| documents(&server, kind, &cluster));
        (objects(&server, &cluster).is_empty() && rows.iter().all(Vec::is_empty)).then_some(())
    });
    take_backup(&server, &witness, HOUR);
    assert!(!objects(&server, &witness).is_empty());
}

#[test]
fn a_backup_that_is_being_restored_does_not_expire() {
    let server = boot(Engine::Simulated);
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    let deleted = id(&server.create_cluster("deleted-cluster", "STANDARD"));
    let [backup, _] = [&cluster, &deleted].map(|cluster| take_backup(&server, cluster, HOUR));
    server.delete(&format!("/clusters/{deleted}")).ok();
    swap_repository(&server);
    let restore_id = id(restore(&server, &cluster, json!({ "backup_id": backup["id"] })).ok());
    advance(&server, RETENTION + DAY);
    eventually_within(LIMIT, "the backups of the other cluster are removed", || {
        points(&server, &deleted).is_empty().then_some(())
    });
    swap_repository(&server);
    let ended = ended(&server, &cluster, &restore_id);
    assert_eq!(ended["status"], "SUCCESS", "{ended:#}");
    assert_eq!(users(&server, &cluster), ["keeper"]);
}
