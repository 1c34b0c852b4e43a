//! What a plan says of an instance: it is recorded first, then the server is started or stopped.

use super::{
    claim::{Claim, has_several_nodes},
    control_secret::SecretChange,
    deadline::within_deadline,
    instance::{Instance, InstanceState, PLAN, STANDBY_SIGNAL, Stage},
    missing::{incomplete, version_file},
};
use crate::files::{blocking, write_atomically};
use ootheca_durable::failpoint;
use ootheca_model::{
    Error, Result,
    instance::{InstancePlan, NodePlan, Observed, Power},
    node::NodeId,
};
use std::{sync::Arc, time::Instant};
use tokio::sync::MutexGuard;

impl InstanceState {
    /// Whether the server should not run, because the plan says so or because the instance is idle.
    pub(super) fn off(&self) -> bool {
        self.idle || self.plan.as_ref().is_some_and(|plan| plan.power == Power::Off) || self.node_is_off()
    }

    /// Whether the node is switched off, or is none of the plan.
    fn node_is_off(&self) -> bool {
        let several = self.plan.as_ref().is_some_and(has_several_nodes);
        several && self.node_plan().is_none_or(|node| node.power == Power::Off)
    }

    /// What the plan says of this node, if it is that of a cluster with several nodes.
    pub(super) fn node_plan(&self) -> Option<&NodePlan> {
        let node = self.claim?.node?;
        self.plan.as_ref()?.nodes.iter().find(|plan| plan.id == node)
    }

    /// The CPU limit in thousandths of a vCPU.
    pub(super) fn cpu_millis(&self) -> Option<u32> {
        let limit = self.plan.as_ref().and_then(|plan| plan.cpu_millis);
        self.node_plan().map_or(limit, |node| node.cpu_millis)
    }
}

impl Instance {
    /// Which node of its cluster the instance is.
    pub(super) fn node(&self) -> NodeId {
        self.claim().and_then(|claim| claim.node).unwrap_or_default()
    }

    /// Whether the cluster has several nodes.
    pub(super) fn has_several_nodes(&self) -> bool {
        self.claim().is_some_and(|claim| claim.node.is_some())
    }

    /// Whether the data is that of a standby, which accepts no writes. A promotion ends that.
    pub(super) fn is_standby(&self) -> bool {
        self.data().join(STANDBY_SIGNAL).exists()
    }

    /// Whether the server accepts writes once it is ready: with several nodes, it is no standby, and a plan of this run
    /// has called it the primary.
    pub(super) fn is_primary(&self) -> bool {
        !self.has_several_nodes() || (self.state.borrow().leads && self.is_promoted())
    }

    /// Whether the server is certainly no standby. It still refuses writes for a moment after it has removed the file that
    /// makes it one.
    pub(super) fn is_promoted(&self) -> bool {
        !self.is_standby() && !self.state.borrow().promoting
    }

    /// Records whether the server is being promoted.
    pub(super) fn set_promoting(&self, promoting: bool) {
        self.state.send_if_modified(|state| std::mem::replace(&mut state.promoting, promoting) != promoting);
    }

    /// Assigns the instance to a cluster by creating one file, which is atomic.
    pub(super) async fn claim_for(&self, plan: InstancePlan) -> Result<()> {
        let (folder, claim) = (self.folder.clone(), Claim::of(&plan));
        // Logs in meanwhile, so that the change takes one round trip.
        let published = blocking(move || claim.publish(&folder));
        let (published, change) = tokio::join!(published, SecretChange::begin(self, claim.cluster));
        if !published? {
            return Err(Error::internal(format!("instance {} is already claimed", self.id)));
        }
        failpoint::reach("instance claimed");
        self.state.send_modify(|state| {
            state.claim = Some(claim);
            state.leads = true;
        });
        self.share_owner().await?;
        let change = change?;
        tokio::try_join!(within_deadline(change.finish(self)), self.apply(plan)).map(drop)
    }

    /// Writes the plan to disk, then applies it.
    async fn apply(&self, plan: InstancePlan) -> Result<()> {
        let text = serde_json::to_vec_pretty(&plan)
            .map_err(|error| Error::internal("cannot encode the plan").because(error))?;
        let folder = self.folder.clone();
        blocking(move || write_atomically(&folder, PLAN, &text)).await?;
        failpoint::reach("plan written");
        self.state.send_modify(|state| state.plan = Some(plan));
        if matches!(self.stage(), Stage::Starting | Stage::Ready) {
            self.limit_cpu([]);
        }
        Ok(())
    }

    /// Makes the instance match the plan. Starts the server if it is down and the delay after a crash has
    /// passed.
    pub(super) async fn ensure(self: &Arc<Self>, plan: &InstancePlan) -> Result<Observed> {
        self.apply_and(plan, Self::start).await
    }

    /// The same, but also starts the primary of a quorum.
    pub(super) async fn ensure_primary(self: &Arc<Self>, plan: &InstancePlan) -> Result<Observed> {
        self.apply_and(plan, Self::start_now).await
    }

    async fn apply_and(
        self: &Arc<Self>,
        plan: &InstancePlan,
        start: impl FnOnce(&Arc<Self>),
    ) -> Result<Observed> {
        let _one_at_a_time = self.work.lock().await;
        self.record_plan(plan).await?;
        let due = self.state.borrow().retry_at.is_none_or(|at| at <= Instant::now());
        self.suspend();
        let complete = self.check_data().await?;
        if due && complete && !self.context.closing() {
            start(self);
        }
        self.observe()
    }

    /// Records the plan, so that older ones are stale. Starts and stops nothing.
    pub(super) async fn record(&self, plan: &InstancePlan) -> Result<()> {
        let _one_at_a_time = self.work.lock().await;
        self.record_plan(plan).await
    }

    async fn record_plan(&self, plan: &InstancePlan) -> Result<()> {
        let current = self.state.borrow().plan.clone();
        if let Some(current) = &current {
            current.check_successor(plan)?;
        }
        if plan.engine_major != self.programs.major.to_string() {
            return Err(Error::precondition(format!(
                "the data belongs to PostgreSQL {} and cannot be upgraded to {}",
                self.programs.major, plan.engine_major
            )));
        }
        self.record_node(plan).await?;
        self.share_owner().await?;
        if current.as_ref() != Some(plan) {
            self.apply(plan.clone()).await?;
        }
        let leads = plan.primary == self.node();
        self.state.send_if_modified(|state| std::mem::replace(&mut state.leads, leads) != leads);
        Ok(())
    }

    /// Records which node an instance is that was the only one of its epoch until now.
    async fn record_node(&self, plan: &InstancePlan) -> Result<()> {
        let claim = Claim::of(plan);
        let is_alone = self.claim().is_some_and(|own| own.node.is_none() && own.can_be(&claim));
        if !is_alone || claim.node.is_none() {
            return Ok(());
        }
        let folder = self.folder.clone();
        blocking(move || claim.write_epoch(&folder)).await?;
        failpoint::reach("node claimed");
        self.state.send_modify(|state| state.claim = Some(claim));
        Ok(())
    }

    /// Keeps plans from starting or stopping the server meanwhile.
    pub(super) async fn lock_work(&self) -> MutexGuard<'_, ()> {
        self.work.lock().await
    }

    /// Whether the data is complete. The data of a running server is not checked.
    async fn check_data(&self) -> Result<bool> {
        if self.stage() != Stage::Down {
            return Ok(true);
        }
        let data = self.data();
        let missing =
            blocking(move || Ok((!version_file(&data).exists()).then(|| incomplete(&data)))).await?;
        let complete = missing.is_none();
        self.state.send_if_modified(|state| {
            let changed = state.missing != missing;
            state.missing = missing;
            changed
        });
        Ok(complete)
    }
}
