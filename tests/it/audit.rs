//! The audit log: its order, its pages, and the secrets that it must not contain.

use crate::support::{PASSWORD, PROGRAM, advance, audit_log, column, id, real, simulated};
use ootheca_testkit::{Client, Ootheca, ServerBuilder, eventually};
use serde_json::{Value, json};
use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

/// Reads the log in one direction with pages of about `limit`.
fn pages(client: &Client, order: &str, limit: usize) -> Vec<Value> {
    let (mut entries, mut from) = (Vec::new(), String::new());
    loop {
        let answer = client.get(&format!("/auditlogevents?sort_order={order}&limit={limit}{from}"));
        let new = answer.ok()["entries"].as_array().expect("entries").clone();
        let next = answer.body.get("next_starting_from").filter(|next| !next.is_null());
        assert!(order == "DESC" || next.is_some(), "an ascending list always has a next start: {answer}");
        let (done, next) = (new.is_empty(), next.and_then(Value::as_str).map(str::to_owned));
        assert!(new.len() <= limit, "times differ, so no page exceeds the limit: {answer}");
        entries.extend(new);
        match next {
            Some(next) if !done => from = format!("&starting_from={next}"),
            _ => return entries,
        }
    }
}

fn some_history(server: &Ootheca) {
    let (account, _) = server.new_account("robot", &["CLUSTER_DEVELOPER"]);
    for n in 0..8 {
        server.post("/api-keys", json!({ "name": format!("key {n}"), "service_account_id": account })).ok();
    }
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (client, account) = (server.client(), &account);
            scope.spawn(move || {
                for _ in 0..3 {
                    client.patch(
                        &format!("/service-accounts/{account}"),
                        json!({ "name": format!("robot {n}") }),
                    );
                }
            });
        }
    });
}

#[test]
fn pages_contain_each_entry_once_in_order() {
    let server = simulated();
    some_history(&server);
    let all = column(&json!(pages(&server, "ASC", 5000)), "id");
    assert!(all.len() >= 22, "{}", all.len());
    for limit in [1, 3, 7] {
        let forward = pages(&server, "ASC", limit);
        assert_eq!(column(&json!(forward), "id"), all, "ASC by {limit}");
        let times = column(&json!(forward), "created_at");
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "strictly increasing: {times:?}");
        let mut backward = column(&json!(pages(&server, "DESC", limit)), "id");
        backward.reverse();
        assert_eq!(backward, all, "DESC by {limit}");
    }
    let newest = server.get("/auditlogevents?sort_order=DESC&limit=1");
    assert_eq!(
        newest.ok()["entries"][0]["id"],
        json!(all[all.len() - 1]),
        "a descending list starts at the current time"
    );
    for bad in ["limit=-1", "sort_order=SIDEWAYS", "starting_from=yesterday"] {
        server.get(&format!("/auditlogevents?{bad}")).refused(400);
    }
}

#[test]
fn following_the_log_returns_every_entry() {
    let server = simulated();
    let end = |from: &str| {
        let answer = server.get(&format!("/auditlogevents?starting_from={from}"));
        (answer.ok()["entries"].as_array().expect("entries").len(), answer.text("/next_starting_from"))
    };
    let (_, from) = end("2022-01-01T00:00:00Z");
    let (new, from) = end(&from);
    assert_eq!(new, 0);
    some_history(&server);
    let (new, from) = end(&from);
    assert_eq!(new, 22);
    assert_eq!(end(&from).0, 0);
}

#[test]
fn entries_contain_actor_and_action() {
    let server = simulated();
    let key = server.new_key(&[]);
    let spec = json!({ "serverless": { "regions": ["us-central1"] } });
    let body = json!({ "name": "some-cluster", "provider": "GCP", "plan": "BASIC", "spec": spec });
    let refused = server.with_key(&key).post("/clusters", body.clone());
    refused.refused(403);
    let made = server.post("/clusters", body);
    let id = id(made.ok());
    server.patch(&format!("/clusters/{id}"), json!({ "delete_protection": "ENABLED" })).ok();
    server.delete(&format!("/clusters/{id}")).refused(400);
    let log = audit_log(&server);
    let last = &log[log.len() - 4..];
    let actions = column(&json!(last), "action");
    let names = ["CREATE_CLUSTER", "CREATE_CLUSTER", "SET_DELETE_PROTECTION", "DELETE_CLUSTER"];
    assert_eq!(actions, names.map(|name| format!("AUDIT_LOG_ACTION_{name}")));
    assert_eq!(
        (&last[0]["error"], &last[0]["service_account_name"]),
        (&json!("no permission"), &json!("test"))
    );
    assert_eq!((&last[1]["cluster_id"], &last[1]["cluster_name"]), (&json!(id), &json!("some-cluster")));
    for entry in last {
        assert_eq!(entry["source"], "AUDIT_LOG_SOURCE_CC_API");
        assert_eq!(entry["metadata"]["ip_address"], "127.0.0.1");
        let payload = entry["payload"].as_str().expect("payload is a string");
        assert!(serde_json::from_str::<Value>(payload).is_ok_and(|value| value.is_object()), "{payload}");
    }
    assert_eq!(last[1]["trace_id"], made.header("cc-trace-id").expect("a trace"));
    assert!(last[1].get("error").is_none_or(Value::is_null));
    assert!(last[3]["error"].as_str().is_some_and(|error| error.contains("delete_protection")));
}

#[test]
fn interrupted_actions_are_marked_as_interrupted() {
    const VARIABLE: &str = "OOTHECA_CRASH_AFTER_EFFECT";
    let mut server = simulated();
    let users = format!("/clusters/{}/sql-users", id(&server.create_cluster("some-cluster", "BASIC")));
    // Background effects count too, so the server can be killed before the entry is written or after it is
    // completed.
    let mut n = 1;
    for attempt in 1..=20 {
        let name = format!("maxroach-{attempt}");
        server.kill();
        server.relaunch(|launch| launch.env(VARIABLE, &n.to_string()));
        if server.try_start().is_ok() {
            let body = json!({ "name": name, "password": PASSWORD });
            match server.request("POST", &users).json(&body).try_send() {
                Ok(_) => server.kill(),
                Err(_) => drop(server.wait(Duration::from_secs(10))),
            }
        }
        server.relaunch(|launch| launch.without_env(VARIABLE));
        server.start();
        let named = |entry: &Value| entry["payload"].as_str().is_some_and(|payload| payload.contains(&name));
        let entries: Vec<Value> = audit_log(&server).into_iter().filter(named).collect();
        assert!(entries.len() <= 1, "{entries:#?}");
        match entries.first().map(|entry| &entry["error"]) {
            None => n += 1,
            Some(Value::Null) => n -= 1,
            Some(error) => return assert_eq!(*error, ootheca_model::audit::INTERRUPTED),
        }
    }
    panic!("no kill came between the entry and its completion");
}

#[test]
fn only_administrators_can_read_the_log() {
    let server = simulated();
    for (role, status) in [
        ("ORG_ADMIN", 200),
        ("CLUSTER_ADMIN", 200),
        ("CLUSTER_OPERATOR_WRITER", 403),
        ("BILLING_COORDINATOR", 403),
    ] {
        let client = server.with_key(&server.new_key(&[role]));
        assert_eq!(client.get("/auditlogevents").status, status, "{role}");
    }
}

#[test]
fn api_keys_in_requests_are_redacted() {
    let server = simulated();
    let (account, key) = server.new_account("holder", &[]);
    server.delete(&format!("/api-keys/{key}")).refused(404);
    server.patch(&format!("/api-keys/{}", &key[..28]), json!({ &key: 1, "name": "a" })).ok();
    server.post(&format!("/roles/{account}/ORGANIZATION//{key}"), json!({})).refused(400);
    server.delete(&format!("/roles/{account}/ORGANIZATION/{key}/ORG_ADMIN")).refused(400);
    server.raw("DELETE", &format!("/api/ootheca/v1/people/{key}")).send().refused(404);
    let mut private = json!({ "kty": "RSA", "n": "modulus", "e": "AQAB" });
    let hidden = ["d", "p", "q", "dp", "dq", "qi", "k"].map(|member| format!("hidden-{member}"));
    for value in &hidden {
        private[value.trim_start_matches("hidden-")] = value.as_str().into();
    }
    for jwks in [json!({ "keys": [private] }), private.clone(), json!([private])] {
        let issuer = json!({ "issuer_url": "https://a.example", "audience": "b", "jwks": jwks.to_string() });
        for query in ["", "?dry_run=true"] {
            let answer = server.post(&format!("/jwt-issuers{query}"), issuer.clone());
            assert!(answer.refused(400).contains("private key"), "{answer}");
        }
    }
    let log = json!(audit_log(&server)).to_string();
    assert!(log.matches("_***").count() >= 6, "each of these calls left an entry: {log}");
    assert!(!log.contains(key.rsplit('_').next().expect("three parts")), "{log}");
    assert!(!hidden.iter().any(|value| log.contains(value)), "{log}");
}

#[test]
fn secrets_are_neither_stored_nor_logged() {
    let mut server = real();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    let users = format!("/clusters/{cluster}/sql-users");
    let secrets = [
        "first-secret-pass",
        "second-secret-pass",
        "refused-secret-pass",
        "wrong-secret-pass",
        "camel-secret-pass",
    ];
    server.post(&users, json!({ "name": "keeper", "password": secrets[0] })).ok();
    assert_eq!(server.psql(&cluster, "keeper", secrets[0], "SELECT 1").ok(), "1");
    server.put(&format!("{users}/keeper/password"), json!({ "password": secrets[1] })).ok();
    server.post(&users, json!({ "name": "keeper", "password": secrets[2] })).refused(409);
    server.post(&users, json!({ "name": "bad name!", "password": secrets[2] })).refused(400);
    server.post(&users, json!({ "name": "x", "newPassword": secrets[4], "password": 12 })).refused(400);
    server.psql(&cluster, "keeper", secrets[3], "SELECT 1").fails("password authentication failed");
    let (_, key) = server.new_account("holder", &[]);
    let member = server.with_key(&key);
    member.post(&users, json!({ "name": "y", "password": secrets[2] })).refused(403);
    member.request("POST", "/api-keys").data(&format!("{{\"secret\":\"{key}\"}}")).send().refused(403);
    server.with_key(&format!("{key}x")).get("/clusters").refused(401);
    let export = json!(audit_log(&server)).to_string();
    assert!(export.contains("keeper"), "payloads contain the details of the request");
    server.terminate();
    let long_part = |key: &str| key.rsplit('_').next().expect("three parts").to_owned();
    let mut needles: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
    needles.extend([long_part(&key), long_part(&server.admin_key())]);
    for needle in &needles {
        assert!(!export.contains(needle), "{needle} is in the audit log");
        assert!(!server.log().contains(needle), "{needle} is in the log");
    }
    // `DIR/admin-api-key` is the only file that contains a secret.
    let mut grep = Command::new("grep");
    grep.args(["-rlaF", "--exclude=admin-api-key", "-f", "-"]).arg(server.data_dir());
    let mut grep = grep.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("grep starts");
    let patterns = needles.join("\n");
    grep.stdin.take().expect("a pipe").write_all(patterns.as_bytes()).expect("grep reads");
    let output = grep.wait_with_output().expect("grep ends");
    assert_eq!(output.status.code(), Some(1), "found in {}", String::from_utf8_lossy(&output.stdout));
}

/// The refused attempts to delete a cluster: the payload and the cluster of each entry.
fn refused_deletions(client: &Client) -> Vec<(Value, Value)> {
    let is_refused = |entry: &Value| {
        entry["error"].is_string()
            && entry["action"].as_str().is_some_and(|action| action.ends_with("DELETE_CLUSTER"))
    };
    let payload = |entry: &Value| {
        let text = entry["payload"].as_str().expect("a payload");
        assert!(text.len() <= 1024, "{text}");
        (serde_json::from_str(text).expect("JSON"), entry["cluster_id"].clone())
    };
    audit_log(client).iter().filter(|entry| is_refused(entry)).map(payload).collect()
}

#[test]
fn repeated_refusals_become_one_entry() {
    let mut server = ServerBuilder::new(PROGRAM).arg("--test-clock").boot();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    let key = server.new_key(&["CLUSTER_MONITOR"]);
    let refuse = |server: &Ootheca, count: usize| {
        for _ in 0..count {
            server.with_key(&key).delete(&format!("/clusters/{cluster}")).refused(403);
        }
    };
    refuse(&server, 50);
    assert_eq!(refused_deletions(&server).len(), 1);
    advance(&server, 61);
    let entries = eventually("the repeats are recorded", || {
        let entries = refused_deletions(&server);
        (entries.len() > 1).then_some(entries)
    });
    let repeats = json!({ "operation": "DeleteCluster", "repeated": 49 });
    assert_eq!(entries[1], (repeats, json!(cluster)));
    // A stop records what was counted so far.
    refuse(&server, 5);
    server.restart();
    let counts: Vec<Value> =
        refused_deletions(&server).iter().map(|(payload, _)| payload["repeated"].clone()).collect();
    assert_eq!(json!(counts), json!([null, 49, null, 4]));
}

/// Whether the caller may create a folder depends on the body, so the handler decides.
#[test]
fn repeated_refusals_by_a_handler_become_one_entry() {
    let server = ServerBuilder::new(PROGRAM).arg("--test-clock").boot();
    let mine = server.post("/folders", json!({ "name": "mine", "parent_id": "root" })).text("/resource_id");
    let client = server.with_key(&server.new_key(&[&format!("FOLDER_ADMIN@FOLDER/{mine}")]));
    let refusals = || -> Vec<Value> {
        audit_log(&server).into_iter().filter(|entry| entry["error"].is_string()).collect()
    };
    for _ in 0..3 {
        for path in ["/folders", "/folders?dry_run=true"] {
            client.post(path, json!({ "name": "new", "parent_id": "root" })).refused(403);
        }
    }
    assert_eq!(refusals().len(), 1);
    advance(&server, 61);
    let entries = eventually("the repeats are recorded", || {
        let entries = refusals();
        (entries.len() > 1).then_some(entries)
    });
    assert_eq!(entries.len(), 2, "{entries:#?}");
    let payload: Value = serde_json::from_str(entries[1]["payload"].as_str().expect("text")).expect("JSON");
    assert_eq!(payload, json!({ "operation": "CreateFolder", "repeated": 5 }));
}

#[test]
fn entries_of_refused_calls_are_small() {
    let server = simulated();
    let key = server.new_key(&["CLUSTER_MONITOR"]);
    let long = "x".repeat(5000);
    server.with_key(&key).post("/folders", json!({ "name": long })).refused(403);
    server.with_key(&key).delete(&format!("/service-accounts/{long}"));
    for entry in audit_log(&server).iter().filter(|entry| entry["error"].is_string()) {
        assert!(entry.to_string().len() < 2500, "{entry}");
    }
}
