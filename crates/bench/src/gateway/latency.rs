//! The latency that the gateway adds to one statement, without the cost of TLS: compared with a PostgreSQL
//! server that accepts TLS over TCP.

use super::{PASSWORD, pgbench_command};
use crate::stats::Times;
use ootheca_testkit::{Ootheca, postgres::TemporaryPostgres};
use std::{fs, os::unix::fs::chown, time::Duration};

const ROUNDS: usize = 3;

pub(crate) fn run(server: &Ootheca, ours: &str) {
    println!("\n== latency of one statement at one client");
    let certificates = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| certificates.path().join(name);
    for name in ["server.pem", "server-key.pem"] {
        fs::copy(server.data_dir().join("certificates").join(name), at(name)).expect("the certificate");
    }
    let direct = TemporaryPostgres::start_with(|data, command| {
        use std::os::unix::fs::MetadataExt;
        let owner = fs::metadata(data).expect("the data directory");
        for name in ["server.pem", "server-key.pem"] {
            fs::copy(at(name), data.join(name)).expect("the certificate");
            chown(data.join(name), Some(owner.uid()), Some(owner.gid())).expect("a new owner");
        }
        command.args(["-c", "ssl=on", "-c", "ssl_cert_file=server.pem", "-c", "ssl_key_file=server-key.pem"]);
        command.args(["-c", "jit=off"]);
    });
    let direct_target = format!("{}?sslmode=require", direct.url());
    super::pgbench(&direct_target, &["-i", "-q", "-s", "10"]);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        with.extend(latencies(ours));
        without.extend(latencies(&direct_target));
    }
    let (with, without) = (Times::from(with), Times::from(without));
    println!("{}", with.line("through the gateway, TLS"));
    println!("{}", without.line("PostgreSQL itself, TLS over TCP"));
    let added = (with.median() - without.median()) * 1000.0;
    println!(
        "added at the median {added:.1} us; p99/p50 through the gateway {:.2}, without {:.2}",
        with.at(0.99) / with.median(),
        without.at(0.99) / without.median()
    );
}

/// The time of every transaction of a short run.
fn latencies(target: &str) -> Vec<Duration> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let args = ["-S", "-M", "prepared", "-n", "-c", "1", "-j", "1", "-T", "4", "-l"];
    let mut command = pgbench_command(target, &args);
    let status =
        command.current_dir(folder.path()).env("PGPASSWORD", PASSWORD).output().expect("pgbench runs");
    assert!(status.status.success(), "pgbench: {}", String::from_utf8_lossy(&status.stderr));
    let mut times = Vec::new();
    for file in fs::read_dir(folder.path()).expect("its folder").flatten() {
        let text = fs::read_to_string(file.path()).unwrap_or_default();
        times.extend(
            text.lines().filter_map(|line| line.split(' ').nth(2)?.parse().ok()).map(Duration::from_micros),
        );
    }
    times
}
