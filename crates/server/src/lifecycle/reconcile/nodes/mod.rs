//! The nodes of a cluster: which of them is the primary, which standbys follow it, and whose confirmations count.
//!
//! The row decides all of that. Every change is committed before the engine acts, so that a crash at any point leaves a
//! state from which the next step goes on. `failover` changes the primary, `rejoin` lets nodes follow it, and `scale`
//! adds and removes nodes and changes the quorum.

mod failover;
mod rejoin;
mod scale;

use super::step::Step;
use crate::{
    documents::{self, Stored},
    lifecycle::Lifecycle,
};
use ootheca_engine::Engine;
use ootheca_model::{
    Cluster, ClusterId, ClusterState, Result,
    audit::AuditEntry,
    instance::{Condition, InstancePlan, Observed, Phase, Power},
    node::{Leadership, NodeSpec, NodeStage},
};
use ootheca_store::{Batch, Lease};
use std::time::Duration;

/// When to repeat what usually takes no time.
const RETRY: Duration = Duration::from_millis(100);

/// The state of the primary.
pub(super) enum Primary {
    /// It runs or starts, or the engine takes care of it.
    Kept,
    /// It is being replaced or started.
    Changing(Step),
    /// It is lost, and no other node can take its place. The condition says so.
    Lost(Condition),
}

/// Whether the nodes are as the row describes them, and the row describes no change that is not complete.
pub(super) fn are_settled(cluster: &Cluster, observed: &Observed) -> bool {
    !cluster.is_changing_nodes() && cluster.nodes.iter().all(|node| is_live(node, observed))
}

fn is_live(node: &NodeSpec, observed: &Observed) -> bool {
    observed.nodes.iter().any(|seen| seen.id == node.id && seen.live)
}

/// Replaces or starts the primary if it does not work. Without a quorum, there is no standby that could take its place,
/// and the engine starts it.
pub(super) async fn keep_primary(
    lifecycle: &Lifecycle,
    stored: &Stored<Cluster>,
    lease: &Lease,
) -> Result<Primary> {
    let cluster = &stored.value;
    let has_quorum = cluster.quorum.is_some() || cluster.next_quorum.is_some();
    if !has_quorum || cluster.power == Power::Off {
        return Ok(Primary::Kept);
    }
    let observed = lifecycle.context.engine.observe(cluster.id).await?;
    let work = Work::new(lifecycle, stored.clone(), lease.clone());
    if let Some(change) = &cluster.leadership.change {
        return work.complete_change(change, &observed).await;
    }
    match observed.phase {
        Phase::Ready | Phase::Starting => Ok(Primary::Kept),
        // Its data is created first.
        Phase::Absent if cluster.state == ClusterState::Creating => Ok(Primary::Kept),
        Phase::Down | Phase::Suspended | Phase::Absent => work.fail_over(&observed).await,
    }
}

/// Moves the nodes of the cluster `id` toward what its row describes. Its primary is ready.
pub(super) async fn settle(
    lifecycle: &Lifecycle,
    id: ClusterId,
    lease: Lease,
    observed: &Observed,
) -> Result<Step> {
    let found = documents::find::<Cluster>(&*lifecycle.context.store, &id.to_string()).await?;
    // The row may have changed since the plan was applied.
    let same = |found: &Stored<Cluster>| {
        let cluster = &found.value;
        let applied = (observed.generation, observed.term);
        cluster.is_active()
            && cluster.restore.is_none()
            && applied == (cluster.generation, cluster.leadership.term)
    };
    let Some(stored) = found.filter(same) else { return Ok(Step::Again(RETRY)) };
    let work = Work::new(lifecycle, stored, lease);
    let rejoined = work.rejoin_members(observed).await?;
    if let Some(step) = work.scale(observed).await? {
        return Ok(step);
    }
    Ok(rejoined.map_or(Step::Done, Step::Again))
}

/// The cluster with other data: its primary has them, and all other nodes join again.
pub(super) fn with_other_data(cluster: Cluster) -> Cluster {
    if cluster.nodes.is_empty() {
        return cluster;
    }
    let Leadership { primary, term, .. } = cluster.leadership;
    let mut nodes = cluster.nodes.clone();
    for node in nodes.iter_mut().filter(|node| node.id != primary && node.stage == NodeStage::Member) {
        node.stage = NodeStage::Joining;
    }
    let leadership = Leadership { primary, term: term + 1, change: None };
    Cluster { nodes, leadership, quorum: None, next_quorum: None, ..cluster }
}

/// A cluster with several nodes, and the authority to change it.
struct Work<'a> {
    lifecycle: &'a Lifecycle,
    stored: Stored<Cluster>,
    plan: InstancePlan,
    lease: Lease,
}

impl<'a> Work<'a> {
    fn new(lifecycle: &'a Lifecycle, stored: Stored<Cluster>, lease: Lease) -> Self {
        let plan = stored.value.plan_instance();
        Self { lifecycle, stored, plan, lease }
    }

    fn cluster(&self) -> &Cluster {
        &self.stored.value
    }

    fn engine(&self) -> &dyn Engine {
        &*self.lifecycle.context.engine
    }

    /// Writes the cluster. The next step follows at once.
    async fn commit(&self, after: &Cluster, audit: Vec<AuditEntry>) -> Result<Step> {
        let mut batch = Batch::server("reconcile").with(documents::update(&self.stored.row, after)?);
        (batch.audit, batch.fence) = (audit, Some(self.lease.clone()));
        self.lifecycle.context.store.commit(batch, self.lifecycle.context.now()).await?;
        Ok(Step::Again(Duration::ZERO))
    }
}

#[cfg(test)]
mod tests;
