//! When backups are taken: the loop of the server that holds the lease.
//!
//! It visits all clusters when the first one can be due, when a cluster has changed, and when the test clock is
//! advanced. What it knows about them is in memory, so that a visit reads the store only after a change. Due times that
//! have passed are not made up for: one backup stands for all of them.

use super::{
    condition,
    newest::Newest,
    tick::{self, Work},
    unchanged::{self, Extension, has_configuration_of},
};
use crate::{
    documents::Stored,
    lifecycle::{Lifecycle, backoff},
};
use ootheca_model::{
    Cluster, ClusterId, ClusterState, Error, ErrorKind, Result, Timestamp, backup::RecoveryPoint,
    instance::Condition,
};
use ootheca_store::{Changed, Kind, Lease};
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{broadcast, watch},
    task::{self, JoinError, JoinSet},
    time::{Instant, sleep_until},
};

/// How long after its creation the first backup of a cluster is taken.
const FIRST: Duration = Duration::from_secs(10);
/// The number of backups that are taken at the same time. Fewer bases are copied.
const AT_ONCE: usize = 16;
/// The shortest and the longest pause between two visits.
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);
/// When to try again after the first failure, and the longest time after several of them.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// The number of failures that are expected while a server is started or stopped, or a cluster changes.
const EXPECTED: u32 = 2;

/// When the next backup of a cluster is due; `None` while none is taken. `newest` is of its data epoch.
fn due_at(cluster: &Cluster, newest: Option<&RecoveryPoint>) -> Option<Timestamp> {
    let configuration = cluster.backup_configuration();
    if !can_have_backups(cluster) {
        return None;
    }
    let Some(newest) = newest else {
        let first = cluster.created_at.after(FIRST);
        // Later epochs are those of restored data, which is backed up at once.
        return Some(if cluster.epoch == 0 { first } else { first.max(cluster.updated_at) });
    };
    let next = newest.next_due(&configuration);
    // A change of the configuration is a change of the cluster.
    Some(if has_configuration_of(newest, cluster) { next } else { next.min(cluster.updated_at) })
}

fn can_have_backups(cluster: &Cluster) -> bool {
    cluster.state == ClusterState::Created
        && cluster.restore.is_none()
        && cluster.backup_configuration().enabled
        && !cluster.observed.is_data_missing()
}

/// The loop. Ends when `stop` is true; backups that are being taken are given up.
pub async fn run(lifecycle: Arc<Lifecycle>, mut stop: watch::Receiver<bool>) {
    if !lifecycle.context.settings.backups.enabled {
        return;
    }
    let mut schedule = Schedule::new(lifecycle.clone());
    let mut leases = lifecycle.context.lease.subscribe();
    let mut clock = lifecycle.context.clock_moved.subscribe();
    let mut rows = lifecycle.context.store.changes();
    loop {
        let visit = async {
            let began = Instant::now();
            let mut wake = began + schedule.visit().await;
            loop {
                tokio::select! {
                    Some(done) = schedule.backups.join_next_with_id() => return schedule.finish(done),
                    _ = clock.changed() => return schedule.retry_all(),
                    () = lifecycle.backups.outdated.notified() => return,
                    _ = leases.changed() => return,
                    hint = rows.recv() => {
                        if is_relevant(&hint) {
                            wake = wake.min(began + SHORTEST);
                        }
                    }
                    () = sleep_until(wake) => return,
                }
            }
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            () = visit => {}
        }
    }
    schedule.backups.shutdown().await;
}

/// Whether a cluster may have changed.
fn is_relevant(hint: &Result<Changed, broadcast::error::RecvError>) -> bool {
    !matches!(hint, Ok(changed) if changed.kind != Kind::Cluster)
}

/// Consecutive failures of a cluster.
struct Failures {
    count: u32,
    retry_at: Instant,
    reported: bool,
    /// Why the last attempt failed, for users of the cluster.
    reason: String,
}

/// A backup that is being taken.
struct Running {
    cluster: ClusterId,
    work: Work,
}

/// What is known about the backups of all clusters, and the backups that are being taken.
pub(super) struct Schedule {
    lifecycle: Arc<Lifecycle>,
    /// The lease under which everything else was read.
    lease: Option<Lease>,
    known: HashMap<ClusterId, Newest>,
    failures: HashMap<ClusterId, Failures>,
    pub(super) backups: JoinSet<Result<Newest>>,
    running: HashMap<task::Id, Running>,
}

impl Schedule {
    pub(super) fn new(lifecycle: Arc<Lifecycle>) -> Self {
        Self {
            lifecycle,
            lease: None,
            known: HashMap::new(),
            failures: HashMap::new(),
            backups: JoinSet::new(),
            running: HashMap::new(),
        }
    }

    /// Starts the backups that are due. Returns when to visit the clusters again.
    pub(super) async fn visit(&mut self) -> Duration {
        let lease = self.lifecycle.context.lease.borrow().clone();
        if self.lease != lease {
            // Another server may have taken backups in between. Those that are being taken are given up.
            *self = Self { lease, ..Self::new(self.lifecycle.clone()) };
        }
        let Some(lease) = self.lease.clone() else {
            *self.lifecycle.backups.next_due.lock() = None;
            return LONGEST;
        };
        self.scan(&lease).await.unwrap_or_else(|error| {
            tracing::warn!(error = error.chain(), "backups: scan failed");
            RETRY
        })
    }

    async fn scan(&mut self, lease: &Lease) -> Result<Duration> {
        let context = self.lifecycle.context.clone();
        self.lifecycle.backups.conditions.begin(&context, lease).await?;
        for id in self.lifecycle.backups.outdated.take() {
            self.known.remove(&id);
        }
        let clusters = context.clusters.refresh(&*context.store).await?;
        if self.known.len() > clusters.len() || self.failures.len() > clusters.len() {
            self.known.retain(|id, _| clusters.contains_key(&id.to_string()));
            self.failures.retain(|id, _| clusters.contains_key(&id.to_string()));
        }
        let (now, instant) = (context.now(), Instant::now());
        let (mut due, mut pause, mut next_due) = (Vec::new(), LONGEST, None::<Timestamp>);
        for cluster in clusters.values() {
            let at = self.due_at(&cluster.value, now).await?;
            let overdue = self.overdue(&cluster.value, at, now);
            self.lifecycle.backups.conditions.set(cluster.value.id, Condition::BACKUP_FAILED, overdue);
            let Some(at) = at else { continue };
            next_due = Some(next_due.map_or(at, |next| next.min(at)));
            let retry_at = self.failures.get(&cluster.value.id).map_or(instant, |failures| failures.retry_at);
            if at > now {
                pause = pause.min(at.since(now));
            } else if retry_at > instant {
                pause = pause.min(retry_at - instant);
            } else if self.work_of(cluster.value.id).is_none() {
                due.push((at, cluster.clone()));
            }
        }
        *self.lifecycle.backups.next_due.lock() = next_due;
        self.lifecycle.backups.conditions.save(&context, lease).await;
        due.sort_by_key(|(at, _)| *at);
        let due = self.extend_suspended(due, lease).await?;
        let free = AT_ONCE.saturating_sub(self.running.len());
        for cluster in due.into_iter().take(free) {
            if !self.start(cluster, lease.clone()) {
                pause = pause.min(RETRY);
            }
        }
        Ok(pause.max(SHORTEST))
    }

    async fn due_at(&mut self, cluster: &Cluster, now: Timestamp) -> Result<Option<Timestamp>> {
        if !can_have_backups(cluster) {
            return Ok(None);
        }
        let newest = match self.known.entry(cluster.id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                unknown.insert(Newest::read(&*self.lifecycle.context.store, cluster.id).await?)
            }
        };
        let point = newest.point_of(cluster.epoch).map(|point| &point.value);
        let due = due_at(cluster, point);
        // A damaged backup is replaced at once. This does not make it overdue.
        Ok(if point.is_some_and(|point| point.damaged) { due.map(|due| due.min(now)) } else { due })
    }

    /// The message of the condition of a cluster whose backup is long overdue.
    fn overdue(&self, cluster: &Cluster, due: Option<Timestamp>, now: Timestamp) -> Option<String> {
        let due = due.filter(|due| *due <= now)?;
        let longest = condition::longest_delay(cluster);
        if now.since(due) <= longest {
            return None;
        }
        let elapsed = self.work_of(cluster.id).and_then(Work::elapsed);
        let reason = match self.failures.get(&cluster.id) {
            Some(failures) => failures.reason.as_str(),
            None if elapsed.is_some_and(|elapsed| elapsed > longest) => "it is still being taken",
            // Waiting for other backups is no failure, and neither is time in which no server ran. What was found
            // before stays.
            None => {
                let found = self.lifecycle.backups.condition(cluster.id, Condition::BACKUP_FAILED);
                return found.map(|condition| condition.message);
            }
        };
        let newest = self.known.get(&cluster.id).and_then(|newest| newest.point.as_ref());
        let newest = newest.filter(|point| !point.value.damaged).map(|point| point.value.unchanged_until);
        Some(condition::overdue(due, newest, reason))
    }

    /// The backup of a cluster that is being taken.
    fn work_of(&self, cluster: ClusterId) -> Option<&Work> {
        let mut running = self.running.values();
        running.find(|running| running.cluster == cluster).map(|running| &running.work)
    }

    /// Extends the backups of suspended clusters, whose data cannot have changed. Returns the clusters that are left.
    async fn extend_suspended(
        &mut self,
        due: Vec<(Timestamp, Arc<Stored<Cluster>>)>,
        lease: &Lease,
    ) -> Result<Vec<Arc<Stored<Cluster>>>> {
        let (mut left, mut extensions) = (Vec::new(), Vec::new());
        for (_, cluster) in due {
            let extension = match self.known.get(&cluster.value.id) {
                Some(newest) => unchanged::of_suspended(&self.lifecycle, &cluster.value, newest).await,
                None => None,
            };
            match extension {
                Some(extension) => extensions.push(extension),
                None => left.push(cluster),
            }
        }
        let mut outdated: HashSet<ClusterId> = extensions.iter().map(Extension::cluster).collect();
        for point in unchanged::write(&self.lifecycle, extensions, lease).await? {
            outdated.remove(&point.value.cluster);
            if let Some(newest) = self.known.get_mut(&point.value.cluster) {
                newest.point = Some(point);
            }
        }
        for cluster in outdated {
            self.known.remove(&cluster);
        }
        Ok(left)
    }

    /// Starts a backup. Returns whether it was possible.
    fn start(&mut self, cluster: Arc<Stored<Cluster>>, lease: Lease) -> bool {
        let id = cluster.value.id;
        let (Some(newest), Some(mut turn)) =
            (self.known.get(&id).cloned(), self.lifecycle.backups.begin_backup(id))
        else {
            return false;
        };
        let (lifecycle, work) = (self.lifecycle.clone(), Work::begin());
        let running = Running { cluster: id, work: work.clone() };
        let task = self.backups.spawn(async move {
            tokio::select! {
                done = tick::run(&lifecycle, &cluster.value, newest, lease, &work) => done,
                () = turn.interrupted() => Err(Error::unavailable("a restore of the cluster has begun")),
            }
        });
        self.running.insert(task.id(), running);
        true
    }

    /// Notes how a backup has ended.
    pub(super) fn finish(&mut self, done: Result<(task::Id, Result<Newest>), JoinError>) {
        let (task, result) = match done {
            Ok(done) => done,
            Err(error) => (error.id(), Err(Error::internal("the backup was interrupted").because(error))),
        };
        // Backups under another lease are not known.
        let Some(Running { cluster, .. }) = self.running.remove(&task) else { return };
        match result {
            Ok(newest) => {
                self.known.insert(cluster, newest);
                if self.failures.remove(&cluster).is_some_and(|failures| failures.reported) {
                    tracing::info!(%cluster, "backups of the cluster succeed again");
                }
            }
            Err(error) => self.failed(cluster, &error),
        }
    }

    /// Counts a failure. It is reported once until a backup of the cluster succeeds.
    fn failed(&mut self, cluster: ClusterId, error: &Error) {
        // What was known may be the reason.
        self.known.remove(&cluster);
        let failures = self.failures.entry(cluster).or_insert(Failures {
            count: 0,
            retry_at: Instant::now(),
            reported: false,
            reason: String::new(),
        });
        failures.count += 1;
        failures.reason = condition::reason(error, &self.lifecycle.context.settings.backups_url());
        failures.retry_at = Instant::now() + backoff::pause(failures.count, RETRY, LONGEST_RETRY);
        let temporary = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Stale);
        if temporary && failures.count <= EXPECTED {
            tracing::debug!(%cluster, error = error.chain(), "backup not taken; retrying");
            return;
        }
        self.lifecycle.backups.count(|counts| counts.failed += 1);
        if !std::mem::replace(&mut failures.reported, true) {
            tracing::warn!(%cluster, error = error.chain(), "backup failed; retrying");
        }
    }

    /// Tries again what has failed.
    pub(super) fn retry_all(&mut self) {
        let now = Instant::now();
        self.failures.values_mut().for_each(|failures| failures.retry_at = now);
    }
}

#[cfg(test)]
mod tests;
