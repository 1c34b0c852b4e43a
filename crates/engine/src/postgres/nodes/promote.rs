//! Makes a standby the primary, and starts a primary in place.

use super::{
    PROMOTED, fence, is_the_primary, no_data, quorum, received::received_by, settings::NodeSettings, slots,
    timelines, uninterrupted, was_promoted,
};
use crate::{
    files::{blocking, write_atomically},
    postgres::{
        control_session::ControlSession,
        deadline::{within, within_deadline},
        instance::{Instance, REWINDING},
        replication::SESSION,
        server::{self, not_ready},
        shared::Shared,
        statement_error::StatementError,
    },
};
use futures_util::future::join_all;
use ootheca_durable::failpoint;
use ootheca_model::{
    Error, Result,
    instance::{InstancePlan, Observed},
    node::{NodeId, Quorum, check_promotion},
};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

pub(in crate::postgres) use super::received::received;

const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// The time limit for a server to end its recovery.
const PROMOTION_TIMEOUT: Duration = Duration::from_secs(30);
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(60);

/// Creates the file `promote` and signals the server, without waiting.
const PROMOTE: &str = "SELECT pg_promote(false)";
const IN_RECOVERY: &str = "SELECT pg_is_in_recovery()";

/// Makes the node that the plan calls the primary accept writes. `before` are the quorums under which commits were
/// acknowledged.
pub(in crate::postgres) async fn promote(
    shared: &Arc<Shared>,
    plan: &InstancePlan,
    before: &[Quorum],
) -> Result<()> {
    let (this, plan, before) = (shared.clone(), plan.clone(), before.to_vec());
    uninterrupted(shared, async move {
        let _leading = this.leading.lock(plan.cluster).await;
        lead(&this, &plan, &before).await
    })
    .await
}

async fn lead(shared: &Arc<Shared>, plan: &InstancePlan, before: &[Quorum]) -> Result<()> {
    become_only_leader(shared, plan).await?;
    let candidate = shared.node(plan.cluster, plan.epoch, plan.primary);
    let candidate = candidate.ok_or_else(|| no_data(plan.primary))?;
    if candidate.is_standby() {
        check_law(shared, plan, before).await?;
        prepare(shared, plan, &candidate).await?;
        candidate.set_promoting(true);
        trigger(&candidate).await?;
        follow(shared, plan, &candidate).await;
    }
    within(PROMOTION_TIMEOUT, accepts_writes(&candidate)).await?;
    candidate.set_promoting(false);
    failpoint::reach("node promoted");
    tracing::info!(cluster = %plan.cluster, node = %plan.primary, term = plan.term, "node promoted");
    shared.context.hint(Some(plan.cluster));
    tokio::spawn(async move {
        // Until then, its control file has the former timeline, by which a rewind would go wrong.
        if let Err(error) = checkpoint(&candidate).await {
            tracing::warn!(instance = candidate.id, error = error.chain(), "no checkpoint after a promotion");
        }
    });
    Ok(())
}

/// Starts the server of the node that the plan calls the primary, which has the data of a primary.
pub(in crate::postgres) async fn start_primary(
    shared: &Arc<Shared>,
    plan: &InstancePlan,
) -> Result<Observed> {
    let (this, plan) = (shared.clone(), plan.clone());
    uninterrupted(shared, async move {
        let _leading = this.leading.lock(plan.cluster).await;
        become_only_leader(&this, &plan).await?;
        let primary = this.node(plan.cluster, plan.epoch, plan.primary);
        let primary = primary.ok_or_else(|| no_data(plan.primary))?;
        if primary.is_standby() || primary.folder.join(REWINDING).exists() {
            let message = format!("the data of node {} is not that of a primary", plan.primary);
            return Err(Error::precondition(message));
        }
        NodeSettings::of_primary(plan.quorum.as_ref()).apply(&primary).await?;
        primary.ensure_primary(&plan).await?;
        this.observe(plan.cluster)
    })
    .await
}

/// Fences every node that accepts writes or can begin to, except the one that the plan calls the primary, and records
/// the plan, so that none of them accepts an older one. The caller holds the lock of `leading`.
async fn become_only_leader(shared: &Arc<Shared>, plan: &InstancePlan) -> Result<()> {
    shared.name_primary(plan).await?;
    fence::fence_promoted(shared, plan).await?;
    shared.record_plan(plan).await
}

/// Checks that the candidate has every commit that was acknowledged.
async fn check_law(shared: &Shared, plan: &InstancePlan, before: &[Quorum]) -> Result<()> {
    let mut nodes = shared.nodes(plan.cluster, plan.epoch);
    // An earlier attempt does not disqualify the candidate itself.
    nodes.retain(|node| node.node() == plan.primary || !was_promoted(node));
    check_promotion(plan.primary, before, &received_by(&nodes).await)
}

/// Prepares a standby, so that it has the quorum and the slots of the others as soon as it accepts writes.
async fn prepare(shared: &Shared, plan: &InstancePlan, candidate: &Arc<Instance>) -> Result<()> {
    let nodes = shared.nodes(plan.cluster, plan.epoch);
    let data: Vec<_> = nodes.iter().map(|node| node.data()).collect();
    let (folder, own) = (candidate.folder.clone(), candidate.data());
    blocking(move || {
        let last = data.iter().map(|data| timelines::last_known(data)).max().unwrap_or(0);
        write_atomically(&folder, PROMOTED, b"")?;
        timelines::reserve(&own, last)
    })
    .await?;
    slots::ensure(candidate, &others(plan)).await?;
    NodeSettings::of_primary(plan.quorum.as_ref()).apply(candidate).await?;
    quorum::wait_for_setting(candidate, plan.quorum.as_ref()).await
}

fn others(plan: &InstancePlan) -> Vec<NodeId> {
    plan.nodes.iter().map(|node| node.id).filter(|node| *node != plan.primary).collect()
}

async fn trigger(candidate: &Arc<Instance>) -> Result<()> {
    let failed = |error| StatementError::from(error).other("promote a standby");
    let work = ControlSession::run(candidate, SESSION, async |session| {
        session.query(PROMOTE, &[], &[]).await.map(drop).map_err(failed)
    });
    within_deadline(work).await
}

/// Lets the other standbys follow the new primary at once. Those that can't are noticed later.
async fn follow(shared: &Shared, plan: &InstancePlan, primary: &Instance) {
    let mut others = shared.nodes(plan.cluster, plan.epoch);
    others.retain(|node| node.node() != plan.primary && node.is_standby() && node.ready_pid().is_some());
    let sockets = primary.sockets();
    let applied = join_all(others.iter().map(|node| {
        let settings = NodeSettings::of_standby(node.node(), &node.data(), &sockets);
        async move { settings.apply(node).await }
    }));
    for (node, result) in others.iter().zip(applied.await) {
        if let Err(error) = result {
            let error = error.chain();
            tracing::warn!(instance = node.id, error, "standby does not follow the new primary");
        }
    }
}

/// Waits until the server has ended its recovery.
async fn accepts_writes(primary: &Arc<Instance>) -> Result<()> {
    let failed = |error| StatementError::from(error).other("observe a promotion");
    loop {
        let in_recovery = ControlSession::run(primary, SESSION, async |session| {
            let rows = session.query(IN_RECOVERY, &[], &[]).await.map_err(failed)?;
            rows.first().ok_or_else(not_ready)?.try_get::<_, bool>(0).map_err(failed)
        });
        if !in_recovery.await? {
            return Ok(());
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Writes a checkpoint.
pub(super) async fn checkpoint(primary: &Instance) -> Result<()> {
    let work = async {
        // Not in a session that others wait for.
        let client = server::connect(&primary.context, &primary.sockets(), "postgres").await?;
        let done = client.batch_execute("CHECKPOINT").await;
        done.map_err(|error| StatementError::from(error).other("write a checkpoint"))
    };
    within(CHECKPOINT_TIMEOUT, work).await
}

/// `Precondition` if the node is the primary of the plan.
pub(super) fn check_standby(plan: &InstancePlan, node: NodeId) -> Result<()> {
    if node == plan.primary { Err(is_the_primary(node)) } else { Ok(()) }
}
