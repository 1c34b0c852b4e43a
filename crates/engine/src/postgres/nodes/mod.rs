//! Clusters with several nodes: a primary, and standbys that replay its WAL.
//!
//! Which node is the primary is decided elsewhere. This module does what PostgreSQL needs for it, and refuses a
//! promotion that could lose a commit that was acknowledged.

pub(super) mod fence;
pub(super) mod promote;
pub(super) mod quorum;
mod received;
pub(super) mod rejoin;
mod rewind;
pub(super) mod seed;
mod settings;
pub(super) mod slots;
mod spool;
pub(super) mod standby;
mod timelines;

use super::{instance::Instance, server::not_ready, shared::Shared};
use ootheca_model::{Error, Result, instance::InstancePlan, node::NodeId};
use std::sync::Arc;

/// Marks a node that was told to become the primary. Until it has joined again, it can begin to accept writes, or have
/// begun a timeline that was given up.
const PROMOTED: &str = "promoted";

/// Whether the node was told to become the primary, and has not joined as a standby since.
fn was_promoted(instance: &Instance) -> bool {
    instance.folder.join(PROMOTED).exists()
}

/// The primary of the plan. `Unavailable` unless its server accepts writes.
fn ready_primary(shared: &Shared, plan: &InstancePlan) -> Result<Arc<Instance>> {
    let primary = shared.claimed(plan.cluster).filter(|primary| {
        (primary.epoch(), primary.node()) == (plan.epoch, plan.primary)
            && primary.ready_pid().is_some()
            && primary.is_primary()
    });
    primary.ok_or_else(not_ready)
}

fn no_data(node: NodeId) -> Error {
    Error::precondition(format!("node {node} has no data"))
}

fn is_the_primary(node: NodeId) -> Error {
    Error::precondition(format!("node {node} is the primary"))
}

/// Runs `work` in a task, so that a caller that goes away cannot cancel it.
async fn uninterrupted<T: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let Some(guard) = shared.begin() else { return Err(Error::unavailable("the engine is shutting down")) };
    in_task(async move {
        let _guard = guard;
        work.await
    })
    .await
}

/// The same, also while the engine is shutting down, which does not wait for the task.
async fn in_task<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let task = tokio::spawn(work);
    task.await.unwrap_or_else(|error| Err(Error::internal("a task of a node was interrupted").because(error)))
}
