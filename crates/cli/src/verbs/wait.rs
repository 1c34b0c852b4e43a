//! Waits until a change that can take long is complete.

use crate::{
    failure::{Exit, Failure, Result},
    terminal,
};
use clap::Args;
use serde_json::Value;
use std::{
    thread,
    time::{Duration, Instant},
};

/// How often the changed object is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Flags of changes that can take long.
#[derive(Args, Clone, Copy, Default)]
pub(crate) struct WaitArgs {
    /// Wait until the change is complete (the default)
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Return immediately
    #[arg(long)]
    no_wait: bool,
    /// Stop waiting after this number of seconds; the server continues the change
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    timeout: u64,
}

impl WaitArgs {
    /// Whether to wait.
    fn waits(self) -> bool {
        self.wait || !self.no_wait
    }

    /// Requests a change and waits until it is complete, unless the flags say otherwise. Meanwhile, a progress line
    /// shows `what` and the current step. `step` returns `None` once the change is complete, `read` reads the changed
    /// object again, and `command` shows its state to users who don't wait any longer.
    pub(crate) fn until_complete(
        self,
        what: &str,
        request: impl FnOnce() -> Result<Value>,
        read: impl Fn(&Value) -> Result<Value>,
        step: impl Fn(&Value) -> Option<String>,
        command: impl Fn(&Value) -> String,
    ) -> Result<Value> {
        let mut progress = terminal::progress(what);
        let mut object = request()?;
        let deadline = Instant::now().checked_add(Duration::from_secs(self.timeout));
        while let Some(current) = step(&object).filter(|_| self.waits()) {
            progress.update(format!("{what} {current}").trim_end());
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                drop(progress);
                let message = format!("timed out after {} seconds: {what}", self.timeout);
                let hint = format!("the server continues; check the state with `{}`", command(&object));
                return Err(Failure::new(Exit::TimedOut, message).hint(hint));
            }
            thread::sleep(POLL_INTERVAL);
            object = read(&object)?;
        }
        Ok(object)
    }
}
