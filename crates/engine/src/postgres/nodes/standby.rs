//! Standbys that exist: their removal, their restart, and sessions that only read.

use super::{no_data, promote::check_standby, ready_primary, slots, uninterrupted};
use crate::postgres::{
    claim::Claim,
    instance::Instance,
    server::{self, not_ready},
    shared::Shared,
    trash,
};
use ootheca_durable::failpoint;
use ootheca_model::{
    ClusterId, Error, Result,
    instance::{InstancePlan, Removal},
    node::NodeId,
};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Stops a node and removes its data.
pub(in crate::postgres) async fn remove_node(
    shared: &Arc<Shared>,
    plan: &InstancePlan,
    node: NodeId,
) -> Result<Removal> {
    check_standby(plan, node)?;
    let (this, plan) = (shared.clone(), plan.clone());
    uninterrupted(shared, async move {
        let _alone = this.begin_change(plan.cluster).await;
        remove(&this, &plan, node).await.map(|()| Removal::Gone)
    })
    .await
}

async fn remove(shared: &Arc<Shared>, plan: &InstancePlan, node: NodeId) -> Result<()> {
    shared.table().check_successor(plan)?;
    if let Some(instance) = shared.node(plan.cluster, plan.epoch, node) {
        if is_leading(shared, &instance) {
            return Err(Error::precondition(format!(
                "node {node} is the primary until another one is named"
            )));
        }
        shared.discard_instance(&instance).await?;
        shared.table().forget(&instance);
    }
    discard_folders(shared, plan, node).await?;
    if let Ok(primary) = ready_primary(shared, plan)
        && let Err(error) = slots::remove(&primary, node).await
    {
        // It holds back a limited amount of WAL, until the next primary.
        let error = error.chain();
        tracing::warn!(cluster = %plan.cluster, %node, error, "could not remove replication slot");
    }
    failpoint::reach("node removed");
    shared.context.hint(Some(plan.cluster));
    Ok(())
}

/// Whether the instance is the primary of its epoch.
fn is_leading(shared: &Shared, instance: &Arc<Instance>) -> bool {
    let Some(Claim { cluster, epoch, .. }) = instance.claim() else { return false };
    shared.table().primary(cluster, epoch).is_some_and(|primary| Arc::ptr_eq(primary, instance))
}

/// The claim of one of several nodes, even if the plan contains only one of them.
pub(super) fn node_claim(plan: &InstancePlan, node: NodeId) -> Claim {
    Claim { cluster: plan.cluster, epoch: plan.epoch, node: Some(node) }
}

/// Removes what is on disk of a node that is not in the table, for example because its data was damaged.
pub(super) async fn discard_folders(shared: &Arc<Shared>, plan: &InstancePlan, node: NodeId) -> Result<()> {
    let claim = node_claim(plan, node);
    for (id, found) in shared.claimed_folders(plan.cluster).await? {
        if found == claim {
            trash::discard(&shared.context, &id).await?;
        }
    }
    Ok(())
}

/// Restarts a standby with the plan's limits.
pub(in crate::postgres) async fn restart_node(
    shared: &Arc<Shared>,
    plan: &InstancePlan,
    node: NodeId,
) -> Result<()> {
    check_standby(plan, node)?;
    let instance = shared.node(plan.cluster, plan.epoch, node).ok_or_else(|| no_data(node))?;
    let plan = plan.clone();
    uninterrupted(shared, async move {
        instance.record(&plan).await?;
        let _one_at_a_time = instance.lock_work().await;
        instance.stop(false).await;
        instance.revive();
        instance.start();
        Ok(())
    })
    .await
}

/// The socket of the next standby that streams.
pub(in crate::postgres) async fn read_endpoint(shared: &Arc<Shared>, cluster: ClusterId) -> Result<PathBuf> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let primary = shared.claimed(cluster).ok_or_else(not_ready)?;
    if !primary.has_several_nodes() {
        return Err(Error::precondition("the cluster has no standby nodes"));
    }
    let streaming = primary.state.borrow().streaming.clone();
    let mut standbys = shared.nodes(cluster, primary.epoch());
    standbys.retain(|node| streaming.contains_key(&node.node()) && node.ready_pid().is_some());
    let next = NEXT.fetch_add(1, Ordering::Relaxed).checked_rem(standbys.len());
    let standby = next.and_then(|next| standbys.get(next));
    let standby = standby.ok_or_else(|| Error::unavailable("no standby node streams from the primary"))?;
    Ok(server::socket(&standby.sockets()))
}
