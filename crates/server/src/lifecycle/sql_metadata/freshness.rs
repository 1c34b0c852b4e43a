//! How fresh the SQL metadata of each cluster is, and when it must be read again before a login.
//!
//! Secrets are read again if they may have changed, at most once a second for each cluster; concurrent logins
//! wait for that one read. In memory only: after a restart, the first login reads.

use ootheca_model::{ClusterId, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::OwnedMutexGuard;

/// Metadata that is younger is not read again.
const FRESH: Duration = Duration::from_secs(1);
/// The maximum number of reads for unknown users within [`UNKNOWN_WINDOW`].
pub(super) const UNKNOWN_LOOKS: u32 = 10;
const UNKNOWN_WINDOW: Duration = Duration::from_secs(10);

/// The freshness of the metadata of each cluster.
#[derive(Default)]
pub struct MetadataFreshness(Mutex<HashMap<ClusterId, Arc<ClusterFreshness>>>);

/// The state of one cluster.
#[derive(Default)]
pub(super) struct ClusterFreshness {
    /// Serializes reading and writing the users, so that each read is written before the next one starts.
    logins: Arc<tokio::sync::Mutex<()>>,
    /// The same for databases.
    databases: Arc<tokio::sync::Mutex<()>>,
    /// Serializes reads that logins cause; concurrent logins wait.
    pub(super) looking: tokio::sync::Mutex<()>,
    freshness: Mutex<Freshness>,
}

#[derive(Default)]
pub(super) struct Freshness {
    /// When the last read of the users began, by both clocks.
    pub(super) read: Option<(Instant, Timestamp)>,
    /// When a read last failed.
    pub(super) failed: Option<Instant>,
    /// Whether a secret was found to be outdated.
    invalidated: bool,
    /// The number of reads for unknown users since that time.
    unknown: Option<(Instant, u32)>,
}

fn older(moment: Instant, than: Duration) -> bool {
    moment.elapsed() >= than
}

impl Freshness {
    /// Whether the secrets may have changed. `used_at` is the last time when that was possible.
    pub(super) fn outdated(&self, used_at: Timestamp) -> bool {
        if self.failed.is_some_and(|failed| !older(failed, FRESH)) {
            return false;
        }
        self.invalidated || self.read.is_none_or(|(began, at)| used_at >= at && older(began, FRESH))
    }

    /// Whether to read again for a user that is not in the metadata. Uses up one of the remaining reads.
    pub(super) fn look_for_unknown(&mut self) -> bool {
        let (since, looks) = match self.unknown {
            Some((since, looks)) if !older(since, UNKNOWN_WINDOW) => (since, looks),
            _ => (Instant::now(), 0),
        };
        self.unknown = Some((since, looks + 1));
        looks < UNKNOWN_LOOKS
    }
}

impl ClusterFreshness {
    pub(super) fn freshness(&self) -> MutexGuard<'_, Freshness> {
        self.freshness.lock()
    }
}

/// The lock for reading the users of a cluster.
pub(super) struct Turn {
    notebook: Arc<ClusterFreshness>,
    _turn: OwnedMutexGuard<()>,
}

/// A read that has begun.
pub(super) struct Looked<'a> {
    turn: &'a Turn,
    began: (Instant, Timestamp),
}

impl Turn {
    pub(super) fn begin(&self, now: Timestamp) -> Looked<'_> {
        Looked { turn: self, began: (Instant::now(), now) }
    }
}

impl Looked<'_> {
    /// Records that the result is written.
    pub(super) fn done(self) {
        let mut freshness = self.turn.notebook.freshness();
        freshness.read = Some(self.began);
        (freshness.failed, freshness.invalidated) = (None, false);
    }
}

impl MetadataFreshness {
    pub(super) fn of(&self, cluster: ClusterId) -> Arc<ClusterFreshness> {
        self.0.lock().entry(cluster).or_default().clone()
    }

    pub(super) async fn logins_turn(&self, cluster: ClusterId) -> Turn {
        let notebook = self.of(cluster);
        let turn = notebook.logins.clone().lock_owned().await;
        Turn { notebook, _turn: turn }
    }

    pub(super) async fn databases_turn(&self, cluster: ClusterId) -> OwnedMutexGuard<()> {
        self.of(cluster).databases.clone().lock_owned().await
    }

    /// The next login reads again.
    pub fn invalidate(&self, cluster: ClusterId) {
        self.of(cluster).freshness().invalidated = true;
    }

    /// Removes a cluster.
    pub fn forget(&self, cluster: ClusterId) {
        self.0.lock().remove(&cluster);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_while_ago() -> Instant {
        Instant::now().checked_sub(FRESH).expect("the machine runs for longer")
    }

    #[test]
    fn secrets_are_outdated_after_a_session_that_may_have_changed_them() {
        let at = Timestamp(100);
        let read = |began| Freshness { read: Some((began, at)), ..Freshness::default() };
        assert!(Freshness::default().outdated(Timestamp(0)), "never read");
        assert!(read(a_while_ago()).outdated(at), "a session was open since");
        assert!(!read(a_while_ago()).outdated(Timestamp(99)), "the cluster was not used since");
        assert!(!read(Instant::now()).outdated(at), "read just now");
        let invalidated = |began| Freshness { invalidated: true, ..read(began) };
        assert!(invalidated(Instant::now()).outdated(Timestamp(0)));
        let failed = |when| Freshness { failed: Some(when), ..invalidated(Instant::now()) };
        assert!(!failed(Instant::now()).outdated(at), "just failed");
        assert!(failed(a_while_ago()).outdated(at));
    }
}
