//! The end of an instance's server: because its power is off, for good, or unasked.

use super::{
    instance::{Instance, Stage, State, now},
    process::{self, LOCK_FILE, Process},
    server::{self, End},
    trash,
};
use crate::files::{blocking, remove_tree};
use ootheca_model::Result;
use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A server that ran this long has recovered.
const STEADY: Duration = Duration::from_secs(60);
/// How long processes without a postmaster may take to end by themselves.
const ORPHANS: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(10);

impl Instance {
    /// Stops the server in order if the plan says that it is to be off. Does not wait.
    pub(super) fn suspend(self: &Arc<Self>) {
        let mut before = Stage::Stopped;
        let begun = self.state.send_if_modified(|state| {
            before = state.stage;
            let needed = match state.stage {
                Stage::Starting | Stage::Ready => true,
                Stage::Down => !state.empty,
                _ => false,
            };
            let begun = needed && state.off();
            if begun {
                state.stage = Stage::Suspending;
                (state.crashes, state.retry_at) = (0, None);
            }
            begun
        });
        match before {
            _ if !begun => {}
            Stage::Down => drop(tokio::spawn(self.clone().sweep())),
            _ => drop(tokio::spawn(self.clone().end_held())),
        }
    }

    /// Notes that no process was found here.
    pub(super) fn found_empty(&self) {
        self.state.send_modify(|state| state.empty = true);
    }

    /// Ends the server that is being suspended; whoever started it sees its end.
    async fn end_held(self: Arc<Self>) {
        let mut states = self.state.subscribe();
        let decided = |state: &State| state.stage != Stage::Suspending || state.process.is_some();
        let process = match states.wait_for(decided).await {
            Ok(state) if state.stage == Stage::Suspending => state.process.clone(),
            _ => None,
        };
        if let Some(process) = process {
            self.end(&process, End::Suspended).await;
        }
    }

    /// Ends what an earlier incarnation may have started without a trace, or a crash has left.
    async fn sweep(self: Arc<Self>) {
        let (data, begun) = (self.data(), Instant::now());
        loop {
            if let Some((process, _)) = process::adopt(&data) {
                let process = Arc::new(process);
                self.state.send_modify(|state| state.process = Some(process.clone()));
                self.end(&process, End::Suspended).await;
                break;
            }
            if process::working_in(&data).is_empty() || begun.elapsed() > ORPHANS {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        self.ended().await;
    }

    pub(super) async fn end(&self, process: &Process, end: End) {
        server::stop(process, &self.data(), self.host.haste.subscribe(), end).await;
    }

    /// The server has ended, or never came up.
    pub(super) async fn ended(self: &Arc<Self>) {
        let asked = {
            let state = self.state.borrow();
            state.off() || state.stage == Stage::Suspending
        };
        let cleared = asked && self.clear().await;
        if !asked {
            self.host.cgroups.remove(&self.id);
        }
        let mut again = false;
        self.state.send_modify(|state| {
            state.process = None;
            if state.stage == Stage::Stopping {
                state.stage = Stage::Stopped;
            } else if state.stage == Stage::Suspending || state.off() {
                state.stage = Stage::Down;
                (state.crashes, state.retry_at, state.up_since) = (0, None, None);
                state.empty = cleared;
                again = true;
            } else {
                self.crashed(state);
            }
        });
        if again && !self.host.closing() {
            self.start();
            // It crashed while its power went off. What could not be cleared waits for the next plan.
            if !asked {
                self.suspend();
            }
        }
        self.host.hint(self.cluster());
    }

    fn crashed(&self, state: &mut State) {
        if state.up_since.take().is_some_and(|since| since.elapsed() >= STEADY) {
            state.crashes = 0;
        }
        state.stage = Stage::Down;
        state.crashes += 1;
        state.retry_at = Some(now().after(pause(state.crashes)));
        if !self.host.closing() {
            tracing::warn!(instance = self.id, crashes = state.crashes, "server down");
        }
    }

    /// Leaves no process, lock, socket or control group of a server that has ended: all that a start
    /// would otherwise have to look for.
    async fn clear(&self) -> bool {
        process::clear(&self.data(), ORPHANS).await;
        let (data, sockets) = (self.data(), self.sockets());
        let files = blocking(move || {
            trash::free_shared_memory(&data);
            let _ = fs::remove_file(data.join(LOCK_FILE));
            remove_tree(&sockets)
        });
        let cleared = match files.await {
            Ok(()) => self.remove_group().await,
            Err(error) => Err(error),
        };
        if let Err(error) = &cleared {
            tracing::warn!(instance = self.id, error = error.chain(), "suspended instance not cleared");
        }
        cleared.is_ok()
    }

    pub(super) async fn remove_group(&self) -> Result<()> {
        trash::remove_cgroup(&self.host, &self.id).await
    }

    /// Stops the server for good; `now` drops its sessions and open work at once.
    pub(super) async fn stop(&self, now: bool) {
        let mut running = false;
        self.state.send_modify(|state| {
            running = !matches!(state.stage, Stage::Down | Stage::Stopped);
            state.stage = if running { Stage::Stopping } else { Stage::Stopped };
        });
        if !running {
            return;
        }
        let mut states = self.state.subscribe();
        let held = |state: &State| state.process.is_some() || state.stage == Stage::Stopped;
        let process = states.wait_for(held).await.ok().and_then(|state| state.process.clone());
        if let Some(process) = process {
            self.end(&process, if now { End::AtOnce } else { End::Orderly }).await;
        }
        let _ = states.wait_for(|state| state.stage == Stage::Stopped).await;
    }
}

fn pause(crashes: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << crashes.saturating_sub(1).min(16)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::pause;
    use std::time::Duration;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let millis: Vec<u128> = (1..5).map(|crashes| pause(crashes).as_millis()).collect();
        assert_eq!(millis, [200, 400, 800, 1600]);
        assert_eq!(pause(40), Duration::from_secs(30));
    }
}
