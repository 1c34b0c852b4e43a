//! Serializes reads of the SQL metadata of each cluster. In memory only.

use ootheca_model::ClusterId;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::OwnedMutexGuard;

/// A server that did not respond in time is not asked again for this long.
const RETRY: Duration = Duration::from_secs(1);

/// The locks of each cluster.
#[derive(Default)]
pub struct MetadataLocks(Mutex<HashMap<ClusterId, Arc<ClusterLocks>>>);

/// The locks of one cluster.
#[derive(Default)]
pub(super) struct ClusterLocks {
    /// Serializes reading and writing the users, so that each read is written before the next one starts.
    logins: Arc<tokio::sync::Mutex<()>>,
    /// The same for databases.
    databases: Arc<tokio::sync::Mutex<()>>,
    /// Serializes reads that logins cause.
    pub(super) refreshing: tokio::sync::Mutex<()>,
    /// When the server last failed to respond to a login in time.
    unresponsive: Mutex<Option<Instant>>,
}

impl ClusterLocks {
    /// Whether logins can ask the server.
    pub(super) fn is_responsive(&self) -> bool {
        self.unresponsive.lock().is_none_or(|since| since.elapsed() >= RETRY)
    }

    /// Records that the server failed to respond in time.
    pub(super) fn note_unresponsive(&self) {
        *self.unresponsive.lock() = Some(Instant::now());
    }
}

impl MetadataLocks {
    pub(super) fn of(&self, cluster: ClusterId) -> Arc<ClusterLocks> {
        self.0.lock().entry(cluster).or_default().clone()
    }

    pub(super) async fn logins_turn(&self, cluster: ClusterId) -> OwnedMutexGuard<()> {
        self.of(cluster).logins.clone().lock_owned().await
    }

    pub(super) async fn databases_turn(&self, cluster: ClusterId) -> OwnedMutexGuard<()> {
        self.of(cluster).databases.clone().lock_owned().await
    }

    /// Removes a cluster.
    pub fn forget(&self, cluster: ClusterId) {
        self.0.lock().remove(&cluster);
    }
}
