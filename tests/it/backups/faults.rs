//! A repository that can't be reached: backups fail, nothing else does, and later backups contain everything. What
//! interrupted backups leave in it is removed. `store` is about buckets.

pub(crate) mod disk;
pub(crate) mod proxy;
mod store;

use super::shared::{
    DAY, HOUR, archive, backup_after, backups, boot, database, databases, furnish, now, objects,
    restore_into_itself, run, swap_repository, take_backup,
};
use crate::support::{advance, sql_user};
use ootheca_testkit::{Client, Engine, eventually};
use std::{
    fs::{self, File},
    time::{Duration, SystemTime},
};

/// The number of failed backups since the start of the server.
fn failures(client: &Client) -> f64 {
    let answer = client.raw("GET", "/metrics").send();
    let text = String::from_utf8_lossy(&answer.bytes).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix("ootheca_backups_total{result=\"failed\"} "));
    value.and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn backups_continue_when_the_repository_is_back(engine: Engine) {
    let mut server = boot(engine);
    let cluster = furnish(&server, engine, "some-cluster");
    take_backup(&server, &cluster, HOUR);
    swap_repository(&server);
    database(&server, &cluster, "during");
    advance(&server, HOUR);
    eventually("a backup has failed", || (failures(&server) > 0.0).then_some(()));
    let listed = backups(&server, &cluster);
    // The server starts without its repository.
    server.restart();
    server.when_created(&cluster);
    sql_user(&server, &cluster, "later");
    if engine == Engine::Postgres {
        run(&server, &cluster, "INSERT INTO kept VALUES (8)");
    }
    eventually("a backup has failed again", || (failures(&server) > 0.0).then_some(()));
    assert_eq!(backups(&server, &cluster), listed);
    let before = now(&server);
    swap_repository(&server);
    let backup = backup_after(&server, &cluster, &before);
    database(&server, &cluster, "after");
    restore_into_itself(&server, &cluster, &backup);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb", "during"]);
    if engine == Engine::Postgres {
        assert_eq!(run(&server, &cluster, "SELECT sum(n) FROM kept"), "15");
    }
}

#[test]
fn backups_continue_when_the_repository_is_back_on_the_simulated_engine() {
    backups_continue_when_the_repository_is_back(Engine::Simulated);
}

#[test]
fn backups_continue_when_the_repository_is_back_on_postgres() {
    backups_continue_when_the_repository_is_back(Engine::Postgres);
}

/// A directory that is not mounted looks like this.
#[test]
fn a_repository_that_is_missing_is_not_created_again() {
    let mut server = boot(Engine::Simulated);
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    take_backup(&server, &cluster, HOUR);
    let (folder, away) = (server.data_dir().join("backups"), server.data_dir().join("away"));
    fs::rename(&folder, &away).expect("moved away");
    for start in [false, true] {
        if start {
            server.restart();
        }
        database(&server, &cluster, &format!("during_{start}"));
        advance(&server, HOUR);
        eventually("a backup has failed", || (failures(&server) > 0.0).then_some(()));
        assert!(!folder.exists(), "after a start: {start}");
    }
    let before = now(&server);
    fs::rename(&away, &folder).expect("moved back");
    let backup = backup_after(&server, &cluster, &before);
    database(&server, &cluster, "after");
    restore_into_itself(&server, &cluster, &backup);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb", "during_false", "during_true"]);
}

/// Younger ones can belong to a backup that is running.
fn a_base_that_is_not_recorded_is_removed_after_a_day(engine: Engine) {
    let server = boot(engine);
    let cluster = furnish(&server, engine, "some-cluster");
    take_backup(&server, &cluster, HOUR);
    let stored = objects(&server, &cluster);
    let recorded = stored.iter().find(|name| name.contains("/base/")).expect("a base");
    let recorded = archive(&server, &cluster).join(recorded);
    // The age of a file follows the clock of the machine.
    let create = |name: &str, hours: u64| {
        let path = recorded.with_file_name(name);
        let changed = SystemTime::now() - Duration::from_secs(hours * 3600);
        File::create(&path).expect("a file").set_modified(changed).expect("its time is changed");
        path
    };
    let old = create("0b9c1c7e-52ae-4a3c-8b57-53dfa1e5cbc9", 25);
    let young = create("0b9c1c7e-52ae-4a3c-8b57-53dfa1e5cbca", 23);
    database(&server, &cluster, "later");
    let backup = take_backup(&server, &cluster, 2 * DAY);
    eventually("the old one is removed", || (!old.exists()).then_some(()));
    assert!(young.exists() && recorded.exists());
    restore_into_itself(&server, &cluster, &backup);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb", "later"]);
}

#[test]
fn a_base_that_is_not_recorded_is_removed_after_a_day_on_the_simulated_engine() {
    a_base_that_is_not_recorded_is_removed_after_a_day(Engine::Simulated);
}

#[test]
fn a_base_that_is_not_recorded_is_removed_after_a_day_on_postgres() {
    a_base_that_is_not_recorded_is_removed_after_a_day(Engine::Postgres);
}
