//! Decides from a seed what is disturbed and when, and records it.

use ootheca_model::Error;
use parking_lot::Mutex;
use std::fmt::Write as _;

/// How often something is disturbed, in percent of the opportunities.
pub(super) const STALE: u64 = 12;
const FAILURE: u64 = 4;
pub(super) const TWICE: u64 = 6;

/// What a schedule has decided so far, and what the laws have found.
pub(super) struct Schedule {
    state: Mutex<State>,
}

struct State {
    random: u64,
    on: bool,
    /// A factor of all percentages.
    intensity: u64,
    /// Failures that happen for certain: the action, and a part of its subject.
    planned: Vec<(String, String)>,
    trace: Vec<String>,
    violations: Vec<String>,
}

impl Schedule {
    /// Without `on`, nothing is disturbed.
    pub(super) fn new(seed: u64, on: bool) -> Self {
        let mut random = seed;
        let intensity = [1, 1, 2, 4][usize::try_from(next(&mut random) % 4).unwrap_or(0)];
        let (planned, trace, violations) = (Vec::new(), Vec::new(), Vec::new());
        Self { state: Mutex::new(State { random, on, intensity, planned, trace, violations }) }
    }

    pub(super) fn is_on(&self) -> bool {
        self.state.lock().on
    }

    /// Sets whether anything is disturbed from now on.
    pub(super) fn switch(&self, on: bool) {
        self.state.lock().on = on;
    }

    /// A number below `limit`.
    pub(super) fn below(&self, limit: u64) -> u64 {
        next(&mut self.state.lock().random) % limit.max(1)
    }

    /// Whether a disturbance happens here.
    pub(super) fn happens(&self, percent: u64) -> bool {
        let intensity = self.state.lock().intensity;
        self.is_on() && self.below(100) < percent * intensity
    }

    /// The next `what` on a subject that contains `part` fails.
    pub(super) fn plan(&self, what: &str, part: &str) {
        self.state.lock().planned.push((what.to_owned(), part.to_owned()));
    }

    /// Whether this failure was planned. It happens once.
    fn is_planned(&self, what: &str, subject: &str) -> bool {
        let planned = &mut self.state.lock().planned;
        let found = planned.iter().position(|(action, part)| action == what && subject.contains(&**part));
        found.map(|place| planned.remove(place)).is_some()
    }

    /// Lets other tasks run for a while, so that steps interleave.
    pub(super) async fn pause(&self) {
        if !self.is_on() {
            return;
        }
        for _ in 0..self.below(4) {
            tokio::task::yield_now().await;
        }
    }

    /// An error instead of the request or its response, if there is one here.
    pub(super) fn failure(&self, what: &str, subject: &str) -> Option<Error> {
        (self.is_planned(what, subject) || self.happens(FAILURE)).then(|| {
            self.note(format!("{what} {subject}: fails"));
            lost(what)
        })
    }

    pub(super) fn note(&self, line: String) {
        self.state.lock().trace.push(line);
    }

    /// Records that a law does not hold.
    pub(super) fn violated(&self, law: String) {
        let mut state = self.state.lock();
        state.trace.push(format!("VIOLATION: {law}"));
        if !state.violations.contains(&law) {
            state.violations.push(law);
        }
    }

    pub(super) fn trace(&self) -> Vec<String> {
        self.state.lock().trace.clone()
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.state.lock().violations.clone()
    }
}

/// The error of a request that was disturbed.
pub(super) fn lost(what: &str) -> Error {
    Error::unavailable(format!("disturbed: {what}"))
}

/// The next number of splitmix64.
pub(super) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The start of an ID, for the trace.
pub(super) fn short(id: impl ToString) -> String {
    let mut text = id.to_string();
    if let Some(period) = text.split_once('/').map(|(_, period)| period.to_owned()) {
        text.truncate(8);
        let _ = write!(text, "/{period}");
    } else {
        text.truncate(8);
    }
    text
}
