//! Deletes clusters that have expired: the loop of the server that holds the lease.
//!
//! It visits all clusters when the first one expires, when a cluster has changed, and when the test clock is advanced. A
//! cluster that is protected from deletion is kept until the protection is disabled.

use crate::{
    documents,
    ids::fresh_id,
    lifecycle::{Lifecycle, deletion::deletion},
};
use ootheca_model::{
    Cluster, ClusterId, Error, ErrorKind, Result, Timestamp, audit::AuditEntry, cluster::DeleteProtection,
};
use ootheca_store::{Batch, Changed, Kind, Lease};
use std::{
    collections::HashSet,
    mem,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::{broadcast, watch},
    time::{Instant, sleep_until},
};

/// The shortest and the longest pause between two visits.
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);
/// When to try again if a cluster could not be deleted.
const RETRY: Duration = Duration::from_secs(1);

/// The loop. Ends when `stop` is true.
pub async fn run(lifecycle: Arc<Lifecycle>, mut stop: watch::Receiver<bool>) {
    let mut expiry = Expiry::new(lifecycle.clone());
    let mut leases = lifecycle.context.lease.subscribe();
    let mut clock = lifecycle.context.clock_moved.subscribe();
    let mut rows = lifecycle.context.store.changes();
    loop {
        let lease = leases.borrow().clone();
        let turn = async {
            let began = Instant::now();
            let pause = match &lease {
                Some(lease) => expiry.visit(lease).await,
                None => LONGEST,
            };
            let mut wake = began + pause;
            loop {
                tokio::select! {
                    () = sleep_until(wake) => return,
                    _ = clock.changed() => return,
                    _ = leases.wait_for(|known| *known != lease) => return,
                    hint = rows.recv() => {
                        if is_relevant(&hint) {
                            wake = wake.min(began + SHORTEST);
                        }
                    }
                }
            }
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = turn => {}
        }
    }
}

/// Whether a cluster may have changed.
fn is_relevant(hint: &Result<Changed, broadcast::error::RecvError>) -> bool {
    !matches!(hint, Ok(changed) if changed.kind != Kind::Cluster)
}

/// Deletes what has expired.
pub(crate) struct Expiry {
    lifecycle: Arc<Lifecycle>,
    /// The clusters that have expired but are protected from deletion. Each is reported once.
    kept: HashSet<ClusterId>,
}

impl Expiry {
    pub(crate) fn new(lifecycle: Arc<Lifecycle>) -> Self {
        Self { lifecycle, kept: HashSet::new() }
    }

    /// Deletes every cluster that has expired. Returns when to visit the clusters again.
    pub(crate) async fn visit(&mut self, lease: &Lease) -> Duration {
        self.scan(lease).await.unwrap_or_else(|error| {
            tracing::warn!(error = error.chain(), "expired clusters not found");
            RETRY
        })
    }

    async fn scan(&mut self, lease: &Lease) -> Result<Duration> {
        let context = self.lifecycle.context.clone();
        let now = context.now();
        let (mut pause, mut kept) = (LONGEST, HashSet::new());
        for cluster in context.clusters.refresh(&*context.store).await?.values() {
            let cluster = &cluster.value;
            let Some(expires_at) = cluster.expires_at else { continue };
            if expires_at > now {
                pause = pause.min(expires_at.since(now));
            } else if cluster.delete_protection == DeleteProtection::Enabled {
                kept.insert(cluster.id);
            } else if let Err(error) = self.delete(cluster.id, lease).await {
                report(cluster.id, &error);
                pause = pause.min(RETRY);
            }
        }
        let before = mem::replace(&mut self.kept, kept);
        for id in self.kept.difference(&before) {
            tracing::warn!(cluster = %id, "expired cluster not deleted, because delete protection is enabled");
        }
        Ok(pause.max(SHORTEST))
    }

    /// Deletes a cluster, unless it was deleted or changed so that it does not expire now.
    async fn delete(&self, id: ClusterId, lease: &Lease) -> Result<()> {
        let context = &self.lifecycle.context;
        let found = documents::find::<Cluster>(&*context.store, &id.to_string()).await?;
        let now = context.now();
        let Some(before) = found.filter(|found| has_expired(&found.value, now)) else { return Ok(()) };
        let (after, mutations) = deletion(&before, now)?;
        let audit = vec![entry(&after, now)];
        let batch = Batch { mutations, audit, fence: Some(lease.clone()), ..Batch::server("expiry") };
        context.store.commit(batch, now).await?;
        self.lifecycle.expired.fetch_add(1, Ordering::Relaxed);
        tracing::info!(cluster = %id, "expired cluster deleted");
        Ok(())
    }
}

fn has_expired(cluster: &Cluster, now: Timestamp) -> bool {
    cluster.is_active() && cluster.expires_at.is_some_and(|expires_at| expires_at <= now)
}

fn report(id: ClusterId, error: &Error) {
    match error.kind() {
        // It was changed concurrently.
        ErrorKind::Stale => {}
        _ => tracing::warn!(cluster = %id, error = error.chain(), "expired cluster not deleted; retrying"),
    }
}

/// The audit entry of a deletion without a caller.
fn entry(cluster: &Cluster, now: Timestamp) -> AuditEntry {
    let payload = serde_json::json!({ "expires_at": cluster.expires_at });
    AuditEntry::internal([fresh_id(), fresh_id()], cluster, "DELETE_CLUSTER", payload.to_string(), now)
}

#[cfg(test)]
mod tests;
