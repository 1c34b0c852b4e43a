//! The loss of a machine: `ootheca backup key`, the copies of the control store, and `ootheca recover`.

mod crash;
mod postgres_store;

use crate::{
    backups::shared::{
        HOUR, LIMIT, backup_after, backups, databases, furnish, now, restore_into_itself, run, suspend,
        take_backup, users,
    },
    support::{PASSWORD, PROGRAM, advance, audit_log, column, id, sql_user},
};
use ootheca_testkit::{Engine, Folder, Ootheca, ServerBuilder, eventually, eventually_within};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

/// The shortest time between two copies of the control store, in seconds.
const COPIES: i64 = 300;

/// A repository that outlives its server, and the file with the recovery key.
struct Elsewhere(Folder);

impl Elsewhere {
    fn repository(&self) -> PathBuf {
        self.0.path().join("backups")
    }

    fn url(&self) -> String {
        format!("file://{}", self.repository().display())
    }

    fn key_file(&self) -> String {
        self.0.path().join("key").display().to_string()
    }

    fn boot(engine: Engine) -> (Self, Ootheca) {
        Self::boot_with(ServerBuilder::new(PROGRAM).engine(engine))
    }

    /// The same with other settings.
    fn boot_with(builder: ServerBuilder) -> (Self, Ootheca) {
        let elsewhere = Self(Folder::new());
        let server = builder.backups().env("OOTHECA_BACKUPS__URL", &elsewhere.url()).boot();
        (elsewhere, server)
    }

    /// Waits for a copy of the control store that contains everything that was committed before.
    #[track_caller]
    fn copy_control_store(&self, server: &Ootheca) {
        let before = now(server).replace(':', "-");
        eventually_within(LIMIT, "the control store is copied", || {
            advance(server, COPIES);
            let copies = fs::read_dir(self.repository().join("control")).into_iter().flatten().flatten();
            let mut names = copies.map(|copy| copy.file_name().to_string_lossy().into_owned());
            names.any(|name| !name.contains('#') && name > before).then_some(())
        });
    }

    /// Keeps the recovery key, and removes the whole data directory.
    #[track_caller]
    fn lose(&self, server: &mut Ootheca) {
        fs::write(self.key_file(), recovery_key(server)).expect("the key");
        self.copy_control_store(server);
        server.terminate();
        fs::remove_dir_all(server.data_dir()).expect("the data directory is removed");
    }

    fn recover(&self, server: &Ootheca) -> Output {
        self.recover_with(server, &[])
    }

    /// Recovers with more flags.
    fn recover_with(&self, server: &Ootheca, flags: &[&str]) -> Output {
        let (url, key_file) = (self.url(), self.key_file());
        let mut args = vec!["recover", "--url", &url, "--key-file", &key_file, "--json"];
        args.extend(flags);
        server.run(&args)
    }

    /// The time of the newest copy of the control store.
    #[track_caller]
    fn newest_copy(&self) -> String {
        let copies = names(&self.repository().join("control"));
        let newest = copies.iter().filter(|name| !name.contains('#')).max();
        let (day, time) = newest.and_then(|name| name.split_once('T')).expect("a copy");
        format!("{day}T{}", time.replace('-', ":"))
    }
}

/// What a successful command prints, as JSON.
#[track_caller]
fn printed(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The message of a command that has failed.
#[track_caller]
fn failure(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[track_caller]
fn recovery_key(server: &Ootheca) -> String {
    let shown = printed(&server.run(&["backup", "key", "--json"]));
    shown["recovery_key"].as_str().expect("a key").to_owned()
}

/// The restores of a cluster.
#[track_caller]
fn restores(server: &Ootheca, cluster: &str) -> Vec<Value> {
    let answer = server.get(&format!("/clusters/{cluster}/restores"));
    answer.ok()["restores"].as_array().expect("a list").clone()
}

fn everything_is_recovered_from_the_repository_and_the_key(engine: Engine) {
    let (elsewhere, mut server) = Elsewhere::boot(engine);
    let busy = furnish(&server, engine, "busy-cluster");
    let asleep = id(&server.create_cluster("sleepy-cluster", "BASIC"));
    sql_user(&server, &asleep, "sleeper");
    let before = now(&server);
    let backup = take_backup(&server, &busy, HOUR);
    backup_after(&server, &asleep, &before);
    suspend(&server, &asleep);
    let organization = server.get("/organization").ok().clone();
    let keys = server.get("/api-keys").ok()["api_keys"].clone();
    let (key, authority) = (server.admin_key(), server.authority());
    elsewhere.lose(&mut server);

    let recovered = printed(&elsewhere.recover(&server));
    let clusters = recovered["clusters"].as_array().expect("a list");
    assert_eq!(clusters.len(), 2, "{recovered:#}");
    assert!(clusters.iter().all(|cluster| cluster["backup"].is_string()), "{recovered:#}");
    server.start();
    assert_eq!((server.admin_key(), server.authority()), (key, authority));
    assert_eq!(*server.get("/organization").ok(), organization);
    let names = |keys: &Value| -> Vec<Value> {
        keys.as_array().expect("a list").iter().map(|key| key["id"].clone()).collect()
    };
    assert_eq!(names(&server.get("/api-keys").ok()["api_keys"]), names(&keys));
    for (cluster, user) in [(&busy, "keeper"), (&asleep, "sleeper")] {
        eventually_within(LIMIT, "the cluster is restored", || {
            let restores = restores(&server, cluster);
            (restores.len() == 1 && restores[0]["status"] == "SUCCESS").then_some(())
        });
        server.when_created(cluster);
        assert_eq!(users(&server, cluster), [user]);
        if engine == Engine::Postgres {
            assert_eq!(server.psql(cluster, user, PASSWORD, "SELECT 1").ok(), "1");
        }
    }
    assert_eq!(databases(&server, &busy), ["app", "defaultdb"]);
    if engine == Engine::Postgres {
        assert_eq!(run(&server, &busy, "SELECT n FROM kept"), "7");
        assert_eq!(run(&server, &busy, "UPDATE kept SET n = 8 RETURNING n"), "8");
    }
    // Earlier backups are still there, and new ones are taken.
    assert!(backups(&server, &busy).iter().any(|known| known["id"] == backup["id"]));
    take_backup(&server, &busy, HOUR);
    let check = server.run(&["audit", "verify"]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
}

#[test]
fn everything_is_recovered_on_the_simulated_engine() {
    everything_is_recovered_from_the_repository_and_the_key(Engine::Simulated);
}

#[test]
fn everything_is_recovered_on_postgres() {
    everything_is_recovered_from_the_repository_and_the_key(Engine::Postgres);
}

#[test]
fn the_recovery_key_is_shown_once() {
    let mut server = ServerBuilder::new(PROGRAM).boot();
    let key = recovery_key(&server);
    assert!(key.starts_with("oork1-") && key.len() == 68, "{key}");
    let entry = audit_log(&server).pop().expect("an entry");
    assert!(entry.to_string().contains("recovery key"), "{entry:#}");
    for running in [true, false] {
        let refused = failure(&server.run(&["backup", "key"]));
        assert!(refused.contains("the recovery key was shown on"), "{refused}");
        assert!(!refused.contains(&key[6..14]), "{refused}");
        if running {
            server.terminate();
        }
    }
    assert!(!server.log().contains(&key[6..14]), "the log contains the key");
}

/// The names in a directory.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn recovery_is_refused_with_another_key_and_into_a_used_directory() {
    let (elsewhere, mut server) = Elsewhere::boot(Engine::Simulated);
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    fs::write(elsewhere.key_file(), "oork1-aaaaaaaa").expect("a file");
    let used = failure(&elsewhere.recover(&server));
    assert!(used.contains("recovery key: must be oork1"), "{used}");
    take_backup(&server, &cluster, HOUR);
    elsewhere.lose(&mut server);

    let right = fs::read_to_string(elsewhere.key_file()).expect("the key");
    fs::write(elsewhere.key_file(), "0".repeat(64)).expect("another key");
    let other = failure(&elsewhere.recover(&server));
    assert!(other.contains("it is encrypted with the recovery key"), "{other}");
    assert_eq!(names(&server.data_dir()), Vec::<String>::new());
    fs::write(elsewhere.key_file(), right).expect("the key");
    let control = elsewhere.repository().join("control");
    fs::rename(&control, elsewhere.repository().join("away")).expect("moved away");
    let none = failure(&elsewhere.recover(&server));
    assert!(none.contains("no copy of the control store"), "{none}");
    fs::rename(elsewhere.repository().join("away"), &control).expect("moved back");

    printed(&elsewhere.recover(&server));
    let again = failure(&elsewhere.recover(&server));
    assert!(again.contains("data_dir: must be an empty directory"), "{again}");
    server.start();
    server.when_created(&cluster);
}

#[test]
fn the_data_of_a_cluster_without_a_backup_is_reported_as_missing() {
    let (elsewhere, mut server) = Elsewhere::boot(Engine::Simulated);
    let other = furnish(&server, Engine::Simulated, "other-cluster");
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    server.patch(&format!("/clusters/{cluster}/backups-config"), json!({ "enabled": false })).ok();
    take_backup(&server, &other, HOUR);
    elsewhere.lose(&mut server);

    let recovered = printed(&elsewhere.recover(&server));
    let lost = recovered["clusters"].as_array().expect("a list").iter().find(|known| known["id"] == *cluster);
    assert_eq!(lost.map(|lost| &lost["backup"]), Some(&Value::Null), "{recovered:#}");
    server.start();
    eventually("the data is missing", || {
        let shown = server.get(&format!("/clusters/{cluster}"));
        shown.ok()["ootheca"]["conditions"].to_string().contains("DataMissing").then_some(())
    });
    server.when_created(&other);
    assert_eq!(users(&server, &other), ["keeper"]);
}

fn a_cluster_whose_backup_is_damaged_is_backed_up_again(engine: Engine) {
    let (elsewhere, mut server) = Elsewhere::boot(engine);
    let cluster = furnish(&server, engine, "some-cluster");
    take_backup(&server, &cluster, HOUR);
    elsewhere.lose(&mut server);
    let bases = elsewhere.repository().join(format!("clusters/{cluster}/0/base"));
    for base in fs::read_dir(bases).expect("bases") {
        fs::write(base.expect("a base").path(), "damaged").expect("written");
    }

    printed(&elsewhere.recover(&server));
    server.start();
    eventually_within(LIMIT, "the restore has failed", || {
        (restores(&server, &cluster)[0]["status"] == "FAILED").then_some(())
    });
    server.when_created(&cluster);
    sql_user(&server, &cluster, "later");
    let backup = take_backup(&server, &cluster, HOUR);
    sql_user(&server, &cluster, "gone");
    restore_into_itself(&server, &cluster, &backup);
    assert_eq!(users(&server, &cluster), ["later"]);
}

#[test]
fn a_cluster_whose_backup_is_damaged_is_backed_up_again_on_the_simulated_engine() {
    a_cluster_whose_backup_is_damaged_is_backed_up_again(Engine::Simulated);
}

#[test]
fn a_cluster_whose_backup_is_damaged_is_backed_up_again_on_postgres() {
    a_cluster_whose_backup_is_damaged_is_backed_up_again(Engine::Postgres);
}

#[test]
fn an_earlier_copy_of_the_control_store_can_be_recovered() {
    let (elsewhere, mut server) = Elsewhere::boot(Engine::Simulated);
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    take_backup(&server, &cluster, HOUR);
    elsewhere.copy_control_store(&server);
    let earlier = elsewhere.newest_copy();
    server.create_cluster("later-cluster", "STANDARD");
    sql_user(&server, &cluster, "gone");
    take_backup(&server, &cluster, HOUR);
    elsewhere.lose(&mut server);

    let none = failure(&elsewhere.recover_with(&server, &["--until", "2000-01-01T00:00:00Z"]));
    assert!(none.contains("no copy of the control store from until 2000-01-01T00:00:00"), "{none}");
    let recovered = printed(&elsewhere.recover_with(&server, &["--until", &earlier]));
    assert_eq!(recovered["control_store"], earlier.as_str());
    assert_eq!(column(&recovered["clusters"], "name"), ["some-cluster"], "{recovered:#}");
    server.start();
    eventually_within(LIMIT, "the cluster is restored", || {
        (restores(&server, &cluster)[0]["status"] == "SUCCESS").then_some(())
    });
    server.when_created(&cluster);
    assert_eq!(users(&server, &cluster), ["keeper"]);
}

#[test]
fn clusters_wait_until_the_repository_can_be_read() {
    let (elsewhere, mut server) = Elsewhere::boot(Engine::Simulated);
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    take_backup(&server, &cluster, HOUR);
    elsewhere.lose(&mut server);
    printed(&elsewhere.recover(&server));

    let away = elsewhere.repository().with_extension("away");
    fs::rename(elsewhere.repository(), &away).expect("moved away");
    server.start();
    eventually("a step has failed", || server.log().contains("reconcile: step failed").then_some(()));
    let shown = server.get(&format!("/clusters/{cluster}"));
    assert_eq!(shown.ok()["state"], "CREATING");
    // A failed restore would leave an empty cluster.
    assert_eq!(restores(&server, &cluster)[0]["status"], "PENDING");
    fs::rename(&away, elsewhere.repository()).expect("moved back");
    eventually_within(LIMIT, "the cluster is restored", || {
        (restores(&server, &cluster)[0]["status"] == "SUCCESS").then_some(())
    });
    server.when_created(&cluster);
    assert_eq!(users(&server, &cluster), ["keeper"]);
}
