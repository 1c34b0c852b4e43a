//! Each instance has its own user if there is a range of user IDs.

use crate::{
    archive::Archive,
    support::{
        Folder, gone, new_cluster, plan, postgres, processes_below, ready, ready_again, settings, sql, until,
        user,
    },
};
use ootheca_engine::{
    Engine, InstanceReport,
    postgres::{PostgresEngine, Settings, report},
};
use ootheca_model::{
    ClusterId,
    instance::{InstancePlan, NodePlan, Power},
    node::NodeId,
};
use std::{fs, os::unix::fs::MetadataExt, path::Path};

const FIRST: u32 = 1_900_000_000;
const LAST: u32 = 1_900_000_009;

fn with_range(folder: &Folder, pool_size: usize) -> Settings {
    Settings { uid_range: format!("{FIRST}-{LAST}"), ..settings(folder, pool_size) }
}

/// Opens an engine with a range. Without the rights for it, checks the error and returns `None`.
async fn open(folder: &Folder, pool_size: usize) -> Option<PostgresEngine> {
    open_with(with_range(folder, pool_size)).await
}

async fn open_with(settings: Settings) -> Option<PostgresEngine> {
    let engine = match PostgresEngine::new(settings) {
        Ok(engine) => engine,
        Err(error) => {
            let message = error.message();
            assert!(message.contains("engine.uid_range: "), "{message}");
            assert!(message.contains("root") || message.contains("container"), "{message}");
            eprintln!("skipped: {message}");
            return None;
        }
    };
    engine.open().await.unwrap();
    Some(engine)
}

fn uid(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().uid()
}

fn of(folder: &Folder, cluster: Option<ClusterId>) -> InstanceReport {
    let reports = report(&folder.engine()).unwrap();
    reports.into_iter().find(|report| report.cluster == cluster).unwrap()
}

/// Checks that the server of an instance and its files have one user, and returns it.
fn user_of(folder: &Folder, instance: &InstanceReport) -> u32 {
    let owner = uid(&instance.data);
    let processes = processes_below(&instance.data);
    assert!(processes.len() > 3);
    for pid in processes {
        // A running server occasionally ends one of its processes.
        let Ok(process) = fs::metadata(format!("/proc/{pid}")) else { continue };
        assert_eq!(process.uid(), owner, "{pid}");
    }
    let sockets = folder.engine().join("run").join(&instance.instance);
    for path in [&instance.data, &sockets] {
        assert_eq!((uid(path), fs::metadata(path).unwrap().mode() & 0o777), (owner, 0o700), "{path:?}");
    }
    for name in ["PG_VERSION", "base/1/PG_VERSION", "ootheca-privileges", "postmaster.pid"] {
        assert_eq!(uid(&instance.data.join(name)), owner, "{name}");
    }
    owner
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_instances_share_a_user() {
    let folder = Folder::new();
    let Some(engine) = open(&folder, 1).await else { return };
    let spare = until("a spare", || async { (!engine.spares().is_empty()).then_some(()) });
    spare.await;
    let plans = [(); 2].map(|()| plan(&engine, new_cluster()));
    for plan in &plans {
        ready(&engine, plan).await;
    }
    until("another spare", || async { (!engine.spares().is_empty()).then_some(()) }).await;
    let users = || -> Vec<u32> {
        let clusters = plans.iter().map(|plan| Some(plan.cluster)).chain([None]);
        let mut users: Vec<u32> = clusters.map(|cluster| user_of(&folder, &of(&folder, cluster))).collect();
        users.sort_unstable();
        users.dedup();
        users
    };
    let before = users();
    assert_eq!(before.len(), 3, "{before:?}");
    assert!(before.iter().all(|user| (FIRST..=LAST).contains(user)), "{before:?}");
    assert!(!before.contains(&uid(&folder.engine().join("templates"))));

    // A restart keeps them.
    engine.close(false).await;
    drop(engine);
    let engine = open(&folder, 1).await.unwrap();
    for plan in &plans {
        ready(&engine, plan).await;
    }
    until("the spare", || async { (!engine.spares().is_empty()).then_some(()) }).await;
    assert_eq!(users(), before);

    // An ID is used again once its instance is gone.
    let removed = user_of(&folder, &of(&folder, Some(plans[0].cluster)));
    gone(&engine, plans[0].cluster).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let plan = plan(&engine, new_cluster());
        ready(&engine, &plan).await;
        seen.push(user_of(&folder, &of(&folder, Some(plan.cluster))));
        until("a spare", || async { (!engine.spares().is_empty()).then_some(()) }).await;
    }
    seen.push(user_of(&folder, &of(&folder, None)));
    assert!(seen.contains(&removed), "{seen:?} has {removed}");
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_gets_its_new_owner_at_the_next_start() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    let pid = ready(&engine, &plan).await.nodes[0].pid;
    user(&engine, plan.cluster, "max").await;
    let max = sql(&engine, plan.cluster, "max", "defaultdb").await.unwrap();
    max.batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (42)").await.unwrap();
    drop(max);
    let shared = user_of(&folder, &of(&folder, Some(plan.cluster)));
    engine.close(true).await;
    drop(engine);

    let Some(engine) = open(&folder, 0).await else {
        postgres(&folder, 0).await.close(false).await;
        return;
    };
    assert_eq!(ready(&engine, &plan).await.nodes[0].pid, pid, "a running server is adopted");
    assert_eq!(user_of(&folder, &of(&folder, Some(plan.cluster))), shared);
    engine.close(false).await;
    drop(engine);

    let reads = async |engine: &PostgresEngine| {
        ready(engine, &plan).await;
        let max = sql(engine, plan.cluster, "max", "defaultdb").await.unwrap();
        max.batch_execute("CREATE DATABASE other").await.unwrap();
        max.batch_execute("DROP DATABASE other").await.unwrap();
        max.batch_execute("UPDATE t SET n = n + 1").await.unwrap();
        max.query_one("SELECT n FROM t", &[]).await.unwrap().get::<_, i32>(0)
    };
    let engine = open(&folder, 0).await.unwrap();
    assert_eq!(reads(&engine).await, 43);
    let own = user_of(&folder, &of(&folder, Some(plan.cluster)));
    assert!((FIRST..=LAST).contains(&own), "{own}");
    engine.close(false).await;
    drop(engine);

    // Without the range, the servers share a user again.
    let engine = postgres(&folder, 0).await;
    assert_eq!(reads(&engine).await, 44);
    assert_eq!(user_of(&folder, &of(&folder, Some(plan.cluster))), shared);
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_is_restored_for_a_user_without_a_name() {
    let folder = Folder::new();
    let settings = Settings { archive_wal: true, ..with_range(&folder, 0) };
    let Some(engine) = open_with(settings).await else { return };
    let plan = plan(&engine, new_cluster());
    let cluster = plan.cluster;
    ready(&engine, &plan).await;
    user(&engine, cluster, "max").await;
    let mut archive = Archive::begin(&engine, &plan).await;
    let backup = archive.take(&engine, &plan).await;
    user(&engine, cluster, "zeta").await;
    engine.stage(cluster, 1, &backup.source(), None).await.unwrap();
    ready_again(&engine, &InstancePlan { epoch: 1, generation: 2, ..plan }).await;
    assert_eq!(engine.admin(cluster).await.unwrap().users().await.unwrap(), ["max"]);
    let reports = report(&folder.engine()).unwrap();
    let restored = reports.iter().find(|report| report.epoch == 1).unwrap();
    let own = user_of(&folder, restored);
    assert!((FIRST..=LAST).contains(&own), "{own}");
    assert!(!restored.data.join("pg_hba_private.conf").exists());
    engine.close(false).await;
}

/// Waits until all nodes of a cluster run, and the standbys stream.
async fn all_live(engine: &PostgresEngine, plan: &InstancePlan) {
    until("all nodes", || async {
        let nodes = engine.create(plan).await.ok()?.nodes;
        (nodes.len() == plan.nodes.len() && nodes.iter().all(|node| node.live)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_a_cluster_share_a_user_that_no_other_cluster_has() {
    let folder = Folder::new();
    if let Err(error) = PostgresEngine::new(with_range(&folder, 0)) {
        eprintln!("skipped: {error}");
        return;
    }
    let engine = postgres(&folder, 0).await;
    let other = plan(&engine, new_cluster());
    let node = |number| NodePlan { id: NodeId(number), cpu_millis: None, memory_mib: None, power: Power::On };
    let nodes = (1..=3).map(node).collect();
    let several = InstancePlan { nodes, ..plan(&engine, new_cluster()) };
    ready(&engine, &other).await;
    // The first node still has the user that it was created with, and the others connect to it nevertheless.
    all_live(&engine, &several).await;
    engine.close(false).await;
    drop(engine);

    let engine = postgres(&folder, 0).await;
    ready(&engine, &other).await;
    all_live(&engine, &several).await;
    let reports = report(&folder.engine()).unwrap();
    let users: Vec<u32> = reports
        .iter()
        .filter(|report| report.cluster == Some(several.cluster))
        .map(|report| user_of(&folder, report))
        .collect();
    assert!(users.len() == 3 && users.iter().all(|user| *user == users[0]), "{users:?}");
    assert!((FIRST..FIRST + 65536).contains(&users[0]), "{users:?}");
    assert_ne!(user_of(&folder, &of(&folder, Some(other.cluster))), users[0]);
    engine.close(false).await;
}

#[test]
fn invalid_ranges_are_refused() {
    let folder = Folder::new();
    let error = |range: &str| {
        let settings = Settings { uid_range: range.to_owned(), ..settings(&folder, 0) };
        PostgresEngine::new(settings).unwrap_err().message().to_owned()
    };
    assert!(error("1900000000").contains("engine.uid_range: \"1900000000\" must be the first and the last"));
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        assert!(error("1-65535").contains("engine.uid_range: must not contain the id"));
    }
}
