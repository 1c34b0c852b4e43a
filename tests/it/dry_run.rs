//! `?dry_run=true`: the response is the same, and nothing changes.

use crate::{
    pipeline::success,
    support::{PASSWORD, audit_log, id, simulated, trace},
};
use ootheca_api::{
    extensions,
    operations::{Method, Op, Operation, TABLE},
};
use ootheca_testkit::{Answer, Client, Request};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Members that change while a cluster is being created, or with each call.
const MOVING: [&str; 6] = ["state", "operation_status", "updated_at", "ootheca", "config", "last_used_at"];

/// Everything that the API shows: each list, and the lists of each cluster.
fn dump(client: &Client) -> BTreeMap<String, Value> {
    let listed = client.get("/clusters");
    let clusters: Vec<String> = listed.ok()["clusters"].as_array().expect("a list").iter().map(id).collect();
    let mut all = BTreeMap::new();
    let reads = |row: &&Operation| {
        let lists = row.implemented && row.audit.is_none() && row.method == Method::Get;
        let changing_with_time = [Op::GetClusterSamples, Op::GetClock, Op::ListBackups];
        lists && !row.streams && !changing_with_time.contains(&row.op)
    };
    for row in TABLE.iter().filter(reads) {
        let parameters: Vec<&str> = row.path_params().collect();
        let paths = match parameters[..] {
            [] => vec![row.path.to_owned()],
            ["cluster_id"] => clusters.iter().map(|id| row.path.replace("{cluster_id}", id)).collect(),
            _ => continue,
        };
        for path in paths {
            let answer = client.raw("GET", &path).send();
            let mut shown = if answer.status == 200 { answer.body } else { Value::from(answer.status) };
            still(&mut shown);
            all.insert(path, shown);
        }
    }
    all
}

fn still(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !MOVING.contains(&name.as_str()));
            members.values_mut().for_each(still);
        }
        Value::Array(items) => items.iter_mut().for_each(still),
        _ => {}
    }
}

/// Sends a dry run of the request, and then the request.
fn first_dry(request: Request<'_>) -> Answer {
    let before = dump(request.client());
    let dry = request.clone().query("dry_run=true").send();
    assert_eq!(dump(request.client()), before, "a dry run changes nothing: {dry}");
    let real = request.send();
    assert_eq!(dry.status, real.status, "{dry}, but {real}");
    assert_eq!([dry.header("ootheca-dry-run"), real.header("ootheca-dry-run")], [Some("true"), None]);
    let names = |answer: &Answer| {
        let members = answer.body.as_object().map(|members| members.keys().cloned().collect::<Vec<_>>());
        members.unwrap_or_default()
    };
    let (known, would) = (names(&real), names(&dry));
    assert!(would.iter().all(|name| known.contains(name)), "{dry}, but {real}");
    assert_eq!(would.is_empty(), known.is_empty(), "{dry}, but {real}");
    real
}

#[test]
fn every_change_supports_dry_runs() {
    let mut server = success::server().boot();
    server.around(first_dry);
    let names = success::run_all(&server);
    assert_eq!(names, success::changes(extensions::are_supported), "every implemented change is called");
    println!("dry run: {} changes checked before they were made", names.len());
}

#[test]
fn a_dry_run_returns_the_errors_of_the_change() {
    let server = simulated();
    let cluster = id(&server.create_cluster("taken-name", "BASIC"));
    let at = |rest: &str| format!("/clusters/{cluster}{rest}?dry_run=true");
    let spec = json!({ "serverless": { "regions": ["us-central1"] } });
    let taken = json!({ "name": "taken-name", "provider": "GCP", "spec": spec });
    server
        .post(&format!("/clusters/{cluster}/sql-users"), json!({ "name": "ann", "password": PASSWORD }))
        .ok();
    server.post(&format!("/clusters/{cluster}/databases"), json!({ "name": "one" })).ok();
    let entries = audit_log(&server).len();
    let user = |name: &str| json!({ "name": name, "password": PASSWORD });
    let refusals = [
        (server.post("/clusters?dry_run=true", taken), 409, "already exists"),
        (server.post("/clusters?dry_run=true", json!({ "name": "other" })), 400, "is required"),
        (server.post(&at("/sql-users"), user("ann")), 409, "SQL user ann already exists"),
        (server.post(&at("/sql-users"), json!({ "name": "bob", "password": "short" })), 400, "password"),
        (server.delete(&at("/sql-users/bob")), 404, "SQL user bob does not exist"),
        (server.put(&at("/sql-users/bob/password"), json!({ "password": PASSWORD })), 404, "does not exist"),
        (server.post(&at("/databases"), json!({ "name": "one" })), 409, "database one already exists"),
        (server.delete(&at("/databases/two")), 404, "database two does not exist"),
        (server.patch(&at("/databases/two"), json!({ "new_name": "three" })), 404, "does not exist"),
    ];
    for (answer, status, text) in refusals {
        assert!(answer.refused(status).contains(text), "{answer}");
        assert_eq!(answer.header("ootheca-dry-run"), Some("true"), "{answer}");
    }
    let answer = server.post("/service-accounts?dry_run=perhaps", json!({ "name": "robot" }));
    assert!(answer.refused(400).contains("dry_run: must be true or false"), "{answer}");
    assert_eq!(audit_log(&server).len(), entries + 1, "only the last request was not a dry run");
}

#[test]
fn a_dry_run_needs_the_same_roles_and_records_denials() {
    let server = simulated();
    let member = server.with_key(&server.new_key(&[]));
    let entries = audit_log(&server).len();
    member.post("/service-accounts?dry_run=true", json!({ "name": "robot" })).refused(403);
    assert_eq!(audit_log(&server).len(), entries + 1);
}

/// If authorization depends on the body or on an ID in the path, the handler decides.
#[test]
fn denials_by_the_handler_are_recorded() {
    let server = simulated();
    let folder = |name: &str| {
        server.post("/folders", json!({ "name": name, "parent_id": "root" })).text("/resource_id")
    };
    let (mine, other) = (folder("mine"), folder("other"));
    let (account, key) = server.new_account(
        "caretaker",
        &[&format!("FOLDER_ADMIN@FOLDER/{mine}"), &format!("CLUSTER_ADMIN@FOLDER/{mine}")],
    );
    let spec = json!({ "serverless": { "regions": ["us-central1"] }, "parent_id": mine });
    let body = json!({ "name": "kept-here", "provider": "GCP", "spec": spec });
    let cluster = id(server.post("/clusters", body).ok());
    server.when_created(&cluster);
    let caretaker = server.with_key(&key);
    let refused = [
        ("POST", "/folders".to_owned(), Some(json!({ "name": "new", "parent_id": "root" }))),
        ("PATCH", format!("/clusters/{cluster}"), Some(json!({ "parent_id": "root" }))),
        ("POST", format!("/roles/{account}/ORGANIZATION//ORG_ADMIN"), None),
    ];
    for (method, path, body) in refused {
        let before = audit_log(&server).len();
        let request = caretaker.request(method, &path).query("dry_run=true");
        let answer = match body {
            Some(body) => request.json(&body).send(),
            None => request.send(),
        };
        let message = answer.refused(403);
        assert_eq!(answer.header("ootheca-dry-run"), Some("true"), "{answer}");
        let log = audit_log(&server);
        assert_eq!(log.len(), before + 1, "{method} {path}");
        let entry = &log[before];
        assert_eq!(
            (entry["error"].as_str(), entry["trace_id"].as_str()),
            (Some(message), Some(&*trace(&answer)))
        );
    }
    // A request that is refused for another reason leaves no entry.
    let before = audit_log(&server).len();
    caretaker.post("/folders?dry_run=true", json!({ "name": "", "parent_id": mine })).refused(400);
    caretaker.post("/folders?dry_run=true", json!({ "name": "new", "parent_id": other })).refused(400);
    assert_eq!(audit_log(&server).len(), before);
}

#[test]
fn an_invalid_dry_run_value_changes_nothing() {
    let server = simulated();
    let folders = || server.get("/folders").ok()["folders"].as_array().map(Vec::len);
    let before = folders();
    let body = || json!({ "name": "new", "parent_id": "root" });
    for query in ["dry_run", "dry_run=", "dry_run=1", "dry_run=TRUE", "dry_run=true&dry_run=false"] {
        let answer = server.post(&format!("/folders?{query}"), body());
        assert!(answer.refused(400).contains("dry_run: "), "{query}: {answer}");
    }
    assert_eq!(folders(), before);
    server.post("/folders?dry_run=false", body()).ok();
}

#[test]
fn the_secret_of_a_dry_run_is_not_valid() {
    let server = simulated();
    let account = server.new_account("robot", &["ORG_ADMIN"]).0;
    let body = json!({ "name": "key", "service_account_id": account });
    let secret = server.post("/api-keys?dry_run=true", body).text("/secret");
    server.with_key(&secret).get("/organization").refused(401);
}

#[test]
fn reads_ignore_dry_run() {
    let server = simulated();
    let answer = server.get("/organization?dry_run=true");
    answer.ok();
    assert_eq!(answer.header("ootheca-dry-run"), None);
}
