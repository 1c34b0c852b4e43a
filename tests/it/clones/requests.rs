//! Dry runs, idempotency keys, the audit log, and events of clones.

use super::{job, request_clone};
use crate::{
    backups::shared::{documents, furnish},
    events::{Events, count},
    support::{audit_log, column, id, simulated, trace},
};
use ootheca_store::Kind;
use ootheca_testkit::{Engine, Ootheca};
use serde_json::{Value, json};

/// The maximum length of a payload in the audit log in bytes.
const LONGEST: usize = 8 * 1024;

fn names(server: &Ootheca) -> Vec<String> {
    column(&server.get("/clusters").ok()["clusters"], "name")
}

/// The body of a request for a clone.
fn body(source: &str) -> Value {
    json!({ "name": "some-clone", "restore_from": { "source_cluster_id": source } })
}

#[test]
fn a_dry_run_creates_no_clone() {
    let server = simulated();
    let source = furnish(&server, Engine::Simulated, "source-cluster");
    let path = "/clusters?dry_run=true";
    let entries = audit_log(&server).len();
    let dry = server.post(path, body(&source));
    assert_eq!((&dry.ok()["state"], &dry.body["plan"]), (&json!("CREATING"), &json!("STANDARD")), "{dry}");
    assert_eq!(dry.header("ootheca-dry-run"), Some("true"));
    let clone = id(&dry.body);
    server.get(&format!("/clusters/{clone}")).refused(404);
    assert!(documents(&server, Kind::Restore, &clone).is_empty());
    assert_eq!((names(&server), audit_log(&server).len()), (vec!["source-cluster".to_owned()], entries));
    let unknown = "6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f";
    server.post(path, body(unknown)).refused(404);
    let real = server.post("/clusters", body(&source));
    server.when_created(&id(real.ok()));
}

#[test]
fn a_key_creates_one_clone() {
    let server = simulated();
    let source = furnish(&server, Engine::Simulated, "source-cluster");
    let send = |body: &Value| {
        server.request("POST", "/clusters").header("idempotency-key", "some-key").json(body).send()
    };
    let first = send(&body(&source));
    let clone = id(first.ok());
    let again = send(&body(&source));
    assert_eq!((again.status, &again.bytes), (200, &first.bytes), "{first}, but then {again}");
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let mut other = body(&source);
    other["restore_from"]["masking_sql"] = "SELECT 1".into();
    send(&other).refused(409);
    assert_eq!(names(&server), ["some-clone", "source-cluster"]);
    assert_eq!(job(&server, &clone)["status"], "SUCCESS");
}

#[test]
fn clones_are_in_the_audit_log() {
    let server = simulated();
    let source = furnish(&server, Engine::Simulated, "source-cluster");
    let entries = audit_log(&server).len();
    let refused = request_clone(&server, "some-clone", json!({}));
    refused.refused(400);
    let made = server.post("/clusters", body(&source));
    server.when_created(&id(made.ok()));
    let long = "SELECT 1; ".repeat(2000);
    let from = json!({ "source_cluster_id": source, "masking_sql": long });
    let capped = request_clone(&server, "long-clone", from);
    capped.ok();
    let log = audit_log(&server);
    let new = &log[entries..];
    assert_eq!(new.len(), 3, "the server's own steps are not in it: {new:#?}");
    for (entry, answer) in new.iter().zip([&refused, &made, &capped]) {
        assert_eq!(entry["action"], "AUDIT_LOG_ACTION_CREATE_CLUSTER");
        assert_eq!(entry["trace_id"], json!(trace(answer)));
        assert_eq!(entry["error"].is_string(), answer.status != 200, "{entry:#}");
        assert!(entry["payload"].as_str().is_some_and(|payload| payload.len() <= LONGEST), "{entry:#}");
    }
    assert_eq!(new[1]["cluster_id"], made.body["id"]);
    let payload: Value = serde_json::from_str(new[1]["payload"].as_str().expect("a text")).expect("JSON");
    assert_eq!(payload["request"], body(&source));
}

#[test]
fn the_creation_of_a_clone_is_an_event() {
    let server = simulated();
    let source = furnish(&server, Engine::Simulated, "source-cluster");
    let mut events = Events::open(&server, &server.admin_key(), "", "");
    let made = server.post("/clusters", body(&source));
    let clone = id(made.ok());
    server.when_created(&clone);
    server.delete(&format!("/clusters/{clone}")).ok();
    let all = events.until(|event| event.is("cluster", &clone, "deleted"));
    let created: Vec<_> = all.iter().filter(|event| event.is("cluster", &clone, "created")).collect();
    assert_eq!(created.len(), 1, "{all:#?}");
    assert_eq!(created[0].data["trace_id"], trace(&made));
    assert!(count(&all, "cluster", &clone, "changed") > 0, "it is CREATED later: {all:#?}");
}
