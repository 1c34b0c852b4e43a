//! Restores from a repository that is damaged, incomplete, or away, and onto a full disk: the data of the cluster stays as
//! it is. Restores while something else happens to the clusters.

use super::writer::Stop;
use crate::{
    backups::{
        faults::{
            disk::SmallDisk,
            proxy::{Fault, Proxy},
        },
        shared::{
            HOUR, LIMIT, archive, boot, database, databases, ended, furnish, objects, restore,
            restore_into_itself, restored, run, swap_repository, take_backup, users,
        },
    },
    support::{PASSWORD, id},
};
use ootheca_store::Kind;
use ootheca_testkit::{Engine, Ootheca, eventually, eventually_within};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

/// Longer than ten attempts with pauses in between.
const ATTEMPTS: Duration = Duration::from_secs(300);
/// Space for a template and two instances, in MiB.
const SMALL: u32 = 640;

/// A cluster whose database `later` is not in the backup.
fn cluster_and_backup(server: &Ootheca, engine: Engine) -> (String, Value) {
    let cluster = furnish(server, engine, "some-cluster");
    let backup = take_backup(server, &cluster, HOUR);
    database(server, &cluster, "later");
    (cluster, backup)
}

/// Asserts that a restore fails, and that the data is what it was before.
#[track_caller]
fn fails(server: &Ootheca, engine: Engine, cluster: &str, backup: &Value) {
    let done = restored(server, cluster, json!({ "backup_id": backup["id"] }));
    assert_eq!((&done["status"], &done["client_error_code"]), (&json!("FAILED"), &json!(13)), "{done:#}");
    let message = done["client_error_message"].as_str().unwrap_or_default();
    let internals = server.data_dir().display().to_string();
    assert!(!message.is_empty() && !message.contains(&internals), "{done:#}");
    is_unchanged(server, engine, cluster);
}

#[track_caller]
fn is_unchanged(server: &Ootheca, engine: Engine, cluster: &str) {
    server.when_created(cluster);
    assert_eq!(databases(server, cluster), ["app", "defaultdb", "later"]);
    if engine == Engine::Postgres {
        assert_eq!(run(server, cluster, "SELECT n FROM kept"), "7");
        super::nothing_else_is_left(server, 1);
    }
}

/// The files of the objects of a kind, `base` or `wal`.
fn files(server: &Ootheca, cluster: &str, kind: &str) -> Vec<PathBuf> {
    let names = objects(server, cluster).into_iter().filter(|name| name.contains(&format!("/{kind}/")));
    let files: Vec<PathBuf> = names.map(|name| archive(server, cluster).join(name)).collect();
    assert!(!files.is_empty(), "no {kind}");
    files
}

/// Changes one byte of each file, or changes it back.
fn flip(files: &[PathBuf]) {
    for path in files {
        let mut content = fs::read(path).expect("an object");
        let middle = content.len() / 2;
        content[middle] ^= 1;
        fs::write(path, content).expect("written");
    }
}

fn a_damaged_base_leaves_the_data(engine: Engine) {
    let server = boot(engine);
    let (cluster, backup) = cluster_and_backup(&server, engine);
    let bases = files(&server, &cluster, "base");
    flip(&bases);
    fails(&server, engine, &cluster, &backup);
    flip(&bases);
    restore_into_itself(&server, &cluster, &backup);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb"]);
}

#[test]
fn a_damaged_base_leaves_the_data_on_the_simulated_engine() {
    a_damaged_base_leaves_the_data(Engine::Simulated);
}

#[test]
fn a_damaged_base_leaves_the_data_on_postgres() {
    a_damaged_base_leaves_the_data(Engine::Postgres);
}

#[test]
fn damaged_and_missing_wal_leaves_the_data() {
    let server = boot(Engine::Postgres);
    let (cluster, backup) = cluster_and_backup(&server, Engine::Postgres);
    let segments = files(&server, &cluster, "wal");
    flip(&segments);
    fails(&server, Engine::Postgres, &cluster, &backup);
    flip(&segments);
    let away = server.data_dir().join("away");
    fs::create_dir(&away).expect("a folder");
    let elsewhere = |path: &PathBuf| away.join(path.file_name().expect("a name"));
    for path in &segments {
        fs::rename(path, elsewhere(path)).expect("moved away");
    }
    fails(&server, Engine::Postgres, &cluster, &backup);
    for path in &segments {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::rename(elsewhere(path), path).expect("moved back");
    }
    restore_into_itself(&server, &cluster, &backup);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb"]);
}

#[test]
fn a_restore_continues_when_the_repository_is_back() {
    let mut server = boot(Engine::Postgres);
    let (cluster, backup) = cluster_and_backup(&server, Engine::Postgres);
    swap_repository(&server);
    let asked = restore(&server, &cluster, json!({ "backup_id": backup["id"] }));
    asked.ok();
    server.kill();
    server.start();
    assert_eq!(server.get(&format!("/clusters/{cluster}")).text("/state"), "LOCKED");
    swap_repository(&server);
    let done = ended(&server, &cluster, &id(&asked.body));
    assert_eq!(done["status"], "SUCCESS", "{done:#}");
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb"]);
}

#[test]
fn a_restore_fails_if_the_repository_stays_away() {
    let server = boot(Engine::Simulated);
    let (cluster, backup) = cluster_and_backup(&server, Engine::Simulated);
    swap_repository(&server);
    let asked = restore(&server, &cluster, json!({ "backup_id": backup["id"] }));
    let path = format!("/clusters/{cluster}/restores/{}", id(asked.ok()));
    let done = eventually_within(ATTEMPTS, "the restore has failed", || {
        let shown = server.get(&path);
        (shown.ok()["status"] != "PENDING").then_some(shown.body)
    });
    assert_eq!((&done["status"], &done["client_error_code"]), (&json!("FAILED"), &json!(14)), "{done:#}");
    is_unchanged(&server, Engine::Simulated, &cluster);
    swap_repository(&server);
    restore_into_itself(&server, &cluster, &backup);
}

/// Asserts that a restore has failed because the disk has too little space.
#[track_caller]
fn has_too_little_space(done: &Value) {
    assert_eq!((&done["status"], &done["client_error_code"]), (&json!("FAILED"), &json!(9)), "{done:#}");
    let message = done["client_error_message"].as_str().unwrap_or_default();
    assert!(message.contains("MiB of disk space"), "{done:#}");
}

#[test]
fn data_that_does_not_fit_on_the_disk_is_not_restored() {
    let mut server = boot(Engine::Postgres);
    let (cluster, backup) = cluster_and_backup(&server, Engine::Postgres);
    server.terminate();
    // More than any disk has.
    let store = Connection::open(server.data_dir().join("store.db")).expect("the store");
    let grow =
        "UPDATE entries SET document = json_set(document, '$.bytes', 1152921504606846976) WHERE kind = ?1";
    let changed = store.execute(grow, [Kind::BackupBase.name()]).expect("changed");
    assert!(changed > 0, "no base");
    drop(store);
    server.start();
    server.when_created(&cluster);
    has_too_little_space(&restored(&server, &cluster, json!({ "backup_id": backup["id"] })));
    is_unchanged(&server, Engine::Postgres, &cluster);
}

#[test]
fn a_disk_that_is_full_in_the_middle_of_a_restore_leaves_the_data() {
    let proxy = Proxy::start();
    let builder = proxy.builder(Engine::Postgres).own_template().env("OOTHECA_ENGINE__DISK_RESERVE_MIB", "0");
    let mut server = builder.idle();
    let Some(disk) = SmallDisk::mount(&server.data_dir().join("engine"), SMALL) else {
        eprintln!("skipped: this user can't mount a file system");
        return;
    };
    server.start();
    let (cluster, backup) = cluster_and_backup(&server, Engine::Postgres);
    // The base is opened after the free space was checked.
    proxy.set(Fault::Hold("/base/"));
    let asked = restore(&server, &cluster, json!({ "backup_id": backup["id"] }));
    let restore = id(asked.ok());
    eventually_within(LIMIT, "the base is read", || (proxy.affected() > 0).then_some(()));
    disk.fill();
    proxy.set(Fault::None);
    has_too_little_space(&ended(&server, &cluster, &restore));
    disk.free();
    is_unchanged(&server, Engine::Postgres, &cluster);
    restore_into_itself(&server, &cluster, &backup);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb"]);
    server.terminate();
}

fn the_source_can_be_deleted_while_it_is_restored(engine: Engine) {
    let server = boot(engine);
    let source = furnish(&server, engine, "source-cluster");
    let destination = id(&server.create_cluster("destination-cluster", "STANDARD"));
    take_backup(&server, &source, HOUR);
    swap_repository(&server);
    let asked = restore(&server, &destination, json!({ "source_cluster_id": source }));
    asked.ok();
    server.delete(&format!("/clusters/{source}")).ok();
    if engine == Engine::Postgres {
        eventually("the source is removed", || {
            server.instances().iter().all(|row| row["cluster"] != source.as_str()).then_some(())
        });
    }
    swap_repository(&server);
    let done = ended(&server, &destination, &id(&asked.body));
    assert_eq!(done["status"], "SUCCESS", "{done:#}");
    server.when_created(&destination);
    assert_eq!(databases(&server, &destination), ["app", "defaultdb"]);
    assert_eq!(users(&server, &destination), ["keeper"]);
    if engine == Engine::Postgres {
        assert_eq!(run(&server, &destination, "SELECT n FROM kept"), "7");
        super::nothing_else_is_left(&server, 1);
    }
}

#[test]
fn the_source_can_be_deleted_while_it_is_restored_on_the_simulated_engine() {
    the_source_can_be_deleted_while_it_is_restored(Engine::Simulated);
}

#[test]
fn the_source_can_be_deleted_while_it_is_restored_on_postgres() {
    the_source_can_be_deleted_while_it_is_restored(Engine::Postgres);
}

#[test]
fn one_of_several_concurrent_restores_into_a_cluster_is_accepted() {
    let server = boot(Engine::Simulated);
    let (cluster, backup) = cluster_and_backup(&server, Engine::Simulated);
    // None of them ends before the others are requested.
    swap_repository(&server);
    let mut statuses: Vec<u16> = thread::scope(|scope| {
        let (client, cluster, backup) = (server.client(), &cluster, &backup["id"]);
        let ask = || scope.spawn(move || restore(client, cluster, json!({ "backup_id": backup })).status);
        let calls: Vec<_> = [ask(), ask(), ask(), ask()].into();
        calls.into_iter().map(|call| call.join().expect("a status")).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400, 400, 400]);
    swap_repository(&server);
    let restores = super::restores(&server, &cluster);
    assert_eq!(restores.len(), 1, "{restores:#?}");
    assert_eq!(ended(&server, &cluster, &id(&restores[0]))["status"], "SUCCESS");
    server.when_created(&cluster);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb"]);
}

#[test]
fn a_backup_is_restored_into_two_clusters_at_once() {
    let server = boot(Engine::Postgres);
    let source = furnish(&server, Engine::Postgres, "source-cluster");
    let clusters =
        ["first-cluster", "second-cluster"].map(|name| id(&server.create_cluster(name, "STANDARD")));
    let backup = take_backup(&server, &source, HOUR);
    let restores = clusters.each_ref().map(|cluster| {
        let asked = restore(&server, cluster, json!({ "backup_id": backup["id"] }));
        id(asked.ok())
    });
    for (cluster, restore) in clusters.iter().zip(&restores) {
        assert_eq!(ended(&server, cluster, restore)["status"], "SUCCESS");
        server.when_created(cluster);
        assert_eq!(run(&server, cluster, "SELECT n FROM kept"), "7");
    }
    super::nothing_else_is_left(&server, 3);
}

#[test]
fn a_restore_replaces_what_sessions_write_meanwhile() {
    let server = boot(Engine::Postgres);
    let cluster = furnish(&server, Engine::Postgres, "some-cluster");
    let backup = take_backup(&server, &cluster, HOUR);
    let mut sessions: Vec<_> = (0..4).map(|_| server.session(&cluster, "keeper", PASSWORD)).collect();
    let (stop, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    let done = thread::scope(|scope| {
        let (stop, written) = (&stop, &written);
        let _stop = Stop(stop);
        for session in &mut sessions {
            scope.spawn(move || {
                let insert = "INSERT INTO kept VALUES (8) RETURNING n";
                while !stop.load(Ordering::Relaxed) && session.run(insert).as_deref() == Ok("8") {
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        eventually("rows are written", || (written.load(Ordering::Relaxed) >= 20).then_some(()));
        restored(&server, &cluster, json!({ "backup_id": backup["id"] }))
    });
    assert_eq!(done["status"], "SUCCESS", "{done:#}");
    server.when_created(&cluster);
    assert_eq!(run(&server, &cluster, "SELECT string_agg(n::text, ',') FROM kept"), "7");
    assert_eq!(run(&server, &cluster, "INSERT INTO kept VALUES (9) RETURNING n"), "9");
    super::nothing_else_is_left(&server, 1);
}
