//! The gateway compared with PgBouncer (session mode, TLS), a relay that only copies bytes, and the Unix
//! socket, with `pgbench -S -M prepared`, alternating within one run.

mod bare;
mod latency;
mod pgbouncer;

use crate::stats::{Rates, resident_kib};
use ootheca_testkit::{Engine, Ootheca, ServerBuilder, eventually, postgres};
use pgbouncer::PgBouncer;
use serde_json::json;
use std::process::{Command, Stdio};

const ROUNDS: usize = 5;
const SECONDS: &str = "4";
pub(crate) const PASSWORD: &str = "correct horse battery";
const IDLE_SESSIONS: usize = 500;

const CLIENTS: [usize; 3] = [1, 16, 120];

pub(crate) fn run(program: &str) {
    println!("\n== gateway with TLS: pgbench -S -M prepared, in turns");
    // PgBouncer reuses server connections, too.
    let pooled = Comparison::start(program, "2");
    for clients in CLIENTS {
        compare(&pooled.targets, clients, &[]);
    }
    println!("\n== the same, a new connection for every transaction (-C), pool_idle_seconds = 2");
    for clients in CLIENTS {
        compare(&pooled.targets, clients, &["-C"]);
    }
    latency::run(&pooled.server, &pooled.targets[0]);
    idle_sessions(&pooled.server, &pooled.targets[0]);
    drop(pooled);
    println!("\n== a new connection for every transaction (-C), pool_idle_seconds = 0 (the default)");
    let unpooled = Comparison::start(program, "0");
    for clients in CLIENTS {
        compare(&unpooled.targets, clients, &["-C"]);
    }
}

/// A server, and what it is compared with. Dropped in this order.
struct Comparison {
    _pgbouncer: PgBouncer,
    server: Ootheca,
    /// How `pgbench` connects to the gateway, PgBouncer, the bare relay, and the socket.
    targets: [String; 4],
}

impl Comparison {
    fn start(program: &str, pool_idle_seconds: &str) -> Self {
        let launch = ServerBuilder::new(program).engine(Engine::Postgres);
        let launch = launch.env("OOTHECA_GATEWAY__POOL_IDLE_SECONDS", pool_idle_seconds);
        let server = launch.env("OOTHECA_ENGINE__MAX_CONNECTIONS", "520").boot();
        let (_, ours) = furnish(&server);
        let (folder, certificates) = (socket_folder(&server), server.data_dir().join("certificates"));
        let direct = format!("host={folder} dbname=defaultdb user=bench");
        let pgbouncer = PgBouncer::start(&certificates, &folder);
        pgbench(&direct, &["-i", "-q", "-s", "10"]);
        let relay = bare::start(&certificates, &folder);
        let [pgbouncer_target, relay] = [pgbouncer.port, relay]
            .map(|port| format!("host=localhost port={port} dbname=defaultdb user=bench sslmode=require"));
        Self { _pgbouncer: pgbouncer, server, targets: [ours, pgbouncer_target, relay, direct] }
    }
}

/// Creates a cluster and a user. Returns the ID of the cluster, and how `pgbench` connects.
pub(crate) fn furnish(server: &Ootheca) -> (String, String) {
    let cluster = server.create_cluster("bench-gateway", "STANDARD");
    let id = cluster["id"].as_str().unwrap_or_default();
    // As many vCPUs as possible, so that the CPU limit does not affect the result.
    server
        .patch(&format!("/clusters/{id}"), json!({ "usage_limits": { "provisioned_virtual_cpus": "60" } }))
        .ok();
    server.when_created(id);
    server.post(&format!("/clusters/{id}/sql-users"), json!({ "name": "bench", "password": PASSWORD })).ok();
    let routing =
        cluster.pointer("/config/serverless/routing_id").and_then(|id| id.as_str()).unwrap_or_default();
    let port = server.sql_address().port();
    let gateway = format!("host=localhost port={port} dbname=defaultdb user=bench sslmode=require");
    (id.to_owned(), format!("{gateway} options=--cluster={routing}"))
}

fn compare(targets: &[String; 4], clients: usize, more: &[&str]) {
    let mut rates = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        for (rates, target) in rates.iter_mut().zip(targets) {
            rates.push(tps(target, clients, more));
        }
    }
    let [ours, theirs, relay, direct] = rates.map(Rates::new);
    println!("{}", ours.line(&format!("ootheca, TLS, {clients} clients")));
    println!("{}", theirs.line(&format!("PgBouncer, TLS, session mode, {clients} clients")));
    println!("{}", relay.line(&format!("a relay that only copies, TLS, {clients} clients")));
    println!("{}", direct.line(&format!("Unix socket without any proxy, {clients} clients")));
    let to = |other: &Rates| ours.median() / other.median();
    println!(
        "ratio to PgBouncer {:.2}, to the relay {:.2}, to the bare socket {:.2}; the relay to PgBouncer {:.2}",
        to(&theirs),
        to(&relay),
        to(&direct),
        relay.median() / theirs.median()
    );
}

fn socket_folder(server: &Ootheca) -> String {
    let instances = server.instances();
    let instance = instances.iter().find(|row| !row["cluster"].is_null());
    let name = instance.and_then(|row| row["instance"].as_str()).unwrap_or_default();
    server.data_dir().join("engine/run").join(name).display().to_string()
}

fn tps(target: &str, clients: usize, more: &[&str]) -> f64 {
    let clients = clients.to_string();
    let args = ["-M", "prepared", "-c", &clients];
    transactions(target, SECONDS, &[&args, more].concat()).0
}

/// The rate and the number of the transactions of `pgbench -S`.
pub(crate) fn transactions(target: &str, seconds: &str, more: &[&str]) -> (f64, f64) {
    let args = ["-S", "-n", "-j", "1", "-T", seconds];
    let text = pgbench(target, &[&args, more].concat());
    (number(&text, "tps = "), number(&text, "number of transactions actually processed: "))
}

/// The number after `name` in the output of `pgbench`.
pub(crate) fn number(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    number.expect("a number in the output of pgbench")
}

/// Runs `pgbench` and returns its output.
pub(crate) fn pgbench(target: &str, args: &[&str]) -> String {
    let output = pgbench_command(target, args).output().expect("pgbench runs");
    assert!(output.status.success(), "pgbench: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn pgbench_command(target: &str, args: &[&str]) -> Command {
    let mut command = Command::new(postgres::program("pgbench"));
    command.args(args).arg(target).env("PGPASSWORD", PASSWORD);
    // A certificate in the home directory of the user belongs to another server.
    command.env("PGSSLROOTCERT", "none");
    command
}

/// Memory of the gateway for each idle session.
fn idle_sessions(server: &Ootheca, ours: &str) {
    println!("\n== idle sessions");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = folder.path().join("idle.sql");
    std::fs::write(&script, "\\sleep 60 s\n").expect("a script");
    let (file, count) = (script.display().to_string(), IDLE_SESSIONS.to_string());
    let before = resident_kib(server.pid());
    let mut idle = pgbench_command(ours, &["-n", "-c", &count, "-j", "1", "-T", "60", "-f", &file])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("pgbench runs");
    let backends = || {
        let all = ootheca_testkit::processes::within(&server.data_dir().join("engine/instances"));
        all.iter().filter(|process| process.command.contains("bench defaultdb")).count()
    };
    eventually("all sessions are open", || (backends() >= IDLE_SESSIONS).then_some(()));
    let each = (resident_kib(server.pid()) - before) / IDLE_SESSIONS as f64;
    println!("{:<44} {each:.1} KiB  (n={IDLE_SESSIONS}, resident memory of the server)", "each");
    let _ = idle.kill();
    let _ = idle.wait();
}
