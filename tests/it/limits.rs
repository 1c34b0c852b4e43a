//! Limits: the usage that clusters show, and how often the vCPUs can be lowered. The test controls the clock.

use crate::support::{PASSWORD, PROGRAM, advance, id, simulated, sql_user};
use ootheca_model::meter::MIB;
use ootheca_testkit::{Answer, Engine, Ootheca, ServerBuilder, eventually};
use serde_json::{Value, json};
use std::fs::{self, File};

fn with_test_clock() -> Ootheca {
    ServerBuilder::new(PROGRAM).arg("--test-clock").boot()
}

fn limit_cpus(server: &Ootheca, cluster: &str, cpus: i64) -> Answer {
    let limits = json!({ "provisioned_virtual_cpus": cpus.to_string() });
    let body = json!({ "serverless": { "usage_limits": limits } });
    server.patch(&format!("/clusters/{cluster}"), body)
}

#[test]
fn an_unused_cluster_has_no_usage() {
    let server = with_test_clock();
    let spec = json!({ "plan": "BASIC", "serverless": {
        "regions": ["us-central1"],
        "usage_limits": { "request_unit_limit": "1000", "storage_mib_limit": "100" },
    }});
    let made = server.post("/clusters", json!({ "name": "some-cluster", "provider": "GCP", "spec": spec }));
    let cluster = server.when_created(&id(made.ok()));
    let said = &cluster["ootheca"];
    assert_eq!(said["limit_status"], "OPEN");
    assert_eq!(said["suspended"], false);
    let usage = &said["usage"];
    assert_eq!(usage["request_unit_limit_percent"], "0");
    assert_eq!(usage["storage_mib_limit_percent"], "0");
    assert_eq!(usage["connections"], 0);
    let parts = usage["request_units"].as_object().expect("components");
    assert_eq!(parts.len(), 9, "a total and eight components");
    assert!(parts.values().all(|part| part.as_f64() == Some(0.0)), "{usage}");
    let list = server.get("/clusters");
    assert_eq!(list.ok()["clusters"][0]["ootheca"], *said, "lists show the same");
}

#[test]
fn absent_limits_have_no_percentage() {
    let server = simulated();
    for plan in ["BASIC", "STANDARD", "ADVANCED"] {
        let cluster = server.create_cluster(&format!("{}-cluster", plan.to_lowercase()), plan);
        let usage = &cluster["ootheca"]["usage"];
        assert_eq!(usage["request_unit_limit_percent"], Value::Null, "{plan}");
        assert_eq!(usage["storage_mib_limit_percent"], Value::Null, "{plan}");
        assert_eq!(cluster["ootheca"]["limit_status"], "OPEN", "{plan}");
    }
}

#[test]
fn usage_is_counted_per_month_of_the_clock() {
    let server = with_test_clock();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    let month = || server.get(&format!("/clusters/{cluster}")).text("/ootheca/usage/month");
    let now = advance(&server, 0);
    assert_eq!(month(), now[..7]);
    let later = advance(&server, 31 * 24 * 3600);
    assert_eq!(month(), later[..7]);
    assert_ne!(now[..7], later[..7]);
}

#[test]
fn vcpus_can_be_lowered_three_times_in_seven_days() {
    let server = with_test_clock();
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    for cpus in [64, 32, 16, 32, 8] {
        limit_cpus(&server, &cluster, cpus).ok();
    }
    let answer = limit_cpus(&server, &cluster, 4);
    let message = answer.refused(400);
    assert!(message.contains("3 times in 7 days; the next decrease is possible at "), "{message}");
    limit_cpus(&server, &cluster, 200).ok();
    advance(&server, 7 * 24 * 3600 - 60);
    limit_cpus(&server, &cluster, 4).refused(400);
    advance(&server, 60);
    limit_cpus(&server, &cluster, 4).ok();
}

#[test]
fn a_cluster_with_too_many_roles_can_only_drop_some() {
    let server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).pool(0).boot();
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    sql_user(&server, &cluster, "keeper");
    let psql = |sql: &str| server.psql(&cluster, "keeper", PASSWORD, sql);
    let condition = || {
        let shown = server.get(&format!("/clusters/{cluster}"));
        let conditions = shown.ok()["ootheca"]["conditions"].as_array().expect("conditions").clone();
        conditions.iter().any(|condition| condition["kind"] == "RoleLimitExceeded")
    };
    let create = "BEGIN FOR n IN 1..10000 LOOP EXECUTE format('CREATE ROLE r%s', n); END LOOP; END";
    psql(&format!("DO $$ {create} $$")).ok();
    let user = json!({ "name": "another", "password": PASSWORD });
    let answer = server.post(&format!("/clusters/{cluster}/sql-users"), user.clone());
    let message = answer.refused(400);
    assert!(message.contains("SQL user another") && message.contains("the maximum is 10000"), "{message}");

    eventually("the cluster has the condition", || condition().then_some(()));
    psql("CREATE ROLE more").fails("the maximum is 10000");
    let roles: Vec<String> = (1..=100).map(|n| format!("r{n}")).collect();
    psql(&format!("DROP ROLE {}", roles.join(", "))).ok();
    eventually("the condition is gone", || (!condition()).then_some(()));
    psql("CREATE ROLE more").ok();
    server.post(&format!("/clusters/{cluster}/sql-users"), user).ok();
}

#[test]
fn waiting_wal_and_large_temporary_files_count_as_storage() {
    let builder = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).arg("--test-clock");
    let server = builder.env("OOTHECA_METERING__TICK_SECONDS", "3600").boot();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    sql_user(&server, &cluster, "keeper");
    let limits = json!({ "serverless": { "usage_limits": { "storage_mib_limit": "100" } } });
    server.patch(&format!("/clusters/{cluster}"), limits).ok();
    let rows = server.instances();
    let row = rows.iter().find(|row| row["cluster"] == cluster.as_str()).expect("an instance");
    let instance = server.data_dir().join("engine/instances").join(row["instance"].as_str().expect("an ID"));
    let becomes = |status: &str| {
        eventually(status, || {
            // Only clusters that are in use are measured.
            server.psql(&cluster, "keeper", PASSWORD, "SELECT 1");
            advance(&server, 0);
            let shown = server.get(&format!("/clusters/{cluster}"));
            (shown.text("/ootheca/limit_status") == status).then_some(())
        });
    };
    for (folder, free) in [("wal", 64 * MIB), ("data/base/pgsql_tmp", 1024 * MIB)] {
        let folder = instance.join(folder);
        fs::create_dir_all(&folder).expect("a directory");
        // Sparse, so the test needs no space.
        let file = File::create(folder.join("large")).expect("a file");
        file.set_len(free + 150 * MIB).expect("a large file");
        becomes("STORAGE_LIMIT_EXCEEDED");
        file.set_len(free).expect("a smaller file");
        becomes("OPEN");
    }
}
