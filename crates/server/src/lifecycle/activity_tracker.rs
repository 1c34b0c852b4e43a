//! Which clusters are in use, in addition to the sessions that gateways report. In memory only.
//!
//! An [`ActivityGuard`] prevents a cluster from being suspended while it is held. A [`Suspension`] can only
//! begin while there is no guard.

use ootheca_model::{ClusterId, Timestamp, time::Clock};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{OnceCell, RwLock, RwLockWriteGuard},
    time::Instant,
};

/// How long a cluster is kept running after its last use, regardless of the clock: the next report of the
/// gateway shows whether a session followed.
pub const GRACE: Duration = Duration::from_secs(2);

/// Which clusters are in use, in addition to the sessions that gateways report.
pub struct ActivityTracker {
    started: Timestamp,
    clusters: Mutex<HashMap<ClusterId, Arc<Record>>>,
}

/// The state of one cluster.
#[derive(Default)]
pub(super) struct Record {
    state: Mutex<State>,
    /// Held while a suspension is decided and written.
    suspending: RwLock<()>,
    /// The resumption in progress: one write for all that wait.
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
        self.state.lock()
    }

    pub(super) fn waking(&self) -> MutexGuard<'_, Arc<OnceCell<()>>> {
        self.waking.lock()
    }
}

/// Prevents the cluster from being suspended while it is held.
pub struct ActivityGuard {
    pub(super) record: Arc<Record>,
    /// The clock, if this counts as activity. Read-only inspection does not.
    clock: Option<Arc<dyn Clock>>,
    /// When the cluster was resumed for this use, and how long the write took.
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
    /// Creates a tracker without any use. The server starts `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { started: now, clusters: Mutex::default() }
    }

    fn of(&self, cluster: ClusterId) -> Arc<Record> {
        let mut clusters = self.clusters.lock();
        clusters.entry(cluster).or_default().clone()
    }

    pub(super) async fn hold(&self, cluster: ClusterId, clock: Option<Arc<dyn Clock>>) -> ActivityGuard {
        let held = ActivityGuard::new(self.of(cluster), clock);
        // If a suspension was decided before, this waits until it is written, so that the row shows it.
        drop(held.record.suspending.read().await);
        held
    }

    /// Prevents the cluster from being suspended while its contents are inspected. This neither counts as
    /// activity nor resumes the cluster.
    pub async fn inspect(&self, cluster: ClusterId) -> ActivityGuard {
        self.hold(cluster, None).await
    }

    /// When it was last used; `None` if it was not used since the start.
    pub fn last(&self, cluster: ClusterId) -> Option<Timestamp> {
        self.of(cluster).state().used.map(|(_, at)| at)
    }

    /// When this server started.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// Removes a cluster.
    pub fn forget(&self, cluster: ClusterId) {
        self.clusters.lock().remove(&cluster);
    }

    /// A handle with which a cluster can be suspended.
    pub fn suspension(&self, cluster: ClusterId) -> Suspension {
        Suspension(self.of(cluster))
    }
}

/// See [`ActivityTracker::suspension`].
pub struct Suspension(Arc<Record>);

impl Suspension {
    /// Begins the suspension: new uses wait until the guard is dropped. `None` while the cluster is in use,
    /// or if it was used a moment ago.
    pub async fn begin(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        let guard = self.0.suspending.write().await;
        let state = self.0.state();
        let free = state.holders == 0 && state.used.is_none_or(|(at, _)| at.elapsed() >= GRACE);
        free.then_some(guard)
    }
}
