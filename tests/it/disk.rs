//! Fast growth, and a disk that is full except for its reserve.

use crate::support::{PASSWORD, PROGRAM, id, simulated, sql_user};
use ootheca_model::meter::MIB;
use ootheca_testkit::{Engine, Ootheca, ServerBuilder, eventually};
use serde_json::json;

const RESERVE: &str = "OOTHECA_ENGINE__DISK_RESERVE_MIB";
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
    assert!(refused.refused(400).contains("the disk of the server is full"), "{refused}");
    let refused = server.post(&format!("/clusters/{cluster}/databases"), json!({ "name": "another" }));
    assert!(refused.refused(400).contains("the disk of the server is full"), "{refused}");
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
    psql(&server, "INSERT INTO t VALUES (2)").fails("the disk of the server is full");
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
