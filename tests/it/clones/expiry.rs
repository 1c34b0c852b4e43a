//! Clusters that delete themselves.

use super::{basic, request_clone};
use crate::{
    backups::shared::{DAY, HOUR, LIMIT, furnish, now, run, time},
    restores::nothing_else_is_left,
    support::{PASSWORD, PROGRAM, advance, after, audit_log, id},
};
use ootheca_testkit::{Client, Engine, Ootheca, ServerBuilder, eventually_within};
use serde_json::{Value, json};

fn launch(engine: Engine) -> ServerBuilder {
    ServerBuilder::new(PROGRAM).engine(engine).arg("--test-clock")
}

/// The time of the server `seconds` seconds from now.
fn later(client: &Client, seconds: u64) -> String {
    after(time(&json!(now(client))), seconds)
}

/// Creates a BASIC cluster that expires, and returns its ID.
#[track_caller]
fn create(server: &Ootheca, name: &str, expires_at: &str) -> String {
    let body = json!({ "name": name, "provider": "GCP", "spec": basic(), "expires_at": expires_at });
    let made = server.post("/clusters", body);
    assert_eq!(time(&made.ok()["expires_at"]), time(&json!(expires_at)), "{made}");
    let cluster = id(&made.body);
    server.when_created(&cluster);
    cluster
}

/// Creates a clone that expires, and returns its ID.
#[track_caller]
fn clone(server: &Ootheca, name: &str, source: &str, expires_at: &str) -> String {
    let from = json!({ "source_cluster_id": source });
    let body = json!({ "name": name, "restore_from": from, "expires_at": expires_at });
    let made = server.post("/clusters", body);
    let clone = id(made.ok());
    let shown = server.when_created(&clone);
    assert_eq!(time(&shown["expires_at"]), time(&json!(expires_at)), "{shown:#}");
    clone
}

fn state(client: &Client, cluster: &str) -> String {
    client.get(&format!("/clusters/{cluster}")).text("/state")
}

#[track_caller]
fn is_deleted(client: &Client, cluster: &str) {
    eventually_within(LIMIT, "it is deleted", || (state(client, cluster) == "DELETED").then_some(()));
}

fn protect(client: &Client, cluster: &str, protection: &str) {
    client.patch(&format!("/clusters/{cluster}"), json!({ "delete_protection": protection })).ok();
}

/// The number of clusters that were deleted because they had expired.
fn expired(client: &Client) -> f64 {
    let answer = client.raw("GET", "/metrics").send();
    let text = String::from_utf8_lossy(&answer.bytes).into_owned();
    let value = text.lines().find_map(|line| line.strip_prefix("ootheca_clusters_expired_total "));
    value.and_then(|number| number.parse().ok()).expect("the series")
}

/// The entries of the audit log that the deletion of a cluster has left.
fn deletions(client: &Client, cluster: &str) -> Vec<Value> {
    let is_deletion = |entry: &Value| {
        entry["action"] == "AUDIT_LOG_ACTION_DELETE_CLUSTER" && entry["cluster_id"] == cluster
    };
    audit_log(client).into_iter().filter(is_deletion).collect()
}

#[test]
fn expired_clusters_are_deleted_and_others_are_kept() {
    let mut server = launch(Engine::Simulated).boot();
    let source = furnish(&server, Engine::Simulated, "source-cluster");
    let soon = later(&server, 3600);
    let plain = create(&server, "plain-cluster", &soon);
    let copy = clone(&server, "some-clone", &source, &soon);
    let kept = create(&server, "kept-cluster", &later(&server, 24 * 3600));
    assert_eq!(expired(&server), 0.0);
    // It is kept across a restart.
    server.restart();
    advance(&server, HOUR);
    for cluster in [&plain, &copy] {
        is_deleted(&server, cluster);
        let shown = server.get(&format!("/clusters/{cluster}"));
        assert!(time(&shown.ok()["deleted_at"]) >= time(&json!(soon)), "{shown}");
        let entries = deletions(&server, cluster);
        assert_eq!(entries.len(), 1, "{entries:#?}");
        assert_eq!(entries[0]["source"], "AUDIT_LOG_SOURCE_INTERNAL", "{entries:#?}");
        assert!(entries[0].get("error").is_none_or(Value::is_null), "{entries:#?}");
    }
    assert_eq!(expired(&server), 2.0);
    assert_eq!([state(&server, &source), state(&server, &kept)], ["CREATED", "CREATED"]);
    advance(&server, DAY);
    is_deleted(&server, &kept);
    assert_eq!(state(&server, &source), "CREATED");
}

#[test]
fn a_protected_cluster_is_deleted_when_its_protection_ends() {
    let server = launch(Engine::Simulated).boot();
    let soon = later(&server, 3600);
    let kept = create(&server, "kept-cluster", &soon);
    let others = [("first-cluster", soon), ("later-cluster", later(&server, 7200))]
        .map(|(name, expires_at)| create(&server, name, &expires_at));
    protect(&server, &kept, "ENABLED");
    // Another one that expires later was deleted, so the server has decided about this one before.
    for other in &others {
        advance(&server, HOUR);
        is_deleted(&server, other);
    }
    assert_eq!(state(&server, &kept), "CREATED");
    protect(&server, &kept, "DISABLED");
    is_deleted(&server, &kept);
}

#[test]
fn a_deleted_cluster_does_not_expire() {
    let server = launch(Engine::Simulated).boot();
    let soon = later(&server, 3600);
    let deleted = create(&server, "deleted-cluster", &soon);
    let witness = create(&server, "witness-cluster", &soon);
    server.delete(&format!("/clusters/{deleted}")).ok();
    advance(&server, HOUR);
    is_deleted(&server, &witness);
    assert_eq!(deletions(&server, &deleted).len(), 1);
    assert_eq!(expired(&server), 1.0);
}

#[test]
fn nothing_is_left_of_an_expired_clone() {
    let server = launch(Engine::Postgres).boot();
    let source = furnish(&server, Engine::Postgres, "source-cluster");
    let copy = clone(&server, "some-clone", &source, &later(&server, 3600));
    let mut session = server.session(&copy, "keeper", PASSWORD);
    session.run("UPDATE kept SET n = 8").expect("updated");
    advance(&server, HOUR);
    is_deleted(&server, &copy);
    nothing_else_is_left(&server, 1);
    session.run("SELECT 1").expect_err("the session has ended");
    assert_eq!(run(&server, &source, "SELECT n FROM kept"), "7");
    // The name is free.
    let again = request_clone(&server, "some-clone", json!({ "source_cluster_id": source }));
    server.when_created(&id(again.ok()));
}
