//! Restores are listed by their time.

use crate::{
    backups::{
        lists::List,
        shared::{HOUR, boot, restored, take_backup},
    },
    support::id,
};
use ootheca_testkit::{Engine, Ootheca};
use serde_json::{Value, json};

/// A cluster that was restored six times, and another one that was restored in between. Returns the path of the first
/// list, and its restores, oldest first.
fn with_six_restores(server: &Ootheca) -> (String, Vec<Value>) {
    let [cluster, other] =
        ["some-cluster", "other-cluster"].map(|name| id(&server.create_cluster(name, "STANDARD")));
    let backup = take_backup(server, &cluster, HOUR);
    let restore_into = |destination: &str| {
        let done = restored(server, destination, json!({ "backup_id": backup["id"] }));
        assert_eq!(done["status"], "SUCCESS", "{done:#}");
        server.when_created(destination);
        done
    };
    let mut all = vec![restore_into(&cluster)];
    restore_into(&other);
    all.extend((0..5).map(|_| restore_into(&cluster)));
    (format!("/clusters/{cluster}/restores"), all)
}

fn list<'a>(server: &'a Ootheca, path: &'a str, all: &[Value]) -> List<'a> {
    List::new(server, path, "restores", "created_at", all)
}

#[test]
fn restores_are_ordered_and_filtered_by_time() {
    let server = boot(Engine::Simulated);
    let (path, all) = with_six_restores(&server);
    list(&server, &path, &all).is_ordered_and_filtered_by_time();
    server.get("/clusters/6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f/restores").refused(404);
}

#[test]
fn pages_contain_each_restore_once() {
    let server = boot(Engine::Simulated);
    let (path, all) = with_six_restores(&server);
    list(&server, &path, &all).has_pages();
}
