//! Clones that can't be created: nothing is left of them, and the source is unchanged.

use super::{CREATE_WAIT, cloned, job, request_clone};
use crate::{
    backups::shared::{
        HOUR, LIMIT, archive, boot, databases, ended, furnish, objects, run, swap_repository, take_backup,
        users,
    },
    restores::nothing_else_is_left,
    support::{PROGRAM, id, real, simulated},
};
use ootheca_testkit::{Client, Engine, Ootheca, ServerBuilder, eventually, eventually_within};
use serde_json::{Value, json};
use std::fs;

/// Waits until nothing of a cluster is left in the engine.
#[track_caller]
fn is_removed(server: &Ootheca, cluster: &str) {
    eventually("the engine has removed the cluster", || {
        server.instances().iter().all(|row| row["cluster"] != cluster).then_some(())
    });
}

/// Requests a clone whose creation fails, and checks what is said about it.
#[track_caller]
fn fails(server: &Ootheca, from: Value, code: i64, message: &str) {
    let clone = id(request_clone(server, "failed-clone", from).ok());
    let shown = eventually_within(LIMIT, "the creation has failed", || {
        let shown = server.get(&format!("/clusters/{clone}"));
        (shown.ok()["state"] == "CREATION_FAILED").then_some(shown.body)
    });
    let conditions = shown["ootheca"]["conditions"].as_array().expect("a list");
    let failed = conditions.iter().find(|condition| condition["kind"] == "CreationFailed");
    let failed = failed.unwrap_or_else(|| panic!("no condition: {shown:#}"));
    let job = job(server, &clone);
    assert_eq!((&job["status"], &job["client_error_code"]), (&json!("FAILED"), &json!(code)), "{job:#}");
    assert!(job["completed_at"].is_string(), "{job:#}");
    for said in [&failed["message"], &job["client_error_message"]] {
        let said = said.as_str().unwrap_or_default();
        assert!(said.contains(message), "{said:?} contains {message:?}");
    }
    is_removed(server, &clone);
    let listed = server.get("/clusters");
    let mut listed = listed.ok()["clusters"].as_array().expect("a list").iter();
    assert!(listed.all(|cluster| id(cluster) != clone), "it is not active");
}

/// The name of a clone that failed is free.
#[track_caller]
fn succeeds(server: &Ootheca, from: Value) {
    let clone = cloned(server, "failed-clone", from);
    assert_eq!(users(server, &clone), ["keeper"]);
    assert_eq!(databases(server, &clone), ["app", "defaultdb"]);
}

#[test]
fn masking_that_fails_fails_the_creation_on_postgres() {
    let server = real();
    let source = furnish(&server, Engine::Postgres, "source-cluster");
    let from = |masking: Value| {
        let mut from = masking;
        from["source_cluster_id"] = source.as_str().into();
        from
    };
    let cases = [
        (
            json!({ "masking_sql": "CREATE TABLE mask (); SELECT 1 / 0" }),
            "masking_sql: division by zero (SQLSTATE 22012)",
        ),
        (
            json!({ "masking_sql": "SELECT 1", "masking_database": "nowhere" }),
            "masking_database: the data contains no database nowhere",
        ),
    ];
    for (masking, message) in cases {
        fails(&server, from(masking), 9, message);
        nothing_else_is_left(&server, 1);
    }
    assert_eq!(run(&server, &source, "SELECT n FROM kept"), "7");
    succeeds(&server, from(json!({})));
}

#[test]
fn the_simulated_engine_runs_no_masking() {
    let server = simulated();
    let source = furnish(&server, Engine::Simulated, "source-cluster");
    let from = json!({ "source_cluster_id": source, "masking_sql": "SELECT 1" });
    fails(&server, from, 12, "this engine runs no SQL servers");
    succeeds(&server, json!({ "source_cluster_id": source }));
}

fn a_damaged_backup_fails_the_creation(engine: Engine) {
    let server = boot(engine);
    let source = furnish(&server, engine, "source-cluster");
    let backup = take_backup(&server, &source, HOUR);
    let name = objects(&server, &source).into_iter().find(|name| name.contains("/base/"));
    let path = archive(&server, &source).join(name.expect("a base"));
    let intact = fs::read(&path).expect("an object");
    let mut content = intact.clone();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&path, content).expect("written");
    let from = json!({ "backup_id": backup["id"] });
    fails(&server, from.clone(), 13, "damaged");
    if engine == Engine::Postgres {
        nothing_else_is_left(&server, 1);
    }
    fs::write(&path, intact).expect("written");
    succeeds(&server, from);
}

#[test]
fn a_damaged_backup_fails_the_creation_on_the_simulated_engine() {
    a_damaged_backup_fails_the_creation(Engine::Simulated);
}

#[test]
fn a_damaged_backup_fails_the_creation_on_postgres() {
    a_damaged_backup_fails_the_creation(Engine::Postgres);
}

/// Asserts that a request is refused because of the state of a cluster.
#[track_caller]
fn not_possible(client: &Client, source: &str, text: &str) {
    let answer = request_clone(client, "other-clone", json!({ "source_cluster_id": source }));
    assert!(answer.refused(400).contains(text), "{answer}");
    assert_eq!(answer.body["code"], 9, "{answer}");
}

fn a_clone_can_be_deleted_while_it_is_created(engine: Engine) {
    let server = ServerBuilder::new(PROGRAM).engine(engine).backups().env(CREATE_WAIT, "0").boot();
    let source = furnish(&server, engine, "source-cluster");
    let backup = take_backup(&server, &source, HOUR);
    swap_repository(&server);
    let asked = request_clone(&server, "some-clone", json!({ "backup_id": backup["id"] }));
    assert_eq!(asked.ok()["state"], "CREATING");
    let clone = id(&asked.body);
    let running = job(&server, &clone);
    assert_eq!(running["status"], "PENDING");
    assert!(running["completion_percent"].as_f64().is_some_and(|part| (0.0..1.0).contains(&part)));
    not_possible(&server, &clone, "is still being created");
    server.delete(&format!("/clusters/{clone}")).ok();
    swap_repository(&server);
    let done = ended(&server, &clone, &id(&running));
    assert_eq!((&done["status"], &done["client_error_code"]), (&json!("FAILED"), &json!(10)), "{done:#}");
    is_removed(&server, &clone);
    assert_eq!(server.get(&format!("/clusters/{clone}")).text("/state"), "DELETED");
    assert_eq!(users(&server, &source), ["keeper"]);
    if engine == Engine::Postgres {
        nothing_else_is_left(&server, 1);
    }
}

#[test]
fn a_clone_can_be_deleted_while_it_is_created_on_the_simulated_engine() {
    a_clone_can_be_deleted_while_it_is_created(Engine::Simulated);
}

#[test]
fn a_clone_can_be_deleted_while_it_is_created_on_postgres() {
    a_clone_can_be_deleted_while_it_is_created(Engine::Postgres);
}

#[test]
fn the_present_data_of_a_source_that_is_restored_or_deleted_cannot_be_cloned() {
    let server = boot(Engine::Simulated);
    let source = furnish(&server, Engine::Simulated, "source-cluster");
    let backup = take_backup(&server, &source, HOUR);
    swap_repository(&server);
    let body = json!({ "type": "CLUSTER", "backup_id": backup["id"] });
    let restore = id(server.post(&format!("/clusters/{source}/restores"), body).ok());
    not_possible(&server, &source, "locked");
    swap_repository(&server);
    assert_eq!(ended(&server, &source, &restore)["status"], "SUCCESS");
    server.when_created(&source);
    server.delete(&format!("/clusters/{source}")).ok();
    not_possible(&server, &source, "deleted");
}
