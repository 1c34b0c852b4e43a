//! Resumes suspended clusters, and prevents clusters in use from being suspended.
//!
//! Code that needs the SQL server of a cluster holds an [`ActivityGuard`]. `scale_to_zero` suspends clusters,
//! and checks for guards first.

use crate::{
    documents,
    lifecycle::{Lifecycle, activity_tracker::ActivityGuard},
};
use ootheca_model::{Cluster, ClusterId, Error, ErrorKind, Result, instance::Power};
use ootheca_store::Batch;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long to wait for a server that is starting.
pub const READY_WAIT: Duration = Duration::from_secs(15);

/// Runs `attempt` on the cluster's server once that is ready. Resumes the cluster if it is suspended. Waits
/// at most [`READY_WAIT`].
pub async fn ready<T, F, A>(
    lifecycle: &Lifecycle,
    cluster: ClusterId,
    attempt: A,
) -> Result<(ActivityGuard, T)>
where
    F: Future<Output = Result<T>> + Send,
    A: Fn() -> F + Send,
{
    let held = wake(lifecycle, cluster).await?;
    let result = lifecycle.context.when_ready(cluster, READY_WAIT, attempt).await;
    if let Some((began, written)) = held.woken {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (written, whole) = (milliseconds(written), milliseconds(began.elapsed()));
        let ready = result.is_ok();
        tracing::info!(%cluster, ready, written, milliseconds = whole, "cluster resumed");
    }
    Ok((held, result?))
}

/// Resumes the cluster if it is suspended, and prevents suspension. The server may not be ready yet.
/// `NotFound` unless the cluster is active, and `Precondition` while a backup is restored into it.
async fn wake(lifecycle: &Lifecycle, cluster: ClusterId) -> Result<ActivityGuard> {
    let mut held = lifecycle.tracker.hold(cluster, Some(lifecycle.context.clock.clone())).await;
    let found = lifecycle.context.active_cluster(cluster).await?;
    found.value.check_unlocked()?;
    if found.value.power == Power::Off {
        lifecycle.context.check_data(cluster).await?;
        let wake = held.record.waking().clone();
        let began = Instant::now();
        let mut woken = false;
        let switch = async {
            woken = switch_on(lifecycle, cluster).await?;
            Ok(())
        };
        let failure = wake.get_or_try_init(|| switch).await.err();
        held.woken = woken.then(|| (began, began.elapsed()));
        let mut waking = held.record.waking();
        if Arc::ptr_eq(&wake, &waking) {
            *waking = Arc::default();
        }
        if let Some(error) = failure {
            return Err(error);
        }
    }
    Ok(held)
}

/// Switches the power on. Returns whether it was off.
async fn switch_on(lifecycle: &Lifecycle, cluster: ClusterId) -> Result<bool> {
    loop {
        let found = documents::find::<Cluster>(&*lifecycle.context.store, &cluster.to_string()).await?;
        let found = found.filter(|found| found.value.is_active());
        let before = found.ok_or_else(|| Error::not_found("cluster"))?;
        if before.value.power == Power::On {
            return Ok(false);
        }
        let after = Cluster { power: Power::On, ..before.value.clone() };
        let batch = Batch::server("wake").with(documents::update(&before.row, &after)?);
        match lifecycle.context.store.commit(batch, lifecycle.context.now()).await {
            Ok(_) => return Ok(true),
            // A concurrent change, possibly the same one.
            Err(error) if error.kind() == ErrorKind::Stale => {}
            Err(error) => return Err(error),
        }
    }
}
