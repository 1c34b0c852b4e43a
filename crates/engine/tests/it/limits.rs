//! Limits of CPU and of what a server keeps on the disk, and what the kernel ends first without memory.

use crate::support::{Folder, gone, new_cluster, plan, postgres, ready, sql, user};
use ootheca_engine::{Engine, postgres::report};
use std::{fs, path::PathBuf};

/// The groups of a process, as folders.
fn groups(pid: u32) -> Vec<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let places =
        text.lines().filter_map(|line| line.splitn(3, ':').nth(2)).filter(|place| place.contains("ootheca"));
    let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"];
    places
        .flat_map(|place| mounts.map(|mount| PathBuf::from(format!("{mount}{place}"))))
        .filter(|path| path.exists())
        .collect()
}

fn quota(group: &std::path::Path) -> String {
    let read = |name: &str| fs::read_to_string(group.join(name)).map(|text| text.trim().to_owned());
    match read("cpu.max") {
        Ok(text) => text.split_once(' ').unwrap().0.replace("max", "-1"),
        Err(_) => read("cpu.cfs_quota_us").unwrap(),
    }
}

/// The share of CPU in percent of the default.
fn share(group: &std::path::Path) -> u64 {
    let read = |name: &str| Some(fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().unwrap());
    read("cpu.weight").or_else(|| Some(read("cpu.shares")? * 100 / 1024)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn cpu_is_limited_or_reported_as_unlimited() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let mut plan = plan(&engine, new_cluster());
    plan.cpu_millis = Some(1500);
    let observed = ready(&engine, &plan).await;
    let condition = observed.conditions.iter().find(|condition| condition.kind == "CpuLimited").unwrap();
    if let Some(reason) = engine.capabilities().cpu_unbounded {
        eprintln!("skipped: control groups are not writable: {reason}");
        assert!(!condition.holds && condition.message.contains(&reason));
        engine.close(false).await;
        return;
    }
    assert!(condition.holds, "{condition:?}");
    let pid = observed.nodes[0].pid.unwrap();
    let group = groups(pid).pop().unwrap();
    assert_eq!((quota(&group), share(&group)), ("150000".to_owned(), 100));
    let instance = report(&folder.engine()).unwrap().remove(0);
    // A process that has ended in the meantime has no group.
    let pids = crate::support::processes_below(&instance.data);
    let children: Vec<_> = pids.into_iter().filter_map(|pid| groups(pid).pop()).collect();
    assert!(children.len() > 1 && children.iter().all(|child| *child == group), "{children:?}");
    for (generation, millis, expected) in
        [(2, Some(250), "25000"), (3, None, "-1"), (4, Some(2000), "200000")]
    {
        (plan.generation, plan.cpu_millis) = (generation, millis);
        let observed = engine.ensure(&plan).await.unwrap();
        assert_eq!(observed.nodes[0].pid, Some(pid), "live");
        assert_eq!(quota(&group), expected);
        assert_eq!(share(&group), if millis.is_some() { 100 } else { 25 });
        assert_eq!(observed.conditions.is_empty(), millis.is_none());
    }
    gone(&engine, plan.cluster).await;
    assert!(!group.exists());
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wal_is_limited_and_the_kernel_ends_sessions_first() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    let server = ready(&engine, &plan).await.nodes[0].pid.unwrap();
    user(&engine, plan.cluster, "max").await;
    let max = sql(&engine, plan.cluster, "max", "defaultdb").await.unwrap();
    for (name, expected) in [("max_wal_size", "128MB"), ("max_slot_wal_keep_size", "64MB")] {
        let row = max.query_one(&format!("SHOW {name}"), &[]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), expected, "{name}");
    }
    let session: i32 = max.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let score = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
        text.trim().parse::<i32>().unwrap()
    };
    assert_eq!(score(u32::try_from(session).unwrap()), 500);
    assert_eq!(score(server), score(std::process::id()));
    engine.close(false).await;
}
