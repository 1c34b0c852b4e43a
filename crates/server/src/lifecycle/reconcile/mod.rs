//! Makes the engine match the store, one cluster at a time.
//!
//! The driver only decides *when* to visit *which* cluster; [`cluster::step`] acts. Hints (changed rows and
//! changed instances) make it fast, and the scan of due rows makes it reliable. One server at a time
//! reconciles: the holder of a lease, whose fencing number guards every write. `scale_to_zero` decides which
//! clusters are suspended.

pub mod cluster;
mod creation;
mod nodes;
mod restore;
pub mod step;

use crate::lifecycle::{Lifecycle, backoff, scale_to_zero};
use ootheca_model::{
    Cluster, ClusterId, ClusterState, Error, ErrorKind, Result,
    instance::{Phase, Power},
};
use ootheca_store::{Kind, Lease};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use step::Step;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};

const LEASE: &str = "reconcile";
const LEASE_TTL: Duration = Duration::from_secs(15);
/// How often everything is scanned, because hints can be lost.
const SCAN_EVERY: Duration = Duration::from_secs(15);
/// When to repeat a failed step, and the longest time after several failures.
const RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// The maximum number of clusters that are reconciled at the same time, because callers use the same store.
/// It is much larger than the number of servers that can hang at their start without delaying others.
const AT_ONCE: usize = 128;

/// The loop. Ends when `stop` is true and no step is running.
pub async fn run(lifecycle: Arc<Lifecycle>, holder: String, mut stop: watch::Receiver<bool>) {
    let idle = tokio::spawn(scale_to_zero::run(lifecycle.clone(), stop.clone()));
    let mut driver = Driver::new(lifecycle, holder);
    let mut rows = driver.lifecycle.context.store.changes();
    let mut instances = driver.lifecycle.context.engine.watch();
    loop {
        if let Err(error) = driver.turn().await {
            tracing::warn!(error = error.chain(), "reconcile: scan failed");
        }
        let wake = driver.wake_at();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            hint = rows.recv() => match hint {
                Ok(hint) if hint.kind == Kind::Cluster => driver.hint(hint.id.parse().ok()),
                Ok(_) => {}
                Err(_) => driver.scan_at = Instant::now(),
            },
            hint = instances.recv() => driver.hint(hint.ok()),
            Some(done) = driver.steps.join_next() => driver.finish(done.ok()),
            () = sleep_until(wake) => {}
        }
    }
    let _ = idle.await;
    while driver.steps.join_next().await.is_some() {}
    driver.lifecycle.context.lease.send_replace(None);
    if let Some(lease) = driver.lease {
        let _ = driver.lifecycle.context.store.release(&lease).await;
    }
}

/// Decides when to visit which cluster.
pub(crate) struct Driver {
    lifecycle: Arc<Lifecycle>,
    holder: String,
    lease: Option<Lease>,
    renew_at: Instant,
    scan_at: Instant,
    /// Whether everything was scanned under this lease.
    scanned: bool,
    pub(crate) steps: JoinSet<(ClusterId, Result<Step>)>,
    running: HashSet<ClusterId>,
    permits: Arc<Semaphore>,
    /// Clusters with a hint while their step was running; they are visited again immediately.
    again: HashSet<ClusterId>,
    /// When to visit a cluster that is not done.
    later: BTreeMap<ClusterId, Instant>,
    /// The number of consecutive failed steps.
    failures: HashMap<ClusterId, u32>,
    /// Clusters whose last step was based on an old state.
    stale: HashSet<ClusterId>,
    /// The number of failed attempts to create a cluster, or to restore a backup into it. Failures of the store are not
    /// among them.
    attempts: HashMap<ClusterId, u32>,
}

impl Driver {
    pub(crate) fn new(lifecycle: Arc<Lifecycle>, holder: String) -> Self {
        let now = Instant::now();
        Self {
            lifecycle,
            holder,
            lease: None,
            renew_at: now,
            scan_at: now,
            scanned: false,
            steps: JoinSet::new(),
            running: HashSet::new(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            again: HashSet::new(),
            later: BTreeMap::new(),
            failures: HashMap::new(),
            stale: HashSet::new(),
            attempts: HashMap::new(),
        }
    }

    /// Renews the lease, scans if it is time, and starts the steps that are due.
    pub(crate) async fn turn(&mut self) -> Result<()> {
        let now = Instant::now();
        if now >= self.renew_at {
            self.renew_at = now + LEASE_TTL / 3;
            if self.is_disowned().await? {
                return Ok(());
            }
            let fence = self.lease.as_ref().map(|lease| lease.fence);
            let renewed = self
                .lifecycle
                .context
                .store
                .lease(LEASE, &self.holder, fence, LEASE_TTL, self.lifecycle.context.now())
                .await;
            self.lease = renewed?;
            if self.lease.as_ref().map(|lease| lease.fence) != fence {
                // Another server may have changed something in between.
                self.scanned = false;
                self.scan_at = now;
            }
            self.lifecycle.context.lease.send_replace(self.lease.clone());
        }
        if self.lease.is_none() {
            return Ok(());
        }
        if now >= self.scan_at {
            self.scan_at = now + SCAN_EVERY;
            for id in everything(&self.lifecycle, !self.scanned).await? {
                self.hint(Some(id));
            }
            self.scanned = true;
        }
        let due: Vec<ClusterId> =
            self.later.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        for id in due {
            self.start(id);
        }
        Ok(())
    }

    /// Whether the store was adopted by another engine. If so, this server stops acting and ends.
    async fn is_disowned(&mut self) -> Result<bool> {
        let Some(owner) = &self.lifecycle.context.owner else { return Ok(false) };
        let Err(error) = owner.check(&*self.lifecycle.context.store).await else { return Ok(false) };
        if error.kind() != ErrorKind::Precondition {
            return Err(error);
        }
        self.lifecycle.context.lease.send_replace(None);
        if let Some(lease) = self.lease.take() {
            self.lifecycle.context.store.release(&lease).await?;
        }
        self.lifecycle.context.disowned.send_replace(Some(error.message().to_owned()));
        Ok(true)
    }

    /// Whether a cluster is not done.
    #[cfg(test)]
    pub(crate) fn is_waiting(&self) -> bool {
        !self.later.is_empty() || !self.steps.is_empty()
    }

    /// When there is something to do. Without the lease, that is only to ask for it.
    pub(crate) fn wake_at(&self) -> Instant {
        if self.lease.is_none() {
            return self.renew_at;
        }
        let next = self.later.values().min().copied();
        next.into_iter().chain([self.renew_at, self.scan_at]).min().unwrap_or(self.scan_at)
    }

    /// Notes that a cluster has to be visited, or all of them. Without the lease this is not necessary, because a new
    /// lease starts with a scan.
    pub(crate) fn hint(&mut self, id: Option<ClusterId>) {
        if self.lease.is_none() {
            return;
        }
        match id {
            None => self.scan_at = Instant::now(),
            Some(id) if self.running.contains(&id) => {
                self.again.insert(id);
            }
            Some(id) => {
                self.later.insert(id, Instant::now());
            }
        }
    }

    fn start(&mut self, id: ClusterId) {
        let Some(lease) = self.lease.clone() else { return };
        self.later.remove(&id);
        if self.running.insert(id) {
            let (lifecycle, attempts) =
                (self.lifecycle.clone(), self.attempts.get(&id).copied().unwrap_or(0));
            let permits = self.permits.clone();
            self.steps.spawn(async move {
                let _permit = permits.acquire_owned().await;
                (id, cluster::step(&lifecycle, id, lease, attempts).await)
            });
        }
    }

    pub(crate) fn finish(&mut self, done: Option<(ClusterId, Result<Step>)>) {
        let Some((id, result)) = done else {
            // A step panicked and its ID is lost: clears the running steps and scans everything again.
            self.running.clear();
            self.scan_at = Instant::now();
            return;
        };
        self.running.remove(&id);
        let stale = result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Stale);
        let after = match result {
            Ok(Step::Done) => None,
            Ok(Step::Again(after)) => Some(after),
            Ok(Step::NotAchieved(error)) => {
                *self.attempts.entry(id).or_default() += 1;
                Some(self.failed(id, &error))
            }
            // Another change came first: the step is repeated at once, but not again and again.
            Err(_) if stale && self.stale.insert(id) => Some(Duration::ZERO),
            Err(error) => Some(self.failed(id, &error)),
        };
        if !stale {
            self.stale.remove(&id);
        }
        if after.is_none() {
            self.failures.remove(&id);
            self.attempts.remove(&id);
        }
        let after = if self.again.remove(&id) { Some(Duration::ZERO) } else { after };
        if let Some(after) = after {
            self.later.insert(id, Instant::now() + after);
        }
    }

    /// Counts a failed step. Returns when to repeat it.
    fn failed(&mut self, id: ClusterId, error: &Error) -> Duration {
        let failures = self.failures.entry(id).or_default();
        *failures += 1;
        tracing::warn!(cluster = %id, failures, error = error.chain(), "reconcile: step failed");
        backoff::pause(*failures, RETRY, LONGEST_RETRY)
    }
}

/// Every cluster that does not have its desired state, has work due, or exists only in the engine. The first
/// time, every cluster that should run is included, because another program may have changed it.
async fn everything(lifecycle: &Lifecycle, first: bool) -> Result<HashSet<ClusterId>> {
    let mut ids: HashSet<ClusterId> = lifecycle.context.engine.list().await?.into_iter().collect();
    for cluster in lifecycle.context.clusters.refresh(&*lifecycle.context.store).await?.values() {
        let cluster = &cluster.value;
        if (cluster.power == Power::Off || !first) && in_order(lifecycle, cluster).await {
            ids.remove(&cluster.id);
        } else if cluster.state != ClusterState::CreationFailed {
            ids.insert(cluster.id);
        }
    }
    let due = lifecycle.context.store.due(Kind::Cluster, lifecycle.context.now(), usize::MAX).await?;
    ids.extend(due.iter().filter_map(|id| id.parse::<ClusterId>().ok()));
    Ok(ids)
}

/// Whether the observed state matches the desired state, as far as that is known without a request to the
/// server.
async fn in_order(lifecycle: &Lifecycle, cluster: &Cluster) -> bool {
    let Ok(observed) = lifecycle.context.engine.observe(cluster.id).await else { return false };
    let known = &cluster.observed;
    if known.conditions != observed.conditions {
        return false;
    }
    match (cluster.power, observed.phase) {
        (Power::Off, Phase::Suspended) => true,
        (Power::On, Phase::Ready) => {
            let applied = [known.generation, observed.generation] == [cluster.generation; 2];
            applied && nodes::are_settled(cluster, &observed)
        }
        _ => false,
    }
}
