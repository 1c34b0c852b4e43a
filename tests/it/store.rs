//! The same server with its store in PostgreSQL.

use crate::support::{PASSWORD, PROGRAM, audit_log, column, id};
use ootheca_testkit::{ServerBuilder, postgres::TemporaryPostgres};
use serde_json::json;

#[test]
fn the_store_can_be_in_postgresql() {
    let postgres = TemporaryPostgres::start();
    let mut server = ServerBuilder::new(PROGRAM).store(&postgres.url()).boot();
    let cluster = server.create_cluster("some-cluster", "STANDARD");
    let at = format!("/clusters/{}", id(&cluster));
    server.post(&format!("{at}/sql-users"), json!({ "name": "maxroach", "password": PASSWORD })).ok();
    server
        .post(
            &format!("{at}/networking/allowlist"),
            json!({ "cidr_ip": "10.0.0.0", "cidr_mask": 8, "sql": true, "ui": true }),
        )
        .ok();
    let key = server.new_key(&["CLUSTER_DEVELOPER"]);
    server.with_key(&key).delete(&at).refused(403);
    std::thread::scope(|scope| {
        for n in 0..4 {
            let client = server.client();
            let spec = json!({ "plan": "BASIC", "serverless": { "regions": ["us-central1"] } });
            scope.spawn(move || {
                client
                    .post(
                        "/clusters",
                        json!({ "name": format!("parallel-{n}"), "provider": "GCP", "spec": spec }),
                    )
                    .ok()["id"]
                    .is_string()
            });
        }
    });
    let names = ["parallel-0", "parallel-1", "parallel-2", "parallel-3", "some-cluster"];
    assert_eq!(column(&server.get("/clusters").ok()["clusters"], "name"), names);
    let second = server.get("/clusters?pagination.limit=2");
    let next = server.get(&format!(
        "/clusters?pagination.limit=2&pagination.page={}",
        second.text("/pagination/next_page")
    ));
    assert_eq!(column(&next.ok()["clusters"], "name"), names[2..4]);
    let log = column(&json!(audit_log(&server)), "id");
    server.kill();
    server.start();
    assert_eq!(column(&json!(audit_log(&server)), "id"), log);
    assert_eq!(server.when_created(&id(&cluster)), cluster);
    server.delete(&at).ok();
    server.restart();
    assert_eq!(column(&server.get("/clusters").ok()["clusters"], "name"), names[..4]);
    assert!(!server.data_dir().join("store.db").exists(), "no SQLite file is created");
}

#[test]
fn errors_name_an_unreachable_store_without_its_password() {
    let folder = ootheca_testkit::Folder::new();
    let launch = ServerBuilder::new(PROGRAM).store("postgres://someone:hidden-word@127.0.0.1:1/nothing");
    let output = launch.command(&folder.path().join("data")).output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("store") && !text.contains("hidden-word"), "{text}");
}
