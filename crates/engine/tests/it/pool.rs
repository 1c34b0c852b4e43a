//! Spares, and what a crash leaves behind.

use crate::support::{Folder, alive, gone, new_cluster, plan, postgres, ready, signal, until};
use ootheca_engine::{
    Engine, InstanceReport,
    postgres::{PostgresEngine, report},
};
use ootheca_model::instance::Phase;
use rustix::process::Signal;
use std::fs;

/// Waits until `count` spares can be claimed, which is later than their files indicate.
async fn spares(engine: &PostgresEngine, count: usize) -> Vec<InstanceReport> {
    until("spares", || async {
        let reports = engine.report().await.unwrap();
        let ready = engine.spares();
        let waits = |r: &InstanceReport| r.pid.is_some_and(|pid| ready.contains(&pid));
        let spares: Vec<_> = reports.into_iter().filter(|r| r.cluster.is_none() && waits(r)).collect();
        (spares.len() == count).then_some(spares)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn spare_is_claimed_and_replaced() {
    let folder = Folder::new();
    let engine = postgres(&folder, 1).await;
    let spare = spares(&engine, 1).await.remove(0);
    assert!(engine.list().await.unwrap().is_empty(), "a spare is no cluster");
    let plan = plan(&engine, new_cluster());
    let observed = engine.create(&plan).await.unwrap();
    assert_eq!((observed.phase, observed.nodes[0].pid), (Phase::Ready, spare.pid), "at once");
    let next = spares(&engine, 1).await.remove(0);
    assert_ne!(next.instance, spare.instance);

    // A dead spare is not assigned.
    let dead = next.pid.unwrap();
    signal(dead, Signal::KILL);
    let noticed = || !alive(dead) && !engine.spares().contains(&dead);
    until("the spare is dead", || async { noticed().then_some(()) }).await;
    let other = crate::support::plan(&engine, new_cluster());
    assert_ne!(ready(&engine, &other).await.nodes[0].pid, next.pid);
    gone(&engine, other.cluster).await;
    until("dead spare gone", || async { (!next.data.exists()).then_some(()) }).await;
    let kept = spares(&engine, 1).await.remove(0);
    engine.close(false).await;
    drop(engine);

    // Spares are complete instances, so the next start uses them again.
    let engine = postgres(&folder, 1).await;
    assert_eq!(spares(&engine, 1).await[0].instance, kept.instance);
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_instances_are_removed() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    ready(&engine, &plan).await;
    engine.close(true).await;
    drop(engine);
    // The state after a crash: a copy without its marker, a claim that was not recorded, and a trash that is
    // not empty.
    let instances = folder.engine().join("instances");
    let claimed = report(&folder.engine()).unwrap().remove(0);
    fs::remove_file(claimed.data.with_file_name("cluster")).unwrap();
    fs::create_dir_all(instances.join("half/data/base")).unwrap();
    fs::create_dir_all(folder.engine().join("trash/old/data")).unwrap();

    let engine = postgres(&folder, 0).await;
    assert!(engine.list().await.unwrap().is_empty());
    gone(&engine, plan.cluster).await;
    assert_eq!(fs::read_dir(&instances).unwrap().count(), 0);
    assert_eq!(fs::read_dir(folder.engine().join("trash")).unwrap().count(), 0);
    assert!(crate::support::processes_below(&folder.engine()).is_empty());
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_during_creation() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    assert_eq!(engine.create(&plan).await.unwrap().phase, Phase::Starting);
    assert_eq!(engine.list().await.unwrap(), [plan.cluster]);
    gone(&engine, plan.cluster).await;
    assert!(engine.list().await.unwrap().is_empty() && engine.report().await.unwrap().is_empty());
    // The engine can also shut down during the creation.
    engine.create(&plan).await.unwrap();
    engine.close(false).await;
}
