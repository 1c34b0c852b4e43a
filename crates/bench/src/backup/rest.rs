//! The CPU time of backups of clusters that do not change.

use super::{HOUR, wait};
use crate::stats::{Times, cpu_time};
use ootheca_testkit::{Engine, Ootheca, ServerBuilder, processes};
use serde_json::json;
use std::time::Duration;

const CLUSTERS: usize = 300;
const ROUNDS: usize = 5;
/// The rounds that are not measured. In the first ones, the clusters still change.
const WARM_UP: usize = 2;
/// In seconds.
const SHORTEST_FREQUENCY: f64 = 300.0;

pub(super) fn run(program: &str) {
    println!("\n== backups of {CLUSTERS} running clusters that do not change");
    let server = ServerBuilder::new(program).backups().engine(Engine::Postgres).boot();
    for n in 0..CLUSTERS {
        server.create_cluster(&format!("resting-{n}"), "STANDARD");
    }
    let mut rounds: Vec<Duration> = (0..WARM_UP + ROUNDS).map(|_| round(&server)).collect();
    let times = rounds.split_off(WARM_UP);
    let each = Times::from(times.iter().map(|time| *time / CLUSTERS as u32).collect::<Vec<_>>());
    println!("{}", each.line("CPU time of all processes for one backup"));
    let mut times = times;
    times.sort_unstable();
    let share = |seconds: f64| 100.0 * times[ROUNDS / 2].as_secs_f64() / seconds;
    println!(
        "of one CPU: {:.2} % with a backup every 60 minutes, {:.2} % with one every 5 minutes",
        share(HOUR as f64),
        share(SHORTEST_FREQUENCY)
    );
}

/// Takes a backup of each cluster. Returns the CPU time.
fn round(server: &Ootheca) -> Duration {
    let (taken, used) = (backups(server), cpu(server));
    server.raw("POST", "/api/ootheca/v1/clock").json(&json!({ "advance_seconds": HOUR })).send().ok();
    wait("all clusters are backed up", || backups(server) >= taken + CLUSTERS as u64);
    cpu(server) - used
}

/// Backups of all clusters, whether something was stored for them or not.
fn backups(server: &Ootheca) -> u64 {
    let answer = server.raw("GET", "/metrics").send();
    let text = String::from_utf8_lossy(&answer.bytes).into_owned();
    let counted =
        ["stored", "unchanged"].map(|result| format!("ootheca_backups_total{{result=\"{result}\"}} "));
    let value = |line: &str| counted.iter().find_map(|name| line.strip_prefix(name)?.parse::<u64>().ok());
    text.lines().filter_map(value).sum()
}

/// The CPU time of the server and of all SQL servers.
fn cpu(server: &Ootheca) -> Duration {
    let pids = processes::within(&server.data_dir()).into_iter().map(|process| process.pid);
    pids.map(cpu_time).sum()
}
