//! A bucket whose server refuses, delays, or damages what is stored there.

use super::{
    failures,
    proxy::{Fault, Proxy},
};
use crate::{
    backups::{
        shared::{
            DAY, HOUR, LIMIT, backup_after, backups, condition, database, databases, furnish, now, restore,
            restore_into_itself, take_backup,
        },
        verify::{WEEK, enable, series},
    },
    support::advance,
};
use ootheca_testkit::{Client, Engine, Ootheca, eventually_within};
use serde_json::json;
use std::time::Duration;

/// A server with a cluster that has a backup, and a database `during` that is not in it.
fn boot_with_a_backup(proxy: &Proxy) -> (Ootheca, String) {
    let server = proxy.builder(Engine::Simulated).boot();
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    take_backup(&server, &cluster, HOUR);
    database(&server, &cluster, "during");
    (server, cluster)
}

/// Ends the fault. Asserts that the next backup contains everything.
#[track_caller]
fn backups_continue(proxy: &Proxy, server: &Ootheca, cluster: &str) {
    let before = now(server);
    proxy.set(Fault::None);
    let backup = backup_after(server, cluster, &before);
    database(server, cluster, "after");
    restore_into_itself(server, cluster, &backup);
    assert_eq!(databases(server, cluster), ["app", "defaultdb", "during"]);
}

#[track_caller]
fn a_backup_fails(server: &Ootheca) {
    eventually_within(LIMIT, "a backup has failed", || (failures(server) > 0.0).then_some(()));
}

fn backups_continue_after_a_store_responded_with(status: u16) {
    let proxy = Proxy::start();
    let (server, cluster) = boot_with_a_backup(&proxy);
    let listed = backups(&server, &cluster);
    proxy.set(Fault::Refuse(status));
    advance(&server, HOUR);
    a_backup_fails(&server);
    assert_eq!(backups(&server, &cluster), listed);
    backups_continue(&proxy, &server, &cluster);
}

#[test]
fn backups_continue_after_a_store_was_out_of_order() {
    backups_continue_after_a_store_responded_with(503);
}

#[test]
fn backups_continue_after_a_store_was_full() {
    backups_continue_after_a_store_responded_with(507);
}

#[test]
fn backups_that_stay_overdue_lead_to_a_condition() {
    let proxy = Proxy::start();
    let (mut server, cluster) = boot_with_a_backup(&proxy);
    let failed = |client: &Client| condition(client, &cluster, "BackupFailed");
    let series = |client: &Client| series(client, "ootheca_cluster_backup_failed", &cluster);
    proxy.set(Fault::Refuse(403));
    advance(&server, HOUR);
    a_backup_fails(&server);
    assert_eq!((failed(&server), series(&server)), (None, 0.0), "it is not late enough");
    advance(&server, HOUR + 60);
    let message = eventually_within(LIMIT, "the condition is shown", || failed(&server));
    assert!(message.contains("the backup repository can't be used: access is denied"), "{message}");
    for hidden in ["s3:", "bucket", "installations", "127.0.0.1"] {
        assert!(!message.contains(hidden), "{hidden}: {message}");
    }
    assert_eq!(series(&server), 1.0);
    server.restart();
    let again = eventually_within(LIMIT, "the condition is shown again", || failed(&server));
    assert_eq!(again, message);
    backups_continue(&proxy, &server, &cluster);
    eventually_within(LIMIT, "the condition is gone", || failed(&server).is_none().then_some(()));
    assert_eq!(series(&server), 0.0);
}

#[test]
fn a_store_that_does_not_respond_blocks_nothing_else() {
    let proxy = Proxy::start();
    let (server, cluster) = boot_with_a_backup(&proxy);
    proxy.set(Fault::Hold("/wal/"));
    advance(&server, 3 * HOUR);
    eventually_within(LIMIT, "a backup waits for the store", || (proxy.affected() > 0).then_some(()));
    let other = furnish(&server, Engine::Simulated, "other-cluster");
    assert_eq!(databases(&server, &other), ["app", "defaultdb"]);
    let message =
        eventually_within(LIMIT, "the condition is shown", || condition(&server, &cluster, "BackupFailed"));
    assert!(message.contains("the backup repository can't be used"), "{message}");
    backups_continue(&proxy, &server, &cluster);
    eventually_within(LIMIT, "the condition is gone", || {
        condition(&server, &cluster, "BackupFailed").is_none().then_some(())
    });
}

#[test]
fn a_slow_store_delays_backups_and_restores_only() {
    let proxy = Proxy::start();
    proxy.set(Fault::Delay(Duration::from_millis(500)));
    let (server, cluster) = boot_with_a_backup(&proxy);
    let backup = take_backup(&server, &cluster, HOUR);
    database(&server, &cluster, "after");
    restore_into_itself(&server, &cluster, &backup);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb", "during"]);
    assert!(proxy.affected() > 0);
    assert_eq!(failures(&server), 0.0);
}

/// The second backup, which is taken after these seconds, is stored by a server that reports success in spite of the
/// fault.
fn damage_by_the_store_is_found(fault: Fault, seconds: i64) {
    let proxy = Proxy::start();
    let (server, cluster) = boot_with_a_backup(&proxy);
    let first = backups(&server, &cluster).pop().expect("a backup");
    proxy.set(fault);
    let second = take_backup(&server, &cluster, seconds);
    assert!(proxy.affected() > 0, "the fault had no effect");
    assert_eq!(failures(&server), 0.0);
    assert!(backups(&server, &cluster).contains(&second), "nothing is known yet");
    proxy.set(Fault::None);
    enable(&server, &cluster, false);
    advance(&server, WEEK);
    eventually_within(LIMIT, "the damage is found", || condition(&server, &cluster, "BackupDamaged"));
    let left = backups(&server, &cluster);
    assert!(left.contains(&first) && !left.contains(&second), "{left:#?}");
    restore(&server, &cluster, json!({ "backup_id": second["id"] })).refused(404);
    restore_into_itself(&server, &cluster, &first);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb"]);
}

#[test]
fn a_base_that_the_store_has_cut_off_is_found() {
    damage_by_the_store_is_found(Fault::Truncate("/base/"), DAY + HOUR);
}

#[test]
fn a_segment_that_the_store_has_changed_is_found() {
    damage_by_the_store_is_found(Fault::Flip("/wal/"), HOUR);
}

#[test]
fn a_segment_that_the_store_has_cut_off_is_found() {
    damage_by_the_store_is_found(Fault::Truncate("/wal/"), HOUR);
}
