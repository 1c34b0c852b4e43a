//! Servers whose power is off.

use crate::support::{
    Folder, alive, new_cluster, plan, postgres, processes_below, ready, signal, sql, suspended, until, user,
};
use ootheca_engine::{Engine, postgres::PostgresEngine, postgres::report};
use ootheca_model::instance::{InstancePlan, Phase, Power};
use rustix::process::Signal;
use std::fs;

fn off(plan: &InstancePlan) -> InstancePlan {
    InstancePlan { power: Power::Off, ..plan.clone() }
}

async fn pid(engine: &PostgresEngine, plan: &InstancePlan) -> u32 {
    ready(engine, plan).await.nodes[0].pid.unwrap()
}

/// The log of the only instance's servers.
fn log(folder: &Folder) -> String {
    let data = report(&folder.engine()).unwrap().remove(0).data;
    fs::read_to_string(data.with_file_name("log")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_instance_has_no_processes_and_keeps_its_data() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    let first = pid(&engine, &plan).await;
    user(&engine, plan.cluster, "max").await;
    let session = sql(&engine, plan.cluster, "max", "defaultdb").await.unwrap();
    session.batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (42)").await.unwrap();

    suspended(&engine, &off(&plan)).await;
    assert!(processes_below(&folder.engine()).is_empty());
    assert!(session.simple_query("SELECT 1").await.is_err(), "its sessions end");
    let instance = report(&folder.engine()).unwrap().remove(0);
    assert!(instance.pid.is_none() && !instance.data.join("postmaster.pid").exists());
    for mount in ["cpu", "cpuacct", "cpu,cpuacct", "memory", "pids", ""] {
        let group = format!("/sys/fs/cgroup/{mount}/ootheca/{}", instance.instance);
        assert!(!fs::exists(&group).unwrap(), "{group}");
    }
    assert!(engine.endpoint(plan.cluster).await.is_err());

    assert_ne!(pid(&engine, &plan).await, first);
    assert!(!log(&folder).contains("not properly shut down"), "it ended with a checkpoint");
    let session = sql(&engine, plan.cluster, "max", "defaultdb").await.unwrap();
    assert_eq!(session.query_one("SELECT n FROM t", &[]).await.unwrap().get::<_, i32>(0), 42);
    drop(session);
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adopted_server_is_stopped_if_its_power_is_off() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    let pid = pid(&engine, &plan).await;
    engine.close(true).await;
    drop(engine);
    // The state after a crash between recording the plan and stopping the server.
    let path = report(&folder.engine()).unwrap()[0].data.with_file_name("plan.json");
    fs::write(&path, serde_json::to_vec(&off(&plan)).unwrap()).unwrap();
    assert!(alive(pid));

    let engine = postgres(&folder, 0).await;
    until("suspended unasked", || async {
        (engine.observe(plan.cluster).await.unwrap().phase == Phase::Suspended).then_some(())
    })
    .await;
    assert!(!alive(pid));
    ready(&engine, &plan).await;
    assert!(!log(&folder).contains("not properly shut down"));
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orphaned_processes_end_before_a_suspension_completes() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    let pid = pid(&engine, &plan).await;
    engine.close(true).await;
    drop(engine);
    // One of its processes cannot notice that the postmaster has exited.
    let instance = report(&folder.engine()).unwrap().remove(0);
    let orphan = processes_below(&instance.data).into_iter().find(|other| *other != pid).unwrap();
    signal(orphan, Signal::STOP);
    signal(pid, Signal::KILL);
    until("the postmaster is dead", || async { (!alive(pid)).then_some(()) }).await;

    let engine = postgres(&folder, 0).await;
    assert_ne!(engine.observe(plan.cluster).await.unwrap().phase, Phase::Suspended);
    let observed = suspended(&engine, &off(&plan)).await;
    assert!(observed.nodes.is_empty() && !alive(orphan));
    assert!(processes_below(&folder.engine()).is_empty());
    ready(&engine, &plan).await;
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_while_power_is_off_is_not_a_crash() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    let first = pid(&engine, &plan).await;
    signal(first, Signal::STOP);
    engine.ensure(&off(&plan)).await.unwrap();
    assert_eq!(engine.observe(plan.cluster).await.unwrap().phase, Phase::Down, "not yet");
    signal(first, Signal::KILL);
    let observed = suspended(&engine, &off(&plan)).await;
    assert!(observed.conditions.is_empty() && observed.retry_after.is_none());
    let data = report(&folder.engine()).unwrap().remove(0).data;
    assert!(!data.join("postmaster.pid").exists(), "nothing is left to be looked for at the start");
    let again = ready(&engine, &plan).await;
    assert!(again.conditions.is_empty());
    // A crash while the power is on is counted, even if the server was suspended before.
    signal(again.nodes[0].pid.unwrap(), Signal::KILL);
    until("down, and to be tried again", || async {
        let observed = engine.observe(plan.cluster).await.unwrap();
        (observed.phase == Phase::Down && observed.retry_after.is_some()).then_some(())
    })
    .await;
    // The power can also be switched off before the server is back.
    suspended(&engine, &off(&plan)).await;
    assert!(processes_below(&folder.engine()).is_empty());
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn power_is_switched_on_while_the_server_stops() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    let first = pid(&engine, &plan).await;
    signal(first, Signal::STOP);
    engine.ensure(&off(&plan)).await.unwrap();
    let observed = engine.ensure(&plan).await.unwrap();
    assert_eq!(observed.phase, Phase::Starting);
    signal(first, Signal::CONT);
    until("running again, unasked", || async {
        let observed = engine.observe(plan.cluster).await.unwrap();
        (observed.phase == Phase::Ready && observed.nodes[0].pid != Some(first)).then_some(())
    })
    .await;
    // The engine can shut down while a server is stopping.
    engine.ensure(&off(&plan)).await.unwrap();
    engine.close(false).await;
    assert!(processes_below(&folder.engine()).is_empty());
    drop(engine);
    let engine = postgres(&folder, 0).await;
    suspended(&engine, &off(&plan)).await;
    engine.close(true).await;
}
