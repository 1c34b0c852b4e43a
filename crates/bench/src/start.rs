//! The start time with an existing template, and the memory and CPU of the idle server.

use crate::stats::{Times, resident_kib};
use ootheca_testkit::{Engine, ServerBuilder};
use std::time::Instant;

pub(crate) fn run(program: &str) {
    println!("\n== start with a warm template, and resident memory when idle");
    let mut server = ServerBuilder::new(program).engine(Engine::Postgres).pool(0).boot();
    server.create_cluster("warming-up", "BASIC");
    let (mut times, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..11 {
        server.terminate();
        let start = Instant::now();
        server.start();
        times.push(start.elapsed());
        resident.push(resident_kib(server.pid()) / 1024.0);
    }
    resident.sort_by(f64::total_cmp);
    println!("{}", Times::from(times).line("start until /readyz"));
    let (median, most) = (resident[resident.len() / 2], resident[resident.len() - 1]);
    println!("{:<44} median {median:.1} MiB  max {most:.1}", "resident after the start");
}
