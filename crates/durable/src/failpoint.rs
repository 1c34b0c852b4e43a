//! A failpoint after every durable side effect, so that the crash test can kill the process after the n-th one.
//!
//! With `OOTHECA_CRASH_AFTER_EFFECT=n` in the environment, the process kills itself with SIGKILL after the
//! n-th effect that follows [`arm`]; with the name of an effect, after the first one of this name. Otherwise a
//! failpoint costs one atomic read.

use rustix::process::{Signal, getpid, kill_process};
use std::io::Write;
use std::sync::{
    OnceLock,
    atomic::{AtomicI64, Ordering},
};

const NEVER: i64 = i64::MAX;

/// The value of `LEFT` if `NAME` decides.
const BY_NAME: i64 = i64::MAX - 1;

/// The number of effects until the process kills itself; [`NEVER`] if effects are not counted.
static LEFT: AtomicI64 = AtomicI64::new(NEVER);
static NAME: OnceLock<String> = OnceLock::new();

/// Starts counting if the environment variable is set. Called once the server is ready, and when a recovery begins.
pub fn arm() {
    let Ok(text) = std::env::var("OOTHECA_CRASH_AFTER_EFFECT") else { return };
    let left = match text.parse() {
        Ok(count) if count > 0 => count,
        Ok(_) => NEVER,
        Err(_) => {
            let _ = NAME.set(text);
            BY_NAME
        }
    };
    LEFT.store(left, Ordering::SeqCst);
}

/// The failpoint after the side effect `name`, which is complete and durable.
pub fn reach(name: &str) {
    match LEFT.load(Ordering::Relaxed) {
        NEVER => return,
        BY_NAME if NAME.get().is_some_and(|wanted| wanted == name) => crash(name),
        BY_NAME => return,
        _ => {}
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
    let _ = writeln!(std::io::stderr(), "crash test: stopped after the effect: {name}");
    let _ = kill_process(getpid(), Signal::KILL);
    stand_still()
}

/// Blocks until the process is killed.
fn stand_still() -> ! {
    loop {
        std::thread::park();
    }
}
