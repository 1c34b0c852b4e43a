//! Missing data is never recreated: if the data of a cluster, the store, or the engine that owns it is
//! missing, the server reports it, and continues once it is restored.

use crate::support::{PASSWORD, PROGRAM, column, id, sql_user};
use ootheca_testkit::{Engine, Ootheca, ServerBuilder, eventually, postgres::TemporaryPostgres};
use serde_json::Value;
use std::fs;

fn launch(engine: Engine) -> ServerBuilder {
    ServerBuilder::new(PROGRAM).engine(engine).env("OOTHECA_SCALE_TO_ZERO__IDLE_SECONDS", "0")
}

/// The message of the condition `DataMissing`, if it holds.
fn data_missing(server: &Ootheca, cluster: &str) -> Option<String> {
    let answer = server.get(&format!("/clusters/{cluster}"));
    let conditions = answer.ok()["ootheca"]["conditions"].as_array()?.clone();
    let missing = conditions.iter().find(|condition| condition["kind"] == "DataMissing")?;
    (missing["holds"] == true).then(|| missing["message"].as_str().unwrap_or_default().to_owned())
}

fn when_missing(server: &Ootheca, cluster: &str) -> String {
    eventually("the condition DataMissing", || data_missing(server, cluster))
}

fn users(server: &Ootheca, cluster: &str) -> Vec<Value> {
    server.get(&format!("/clusters/{cluster}/sql-users")).ok()["users"].as_array().expect("a list").clone()
}

fn insert_row(server: &Ootheca, cluster: &str) {
    server.psql(cluster, "keeper", PASSWORD, "CREATE TABLE kept AS SELECT 42 AS n").ok();
}

fn assert_row(server: &Ootheca, cluster: &str) {
    eventually("the cluster is available again", || data_missing(server, cluster).is_none().then_some(()));
    assert_eq!(server.psql(cluster, "keeper", PASSWORD, "SELECT n FROM kept").ok(), "42");
}

fn moved_engine_folder(engine: Engine, store: Option<&str>) {
    let mut launch = launch(engine);
    if let Some(url) = store {
        launch = launch.store(url);
    }
    let mut server = launch.boot();
    let cluster = id(&server.create_cluster("survivor", "STANDARD"));
    sql_user(&server, &cluster, "keeper");
    if engine == Engine::Postgres {
        insert_row(&server, &cluster);
    }
    let name = if engine == Engine::Postgres { "engine" } else { "simulated" };
    let (folder, away) = (server.data_dir().join(name), server.data_dir().join("away"));
    server.terminate();
    fs::rename(&folder, &away).expect("moved away");

    server.start();
    let message = when_missing(&server, &cluster);
    assert!(
        message.contains(&*folder.to_string_lossy()),
        "the message contains the location of the data: {message}"
    );
    let shown = server.get(&format!("/clusters/{cluster}"));
    assert_eq!(shown.text("/state"), "CREATED");
    assert!(
        server.get(&format!("/clusters/{cluster}/nodes")).ok()["nodes"]
            .as_array()
            .expect("a list")
            .is_empty()
    );
    assert_eq!(column(&users(&server, &cluster).into(), "name"), ["keeper"], "the cached metadata is kept");
    let refused = server.delete(&format!("/clusters/{cluster}/sql-users/keeper"));
    assert!(refused.refused(400).contains("data is missing"), "{refused}");
    if engine == Engine::Postgres {
        server.psql(&cluster, "keeper", PASSWORD, "SELECT 1").fails("the cluster's data is missing");
        // The error is only sent after the password was verified.
        server
            .psql(&cluster, "keeper", "a wrong password", "SELECT 1")
            .fails("password authentication failed");
    }
    let other = id(&server.create_cluster("newcomer", "STANDARD"));
    server.delete(&format!("/clusters/{other}")).ok();
    server.terminate();

    fs::remove_dir_all(&folder).expect("the new folder is removed");
    fs::rename(&away, &folder).expect("moved back");
    server.start();
    match engine {
        Engine::Postgres => assert_row(&server, &cluster),
        Engine::Simulated => {
            eventually("the cluster is available again", || {
                data_missing(&server, &cluster).is_none().then_some(())
            });
            server.delete(&format!("/clusters/{cluster}/sql-users/keeper")).ok();
        }
    }
}

#[test]
fn moved_engine_folder_is_reported_on_postgres() {
    moved_engine_folder(Engine::Postgres, None);
}

#[test]
fn moved_engine_folder_is_reported_on_the_simulated_engine() {
    moved_engine_folder(Engine::Simulated, None);
}

#[test]
fn moved_engine_folder_is_reported_with_a_postgresql_store() {
    let postgres = TemporaryPostgres::start();
    moved_engine_folder(Engine::Simulated, Some(&postgres.url()));
}

#[test]
fn data_put_back_while_the_server_runs_is_served_again() {
    let mut server = launch(Engine::Postgres).boot();
    let cluster = id(&server.create_cluster("survivor", "STANDARD"));
    sql_user(&server, &cluster, "keeper");
    insert_row(&server, &cluster);
    let instance = server.instances()[0]["instance"].as_str().expect("a name").to_owned();
    let (folder, away) =
        (server.data_dir().join("engine/instances").join(instance), server.data_dir().join("away"));
    server.terminate();
    fs::rename(&folder, &away).expect("moved away");
    server.start();
    let message = when_missing(&server, &cluster);
    assert!(message.contains(&*folder.to_string_lossy()), "{message}");
    fs::rename(&away, &folder).expect("moved back");
    assert_row(&server, &cluster);
}

#[test]
fn cluster_without_data_can_be_deleted() {
    let mut server = launch(Engine::Postgres).boot();
    let cluster = id(&server.create_cluster("lost-cluster", "BASIC"));
    server.terminate();
    fs::remove_dir_all(server.data_dir().join("engine")).expect("removed");
    server.start();
    when_missing(&server, &cluster);
    server.delete(&format!("/clusters/{cluster}")).ok();
    assert!(server.get("/clusters").ok()["clusters"].as_array().expect("a list").is_empty());
}

#[test]
fn second_engine_on_a_store_names_its_owner() {
    let postgres = TemporaryPostgres::start();
    let launch = launch(Engine::Postgres).store(&postgres.url());
    let mut first = launch.clone().boot();
    let cluster = id(&first.create_cluster("owned-cluster", "STANDARD"));
    sql_user(&first, &cluster, "keeper");
    insert_row(&first, &cluster);
    let folder = first.data_dir().display().to_string();

    let mut second = launch.clone().idle();
    let said = second.try_start().expect_err("the store has an owner");
    assert!(said.contains(&folder) && said.contains("--adopt-store"), "{said}");
    first.kill();
    let said = second.try_start().expect_err("a stopped owner is still the owner");
    assert!(said.contains(&folder), "{said}");

    // A deliberate takeover: no data is recreated, and the previous owner does not serve the same store.
    let key = first.admin_key();
    second.relaunch(|launch| launch.arg("--adopt-store").env("OOTHECA_ADMIN_API_KEY", &key));
    second.start();
    second.speak(|client| client.with_key(&key));
    when_missing(&second, &cluster);
    let said = first.try_start().expect_err("it is no longer the owner");
    assert!(said.contains(&second.data_dir().display().to_string()), "{said}");

    // Taking it back from a running owner: the owner stops and reports why.
    first.relaunch(|launch| launch.arg("--adopt-store"));
    first.start();
    let status = second.wait(std::time::Duration::from_secs(30));
    assert!(!status.success());
    assert!(second.log().contains(&folder), "the error names the new owner");
    assert_row(&first, &cluster);
}

#[test]
fn two_first_starts_on_one_store_leave_one_owner() {
    let postgres = TemporaryPostgres::start();
    let launch = launch(Engine::Simulated).store(&postgres.url());
    let mut servers = [launch.clone().idle(), launch.idle()];
    let started: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let starts: Vec<_> = servers.iter_mut().map(|server| scope.spawn(|| server.try_start())).collect();
        starts.into_iter().map(|start| start.join().expect("a start")).collect()
    });
    let failed: Vec<&String> = started.iter().filter_map(|result| result.as_ref().err()).collect();
    assert_eq!(failed.len(), 1, "{started:?}");
    assert!(failed[0].contains("--adopt-store"), "{}", failed[0]);
}

/// Removes the files that SQLite keeps beside the store.
fn remove_wal(server: &Ootheca) {
    for suffix in ["wal", "shm"] {
        let _ = fs::remove_file(server.data_dir().join(format!("store.db-{suffix}")));
    }
}

fn missing_store_file(engine: Engine) {
    let mut server = launch(engine).boot();
    let cluster = id(&server.create_cluster("known-cluster", "STANDARD"));
    let key = server.admin_key();
    server.terminate();
    let (store, away) = (server.data_dir().join("store.db"), server.data_dir().join("away.db"));
    // After a clean stop, the file is complete without its WAL.
    remove_wal(&server);
    fs::copy(&store, &away).expect("copied");
    for empty in [false, true] {
        fs::remove_file(&store).expect("removed");
        if empty {
            fs::write(&store, "").expect("emptied");
        }
        let said = server.try_start().expect_err("the store is missing");
        assert!(said.contains("store.db") && said.contains("restore a copy"), "{said}");
        let output = server.run(&["admin", "new-key"]);
        assert!(!output.status.success(), "no other command creates a store");
        assert_eq!(server.admin_key(), key, "the key is not overwritten");
        fs::write(&store, "").expect("a file to remove");
    }
    fs::rename(&away, &store).expect("moved back");
    server.start();
    assert_eq!(server.when_created(&cluster)["name"], "known-cluster");
}

#[test]
fn missing_store_file_refuses_to_start_on_postgres() {
    missing_store_file(Engine::Postgres);
}

#[test]
fn missing_store_file_refuses_to_start_on_the_simulated_engine() {
    missing_store_file(Engine::Simulated);
}

fn store_file_after_a_command(engine: Engine) {
    let mut server = launch(engine).boot();
    server.terminate();
    let output = server.run(&["admin", "new-key", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let key: Value = serde_json::from_slice(&output.stdout).expect("the key as JSON");
    remove_wal(&server);
    server.start();
    server.with_key(key["secret"].as_str().expect("a secret")).get("/clusters").ok();
}

#[test]
fn store_file_is_complete_after_a_command_without_a_server_on_postgres() {
    store_file_after_a_command(Engine::Postgres);
}

#[test]
fn store_file_is_complete_after_a_command_without_a_server_on_the_simulated_engine() {
    store_file_after_a_command(Engine::Simulated);
}

#[test]
fn empty_postgresql_store_beside_data_refuses_to_start() {
    let (before, after) = (TemporaryPostgres::start(), TemporaryPostgres::start());
    let mut server = launch(Engine::Simulated).store(&before.url()).boot();
    let cluster = id(&server.create_cluster("known-cluster", "STANDARD"));
    server.terminate();
    server.relaunch(|launch| launch.without(&before.url()).without("--store").store(&after.url()));
    let said = server.try_start().expect_err("that store is empty");
    assert!(said.contains("missing or empty"), "{said}");
    server.relaunch(|launch| launch.without(&after.url()).without("--store").store(&before.url()));
    server.start();
    assert_eq!(server.when_created(&cluster)["name"], "known-cluster");
}
