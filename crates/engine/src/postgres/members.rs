//! The nodes of a cluster with several of them: which one is the primary, and what each of them does.

use super::{
    claim::{Claim, has_several_nodes},
    instance::Instance,
    nodes,
    shared::{Shared, WhenMissing},
    table::Table,
};
use crate::Source;
use futures_util::future::join_all;
use ootheca_model::{
    ClusterId, Result,
    instance::{InstancePlan, Node, NodePlan, NodeRole, Observed, Phase},
    node::NodeId,
};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::OwnedMutexGuard;

/// A lock for each cluster.
#[derive(Debug, Default)]
pub(super) struct ClusterLocks(Mutex<HashMap<ClusterId, Arc<tokio::sync::Mutex<()>>>>);

impl ClusterLocks {
    pub(super) async fn lock(&self, cluster: ClusterId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock();
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            locks.entry(cluster).or_default().clone()
        };
        lock.lock_owned().await
    }
}

impl Shared {
    /// Makes the instances of a cluster match the plan.
    pub(super) async fn ensure(
        self: &Arc<Self>,
        plan: &InstancePlan,
        absent: WhenMissing,
    ) -> Result<Observed> {
        self.context.secret()?;
        self.note_request();
        if !has_several_nodes(plan) {
            return self.ensure_serving(plan, absent).await;
        }
        let leading = self.leading.lock(plan.cluster).await;
        self.name_primary(plan).await?;
        let observed = self.ensure_serving(plan, absent).await?;
        if absent == WhenMissing::Create {
            self.start_new(plan).await?;
        }
        drop(leading);
        if absent == WhenMissing::Create {
            self.create_standbys(plan).await?;
        }
        self.ensure_standbys(plan).await?;
        match observed.phase {
            // Says what is missing, which is not known later.
            Phase::Absent => Ok(self.table().add_nodes(observed, plan.epoch)),
            _ => self.observe(plan.cluster),
        }
    }

    /// Chooses the node that the plan calls the primary, and fences every other one that may accept writes. The caller
    /// holds the lock of `leading`.
    pub(super) async fn name_primary(self: &Arc<Self>, plan: &InstancePlan) -> Result<()> {
        let mut others: Vec<Arc<Instance>> = {
            let mut table = self.table();
            table.check_successor(plan)?;
            table.lead(&Claim::of(plan));
            table.standbys_of(plan.cluster, plan.epoch).cloned().collect()
        };
        others.retain(|other| !other.is_standby() && !other.is_vacant());
        for other in &others {
            tracing::warn!(cluster = %plan.cluster, node = %other.node(), "former primary is fenced");
            nodes::fence::fence(self, plan.cluster, plan.epoch, other.node()).await?;
        }
        Ok(())
    }

    /// Records the plan at every node of its epoch, so that no node accepts an older one.
    pub(super) async fn record_plan(&self, plan: &InstancePlan) -> Result<()> {
        let nodes = self.nodes(plan.cluster, plan.epoch);
        let recorded = join_all(nodes.iter().map(|node| node.record(plan))).await;
        recorded.into_iter().collect()
    }

    /// Starts the primary of a new cluster again after a crash: as long as no standby was promoted, there is nothing to
    /// decide.
    async fn start_new(&self, plan: &InstancePlan) -> Result<()> {
        let Some(primary) = self.claimed(plan.cluster).filter(|primary| primary.epoch() == plan.epoch) else {
            return Ok(());
        };
        if plan.term == 0 && !primary.is_standby() {
            primary.ensure_primary(plan).await?;
        }
        Ok(())
    }

    /// Builds the standbys of a new cluster from the template, once its primary is ready.
    async fn create_standbys(self: &Arc<Self>, plan: &InstancePlan) -> Result<()> {
        let primary = self.claimed(plan.cluster).filter(|primary| primary.epoch() == plan.epoch);
        if primary.is_none_or(|primary| primary.ready_pid().is_none() || !primary.is_primary()) {
            return Ok(());
        }
        for NodePlan { id, .. } in &plan.nodes {
            if *id != plan.primary && self.node(plan.cluster, plan.epoch, *id).is_none() {
                nodes::seed::stage_node(self, plan, *id, &Source::Empty).await?;
            }
        }
        Ok(())
    }

    /// Makes the other nodes match the plan, and stops those of other epochs.
    async fn ensure_standbys(&self, plan: &InstancePlan) -> Result<()> {
        let (current, old): (Vec<_>, Vec<_>) = {
            let table = self.table();
            let standbys = table.all_standbys_of(plan.cluster).cloned();
            standbys.partition(|node| node.epoch() == plan.epoch)
        };
        for node in &old {
            node.vacate();
        }
        for node in &current {
            node.serve();
        }
        let ensured = join_all(current.iter().map(|node| node.ensure(plan))).await;
        ensured.into_iter().try_for_each(|result| result.map(drop))
    }

    /// All nodes of an epoch of the cluster, the primary first.
    pub(super) fn nodes(&self, cluster: ClusterId, epoch: u64) -> Vec<Arc<Instance>> {
        self.table().nodes(cluster, epoch)
    }

    /// One node of an epoch of the cluster.
    pub(super) fn node(&self, cluster: ClusterId, epoch: u64, node: NodeId) -> Option<Arc<Instance>> {
        self.table().node(cluster, epoch, node)
    }
}

impl Table {
    /// The state of a cluster that this instance serves.
    pub(super) fn observe(&self, primary: &Instance) -> Result<Observed> {
        let observed = primary.observe()?;
        if !primary.has_several_nodes() {
            return Ok(observed);
        }
        Ok(self.add_nodes(observed, primary.epoch()))
    }

    /// Adds what is observed of each node that has data.
    pub(super) fn add_nodes(&self, observed: Observed, epoch: u64) -> Observed {
        let cluster = observed.cluster;
        let primary = self.primary(cluster, epoch);
        let streaming = primary.map(|primary| primary.state.borrow().streaming.clone()).unwrap_or_default();
        let mut nodes: Vec<Node> =
            self.nodes(cluster, epoch).iter().map(|node| node.observe_node(&streaming)).collect();
        // The first one is that of the newest plan.
        let primary = nodes.iter().find(|node| node.live && node.role == NodeRole::Primary);
        let primary = primary.map(|node| node.id);
        nodes.sort_by_key(|node| node.id);
        Observed { primary, nodes, ..observed }
    }
}
