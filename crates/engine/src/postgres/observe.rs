//! The state of an instance as the caller of the engine sees it.

use super::instance::{Instance, InstanceState, Stage};
use ootheca_model::{
    Error, Result,
    instance::{Condition, Node, Observed, Phase},
};
use std::time::{Duration, Instant};

impl Instance {
    /// Returns the current state.
    pub(super) fn observe(&self) -> Result<Observed> {
        let state = self.state.borrow();
        let claim = state.claim.ok_or_else(|| Error::internal("a spare has no cluster"))?;
        let cluster = claim.cluster;
        if let Some(missing) = state.missing.clone().filter(|_| state.stage == Stage::Down) {
            return Ok(Observed::data_missing(cluster, missing));
        }
        let alive = state.process.as_ref().is_some_and(|process| process.alive());
        let live = state.stage == Stage::Ready && alive && !state.unresponsive;
        let phase = match state.stage {
            Stage::Ready if live => Phase::Ready,
            Stage::Starting => Phase::Starting,
            Stage::Suspending if !state.off() => Phase::Starting,
            Stage::Down if state.off() && state.empty && !state.idle => Phase::Suspended,
            _ => Phase::Down,
        };
        let node =
            Node { name: "n1".to_owned(), live, pid: state.process.as_ref().map(|process| process.pid) };
        Ok(Observed {
            cluster,
            generation: state.plan.as_ref().map_or(0, |plan| plan.generation),
            phase,
            engine: state.version.clone(),
            nodes: if phase == Phase::Suspended { Vec::new() } else { vec![node] },
            conditions: conditions(&state),
            retry_after: state.retry_at.filter(|_| phase == Phase::Down).map(until),
            location: self.data().display().to_string(),
        })
    }
}

fn until(at: Instant) -> Duration {
    at.saturating_duration_since(Instant::now())
}

fn conditions(state: &InstanceState) -> Vec<Condition> {
    let mut conditions = Vec::new();
    if let Some(millis) = state.plan.as_ref().and_then(|plan| plan.cpu_millis) {
        let cpus = f64::from(millis) / 1000.0;
        let message = match &state.unbounded {
            None => format!("CPU is limited to {cpus} vCPUs."),
            Some(reason) => {
                format!("The CPU limit of {cpus} vCPUs is not enforced on this machine: {reason}.")
            }
        };
        conditions.push(Condition {
            kind: "CpuLimited".to_owned(),
            holds: state.unbounded.is_none(),
            message,
        });
    }
    if state.unresponsive {
        let message = "The server does not respond and is being restarted.".to_owned();
        conditions.push(Condition { kind: Condition::NOT_RESPONDING.to_owned(), holds: true, message });
    }
    if state.crashes > 0 && matches!(state.stage, Stage::Down | Stage::Starting) {
        let times = if state.crashes == 1 { "once".to_owned() } else { format!("{} times", state.crashes) };
        let message = format!("The server stopped unexpectedly {times} and is restarting.");
        conditions.push(Condition { kind: "Restarting".to_owned(), holds: true, message });
    }
    conditions
}
