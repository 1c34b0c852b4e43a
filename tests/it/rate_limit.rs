//! The rate limit: each caller has a burst and a rate, and wrong keys are slowed down.

use crate::{
    sessions::{PASSWORD, person},
    support::PROGRAM,
};
use ootheca_testkit::{Answer, Ootheca, ServerBuilder, eventually};
use serde_json::json;

const MODE: &str = "OOTHECA_RATE_LIMIT__MODE";

fn limited(per_second: u32, burst: u32) -> Ootheca {
    ServerBuilder::new(PROGRAM)
        .env(MODE, "always")
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
        let server = ServerBuilder::new(PROGRAM).env(MODE, "always").arg("--test-clock").boot();
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
