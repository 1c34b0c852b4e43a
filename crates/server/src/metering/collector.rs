//! Meters every cluster every few seconds.
//!
//! Counters and sums change in one batch, so nothing is counted twice; a crash loses at most one tick. Only
//! the server that reconciles does the metering. If the disk fills up quickly, ticks come early. For a cluster without a session only the CPU is read, which
//! the kernel provides, and no usage is recorded.

use crate::{
    documents::Stored,
    metering::{Metering, ledger, timeseries},
};
use ootheca_model::{Cluster, ClusterId, ErrorKind, Result, meter::Meter};
use ootheca_store::Lease;
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::MissedTickBehavior,
};

/// The number of clusters that are metered at the same time.
const AT_ONCE: usize = 8;

/// The loop. Ends when `stop` is true.
pub async fn run(metering: Arc<Metering>, mut stop: watch::Receiver<bool>) {
    let mut timer =
        tokio::time::interval(Duration::from_secs(metering.context.settings.metering.tick_seconds.max(1)));
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let early = metering.context.settings.metering.early_tick_mib;
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            _ = timer.tick() => {}
            () = metering.context.disk.metering_due(early) => {}
        }
        if let Err(error) = tick(&metering).await {
            tracing::warn!(error = error.chain(), "meter: tick failed");
        }
    }
    let _turn = metering.cpu_samples.turn().await;
    if let Err(error) = timeseries::close(&metering).await {
        tracing::warn!(error = error.chain(), "last samples not written");
    }
}

/// Meters every cluster once. Returns when all usage is recorded. Only one tick runs at a time, and further
/// ones wait.
pub async fn tick(metering: &Arc<Metering>) -> Result<()> {
    let _turn = metering.cpu_samples.turn().await;
    metering.context.disk.metered();
    let Some(lease) = metering.context.lease.borrow().clone() else { return Ok(()) };
    let used: HashSet<ClusterId> = metering.activity.used().into_iter().collect();
    let clusters = metering.context.clusters.refresh(&*metering.context.store).await?;
    let meters = metering.meters.refresh(&*metering.context.store).await?;
    let known: HashSet<ClusterId> = clusters.values().map(|cluster| cluster.value.id).collect();
    metering.cpu_samples.keep(|id| known.contains(&id));
    metering.samples.keep(|id| known.contains(&id));
    let mut tasks = JoinSet::new();
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    for (id, cluster) in clusters.iter() {
        let (metering, cluster, lease, permits) =
            (metering.clone(), cluster.clone(), lease.clone(), permits.clone());
        let (used, meter) = (used.contains(&cluster.value.id), meters.get(id).cloned());
        tasks.spawn(async move {
            let _permit = permits.acquire_owned().await;
            one(&metering, &cluster, meter, used, lease).await;
        });
    }
    while tasks.join_next().await.is_some() {}
    timeseries::tick(metering).await
}

/// A cluster that fails must not prevent the others from being metered.
async fn one(
    metering: &Metering,
    cluster: &Stored<Cluster>,
    meter: Option<Arc<Stored<Meter>>>,
    used: bool,
    lease: Lease,
) {
    match ledger::cluster(metering, cluster, meter, used, lease).await {
        Ok(()) => {}
        // The cluster was suspended, restarted, or changed: the next tick meters it.
        Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Stale) => {}
        Err(error) => {
            tracing::warn!(cluster = %cluster.value.id, error = error.chain(), "meter: cluster not metered");
        }
    }
}

#[cfg(test)]
mod tests;
