//! Disturbs what the control loops see, and compares the result with an undisturbed run.
//!
//! A run is a history of calls and sessions over the SQLite store and the simulated engine, in virtual time and
//! on one thread, so it only depends on its seed. The loops are those of the server: the driver and the steps of
//! the reconciler, scale to zero, expiry, and metering. What they read can be stale, what they do can fail before or
//! after it took effect or happen twice, hints are lost, delayed, and repeated, a step can run twice, and the
//! server restarts between any two effects. Then the disturbances end, the loops must come to rest, and the
//! state must be that of the same history without disturbances.
//!
//! The API is not disturbed: its calls conflict with the loops, but are acknowledged.

mod creations;
mod directed;
mod engine;
mod history;
mod laws;
mod loops;
mod nodes;
mod outcome;
mod past;
mod schedule;
mod store;
mod world;

use crate::ids;
use engine::Planted;
use outcome::Outcome;
use world::{World, virtual_time};

/// Seeds that are always tried.
const SEEDS: std::ops::Range<u64> = 1..13;
/// The number of further seeds in every run of the tests.
const RANDOM: u64 = 4;
/// The number of seeds within which a planted fault must be found.
const ENOUGH: u64 = 60;

fn run(seed: u64, disturbed: bool, planted: Option<Planted>) -> Outcome {
    ids::seeded::seed(seed);
    virtual_time().block_on(async {
        let mut world = World::new(seed, disturbed, planted).await;
        for operation in history::history(seed) {
            world.run(&operation).await;
        }
        outcome::outcome(world).await
    })
}

/// What was found with a seed.
struct Finding {
    seed: u64,
    /// The laws that do not hold, and what differs from the undisturbed run.
    findings: Vec<String>,
    trace: Vec<String>,
}

/// Compares the run of a seed with its undisturbed run; `None` if there is nothing to report.
fn compare(seed: u64, planted: Option<Planted>) -> Option<Finding> {
    let (calm, disturbed) = (run(seed, false, None), run(seed, true, planted));
    let mut findings: Vec<String> = calm.violations.iter().map(|law| format!("undisturbed: {law}")).collect();
    findings.extend(disturbed.violations);
    for part in ["clusters", "calls"] {
        let (expected, got) = (&calm.state[part], &disturbed.state[part]);
        if expected != got {
            findings.push(format!("{part} differ:\n  undisturbed {expected}\n  disturbed   {got}"));
        }
    }
    (!findings.is_empty()).then_some(Finding { seed, findings, trace: disturbed.trace })
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// `./dev disturb` sets the variables.
#[test]
fn disturbed_loops_reach_the_undisturbed_state() {
    let fresh = || rand::random::<u64>() >> 16;
    let seeds: Vec<u64> = match (variable("DISTURB_SEED"), variable("DISTURB_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, Some(count)) => (0..count).map(|_| fresh()).collect(),
        (None, None) => SEEDS.chain((0..RANDOM).map(|_| fresh())).collect(),
    };
    if seeds.len() <= 100 {
        println!("seeds: {seeds:?}");
    }
    let mut found = Vec::new();
    for (number, seed) in seeds.iter().enumerate() {
        found.extend(compare(*seed, None));
        if number % 100 == 99 {
            println!("{} of {} seeds, {} with findings", number + 1, seeds.len(), found.len());
        }
    }
    for Finding { seed, findings, .. } in &found {
        println!("seed {seed}; to run it again: ./dev disturb seed {seed}\n{}\n", findings.join("\n"));
    }
    if let Some(Finding { seed, trace, .. }) = found.first() {
        println!("the run of seed {seed}:\n{}", trace.join("\n"));
    }
    assert!(found.is_empty(), "{} of {} seeds have findings", found.len(), seeds.len());
}

#[test]
fn a_run_follows_from_its_seed() {
    for seed in [1, 2] {
        let (first, second) = (run(seed, true, None), run(seed, true, None));
        let differs = first.trace.iter().zip(&second.trace).position(|(first, second)| first != second);
        let around = differs.map(|line| (&first.trace[line], &second.trace[line]));
        assert_eq!(around, None, "line {differs:?}");
        assert_eq!(first.trace.len(), second.trace.len());
        assert!(first.trace.len() > 100, "only {} lines", first.trace.len());
        assert_ne!(first.trace, run(seed + 2, true, None).trace, "another seed");
    }
}

#[test]
fn every_disturbance_occurs() {
    let traces: Vec<String> = SEEDS.flat_map(|seed| run(seed, true, None).trace).collect();
    for [start, end] in [
        ["hint", ": lost"],
        ["hint", ": twice"],
        ["restart", ""],
        ["the lease is taken", ""],
        ["step of", "twice"],
        ["step of", ": Stale"],
        ["read Cluster", ": stale"],
        ["observe", "is stale"],
        ["list instances", ": stale"],
        ["commit", ": fails"],
        ["commit", ": again"],
        ["response to commit", ": fails"],
        ["create", ": fails"],
        ["response to create", ": fails"],
        ["ensure", ": twice"],
        ["ensure", ": Ready to Suspended"],
        ["ensure", ": Suspended to Starting"],
        ["ensure", ": Absent to Absent"],
        ["stage", ": twice"],
        ["response to stage", ": fails"],
        ["remove", ": Ready to Absent"],
        ["response to remove", ": fails"],
    ] {
        let occurs = traces.iter().any(|line| line.starts_with(start) && line.ends_with(end));
        assert!(occurs, "{start} … {end}");
    }
}

#[test]
fn planted_faults_are_found() {
    let planted = [
        (Planted::CreatesInEveryState, "data was created for a cluster that lost it"),
        (Planted::IgnoresRevisions, "a batch was applied twice"),
        (Planted::ForgetsInstances, "an instance is left that belongs to no active cluster"),
        (Planted::CountsTwice, "usage is counted twice"),
    ];
    for (fault, law) in planted {
        let reports = |found: Finding| found.findings.iter().any(|finding| finding.contains(law));
        let found = (1..=ENOUGH).find(|seed| compare(*seed, Some(fault)).is_some_and(reports));
        println!("{fault:?}: found with seed {found:?}");
        assert!(found.is_some(), "{fault:?} was not found with {ENOUGH} seeds");
    }
}
