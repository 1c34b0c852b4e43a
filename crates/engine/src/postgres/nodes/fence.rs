//! Fencing: kills every process in the data directory of a node, so that it certainly accepts no writes.

use super::{PROMOTED, in_task, uninterrupted, was_promoted};
use crate::{
    files::{blocking, failed},
    postgres::{
        instance::{Instance, STANDBY_SIGNAL},
        process,
        shared::Shared,
        shared_memory,
    },
};
use futures_util::future::join_all;
use ootheca_durable::failpoint;
use ootheca_model::{ClusterId, Result, instance::InstancePlan, node::NodeId};
use std::{fs, io, path::Path, sync::Arc, time::Duration};
use tokio::time::sleep;

const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Kills the processes of a node.
pub(in crate::postgres) async fn fence(
    shared: &Arc<Shared>,
    cluster: ClusterId,
    epoch: u64,
    node: NodeId,
) -> Result<()> {
    let Some(instance) = shared.node(cluster, epoch, node) else { return Ok(()) };
    uninterrupted(shared, async move { kill(&instance).await }).await
}

/// Kills the processes of a node, including a server that is just being started. Returns when none is left. A caller
/// that goes away does not cancel it: a node that is stopped only in part would not be started again.
pub(super) async fn kill(instance: &Arc<Instance>) -> Result<()> {
    let instance = instance.clone();
    in_task(async move { stop_and_kill(&instance).await }).await
}

async fn stop_and_kill(instance: &Instance) -> Result<()> {
    let data = instance.data();
    tokio::select! {
        // The stop is recorded before anything is killed. Otherwise the exit of the server can count as a crash, after
        // which the next start is delayed.
        biased;
        () = instance.stop(true) => {}
        // It would wait for a server in SIGSTOP for six seconds, so the server is killed meanwhile.
        () = kill_repeatedly(&data) => {}
    }
    // Those that this engine has not started or adopted.
    while process::kill_all(&data) {
        sleep(POLL_INTERVAL).await;
    }
    blocking(move || {
        shared_memory::free(&data);
        Ok(())
    })
    .await?;
    instance.found_empty();
    instance.revive();
    failpoint::reach("node fenced");
    Ok(())
}

/// Does not return.
async fn kill_repeatedly(data: &Path) {
    loop {
        process::kill_all(data);
        sleep(POLL_INTERVAL).await;
    }
}

/// Fences the standbys besides the plan's primary that were told to become the primary, because they can still do so.
/// They are former primaries from then on: they may have begun a timeline.
pub(super) async fn fence_promoted(shared: &Arc<Shared>, plan: &InstancePlan) -> Result<()> {
    let mut nodes = shared.nodes(plan.cluster, plan.epoch);
    nodes.retain(|node| node.node() != plan.primary && node.is_standby() && was_promoted(node));
    let fenced = join_all(nodes.iter().map(|node| async move {
        tracing::warn!(cluster = %plan.cluster, node = %node.node(), "incomplete promotion is fenced");
        kill(node).await?;
        remove_file(&node.data().join(STANDBY_SIGNAL))
    }));
    fenced.await.into_iter().collect()
}

/// Records that a node is a standby again.
pub(super) fn forget_promotion(instance_folder: &Path) -> Result<()> {
    remove_file(&instance_folder.join(PROMOTED))
}

/// Removes a file that may be absent.
pub(super) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}
