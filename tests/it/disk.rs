//! Fast growth, a disk that is full except for its reserve, and a disk without any free space.

use crate::{
    backups::faults::disk::SmallDisk,
    support::{PASSWORD, PROGRAM, id, simulated, sql_user},
};
use ootheca_model::meter::MIB;
use ootheca_testkit::{Engine, Ootheca, ServerBuilder, eventually, eventually_within};
use serde_json::json;
use std::{fs, time::Duration};

const RESERVE: &str = "OOTHECA_ENGINE__DISK_RESERVE_MIB";
/// Space for a template and three clusters, in MiB.
const SMALL: u32 = 640;
const FULL: &str = "the disk of the server is full";
/// More than any disk has.
const EVERYTHING: &str = "1000000000000";

fn condition(server: &Ootheca, cluster: &str) -> Option<String> {
    let answer = server.get(&format!("/clusters/{cluster}"));
    let conditions = answer.ok()["ootheca"]["conditions"].as_array().expect("conditions").clone();
    let found = conditions.iter().find(|condition| condition["kind"] == "DiskPressure")?;
    found["message"].as_str().map(str::to_owned)
}

fn readiness(server: &Ootheca) -> String {
    let answer = server.raw("GET", "/readyz").send();
    assert_eq!(answer.status, 200, "data can still be deleted: {answer}");
    String::from_utf8_lossy(&answer.bytes).into_owned()
}

/// A server that isn't started yet, with a disk of its own at `place` in its data directory. `None` if this user can't
/// mount one. The disk comes first, so that it is dropped after the server that uses it.
fn on_small_disk(place: &str, reserve_mib: &str) -> Option<(SmallDisk, Ootheca)> {
    let builder = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).own_template();
    let server = builder.env(RESERVE, reserve_mib).idle();
    let disk = SmallDisk::mount(&server.data_dir().join(place), SMALL);
    if disk.is_none() {
        eprintln!("skipped: this user can't mount a file system");
    }
    Some((disk?, server))
}

fn cluster_with_user(server: &Ootheca, name: &str) -> String {
    let cluster = id(&server.create_cluster(name, "STANDARD"));
    sql_user(server, &cluster, "keeper");
    cluster
}

#[test]
fn a_cluster_that_fills_the_disk_leaves_the_reserve() {
    let Some((disk, mut server)) = on_small_disk("", "128") else { return };
    server.start();
    let other = cluster_with_user(&server, "other-cluster");
    let filling = cluster_with_user(&server, "filling-cluster");
    let psql = |cluster: &str, sql: &str| server.psql(cluster, "keeper", PASSWORD, sql);
    let succeeds = |cluster: &str, sql: &str| {
        eventually(sql, || {
            let said = psql(cluster, sql);
            said.success.then(|| said.ok().to_owned())
        })
    };
    psql(&other, "CREATE TABLE t AS SELECT n FROM generate_series(1, 9) n").ok();
    psql(&filling, "CREATE TABLE t (n int, value text); CREATE TABLE batches (number int)").ok();
    assert_eq!((condition(&server, &other), readiness(&server).as_str()), (None, "ready\n"));

    // About 4 MiB, and what was acknowledged, in one transaction.
    let fill = "INSERT INTO t SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 4000) n";
    let (mut batches, mut is_announced) = (0, false);
    let refused = loop {
        let said = psql(&filling, &format!("{fill}; INSERT INTO batches VALUES ({batches})"));
        if !said.success {
            break said;
        }
        batches += 1;
        assert!(batches < 300, "a gigabyte was written");
        is_announced |= readiness(&server).contains("almost full")
            && condition(&server, &other).is_some_and(|shown| shown.contains("almost full"));
    };
    refused.fails(FULL);
    assert!(is_announced, "full without a warning");
    // A checkpoint can remove WAL, which must not end the pressure.
    fs::write(server.data_dir().join("ballast"), vec![1; 32 << 20]).expect("written to the reserve");
    assert!(readiness(&server).contains("the disk is full except for engine.disk_reserve_mib"));
    let shown = condition(&server, &other).expect("a condition");
    assert!(shown.contains("The disk of the server is full"), "{shown}");

    assert_eq!(succeeds(&other, "SELECT count(*) FROM t"), "9");
    psql(&other, "INSERT INTO t VALUES (10)").fails(FULL);
    succeeds(&other, "DELETE FROM t WHERE n > 5");
    // Not of the large table: with checksums, its first scan writes WAL.
    let count = format!("SELECT count(*) FROM batches WHERE number < {batches}");
    assert_eq!(succeeds(&filling, &count), batches.to_string(), "what was acknowledged");

    server.delete(&format!("/clusters/{filling}")).ok();
    eventually("the space is free again", || (readiness(&server) == "ready\n").then_some(()));
    assert_eq!(condition(&server, &other), None);
    succeeds(&other, "INSERT INTO t VALUES (10)");
    assert_eq!(succeeds(&other, "SELECT count(*) FROM t"), "6");
    let another = cluster_with_user(&server, "another-cluster");
    psql(&another, "CREATE TABLE t AS SELECT 1 AS n").ok();
    server.terminate();
    drop(disk);
}

#[test]
fn acknowledged_rows_survive_a_disk_without_free_space() {
    let Some((disk, mut server)) = on_small_disk("engine", "0") else { return };
    server.start();
    let kept = cluster_with_user(&server, "kept-cluster");
    let deleted = cluster_with_user(&server, "deleted-cluster");
    let psql = |cluster: &str, sql: &str| server.psql(cluster, "keeper", PASSWORD, sql);
    let insert = |n: usize| psql(&kept, &format!("INSERT INTO t VALUES ({n}, repeat('x', 1000))"));
    psql(&kept, "CREATE TABLE t (n int, value text)").ok();
    psql(&deleted, "CREATE TABLE t AS SELECT 1 AS n").ok();
    for n in 0..20 {
        insert(n).ok();
    }
    disk.fill();
    let more = (20..1000).take_while(|n| insert(*n).success).count();
    assert!(more < 980, "the disk isn't full");
    assert_eq!(psql(&deleted, "SELECT n FROM t").ok(), "1");

    server.delete(&format!("/clusters/{deleted}")).ok();
    // A server without space for its WAL stops, and is started again after a delay.
    eventually_within(Duration::from_secs(120), "data can be added again", || {
        insert(1000).success.then_some(())
    });
    let acknowledged = 20 + more;
    let survived = psql(&kept, &format!("SELECT count(*) FROM t WHERE n < {acknowledged}"));
    assert_eq!(survived.ok(), acknowledged.to_string());
    server.terminate();
    drop(disk);
}

#[test]
fn below_the_reserve_data_can_only_be_deleted() {
    let mut server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).pool(0).boot();
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    sql_user(&server, &cluster, "keeper");
    let psql = |server: &Ootheca, sql: &str| server.psql(&cluster, "keeper", PASSWORD, sql);
    psql(&server, "CREATE TABLE t AS SELECT 1 AS n").ok();
    assert_eq!((condition(&server, &cluster), readiness(&server).as_str()), (None, "ready\n"));

    server.terminate();
    server.relaunch(|launch| launch.env(RESERVE, EVERYTHING));
    server.start();
    let spec = json!({ "plan": "BASIC", "serverless": { "regions": ["us-central1"] } });
    let body = json!({ "name": "another-cluster", "provider": "GCP", "spec": spec });
    let refused = server.post("/clusters", body);
    assert!(refused.refused(400).contains(FULL), "{refused}");
    let refused = server.post(&format!("/clusters/{cluster}/databases"), json!({ "name": "another" }));
    assert!(refused.refused(400).contains(FULL), "{refused}");
    assert!(readiness(&server).contains("the disk is full except for engine.disk_reserve_mib"));
    let shown = condition(&server, &cluster).expect("a condition");
    assert!(shown.contains("Data can only be deleted") && !shown.contains('/'), "no paths: {shown}");
    let text = String::from_utf8_lossy(&server.raw("GET", "/metrics").send().bytes).into_owned();
    assert!(
        text.contains("ootheca_disk_free_bytes ") && text.contains("ootheca_disk_reserve_bytes "),
        "{text}"
    );
    let log = server.log();
    let path = server.data_dir().join("engine");
    let line = log.lines().find(|line| line.contains("the disk is full except for")).expect("a log line");
    assert!(line.contains(&path.display().to_string()), "for the operator: {line}");

    psql(&server, "SELECT n FROM t").ok();
    psql(&server, "INSERT INTO t VALUES (2)").fails(FULL);
    psql(&server, "DROP TABLE t").ok();

    server.terminate();
    server.relaunch(|launch| launch.without_env(RESERVE));
    server.start();
    psql(&server, "CREATE TABLE t AS SELECT 1 AS n").ok();
    assert_eq!(condition(&server, &cluster), None);
}

#[test]
fn below_twice_the_reserve_there_are_only_warnings() {
    let mut server = simulated();
    let metrics = String::from_utf8_lossy(&server.raw("GET", "/metrics").send().bytes).into_owned();
    let free = metrics.lines().find_map(|line| line.strip_prefix("ootheca_disk_free_bytes "));
    let free: u64 = free.expect("the metric").parse().expect("a number");
    server.terminate();
    // Far from both thresholds, because other tests use the disk at the same time.
    let reserve = free / MIB * 2 / 3;
    server.relaunch(|launch| launch.env(RESERVE, &reserve.to_string()));
    server.start();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    let shown = condition(&server, &cluster).expect("a condition");
    assert!(shown.contains("almost full"), "{shown}");
    let said = readiness(&server);
    assert!(said.starts_with("ready, ") && said.contains("almost full"), "{said}");
}

#[test]
fn a_cluster_that_grows_quickly_is_metered_early() {
    let server = ServerBuilder::new(PROGRAM)
        .engine(Engine::Postgres)
        .pool(0)
        .env("OOTHECA_METERING__TICK_SECONDS", "3600")
        .boot();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    sql_user(&server, &cluster, "keeper");
    let limits = json!({ "serverless": { "usage_limits": { "storage_mib_limit": "100" } } });
    server.patch(&format!("/clusters/{cluster}"), limits).ok();
    let mut session = server.session(&cluster, "keeper", PASSWORD);
    session.run("CREATE TABLE t (n int, value text)").expect("created");
    let fill = "INSERT INTO t SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 20000) n";
    // The session ends as soon as the limit is noticed.
    let written = (0..50).take_while(|_| session.run(fill).is_ok()).count();
    assert!(written < 50, "a gigabyte was written");
    eventually("the limit is reached", || {
        let shown = server.get(&format!("/clusters/{cluster}"));
        (shown.text("/ootheca/limit_status") == "STORAGE_LIMIT_EXCEEDED").then_some(())
    });
}
