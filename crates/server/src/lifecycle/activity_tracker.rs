//! Which clusters are in use, beside the sessions that the gateways report. In memory only.
//!
//! An [`ActivityGuard`] keeps a cluster from being suspended while it is held. A [`Suspension`] begins only while
//! there is none.

use ootheca_model::{ClusterId, Timestamp, time::Clock};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{OnceCell, RwLock, RwLockWriteGuard};

/// How long after its last use a cluster is left running, whatever the clock says: the gateway's next
/// report tells whether a session came of it.
pub const GRACE: Duration = Duration::from_secs(2);

/// Which clusters are in use, beside the sessions that the gateways report.
pub struct ActivityTracker {
    started: Timestamp,
    clusters: Mutex<HashMap<ClusterId, Arc<Record>>>,
}

/// What is remembered of one cluster.
#[derive(Default)]
pub(super) struct Record {
    state: Mutex<State>,
    /// Held while a suspension is decided and written.
    suspending: RwLock<()>,
    /// The wake that is under way: one write for all who wait.
    waking: Mutex<Arc<OnceCell<()>>>,
}

#[derive(Default)]
struct State {
    holders: usize,
    /// When it was last used, by both clocks.
    used: Option<(Instant, Timestamp)>,
}

impl Record {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn waking(&self) -> MutexGuard<'_, Arc<OnceCell<()>>> {
        self.waking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While it is held, the cluster is not suspended.
pub struct ActivityGuard {
    pub(super) record: Arc<Record>,
    /// The clock if this counts as activity; read-only inspection does not.
    clock: Option<Arc<dyn Clock>>,
    /// When it was woken for this use, and how long that took to write.
    pub(super) woken: Option<(Instant, Duration)>,
}

impl ActivityGuard {
    fn new(record: Arc<Record>, clock: Option<Arc<dyn Clock>>) -> Self {
        let this = Self { record, clock, woken: None };
        this.note(|holders| holders + 1);
        this
    }

    fn note(&self, holders: impl Fn(usize) -> usize) {
        let mut state = self.record.state();
        state.holders = holders(state.holders);
        if let Some(clock) = &self.clock {
            state.used = Some((Instant::now(), clock.now()));
        }
    }
}

impl Drop for ActivityGuard {
    fn drop(&mut self) {
        self.note(|holders| holders.saturating_sub(1));
    }
}

impl ActivityTracker {
    /// Nothing is in use; the server starts `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { started: now, clusters: Mutex::default() }
    }

    fn of(&self, cluster: ClusterId) -> Arc<Record> {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.entry(cluster).or_default().clone()
    }

    pub(super) async fn hold(&self, cluster: ClusterId, clock: Option<Arc<dyn Clock>>) -> ActivityGuard {
        let held = ActivityGuard::new(self.of(cluster), clock);
        // A suspension that was decided before is written first: then its row says so.
        drop(held.record.suspending.read().await);
        held
    }

    /// Keeps the cluster from being suspended while something is looked at in it. No use of it, and does
    /// not wake it.
    pub async fn look(&self, cluster: ClusterId) -> ActivityGuard {
        self.hold(cluster, None).await
    }

    /// When it was last used; `None` if it was not since the start.
    pub fn last(&self, cluster: ClusterId) -> Option<Timestamp> {
        self.of(cluster).state().used.map(|(_, at)| at)
    }

    /// When this server started.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// Forgets a cluster.
    pub fn forget(&self, cluster: ClusterId) {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner).remove(&cluster);
    }

    /// What it takes to suspend a cluster.
    pub fn suspension(&self, cluster: ClusterId) -> Suspension {
        Suspension(self.of(cluster))
    }
}

/// See [`ActivityTracker::suspension`].
pub struct Suspension(Arc<Record>);

impl Suspension {
    /// Begins it: new uses wait until the guard is dropped. `None` while the cluster is in use,
    /// or was a moment ago.
    pub async fn begin(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        let guard = self.0.suspending.write().await;
        let state = self.0.state();
        let free = state.holders == 0 && state.used.is_none_or(|(at, _)| at.elapsed() >= GRACE);
        free.then_some(guard)
    }
}
