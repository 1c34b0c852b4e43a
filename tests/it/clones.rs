//! Clones: new clusters that begin with data of another one, present or past.

mod expiry;
mod failures;
mod masking;
mod refusals;
mod requests;
mod rights;

use crate::{
    backups::shared::{
        HOUR, backup_at_once, boot, databases, first_backup, furnish, is_suspended, restore_into_itself, run,
        suspend, take_backup, users,
    },
    restores::{
        nothing_else_is_left,
        point_in_time::{CREATE, Moments, ROWS, first},
        restores,
    },
    support::{PASSWORD, PROGRAM, column, id, real, simulated, sql_user},
};
use ootheca_testkit::{Answer, Client, Engine, Ootheca, ServerBuilder};
use serde_json::{Value, json};

/// How long a request for a cluster waits until the cluster is created.
const CREATE_WAIT: &str = "OOTHECA_CREATE_WAIT_SECONDS";

/// A specification of a plan that differs from that of [`furnish`].
fn basic() -> Value {
    json!({ "plan": "BASIC", "serverless": { "regions": ["us-central1"] } })
}

/// Requests a cluster that begins with data of another one, with the specification of that one.
#[track_caller]
fn request_clone(client: &Client, name: &str, from: Value) -> Answer {
    client.post("/clusters", json!({ "name": name, "restore_from": from }))
}

/// Clones a cluster, and waits until the clone is CREATED. Returns its ID.
#[track_caller]
fn cloned(server: &Ootheca, name: &str, from: Value) -> String {
    let clone = id(request_clone(server, name, from).ok());
    server.when_created(&clone);
    clone
}

/// The restore that creates a clone.
#[track_caller]
fn job(server: &Ootheca, clone: &str) -> Value {
    let mut all = restores(server, clone);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

/// Checks everything that the restore of a clone shows after its success. `backup` is null for the present data.
#[track_caller]
fn succeeded(job: &Value, backup: &Value, source: &str, clone: &str) {
    let (backup_id, time) = match backup {
        Value::Null => (json!(""), &job["created_at"]),
        _ => (backup["id"].clone(), &backup["as_of_time"]),
    };
    let expected = json!({
        "id": id(job), "type": "CLUSTER", "status": "SUCCESS", "completion_percent": 1.0,
        "backup_id": backup_id, "backup_end_time": time,
        "source_cluster_name": source, "destination_cluster_name": clone,
        "created_at": job["created_at"], "completed_at": job["completed_at"],
        "crdb_job_id": job["crdb_job_id"],
    });
    assert_eq!(*job, expected);
}

/// Neither server takes backups.
fn a_clone_has_the_present_data_of_its_source(engine: Engine) {
    let server = if engine == Engine::Postgres { real() } else { simulated() };
    let source = furnish(&server, engine, "source-cluster");
    let path = format!("/clusters/{source}");
    let not_copied = json!({ "labels": { "a": "b" }, "delete_protection": "ENABLED" });
    server.patch(&path, not_copied).ok();
    let clone = cloned(&server, "some-clone", json!({ "source_cluster_id": source }));
    succeeded(&job(&server, &clone), &Value::Null, "source-cluster", "some-clone");
    let [copied, original] = [&clone, &source].map(|cluster| server.when_created(cluster));
    for member in ["plan", "cloud_provider", "cockroach_version"] {
        assert_eq!(copied[member], original[member], "{member}");
    }
    let limits = |cluster: &Value| cluster["config"]["serverless"]["usage_limits"].clone();
    assert_eq!(limits(&copied), limits(&original));
    assert_eq!(column(&copied["regions"], "name"), column(&original["regions"], "name"));
    assert_eq!((&copied["labels"], &copied["delete_protection"]), (&json!({}), &json!("DISABLED")));
    assert!(copied.get("expires_at").is_none(), "{copied:#}");

    // They are independent.
    sql_user(&server, &source, "later");
    server.delete(&format!("/clusters/{clone}/databases/app")).ok();
    assert_eq!(users(&server, &source), ["keeper", "later"]);
    assert_eq!(databases(&server, &source), ["app", "defaultdb"]);
    assert_eq!(users(&server, &clone), ["keeper"]);
    assert_eq!(databases(&server, &clone), ["defaultdb"]);
    if engine == Engine::Postgres {
        assert_eq!(run(&server, &clone, "UPDATE kept SET n = 8 RETURNING n"), "8");
        assert_eq!(run(&server, &source, "SELECT n FROM kept"), "7");
        let wrong = server.psql(&clone, "keeper", "a wrong password", "SELECT 1");
        wrong.fails("password authentication failed");
        nothing_else_is_left(&server, 2);
    }
}

#[test]
fn a_clone_has_the_present_data_of_its_source_on_the_simulated_engine() {
    a_clone_has_the_present_data_of_its_source(Engine::Simulated);
}

#[test]
fn a_clone_has_the_present_data_of_its_source_on_postgres() {
    a_clone_has_the_present_data_of_its_source(Engine::Postgres);
}

#[test]
fn a_suspended_source_stays_suspended() {
    let server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).arg("--test-clock").boot();
    let source = id(&server.create_cluster("source-cluster", "BASIC"));
    sql_user(&server, &source, "keeper");
    run(&server, &source, "CREATE TABLE kept AS SELECT 7 AS n");
    suspend(&server, &source);
    let resumed = || server.log().matches("cluster resumed").count();
    let before = resumed();
    let clone = cloned(&server, "some-clone", json!({ "source_cluster_id": source }));
    assert_eq!(run(&server, &clone, "UPDATE kept SET n = 8 RETURNING n"), "8");
    assert!(is_suspended(&server, &source) && resumed() == before);
    assert_eq!(run(&server, &source, "SELECT n FROM kept"), "7");
    nothing_else_is_left(&server, 2);
}

fn a_clone_has_the_data_of_a_backup_also_of_a_deleted_cluster(engine: Engine) {
    let server = boot(engine);
    let source = furnish(&server, engine, "source-cluster");
    let backup = take_backup(&server, &source, HOUR);
    sql_user(&server, &source, "later");
    if engine == Engine::Postgres {
        run(&server, &source, "UPDATE kept SET n = 8");
    }
    let both = json!({ "source_cluster_id": source, "backup_id": backup["id"] });
    let first = cloned(&server, "first-clone", both);
    server.delete(&format!("/clusters/{source}")).ok();
    let second = cloned(&server, "second-clone", json!({ "backup_id": backup["id"] }));
    for (clone, name) in [(&first, "first-clone"), (&second, "second-clone")] {
        succeeded(&job(&server, clone), &backup, "source-cluster", name);
        assert_eq!(users(&server, clone), ["keeper"]);
        if engine == Engine::Postgres {
            assert_eq!(run(&server, clone, "SELECT n FROM kept"), "7");
        }
    }
    let own = take_backup(&server, &second, HOUR);
    sql_user(&server, &second, "later");
    restore_into_itself(&server, &second, &own);
    assert_eq!(users(&server, &second), ["keeper"]);
    if engine == Engine::Postgres {
        nothing_else_is_left(&server, 2);
    }
}

#[test]
fn a_clone_has_the_data_of_a_backup_also_of_a_deleted_cluster_on_the_simulated_engine() {
    a_clone_has_the_data_of_a_backup_also_of_a_deleted_cluster(Engine::Simulated);
}

#[test]
fn a_clone_has_the_data_of_a_backup_also_of_a_deleted_cluster_on_postgres() {
    a_clone_has_the_data_of_a_backup_also_of_a_deleted_cluster(Engine::Postgres);
}

#[test]
fn a_clone_contains_what_was_committed_by_a_noted_moment() {
    let server = boot(Engine::Postgres);
    let source = id(&server.create_cluster("source-cluster", "STANDARD"));
    sql_user(&server, &source, "keeper");
    run(&server, &source, CREATE);
    let oldest = first_backup(&server, &source);
    let mut moments = Moments::default();
    moments.write(server.session(&source, "keeper", PASSWORD), 8);
    backup_at_once(&server, &source, 240);
    let from = json!({ "source_cluster_id": source, "point_in_time": moments.after(5) });
    let body = json!({ "name": "some-clone", "provider": "GCP", "spec": basic(), "restore_from": from });
    let clone = id(server.post("/clusters", body).ok());
    assert_eq!(server.when_created(&clone)["plan"], "BASIC");
    assert_eq!(run(&server, &clone, ROWS), first(5));
    let job = job(&server, &clone);
    assert_eq!((&job["backup_id"], &job["point_in_time"]), (&oldest["id"], &from["point_in_time"]));
    assert_eq!(run(&server, &source, ROWS), first(8));
    nothing_else_is_left(&server, 2);
}

#[test]
fn the_plan_can_differ_from_that_of_the_source() {
    let server = simulated();
    let specifications = [
        ("BASIC", basic()),
        (
            "STANDARD",
            json!({ "plan": "STANDARD", "serverless": {
                "regions": ["us-central1"], "usage_limits": { "provisioned_virtual_cpus": "2" },
            }}),
        ),
        (
            "ADVANCED",
            json!({ "plan": "ADVANCED", "dedicated": {
                "region_nodes": { "us-east1": 1 },
                "hardware": { "machine_spec": { "num_virtual_cpus": 2 }, "storage_gib": 15 },
            }}),
        ),
    ];
    for (plan, _) in &specifications {
        let source = id(&server.create_cluster(&format!("of-{}", plan.to_lowercase()), plan));
        sql_user(&server, &source, "keeper");
        let from = json!({ "source_cluster_id": source });
        let same = cloned(&server, &format!("same-{}", plan.to_lowercase()), from.clone());
        assert_eq!(server.when_created(&same)["plan"], *plan);
        for (other, spec) in &specifications {
            let name = format!("{}-to-{}", plan.to_lowercase(), other.to_lowercase());
            let body = json!({ "name": name, "provider": "GCP", "spec": spec, "restore_from": from });
            let clone = id(server.post("/clusters", body).ok());
            assert_eq!(server.when_created(&clone)["plan"], *other);
            assert_eq!(users(&server, &clone), ["keeper"], "{name}");
        }
    }
}
