//! The meter: looks at each cluster every few seconds and books what it used.
//!
//! Counters and sums change in one batch, so nothing is counted twice; a crash loses one tick at most.
//! Only the server that reconciles meters. A cluster without a session is not asked anything but its
//! CPU, which the kernel knows, and nothing of that is booked: an idle cluster uses nothing.

mod book;
mod looks;
pub mod show;
#[cfg(test)]
mod tests;

pub use looks::Looks;

use crate::{app::App, rows::Stored, samples};
use ootheca_model::{Cluster, ClusterId, ClusterState, ErrorKind, Result, instance::Power, meter::Meter};
use ootheca_store::Lease;
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::MissedTickBehavior,
};

/// How many clusters are looked at at once.
const AT_ONCE: usize = 8;

/// The loop. Ends when `stop` turns true.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut timer = tokio::time::interval(Duration::from_secs(app.settings.metering.tick_seconds.max(1)));
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            _ = timer.tick() => {}
        }
        if let Err(error) = tick(&app).await {
            tracing::warn!(error = error.chain(), "meter: tick failed");
        }
    }
    let _turn = app.looks.turn().await;
    if let Err(error) = samples::close(&app).await {
        tracing::warn!(error = error.chain(), "the last samples are lost");
    }
}

/// Looks at every cluster once; returns when all that was used is booked. One tick at a time: another
/// waits for its turn.
pub async fn tick(app: &Arc<App>) -> Result<()> {
    let _turn = app.looks.turn().await;
    let Some(lease) = app.lease.borrow().clone() else { return Ok(()) };
    let used: HashSet<ClusterId> = app.traffic.used().into_iter().collect();
    let clusters = app.clusters.look(&*app.store).await?;
    let meters = app.meters.look(&*app.store).await?;
    let known: HashSet<ClusterId> = clusters.values().map(|cluster| cluster.value.id).collect();
    app.looks.keep(|id| known.contains(&id));
    app.samples.keep(|id| known.contains(&id));
    let mut tasks = JoinSet::new();
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    for (id, cluster) in clusters.iter() {
        let (app, cluster, lease, permits) = (app.clone(), cluster.clone(), lease.clone(), permits.clone());
        let (used, meter) = (used.contains(&cluster.value.id), meters.get(id).cloned());
        tasks.spawn(async move {
            let _permit = permits.acquire_owned().await;
            one(&app, &cluster, meter, used, lease).await;
        });
    }
    while tasks.join_next().await.is_some() {}
    samples::tick(app).await
}

/// A cluster that fails must not keep the others from being metered.
async fn one(
    app: &App,
    cluster: &Stored<Cluster>,
    meter: Option<Arc<Stored<Meter>>>,
    used: bool,
    lease: Lease,
) {
    match book::cluster(app, cluster, meter, used, lease).await {
        Ok(()) => {}
        // Suspended or restarted meanwhile, or changed by somebody else: the next tick sees it.
        Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Stale) => {}
        Err(error) => {
            tracing::warn!(cluster = %cluster.value.id, error = error.chain(), "meter: failed");
        }
    }
}

/// Whether it should have a server that can be asked.
fn runs(cluster: &Cluster) -> bool {
    let made = matches!(cluster.state, ClusterState::Created | ClusterState::Locked);
    made && cluster.power == Power::On
}
