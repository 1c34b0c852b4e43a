//! The recorded usage of real clusters, and what happens when they reach a limit. The test controls the
//! clock.

use crate::support::{PASSWORD, PROGRAM, advance, audit_log, booked, booked_after, id, number, sql_user};
use ootheca_testkit::{
    Engine, Ootheca, ServerBuilder, Session, eventually, processes,
    wire::{Conversation, Message, Wire},
};
use serde_json::{Value, json};

const MONTH: i64 = 31 * 24 * 3600;
const REQUEST_UNITS: &str = "request_unit_limit";
const STORAGE: &str = "storage_mib_limit";
/// About 15 MiB.
const FILL: &str =
    "CREATE TABLE many AS SELECT n, repeat(md5(n::text), 30) AS value FROM generate_series(1, 15000) n";

fn boot() -> ServerBuilder {
    ServerBuilder::new(PROGRAM).engine(Engine::Postgres).arg("--test-clock")
}

/// Ticks come from the test only: one during a statement that goes over a limit would end its session before it has
/// finished. Server processes end with their session.
fn still() -> Ootheca {
    let launch =
        boot().env("OOTHECA_METERING__TICK_SECONDS", "3600").env("OOTHECA_METERING__EARLY_TICK_MIB", "0");
    launch.env("OOTHECA_GATEWAY__POOL_IDLE_SECONDS", "0").boot()
}

fn cluster(server: &Ootheca, plan: &str) -> String {
    let cluster = id(&server.create_cluster(&format!("{}-cluster", plan.to_lowercase()), plan));
    sql_user(server, &cluster, "keeper");
    cluster
}

fn limit(server: &Ootheca, cluster: &str, name: &str, value: &str) {
    let body = json!({ "serverless": { "usage_limits": { name: value } } });
    server.patch(&format!("/clusters/{cluster}"), body).ok();
}

fn limit_status(server: &Ootheca, cluster: &str) -> String {
    let shown = server.get(&format!("/clusters/{cluster}"));
    assert_eq!(shown.text("/state"), "CREATED", "no limit changes the state");
    shown.text("/ootheca/limit_status")
}

fn psql(server: &Ootheca, cluster: &str, sql: &str) -> ootheca_testkit::Spoken {
    server.psql(cluster, "keeper", PASSWORD, sql)
}

fn session(server: &Ootheca, cluster: &str) -> Session {
    server.session(cluster, "keeper", PASSWORD)
}

fn wire(server: &Ootheca, cluster: &str) -> Wire {
    let routing = server.get(&format!("/clusters/{cluster}")).text("/config/serverless/routing_id");
    let wire = Wire::new(server.sql_address(), &server.authority()).with("user", "keeper");
    wire.with("database", "defaultdb").with("options", &format!("--cluster={routing}")).password(PASSWORD)
}

#[track_caller]
fn refused(wire: &Wire) -> Message {
    wire.connect().expect("a connection").err().expect("refused")
}

/// Asserts that the text contains the limit and what to do.
#[track_caller]
fn explains(text: &str, limit: &str) {
    let says = format!("{limit} of ");
    assert!(text.contains(&says) && text.contains("is reached"), "{text}");
    assert!(text.contains(&format!("or remove {limit}")) && text.contains("PATCH"), "{text}");
}

/// Ticks the meter until there is an answer.
#[track_caller]
fn after_tick<T>(server: &Ootheca, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    eventually(what, || {
        advance(server, 0);
        ask()
    })
}

/// The thresholds of a limit in the audit log.
fn told(server: &Ootheca, limit: &str) -> Vec<Value> {
    let entries =
        audit_log(server).into_iter().filter(|entry| entry["source"] == "AUDIT_LOG_SOURCE_INTERNAL");
    let payloads = entries.map(|entry| {
        let text = entry["payload"].as_str().expect("a payload").to_owned();
        serde_json::from_str::<Value>(&text).expect("JSON")
    });
    payloads
        .filter(|payload| payload["limit"] == limit)
        .map(|payload| payload["threshold_percent"].clone())
        .collect()
}

#[test]
fn request_units_disable_a_cluster_until_the_limit_or_the_month_changes() {
    let server = still();
    let cluster = cluster(&server, "BASIC");
    limit(&server, &cluster, REQUEST_UNITS, "1000");
    let mut live = session(&server, &cluster);
    live.run("CREATE TABLE work AS SELECT generate_series(1, 1000) AS n").expect("within the limit");
    let cut = after_tick(&server, "the session is terminated", || live.run("SELECT 1").err());
    explains(&cut, REQUEST_UNITS);
    assert_eq!(limit_status(&server, &cluster), "REQUEST_UNIT_LIMIT_EXCEEDED");
    assert_eq!(told(&server, REQUEST_UNITS), [50, 75, 100]);
    explains(psql(&server, &cluster, "SELECT 1").fails("codeUnavailable"), REQUEST_UNITS);
    assert_eq!(refused(&wire(&server, &cluster)).field(b'C'), "57P03");
    let stranger = refused(&wire(&server, &cluster).password("not the password"));
    assert_eq!(stranger.field(b'M'), "password authentication failed for user \"keeper\"");
    limit(&server, &cluster, REQUEST_UNITS, "1000000");
    assert_eq!(psql(&server, &cluster, "SELECT count(*) FROM work").ok(), "1000", "at once");
    limit(&server, &cluster, REQUEST_UNITS, "10");
    explains(psql(&server, &cluster, "SELECT 1").fails("codeUnavailable"), REQUEST_UNITS);
    advance(&server, MONTH);
    assert_eq!(psql(&server, &cluster, "SELECT count(*) FROM work").ok(), "1000", "in another month");
}

/// The SQLSTATE of the error of a statement, empty if it succeeds: with the simple protocol, then with the
/// extended one.
fn sqlstates(seat: &mut Conversation, sql: &str) -> [String; 2] {
    let simple = seat.query(sql).expect("an answer");
    seat.send(b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"].concat()).expect("sent");
    seat.send(b'B', &[0; 8]).expect("sent");
    seat.send(b'E', &[0; 5]).expect("sent");
    seat.send(b'S', &[]).expect("sent");
    let extended = seat.answer().expect("an answer");
    [simple, extended].map(|messages| {
        let error = messages.iter().find(|message| message.tag == b'E');
        error.map(|error| error.field(b'C')).unwrap_or_default()
    })
}

#[test]
fn storage_throttles_a_cluster_until_data_is_deleted_or_the_limit_changes() {
    let server = still();
    let cluster = cluster(&server, "BASIC");
    limit(&server, &cluster, STORAGE, "10");
    let (mut one, mut two) = (session(&server, &cluster), session(&server, &cluster));
    two.run("SELECT 1").expect("an open session");
    one.run(FILL).expect("within the limit");
    for session in [&mut one, &mut two] {
        let cut = after_tick(&server, "the session is terminated", || session.run("SELECT 1").err());
        explains(&cut, STORAGE);
    }
    assert_eq!(told(&server, STORAGE), [50, 75, 100]);
    let wire = wire(&server, &cluster);
    let mut seat = wire.connect().expect("a connection").expect("the first session is admitted");
    let second = refused(&wire);
    assert_eq!(second.field(b'C'), "53300");
    explains(&[second.field(b'M'), second.field(b'H')].concat(), STORAGE);
    for sql in [
        "INSERT INTO many VALUES (0, 'x')",
        "UPDATE many SET value = 'x'",
        "COPY many FROM STDIN",
        "CREATE TABLE more AS SELECT 1",
    ] {
        assert_eq!(sqlstates(&mut seat, sql), ["53100", "53100"], "{sql}");
    }
    for sql in ["DELETE FROM many WHERE n < 10", "SELECT count(*) FROM many", "VACUUM many"] {
        assert_eq!(sqlstates(&mut seat, sql), ["", ""], "{sql}");
    }
    drop(seat);
    let said = eventually("the single session has ended", || {
        let spoken = psql(&server, &cluster, "INSERT INTO many VALUES (0, 'x')");
        spoken.err.contains("ERROR").then_some(spoken)
    });
    explains(said.fails(STORAGE), STORAGE);
    let mut seat = eventually("the single session has ended", || wire.connect().expect("a connection").ok());
    assert_eq!(sqlstates(&mut seat, "TRUNCATE many"), ["", ""]);
    after_tick(&server, "OPEN", || (limit_status(&server, &cluster) == "OPEN").then_some(()));
    eventually("the open session can write again", || {
        (sqlstates(&mut seat, "CREATE TABLE IF NOT EXISTS more (n int)") == ["", ""]).then_some(())
    });
    assert_eq!(psql(&server, &cluster, "DROP TABLE many, more; SELECT 1").ok(), "1", "beside it");
    psql(&server, &cluster, FILL).ok();
    after_tick(&server, "over its storage", || {
        (limit_status(&server, &cluster) == "STORAGE_LIMIT_EXCEEDED").then_some(())
    });
    limit(&server, &cluster, STORAGE, "100");
    psql(&server, &cluster, "INSERT INTO many VALUES (0, 'x')").ok();
    assert_eq!(limit_status(&server, &cluster), "OPEN");
}

#[test]
fn only_basic_clusters_are_suspended_and_resuming_costs_little() {
    let server = still();
    let (basic, standard) = (cluster(&server, "BASIC"), cluster(&server, "STANDARD"));
    // More than 90 ms of CPU time in addition to that of the start, which is not charged to the cluster.
    let before = eventually("the CPU usage is recorded", || {
        psql(&server, &basic, "SELECT count(*) FROM generate_series(1, 3000000)").ok();
        let used = booked_after(&server, &basic, 0.0);
        (number(&used["cpu"]) > 30.0).then_some(used)
    });
    let pid = server.postmaster(&standard);
    let asleep =
        |cluster: &str| server.get(&format!("/clusters/{cluster}")).ok()["ootheca"]["suspended"] == true;
    advance(&server, 240);
    assert!(!asleep(&basic));
    advance(&server, 61);
    eventually("it is suspended", || asleep(&basic).then_some(()));
    assert_eq!(psql(&server, &basic, "SELECT 1").ok(), "1");
    assert!(!asleep(&basic) && !asleep(&standard));
    assert_eq!(server.postmaster(&standard), pid, "the cluster was never suspended");
    let after = booked_after(&server, &basic, number(&before["egress"]));
    let wake = number(&after["total"]) - number(&before["total"]);
    println!("metering: a wake is {wake:.2} request units, {before} to {after}");
    assert!(wake > 0.0 && wake < 20.0, "{wake} from {before} to {after}");
}

#[test]
fn metering_starts_with_the_first_session() {
    let server = still();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    server.when_created(&cluster);
    // The meter has a baseline of the cluster without sessions.
    advance(&server, 5);
    sql_user(&server, &cluster, "keeper");
    psql(&server, &cluster, "CREATE TABLE work (n int)").ok();
    let used = booked_after(&server, &cluster, 0.0);
    assert!(number(&used["write_requests"]) > 0.0, "{used}");
}

#[test]
fn an_idle_cluster_uses_nothing_and_a_crash_counts_nothing_twice() {
    let mut server = still();
    let cluster = cluster(&server, "BASIC");
    let month = |server: &Ootheca| booked(server, &cluster);
    psql(&server, &cluster, "CREATE TABLE work (n int)").ok();
    let begun = booked_after(&server, &cluster, 0.0);
    for _ in 0..10 {
        advance(&server, 5);
    }
    assert_eq!(month(&server), begun, "ten ticks");
    let work = "INSERT INTO work SELECT generate_series(1, 1000)";
    let rows = |used: &Value| {
        ((number(&used["write_requests"]) - number(&begun["write_requests"])) / 3000.0).round()
    };
    psql(&server, &cluster, work).ok();
    let first = booked_after(&server, &cluster, number(&begun["egress"]));
    assert_eq!(rows(&first), 1.0);
    server.kill();
    server.start();
    assert_eq!(month(&server), first, "nothing is lost or doubled");
    psql(&server, &cluster, work).ok();
    server.kill();
    server.start();
    assert!(rows(&month(&server)) <= 2.0);
    psql(&server, &cluster, work).ok();
    let last = booked_after(&server, &cluster, number(&first["egress"]));
    assert_eq!(rows(&last), 3.0, "usage before the crash is recorded with the next use");
    assert!(processes::alive(server.postmaster(&cluster)));
}

#[test]
fn usage_of_a_dropped_database_is_recorded() {
    let server = still();
    let cluster = cluster(&server, "BASIC");
    psql(&server, &cluster, "CREATE TABLE beside (n int)").ok();
    let begun = booked_after(&server, &cluster, 0.0);
    let short = server.connection_string(&cluster, "keeper").replace("/defaultdb", "/short");
    for _ in 0..3 {
        psql(&server, &cluster, "CREATE DATABASE short").ok();
        let fill = "CREATE TABLE t AS SELECT generate_series(1, 100000) AS n";
        server.psql_at(&short, PASSWORD, fill).ok();
        psql(&server, &cluster, "INSERT INTO beside SELECT generate_series(1, 100)").ok();
        psql(&server, &cluster, "DROP DATABASE short WITH (FORCE)").ok();
    }
    let used = booked_after(&server, &cluster, number(&begun["egress"]));
    let more = number(&used["total"]) - number(&begun["total"]);
    println!("metering: 300,000 rows that are gone are {more:.0} request units");
    assert!((800_000.0..1_200_000.0).contains(&more), "{begun} {used}");
}
