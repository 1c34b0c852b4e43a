//! Waking a suspended cluster, and keeping one awake that is in use.
//!
//! Whoever needs the SQL server of a cluster holds a [`Use`] of it: it is woken if need be, and is not
//! suspended while it is held. `reconcile::idle` suspends, and asks here before it does.

use crate::{app::App, rows};
use ootheca_model::{Cluster, ClusterId, Error, ErrorKind, Result, Timestamp, instance::Power, time::Clock};
use ootheca_store::Batch;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{OnceCell, RwLock, RwLockWriteGuard};

/// How long after its last use a cluster is left running, whatever the clock says: the gateway's next
/// report tells whether a session came of it.
pub const GRACE: Duration = Duration::from_secs(2);

/// How long whoever needs a server waits for one that is starting.
pub const READY_WAIT: Duration = Duration::from_secs(15);

/// Who uses which cluster, beside the sessions that the gateways report. In memory only.
pub struct Uses {
    started: Timestamp,
    clusters: Mutex<HashMap<ClusterId, Arc<Record>>>,
}

/// What is remembered of one cluster.
#[derive(Default)]
struct Record {
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

    fn waking(&self) -> MutexGuard<'_, Arc<OnceCell<()>>> {
        self.waking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While it is held, the cluster is not suspended.
pub struct Use {
    record: Arc<Record>,
    /// Whether it counts as use: it does not if somebody only looks.
    clock: Option<Arc<dyn Clock>>,
    /// When it was woken for this use, and how long that took to write.
    woken: Option<(Instant, Duration)>,
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

    async fn hold(&self, cluster: ClusterId, clock: Option<Arc<dyn Clock>>) -> Use {
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

/// Uses the cluster's server once `attempt` says that it is ready. Wakes it if it is suspended; waits at
/// most [`READY_WAIT`].
pub async fn ready<T, F, A>(app: &App, cluster: ClusterId, attempt: A) -> Result<(Use, T)>
where
    F: Future<Output = Result<T>> + Send,
    A: Fn() -> F + Send,
{
    let held = enter(app, cluster).await?;
    let result = app.when_ready(cluster, READY_WAIT, attempt).await;
    if let Some((began, written)) = held.woken {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (written, whole) = (milliseconds(written), milliseconds(began.elapsed()));
        let ready = result.is_ok();
        tracing::info!(%cluster, ready, written, milliseconds = whole, "woken: somebody uses it");
    }
    Ok((held, result?))
}

/// Uses the cluster's server: wakes it if it is suspended, and keeps it awake. It may not be ready yet.
/// `NotFound` unless the cluster is active.
async fn enter(app: &App, cluster: ClusterId) -> Result<Use> {
    let mut held = app.uses.hold(cluster, Some(app.clock.clone())).await;
    let found = app.active_cluster(cluster).await?;
    if found.value.power == Power::Off {
        app.check_data(cluster).await?;
        let wake = held.record.waking().clone();
        let began = Instant::now();
        let mut woken = false;
        let switch = async {
            woken = switch_on(app, cluster).await?;
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

/// Says whether it was off.
async fn switch_on(app: &App, cluster: ClusterId) -> Result<bool> {
    loop {
        let found = rows::find::<Cluster>(&*app.store, &cluster.to_string()).await?;
        let found = found.filter(|found| found.value.is_active());
        let before = found.ok_or_else(|| Error::not_found("cluster"))?;
        if before.value.power == Power::On {
            return Ok(false);
        }
        let after = Cluster { power: Power::On, ..before.value.clone() };
        let batch = Batch::server("wake").with(rows::update(&before.row, &after)?);
        match app.store.commit(batch, app.now()).await {
            Ok(_) => return Ok(true),
            // Somebody else changed it, perhaps to the same.
            Err(error) if error.kind() == ErrorKind::Stale => {}
            Err(error) => return Err(error),
        }
    }
}
