//! Restores of whole clusters: what they replace, and what the destination shows meanwhile. `objects` restores databases
//! and tables, and `point_in_time` restores to moments between backups.

mod faults;
mod lists;
pub(crate) mod objects;
pub(crate) mod point_in_time;
mod refusals;
mod writer;

use crate::{
    backups::shared::{
        DAY, HOUR, backups, boot, database, databases, ended, furnish, restore, restored, run,
        swap_repository, take_backup, time, users,
    },
    support::{PASSWORD, id, sql_user},
};
use ootheca_testkit::{Answer, Engine, Ootheca, eventually};
use serde_json::{Value, json};
use std::fs;

/// All restores of a destination, newest first.
#[track_caller]
pub(crate) fn restores(server: &Ootheca, destination: &str) -> Vec<Value> {
    let answer = server.get(&format!("/clusters/{destination}/restores?pagination.sort_order=DESC"));
    answer.ok()["restores"].as_array().unwrap_or_else(|| panic!("no list: {answer}")).clone()
}

/// Checks everything that a restore shows after its success.
#[track_caller]
fn succeeded(restore: &Value, backup: &Value, source: &str, destination: &str) {
    let job: i64 = restore["crdb_job_id"].as_str().and_then(|job| job.parse().ok()).expect("a number");
    assert!(job > 0, "{restore:#}");
    assert!(time(&restore["completed_at"]) >= time(&restore["created_at"]), "{restore:#}");
    let expected = json!({
        "id": id(restore), "type": "CLUSTER", "status": "SUCCESS", "completion_percent": 1.0,
        "backup_id": backup["id"], "backup_end_time": backup["as_of_time"],
        "source_cluster_name": source, "destination_cluster_name": destination,
        "created_at": restore["created_at"], "completed_at": restore["completed_at"],
        "crdb_job_id": job.to_string(),
    });
    assert_eq!(*restore, expected);
}

/// Waits until nothing of earlier data is left on PostgreSQL.
#[track_caller]
pub(crate) fn nothing_else_is_left(server: &Ootheca, clusters: usize) {
    let count =
        |folder: &str| fs::read_dir(server.data_dir().join("engine").join(folder)).map(Iterator::count);
    eventually("each cluster has one instance", || {
        let folders = [count("instances"), count("trash")].map(Result::unwrap_or_default);
        (folders == [clusters, 0] && server.instances().len() == clusters).then_some(())
    });
}

fn a_cluster_is_restored_into_itself(engine: Engine) {
    let server = boot(engine);
    let cluster = furnish(&server, engine, "some-cluster");
    let backup = take_backup(&server, &cluster, HOUR);
    sql_user(&server, &cluster, "later");
    database(&server, &cluster, "later");
    server.delete(&format!("/clusters/{cluster}/databases/app")).ok();
    if engine == Engine::Postgres {
        run(&server, &cluster, "UPDATE kept SET n = 8");
    }
    let asked = restore(&server, &cluster, json!({ "backup_id": backup["id"] }));
    assert_eq!(asked.ok()["status"], "PENDING");
    let first = ended(&server, &cluster, &id(&asked.body));
    succeeded(&first, &backup, "some-cluster", "some-cluster");
    server.when_created(&cluster);
    assert_eq!(users(&server, &cluster), ["keeper"]);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb"]);
    if engine == Engine::Postgres {
        assert_eq!(run(&server, &cluster, "SELECT n FROM kept"), "7");
        let refused = server.psql(&cluster, "later", PASSWORD, "SELECT 1");
        refused.fails("password authentication failed");
        nothing_else_is_left(&server, 1);
    }

    // The data of the restore is backed up, and earlier backups can still be restored.
    sql_user(&server, &cluster, "second");
    let newest = take_backup(&server, &cluster, HOUR);
    for (backup, expected) in [(&backup, &["keeper"][..]), (&newest, &["keeper", "second"][..])] {
        let again = restored(&server, &cluster, json!({ "backup_id": backup["id"] }));
        succeeded(&again, backup, "some-cluster", "some-cluster");
        server.when_created(&cluster);
        assert_eq!(users(&server, &cluster), expected);
    }
    assert_eq!(restores(&server, &cluster).len(), 3);
    assert_eq!(restores(&server, &cluster)[2], first);
}

#[test]
fn a_cluster_is_restored_into_itself_on_the_simulated_engine() {
    a_cluster_is_restored_into_itself(Engine::Simulated);
}

#[test]
fn a_cluster_is_restored_into_itself_on_postgres() {
    a_cluster_is_restored_into_itself(Engine::Postgres);
}

fn another_empty_cluster_gets_the_data_and_the_users(engine: Engine) {
    let server = boot(engine);
    let source = furnish(&server, engine, "source-cluster");
    let destination = id(&server.create_cluster("destination-cluster", "STANDARD"));
    // SQL users are not data: they are replaced.
    sql_user(&server, &destination, "replaced");
    take_backup(&server, &source, HOUR);
    let newest = backups(&server, &source).pop().expect("a backup");
    let done = restored(&server, &destination, json!({ "source_cluster_id": source }));
    succeeded(&done, &newest, "source-cluster", "destination-cluster");
    server.when_created(&destination);
    for cluster in [&source, &destination] {
        assert_eq!(users(&server, cluster), ["keeper"]);
        assert_eq!(databases(&server, cluster), ["app", "defaultdb"]);
    }
    if engine == Engine::Postgres {
        server.psql(&destination, "replaced", PASSWORD, "SELECT 1").fails("password authentication failed");
        assert_eq!(run(&server, &destination, "UPDATE kept SET n = 8 RETURNING n"), "8");
        assert_eq!(run(&server, &source, "SELECT n FROM kept"), "7");
        nothing_else_is_left(&server, 2);
    }
    assert!(restores(&server, &source).is_empty(), "restores are listed under their destination");
    take_backup(&server, &destination, HOUR);
    take_backup(&server, &source, HOUR);
}

#[test]
fn another_empty_cluster_gets_the_data_and_the_users_on_the_simulated_engine() {
    another_empty_cluster_gets_the_data_and_the_users(Engine::Simulated);
}

#[test]
fn another_empty_cluster_gets_the_data_and_the_users_on_postgres() {
    another_empty_cluster_gets_the_data_and_the_users(Engine::Postgres);
}

/// Asserts that the restore of `source` fails because of what the destination contains.
#[track_caller]
fn fails_because_of(server: &Ootheca, source: &str, destination: &str, content: &str) {
    let done = restored(server, destination, json!({ "source_cluster_id": source }));
    assert_eq!((&done["status"], &done["client_error_code"]), (&json!("FAILED"), &json!(9)), "{done:#}");
    let message = done["client_error_message"].as_str().unwrap_or_default();
    assert!(message.contains(content), "{done:#}");
    assert!(done["completed_at"].is_string(), "{done:#}");
    server.when_created(destination);
}

fn data_of_another_cluster_is_not_overwritten(engine: Engine) {
    let server = boot(engine);
    let source = furnish(&server, engine, "source-cluster");
    let destination = id(&server.create_cluster("destination-cluster", "STANDARD"));
    sql_user(&server, &destination, "keeper");
    database(&server, &destination, "precious");
    take_backup(&server, &source, HOUR);
    fails_because_of(&server, &source, &destination, "precious");
    assert_eq!(databases(&server, &destination), ["defaultdb", "precious"]);
    server.delete(&format!("/clusters/{destination}/databases/precious")).ok();
    if engine == Engine::Postgres {
        run(&server, &destination, "CREATE TABLE precious AS SELECT 9 AS n");
        fails_because_of(&server, &source, &destination, "defaultdb");
        assert_eq!(run(&server, &destination, "SELECT n FROM precious"), "9");
        run(&server, &destination, "DROP TABLE precious");
        let others = [
            ("MATERIALIZED VIEW precious", "AS SELECT 9 AS n"),
            ("SCHEMA precious", ""),
            ("FUNCTION precious()", "RETURNS int LANGUAGE sql AS 'SELECT 9'"),
        ];
        for (object, definition) in others {
            run(&server, &destination, &format!("CREATE {object} {definition}"));
            fails_because_of(&server, &source, &destination, "other objects in the database defaultdb");
            // An error unless it is still there.
            run(&server, &destination, &format!("DROP {object}"));
        }
        nothing_else_is_left(&server, 2);
    }
    let done = restored(&server, &destination, json!({ "source_cluster_id": source }));
    assert_eq!(done["status"], "SUCCESS", "{done:#}");
    server.when_created(&destination);
    assert_eq!(databases(&server, &destination), ["app", "defaultdb"]);
}

#[test]
fn data_of_another_cluster_is_not_overwritten_on_the_simulated_engine() {
    data_of_another_cluster_is_not_overwritten(Engine::Simulated);
}

#[test]
fn data_of_another_cluster_is_not_overwritten_on_postgres() {
    data_of_another_cluster_is_not_overwritten(Engine::Postgres);
}

#[track_caller]
fn is_locked(answer: &Answer) {
    assert!(answer.refused(400).contains("locked"), "{answer}");
    assert_eq!(answer.body["code"], 9, "{answer}");
}

#[test]
fn a_cluster_is_locked_while_it_is_restored() {
    let server = boot(Engine::Simulated);
    let operations = [
        ("BASIC", "TENANT_RESTORE_RUNNING"),
        ("STANDARD", "TENANT_RESTORE_RUNNING"),
        ("ADVANCED", "DEDICATED_FULL_CLUSTER_RESTORE_RUNNING"),
    ];
    let clusters = operations.map(|(plan, operation)| {
        let name = format!("some-{}", plan.to_lowercase());
        (id(&server.create_cluster(&name, plan)), operation)
    });
    for (cluster, _) in &clusters {
        take_backup(&server, cluster, DAY);
    }
    swap_repository(&server);
    let running = clusters.each_ref().map(|(cluster, _)| {
        let asked = restore(&server, cluster, json!({ "source_cluster_id": cluster }));
        (cluster, id(asked.ok()))
    });
    for (cluster, operation) in &clusters {
        let at = |rest: &str| format!("/clusters/{cluster}{rest}");
        let shown = server.get(&at(""));
        let state = (&shown.ok()["state"], &shown.body["operation_status"]);
        assert_eq!(state, (&json!("LOCKED"), &json!(operation)), "{shown}");
        is_locked(&restore(&server, cluster, json!({ "source_cluster_id": cluster })));
        is_locked(&server.patch(&at(""), json!({ "labels": { "a": "b" } })));
        is_locked(&server.post(&at("/databases"), json!({ "name": "app" })));
        is_locked(&server.post(&at("/sql-users"), json!({ "name": "keeper", "password": PASSWORD })));
        let listed = restores(&server, cluster);
        assert_eq!(listed.len(), 1, "{listed:#?}");
        assert_eq!(listed[0]["status"], "PENDING");
        assert!(listed[0].get("completed_at").is_none() && listed[0].get("client_error_code").is_none());
        assert!(listed[0]["completion_percent"].as_f64().is_some_and(|part| (0.0..1.0).contains(&part)));
    }
    swap_repository(&server);
    for (cluster, restore) in running {
        assert_eq!(ended(&server, cluster, &restore)["status"], "SUCCESS");
        server.when_created(cluster);
        server.patch(&format!("/clusters/{cluster}"), json!({ "labels": { "a": "b" } })).ok();
        database(&server, cluster, "app");
    }
}

#[test]
fn sessions_end_with_a_reason_and_clients_can_connect_again() {
    let server = boot(Engine::Postgres);
    let cluster = furnish(&server, Engine::Postgres, "some-cluster");
    let backup = take_backup(&server, &cluster, HOUR);
    let mut session = server.session(&cluster, "keeper", PASSWORD);
    session.run("UPDATE kept SET n = 8").expect("updated");
    swap_repository(&server);
    let asked = restore(&server, &cluster, json!({ "backup_id": backup["id"] }));
    asked.ok();
    let said = eventually("the session ends", || session.run("SELECT 1").err());
    assert!(said.contains("restored"), "{said}");
    server.psql(&cluster, "keeper", PASSWORD, "SELECT 1").fails("restored");
    // The error is only sent after the password was verified.
    server.psql(&cluster, "keeper", "a wrong password", "SELECT 1").fails("password authentication failed");
    swap_repository(&server);
    assert_eq!(ended(&server, &cluster, &id(&asked.body))["status"], "SUCCESS");
    server.when_created(&cluster);
    assert_eq!(run(&server, &cluster, "SELECT n FROM kept"), "7");
}

fn a_deleted_cluster_is_restored_into_another_one(engine: Engine) {
    let server = boot(engine);
    let source = furnish(&server, engine, "deleted-cluster");
    let backup = take_backup(&server, &source, HOUR);
    server.delete(&format!("/clusters/{source}")).ok();
    server.get(&format!("/clusters/{source}/backups")).refused(404);
    let list = server.raw("GET", &format!("/api/ootheca/v1/backups?source_cluster_id={source}")).send();
    assert!(list.ok()["backups"].as_array().is_some_and(|listed| listed.contains(&backup)), "{list}");
    let ways = [json!({ "backup_id": backup["id"] }), json!({ "source_cluster_id": source })];
    for (number, body) in ways.into_iter().enumerate() {
        let destination = id(&server.create_cluster(&format!("destination-{number}"), "STANDARD"));
        let done = restored(&server, &destination, body);
        succeeded(&done, &backup, "deleted-cluster", &format!("destination-{number}"));
        server.when_created(&destination);
        assert_eq!(users(&server, &destination), ["keeper"]);
        if engine == Engine::Postgres {
            assert_eq!(run(&server, &destination, "SELECT n FROM kept"), "7");
        }
    }
}

#[test]
fn a_deleted_cluster_is_restored_into_another_one_on_the_simulated_engine() {
    a_deleted_cluster_is_restored_into_another_one(Engine::Simulated);
}

#[test]
fn a_deleted_cluster_is_restored_into_another_one_on_postgres() {
    a_deleted_cluster_is_restored_into_another_one(Engine::Postgres);
}

#[test]
fn a_cluster_can_be_deleted_while_it_is_restored() {
    let server = boot(Engine::Postgres);
    let cluster = furnish(&server, Engine::Postgres, "some-cluster");
    let backup = take_backup(&server, &cluster, HOUR);
    swap_repository(&server);
    let asked = restore(&server, &cluster, json!({ "backup_id": backup["id"] }));
    asked.ok();
    server.delete(&format!("/clusters/{cluster}")).ok();
    swap_repository(&server);
    let done = ended(&server, &cluster, &id(&asked.body));
    assert_eq!((&done["status"], &done["client_error_code"]), (&json!("FAILED"), &json!(10)), "{done:#}");
    nothing_else_is_left(&server, 0);
    assert_eq!(server.get(&format!("/clusters/{cluster}")).text("/state"), "DELETED");
}
