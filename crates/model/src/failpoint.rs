//! A failpoint after every durable side effect, so that the crash test can kill the process after the n-th one.
//!
//! With `OOTHECA_CRASH_AFTER_EFFECT=n` in the environment, the process kills itself with SIGKILL after the
//! n-th effect that follows [`arm`]. Otherwise a failpoint costs one atomic read.

use rustix::process::{Signal, getpid, kill_process};
use std::sync::atomic::{AtomicI64, Ordering};

const NEVER: i64 = i64::MAX;

/// The number of effects until the process kills itself; [`NEVER`] if effects are not counted.
static LEFT: AtomicI64 = AtomicI64::new(NEVER);

/// Starts counting if the environment variable is set. Called once the server is ready.
pub fn arm() {
    let count = std::env::var("OOTHECA_CRASH_AFTER_EFFECT").ok().and_then(|text| text.parse().ok());
    LEFT.store(count.filter(|count| *count > 0).unwrap_or(NEVER), Ordering::SeqCst);
}

/// The failpoint after the side effect `name`, which is complete and durable.
pub fn reach(name: &str) {
    if LEFT.load(Ordering::Relaxed) == NEVER {
        return;
    }
    match LEFT.fetch_sub(1, Ordering::SeqCst) {
        1 => crash(name),
        left if left > 1 => {}
        // Another thread is killing the process. Blocks, so that no effect follows the n-th one and no
        // request is answered.
        _ => stand_still(),
    }
}

fn crash(name: &str) -> ! {
    eprintln!("crash test: stopped after the effect: {name}");
    let _ = kill_process(getpid(), Signal::KILL);
    stand_still()
}

/// Blocks until the process is killed.
fn stand_still() -> ! {
    loop {
        std::thread::park();
    }
}
