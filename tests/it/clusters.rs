//! Clusters: invalid requests, and the contents of lists.

mod nodes;

use crate::support::{column, id, simulated};
use ootheca_testkit::Ootheca;
use serde_json::{Value, json};

fn basic(name: &str) -> Value {
    json!({ "name": name, "provider": "GCP", "spec": { "plan": "BASIC", "serverless": { "regions": ["us-central1"] } } })
}

/// `basic` with one member changed; `null` removes it.
fn with(pointer: &str, value: Value) -> Value {
    let mut body = basic("some-cluster");
    let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
    let parent = body.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
    match value {
        Value::Null => parent.remove(member),
        value => parent.insert(member.to_owned(), value),
    };
    body
}

#[test]
fn refusals_name_the_field_and_the_rule() {
    let server = simulated();
    let limits = |limits: Value| with("/spec/serverless/usage_limits", limits);
    let cases = [
        (with("/name", Value::Null), "name"),
        (with("/name", json!("short")), "name"),
        (with("/name", json!("UPPER-CASE")), "name"),
        (with("/name", json!("has blanks")), "name"),
        (with("/name", json!("-begins-badly")), "name"),
        (with("/name", json!("x".repeat(60))), "name"),
        (with("/provider", Value::Null), "provider"),
        (with("/provider", json!("AZURE")), "provider"),
        (with("/provider", json!("MARS")), "provider"),
        (with("/spec", Value::Null), "spec"),
        (with("/spec/plan", json!("ADVANCED")), "plan"),
        (with("/spec/plan", json!("SERVERLESS")), "plan"),
        (with("/spec/plan", json!("STANDARD")), "serverless.usage_limits.provisioned_virtual_cpus"),
        (with("/spec/serverless/regions", json!([])), "regions"),
        (with("/spec/serverless/regions", json!(["atlantis1"])), "regions"),
        (with("/spec/serverless/regions", json!(["us-central1", "us-west2"])), "primary_region"),
        (with("/spec/serverless/upgrade_type", json!("MANUAL")), "upgrade_type"),
        (limits(json!({ "request_unit_limit": "0" })), "request_unit_limit"),
        (limits(json!({ "storage_mib_limit": "-1" })), "storage_mib_limit"),
        (limits(json!({ "storage_mib_limit": "many" })), "storage_mib_limit"),
        (limits(json!({ "provisioned_virtual_cpus": "2" })), "provisioned_virtual_cpus"),
        (with("/spec/labels", json!({ "Upper": "x" })), "labels"),
        (with("/spec/parent_id", json!("nowhere")), "parent"),
        (with("/spec/delete_protection", json!("MAYBE")), "delete_protection"),
        (with("/name", json!(12)), "name"),
    ];
    for (body, field) in cases {
        let answer = server.post("/clusters", body.clone());
        let message = answer.refused(400);
        assert!(message.contains(field), "{body}: {message:?} does not name {field}");
        assert_eq!(answer.body["code"], 3, "{answer}");
    }
    assert_eq!(
        server.get("/clusters?show_inactive=true").ok()["clusters"],
        json!([]),
        "no cluster was created"
    );
}

#[test]
fn names_are_unique_among_active_clusters() {
    let server = simulated();
    let first = id(server.post("/clusters", basic("some-cluster")).ok());
    let answer = server.post("/clusters", basic("some-cluster"));
    answer.refused(409);
    assert_eq!(answer.body["code"], 6);
    server.delete(&format!("/clusters/{first}")).ok();
    let second = server.post("/clusters", basic("some-cluster"));
    assert_eq!(second.status, 200, "{second}");
    server.delete(&format!("/clusters/{first}")).refused(404);
    server.patch(&format!("/clusters/{first}"), json!({ "labels": {} })).refused(404);
    let all = server.get("/clusters?show_inactive=true");
    assert_eq!(all.ok()["clusters"].as_array().map(Vec::len), Some(2));
}

#[test]
fn regions_and_versions_in_the_newest_dialect() {
    let server = simulated();
    let regions = server.get("/clusters/available-regions?provider=GCP&serverless=true");
    for region in regions.ok()["regions"].as_array().expect("a list") {
        assert_eq!((&region["provider"], &region["serverless"]), (&json!("GCP"), &json!(true)));
        assert!(
            region["name"].is_string() && region["location"].is_string() && region["distance"].is_number()
        );
    }
    let needed = ["us-central1", "us-east1", "us-west2", "europe-west1"];
    let names = column(&regions.body["regions"], "name");
    assert!(needed.iter().all(|name| names.iter().any(|known| known == name)), "{names:?}");
    let versions = server.get("/cluster-versions");
    assert_eq!(column(&versions.ok()["versions"], "version"), ["v25.4", "v25.2", "v25.1"], "newest first");
    assert_eq!(versions.body["versions"][1]["allowed_upgrades"], json!(["v25.4"]));
    server.get("/clusters/available-regions?provider=MARS").refused(400);
}

#[test]
fn updates_keep_omitted_members() {
    let server = simulated();
    let made = server.create_cluster("some-cluster", "STANDARD");
    let path = format!("/clusters/{}", id(&made));
    let patch = |body: Value| server.patch(&path, body);
    for nothing in
        [json!({}), json!({ "plan": "STANDARD" }), json!({ "unknown": 1 }), json!({ "parent_id": "root" })]
    {
        let mut after = patch(nothing.clone()).ok().clone();
        after["updated_at"] = made["updated_at"].clone();
        assert_eq!(after, made, "{nothing}");
    }
    patch(json!({ "labels": { "team": "storage" } })).ok();
    let after = patch(json!({ "serverless": { "usage_limits": { "provisioned_virtual_cpus": "8" } } }));
    assert_eq!(after.ok()["labels"], json!({ "team": "storage" }));
    assert_eq!(after.body["config"]["serverless"]["usage_limits"]["provisioned_virtual_cpus"], "8");
    for (body, status) in [
        (json!({ "serverless": { "usage_limits": {} } }), 400),
        (json!({ "serverless": { "usage_limits": { "provisioned_virtual_cpus": "201" } } }), 400),
        (json!({ "serverless": { "regions": ["us-west2"] } }), 400),
        (json!({ "dedicated": {} }), 400),
        (json!({ "plan": "ADVANCED" }), 400),
        (json!({ "cockroach_version": "v25.2", "labels": {} }), 400),
        (json!({ "upgrade_status": "FINALIZED" }), 400),
    ] {
        assert_eq!(patch(body.clone()).status, status, "{body}");
    }
    patch(json!({ "plan": "BASIC", "serverless": { "usage_limits": {} } })).ok();
    let answer = patch(
        json!({ "plan": "STANDARD", "serverless": { "usage_limits": { "provisioned_virtual_cpus": "2" } } }),
    );
    assert!(answer.refused(400).contains("48 hours"), "{answer}");
}

#[test]
fn a_cluster_with_manual_upgrades_cannot_be_changed_to_basic() {
    let server = simulated();
    let limits = json!({ "provisioned_virtual_cpus": "2" });
    let serverless = json!({ "regions": ["us-central1"], "usage_limits": limits, "upgrade_type": "MANUAL" });
    let spec = json!({ "plan": "STANDARD", "serverless": serverless });
    let body = json!({ "name": "some-cluster", "provider": "GCP", "spec": spec });
    let path = format!("/clusters/{}", id(server.post("/clusters", body).ok()));
    let basic = json!({ "plan": "BASIC", "serverless": { "usage_limits": {} } });
    let refused = server.patch(&path, basic.clone());
    assert!(refused.refused(400).contains("plan type BASIC does not allow upgrade_type MANUAL"), "{refused}");
    assert_eq!(server.get(&path).ok()["plan"], "STANDARD");
    server.patch(&path, json!({ "serverless": { "upgrade_type": "AUTOMATIC" } })).ok();
    assert_eq!(server.patch(&path, basic).ok()["config"]["serverless"]["upgrade_type"], "AUTOMATIC");
}

#[test]
fn concurrent_updates_are_all_applied() {
    let server = simulated();
    let path =
        format!("/clusters/{}/networking/allowlist", id(&server.create_cluster("some-cluster", "BASIC")));
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (client, path) = (server.client().clone(), &path);
            scope.spawn(move || {
                for m in 0..4 {
                    let body = json!({ "cidr_ip": format!("10.{n}.{m}.0"), "cidr_mask": 24, "sql": true, "ui": false });
                    client.post(path, body).ok();
                }
            });
        }
    });
    assert_eq!(server.get(&path).ok()["allowlist"].as_array().map(Vec::len), Some(33));
}

#[test]
fn concurrent_creations_with_the_same_name_succeed_once() {
    let server = simulated();
    let made: Vec<u16> = std::thread::scope(|scope| {
        let client = server.client();
        let calls: Vec<_> =
            (0..6).map(|_| scope.spawn(|| client.post("/clusters", basic("some-cluster")).status)).collect();
        calls.into_iter().map(|call| call.join().expect("an answer")).collect()
    });
    assert_eq!(made.iter().filter(|status| **status == 200).count(), 1, "{made:?}");
    assert!(made.iter().all(|status| [200, 409].contains(status)), "{made:?}");
    one_entry_each(&server, made.len());
}

fn one_entry_each(server: &Ootheca, calls: usize) {
    let entries = crate::support::audit_log(server);
    let creations = entries.iter().filter(|entry| entry["action"] == "AUDIT_LOG_ACTION_CREATE_CLUSTER");
    let (good, bad): (Vec<&Value>, Vec<&Value>) = creations.partition(|entry| entry.get("error").is_none());
    assert_eq!((good.len(), bad.len()), (1, calls - 1));
}

#[test]
fn the_document_describes_all_operations() {
    let server = simulated();
    let answer = server.anonymous().raw("GET", "/api/v1/openapi.json").send();
    let paths = answer.ok()["paths"].as_object().expect("paths").clone();
    let methods: Vec<&Value> =
        paths.values().flat_map(|path| path.as_object().into_iter().flatten()).map(|(_, v)| v).collect();
    let operations = methods.iter().filter(|value| value.get("operationId").is_some());
    let (extensions, official): (Vec<&Value>, Vec<&Value>) =
        operations.partition(|value| value["x-extension"] == true);
    assert_eq!((official.len(), extensions.len()), (144, 18));
    let later = methods.iter().filter(|value| value["x-unimplemented"] == true).count();
    assert!(later > 0 && later < 144, "{later}");
}
