//! Killed servers leave no shared memory behind.

use crate::support::{
    Folder, gone, new_cluster, plan, postgres, processes_below, ready, settings, signal, until,
};
use ootheca_engine::{
    Engine,
    postgres::{PostgresEngine, report},
};
use rustix::process::Signal;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The ID of the segment of a running server, once it is in the lock file. That of `initdb` has a negative ID.
fn segment(data: &Path) -> Option<u32> {
    let lock = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    lock.lines().next()?.parse::<u32>().ok()?;
    lock.lines().nth(6)?.split_whitespace().nth(1)?.parse().ok()
}

/// The number of processes that use a segment; `None` if there is no segment with this ID.
fn attached(id: u32) -> Option<u32> {
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap();
    segments.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(1)?.parse() == Ok(id)).then(|| fields[6].parse().unwrap())
    })
}

/// Kills all processes of a server, the postmaster first, and waits until they are gone.
async fn kill_all(data: &Path) {
    until("killed", || async {
        let left = processes_below(data);
        left.iter().for_each(|pid| signal(*pid, Signal::KILL));
        left.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_no_shared_memory() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plans = [(); 2].map(|()| plan(&engine, new_cluster()));
    let mut segments = Vec::new();
    for plan in &plans {
        ready(&engine, plan).await;
        let reports = report(&folder.engine()).unwrap();
        let found = reports.into_iter().find(|report| report.cluster == Some(plan.cluster)).unwrap();
        segments.push((segment(&found.data).unwrap(), found.data));
    }
    engine.close(true).await;
    drop(engine);
    for (id, data) in &segments {
        assert!(attached(*id).is_some_and(|count| count > 0));
        kill_all(data).await;
        until("the kernel has noticed", || async { (attached(*id) == Some(0)).then_some(()) }).await;
    }
    let engine = postgres(&folder, 0).await;
    // One is removed without having been started again.
    gone(&engine, plans[0].cluster).await;
    assert_eq!(attached(segments[0].0), None);
    ready(&engine, &plans[1]).await;
    assert_eq!(attached(segments[1].0), None);
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_fails_leaves_no_shared_memory() {
    let folder = Folder::new();
    let engine = PostgresEngine::new(settings(&folder, 0)).unwrap();
    let unfinished = || -> Option<PathBuf> {
        let templates = fs::read_dir(folder.engine().join("templates")).ok()?.flatten();
        let mut folders = templates.filter(|entry| entry.file_name().to_string_lossy().starts_with("new-"));
        Some(folders.next()?.path().join("data"))
    };
    let kill = async {
        let (id, data) = until("the template's server", || async {
            let data = unfinished()?;
            Some((segment(&data)?, data))
        })
        .await;
        kill_all(&data).await;
        id
    };
    let (opened, id) = tokio::join!(engine.open(), kill);
    opened.expect_err("the template's server was killed");
    assert_eq!((attached(id), unfinished()), (None, None));
    engine.open().await.unwrap();
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_to_be_killed_leaves_no_shared_memory() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    ready(&engine, &plan).await;
    let data = report(&folder.engine()).unwrap().remove(0).data;
    let id = segment(&data).unwrap();
    processes_below(&data).into_iter().for_each(|pid| signal(pid, Signal::STOP));
    // The second call does not wait for a checkpoint.
    tokio::join!(engine.close(false), engine.close(false));
    assert_eq!((processes_below(&data).len(), attached(id)), (0, None));
    drop(engine);
    let engine = postgres(&folder, 0).await;
    gone(&engine, plan.cluster).await;
    engine.close(false).await;
}
