//! `Idempotency-Key`: under one key, a change is made only once, even if the server crashes or the request is
//! repeated.

mod crash;

use crate::{
    folders::folder,
    pipeline::success,
    support::{PASSWORD, PROGRAM, audit_log, column, id, simulated, trace},
};
use ootheca_api::extensions;
use ootheca_testkit::{Answer, Client, Request, ServerBuilder, postgres::TemporaryPostgres};
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

const HEADER: &str = "idempotency-key";

fn post(client: &Client, key: &str, path: &str, body: &Value) -> Answer {
    client.request("POST", path).header(HEADER, key).json(body).send()
}

fn replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

/// Asserts that the response is the same, and marked as a replay.
#[track_caller]
fn same(first: &Answer, again: &Answer) {
    assert_eq!((again.status, &again.bytes), (first.status, &first.bytes), "{first}, but then {again}");
    assert_eq!(trace(again), trace(first));
    assert!(replayed(again), "{again}");
}

fn accounts(client: &Client, name: &str) -> usize {
    let names = column(&client.get("/service-accounts").ok()["service_accounts"], "name");
    names.iter().filter(|known| *known == name).count()
}

/// Sends a request under a key, sends it again, and sends another request under that key.
fn twice(request: Request<'_>) -> Answer {
    static KEYS: AtomicUsize = AtomicUsize::new(0);
    let key = format!("key-{}", KEYS.fetch_add(1, Ordering::Relaxed));
    let keyed = request.header(HEADER, &key);
    let first = keyed.clone().send();
    assert!(!replayed(&first), "{first}");
    same(&first, &keyed.clone().send());
    let other = keyed.query("other=1").send();
    assert!(other.refused(409).contains("Idempotency-Key: was used for another request"), "{other}");
    assert!(!replayed(&other), "{other}");
    first
}

#[test]
fn every_change_supports_idempotency_keys() {
    let mut server = success::server().boot();
    server.around(twice);
    let names = success::run_all(&server);
    assert_eq!(names, success::changes(extensions::are_supported), "every implemented change is called");
    println!("idempotency: {} changes, each made once and answered twice", names.len());
}

#[test]
fn a_key_is_bound_to_one_request_of_one_caller() {
    let server = simulated();
    let path = "/service-accounts";
    let robot = json!({ "name": "robot", "description": "one" });
    let first = post(&server, "a", path, &robot);
    first.ok();
    let spelled = server.request("POST", path).header(HEADER, "a");
    same(&first, &spelled.body(" {\"description\":\"one\",\n \"name\":\"robot\"}").send());
    post(&server, "a", path, &json!({ "name": "robot", "description": "two" })).refused(409);
    post(&server.with_version("2022-03-31"), "a", path, &robot).refused(409);
    let dry = post(&server, "a", &format!("{path}?dry_run=true"), &robot);
    assert!(dry.status == 200 && !replayed(&dry), "a dry run uses no key: {dry}");
    let other = server.with_key(&server.new_key(&["ORG_ADMIN"]));
    let others = post(&other, "a", path, &robot);
    assert!(!replayed(&others) && others.text("/id") != first.text("/id"), "{others}");
    assert_eq!(accounts(&server, "robot"), 2);
    for bad in ["", "a b", &"x".repeat(256)] {
        assert!(post(&server, bad, path, &robot).refused(400).contains("Idempotency-Key: must have"));
    }
    let read = server.request("GET", "/organization").header(HEADER, "a").send();
    assert!(read.status == 200 && !replayed(&read), "a read uses no key: {read}");
}

#[test]
fn refused_requests_use_no_key_and_replays_are_authorized() {
    let server = simulated();
    post(&server, "a", "/service-accounts", &json!({ "name": "" })).refused(400);
    post(&server, "a", "/service-accounts", &json!({ "name": "robot" })).ok();
    let (account, secret) = server.new_account("worker", &["ORG_ADMIN"]);
    let worker = server.with_key(&secret);
    let body = json!({ "name": "helper" });
    post(&worker, "b", "/service-accounts", &body).ok();
    server.put(&format!("/roles/{account}"), json!({ "roles": [] })).ok();
    post(&worker, "b", "/service-accounts", &body).refused(403);
}

/// After the target of a request was deleted, only the record of the key contains its folder. It decides who
/// has access to the replay.
#[test]
fn deletions_are_replayed_to_authorized_callers() {
    let server = simulated();
    let top = folder(&server, "top", "root");
    let inner = folder(&server, "inner", &top);
    let spec = json!({ "serverless": { "regions": ["us-central1"] }, "parent_id": inner });
    let made = server.post("/clusters", json!({ "name": "some-cluster", "provider": "GCP", "spec": spec }));
    let cluster = id(made.ok());
    let roles = [format!("FOLDER_ADMIN@FOLDER/{top}"), format!("CLUSTER_ADMIN@FOLDER/{top}")];
    let (account, key) = server.new_account("worker", &[&roles[0], &roles[1]]);
    let worker = server.with_key(&key);
    let delete = |path: &str| worker.request("DELETE", path).header(HEADER, path).send();
    let paths = [format!("/clusters/{cluster}"), format!("/folders/{inner}")];
    let firsts = paths.each_ref().map(|path| delete(path));
    firsts.iter().for_each(|first| assert_eq!(first.status, 200, "{first}"));
    let log = audit_log(&server).len();
    for (path, first) in paths.iter().zip(&firsts) {
        same(first, &delete(path));
    }
    assert_eq!(audit_log(&server).len(), log, "a replay has no entry");
    worker.request("DELETE", &paths[1]).header(HEADER, "other").send().refused(404);
    worker.request("DELETE", &paths[1]).header(HEADER, &paths[1]).query("a=b").send().refused(404);
    worker.delete(&paths[1]).refused(404);

    let elsewhere = folder(&server, "elsewhere", "root");
    for role in ["FOLDER_ADMIN", "CLUSTER_ADMIN"] {
        server.delete(&format!("/roles/{account}/FOLDER/{top}/{role}")).ok();
        server.request("POST", &format!("/roles/{account}/FOLDER/{elsewhere}/{role}")).send().ok();
    }
    for path in &paths {
        delete(path).refused(404);
    }
}

#[test]
fn a_refused_change_inside_a_cluster_is_decided_again() {
    let server = simulated();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    let users = format!("/clusters/{cluster}/sql-users");
    let ann = json!({ "name": "ann", "password": PASSWORD });
    post(&server, "a", &users, &ann).ok();
    post(&server, "b", &users, &ann).refused(409);
    server.delete(&format!("{users}/ann")).ok();
    // No change was made under b: the request is decided again.
    post(&server, "b", &users, &ann).ok();
    let again = post(&server, "a", &users, &ann);
    assert!(again.status == 200 && replayed(&again), "{again}");
}

#[test]
fn stored_responses_survive_a_restart_and_are_encrypted() {
    let mut server = simulated();
    let account = server.new_account("robot", &[]).0;
    let body = json!({ "name": "key", "service_account_id": account });
    let first = post(&server, "only-the-caller-knows", "/api-keys", &body);
    let secret = first.text("/secret");
    server.restart();
    same(&first, &post(&server, "only-the-caller-knows", "/api-keys", &body));
    server.terminate();
    let files = std::fs::read_dir(server.data_dir()).expect("the folder").flatten();
    let stored: Vec<u8> = files
        .filter(|file| file.file_name().to_string_lossy().starts_with("store.db"))
        .flat_map(|file| std::fs::read(file.path()).expect("a file"))
        .collect();
    assert!(!stored.is_empty());
    for hidden in [secret.as_str(), secret.rsplit('_').next().expect("a part"), "only-the-caller-knows"] {
        assert!(
            !stored.windows(hidden.len()).any(|part| part == hidden.as_bytes()),
            "{hidden} is in the store"
        );
    }
    server.start();
}

#[test]
fn a_key_expires_after_a_day() {
    let server = ServerBuilder::new(PROGRAM).arg("--test-clock").boot();
    let robot = json!({ "name": "robot" });
    let first = post(&server, "a", "/service-accounts", &robot);
    let advance = |seconds: i64| {
        server.raw("POST", "/api/ootheca/v1/clock").json(&json!({ "advance_seconds": seconds })).send().ok();
    };
    advance(24 * 3600 - 60);
    same(&first, &post(&server, "a", "/service-accounts", &robot));
    advance(60);
    let later = post(&server, "a", "/service-accounts", &robot);
    assert!(!replayed(&later) && later.text("/id") != first.text("/id"), "{later}");
}

/// Sends the same request many times concurrently to several servers, and asserts that there is one change
/// and one response.
fn all_at_once(servers: &[&Client], path: &str, body: &Value) -> Answer {
    let answers: Vec<Answer> = thread::scope(|scope| {
        let ask = |n: usize| scope.spawn(move || post(servers[n % servers.len()], path, path, body));
        let running: Vec<_> = (0..12).map(ask).collect();
        running.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    let firsts: Vec<&Answer> = answers.iter().filter(|answer| !replayed(answer)).collect();
    assert_eq!(firsts.len(), 1, "exactly one response is not a replay");
    firsts[0].ok();
    for answer in answers.iter().filter(|answer| replayed(answer)) {
        same(firsts[0], answer);
    }
    firsts[0].clone()
}

#[test]
fn concurrent_duplicates_make_one_change() {
    let server = simulated();
    all_at_once(&[server.client()], "/service-accounts", &json!({ "name": "robot" }));
    assert_eq!(accounts(&server, "robot"), 1);
    let spec = json!({ "serverless": { "regions": ["us-central1"] } });
    let body = json!({ "name": "some-cluster", "provider": "GCP", "spec": spec });
    let cluster = id(&all_at_once(&[server.client()], "/clusters", &body).body);
    let users = format!("/clusters/{cluster}/sql-users");
    all_at_once(&[server.client()], &users, &json!({ "name": "ann", "password": PASSWORD }));
    let made = |action: &str| {
        let log = audit_log(&server);
        log.iter()
            .filter(|entry| entry["action"].as_str().is_some_and(|found| found.ends_with(action)))
            .count()
    };
    assert_eq!([made("_CREATE_CLUSTER"), made("_CREATE_SQL_USER")], [1, 1]);
}

#[test]
fn concurrent_duplicates_on_two_servers_make_one_change() {
    let postgres = TemporaryPostgres::start();
    let launch = ServerBuilder::new(PROGRAM).store(&postgres.url());
    let first = launch.clone().boot();
    // Two servers with the same engine: if the second had another engine ID, it would be refused.
    let mut second = launch.env("OOTHECA_ADMIN_API_KEY", &first.admin_key()).idle();
    std::fs::create_dir(second.data_dir()).expect("a folder");
    std::fs::copy(first.data_dir().join("engine-id"), second.data_dir().join("engine-id")).expect("copied");
    second.start();
    let clients = [first.client().clone(), second.with_key(&first.admin_key())];
    all_at_once(&[&clients[0], &clients[1]], "/service-accounts", &json!({ "name": "robot" }));
    assert_eq!(accounts(&first, "robot"), 1);
}
