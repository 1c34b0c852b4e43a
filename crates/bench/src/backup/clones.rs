//! Clones of a running cluster: how long it takes until the first `SELECT` of a clone, and how much disk space it needs.

use super::{ONE_CHANGE, Subject, mib};
use crate::{
    create::spares,
    gateway::{PASSWORD, pgbench},
    stats::Times,
};
use ootheca_testkit::ServerBuilder;
use serde_json::json;
use std::{
    process::Command,
    time::{Duration, Instant},
};

const POOL: usize = 2;

pub(super) fn run(program: &str, scale: &str, count: usize) {
    let subject = Subject::start(ServerBuilder::new(program).pool(POOL), scale);
    // Not measured: the source still has to write what was just loaded.
    once(&subject, 0);
    let before = free(&subject);
    let times: Vec<[Duration; 2]> = (1..=count).map(|n| once(&subject, n)).collect();
    let each = mib(before.saturating_sub(free(&subject))) / count as f64;
    let created = Times::from(times.iter().map(|[created, _]| *created).collect::<Vec<_>>());
    let selected = Times::from(times.iter().map(|[_, selected]| *selected).collect::<Vec<_>>());
    println!("{}", created.line("a clone of the running cluster"));
    println!("{}", selected.line("the same, and its first SELECT with psql"));
    println!("{:<44} {each:.1} MiB", "disk space of a clone and of a new spare");
}

/// The time until a clone is created, and until its first `SELECT` has returned.
fn once(subject: &Subject, n: usize) -> [Duration; 2] {
    let server = &subject.server;
    pgbench(&subject.target, &ONE_CHANGE);
    spares(server, POOL);
    let body = json!({ "name": format!("bench-clone-{n}"), "restore_from": { "source_cluster_id": subject.cluster } });
    let start = Instant::now();
    let clone = server.post("/clusters", body);
    let created = start.elapsed();
    assert_eq!(clone.ok()["state"], "CREATED");
    let (port, routing) = (server.sql_address().port(), clone.text("/config/serverless/routing_id"));
    let target = format!(
        "postgresql://bench@localhost:{port}/defaultdb?sslmode=require&options=--cluster%3D{routing}"
    );
    server.psql_at(&target, PASSWORD, "SELECT 1").ok();
    [created, start.elapsed()]
}

/// The free bytes of the file system with the data.
fn free(subject: &Subject) -> u64 {
    let output = Command::new("df").args(["--output=avail", "-B1"]).arg(subject.server.data_dir()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().last().and_then(|line| line.trim().parse().ok()).expect("df prints a number")
}
