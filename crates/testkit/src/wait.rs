//! Waits for conditions, never for a fixed time.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Polls until there is a result. Panics after 30 s.
pub fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    eventually_within(Duration::from_secs(30), what, ask)
}

/// Polls until there is a result. Panics after `limit`.
pub fn eventually_within<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "condition not met within {limit:?}: {what}");
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}
