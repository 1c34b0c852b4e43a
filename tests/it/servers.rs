//! Several servers with one store.

use crate::support::{PROGRAM, column, id};
use ootheca_testkit::{Folder, Ootheca, ServerBuilder, eventually, postgres::TemporaryPostgres, processes};
use serde_json::json;
use std::{
    path::Path,
    thread::scope,
    time::{Duration, Instant},
};

/// A server whose simulated clusters are in a directory that other servers share.
fn networked(store: &str, clusters: &Path) -> ServerBuilder {
    let directory = clusters.to_str().expect("a path in UTF-8");
    ServerBuilder::new(PROGRAM).store(store).env("OOTHECA_ENGINE__SIMULATED_DIR", directory)
}

/// Starts two servers at the same time, and returns their output if they exit.
fn start_both(first: &mut Ootheca, second: &mut Ootheca) -> [Result<(), String>; 2] {
    scope(|scope| {
        let first = scope.spawn(|| first.try_start());
        let second = scope.spawn(|| second.try_start());
        [first, second].map(|thread| thread.join().expect("the thread ends"))
    })
}

#[test]
fn two_servers_can_start_on_an_empty_store_at_the_same_time() {
    for _ in 0..3 {
        let (postgres, clusters) = (TemporaryPostgres::start(), Folder::new());
        let launch = networked(&postgres.url(), clusters.path());
        let (mut first, mut second) = (launch.clone().idle(), launch.idle());
        for result in start_both(&mut first, &mut second) {
            result.expect("it starts");
        }
        let is_first = first.data_dir().join("admin-api-key").exists();
        assert!(is_first != second.data_dir().join("admin-api-key").exists(), "there is one key");
        let key = if is_first { first.admin_key() } else { second.admin_key() };
        let [first_view, second_view] = [&first, &second].map(|server| server.with_key(&key));
        let organization = first_view.get("/organization").ok().clone();
        assert_eq!(*second_view.get("/organization").ok(), organization);
        first_view.post("/folders", json!({ "name": "some-folder" })).ok();
        assert_eq!(column(&second_view.get("/folders").ok()["folders"], "name"), ["some-folder"]);
        first.terminate();
        assert_eq!(second_view.get("/folders").status, 200, "the other one continues");
    }
}

#[test]
fn a_server_without_the_lease_is_idle_and_takes_over_when_the_other_one_ends() {
    let (postgres, clusters) = (TemporaryPostgres::start(), Folder::new());
    let launch = networked(&postgres.url(), clusters.path());
    let mut leader = launch.clone().boot();
    let key = leader.admin_key();
    let cluster = leader.create_cluster("some-cluster", "STANDARD");
    let follower = launch.boot();
    let client = follower.with_key(&key);
    assert_eq!(client.get(&format!("/clusters/{}", id(&cluster))).ok()["state"], "CREATED");
    client.post(&format!("/clusters/{}/databases", id(&cluster)), json!({ "name": "shop" })).ok();
    let databases = leader.get(&format!("/clusters/{}/databases", id(&cluster)));
    assert!(column(&databases.ok()["databases"], "name").contains(&"shop".to_owned()), "{databases}");
    let ticks = || processes::cpu_ticks(follower.pid()).expect("the process runs");
    let (before, start) = (ticks(), Instant::now());
    eventually("some seconds have passed", || (start.elapsed() > Duration::from_secs(4)).then_some(()));
    let share = Duration::from_millis(10 * (ticks() - before)).as_secs_f64() / start.elapsed().as_secs_f64();
    assert!(share < 0.15, "the follower uses {:.0} % of a CPU", 100.0 * share);
    leader.terminate();
    let spec = json!({ "plan": "BASIC", "serverless": { "regions": ["us-central1"] } });
    let other = client.post("/clusters", json!({ "name": "other-cluster", "provider": "GCP", "spec": spec }));
    eventually("the follower creates clusters", || {
        let state = client.get(&format!("/clusters/{}", id(other.ok()))).ok()["state"].clone();
        (state == "CREATED").then_some(())
    });
}

#[test]
fn of_two_servers_with_data_of_their_own_one_starts_on_an_empty_store() {
    let postgres = TemporaryPostgres::start();
    let launch = ServerBuilder::new(PROGRAM).store(&postgres.url());
    let (mut first, mut second) = (launch.clone().idle(), launch.idle());
    let (owner, said) = match start_both(&mut first, &mut second) {
        [Ok(()), Err(said)] => (&first, said),
        [Err(said), Ok(())] => (&second, said),
        results => panic!("{results:?}"),
    };
    let directory = owner.data_dir().display().to_string();
    assert!(said.contains("it belongs to the engine") && said.contains(&directory), "{said}");
    assert_eq!(owner.get("/clusters").status, 200);
}
