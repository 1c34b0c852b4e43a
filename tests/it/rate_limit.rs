//! The rate limit: each caller has a burst and a rate, calls beyond it wait, and wrong keys are slowed down.

use crate::{
    sessions::{Browser, PASSWORD, person},
    support::{PROGRAM, id},
};
use ootheca_testkit::{Answer, Client, Engine, Ootheca, ServerBuilder, eventually};
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const MODE: &str = "OOTHECA_RATE_LIMIT__MODE";

fn limited(per_second: u32, burst: u32) -> Ootheca {
    ServerBuilder::new(PROGRAM)
        .env(MODE, "refuse")
        .env("OOTHECA_RATE_LIMIT__REQUESTS_PER_SECOND", &per_second.to_string())
        .env("OOTHECA_RATE_LIMIT__BURST", &burst.to_string())
        .boot()
}

#[track_caller]
fn too_many(answer: &Answer) -> u64 {
    assert_eq!(answer.refused(429), "rate limit exceeded");
    assert_eq!(answer.body["code"], 8, "{answer}");
    let wait = answer.header("retry-after").and_then(|text| text.parse().ok());
    let wait = wait.unwrap_or_else(|| panic!("whole seconds in Retry-After: {answer}"));
    assert!(wait >= 1, "{answer}");
    wait
}

fn paced(per_second: u32, burst: u32) -> Ootheca {
    ServerBuilder::new(PROGRAM)
        .env(MODE, "pace")
        .env("OOTHECA_RATE_LIMIT__REQUESTS_PER_SECOND", &per_second.to_string())
        .env("OOTHECA_RATE_LIMIT__BURST", &burst.to_string())
        .boot()
}

/// Calls `call` for each item, ten at a time, and returns the results.
fn ten_at_a_time<T: Send, R: Send>(items: Vec<T>, call: impl Fn(T) -> R + Sync) -> Vec<R> {
    let (items, results) = (Mutex::new(items), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                loop {
                    let item = items.lock().expect("no panic").pop();
                    let Some(item) = item else { break };
                    let result = call(item);
                    results.lock().expect("no panic").push(result);
                }
            });
        }
    });
    results.into_inner().expect("no panic")
}

/// Sends a request and does not read the response.
fn send_and_keep_open(client: &Client, key: &str) -> TcpStream {
    let mut stream = TcpStream::connect(client.address()).expect("the server listens");
    let request = format!(
        "GET /api/v1/organization HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("the request is sent");
    stream
}

#[test]
fn many_changes_at_the_default_rate_are_paced_and_not_refused() {
    let server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).without_env(MODE).boot();
    let account = id(server.post("/service-accounts", json!({ "name": "deployer", "description": "" })).ok());
    let created = ten_at_a_time((0..61).collect(), |number: u32| {
        let name = format!("resource-{number}");
        let (path, body) = match number % 3 {
            0 => ("/service-accounts", json!({ "name": name, "description": "" })),
            1 => ("/api-keys", json!({ "name": name, "service_account_id": account })),
            _ => ("/folders", json!({ "name": name })),
        };
        (path, server.post(path, body))
    });
    let path = |(path, answer): &(&str, Answer)| {
        let created = answer.ok();
        let id = created.pointer("/api_key/id").or(created.get("resource_id")).or(created.get("id"));
        format!("{path}/{}", id.and_then(Value::as_str).unwrap_or_else(|| panic!("no ID: {answer}")))
    };
    let created: Vec<String> = created.iter().map(path).collect();
    assert_eq!(created.len(), 61);
    // Terraform reads all resources before it changes any.
    for answer in ten_at_a_time(created.clone(), |path| server.get(&path)) {
        answer.ok();
    }
    for answer in ten_at_a_time(created, |path| server.delete(&path)) {
        answer.ok();
    }
}

/// Fills the queue of a caller. Returns the requests, most of which wait for their turn, and the next one.
fn fill_the_queue(caller: &Client, key: &str) -> (Vec<TcpStream>, Answer) {
    let mut open = Vec::new();
    let refused = eventually("the queue is full", || {
        open.extend((0..12).map(|_| send_and_keep_open(caller, key)));
        let answer = caller.get("/organization");
        (answer.status == 429).then_some(answer)
    });
    (open, refused)
}

#[test]
fn calls_that_would_wait_for_more_than_ten_seconds_are_refused() {
    let server = paced(1, 1);
    let key = server.new_key(&[]);
    let caller = server.with_key(&key);
    let (open, refused) = fill_the_queue(&caller, &key);
    too_many(&refused);
    server.with_key(&server.new_key(&[])).get("/organization").ok();
    // Clients that disconnect give up their turns.
    drop(open);
    let next = eventually("the queue is empty", || {
        let answer = caller.get("/organization");
        (answer.status == 200 && answer.time < Duration::from_secs(4)).then_some(answer)
    });
    next.ok();
}

#[test]
fn a_key_that_is_deleted_while_calls_wait_is_not_accepted() {
    let server = ServerBuilder::new(PROGRAM)
        .env(MODE, "pace")
        .env("OOTHECA_RATE_LIMIT__REQUESTS_PER_SECOND", "1")
        .env("OOTHECA_RATE_LIMIT__BURST", "4")
        .boot();
    let key = server.new_key(&[]);
    let (open, _) = fill_the_queue(&server.with_key(&key), &key);
    server.delete(&format!("/api-keys/{}", &key[..28])).ok();
    let last = open.iter().map(|mut stream| {
        let mut start = [0; 12];
        stream.read_exact(&mut start).expect("a response");
        String::from_utf8_lossy(&start).into_owned()
    });
    let statuses: Vec<String> = last.collect();
    assert!(statuses.contains(&"HTTP/1.1 200".to_owned()), "{statuses:?}");
    assert!(statuses.contains(&"HTTP/1.1 401".to_owned()), "{statuses:?}");
}

#[test]
fn the_former_mode_always_refuses_and_logs_a_warning() {
    let server = ServerBuilder::new(PROGRAM)
        .env(MODE, "always")
        .env("OOTHECA_RATE_LIMIT__REQUESTS_PER_SECOND", "1")
        .env("OOTHECA_RATE_LIMIT__BURST", "1")
        .boot();
    assert!(server.log().contains("is now \"refuse\""), "{}", server.log());
    let refused = eventually("the burst is used up", || {
        let answer = server.get("/organization");
        (answer.status != 200).then_some(answer)
    });
    too_many(&refused);
}

#[test]
fn each_caller_has_a_burst_and_a_rate() {
    let server = limited(1, 5);
    let other = server.with_key(&server.new_key(&[]));
    let refused = eventually("the burst is used up", || {
        let answer = server.get("/organization");
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(too_many(&refused), 1);
    other.get("/organization").ok();
    assert_eq!(server.raw("GET", "/readyz").send().status, 200);
    eventually("the next call is due", || (server.get("/organization").status == 200).then_some(()));
    // Changes are limited like reads.
    let refused = eventually("a request over the limit", || {
        let answer = server.delete("/api-keys/none");
        (answer.status != 404).then_some(answer)
    });
    too_many(&refused);
}

#[test]
fn wrong_keys_are_delayed_and_valid_keys_are_not() {
    let server = limited(1000, 1000);
    let stranger = server.with_key("CCDB1_0000000000000000000000_0000000000000000000000000000000000000000");
    for _ in 0..11 {
        stranger.get("/organization").refused(401);
    }
    assert_eq!(too_many(&stranger.get("/organization")), 1);
    server.get("/organization").ok();
    server.anonymous().get("/organization").refused(401);
    eventually("another attempt is allowed", || (stranger.get("/organization").status == 401).then_some(()));
    assert_eq!(too_many(&stranger.get("/organization")), 2, "the delay doubles");
}

#[test]
fn people_and_event_streams_count_toward_the_limit() {
    let server = limited(1, 10);
    // An invalid cursor, because a stream would never end.
    for path in ["/api/ootheca/v1/people", "/api/ootheca/v1/session", "/api/v1/events?cursor=none"] {
        let caller = server.with_key(&server.new_key(&[]));
        let refused = eventually("the burst is used up", || {
            let answer = caller.raw("GET", path).send();
            (answer.status == 429).then_some(answer)
        });
        assert_eq!(too_many(&refused), 1);
    }
}

#[test]
fn wrong_keys_are_delayed_on_every_path() {
    for path in [
        "/api/ootheca/v1/people",
        "/api/ootheca/v1/samples",
        "/api/ootheca/v1/clock",
        "/api/v1/events?cursor=none",
        "/metrics",
    ] {
        let server = ServerBuilder::new(PROGRAM).env(MODE, "refuse").arg("--test-clock").boot();
        let stranger = server.with_key("wrong");
        for _ in 0..11 {
            stranger.raw("GET", path).send().refused(401);
        }
        assert_eq!(too_many(&stranger.raw("GET", path).send()), 1, "{path}");
        assert_ne!(server.raw("GET", path).send().status, 429, "a valid key is accepted: {path}");
    }
}

#[test]
fn wrong_old_passwords_are_delayed() {
    let server = limited(1000, 1000);
    let mut ada = person(&server, "ada@example.com", &[]);
    let mut change = |old: &str| {
        let body = json!({ "old_password": old, "new_password": "another long password" });
        ada.api("PUT", "/api/ootheca/v1/session/password", Some(body))
    };
    for _ in 0..11 {
        change("wrong horse battery").refused(403);
    }
    let answer = eventually("a request over the limit", || {
        let answer = change("wrong horse battery");
        (answer.status == 429).then_some(answer)
    });
    assert!(answer.refused(429).contains("too many failed attempts"), "{answer}");
    assert!(answer.header("retry-after").is_some(), "{answer}");
    eventually("another attempt is allowed", || (change(PASSWORD).status == 200).then_some(()));
}

/// Uses up the attempts of this address: the next wrong key or password is answered with 429.
fn exhaust_attempts(server: &Ootheca) {
    let stranger = server.with_key("wrong");
    eventually("the address has to wait", || (stranger.get("/organization").status == 429).then_some(()));
}

#[test]
fn wrong_keys_do_not_block_passwords_and_links() {
    let server = limited(1000, 1000);
    person(&server, "ada@example.com", &[]);
    let invitation = json!({ "email": "bob@example.com", "roles": [] });
    let invitation = server.raw("POST", "/api/ootheca/v1/invitations").json(&invitation).send();
    exhaust_attempts(&server);
    let sign_in = |body: Value| Browser::new(&server).sign_in(body);
    let wrong = sign_in(json!({ "email": "ada@example.com", "password": "wrong horse battery" }));
    assert!(wrong.refused(429).contains("too many failed attempts"), "{wrong}");
    sign_in(json!({ "email": "ada@example.com", "password": PASSWORD })).ok();
    sign_in(json!({ "link_token": invitation.text("/link_token"), "password": PASSWORD })).ok();
    sign_in(json!({ "email": "bob@example.com", "password": PASSWORD })).ok();
}

#[test]
fn wrong_passwords_do_not_keep_the_right_one_out() {
    let server = limited(1000, 1000);
    person(&server, "ada@example.com", &[]);
    let sign_in = |password: &str| {
        Browser::new(&server).sign_in(json!({ "email": "ada@example.com", "password": password }))
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let attack = || {
            while !done.load(Ordering::Relaxed) {
                assert!(matches!(sign_in("wrong horse battery").status, 401 | 429));
            }
        };
        let attacks: Vec<_> = (0..8).map(|_| scope.spawn(attack)).collect();
        let answers: Vec<Answer> = (0..10).map(|_| sign_in(PASSWORD)).collect();
        done.store(true, Ordering::Relaxed);
        for answer in answers {
            answer.ok();
        }
        attacks.into_iter().for_each(|attack| attack.join().expect("no panic"));
    });
}

#[test]
fn clients_behind_a_trusted_proxy_are_distinguished() {
    let server = ServerBuilder::new(PROGRAM)
        .env(MODE, "refuse")
        .env("OOTHECA_TRUSTED_PROXIES", "[\"127.0.0.0/8\"]")
        .boot();
    let stranger = server.with_key("wrong");
    let get = |client: &str| {
        stranger.raw("GET", "/api/v1/organization").header("x-forwarded-for", client).send().status
    };
    // What the client itself sends is at the start of the list.
    eventually("the client has to wait", || (get("198.51.100.9, 203.0.113.7") == 429).then_some(()));
    assert_eq!(get("203.0.113.7"), 429);
    assert_eq!(get("203.0.113.7, 198.51.100.9"), 401);
    let without = limited(1000, 1000);
    exhaust_attempts(&without);
    let stranger = without.with_key("wrong");
    let answer = stranger.raw("GET", "/api/v1/organization").header("x-forwarded-for", "203.0.113.7").send();
    assert_eq!(answer.status, 429, "no proxy is trusted");
}

#[test]
fn the_simulated_engine_has_no_rate_limit() {
    let server = ServerBuilder::new(PROGRAM).without_env(MODE).boot();
    for _ in 0..100 {
        server.get("/organization").ok();
        server.with_key("wrong").get("/organization").refused(401);
    }
}

#[test]
fn a_burst_of_zero_is_refused() {
    let folder = ootheca_testkit::Folder::new();
    let launch = ServerBuilder::new(PROGRAM).env("OOTHECA_RATE_LIMIT__BURST", "0");
    let output = launch.command(&folder.path().join("data")).output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("rate_limit.burst: must be at least 1"), "{text}");
}
