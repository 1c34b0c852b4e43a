//! Waiting for a condition, never for a time.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Asks until there is an answer; panics after 30 s.
pub fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    eventually_within(Duration::from_secs(30), what, ask)
}

/// Asks until there is an answer; panics after `limit`.
pub fn eventually_within<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}
