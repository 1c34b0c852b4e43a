//! Limits of CPU, of memory and processes, and of what a server keeps on the disk, and what the kernel ends first
//! without memory.

use crate::support::{Folder, gone, new_cluster, plan, postgres, ready, settings, sql, until, user};
use ootheca_engine::{
    Engine, Source,
    postgres::{PostgresEngine, Settings, report},
};
use ootheca_model::{ErrorKind, backup::MaskingScript, instance::InstancePlan};
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

/// The group in which a controller limits a process.
fn group(pid: u32, controller: &str) -> PathBuf {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let line = |name: &str| {
        text.lines().find_map(|line| {
            let (controllers, place) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|known| known == name).then(|| place.to_owned())
        })
    };
    match line(controller) {
        Some(place) => PathBuf::from(format!("/sys/fs/cgroup/{controller}{place}")),
        None => PathBuf::from(format!("/sys/fs/cgroup{}", line("").unwrap())),
    }
}

/// The value of the first file that exists.
fn number(group: &std::path::Path, files: &[&str]) -> u64 {
    let text = files.iter().find_map(|file| fs::read_to_string(group.join(file)).ok()).unwrap();
    text.trim().parse().unwrap()
}

/// How many processes of a group the kernel has ended.
fn oom_kills(group: &std::path::Path) -> u64 {
    let read = |file: &str| fs::read_to_string(group.join(file)).ok();
    let text = read("memory.events").or_else(|| read("memory.oom_control")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")).unwrap().parse().unwrap()
}

/// An engine with two clusters that may use a hundredth of the memory; `None` if the machine cannot limit it.
async fn two_limited(folder: &Folder) -> Option<(PostgresEngine, [(InstancePlan, u32); 2])> {
    let engine = PostgresEngine::new(Settings { memory_percent: 1, ..settings(folder, 0) }).unwrap();
    engine.open().await.unwrap();
    if let Some(reason) = engine.capabilities().memory_unbounded {
        eprintln!("skipped: memory and processes cannot be limited: {reason}");
        engine.close(false).await;
        return None;
    }
    let mut clusters = Vec::new();
    for _ in 0..2 {
        let plan = plan(&engine, new_cluster());
        let pid = ready(&engine, &plan).await.nodes[0].pid.unwrap();
        user(&engine, plan.cluster, "max").await;
        clusters.push((plan, pid));
    }
    Some((engine, clusters.try_into().unwrap()))
}

/// A query that needs more than `limit` bytes. Each value has 64 MiB, and all of them stay in memory until the end of the
/// statement.
fn too_much_memory(limit: u64) -> String {
    let values = 2 * limit / (64 << 20) + 2;
    format!(
        "SELECT array_length(array_agg(repeat(chr(n), 67108864)), 1) FROM generate_series(65, {}) n",
        64 + values
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn masking_that_uses_too_much_memory_fails() {
    let folder = Folder::new();
    let Some((engine, [(plan, server), (other, other_server)])) = two_limited(&folder).await else { return };
    let limit = number(&group(server, "memory"), &["memory.max", "memory.limit_in_bytes"]);
    let masking = MaskingScript { database: "defaultdb".to_owned(), text: too_much_memory(limit) };
    let staged = engine.stage(plan.cluster, 1, &Source::Empty, Some(&masking)).await;
    let error = staged.expect_err("it is killed");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
    for (plan, server) in [(plan, server), (other, other_server)] {
        assert_eq!(oom_kills(&group(server, "memory")), 0);
        assert_eq!(ready(&engine, &plan).await.nodes[0].pid, Some(server));
        gone(&engine, plan.cluster).await;
    }
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_uses_too_much_memory_ends_only_the_sessions_of_its_cluster() {
    let folder = Folder::new();
    let Some((engine, [(plan, server), (other, other_server)])) = two_limited(&folder).await else { return };
    let limit = number(&group(server, "memory"), &["memory.max", "memory.limit_in_bytes"]);
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let total = meminfo.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024;
    assert!(limit.abs_diff(total / 100) < 65_536, "{limit} of {total}");

    let max = sql(&engine, plan.cluster, "max", "defaultdb").await.unwrap();
    max.batch_execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)").await.unwrap();
    let neighbor = sql(&engine, other.cluster, "max", "defaultdb").await.unwrap();
    let error = max.batch_execute(&too_much_memory(limit)).await.expect_err("it is killed");
    assert!(error.as_db_error().is_none() || max.is_closed(), "{error:?}");
    let again = until("the server accepts sessions again", || async {
        sql(&engine, plan.cluster, "max", "defaultdb").await.ok()
    })
    .await;
    assert_eq!(again.query_one("SELECT n FROM kept", &[]).await.unwrap().get::<_, i32>(0), 42);
    assert_eq!(ready(&engine, &plan).await.nodes[0].pid, Some(server), "the main process has survived");
    assert!(oom_kills(&group(server, "memory")) > 0);
    assert_eq!(oom_kills(&group(other_server, "memory")), 0);

    let session: i32 = neighbor.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    assert!(session > 0 && ready(&engine, &other).await.nodes[0].pid == Some(other_server));
    let groups = [group(server, "memory"), group(other_server, "memory")];
    for cluster in [plan.cluster, other.cluster] {
        gone(&engine, cluster).await;
    }
    assert!(groups.iter().all(|group| !group.exists()), "{groups:?}");
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_at_its_limit_of_processes_refuses_only_its_own_sessions() {
    let folder = Folder::new();
    let Some((engine, [(plan, server), (other, _)])) = two_limited(&folder).await else { return };
    let group = group(server, "pids");
    assert_eq!(number(&group, &["pids.max"]), 100 + 64, "more than max_connections");
    let mut sessions = vec![sql(&engine, plan.cluster, "max", "defaultdb").await.unwrap()];
    let session: i32 = sessions[0].query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let members = fs::read_to_string(group.join("cgroup.procs")).unwrap();
    for pid in [server, u32::try_from(session).unwrap()] {
        assert!(members.lines().any(|line| line == pid.to_string()), "{pid} in {members:?}");
    }
    // Sessions alone cannot reach the limit of the engine.
    let limit = number(&group, &["pids.current"]) + 3;
    fs::write(group.join("pids.max"), limit.to_string()).unwrap();
    let refused = loop {
        match sql(&engine, plan.cluster, "max", "defaultdb").await {
            Ok(session) => sessions.push(session),
            Err(error) => break error,
        }
        assert!(sessions.len() < 10, "the limit is not enforced");
    };
    assert!(number(&group, &["pids.current"]) <= limit);
    for session in &sessions {
        session.query_one("SELECT 1", &[]).await.unwrap_or_else(|error| panic!("{error}, after {refused}"));
    }
    sql(&engine, other.cluster, "max", "defaultdb").await.expect("another cluster has its own limit");
    sessions.pop();
    until("a session after another one has ended", || async {
        sql(&engine, plan.cluster, "max", "defaultdb").await.ok()
    })
    .await;
    drop(sessions);
    engine.close(false).await;
}
