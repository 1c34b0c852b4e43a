//! The effects on the nodes of a simulated cluster, and on the document that contains them.

use super::state::{ClusterDocument, ClusterFiles, Clusters, SimulatedCluster};
use crate::{Received, Rejoin};
use ootheca_model::{
    ClusterId, Error, ErrorKind, Result,
    instance::{InstancePlan, Phase},
    node::{NodeId, Quorum},
};
use tokio::time::Instant;

impl Clusters {
    /// What serves with this epoch, whether its primary is ready or not.
    fn at_epoch(&mut self, cluster: ClusterId, epoch: u64) -> Result<&mut SimulatedCluster> {
        let Some(simulated) = self.serving.get_mut(&cluster) else {
            return Err(Error::unavailable("the cluster has no instance"));
        };
        let current = simulated.last_plan().epoch;
        match simulated.missing {
            None if current == epoch => Ok(simulated),
            None if epoch < current => {
                let message = format!("epoch {epoch} is older than the current epoch {current}");
                Err(Error::new(ErrorKind::Stale, message))
            }
            _ => Err(Error::unavailable(format!("the cluster is not served with data epoch {epoch}"))),
        }
    }
}

impl ClusterFiles {
    /// Changes the nodes of what serves. What `change` has done is kept, also if it fails.
    fn change_nodes<T>(
        &self,
        (cluster, epoch): (ClusterId, u64),
        change: impl FnOnce(&mut SimulatedCluster) -> Result<T>,
    ) -> Result<T> {
        let _exclusive = self.exclusive()?;
        let mut clusters = self.lock();
        let simulated = clusters.at_epoch(cluster, epoch)?;
        let mut changed = simulated.clone();
        let result = change(&mut changed);
        self.write(&changed.document)?;
        *simulated = changed;
        result
    }

    /// The same, with a plan that is recorded first.
    fn follow_plan<T>(
        &self,
        plan: &InstancePlan,
        change: impl FnOnce(&mut SimulatedCluster) -> Result<T>,
    ) -> Result<T> {
        self.change_nodes((plan.cluster, plan.epoch), |simulated| {
            simulated.last_plan().check_successor(plan)?;
            simulated.document.plan = plan.clone();
            change(simulated)
        })
    }

    /// A fault for tests.
    pub(super) fn fault(&self, cluster: ClusterId, fault: impl FnOnce(&mut ClusterDocument)) -> Result<()> {
        let epoch = self.read(cluster, |simulated| simulated.document.plan.epoch);
        let epoch = epoch.ok_or_else(|| Error::not_found("cluster"))?;
        self.change_nodes((cluster, epoch), |simulated| {
            fault(&mut simulated.document);
            Ok(())
        })
    }

    /// Adds a copy of the primary, unless there is one.
    pub(super) fn stage_node(&self, plan: &InstancePlan, node: NodeId) -> Result<()> {
        self.follow_plan(plan, |simulated| {
            if simulated.document.has_node(node) {
                return Ok(());
            }
            if simulated.phase() != Phase::Ready {
                return Err(Error::unavailable("the primary is not ready"));
            }
            simulated.document.add_node(node);
            Ok(())
        })
    }

    pub(super) fn remove_node(&self, plan: &InstancePlan, node: NodeId) -> Result<()> {
        self.follow_plan(plan, |simulated| {
            if simulated.document.is_primary(node) {
                return Err(Error::precondition(format!("node {node} is the primary")));
            }
            simulated.document.lose_node(node);
            Ok(())
        })
    }

    /// Stops a node. Returns whether it ran before.
    pub(super) fn fence(&self, cluster: ClusterId, epoch: u64, node: NodeId) -> Result<bool> {
        self.change_nodes((cluster, epoch), |simulated| {
            let ran = simulated.document.runs(node);
            simulated.document.stop_node(node, false);
            Ok(ran)
        })
    }

    pub(super) fn received(&self, cluster: ClusterId, epoch: u64) -> Result<Vec<Received>> {
        Ok(self.lock().at_epoch(cluster, epoch)?.document.received())
    }

    /// Starts the primary of the plan. Returns whether it did not run before.
    pub(super) fn start_primary(&self, plan: &InstancePlan, ready_at: Instant) -> Result<bool> {
        self.follow_plan(plan, |simulated| {
            let started = simulated.document.start_primary()?;
            if started {
                simulated.ready_at = ready_at;
            }
            Ok(started)
        })
    }

    /// Makes the node of the plan the primary. Returns whether it did not accept writes before.
    pub(super) fn promote(&self, plan: &InstancePlan, before: &[Quorum]) -> Result<bool> {
        self.follow_plan(plan, |simulated| {
            let leads = simulated.document.nodes.leader() == Some(plan.primary);
            if !leads {
                simulated.document.promote(before)?;
                simulated.ready_at = Instant::now();
            }
            Ok(!leads)
        })
    }

    pub(super) fn rejoin(&self, plan: &InstancePlan, node: NodeId) -> Result<Rejoin> {
        self.follow_plan(plan, |simulated| simulated.document.rejoin(node))
    }

    pub(super) fn apply_quorum(&self, plan: &InstancePlan) -> Result<bool> {
        self.follow_plan(plan, |simulated| Ok(simulated.document.apply_quorum()))
    }

    pub(super) fn restart_node(&self, plan: &InstancePlan, node: NodeId) -> Result<()> {
        self.follow_plan(plan, |simulated| simulated.document.restart_node(node))
    }
}
