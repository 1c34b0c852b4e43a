//! ADVANCED clusters with several nodes: creation, scaling, and the list of nodes.

use crate::support::{audit_log, column, id, simulated};
use ootheca_testkit::{Ootheca, eventually};
use serde_json::{Value, json};

fn advanced(name: &str, provider: &str, region_nodes: Value) -> Value {
    let hardware = json!({ "machine_spec": { "num_virtual_cpus": 4 }, "storage_gib": 15 });
    let dedicated = json!({ "region_nodes": region_nodes, "hardware": hardware });
    json!({ "name": name, "provider": provider, "spec": { "plan": "ADVANCED", "dedicated": dedicated } })
}

fn resized(region_nodes: Value) -> Value {
    json!({ "dedicated": { "region_nodes": region_nodes } })
}

/// Creates a cluster and waits until it is CREATED. Returns its path.
#[track_caller]
fn created(server: &Ootheca, name: &str, region_nodes: Value) -> String {
    let id = id(server.post("/clusters", advanced(name, "GCP", region_nodes)).ok());
    server.when_created(&id);
    format!("/clusters/{id}")
}

/// Scales a cluster, which is LOCKED meanwhile. Returns it once it is CREATED.
#[track_caller]
fn scaled(server: &Ootheca, path: &str, region_nodes: Value) -> Value {
    let answer = server.patch(path, resized(region_nodes));
    answer.ok();
    server.when_created(&answer.text("/id"))
}

/// The nodes of a cluster once all of them are LIVE.
fn live_nodes(server: &Ootheca, path: &str, count: usize) -> Vec<Value> {
    eventually("all nodes are LIVE", || {
        let answer = server.get(&format!("{path}/nodes"));
        let nodes = answer.ok()["nodes"].as_array().expect("a list").clone();
        (nodes.len() == count && nodes.iter().all(|node| node["status"] == "LIVE")).then_some(nodes)
    })
}

/// The numbers of nodes, such as `n1`.
fn numbers(nodes: &[Value]) -> Vec<String> {
    let names = column(&json!(nodes), "name");
    names.iter().map(|name| name.rsplit('-').next().unwrap_or_default().to_owned()).collect()
}

fn roles(nodes: &[Value], role: &str) -> usize {
    nodes.iter().filter(|node| node["ootheca"]["role"] == role).count()
}

#[test]
fn a_cluster_with_three_nodes_has_a_primary_and_two_standbys() {
    let server = simulated();
    let path = created(&server, "three-nodes", json!({ "us-east1": 3 }));
    let nodes = live_nodes(&server, &path, 3);
    assert_eq!(numbers(&nodes), ["n1", "n2", "n3"]);
    assert_eq!((roles(&nodes, "PRIMARY"), roles(&nodes, "STANDBY")), (1, 2), "{nodes:?}");
    let mut zones: Vec<&Value> = nodes.iter().map(|node| &node["ootheca"]["zone"]).collect();
    zones.dedup();
    assert_eq!(zones.len(), 3, "{nodes:?}");
    let standbys = nodes.iter().filter(|node| node["ootheca"]["role"] == "STANDBY");
    assert!(standbys.clone().all(|node| node["ootheca"]["lag_bytes"] == "0"), "{nodes:?}");
    let cluster = server.get(&path);
    assert_eq!(cluster.ok()["regions"][0]["node_count"], 3);
    // Users and databases work as with one node.
    server.post(&format!("{path}/databases"), json!({ "name": "orders" })).ok();
    assert_eq!(server.delete(&path).ok()["state"], "DELETED");
}

#[test]
fn nodes_of_two_regions_are_listed_by_region_and_can_be_filtered() {
    let server = simulated();
    let path = created(&server, "two-regions", json!({ "us-west2": 3, "us-east1": 3 }));
    let nodes = live_nodes(&server, &path, 6);
    let regions = column(&json!(nodes), "region_name");
    assert_eq!(regions, ["us-east1", "us-east1", "us-east1", "us-west2", "us-west2", "us-west2"]);
    let filtered = server.get(&format!("{path}/nodes?region_name=us-west2"));
    assert_eq!(filtered.ok()["nodes"], json!(nodes[3..]));
    let cluster = server.get(&path);
    assert_eq!(column(&cluster.ok()["regions"], "name"), ["us-east1", "us-west2"]);
    assert_eq!(cluster.body["regions"][1]["node_count"], 3);
}

#[test]
fn numbers_of_nodes_that_no_cluster_can_have_are_refused() {
    let server = simulated();
    let rule = "dedicated.region_nodes: must be 1 node in one region, or at least 3 nodes in each region";
    let empty = "dedicated.region_nodes: must contain a region with at least one node";
    let cases = [
        ("GCP", json!({ "us-east1": 2 }), rule),
        ("GCP", json!({ "us-east1": 1, "us-west2": 1 }), rule),
        ("GCP", json!({ "us-east1": 3, "us-west2": 2 }), rule),
        ("GCP", json!({}), empty),
        ("GCP", json!({ "us-east1": 0 }), empty),
        ("AZURE", json!({ "eastus": 1 }), "dedicated.region_nodes: must be at least 3 on AZURE"),
        ("GCP", json!({ "us-east1": 10 }), "dedicated.region_nodes: at most 9 nodes are supported"),
        ("GCP", json!({ "atlantis1": 3 }), "\"atlantis1\" is not a region of GCP"),
    ];
    for (provider, region_nodes, expected) in cases {
        let answer = server.post("/clusters", advanced("some-cluster", provider, region_nodes.clone()));
        let message = answer.refused(400);
        assert!(message.contains(expected), "{region_nodes}: {message}");
    }
    assert_eq!(server.get("/clusters").ok()["clusters"], json!([]), "no cluster was created");
}

#[test]
fn a_cluster_with_one_node_can_get_three() {
    let server = simulated();
    let path = created(&server, "one-to-three", json!({ "us-east1": 1 }));
    assert_eq!(numbers(&live_nodes(&server, &path, 1)), ["n1"]);
    let answer = server.patch(&path, resized(json!({ "us-east1": 2 })));
    assert!(answer.refused(400).contains("at least 3 nodes in each region"), "{answer}");
    let cluster = scaled(&server, &path, json!({ "us-east1": 3 }));
    assert_eq!(cluster["regions"][0]["node_count"], 3);
    let nodes = live_nodes(&server, &path, 3);
    assert_eq!(numbers(&nodes), ["n1", "n2", "n3"]);
    assert_eq!(roles(&nodes, "PRIMARY"), 1, "{nodes:?}");
    let answer = server.patch(&path, resized(json!({ "us-east1": 1 })));
    assert!(answer.refused(400).contains("dedicated.region_nodes: can't be decreased to 1 node"), "{answer}");
}

#[test]
fn a_node_is_added_and_removed() {
    let server = simulated();
    let path = created(&server, "scaled-cluster", json!({ "us-east1": 3 }));
    server.post(&format!("{path}/databases"), json!({ "name": "orders" })).ok();
    let answer = server.patch(&path, resized(json!({ "us-east1": 4 })));
    assert_eq!(answer.ok()["state"], "LOCKED");
    assert_eq!(answer.body["operation_status"], "CRDB_SCALE_RUNNING");
    server.when_created(&answer.text("/id"));
    assert_eq!(numbers(&live_nodes(&server, &path, 4)), ["n1", "n2", "n3", "n4"]);
    scaled(&server, &path, json!({ "us-east1": 3 }));
    assert_eq!(numbers(&live_nodes(&server, &path, 3)), ["n1", "n2", "n3"]);
    // A number is never used again.
    scaled(&server, &path, json!({ "us-east1": 4 }));
    assert_eq!(numbers(&live_nodes(&server, &path, 4)), ["n1", "n2", "n3", "n5"]);
    let databases = server.get(&format!("{path}/databases"));
    assert_eq!(column(&databases.ok()["databases"], "name"), ["defaultdb", "orders"]);
    // One for the database, and one for each change of the nodes. The primary stayed the same.
    let mut updates = audit_log(&server);
    updates.retain(|entry| entry["action"] == "AUDIT_LOG_ACTION_UPDATE_CLUSTER");
    assert_eq!(updates.len(), 4, "{updates:#?}");
    assert!(updates.iter().all(|entry| entry["source"] == "AUDIT_LOG_SOURCE_CC_API"), "{updates:#?}");
}

#[test]
fn a_region_is_added_and_removed() {
    let server = simulated();
    let path = created(&server, "moving-cluster", json!({ "us-east1": 3 }));
    let cluster = scaled(&server, &path, json!({ "us-east1": 3, "us-west2": 3 }));
    assert_eq!(column(&cluster["regions"], "name"), ["us-east1", "us-west2"]);
    assert_eq!(numbers(&live_nodes(&server, &path, 6)), ["n1", "n2", "n3", "n4", "n5", "n6"]);
    let cluster = scaled(&server, &path, json!({ "us-east1": 3 }));
    assert_eq!(column(&cluster["regions"], "name"), ["us-east1"]);
    assert_eq!(numbers(&live_nodes(&server, &path, 3)), ["n1", "n2", "n3"]);
}

#[test]
fn another_region_gets_the_primary_if_its_region_is_removed() {
    let server = simulated();
    let path = created(&server, "moving-primary", json!({ "us-east1": 3, "us-west2": 3 }));
    server.post(&format!("{path}/databases"), json!({ "name": "orders" })).ok();
    scaled(&server, &path, json!({ "us-west2": 3 }));
    let nodes = live_nodes(&server, &path, 3);
    assert_eq!(numbers(&nodes), ["n4", "n5", "n6"]);
    assert_eq!(roles(&nodes, "PRIMARY"), 1, "{nodes:?}");
    let databases = server.get(&format!("{path}/databases"));
    assert_eq!(column(&databases.ok()["databases"], "name"), ["defaultdb", "orders"]);
}

#[test]
fn a_request_that_changes_nothing_neither_locks_the_cluster_nor_changes_it() {
    let server = simulated();
    let path = created(&server, "same-cluster", json!({ "us-east1": 3 }));
    let before = server.get(&path).ok().clone();
    let hardware = json!({ "machine_spec": { "num_virtual_cpus": 4 }, "storage_gib": 15 });
    let dedicated = json!({ "region_nodes": { "us-east1": 3 }, "hardware": hardware });
    let after = server.patch(&path, json!({ "plan": "ADVANCED", "dedicated": dedicated }));
    assert_eq!(after.ok()["state"], "CREATED");
    assert_eq!(after.body["operation_status"], "UNSPECIFIED");
    assert_eq!(after.body["updated_at"], before["updated_at"]);
}
