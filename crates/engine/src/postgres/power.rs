//! Stops an instance's server: because its power is off, permanently, or after a crash.

use super::{
    instance::{Instance, InstanceState, Stage},
    process::{self, LOCK_FILE, Process},
    server::{self, StopMode},
    shared_memory, trash,
};
use crate::files::{blocking, remove_tree};
use ootheca_model::Result;
use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

const FIRST_DELAY: Duration = Duration::from_millis(200);
const MAX_DELAY: Duration = Duration::from_secs(30);
/// The crash count is reset for a server that ran this long.
const STEADY: Duration = Duration::from_secs(60);
/// How long processes without a postmaster may take to exit on their own.
const ORPHANS: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(10);

impl Instance {
    /// Starts a suspension if the plan says that the power is off. Does not wait.
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
            Stage::Down => drop(tokio::spawn(self.clone().stop_leftovers())),
            _ => drop(tokio::spawn(self.clone().stop_suspending())),
        }
    }

    /// Stops the server, because the instance does not serve its cluster. Returns whether it is certain that no
    /// process is left. Does not wait.
    pub(super) fn vacate(self: &Arc<Self>) -> bool {
        self.state.send_if_modified(|state| !std::mem::replace(&mut state.idle, true));
        self.suspend();
        let state = self.state.borrow();
        state.empty && matches!(state.stage, Stage::Down | Stage::Stopped)
    }

    /// Allows the server of an idle instance to be started.
    pub(super) fn serve(&self) {
        self.state.send_modify(|state| state.idle = false);
    }

    /// Whether it is certain that no process is left.
    pub(super) fn is_vacant(&self) -> bool {
        self.state.borrow().empty
    }

    /// Records that no process of the instance exists.
    pub(super) fn found_empty(&self) {
        self.state.send_modify(|state| state.empty = true);
    }

    /// Stops the server that is being suspended. The task that started the server handles its exit.
    async fn stop_suspending(self: Arc<Self>) {
        let mut states = self.state.subscribe();
        let decided = |state: &InstanceState| state.stage != Stage::Suspending || state.process.is_some();
        let process = match states.wait_for(decided).await {
            Ok(state) if state.stage == Stage::Suspending => state.process.clone(),
            _ => None,
        };
        if let Some(process) = process {
            self.stop_process(&process, StopMode::Suspend).await;
        }
    }

    /// Stops a server that a previous process may have started without recording it, and processes left by a
    /// crash.
    async fn stop_leftovers(self: Arc<Self>) {
        let (data, begun) = (self.data(), Instant::now());
        loop {
            if let Some((process, _)) = process::adopt(&data) {
                let process = Arc::new(process);
                self.state.send_modify(|state| state.process = Some(process.clone()));
                self.stop_process(&process, StopMode::Suspend).await;
                break;
            }
            if process::working_in(&data).is_empty() || begun.elapsed() > ORPHANS {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        self.handle_exit().await;
    }

    pub(super) async fn stop_process(&self, process: &Process, mode: StopMode) {
        self.logins.close();
        self.meter.close();
        self.replication.close();
        server::stop(process, &self.data(), self.context.shutdown.subscribe(), mode).await;
    }

    /// Updates the state after the server has stopped or has failed to start.
    pub(super) async fn handle_exit(self: &Arc<Self>) {
        let asked = {
            let state = self.state.borrow();
            state.off() || state.stage == Stage::Suspending
        };
        let cleared = asked && self.clear().await;
        if !asked {
            self.context.cgroups.remove(&self.id);
        }
        let mut again = false;
        self.state.send_modify(|state| {
            (state.process, state.unresponsive) = (None, false);
            state.streaming.clear();
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
        if again && !self.context.closing() {
            self.start();
            // The server crashed while its power was switched off. If the cleanup failed, the next plan
            // repeats it.
            if !asked {
                self.suspend();
            }
        }
        self.context.hint(self.cluster());
    }

    fn crashed(&self, state: &mut InstanceState) {
        if state.up_since.take().is_some_and(|since| since.elapsed() >= STEADY) {
            state.crashes = 0;
        }
        state.stage = Stage::Down;
        state.crashes += 1;
        state.retry_at = Some(Instant::now() + restart_delay(state.crashes));
        if !self.context.closing() {
            tracing::warn!(instance = self.id, crashes = state.crashes, "server stopped unexpectedly");
        }
    }

    /// Removes the processes, lock file, sockets, and control group of a stopped server, so that the next
    /// start does not have to look for them.
    async fn clear(&self) -> bool {
        process::clear(&self.data(), ORPHANS).await;
        let (data, sockets) = (self.data(), self.sockets());
        let files = blocking(move || {
            shared_memory::free(&data);
            let _ = fs::remove_file(data.join(LOCK_FILE));
            remove_tree(&sockets)
        });
        let cleared = match files.await {
            Ok(()) => self.remove_group().await,
            Err(error) => Err(error),
        };
        if let Err(error) = &cleared {
            tracing::warn!(
                instance = self.id,
                error = error.chain(),
                "could not clean up suspended instance"
            );
        }
        cleared.is_ok()
    }

    pub(super) async fn remove_group(&self) -> Result<()> {
        trash::remove_cgroup(&self.context, &self.id).await
    }

    /// Stops the server permanently. `now` ends its sessions and transactions immediately.
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
        // Another task can have stopped the server at the same time, and have revived the instance since.
        let ended = |state: &InstanceState| state.stage != Stage::Stopping;
        let held = |state: &InstanceState| state.process.is_some() || ended(state);
        let process = states.wait_for(held).await.ok().and_then(|state| state.process.clone());
        if let Some(process) = process {
            self.stop_process(&process, if now { StopMode::Immediate } else { StopMode::Fast }).await;
        }
        let _ = states.wait_for(ended).await;
    }
}

fn restart_delay(crashes: u32) -> Duration {
    FIRST_DELAY.saturating_mul(1 << crashes.saturating_sub(1).min(16)).min(MAX_DELAY)
}

#[cfg(test)]
mod tests {
    use super::restart_delay;
    use std::time::Duration;

    #[test]
    fn restart_delays_double_up_to_a_limit() {
        let millis: Vec<u128> = (1..5).map(|crashes| restart_delay(crashes).as_millis()).collect();
        assert_eq!(millis, [200, 400, 800, 1600]);
        assert_eq!(restart_delay(40), Duration::from_secs(30));
    }
}
