//! Random histories of a cluster: nodes die, hang, and lose their data, answers are lost, nodes are added and removed,
//! and servers that decide from an old row die at any moment. No acknowledged commit may be lost.

#![allow(clippy::unwrap_used)]

mod decider;
mod engine;
mod random;

use decider::{Decider, Row};
use engine::Engine;
use ootheca_model::node::{Decision, FailoverFacts, decide};
use random::Random;

/// How a history decides.
#[derive(Clone, Copy)]
struct Rules {
    decide: fn(&FailoverFacts<'_>) -> Decision,
    /// Whether the engine checks each promotion.
    checks: bool,
    deciders: usize,
}

/// How often something happened in all histories.
#[derive(Debug, Default)]
struct Totals {
    acknowledged: usize,
    promoted: usize,
    started: usize,
    refused: usize,
    quorums: usize,
}

struct History {
    random: Random,
    engine: Engine,
    row: Row,
    deciders: Vec<Decider>,
}

impl History {
    fn new(seed: u64, rules: Rules) -> Self {
        let mut random = Random::new(seed);
        let row = Row::new(&mut random);
        let engine = Engine::new(&row, rules.checks);
        let deciders = (0..rules.deciders).map(|_| Decider::new(&row, rules.decide)).collect();
        Self { random, engine, row, deciders }
    }

    fn step(&mut self) {
        match self.random.below(32) {
            0..7 => self.engine.write(),
            7..13 => self.engine.replicate(&mut self.random),
            13..17 => self.engine.acknowledge(),
            17..19 => self.engine.fault(&mut self.random),
            19..21 => self.row.scale(&mut self.random),
            _ => {
                let decider = self.random.below(self.deciders.len());
                self.deciders[decider].step(&mut self.row, &mut self.engine, &mut self.random);
            }
        }
    }
}

/// Runs histories until one violates a law. Returns its seed and the violation.
fn run(histories: u64, steps: usize, rules: Rules) -> (Option<(u64, String)>, Totals) {
    let mut totals = Totals::default();
    for seed in 0..histories {
        let mut history = History::new(seed, rules);
        for _ in 0..steps {
            history.step();
            if let Some(violation) = history.engine.violation.take() {
                return (Some((seed, violation)), totals);
            }
        }
        totals.acknowledged += history.engine.acknowledged.len();
        totals.promoted += history.engine.promoted;
        totals.started += history.engine.started;
        totals.refused += history.engine.refused;
        totals.quorums += history.deciders.iter().map(|decider| decider.quorums).sum::<usize>();
    }
    (None, totals)
}

fn ignore_next_quorum(facts: &FailoverFacts<'_>) -> Decision {
    decide(&FailoverFacts { next_quorum: None, ..*facts })
}

fn promote_lowest(facts: &FailoverFacts<'_>) -> Decision {
    let lowest = facts.received.iter().min_by_key(|standby| (standby.timeline, standby.position));
    match (decide(facts), lowest) {
        (Decision::Promote(_), Some(lowest)) => Decision::Promote(lowest.node),
        (decision, _) => decision,
    }
}

#[test]
fn no_acknowledged_commit_is_lost_and_no_term_has_two_leaders() {
    let (violation, totals) = run(10_000, 100, Rules { decide, checks: true, deciders: 2 });
    assert_eq!(violation, None, "{totals:?}");
    assert!(totals.acknowledged > 20_000 && totals.promoted > 500, "{totals:?}");
    assert!(totals.started > 1_000 && totals.refused > 500 && totals.quorums > 2_000, "{totals:?}");
}

#[test]
fn decisions_of_one_decider_are_right_without_a_check_by_the_engine() {
    let (violation, totals) = run(2_000, 150, Rules { decide, checks: false, deciders: 1 });
    assert_eq!(violation, None, "{totals:?}");
    assert!(totals.promoted > 200, "{totals:?}");
}

#[test]
fn two_deciders_without_a_check_by_the_engine_lose_a_commit() {
    let (violation, totals) = run(10_000, 150, Rules { decide, checks: false, deciders: 2 });
    assert!(violation.is_some(), "{totals:?}");
}

#[test]
fn a_decision_that_ignores_the_next_quorum_loses_a_commit() {
    let (violation, totals) =
        run(5_000, 150, Rules { decide: ignore_next_quorum, checks: false, deciders: 1 });
    assert!(violation.is_some(), "{totals:?}");
}

#[test]
fn a_promotion_of_the_lowest_position_loses_a_commit() {
    let (violation, totals) = run(1_000, 150, Rules { decide: promote_lowest, checks: false, deciders: 1 });
    assert!(violation.is_some(), "{totals:?}");
}
