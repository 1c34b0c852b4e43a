//! Scale to zero: how long resuming takes, and what suspended and idle clusters cost.

use crate::stats::{Times, cpu_time};
use ootheca_testkit::{Engine, Ootheca, ServerBuilder, eventually_within, processes};
use serde_json::json;
use std::{
    fs, thread,
    time::{Duration, Instant},
};

const WAKES: usize = 30;
const SUSPENDED: usize = 200;
const AWAKE: usize = 100;
const PASSWORD: &str = "correct horse battery";
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run(program: &str) {
    wake(program);
    many(program);
}

fn launch(program: &str) -> ServerBuilder {
    ServerBuilder::new(program).engine(Engine::Postgres).env("OOTHECA_SCALE_TO_ZERO__IDLE_SECONDS", "1")
}

fn wake(program: &str) {
    println!("\n== wake → first SELECT (psql with TLS, its process included)");
    let server = launch(program).boot();
    let cluster = server.create_cluster("bench-wake", "BASIC");
    let id = cluster["id"].as_str().unwrap_or_default();
    server.post(&format!("/clusters/{id}/sql-users"), json!({ "name": "bench", "password": PASSWORD })).ok();
    let string = server.connection_string(id, "bench");
    let select = || {
        let start = Instant::now();
        server.psql_at(&string, PASSWORD, "SELECT 1").ok();
        start.elapsed()
    };
    let (mut asleep, mut awake) = (Vec::new(), Vec::new());
    for _ in 0..WAKES {
        suspended(&server, id);
        asleep.push(select());
        // Reusing the connection of the server would make the comparison unfair.
        thread::sleep(Duration::from_millis(10));
        awake.push(select());
    }
    let (asleep, awake) = (Times::from(asleep), Times::from(awake));
    println!("{}", asleep.line("suspended"));
    println!("{}", awake.line("awake"));
    println!("the wake itself: {:.1} ms at the median", asleep.median() - awake.median());
    let log = server.log();
    let part = |name: &str| {
        let values = log.lines().filter_map(|line| {
            let text = line.split_once(&format!("{name}="))?.1;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Times::from(values.filter(|ms| *ms > 0).map(Duration::from_millis).collect::<Vec<_>>())
    };
    println!("{}", part("wake_ms").line("of it, as the gateway saw it: endpoint"));
}

fn suspended(server: &Ootheca, id: &str) {
    eventually_within(PATIENCE, "the cluster is suspended", || {
        let no_process = server.instances().iter().all(|row| row["cluster"] != id || row["pid"].is_null());
        no_process.then_some(())
    });
}

fn many(program: &str) {
    println!("\n== {SUSPENDED} suspended clusters, {AWAKE} awake idle ones");
    let server = launch(program).boot();
    for n in 0..SUSPENDED {
        server.create_cluster(&format!("asleep-{n:04}"), "BASIC");
    }
    let folder = server.data_dir().join("engine/instances");
    eventually_within(PATIENCE, "all are suspended", || processes::within(&folder).is_empty().then_some(()));
    println!("{:<44} {}", "processes of suspended clusters", processes::within(&folder).len());
    println!("{:<44} {:.2} %", "CPU of the server over 20 s", 100.0 * share(&[server.pid()]));
    for n in 0..AWAKE {
        server.create_cluster(&format!("awake-{n:04}"), "STANDARD");
    }
    let pids: Vec<u32> = processes::within(&folder).iter().map(|process| process.pid).collect();
    let each = pids.iter().map(|pid| pss_kib(*pid)).sum::<f64>() / AWAKE as f64 / 1024.0;
    println!("{:<44} {each:.1} MiB (proportional)", "memory of an awake idle cluster");
    println!("{:<44} {:.3} %", "CPU of an awake idle cluster over 20 s", 100.0 * share(&pids) / AWAKE as f64);
}

/// The CPU usage of processes over 20 seconds, in CPUs.
fn share(pids: &[u32]) -> f64 {
    let used = || pids.iter().map(|pid| cpu_time(*pid)).sum::<Duration>();
    let (before, start) = (used(), Instant::now());
    thread::sleep(Duration::from_secs(20));
    (used() - before).as_secs_f64() / start.elapsed().as_secs_f64()
}

fn pss_kib(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
