//! Requests for clones, and for clusters that expire, that are refused.

use super::{basic, request_clone};
use crate::{
    backups::shared::{HOUR, backups, boot, database, furnish, now, take_backup},
    restores::point_in_time::shifted,
    support::{column, id},
};
use ootheca_testkit::{Answer, Engine, Ootheca};
use serde_json::{Value, json};

/// Asserts that a request violates a rule of a field, with a message that ends with `rule`.
#[track_caller]
fn invalid(answer: &Answer, field: &str, rule: &str) {
    let message = answer.refused(400);
    assert!(message.contains(field) && message.ends_with(rule), "{field}: {answer}");
    assert_eq!(answer.body["code"], 3, "{field}: {answer}");
}

#[track_caller]
fn only_exists(server: &Ootheca, names: &[&str]) {
    assert_eq!(column(&server.get("/clusters").ok()["clusters"], "name"), names);
}

#[test]
fn refusals_name_the_field_and_the_rule() {
    let server = boot(Engine::Simulated);
    let source = furnish(&server, Engine::Simulated, "source-cluster");
    let other = id(&server.create_cluster("other-cluster", "STANDARD"));
    take_backup(&server, &source, HOUR);
    database(&server, &source, "later");
    take_backup(&server, &source, HOUR);
    let listed = backups(&server, &source);
    let (oldest, newest) = (&listed[0], &listed[listed.len() - 1]);
    let moment = shifted(oldest, 60);
    let bounds = "the times of the oldest and the newest backup";
    let cases = [
        (json!({}), "source_cluster_id", ""),
        (json!({ "point_in_time": moment }), "source_cluster_id", ""),
        (json!({ "source_cluster_id": other, "backup_id": oldest["id"] }), "backup_id", ""),
        (
            json!({ "source_cluster_id": source, "backup_id": oldest["id"], "point_in_time": moment }),
            "point_in_time",
            "can't be combined with backup_id",
        ),
        (
            json!({ "source_cluster_id": source, "point_in_time": shifted(oldest, -60) }),
            "point_in_time",
            bounds,
        ),
        (
            json!({ "source_cluster_id": source, "point_in_time": shifted(newest, 60) }),
            "point_in_time",
            bounds,
        ),
        (json!({ "source_cluster_id": source, "point_in_time": "noon" }), "point_in_time", ""),
        (json!({ "source_cluster_id": source, "masking_database": "app" }), "masking_database", ""),
        (
            json!({ "source_cluster_id": source, "masking_sql": "SELECT 1", "masking_database": "postgres" }),
            "masking_database",
            "",
        ),
    ];
    for (from, field, rule) in cases {
        invalid(&request_clone(&server, "some-clone", from), field, rule);
    }
    let body = |more: Value| {
        let mut body = json!({ "name": "some-clone", "restore_from": { "source_cluster_id": source } });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    invalid(&server.post("/clusters", body(json!({ "provider": "GCP" }))), "spec", "");
    invalid(&server.post("/clusters", body(json!({ "spec": basic() }))), "provider", "");
    invalid(&server.post("/clusters", body(json!({ "name": "a clone" }))), "name", "");
    only_exists(&server, &["other-cluster", "source-cluster"]);
}

#[test]
fn an_expiry_is_in_the_future_and_not_for_protected_clusters() {
    let server = boot(Engine::Simulated);
    let source = furnish(&server, Engine::Simulated, "source-cluster");
    let past = now(&server);
    let mut protected = basic();
    protected["delete_protection"] = "ENABLED".into();
    let future = "2999-01-01T00:00:00Z";
    let create = |expires_at: &str, spec: &Value| {
        let mut body = json!({ "name": "some-cluster", "provider": "GCP", "spec": spec });
        body["expires_at"] = expires_at.into();
        server.post("/clusters", body)
    };
    let clone = |expires_at: &str| {
        let from = json!({ "source_cluster_id": source });
        let body = json!({ "name": "some-clone", "restore_from": from, "expires_at": expires_at });
        server.post("/clusters", body)
    };
    invalid(&create(&past, &basic()), "expires_at", "must be in the future");
    invalid(&clone(&past), "expires_at", "must be in the future");
    invalid(&create(future, &protected), "expires_at", "can't be combined with delete_protection ENABLED");
    invalid(&create("tomorrow", &basic()), "expires_at", "");
    only_exists(&server, &["source-cluster"]);
}
