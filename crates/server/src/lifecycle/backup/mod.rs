//! Backups of clusters: the state in memory, and the repository.
//!
//! `schedule` decides when a backup is taken, `tick` takes one, `unchanged` extends those of suspended clusters,
//! `spool` limits the WAL that waits to be stored, `retention` removes what has expired, and `reader` reads a backup
//! for a restore. `verify` reads all of them again from time to time. `control` copies the control store. `condition`
//! tells users of clusters what is wrong.
//!
//! A recovery point is committed after everything that it needs is in the repository, and before WAL is removed from
//! the engine. So a crash leaves at most objects without a row, and segments that are stored again. A base is never
//! newer than its recovery points, and they are never newer than the next base.

mod condition;
pub mod control;
mod leader;
mod newest;
pub(super) mod reader;
pub mod retention;
pub mod schedule;
pub mod spool;
mod tick;
mod unchanged;
pub mod verify;
mod wal;

use crate::context::{BackupConditions, Context};
use condition::Conditions;
use ootheca_backups::Repository;
use ootheca_model::{ClusterId, Error, ErrorKind, Result, Timestamp, instance::Condition};
use ootheca_store::{Kind, Query};
use parking_lot::Mutex;
use reader::Progress;
use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Notify, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};

/// How long a failure to open the repository is reported without trying again.
const REOPEN_AFTER: Duration = Duration::from_secs(2);
/// How many restores and clones build data at the same time. It is much smaller than the number of steps of the
/// reconciler, which also resumes clusters.
const STAGED_AT_ONCE: usize = 16;
/// How many bases are copied at the same time. It is smaller than the number of backups, so that most clusters don't
/// wait for large copies.
const COPIED_AT_ONCE: usize = 2;

/// The state of backups and restores. In memory only.
#[derive(Default)]
pub struct Backups {
    repository: tokio::sync::Mutex<Opening>,
    turns: Mutex<HashMap<ClusterId, Arc<Turns>>>,
    /// The progress of running restores by their ID.
    restores: Mutex<HashMap<String, Progress>>,
    counts: Mutex<Counts>,
    /// When the next backup of any cluster is due; `None` if there is none, or another server takes them.
    next_due: Mutex<Option<Timestamp>>,
    conditions: Conditions,
    outdated: Outdated,
    stagings: Limit<STAGED_AT_ONCE>,
    copies: Limit<COPIED_AT_ONCE>,
}

/// Limits how many of something run at the same time.
struct Limit<const AT_ONCE: usize>(Arc<Semaphore>);

impl<const AT_ONCE: usize> Default for Limit<AT_ONCE> {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// The clusters about which the schedule knows something outdated.
#[derive(Default)]
struct Outdated {
    clusters: Mutex<HashSet<ClusterId>>,
    added: Notify,
}

impl Outdated {
    /// Adds a cluster. `at_once`: a backup of it may be due.
    fn add(&self, cluster: ClusterId, at_once: bool) {
        self.clusters.lock().insert(cluster);
        if at_once {
            self.added.notify_one();
        }
    }

    fn take(&self) -> HashSet<ClusterId> {
        mem::take(&mut *self.clusters.lock())
    }

    /// Waits for a cluster of which a backup may be due.
    async fn notified(&self) {
        self.added.notified().await;
    }
}

#[derive(Default)]
enum Opening {
    #[default]
    Never,
    Failed(Instant, ErrorKind, String),
    Open(Repository),
}

/// What happened since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Backups for which something was stored.
    pub stored: u64,
    /// Backups of data that was unchanged since the previous one.
    pub unchanged: u64,
    /// Attempts to take a backup that failed.
    pub failed: u64,
    /// Bytes of bases and WAL segments in the repository, as they were stored.
    pub stored_bytes: u64,
    /// Restores that succeeded.
    pub restored: u64,
    /// Restores that failed.
    pub not_restored: u64,
    /// Verifications of a base and its WAL that found no damage.
    pub intact: u64,
    /// Verifications that found something damaged or missing.
    pub damaged: u64,
    /// Verifications that failed for another reason.
    pub not_verified: u64,
}

/// Lets one backup or one restore of a cluster run at a time.
#[derive(Default)]
struct Turns {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The number of restores that run or wait.
    restores: watch::Sender<usize>,
}

/// Held while a backup of a cluster is taken.
pub(super) struct BackupTurn {
    restores: watch::Receiver<usize>,
    _turn: OwnedMutexGuard<()>,
}

impl BackupTurn {
    /// Waits until a restore of the cluster has to run.
    async fn interrupted(&mut self) {
        if self.restores.wait_for(|count| *count > 0).await.is_err() {
            std::future::pending().await
        }
    }
}

/// Held while a cluster is restored.
pub(super) struct RestoreTurn {
    _announced: Announced,
    _turn: OwnedMutexGuard<()>,
}

/// A restore that runs or waits.
struct Announced(Arc<Turns>);

impl Announced {
    fn new(turns: Arc<Turns>) -> Self {
        turns.restores.send_modify(|count| *count += 1);
        Self(turns)
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.0.restores.send_modify(|count| *count -= 1);
    }
}

impl Backups {
    /// `conditions` gets the conditions of clusters about their backups.
    pub(super) fn new(conditions: Arc<Mutex<BackupConditions>>) -> Self {
        Self { conditions: Conditions::new(conditions), ..Self::default() }
    }

    /// Begins to build the data of a restore; `None` while too many others do.
    pub(super) fn begin_staging(&self) -> Option<OwnedSemaphorePermit> {
        self.stagings.0.clone().try_acquire_owned().ok()
    }

    /// Begins to copy a base. Waits while too many others are copied.
    async fn begin_copy(&self) -> Result<OwnedSemaphorePermit> {
        let permit = self.copies.0.clone().acquire_owned().await;
        permit.map_err(|error| Error::unavailable("no base can be copied").because(error))
    }

    /// The repository, which is opened by the first call that succeeds.
    pub(super) async fn repository(&self, context: &Context) -> Result<Repository> {
        let mut opening = self.repository.lock().await;
        match &*opening {
            Opening::Open(repository) => return Ok(repository.clone()),
            Opening::Failed(at, kind, message) if at.elapsed() < REOPEN_AFTER => {
                return Err(Error::new(*kind, message.clone()));
            }
            Opening::Never | Opening::Failed(..) => {}
        }
        let known = Query { limit: 1, ..Query::all(Kind::BackupBase) };
        let create = context.store.list(&known).await?.is_empty();
        let key = context.recovery_key.clone();
        let opened = Repository::open(&context.settings.backups_url(), key, create).await;
        *opening = match &opened {
            Ok(repository) => Opening::Open(repository.clone()),
            Err(error) => Opening::Failed(Instant::now(), error.kind(), error.message().to_owned()),
        };
        opened
    }

    fn turns(&self, cluster: ClusterId) -> Arc<Turns> {
        self.turns.lock().entry(cluster).or_default().clone()
    }

    /// Begins a backup; `None` while there is another one, or a restore.
    pub(super) fn begin_backup(&self, cluster: ClusterId) -> Option<BackupTurn> {
        let turns = self.turns(cluster);
        let restores = turns.restores.subscribe();
        let turn = turns.turn.clone().try_lock_owned().ok()?;
        (*restores.borrow() == 0).then_some(())?;
        Some(BackupTurn { restores, _turn: turn })
    }

    /// Begins a restore. A backup that is being taken is given up.
    pub(super) async fn begin_restore(&self, cluster: ClusterId) -> RestoreTurn {
        let turns = self.turns(cluster);
        let announced = Announced::new(turns.clone());
        let turn = turns.turn.clone().lock_owned().await;
        RestoreTurn { _announced: announced, _turn: turn }
    }

    /// Removes a cluster.
    pub(super) fn forget(&self, cluster: ClusterId) {
        self.turns.lock().remove(&cluster);
        self.conditions.forget(cluster);
    }

    /// The condition of this kind about the backups of a cluster.
    pub fn condition(&self, cluster: ClusterId, kind: &str) -> Option<Condition> {
        self.conditions.get(cluster, kind)
    }

    /// The progress of a running restore, from 0 to 1; `None` if it does not run on this server.
    pub fn progress(&self, restore: &str) -> Option<f32> {
        self.restores.lock().get(restore).map(Progress::fraction)
    }

    /// The progress of a restore that runs from now on.
    pub(super) fn track(&self, restore: &str) -> Progress {
        self.restores.lock().entry(restore.to_owned()).or_default().clone()
    }

    /// Counts a restore that has ended.
    pub(super) fn ended(&self, restore: &str, succeeded: bool) {
        self.restores.lock().remove(restore);
        self.count(|counts| match succeeded {
            true => counts.restored += 1,
            false => counts.not_restored += 1,
        });
    }

    /// What happened since the server started.
    pub fn counts(&self) -> Counts {
        *self.counts.lock()
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock());
    }

    /// How long the backup that is most overdue is late; zero if none is.
    pub fn overdue(&self, now: Timestamp) -> Duration {
        self.next_due.lock().map_or(Duration::ZERO, |due| now.since(due))
    }
}

#[cfg(test)]
pub(super) mod tests;
