//! People: commands on the machine of the server, invitations, and what is stored of keys.

use crate::{
    sessions::{Browser, PASSWORD, person},
    support::{PROGRAM, audit_log, column, id, simulated},
};
use ootheca_testkit::{Answer, Ootheca, ServerBuilder, eventually};
use serde_json::{Value, json};
use std::{process::Output, thread};

/// Runs `ootheca admin`.
fn admin(server: &Ootheca, args: &[&str]) -> Output {
    let mut command = ServerBuilder::new(PROGRAM).program();
    command.arg("admin").args(args).arg("--data-dir").arg(server.data_dir());
    command.output().expect("the program starts")
}

/// The JSON of a command that succeeds.
#[track_caller]
fn admin_json(server: &Ootheca, args: &[&str]) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    let output = admin(server, &args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[track_caller]
fn link_token(done: &Value) -> String {
    let link = done["link"].as_str().unwrap_or_else(|| panic!("no link: {done}"));
    link.split_once('#').expect("a token behind #").1.to_owned()
}

#[test]
fn the_first_user_is_created_locally_and_signs_in_by_link() {
    let server = simulated();
    let done = admin_json(&server, &["create-user", "Ada@Example.com", "--role", "ORG_ADMIN"]);
    assert_eq!(done["email"], "ada@example.com");
    let token = link_token(&done);
    let mut ada = Browser::new(&server);
    ada.sign_in(json!({ "link_token": token, "password": "short" })).refused(400);
    let answer = ada.sign_in(json!({ "link_token": token, "password": PASSWORD }));
    assert_eq!(answer.ok()["user"]["email"], "ada@example.com");
    let again = Browser::new(&server).sign_in(json!({ "link_token": token, "password": PASSWORD }));
    assert!(again.refused(401).contains("has expired or was used or revoked"), "{again}");
    // The session is valid for the whole API, with the roles of the person.
    ada.api("GET", "/api/v1/service-accounts", None).ok();
    ada.api("POST", "/api/v1/clusters", Some(json!({}))).refused(403);
    let users = admin_json(&server, &["list-users"]);
    assert_eq!(column(&users, "email"), ["ada@example.com"]);
    assert_eq!(users[0]["has_password"], true);
    let found = server.get("/users/persons-by-email?email=ADA@example.com");
    assert_eq!(found.text("/user/id"), users[0]["id"]);
    let taken = admin(&server, &["create-user", "ada@example.com"]);
    assert!(String::from_utf8_lossy(&taken.stderr).contains("reset-password"), "{taken:?}");
    let wrong = admin(&server, &["create-user", "no address"]);
    assert!(!wrong.status.success());
    let wrong = admin(&server, &["create-user", "b@example.com", "--role", "KING"]);
    assert!(!wrong.status.success());
}

#[test]
fn a_person_signs_in_from_several_browsers_at_once() {
    let server = simulated();
    let token = link_token(&admin_json(&server, &["create-user", "ada@example.com"]));
    Browser::new(&server).sign_in(json!({ "link_token": token, "password": PASSWORD })).ok();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let who = json!({ "email": "ada@example.com", "password": PASSWORD });
                Browser::new(&server).sign_in(who).ok();
            });
        }
    });
}

#[test]
fn access_is_recovered_on_a_stopped_server() {
    let mut server = simulated();
    let before = server.admin_key();
    admin_json(&server, &["create-user", "ada@example.com"]);
    server.terminate();
    let key = admin_json(&server, &["new-key"]);
    let reset = admin_json(&server, &["reset-password", "ada@example.com"]);
    server.start();
    let secret = key["secret"].as_str().expect("a secret");
    assert_ne!(secret, before);
    server.with_key(secret).get("/service-accounts").ok();
    let mut ada = Browser::new(&server);
    ada.sign_in(json!({ "link_token": link_token(&reset), "password": PASSWORD })).ok();
    let unknown = admin(&server, &["reset-password", "nobody@example.com"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("does not exist"), "{unknown:?}");
    let log = audit_log(&server);
    let by_command: Vec<&str> = log
        .iter()
        .filter(|entry| entry["source"] == "AUDIT_LOG_SOURCE_CLI")
        .map(|entry| entry["action"].as_str().unwrap_or_default())
        .collect();
    let expected =
        ["AUDIT_LOG_ACTION_CREATE_USER", "AUDIT_LOG_ACTION_CREATE_API_KEY", "AUDIT_LOG_ACTION_UPDATE_USER"];
    assert_eq!(by_command, expected);
    assert!(!json!(log).to_string().contains(secret), "a secret in the audit log");
}

#[test]
fn a_new_password_ends_every_session_and_the_earlier_link() {
    let server = simulated();
    let first = admin_json(&server, &["create-user", "ada@example.com"]);
    let second = admin_json(&server, &["reset-password", "ada@example.com"]);
    Browser::new(&server).sign_in(json!({ "link_token": link_token(&first) })).refused(401);
    let mut ada = Browser::new(&server);
    ada.sign_in(json!({ "link_token": link_token(&second), "password": PASSWORD })).ok();
    let reset = admin_json(&server, &["reset-password", "ada@example.com"]);
    // The old password is valid until the new one is set.
    ada.api("GET", "/api/ootheca/v1/session", None).ok();
    let mut elsewhere = Browser::new(&server);
    let body = json!({ "link_token": link_token(&reset), "password": "another long password" });
    elsewhere.sign_in(body).ok();
    ada.api("GET", "/api/ootheca/v1/session", None).refused(401);
    let old = json!({ "email": "ada@example.com", "password": PASSWORD });
    Browser::new(&server).sign_in(old).refused(401);
}

#[test]
fn an_administrator_invites_and_revokes() {
    let server = simulated();
    let invite = |body: Value| server.raw("POST", "/api/ootheca/v1/invitations").json(&body).send();
    let made = invite(json!({ "email": "bob@example.com", "roles": ["CLUSTER_DEVELOPER"] }));
    let token = made.text("/link_token");
    assert!(made.text("/link").ends_with(&format!("#{token}")), "{made}");
    let listed = server.raw("GET", "/api/ootheca/v1/invitations").send();
    assert_eq!(column(&listed.ok()["invitations"], "email"), ["bob@example.com"]);
    assert!(!listed.to_string().contains(&token), "the token is shown once");
    let path = format!("/api/ootheca/v1/invitations/{}", id(made.ok()));
    server.raw("DELETE", &path).send().ok();
    server.raw("DELETE", &path).send().refused(404);
    Browser::new(&server).sign_in(json!({ "link_token": token, "password": PASSWORD })).refused(401);
    let again = invite(json!({ "email": "bob@example.com", "roles": ["CLUSTER_DEVELOPER"] }));
    let mut bob = Browser::new(&server);
    bob.sign_in(json!({ "link_token": again.text("/link_token"), "password": PASSWORD })).ok();
    // Bob can read clusters, and cannot invite people.
    bob.api("GET", "/api/v1/clusters", None).ok();
    let stranger = json!({ "email": "eve@example.com", "roles": ["ORG_ADMIN"] });
    bob.api("POST", "/api/ootheca/v1/invitations", Some(stranger)).refused(403);
    bob.api("GET", "/api/ootheca/v1/people", None).refused(403);
    invite(json!({ "email": "bob@example.com", "roles": [] })).refused(409);
    invite(json!({ "email": "x@example.com", "roles": ["KING"] })).refused(400);
    invite(json!({ "email": "not an address" })).refused(400);
    invite(json!({})).refused(400);
    server.anonymous().raw("POST", "/api/ootheca/v1/invitations").json(&json!({})).send().refused(401);
    // Bob is removed: all his sessions end immediately.
    let people = server.raw("GET", "/api/ootheca/v1/people").send();
    assert_eq!(column(&people.ok()["people"], "email"), ["bob@example.com"]);
    server.raw("DELETE", &format!("/api/ootheca/v1/people/{}", people.text("/people/0/id"))).send().ok();
    bob.api("GET", "/api/v1/clusters", None).refused(401);
    let log = audit_log(&server);
    let count = |action: &str, failed: bool| {
        let action = format!("AUDIT_LOG_ACTION_{action}");
        log.iter()
            .filter(|entry| entry["action"] == action.as_str() && entry["error"].is_string() == failed)
            .count()
    };
    assert_eq!(count("INVITE_USER_TO_ORGANIZATION", false), 2, "{log:#?}");
    assert_eq!(count("INVITE_USER_TO_ORGANIZATION", true), 5);
    assert_eq!(count("REVOKE_USER_INVITE", false), 1);
    assert_eq!(count("ACCEPT_USER_INVITE", false), 1);
    assert_eq!(count("DELETE_USER_FROM_ORGANIZATION", false), 1);
    let text = json!(log).to_string();
    assert!(!text.contains(&token) && !text.contains(PASSWORD), "a secret in the audit log");
}

#[test]
fn revoking_an_invitation_removes_the_person() {
    let server = simulated();
    let invite = |email: &str, roles: &[&str]| {
        let body = json!({ "email": email, "roles": roles });
        server.raw("POST", "/api/ootheca/v1/invitations").json(&body).send()
    };
    let revoke = |made: &Answer| {
        let path = format!("/api/ootheca/v1/invitations/{}", id(made.ok()));
        server.raw("DELETE", &path).send().ok();
    };
    let here = || {
        let mut emails = column(&server.raw("GET", "/api/ootheca/v1/people").send().ok()["people"], "email");
        emails.sort();
        emails
    };
    // A person who has not signed in yet does not count as the last administrator.
    let bob = invite("bob@example.com", &["ORG_ADMIN", "CLUSTER_ADMIN"]);
    let accounts = server.get("/service-accounts");
    let account = format!("/service-accounts/{}", id(&accounts.ok()["service_accounts"][0]));
    assert!(server.delete(&account).refused(400).contains("must hold both"));
    revoke(&bob);
    assert!(here().is_empty(), "{:?}", here());
    let roles = server.get(&format!("/roles/{}", bob.text("/user_id")));
    assert_eq!(roles.ok()["roles"], json!([]));
    // An invitation that is created again is still the one that created the person.
    invite("eve@example.com", &[]).ok();
    revoke(&invite("eve@example.com", &[]));
    // People who have signed in stay, with or without a password, and so do people whom an identity provider
    // manages.
    let ada = invite("ada@example.com", &[]);
    Browser::new(&server).sign_in(json!({ "link_token": ada.text("/link_token") })).ok();
    revoke(&invite("ada@example.com", &[]));
    let schema = "urn:ietf:params:scim:schemas:core:2.0:User";
    let grace = json!({ "schemas": [schema], "userName": "grace@example.com" });
    server.raw("POST", "/api/scim/v2/Users").json(&grace).send().ok();
    revoke(&invite("grace@example.com", &[]));
    assert_eq!(here(), ["ada@example.com", "grace@example.com"]);
}

#[test]
fn changes_that_cannot_be_repeated_refuse_dry_runs_and_idempotency_keys() {
    let server = ServerBuilder::new(PROGRAM).arg("--test-clock").boot();
    let mut ada = person(&server, "ada@example.com", &[]);
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    let invite = json!({ "email": "bob@example.com" });
    let made = server.raw("POST", "/api/ootheca/v1/invitations?dry_run=false").json(&invite).send();
    let token = made.text("/link_token");
    let clock = server.raw("GET", "/api/ootheca/v1/clock").send().text("/now");
    let changes = [
        ("POST", "session".to_owned(), json!({ "link_token": token, "password": PASSWORD })),
        ("POST", format!("clusters/{cluster}/sql"), json!({ "database": "a", "statement": "SELECT 1" })),
        ("POST", "clock".to_owned(), json!({ "advance_seconds": 200_000_000 })),
    ];
    for (method, path, body) in &changes {
        let path = format!("/api/ootheca/v1/{path}");
        for value in ["true", "yes"] {
            let answer = server.raw(method, &path).query(&format!("dry_run={value}")).json(body).send();
            assert!(answer.refused(400).contains("dry_run: is not supported here"), "{answer}");
        }
        let answer = server.raw(method, &path).header("idempotency-key", "once").json(body).send();
        assert!(answer.refused(400).contains("Idempotency-Key: is not supported here"), "{answer}");
    }
    for (method, path) in [("DELETE", "session"), ("PUT", "session/password")] {
        let body = json!({ "old_password": PASSWORD, "new_password": "another long password" });
        let answer = ada.api(method, &format!("/api/ootheca/v1/{path}?dryRun=true"), Some(body));
        assert!(answer.refused(400).contains("dry_run"), "{answer}");
    }
    // Nothing was done: the session of ada and the link of bob are valid.
    ada.api("GET", "/api/ootheca/v1/session", None).ok();
    Browser::new(&server).sign_in(json!({ "link_token": token, "password": PASSWORD })).ok();
    let year = |time: &str| time[..4].parse::<i64>().expect("a year");
    let now = server.raw("GET", "/api/ootheca/v1/clock").send().text("/now");
    assert!(year(&now) <= year(&clock) + 1, "the clock has advanced by six years: {clock}, {now}");
}

#[test]
fn a_link_expires() {
    let server = ServerBuilder::new(PROGRAM).arg("--test-clock").boot();
    let made = admin_json(&server, &["create-user", "ada@example.com"]);
    let later = json!({ "advance_seconds": 73 * 3600 });
    server.raw("POST", "/api/ootheca/v1/clock").json(&later).send().ok();
    Browser::new(&server)
        .sign_in(json!({ "link_token": link_token(&made), "password": PASSWORD }))
        .refused(401);
}

#[test]
fn a_key_expires_and_shows_its_last_use() {
    let mut server = ServerBuilder::new(PROGRAM).arg("--test-clock").boot();
    let account = id(server.post("/service-accounts", json!({ "name": "robot", "roles": [] })).ok());
    let body =
        json!({ "name": "short", "service_account_id": account, "expiration_time": "2100-01-01T00:00:00Z" });
    let made = server.post("/api-keys", body.clone());
    assert_eq!(made.text("/api_key/expiration_time"), "2100-01-01T00:00:00.000000Z");
    assert_eq!(made.ok()["api_key"].get("last_used_at"), None);
    let path = format!("/api-keys/{}", made.text("/api_key/id"));
    let robot = server.with_key(&made.text("/secret"));
    robot.get("/organization").ok();
    // The use is shown immediately, and after a restart.
    let used = server.get(&path).text("/last_used_at");
    server.restart();
    assert_eq!(server.get(&path).text("/last_used_at"), used);
    let robot = server.with_key(&made.text("/secret"));
    let mut past = body;
    past["expiration_time"] = json!("2001-01-01T00:00:00Z");
    server.post("/api-keys", past).refused(400);
    let now = server.raw("GET", "/api/ootheca/v1/clock").send().text("/now");
    let year: i64 = now[..4].parse().expect("a year");
    let soon = json!({ "expiration_time": format!("{}-01-01T00:00:00Z", year + 2) });
    server.patch(&path, soon).ok();
    robot.get("/organization").ok();
    let later = json!({ "advance_seconds": 2 * 366 * 24 * 3600 });
    server.raw("POST", "/api/ootheca/v1/clock").json(&later).send().ok();
    robot.get("/organization").refused(401);
    // A deleted key is not valid either.
    let fresh = server.post("/api-keys", json!({ "name": "fresh", "service_account_id": account }));
    let robot = server.with_key(&fresh.text("/secret"));
    robot.get("/organization").ok();
    server.delete(&format!("/api-keys/{}", fresh.text("/api_key/id"))).ok();
    robot.get("/organization").refused(401);
}

#[test]
fn the_last_use_of_a_key_is_stored_while_the_server_runs() {
    let mut server = simulated();
    let key = server.new_key(&[]);
    server.with_key(&key).get("/organization").ok();
    let id = &key[..28];
    let used = server.get(&format!("/api-keys/{id}")).text("/last_used_at");
    let text = format!("\"last_used_at\":\"{used}\"");
    eventually("it is written", || {
        let files = ["store.db", "store.db-wal"].map(|name| std::fs::read(server.data_dir().join(name)));
        let files = files.into_iter().flatten();
        let mut found =
            files.flat_map(|bytes| bytes.windows(text.len()).position(|part| part == text.as_bytes()));
        found.next().map(|_| ())
    });
    server.kill();
    server.start();
    assert_eq!(server.get(&format!("/api-keys/{id}")).text("/last_used_at"), used);
}
