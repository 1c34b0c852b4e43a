//! Servers keep running when their engine stops, and are restarted when they crash or hang.

use crate::support::{
    Driver, Folder, LIMIT, alive, new_cluster, plan, postgres, processes_below, ready, signal, sql, until,
    user,
};
use ootheca_engine::{Engine, postgres::report};
use ootheca_model::{
    ErrorKind,
    instance::{Condition, Phase},
};
use rustix::process::Signal;
use std::{fs, path::Path};
use tokio::time::timeout;

fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

#[tokio::test(flavor = "multi_thread")]
async fn detached_server_is_adopted_with_its_sessions() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    let pid = ready(&engine, &plan).await.nodes[0].pid.unwrap();
    user(&engine, plan.cluster, "max").await;
    let session = sql(&engine, plan.cluster, "max", "defaultdb").await.unwrap();
    engine.close(true).await;
    drop(engine);
    assert!(alive(pid));
    session.simple_query("SELECT 1").await.unwrap();
    drop(session);

    let engine = postgres(&folder, 0).await;
    let observed = engine.observe(plan.cluster).await.unwrap();
    assert_eq!((observed.phase, observed.nodes[0].pid), (Phase::Ready, Some(pid)), "at once");
    // An adopted server is monitored like one that the engine started.
    kill(pid);
    until("seen", || async {
        (engine.observe(plan.cluster).await.unwrap().phase == Phase::Down).then_some(())
    })
    .await;
    let again = ready(&engine, &plan).await;
    assert_ne!(again.nodes[0].pid, Some(pid));
    engine.close(false).await;
}

/// The lock file of a server contains the time of the wall clock at its start. A time that does not fit to the
/// process is also that of a server whose process was started long before its program, on a busy machine.
#[tokio::test(flavor = "multi_thread")]
async fn server_is_adopted_after_the_clock_was_set() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    let observed = ready(&engine, &plan).await;
    let pid = observed.nodes[0].pid;
    engine.close(true).await;
    drop(engine);
    let path = Path::new(&observed.location).join("postmaster.pid");
    let lock = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = lock.lines().collect();
    let hour_ago = (lines[2].parse::<u64>().unwrap() - 3600).to_string();
    lines[2] = &hour_ago;
    fs::write(&path, lines.join("\n")).unwrap();

    assert_eq!(report(&folder.engine()).unwrap()[0].pid, pid, "reported");
    let engine = postgres(&folder, 0).await;
    assert_eq!(engine.observe(plan.cluster).await.unwrap().nodes[0].pid, pid, "adopted");
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_server_comes_back_with_its_data() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    let pid = ready(&engine, &plan).await.nodes[0].pid.unwrap();
    user(&engine, plan.cluster, "max").await;
    let session = sql(&engine, plan.cluster, "max", "defaultdb").await.unwrap();
    session.batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (42)").await.unwrap();
    let mut hints = engine.watch();
    kill(pid);
    assert_eq!(hints.recv().await.unwrap(), plan.cluster);
    let down = engine.observe(plan.cluster).await.unwrap();
    assert_eq!(down.phase, Phase::Down);
    assert!(down.retry_after.is_some());
    assert!(down.conditions.iter().any(|condition| condition.kind == "Restarting" && condition.holds));
    let again = ready(&engine, &plan).await;
    assert!(again.conditions.is_empty() && again.retry_after.is_none());
    let session = sql(&engine, plan.cluster, "max", "defaultdb").await.unwrap();
    let row = session.query_one("SELECT n FROM t", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 42);
    drop(session);
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_to_a_hung_server_fail_and_it_is_started_again() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    let pid = ready(&engine, &plan).await.nodes[0].pid.unwrap();
    let mut admin = engine.admin(plan.cluster).await.unwrap();
    admin.databases().await.unwrap();
    for pid in processes_below(&folder.engine()) {
        signal(pid, Signal::STOP);
    }
    let calls = async { tokio::join!(engine.admin(plan.cluster), admin.databases()) };
    let (opened, listed) = timeout(LIMIT, calls).await.expect("both have a time limit");
    assert_eq!(opened.err().unwrap().kind(), ErrorKind::Unavailable);
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_ne!(ready(&engine, &plan).await.nodes[0].pid, Some(pid));
    assert!(!alive(pid));

    // It can also hang alone, while its children run.
    let pid = engine.observe(plan.cluster).await.unwrap().nodes[0].pid.unwrap();
    signal(pid, Signal::STOP);
    until("reported", || async {
        let observed = engine.observe(plan.cluster).await.unwrap();
        let reported = observed.conditions.iter().any(|found| found.kind == Condition::NOT_RESPONDING);
        (reported && !observed.nodes[0].live && observed.phase == Phase::Down).then_some(())
    })
    .await;
    assert!(ready(&engine, &plan).await.conditions.is_empty());
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_crashed_unnoticed_is_started() {
    let folder = Folder::new();
    let engine = Driver::Postgres.open(&folder).await;
    let plan = plan(&*engine, new_cluster());
    let pid = ready(&*engine, &plan).await.nodes[0].pid.unwrap();
    engine.close(true).await;
    drop(engine);
    kill(pid);
    // Its lock file remains and contains the ID of an unrelated process: this one.
    let data = ootheca_engine::postgres::report(&folder.engine()).unwrap()[0].data.clone();
    let lock = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
    let stranger = lock.replacen(&pid.to_string(), &std::process::id().to_string(), 1);
    std::fs::write(data.join("postmaster.pid"), stranger).unwrap();

    let engine = Driver::Postgres.open(&folder).await;
    assert_eq!(engine.observe(plan.cluster).await.unwrap().phase, Phase::Down);
    assert_ne!(ready(&*engine, &plan).await.nodes[0].pid, Some(pid));
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_close_is_immediate() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    let pid = ready(&engine, &plan).await.nodes[0].pid.unwrap();
    tokio::join!(engine.close(false), engine.close(false));
    assert!(!alive(pid));
    assert!(ootheca_engine::postgres::report(&folder.engine()).unwrap()[0].pid.is_none());
}
