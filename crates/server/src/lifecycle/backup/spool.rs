//! Limits the WAL that waits in the engine until it is stored.
//!
//! If much is written between two backups, it is stored ahead of the next one. While that is not possible, because
//! backups are disabled or the repository is out of reach, it is removed once it exceeds what a base can be followed by:
//! the next backup takes a new base anyway. The chain of the base ends then.

use super::{
    leader,
    newest::{self, Newest},
    tick, wal,
};
use crate::lifecycle::Lifecycle;
use ootheca_model::{Cluster, ClusterState, ErrorKind, Result, instance::Power};
use ootheca_store::{Batch, Lease};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// Interval at which pending WAL is checked.
const INTERVAL: Duration = Duration::from_secs(60);
/// WAL that exceeds this does not wait for the next backup.
const AHEAD_BYTES: u64 = 16 << 20;

/// The loop of the server that holds the lease. Ends when `stop` is true.
pub async fn run(lifecycle: Arc<Lifecycle>, stop: watch::Receiver<bool>) {
    leader::repeat(lifecycle, INTERVAL, stop, |lifecycle, lease| async move {
        let Some(lease) = lease else { return };
        if let Err(error) = trim(&lifecycle, &lease).await {
            tracing::warn!(error = error.chain(), "WAL of clusters not checked");
        }
    })
    .await;
}

/// Stores or removes the WAL of every cluster that has much.
pub(super) async fn trim(lifecycle: &Lifecycle, lease: &Lease) -> Result<()> {
    let mut is_reachable = lifecycle.context.settings.backups.enabled;
    for cluster in lifecycle.context.clusters.refresh(&*lifecycle.context.store).await?.values() {
        let cluster = &cluster.value;
        let writes = cluster.state == ClusterState::Created && cluster.power == Power::On;
        if !writes || cluster.observed.is_data_missing() {
            continue;
        }
        match trim_cluster(lifecycle, cluster, &mut is_reachable, lease).await {
            Err(error) if !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Stale) => {
                tracing::warn!(cluster = %cluster.id, error = error.chain(), "WAL of the cluster not checked");
            }
            _ => {}
        }
    }
    Ok(())
}

/// `is_reachable` is whether WAL can be stored. After a failure it is false, so that other clusters don't wait.
async fn trim_cluster(
    lifecycle: &Lifecycle,
    cluster: &Cluster,
    is_reachable: &mut bool,
    lease: &Lease,
) -> Result<()> {
    let (context, epoch) = (&lifecycle.context, cluster.epoch);
    let segments = context.engine.segments(cluster.id, epoch).await?;
    let bytes = wal::bytes_of(segments.len());
    let (Some(last), true) = (segments.last().cloned(), bytes > AHEAD_BYTES) else { return Ok(()) };
    let Some(mut turn) = lifecycle.backups.begin_backup(cluster.id) else { return Ok(()) };
    let newest = Newest::read(&*context.store, cluster.id).await?;
    let base = newest.base_of(epoch).cloned();
    if base.is_some() && *is_reachable && cluster.backup_configuration().enabled {
        let stored = tokio::select! {
            stored = tick::store_ahead(lifecycle, cluster, newest, segments, lease.clone()) => stored,
            () = turn.interrupted() => return Ok(()),
        };
        lifecycle.backups.outdated.add(cluster.id, false);
        let Err(error) = stored else { return Ok(()) };
        tracing::debug!(cluster = %cluster.id, error = error.chain(), "WAL not stored ahead of the next backup");
        *is_reachable = false;
    }
    if bytes <= wal::limit(base.as_ref().map(|base| &base.value)) {
        return Ok(());
    }
    if let Some(base) = base {
        let end = newest::end(&base, context.now())?;
        let batch = Batch { fence: Some(lease.clone()), quiet: true, ..Batch::server("backup") }.with(end);
        context.store.commit(batch, context.now()).await?;
    }
    tracing::info!(cluster = %cluster.id, bytes, "WAL removed; the next backup copies a new base");
    context.engine.remove_segments(cluster.id, epoch, &last).await
}

#[cfg(test)]
mod tests;
