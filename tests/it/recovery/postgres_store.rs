//! `ootheca recover` with a control store in PostgreSQL, which has backups of its own.

use super::{Elsewhere, failure, printed, restores};
use crate::{
    backups::shared::{HOUR, LIMIT, databases, furnish, run, take_backup},
    support::{PROGRAM, column, id},
};
use ootheca_testkit::{
    Engine, ServerBuilder, eventually_within,
    postgres::{self, TemporaryPostgres},
};
use std::{path::Path, process::Command};

/// Copies a database into an empty one by a dump in this file.
#[track_caller]
fn copy_database(from: &str, to: &str, dump: &Path) {
    let programs = ["pg_dump", "pg_restore"].map(|name| Command::new(postgres::program(name)));
    let [mut save, mut load] = programs;
    save.args(["--format=custom", "--dbname", from, "--file"]).arg(dump);
    load.args(["--exit-on-error", "--dbname", to]).arg(dump);
    for command in [&mut save, &mut load] {
        let output = command.output().expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn an_installation_with_its_store_in_postgresql_is_recovered() {
    let (lost, restored) = (TemporaryPostgres::start(), TemporaryPostgres::start());
    let (before, after) = (lost.url(), restored.url());
    let builder = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).store(&before);
    let (elsewhere, mut server) = Elsewhere::boot_with(builder);
    let cluster = furnish(&server, Engine::Postgres, "some-cluster");
    let backup = take_backup(&server, &cluster, HOUR);
    let organization = server.get("/organization").ok().clone();
    let (key, authority) = (server.admin_key(), server.authority());
    elsewhere.lose(&mut server);
    copy_database(&before, &after, &elsewhere.0.path().join("dump"));
    drop(lost);

    let recovered = printed(&elsewhere.recover_with(&server, &["--store", &after]));
    assert_eq!(column(&recovered["clusters"], "name"), ["some-cluster"], "{recovered:#}");
    assert!(recovered["clusters"][0]["backup"].is_string(), "{recovered:#}");
    server.relaunch(|builder| builder.without("--store").without(&before).store(&after));
    server.start();
    assert!(!server.data_dir().join("store.db").exists(), "the store is in PostgreSQL");
    assert_eq!((server.admin_key(), server.authority()), (key, authority));
    assert_eq!(*server.get("/organization").ok(), organization);
    eventually_within(LIMIT, "the cluster is restored", || {
        (restores(&server, &cluster)[0]["status"] == "SUCCESS").then_some(())
    });
    server.when_created(&cluster);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb"]);
    assert_eq!(run(&server, &cluster, "SELECT n FROM kept"), "7");
    let newer = take_backup(&server, &cluster, HOUR);
    assert_ne!(newer["id"], backup["id"]);
}

#[test]
fn recovery_is_refused_with_an_empty_store_and_with_that_of_another_installation() {
    let postgres = TemporaryPostgres::start();
    let (elsewhere, mut server) = Elsewhere::boot(Engine::Simulated);
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    take_backup(&server, &cluster, HOUR);
    elsewhere.lose(&mut server);
    let refusal = || failure(&elsewhere.recover_with(&server, &["--store", &postgres.url()]));
    let message = refusal();
    assert!(message.contains("store: it has no organization"), "{message}");

    let mut other = ServerBuilder::new(PROGRAM).store(&postgres.url()).boot();
    let known = id(&other.create_cluster("other-cluster", "STANDARD"));
    let message = refusal();
    assert!(message.contains("store: it belongs to another installation"), "{message}");
    // It would not start if it were not the owner of its store any more.
    other.restart();
    assert_eq!(other.when_created(&known)["name"], "other-cluster");

    printed(&elsewhere.recover(&server));
    server.start();
    server.when_created(&cluster);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb"]);
}
