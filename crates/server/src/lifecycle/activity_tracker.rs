//! Which clusters are in use, beside the sessions that the gateways report. In memory only.
//!
//! A [`Use`] keeps a cluster from being suspended while it is held. A [`Suspension`] begins only while there is
//! none.

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

/// Who uses which cluster, beside the sessions that the gateways report. In memory only.
pub struct Uses {
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
pub struct Use {
    pub(super) record: Arc<Record>,
    /// Whether it counts as use: it does not if somebody only looks.
    clock: Option<Arc<dyn Clock>>,
    /// When it was woken for this use, and how long that took to write.
    pub(super) woken: Option<(Instant, Duration)>,
}

impl Use {
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

impl Drop for Use {
    fn drop(&mut self) {
        self.note(|holders| holders.saturating_sub(1));
    }
}

impl Uses {
    /// Nobody uses anything; the server starts `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { started: now, clusters: Mutex::default() }
    }

    fn of(&self, cluster: ClusterId) -> Arc<Record> {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.entry(cluster).or_default().clone()
    }

    pub(super) async fn hold(&self, cluster: ClusterId, clock: Option<Arc<dyn Clock>>) -> Use {
        let held = Use::new(self.of(cluster), clock);
        // A suspension that was decided before is written first: then its row says so.
        drop(held.record.suspending.read().await);
        held
    }

    /// Keeps the cluster from being suspended while something is looked at in it. No use of it, and does
    /// not wake it.
    pub async fn look(&self, cluster: ClusterId) -> Use {
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

/// See [`Uses::suspension`].
pub struct Suspension(Arc<Record>);

impl Suspension {
    /// Begins it: whoever wants the cluster waits until the guard is dropped. `None` while it is in use,
    /// or was a moment ago.
    pub async fn begin(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        let guard = self.0.suspending.write().await;
        let state = self.0.state();
        let free = state.holders == 0 && state.used.is_none_or(|(at, _)| at.elapsed() >= GRACE);
        free.then_some(guard)
    }
}
