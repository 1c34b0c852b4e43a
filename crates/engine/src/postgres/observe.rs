//! The state of an instance as the caller of the engine sees it.

use super::instance::{Instance, InstanceState, Stage};
use ootheca_model::{
    Error, Result,
    instance::{Condition, Node, NodeRole, Observed, Phase},
    node::NodeId,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

impl Instance {
    /// Returns the current state.
    pub(super) fn observe(&self) -> Result<Observed> {
        // Before the state is read, which must not be read twice at the same time.
        let is_promoted = !self.has_several_nodes() || self.is_promoted();
        let state = self.state.borrow();
        let claim = state.claim.ok_or_else(|| Error::internal("a spare has no cluster"))?;
        let cluster = claim.cluster;
        if let Some(missing) = state.missing.clone().filter(|_| state.stage == Stage::Down) {
            return Ok(Observed::data_missing(cluster, missing));
        }
        let live = state.accepts_connections() && is_promoted;
        let phase = match state.stage {
            Stage::Ready if live => Phase::Ready,
            // A standby that is to be promoted.
            Stage::Ready if state.accepts_connections() => Phase::Starting,
            Stage::Starting => Phase::Starting,
            Stage::Suspending if !state.off() => Phase::Starting,
            Stage::Down if state.off() && state.empty && !state.idle => Phase::Suspended,
            _ => Phase::Down,
        };
        let id = claim.node.unwrap_or(NodeId::FIRST);
        let node = Node {
            id,
            name: id.to_string(),
            role: if state.is_alive() { NodeRole::Primary } else { NodeRole::None },
            live,
            lag_bytes: None,
            version: state.version.clone(),
            pid: state.process.as_ref().map(|process| process.pid),
        };
        Ok(Observed {
            cluster,
            generation: state.plan.as_ref().map_or(0, |plan| plan.generation),
            term: state.plan.as_ref().map_or(0, |plan| plan.term),
            primary: live.then_some(id),
            phase,
            engine: state.version.clone(),
            nodes: if phase == Phase::Suspended { Vec::new() } else { vec![node] },
            conditions: conditions(&state)
                .into_iter()
                .chain(claim.node.and_then(|_| self.sandbox_reduced()))
                .collect(),
            retry_after: state.retry_at.filter(|_| phase == Phase::Down).map(until),
            location: self.data().display().to_string(),
        })
    }

    /// The state of one of several nodes. `streaming` are the standbys that stream from the primary.
    pub(super) fn observe_node(&self, streaming: &BTreeMap<NodeId, u64>) -> Node {
        let (id, is_standby) = (self.node(), self.is_standby());
        let state = self.state.borrow();
        let role = match is_standby {
            _ if !state.is_alive() => NodeRole::None,
            true => NodeRole::Standby,
            false => NodeRole::Primary,
        };
        let lag_bytes = streaming.get(&id).copied().filter(|_| role == NodeRole::Standby);
        Node {
            id,
            name: id.to_string(),
            role,
            live: state.accepts_connections() && (role == NodeRole::Primary || lag_bytes.is_some()),
            lag_bytes,
            version: state.version.clone(),
            pid: state.process.as_ref().map(|process| process.pid),
        }
    }
}

impl InstanceState {
    fn is_alive(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.alive())
    }

    fn accepts_connections(&self) -> bool {
        self.stage == Stage::Ready && self.is_alive() && !self.unresponsive
    }
}

impl Instance {
    /// The condition of a cluster with several nodes if its servers are less isolated than others.
    fn sandbox_reduced(&self) -> Option<Condition> {
        let reason = self.context.sandbox_reduced()?;
        let message =
            format!("The servers of this cluster can connect to the sockets of other clusters: {reason}.");
        Some(Condition { kind: Condition::SANDBOX_REDUCED.to_owned(), holds: true, message })
    }
}

fn until(at: Instant) -> Duration {
    at.saturating_duration_since(Instant::now())
}

fn conditions(state: &InstanceState) -> Vec<Condition> {
    let mut conditions = Vec::new();
    if let Some(millis) = state.cpu_millis() {
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
