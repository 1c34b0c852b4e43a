//! Marks every durable effect on the world, so that the crash test can stop the process after the
//! n-th one.
//!
//! With `OOTHECA_CRASH_AFTER_EFFECT=n` in the environment, the n-th effect after [`arm`] is the last
//! thing that the process does: it kills itself as `kill -9` would. Without it an effect costs one
//! atomic read.

use rustix::process::{Signal, getpid, kill_process};
use std::sync::atomic::{AtomicI64, Ordering};

const NEVER: i64 = i64::MAX;

/// How many effects are left until the process kills itself; [`NEVER`] while nothing is counted.
static LEFT: AtomicI64 = AtomicI64::new(NEVER);

/// Starts to count, if the environment asks for it. Called once the server is ready.
pub fn arm() {
    let count = std::env::var("OOTHECA_CRASH_AFTER_EFFECT").ok().and_then(|text| text.parse().ok());
    LEFT.store(count.filter(|count| *count > 0).unwrap_or(NEVER), Ordering::SeqCst);
}

/// Says that the effect `name` is done and durable.
pub fn done(name: &str) {
    if LEFT.load(Ordering::Relaxed) == NEVER {
        return;
    }
    match LEFT.fetch_sub(1, Ordering::SeqCst) {
        1 => crash(name),
        left if left > 1 => {}
        // Another thread is killing the process. Without this, effects could follow the n-th one, and
        // a request could still be answered.
        _ => stand_still(),
    }
}

fn crash(name: &str) -> ! {
    eprintln!("crash test: stopped after the effect: {name}");
    let _ = kill_process(getpid(), Signal::KILL);
    stand_still()
}

/// Waits for the end of the process.
fn stand_still() -> ! {
    loop {
        std::thread::park();
    }
}
