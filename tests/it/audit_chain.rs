//! The hash chain of the audit log, which `ootheca audit verify` checks, and the entries of refused calls.

use crate::support::{PASSWORD, PROGRAM, audit_log, id, simulated, trace};
use ootheca_testkit::{Ootheca, ServerBuilder, postgres::TemporaryPostgres};
use rusqlite::Connection;
use serde_json::{Value, json};

/// Runs `ootheca audit verify --json`. Returns whether it succeeded, and its output.
#[track_caller]
fn verify(server: &Ootheca, more: &[&str]) -> (bool, Value) {
    let output = server.run(&[&["audit", "verify", "--json"], more].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    let said = serde_json::from_str(&text);
    let said =
        said.unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.success(), said)
}

fn some_history(server: &Ootheca) -> String {
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    let users = format!("/clusters/{cluster}/sql-users");
    // The outcome is recorded after the entry is written, so there are two links.
    server.post(&users, json!({ "name": "maxroach", "password": PASSWORD })).ok();
    server.post(&users, json!({ "name": "maxroach", "password": PASSWORD })).refused(409);
    cluster
}

fn head(said: &Value) -> String {
    let head = &said["chains"][0]["head"];
    format!("{}:{}", head["sequence"], head["hash"].as_str().expect("a hash"))
}

fn change(server: &Ootheca, sql: &str) {
    let store = Connection::open(server.data_dir().join("store.db")).expect("the store opens");
    store.execute_batch(sql).expect("the statement runs");
}

#[test]
fn the_chain_is_verified_with_and_without_a_running_server() {
    let mut server = simulated();
    some_history(&server);
    let (whole, said) = verify(&server, &[]);
    assert!(whole && said["whole"] == true, "{said:#}");
    assert!(said["chains"][0]["outcomes"].as_u64() >= Some(2), "{said:#}");
    let entries = audit_log(&server);
    assert_eq!(said["chains"][0]["entries"], entries.len());
    let noted = head(&said);
    server.delete("/service-accounts/6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f").refused(404);
    server.terminate();
    let (whole, said) = verify(&server, &["--anchor", &noted]);
    assert!(whole, "{said:#}");
    assert_ne!(head(&said), noted);

    change(&server, "UPDATE audit SET document = replace(document, 'some-cluster', 'any-cluster')");
    let (whole, said) = verify(&server, &[]);
    assert!(!whole && said["chains"][0]["faults"] != json!([]), "{said:#}");
    let plain = server.run(&["audit", "verify"]);
    let text = String::from_utf8_lossy(&plain.stdout);
    assert!(!plain.status.success() && text.contains("does not match its hash"), "{text}");
}

#[test]
fn a_truncated_log_is_detected_with_a_recorded_head() {
    let mut server = simulated();
    some_history(&server);
    let noted = head(&verify(&server, &[]).1);
    server.terminate();
    let last = "(SELECT MAX(sequence) FROM audit)";
    change(
        &server,
        &format!(
            "DELETE FROM audit WHERE sequence >= {last}; DELETE FROM audit_outcomes WHERE sequence > {last}"
        ),
    );
    assert!(!verify(&server, &[]).0, "the recorded head does not match");
    let (whole, said) = verify(&server, &["--anchor", &noted]);
    assert!(!whole && said["lost_anchors"][0]["sequence"].is_i64(), "{said:#}");
    server.start();
}

#[test]
fn the_chain_is_verified_in_postgresql() {
    let postgres = TemporaryPostgres::start();
    let server = ServerBuilder::new(PROGRAM).store(&postgres.url()).boot();
    some_history(&server);
    let (whole, said) = verify(&server, &["--store", &postgres.url()]);
    assert!(whole && said["chains"][0]["entries"].as_u64() >= Some(3), "{said:#}");
}

#[test]
fn a_missing_store_is_not_created() {
    let mut server = simulated();
    server.terminate();
    let nowhere = server.data_dir().join("nowhere");
    let output = server.run(&["audit", "verify", "--data-dir", nowhere.to_str().expect("a path")]);
    assert!(!output.status.success() && !nowhere.exists());
    server.start();
}

#[test]
fn refused_calls_have_an_entry_with_the_reason() {
    let server = simulated();
    let cluster = some_history(&server);
    let nobody = server.with_key(&server.new_key(&[]));
    let missing = "/clusters/6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f";
    let spec = json!({ "plan": "BASIC", "serverless": { "regions": ["us-central1"] } });
    let same = json!({ "name": "some-cluster", "provider": "GCP", "spec": spec });
    let refused = [
        (nobody.post("/clusters", json!({})), 403, "CREATE_CLUSTER", "no permission"),
        (server.request("POST", "/clusters").data("not json").send(), 400, "CREATE_CLUSTER", "body"),
        (server.post("/clusters", json!({ "name": "x" })), 400, "CREATE_CLUSTER", "spec"),
        (server.post("/clusters", same), 409, "CREATE_CLUSTER", "exist"),
        (server.delete(missing), 404, "DELETE_CLUSTER", "cluster does not exist"),
        (server.delete("/clusters/no-id"), 404, "DELETE_CLUSTER", "cluster does not exist"),
        (
            nobody.patch(&format!("/clusters/{cluster}"), json!({ "delete_protection": "ENABLED" })),
            403,
            "SET_DELETE_PROTECTION",
            "no permission",
        ),
        (
            server.patch(&format!("/clusters/{cluster}"), json!({ "upgrade_status": "FINALIZED" })),
            400,
            "FINALIZE_CLUSTER_MAJOR_VERSION_UPDATE",
            "upgrade_status",
        ),
    ];
    let log = audit_log(&server);
    for (answer, status, action, why) in &refused {
        let message = answer.refused(*status);
        assert!(message.contains(why), "{answer}");
        let entries: Vec<&Value> =
            log.iter().filter(|entry| entry["trace_id"] == json!(trace(answer))).collect();
        assert_eq!(entries.len(), 1, "{answer}");
        assert_eq!(entries[0]["action"], format!("AUDIT_LOG_ACTION_{action}"), "{answer}");
        assert_eq!(entries[0]["error"], message, "{answer}");
    }
}

#[test]
fn entries_contain_the_source_of_the_call() {
    let server = simulated();
    let body = json!({ "name": "robot", "description": "", "roles": [] });
    for (agent, source) in [("ootheca/0.1.0", "CLI"), ("curl/8.0", "CC_API")] {
        let answer =
            server.request("POST", "/service-accounts").header("user-agent", agent).json(&body).send();
        answer.ok();
        let log = audit_log(&server);
        let entry = log.iter().find(|entry| entry["trace_id"] == json!(trace(&answer))).expect("an entry");
        assert_eq!(entry["source"], format!("AUDIT_LOG_SOURCE_{source}"));
    }
}
