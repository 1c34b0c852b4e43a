//! Every example of the official page, word for word: without a version, and sent as curl sends it.

use crate::support::{PASSWORD, column, id, real, simulated};
use ootheca_testkit::{Answer, Ootheca, eventually};
use serde_json::{Value, json};

/// Members of a cluster that the page does not show: those of the reference, and our extensions.
const BEYOND: [&str; 12] = [
    "azure_cluster_identity_client_id",
    "cidr_range",
    "customer_cloud_account",
    "delete_protection",
    "deleted_at",
    "egress_traffic_policy",
    "labels",
    "network_visibility",
    "ootheca",
    "parent_id",
    "primary",
    "sql_dns",
];

/// `curl --request METHOD --url …/api PATH --header 'Authorization: …' [--data BODY]`
#[track_caller]
fn curl(server: &Ootheca, method: &str, path: &str, data: Option<&str>) -> Answer {
    let client = server.unversioned();
    let request = client.raw(method, &format!("/api{path}")).header("user-agent", "curl/8.0");
    let answer = match data {
        Some(data) => request.data(data).send(),
        None => request.send(),
    };
    assert_eq!(answer.header("cc-version"), Some("2022-03-31"), "{answer}");
    answer
}

#[track_caller]
fn empty_success(answer: &Answer) {
    assert_eq!((answer.status, answer.bytes.len()), (200, 0), "{answer}");
}

/// Asserts that `found` contains everything that `page` shows, with the same types. Additional members must
/// be known.
#[track_caller]
fn same_shape(page: &Value, found: &Value, place: &str) {
    match (page, found) {
        (Value::Object(page), Value::Object(found)) => {
            for (name, value) in page {
                let member = found.get(name).unwrap_or_else(|| panic!("{place}.{name} is missing"));
                same_shape(value, member, &format!("{place}.{name}"));
            }
            let more = found.keys().filter(|name| !page.contains_key(*name));
            for name in more {
                assert!(BEYOND.contains(&name.as_str()), "{place}.{name} is not on the page");
            }
        }
        (Value::Array(page), Value::Array(found)) => {
            for item in found {
                same_shape(&page[0], item, place);
            }
        }
        _ => {
            let same = std::mem::discriminant(page) == std::mem::discriminant(found);
            assert!(same, "{place}: {page} on the page, {found} here");
        }
    }
}

fn page_cluster() -> Value {
    json!({
        "account_id": "", "cloud_provider": "GCP", "cockroach_version": "v23.2.4",
        "config": { "serverless": {
            "routing_id": "", "upgrade_type": "", "usage_limits": { "provisioned_virtual_cpus": "2" },
        }},
        "created_at": "2022-03-22T20:23:11.285067Z", "creator_id": "", "id": "", "name": "",
        "operation_status": "UNSPECIFIED", "plan": "STANDARD",
        "regions": [{
            "internal_dns": "", "name": "", "node_count": 0, "private_endpoint_dns": "", "sql_dns": "", "ui_dns": "",
        }],
        "state": "CREATED", "updated_at": "2022-03-22T20:23:11.879593Z", "upgrade_status": "UPGRADE_AVAILABLE",
    })
}

const MOOSE: &str = r#"{"name":"notorious-moose","provider":"GCP","plan":"STANDARD","spec":{"serverless":{"regions":["us-central1"],"usage_limits":{"provisioned_virtual_cpus":"2"}}}}"#;

#[test]
fn the_page_creates_a_real_cluster_for_psql() {
    let server = real();
    let made = curl(&server, "POST", "/v1/clusters", Some(MOOSE));
    let cluster = made.ok();
    same_shape(&page_cluster(), cluster, "cluster");
    let expected = [
        ("name", "notorious-moose"),
        ("cloud_provider", "GCP"),
        ("plan", "STANDARD"),
        ("state", "CREATED"),
        ("operation_status", "UNSPECIFIED"),
        ("account_id", ""),
    ];
    for (member, value) in expected {
        assert_eq!(cluster[member], value, "{member}");
    }
    let serverless = &cluster["config"]["serverless"];
    assert!(made.text("/config/serverless/routing_id").starts_with("notorious-moose-"), "{serverless}");
    assert_eq!(serverless["usage_limits"], json!({ "provisioned_virtual_cpus": "2" }));
    assert_eq!(cluster["regions"][0]["name"], "us-central1");
    let id = id(cluster);

    let one = curl(&server, "GET", &format!("/v1/clusters/{id}"), None);
    same_shape(&page_cluster(), one.ok(), "cluster");
    nodes(&server, &id);
    sql_users(&server, &id);
    changes_of_standard(&server, &id);

    empty_success(&curl(&server, "DELETE", &format!("/v1/clusters/{id}"), None));
    let gone = curl(&server, "GET", &format!("/v1/clusters/{id}"), None);
    assert_eq!((&gone.ok()["state"], gone.body["deleted_at"].is_string()), (&json!("DELETED"), true));
}

fn nodes(server: &Ootheca, id: &str) {
    let list = curl(server, "GET", &format!("/v1/clusters/{id}/nodes"), None);
    let node = &list.ok()["nodes"][0];
    let keys = node.as_object().expect("a node").keys().filter(|key| *key != "ootheca");
    assert_eq!(keys.collect::<Vec<_>>(), ["name", "region_name", "status"]);
    assert_eq!((&node["region_name"], &node["status"]), (&json!("us-central1"), &json!("LIVE")));
    let pagination = list.body["pagination"].as_object().expect("pagination").clone();
    for key in ["next", "last", "limit", "total_results"] {
        assert!(pagination.get(key).is_some_and(Value::is_number), "pagination.{key}: {list}");
    }
    assert!(pagination["time"].is_string() && pagination["order"] == "ASC", "{list}");
    assert_eq!(pagination["total_results"], 1);
}

fn sql_users(server: &Ootheca, id: &str) {
    let users = format!("/v1/clusters/{id}/sql-users");
    let create = format!(r#"{{"name":"maxroach","password":"{PASSWORD}"}}"#);
    let client = server.unversioned();
    let made =
        client.raw("POST", &format!("/api{users}")).header("content-type", "application/json").body(create);
    assert_eq!(*made.send().ok(), json!({ "name": "maxroach" }));
    assert_eq!(server.psql(id, "maxroach", PASSWORD, "SELECT current_user").ok(), "maxroach");

    let list = curl(server, "GET", &users, None);
    assert_eq!(list.ok()["users"], json!([{ "name": "maxroach" }]));
    assert_eq!(list.body["pagination"]["next_page"], "");

    let new_password = "another fine password";
    let data = format!(r#"{{"password":"{new_password}"}}"#);
    let changed = curl(server, "PUT", &format!("{users}/maxroach/password"), Some(&data));
    assert_eq!(*changed.ok(), json!({ "name": "maxroach" }));
    server.psql(id, "maxroach", PASSWORD, "SELECT 1").fails("password authentication failed");
    assert_eq!(server.psql(id, "maxroach", new_password, "SELECT 1").ok(), "1");

    let deleted = curl(server, "DELETE", &format!("{users}/maxroach"), None);
    assert_eq!(*deleted.ok(), json!({ "name": "maxroach" }));
    server.psql(id, "maxroach", new_password, "SELECT 1").fails("authentication failed");
}

fn changes_of_standard(server: &Ootheca, id: &str) {
    let path = format!("/v1/clusters/{id}");
    let shapes = [
        (r#"{"usage_limits": {"provisioned_virtual_cpus": "4"}}"#, "4"),
        (r#"{"spec":{"serverless":{"usage_limits":{"provisioned_virtual_cpus":"6"}}}}"#, "6"),
        (r#"{"serverless":{"usage_limits":{"provisioned_virtual_cpus":"3"}}}"#, "3"),
    ];
    for (data, cpus) in shapes {
        empty_success(&curl(server, "PATCH", &path, Some(data)));
        let cluster = curl(server, "GET", &path, None);
        assert_eq!(cluster.text("/config/serverless/usage_limits/provisioned_virtual_cpus"), cpus, "{data}");
    }
}

#[test]
fn limits_of_a_basic_cluster() {
    let server = simulated();
    let data = r#"{"name":"funky-skunk","provider":"GCP","plan":"BASIC","spec":{"serverless":{"regions":["us-central1"]}}}"#;
    let made = curl(&server, "POST", "/v1/clusters", Some(data));
    let path = format!("/v1/clusters/{}", id(made.ok()));
    for units in ["50000000", "100000000"] {
        let data = format!(
            r#"{{"serverless":{{"usage_limits":{{"storage_mib_limit":"5242880","request_unit_limit":"{units}"}}}}}}"#
        );
        let client = server.unversioned();
        let patch =
            client.raw("PATCH", &format!("/api{path}")).header("content-type", "application/json").body(data);
        empty_success(&patch.send());
        let limits = curl(&server, "GET", &path, None).ok()["config"]["serverless"]["usage_limits"].clone();
        assert_eq!(limits, json!({ "storage_mib_limit": "5242880", "request_unit_limit": units }));
    }
}

#[test]
fn lists_of_clusters() {
    let server = simulated();
    let created = curl(&server, "POST", "/v1/clusters", Some(MOOSE));
    let id = id(created.ok());
    let list = curl(&server, "GET", "/v1/clusters", None);
    let page =
        json!({ "clusters": [page_cluster()], "pagination": { "next_page": "", "previous_page": "" } });
    same_shape(&page["clusters"], &list.ok()["clusters"], "clusters");
    assert_eq!(column(&list.body["clusters"], "id"), [id.as_str()]);
    for token in ["next_page", "previous_page"] {
        assert_eq!(list.body["pagination"][token], "", "{list}");
    }
    empty_success(&curl(&server, "DELETE", &format!("/v1/clusters/{id}"), None));
    assert_eq!(curl(&server, "GET", "/v1/clusters", None).ok()["clusters"], json!([]));
    let all = curl(&server, "GET", "/v1/clusters?show_inactive=true", None);
    assert_eq!(column(&all.ok()["clusters"], "state"), ["DELETED"]);
}

#[test]
fn regions_are_names() {
    let server = simulated();
    for (provider, region) in [("GCP", "us-west2"), ("AWS", "us-east-1"), ("AZURE", "eastus")] {
        let answer =
            curl(&server, "GET", &format!("/v1/clusters/available-regions?provider={provider}"), None);
        let names = answer.ok()["regions"].as_array().expect("regions").clone();
        assert!(names.iter().all(Value::is_string) && names.contains(&json!(region)), "{answer}");
    }
}

#[test]
fn the_audit_log_is_exported() {
    let server = simulated();
    let made = curl(&server, "POST", "/v1/clusters", Some(MOOSE));
    let all = curl(&server, "GET", "/v1/auditlogevents", None);
    let entry = &all.ok()["entries"][0];
    assert_eq!(entry["action"], "AUDIT_LOG_ACTION_CREATE_CLUSTER");
    assert_eq!((&entry["cluster_id"], &entry["cluster_name"]), (&made.body["id"], &json!("notorious-moose")));
    let time = entry["created_at"].as_str().expect("a time");
    for (order, version) in [("ASC", "latest"), ("DESC", "2024-09-16"), ("ASC", "2022-03-31")] {
        let path = format!("/api/v1/auditlogevents?starting_from={time}&sort_order={order}&limit=10");
        let answer = server.with_version(version).raw("GET", &path).send();
        assert_eq!(answer.ok()["entries"][0]["id"], entry["id"], "{answer}");
        assert_eq!(answer.body.get("next_starting_from").is_some(), order == "ASC", "{answer}");
    }
}

#[test]
fn versions() {
    let server = simulated();
    for (asked, applied) in [
        ("2022-03-31", "2022-03-31"),
        ("2024-09-16", "2024-09-16"),
        ("2026-09-15", "2026-09-15"),
        ("latest", "2026-09-15"),
    ] {
        let answer = server.with_version(asked).get("/clusters");
        answer.ok();
        assert_eq!(answer.header("cc-version"), Some(applied));
    }
    for asked in ["2022-07-12", "2021-12-28", "newest", "2024-9-16"] {
        assert_eq!(
            server.with_version(asked).get("/clusters").refused(400),
            "invalid Cc-Version",
            "{asked:?}"
        );
    }
}

#[test]
fn a_cluster_becomes_created_even_if_the_caller_does_not_wait() {
    let server = simulated();
    let made = curl(
        &server,
        "POST",
        "/v1/clusters",
        Some(&MOOSE.replace("GCP", "AWS").replace("us-central1", "us-east-1")),
    );
    let path = format!("/v1/clusters/{}", id(made.ok()));
    eventually("CREATED", || (curl(&server, "GET", &path, None).ok()["state"] == "CREATED").then_some(()));
}
