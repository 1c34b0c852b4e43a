//! Pagination: each row that existed at the start is returned exactly once, even if rows are added at the
//! same time.

use crate::support::{column, simulated};
use ootheca_testkit::{Client, Ootheca};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};

/// A way to iterate over a list.
#[derive(Clone, Debug)]
struct Walk {
    list: usize,
    limit: usize,
    descending: bool,
    concurrent: bool,
}

/// A list under test: its path, the member with its rows, and the rest of its query.
const LISTS: [(&str, &str, &str); 7] = [
    ("/service-accounts", "service_accounts", ""),
    ("/api-keys", "api_keys", ""),
    ("/clusters", "clusters", ""),
    ("/clusters", "clusters", "&pagination.sort_by=CREATED_AT"),
    ("/clusters", "clusters", "&pagination.sort_by=DELETED_AT&show_inactive=true"),
    ("/service-accounts", "service_accounts", "&service_account_name=SAME%201"),
    ("/service-accounts", "service_accounts", "&roles=AUDITOR&roles=ORG_MEMBER"),
];

fn walks() -> impl Strategy<Value = Walk> {
    (0..LISTS.len(), 1_usize..8, any::<bool>(), any::<bool>())
        .prop_map(|(list, limit, descending, concurrent)| Walk { list, limit, descending, concurrent })
}

fn page(client: &Client, walk: &Walk, token: &str) -> (Vec<String>, String, String) {
    let (path, member, more) = LISTS[walk.list];
    let order = if walk.descending { "DESC" } else { "ASC" };
    let query = format!(
        "pagination.limit={}&pagination.sort_order={order}&pagination.page={token}{more}",
        walk.limit
    );
    let answer = client.get(&format!("{path}?{query}"));
    let rows = column(&answer.ok()[member], "id");
    assert!(rows.len() <= walk.limit, "{answer}");
    (rows, answer.text("/pagination/next_page"), answer.text("/pagination/previous_page"))
}

/// All rows, in one page.
fn everything(client: &Client, list: usize) -> Vec<String> {
    page(client, &Walk { list, limit: 500, descending: false, concurrent: false }, "").0
}

/// Adds a row to each list.
fn add(client: &Client, n: usize, account: &str) {
    // Names of clusters are distributed over the alphabet, so that rows are added before and after the
    // current page.
    let name = format!("{:x}-row-{n}", n * 7 % 16);
    let spec = json!({ "plan": "BASIC", "serverless": { "regions": ["us-central1"] } });
    client.post("/clusters", json!({ "name": name, "provider": "GCP", "spec": spec })).ok();
    client.post("/service-accounts", json!({ "name": format!("same {}", n % 3) })).ok();
    client.post("/api-keys", json!({ "name": "k", "service_account_id": account })).ok();
}

fn seen_once(what: &str, walk: &Walk, before: &[String], seen: &[String]) {
    for id in before {
        let times = seen.iter().filter(|one| *one == id).count();
        assert_eq!(times, 1, "{what}: {id} was seen {times} times in {walk:?}");
    }
}

fn check(server: &Ootheca, walk: &Walk, account: &str, counter: &mut usize) {
    let before = everything(server, walk.list);
    let (done, start) = (AtomicBool::new(false), *counter);
    *counter = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut n = start;
            while walk.concurrent && !done.load(Ordering::Relaxed) && n < start + 6 {
                n += 1;
                add(server.client(), n, account);
            }
            n
        });
        let (mut forward, mut token) = (Vec::new(), String::new());
        let (mut back, mut token_back) = loop {
            let (rows, next, previous) = page(server, walk, &token);
            assert_eq!(
                previous.is_empty(),
                forward.is_empty(),
                "the first page has no previous one: {walk:?}"
            );
            forward.extend(rows.iter().cloned());
            if next.is_empty() {
                break (rows, previous);
            }
            assert_ne!(next, token, "the token must advance");
            token = next;
        };
        seen_once("forward", walk, &before, &forward);
        while !token_back.is_empty() {
            let (rows, _, previous) = page(server, walk, &token_back);
            back.splice(0..0, rows);
            token_back = previous;
        }
        seen_once("backward", walk, &before, &back);
        done.store(true, Ordering::Relaxed);
        writer.join().expect("the writer")
    });
}

#[test]
fn each_row_is_returned_exactly_once() {
    let server = simulated();
    let (account, _) = server.new_account("owner", &[]);
    let mut counter = 12;
    for n in 0..counter {
        add(&server, n, &account);
    }
    let deleted = everything(&server, 2)[3].clone();
    server.delete(&format!("/clusters/{deleted}")).ok();
    let counter = std::cell::RefCell::new(&mut counter);
    let mut runner = TestRunner::new(Config {
        cases: 32,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    });
    let result = runner.run(&walks(), |walk| {
        check(&server, &walk, &account, *counter.borrow_mut());
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn tokens_cannot_be_forged_or_used_for_other_lists() {
    let server = simulated();
    let (account, _) = server.new_account("owner", &[]);
    for n in 0..4 {
        add(&server, n, &account);
    }
    let walk = Walk { list: 2, limit: 1, descending: false, concurrent: false };
    let (_, token, _) = page(&server, &walk, "");
    let refused = |path: &str, token: &str, more: &str| {
        let answer = server.get(&format!("{path}?pagination.limit=1&pagination.page={token}{more}"));
        assert!(answer.refused(400).contains("pagination.page"), "{answer}");
    };
    for at in [0, token.len() / 2, token.len() - 1] {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        refused("/clusters", &String::from_utf8(bytes).expect("ASCII"), "");
    }
    for garbage in ["x", "AAAA", &token[1..], &format!("{token}AA")] {
        refused("/clusters", garbage, "");
    }
    refused("/service-accounts", &token, "");
    refused("/clusters", &token, "&pagination.sort_by=CREATED_AT");
    refused("/clusters", &token, "&show_inactive=true");
    page(&server, &walk, &token);
}

#[test]
fn limits_are_clamped_and_as_of_time_hides_newer_items() {
    let server = simulated();
    let (account, _) = server.new_account("owner", &[]);
    add(&server, 1, &account);
    let first = server.get("/clusters");
    let time = first.ok()["clusters"][0]["created_at"].as_str().expect("a time").to_owned();
    add(&server, 2, &account);
    for limit in ["0", "", "100000"] {
        let answer = server.get(&format!("/clusters?pagination.limit={limit}"));
        assert_eq!(answer.ok()["clusters"].as_array().map(Vec::len), Some(2), "{limit}");
    }
    for bad in [
        "pagination.limit=-1",
        "pagination.limit=two",
        "pagination.sort_order=UP",
        "pagination.sort_by=SIZE",
        "pagination.as_of_time=noon",
    ] {
        server.get(&format!("/clusters?{bad}")).refused(400);
    }
    let hidden = server.get(&format!("/clusters?pagination.as_of_time={time}"));
    assert_eq!(hidden.ok()["clusters"].as_array().map(Vec::len), Some(1), "{hidden}");
    let old = server.unversioned().get("/clusters?pagination.limit=1&pagination.order=DESC");
    let next = old.ok()["pagination"]["next_page"].as_str().expect("a token").to_owned();
    let (names, key) =
        (column(&old.body["clusters"], "name"), format!("pagination.start_key={next}&pagination.limit=1"));
    let second = server.unversioned().get(&format!("/clusters?{key}&pagination.order=DESC"));
    assert_ne!(
        column(&second.ok()["clusters"], "name"),
        names,
        "the oldest names of the pagination parameters"
    );
}
