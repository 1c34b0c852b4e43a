//! Marks every durable effect on the world, so that the crash test can stop the process after the
//! n-th one.
//!
//! With `OOTHECA_CRASH_AFTER_EFFECT=n` in the environment, the n-th effect after [`arm`] is the last
//! thing that the process does: it kills itself as `kill -9` would. Without it an effect costs one
//! atomic read.

use std::sync::atomic::{AtomicI64, Ordering};

static LEFT: AtomicI64 = AtomicI64::new(0);

/// Starts to count, if the environment asks for it. Called once the server is ready.
pub fn arm() {
    let count = std::env::var("OOTHECA_CRASH_AFTER_EFFECT").ok().and_then(|text| text.parse().ok());
    LEFT.store(count.unwrap_or(0), Ordering::SeqCst);
}

/// Says that the effect `name` is done and durable.
pub fn done(name: &str) {
    if LEFT.load(Ordering::Relaxed) > 0 && LEFT.fetch_sub(1, Ordering::SeqCst) == 1 {
        crash(name);
    }
}

fn crash(name: &str) -> ! {
    eprintln!("crash test: stopped after the effect: {name}");
    let pid = std::process::id().to_string();
    let _ = std::process::Command::new("kill").args(["-KILL", &pid]).status();
    std::process::abort()
}
