//! The test clock: disabled by default, only for administrators, and only forward. Nothing fails when it
//! jumps.

use crate::support::{PROGRAM, id, simulated};
use ootheca_testkit::{Answer, Client, Ootheca, ServerBuilder, eventually};
use serde_json::{Value, json};

const CLOCK: &str = "/api/ootheca/v1/clock";
const MONTH: i64 = 31 * 24 * 3600;

fn with_test_clock() -> Ootheca {
    ServerBuilder::new(PROGRAM).arg("--test-clock").boot()
}

fn advance(client: &Client, body: Value) -> Answer {
    client.raw("POST", CLOCK).json(&body).send()
}

#[test]
fn the_test_clock_is_disabled_by_default() {
    let server = simulated();
    server.raw("GET", CLOCK).send().refused(404);
    advance(&server, json!({ "advance_seconds": 1 })).refused(404);
    assert!(!server.log().contains("TEST CLOCK"));
}

#[test]
fn only_administrators_can_advance_the_clock() {
    let server = with_test_clock();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    let step = json!({ "advance_seconds": 1 });
    server.anonymous().raw("GET", CLOCK).send().refused(401);
    advance(&server.anonymous(), step.clone()).refused(401);
    let on_cluster = format!("CLUSTER_ADMIN@{cluster}");
    for roles in [&["CLUSTER_ADMIN"][..], &[on_cluster.as_str()][..], &[][..]] {
        let key = server.new_key(roles);
        advance(&server.with_key(&key), step.clone()).refused(403);
    }
    advance(&server.with_key(&server.new_key(&["ORG_ADMIN"])), step).ok();
}

#[test]
fn the_clock_only_advances_and_logs_warnings() {
    let mut server = with_test_clock();
    let now = server.raw("GET", CLOCK).send().text("/now");
    for wrong in
        [json!({ "advance_seconds": -1 }), json!({ "advance_seconds": 1_i64 << 60 }), json!({}), json!([])]
    {
        advance(&server, wrong.clone()).refused(400);
    }
    let later = advance(&server, json!({ "advance_seconds": MONTH })).text("/now");
    assert!(later > now, "{later} is after {now}");
    let loud =
        server.log().lines().filter(|line| line.contains("WARN") && line.contains("TEST CLOCK")).count();
    assert_eq!(loud, 2, "one warning at the start and one when the clock is advanced");
    server.restart();
    let after = server.raw("GET", CLOCK).send().text("/now");
    assert!(after >= later, "{after} is not before {later}: a restart does not turn it back");
}

#[test]
fn loops_continue_after_a_jump() {
    let server = with_test_clock();
    let first = id(&server.create_cluster("first-cluster", "BASIC"));
    for jump in 0..3 {
        let now = advance(&server, json!({ "advance_seconds": MONTH })).text("/now");
        let cluster = server.create_cluster(&format!("cluster-{jump}"), "STANDARD");
        assert!(cluster["created_at"].as_str().unwrap_or_default() >= now.as_str(), "{cluster} after {now}");
        server.delete(&format!("/clusters/{}", id(&cluster))).ok();
    }
    server.delete(&format!("/clusters/{first}")).ok();
    eventually("all instances are removed", || server.instances().is_empty().then_some(()));
    let newest = server.get("/auditlogevents?sort_order=DESC&limit=1");
    assert_eq!(newest.ok()["entries"][0]["action"], "AUDIT_LOG_ACTION_DELETE_CLUSTER", "{newest}");
}
