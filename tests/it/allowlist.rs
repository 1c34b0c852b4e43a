//! IP allowlists.

use crate::support::{id, simulated};
use ootheca_testkit::Ootheca;
use serde_json::{Value, json};

fn entry(ip: &str, mask: i64) -> Value {
    json!({ "cidr_ip": ip, "cidr_mask": mask, "name": "", "sql": true, "ui": false })
}

fn list(server: &Ootheca) -> String {
    format!("/clusters/{}/networking/allowlist", id(&server.create_cluster("some-cluster", "BASIC")))
}

#[test]
fn a_new_cluster_is_open_and_can_be_closed() {
    let server = simulated();
    let path = list(&server);
    let all = server.get(&path);
    assert_eq!(all.ok()["allowlist"], json!([entry("0.0.0.0", 0)]));
    assert_eq!(all.body["propagating"], false);
    assert_eq!(*server.delete(&format!("{path}/0.0.0.0/0")).ok(), entry("0.0.0.0", 0));
    assert_eq!(server.get(&path).ok()["allowlist"], json!([]));
}

#[test]
fn entries_are_identified_by_their_network() {
    let server = simulated();
    let path = list(&server);
    server.post(&path, entry("10.0.0.0", 8)).ok();
    server.post(&path, entry("10.0.0.0", 8)).refused(409);
    server.post(&path, entry("10.0.0.0", 16)).ok();
    let put = server.put(
        &format!("{path}/10.0.0.0/8"),
        json!({ "name": "all", "sql": false, "ui": true, "cidr_mask": 9 }),
    );
    assert_eq!(
        *put.ok(),
        json!({ "cidr_ip": "10.0.0.0", "cidr_mask": 8, "name": "all", "sql": false, "ui": true })
    );
    let all = server.get(&path);
    let masks: Vec<i64> = all.ok()["allowlist"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["cidr_mask"].as_i64())
        .collect();
    assert_eq!(masks, [0, 8, 16], "by address, then mask");
    server.patch(&format!("{path}/10.9.0.0/16"), json!({ "sql": true, "ui": true })).refused(404);
}

#[test]
fn bad_entries_are_refused() {
    let server = simulated();
    let path = list(&server);
    let mut without_sql = entry("10.0.0.0", 8);
    without_sql.as_object_mut().expect("an object").remove("sql");
    let cases = [
        (entry("10.0.0.5", 8), "cidr_ip"),
        (entry("10.0.0", 8), "cidr_ip"),
        (entry("::1", 8), "cidr_ip"),
        (entry("10.0.0.0", 33), "cidr_mask"),
        (entry("10.0.0.0", -1), "cidr_mask"),
        (without_sql, "sql"),
    ];
    for (body, field) in cases {
        let answer = server.post(&path, body);
        assert!(answer.refused(400).contains(field), "{answer}");
    }
    assert!(
        server.post(&path, entry("10.0.0.5", 8)).refused(400).contains("10.0.0.0/8"),
        "it says what was meant"
    );
}

#[test]
fn the_number_of_entries_is_limited_under_concurrency() {
    let server = simulated();
    let path = list(&server);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let (client, path) = (server.client(), &path);
        let calls: Vec<_> = (0..4)
            .map(|n| {
                let add = move |m| client.post(path, entry(&format!("10.{n}.{m}.0"), 24)).status;
                scope.spawn(move || (0..15).map(add).collect::<Vec<u16>>())
            })
            .collect();
        calls.into_iter().flat_map(|call| call.join().expect("answers")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 49, "50 with the first one");
    assert!(statuses.iter().all(|status| [200, 400].contains(status)), "{statuses:?}");
    assert_eq!(server.get(&path).ok()["allowlist"].as_array().map(Vec::len), Some(50));
}
