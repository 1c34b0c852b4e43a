//! Clusters are real processes that keep running when the control plane stops.

use crate::support::{PASSWORD, PROGRAM, id, real, sql_user};
use ootheca_testkit::{Engine, Ootheca, ServerBuilder, eventually, processes};
use serde_json::json;
use std::fs;

const CREATE: &str = "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)";
const READ: &str = "SELECT n FROM kept";

/// A cluster with a user and a row in a table.
fn furnish(server: &Ootheca) -> String {
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    sql_user(server, &cluster, "keeper");
    server.psql(&cluster, "keeper", PASSWORD, CREATE).ok();
    cluster
}

#[track_caller]
fn still_there(server: &Ootheca, cluster: &str) {
    server.when_created(cluster);
    assert_eq!(server.psql(cluster, "keeper", PASSWORD, READ).ok(), "7");
}

#[test]
fn detached_servers_are_adopted_by_the_next_start() {
    let mut server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).arg("--detach").boot();
    let cluster = furnish(&server);
    let pid = server.postmaster(&cluster);
    server.terminate();
    assert!(processes::alive(pid), "the process continues");
    server.start();
    still_there(&server, &cluster);
    assert_eq!(server.postmaster(&cluster), pid, "adopted, not started again");
    server.relaunch(|launch| launch.without("--detach"));
    server.restart();
    still_there(&server, &cluster);
    server.terminate();
    assert!(!processes::alive(pid));
    let left = processes::within(&server.data_dir());
    assert!(left.is_empty(), "SIGTERM ends everything: {left:?}");
    server.start();
    still_there(&server, &cluster);
}

#[test]
fn servers_survive_a_killed_control_plane() {
    let mut server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).pool(1).boot();
    let cluster = furnish(&server);
    let pid = server.postmaster(&cluster);
    for _ in 0..2 {
        server.kill();
        assert!(processes::alive(pid), "the server survives the control plane");
        server.start();
        still_there(&server, &cluster);
        assert_eq!(server.postmaster(&cluster), pid, "adopted");
    }
    server.kill();
    processes::kill(pid);
    eventually("the process has ended", || (!processes::alive(pid)).then_some(()));
    server.start();
    still_there(&server, &cluster);
    assert_ne!(server.postmaster(&cluster), pid, "a server that has ended is started again");
}

#[test]
fn sessions_end_with_a_killed_gateway() {
    let mut server = real();
    let cluster = furnish(&server);
    let instances = server.data_dir().join("engine/instances");
    let sleeping = || {
        let mut running = processes::within(&instances).into_iter();
        running.any(|process| process.command.contains(": keeper ") && process.command.contains("SELECT"))
    };
    let mut session = server.session(&cluster, "keeper", PASSWORD);
    session.send("SELECT pg_sleep(300)");
    eventually("the statement runs", || sleeping().then_some(()));
    server.kill();
    eventually("its process ends", || (!sleeping()).then_some(()));
    server.start();
    still_there(&server, &cluster);
}

#[test]
fn a_crashed_server_restarts() {
    let server = real();
    let cluster = furnish(&server);
    let pid = server.postmaster(&cluster);
    processes::kill(pid);
    let nodes = format!("/clusters/{cluster}/nodes");
    eventually("another process answers", || {
        let new =
            server.instances().iter().find(|row| row["cluster"] == cluster.as_str())?["pid"].as_u64()?;
        let live = server.get(&nodes).ok()["nodes"][0]["status"] == "LIVE";
        (new != u64::from(pid) && live).then_some(())
    });
    still_there(&server, &cluster);
}

#[test]
fn server_processes_are_confined() {
    let server = real();
    let cluster = furnish(&server);
    let pid = server.postmaster(&cluster);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let uids = status.lines().find(|line| line.starts_with("Uid:")).expect("its user");
    assert!(!uids.split_whitespace().skip(1).any(|uid| uid == "0"), "never root: {uids}");
    assert_eq!(server.psql(&cluster, "keeper", PASSWORD, "SHOW listen_addresses").ok(), "");
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        assert_eq!(
            server.psql(&cluster, "keeper", PASSWORD, &format!("SHOW {setting}")).ok(),
            "on",
            "{setting}"
        );
    }
    let rows = server.instances();
    let row = rows.iter().find(|row| row["cluster"] == cluster.as_str()).expect("a row");
    let engine = row["engine"].as_str().expect("an engine");
    assert!(engine.starts_with("PostgreSQL 1") && engine.contains('.'), "{engine}");
    assert_eq!(
        server.get(&format!("/clusters/{cluster}")).text("/ootheca/engine"),
        engine,
        "nothing is hidden"
    );
    let table = String::from_utf8_lossy(&server.run(&["debug"]).stdout).into_owned();
    assert!(
        table.contains(engine) && table.contains(&cluster) && table.contains(&pid.to_string()),
        "{table}"
    );
}

#[test]
fn deleting_a_cluster_leaves_nothing() {
    let server = real();
    let cluster = furnish(&server);
    let pid = server.postmaster(&cluster);
    server.delete(&format!("/clusters/{cluster}")).ok();
    eventually("nothing of the cluster is left", || {
        let folders = fs::read_dir(server.data_dir().join("engine/instances")).expect("a folder").count();
        (!processes::alive(pid) && folders == 0 && server.instances().is_empty()).then_some(())
    });
    assert_eq!(server.get(&format!("/clusters/{cluster}")).text("/state"), "DELETED");
}

#[test]
fn spares_are_claimed_and_replaced() {
    let server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).pool(1).boot();
    let spare = |server: &Ootheca| {
        eventually("spare instance ready", || {
            let rows = server.instances();
            let row = rows.iter().find(|row| row["cluster"].is_null() && row["pid"].is_u64())?;
            let name = row["instance"].as_str()?.to_owned();
            let waits = |line: &str| line.contains("spare instance ready") && line.contains(&name);
            server.log().lines().any(waits).then_some(name)
        })
    };
    let first = spare(&server);
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    let rows = server.instances();
    let claimed = rows.iter().find(|row| row["instance"] == first.as_str()).expect("the instance exists");
    assert_eq!(claimed["cluster"], cluster.as_str(), "the spare became the cluster");
    assert_ne!(spare(&server), first, "another spare is ready");
}

#[test]
fn vcpus_of_a_standard_cluster_bound_its_processor_time() {
    let server = real();
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    let path = format!("/clusters/{cluster}");
    let pid = server.postmaster(&cluster);
    let condition = || {
        let answer = server.get(&path);
        let conditions = answer.ok()["ootheca"]["conditions"].as_array().expect("conditions").clone();
        conditions
            .into_iter()
            .find(|one| one["kind"] == "CpuLimited")
            .expect("a warning if CPU limits are not available")
    };
    let bounded = condition()["holds"] == true;
    for cpus in [3, 2] {
        let limits =
            json!({ "serverless": { "usage_limits": { "provisioned_virtual_cpus": cpus.to_string() } } });
        server.patch(&path, limits).ok();
        server.when_created(&cluster);
        if bounded {
            assert_eq!(processes::cpu_limit(pid), Some(cpus * 1000));
        } else {
            assert_eq!(processes::cpu_limit(pid), None);
            assert!(server.log().contains("CPU"), "logged at the start");
        }
    }
    assert_eq!(server.postmaster(&cluster), pid, "changed live");
    println!("engine: CPU is {}", if bounded { "bounded here" } else { "not bounded here" });
}
