//! Scale to zero: suspends idle BASIC clusters.
//!
//! It visits all clusters when the first one can be due, and immediately when the test clock is advanced. A
//! suspended cluster costs nothing here except its entry in the list.

use crate::{
    documents,
    lifecycle::{Lifecycle, sql_metadata},
};
use ootheca_model::{
    Cluster, ClusterId, ClusterState, ErrorKind, Plan, Result, Timestamp,
    instance::{Phase, Power},
};
use ootheca_store::{Batch, Lease};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

/// The number of clusters that are suspended at the same time.
const TOGETHER: usize = 4;
/// The shortest pause between two scans.
const SHORTEST: Duration = Duration::from_millis(100);
/// When to try again if a due cluster could not be suspended.
const RETRY: Duration = Duration::from_secs(1);
/// The time limit for suspending a cluster, which includes reading its metadata.
const SUSPEND_TIMEOUT: Duration = Duration::from_secs(30);

/// The loop of the server that holds the lease. Ends when `stop` is true.
pub(super) async fn run(lifecycle: Arc<Lifecycle>, mut stop: watch::Receiver<bool>) {
    let idle = Duration::from_secs(lifecycle.context.settings.scale_to_zero.idle_seconds);
    if idle.is_zero() {
        return;
    }
    let mut leases = lifecycle.context.lease.subscribe();
    let mut clock = lifecycle.context.clock_moved.subscribe();
    loop {
        let lease = leases.borrow().clone();
        let turn = async {
            let pause = match &lease {
                Some(lease) => scan(&lifecycle, lease, idle).await,
                None => Ok(idle),
            };
            let pause = pause.unwrap_or_else(|error| {
                tracing::warn!(error = error.chain(), "scale to zero: scan failed");
                RETRY
            });
            tokio::select! {
                () = sleep(pause) => {}
                _ = clock.changed() => {}
                _ = leases.wait_for(|known| *known != lease) => {}
            }
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = turn => {}
        }
    }
}

/// Suspends the due clusters. Returns when the next one can be due. A cluster that is in use, or was created
/// later, is not due before `idle` has passed.
pub(crate) async fn scan(lifecycle: &Arc<Lifecycle>, lease: &Lease, idle: Duration) -> Result<Duration> {
    let now = lifecycle.context.now();
    let (mut due, mut pause) = (Vec::new(), idle);
    for cluster in lifecycle.context.clusters.refresh(&*lifecycle.context.store).await?.values() {
        let cluster = &cluster.value;
        if !may_sleep(cluster) {
            continue;
        }
        match rest(lifecycle, cluster, now, idle) {
            Duration::ZERO => due.push(cluster.id),
            rest => pause = pause.min(rest),
        }
    }
    for ids in due.chunks(TOGETHER) {
        let mut tasks = JoinSet::new();
        for id in ids {
            let (lifecycle, id, lease) = (lifecycle.clone(), *id, lease.clone());
            tasks.spawn(async move { suspend_or_say(&lifecycle, id, lease, idle).await });
        }
        while let Some(done) = tasks.join_next().await {
            if !done.unwrap_or(false) {
                pause = pause.min(RETRY);
            }
        }
    }
    Ok(pause.max(SHORTEST))
}

/// Whether the cluster scales to zero and is not suspended.
fn may_sleep(cluster: &Cluster) -> bool {
    cluster.plan == Plan::Basic
        && cluster.state == ClusterState::Created
        && cluster.power == Power::On
        && !cluster.observed.is_data_missing()
}

/// How long the cluster must still be idle.
fn rest(lifecycle: &Lifecycle, cluster: &Cluster, now: Timestamp, idle: Duration) -> Duration {
    let sessions = lifecycle.metering.activity.last_used(cluster.id, now).unwrap_or_default();
    let used = lifecycle.tracker.last(cluster.id).unwrap_or_default();
    let last = sessions.max(used).max(cluster.updated_at).max(lifecycle.tracker.started());
    idle.saturating_sub(now.since(last))
}

async fn suspend_or_say(lifecycle: &Lifecycle, id: ClusterId, lease: Lease, idle: Duration) -> bool {
    match timeout(SUSPEND_TIMEOUT, suspend(lifecycle, id, lease, idle)).await {
        Ok(Ok(done)) => done,
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::Stale | ErrorKind::Unavailable) => false,
        Ok(Err(error)) => {
            tracing::warn!(cluster = %id, error = error.chain(), "cluster not suspended");
            false
        }
        Err(_) => {
            tracing::warn!(cluster = %id, "cluster not suspended: its SQL server does not respond");
            false
        }
    }
}

/// Writes the metadata of an idle cluster and switches its power off in one batch. The reconciler then stops
/// its server. Returns whether it was switched off.
async fn suspend(lifecycle: &Lifecycle, id: ClusterId, lease: Lease, idle: Duration) -> Result<bool> {
    let Some(before) = documents::find::<Cluster>(&*lifecycle.context.store, &id.to_string()).await? else {
        return Ok(false);
    };
    let cluster = &before.value;
    if !may_sleep(cluster) || lifecycle.context.engine.observe(id).await?.phase != Phase::Ready {
        return Ok(false);
    }
    let suspension = lifecycle.tracker.suspension(id);
    if suspension.begin().await.is_none() {
        return Ok(false);
    }
    let metadata =
        sql_metadata::everything(lifecycle, cluster, &mut *lifecycle.context.engine.admin(id).await?).await?;
    // A use that began while the metadata was read prevents the suspension. One that begins after this waits
    // until the row shows the suspension, and resumes the cluster.
    let Some(_decided) = suspension.begin().await else { return Ok(false) };
    if lifecycle.metering.activity.sessions(id) > 0
        || !rest(lifecycle, cluster, lifecycle.context.now(), idle).is_zero()
    {
        return Ok(false);
    }
    let off = Cluster { power: Power::Off, ..cluster.clone() };
    let mut batch = Batch::server("scale to zero").with(documents::update(&before.row, &off)?);
    batch.mutations.extend(sql_metadata::replace(lifecycle, &metadata).await?);
    batch.fence = Some(lease);
    lifecycle.context.store.commit(batch, lifecycle.context.now()).await?;
    tracing::info!(cluster = %id, "idle cluster suspended");
    Ok(true)
}
