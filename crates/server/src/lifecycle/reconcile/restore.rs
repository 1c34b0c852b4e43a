//! The step of a cluster that a backup is restored into.
//!
//! The data is built beside the current one, as a later data epoch. One commit lets the cluster have it, and from then
//! on the restore can only succeed. Before that, a failure leaves the current data. `objects` copies databases or tables
//! from there into the current data instead. `clone` creates the cluster first.

mod clone;
mod failure;
mod objects;

use super::{
    nodes,
    step::{Step, next},
};
use crate::{
    documents::{self, Stored},
    lifecycle::{
        Lifecycle,
        backup::reader::{Progress, RepositoryReader},
        sql_metadata,
    },
    metering::baseline,
};
use failure::{failure, unusable};
use ootheca_engine::{ClusterSource, Source};
use ootheca_model::{
    Cluster, ClusterId, ClusterState, Error, ErrorKind, Result, Timestamp,
    backup::{Base, RecoveryPoint, Restore, RestoreFailure, RestoreInProgress, RestoreStatus, RestoreType},
    cluster::ObservedCluster,
    instance::{Observed, Phase},
};
use ootheca_store::{Batch, Lease};
use std::{fmt::Write as _, sync::Arc, time::Duration};
use tokio::time::timeout;

/// The number of attempts to read a backup after which a restore is given up.
const ATTEMPTS: u32 = 10;
/// The code of gRPC for a restore whose destination was deleted.
const ABORTED: i32 = 10;
/// How often to check whether a restore is still wanted.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The maximum number of databases that the message about a destination names.
const NAMED: usize = 3;

/// The result of an attempt to build the data.
enum Attempt {
    Built,
    /// The attempt waits for another step.
    Later(Step),
    Failed(Error),
}

/// What is restored.
enum Data {
    /// A recovery point, or a moment after it: the base, the last segment that is replayed, and until when if that is not
    /// its end.
    Backup(Box<Base>, String, Option<Timestamp>),
    /// The present data of another cluster.
    Cluster(ClusterSource),
}

/// What is restored, or what came of the attempt because there is nothing to restore.
type Found = Result<Data, Attempt>;

/// Moves a restore into the cluster `id` forward. `attempts` is the number of failed attempts.
pub(super) async fn step(lifecycle: &Lifecycle, id: ClusterId, lease: Lease, attempts: u32) -> Result<Step> {
    let _turn = lifecycle.backups.begin_restore(id).await;
    let Some(work) = Work::find(lifecycle, id, lease).await? else { return Ok(Step::Again(Duration::ZERO)) };
    let provided = work.provide().await;
    if work.is_decided() {
        return work.complete(&provided?).await;
    }
    let (attempt, observed) = match provided {
        Ok(observed) => (work.build(&observed).await?, observed),
        Err(error) if work.running.creates => (Attempt::Failed(error), Observed::absent(id)),
        Err(error) => return Err(error),
    };
    work.act_on(attempt, &observed, attempts).await
}

/// Ends the restore into a cluster that was deleted meanwhile.
pub(super) async fn give_up(lifecycle: &Lifecycle, stored: &Stored<Cluster>, lease: Lease) -> Result<()> {
    let Some(running) = stored.value.restore.clone() else { return Ok(()) };
    let restore = find(lifecycle, &running).await?;
    let work = Work { lifecycle, stored: stored.clone(), running, restore, lease };
    let failure = RestoreFailure { code: ABORTED, message: "the destination cluster was deleted".to_owned() };
    let after = Cluster { restore: None, ..work.cluster().clone() };
    let batch = work.batch(after, RestoreStatus::Failed, Some(failure))?;
    work.commit(batch).await?;
    lifecycle.backups.ended(&work.running.id, false);
    Ok(())
}

async fn find(lifecycle: &Lifecycle, running: &RestoreInProgress) -> Result<Stored<Restore>> {
    let found = documents::find::<Restore>(&*lifecycle.context.store, &running.id).await?;
    found.ok_or_else(|| Error::internal(format!("the restore {} of a cluster does not exist", running.id)))
}

/// A restore, and the authority to change it.
struct Work<'a> {
    lifecycle: &'a Lifecycle,
    stored: Stored<Cluster>,
    running: RestoreInProgress,
    restore: Stored<Restore>,
    lease: Lease,
}

impl<'a> Work<'a> {
    /// The restore into the cluster `id`; `None` if there is none, or the cluster is not active.
    async fn find(lifecycle: &'a Lifecycle, id: ClusterId, lease: Lease) -> Result<Option<Self>> {
        let found = documents::find::<Cluster>(&*lifecycle.context.store, &id.to_string()).await?;
        let Some(stored) = found.filter(|found| found.value.is_active()) else { return Ok(None) };
        let Some(running) = stored.value.restore.clone() else { return Ok(None) };
        let restore = find(lifecycle, &running).await?;
        Ok(Some(Self { lifecycle, stored, running, restore, lease }))
    }

    fn cluster(&self) -> &Cluster {
        &self.stored.value
    }

    /// Whether databases or tables are restored into the current data.
    fn restores_objects(&self) -> bool {
        self.restore.value.kind != RestoreType::Cluster
    }

    /// Whether a backup is restored, and not the present data of another cluster.
    fn is_of_backup(&self) -> bool {
        self.restore.value.recovery_point.is_some()
    }

    /// Whether the restore can only succeed.
    fn is_decided(&self) -> bool {
        if self.restores_objects() { self.running.added } else { self.cluster().epoch >= self.running.epoch }
    }

    /// Acts on what came of an attempt to build the data.
    async fn act_on(self, attempt: Attempt, observed: &Observed, attempts: u32) -> Result<Step> {
        let again = Self::find(self.lifecycle, self.cluster().id, self.lease).await?;
        // A cluster that stays usable can have been changed in the meantime, and the attempt can have begun before the
        // restore was decided.
        let Some(work) = again.filter(|again| again.running == self.running && !again.is_decided()) else {
            return Ok(Step::Again(Duration::ZERO));
        };
        match attempt {
            Attempt::Built if work.restores_objects() => work.decide().await,
            Attempt::Built => work.switch().await,
            Attempt::Later(step) => Ok(step),
            Attempt::Failed(error) if error.kind() == ErrorKind::Stale => Err(error),
            Attempt::Failed(error) if error.kind() == ErrorKind::Unavailable && attempts + 1 < ATTEMPTS => {
                Ok(Step::NotAchieved(error))
            }
            Attempt::Failed(error) if work.running.creates => work.not_created(&error).await,
            Attempt::Failed(error) => work.fail(&error, observed).await,
        }
    }

    /// Builds the data. Errors that are not those of the attempt are those of the store.
    async fn build(&self, observed: &Observed) -> Result<Attempt> {
        let prepared = match self.running.creates {
            true => self.await_instance(observed),
            false => self.prepare(observed).await,
        };
        if let Some(attempt) = prepared {
            return Ok(attempt);
        }
        let Some(_staging) = self.lifecycle.backups.begin_staging() else {
            return Ok(Attempt::Later(Step::Again(CHECK_INTERVAL)));
        };
        let progress = self.lifecycle.backups.track(&self.running.id);
        let data = match self.data(&progress).await? {
            Ok(data) => data,
            Err(attempt) => return Ok(attempt),
        };
        let staged = tokio::select! {
            // Otherwise the order is random, and the tests of the loops can't be repeated.
            biased;
            staged = self.stage(data, progress) => staged,
            () = self.unwanted() => return Ok(Attempt::Later(Step::Again(Duration::ZERO))),
        };
        match staged {
            Ok(()) => Ok(Attempt::Built),
            Err(error) => self.explain(error).await.map(Attempt::Failed),
        }
    }

    /// Checks the current data of the destination. Returns what came of the attempt if nothing can be built yet.
    async fn prepare(&self, observed: &Observed) -> Option<Attempt> {
        let (context, cluster) = (&self.lifecycle.context, self.cluster());
        if observed.phase == Phase::Absent {
            let message = "the data of the destination cluster is missing";
            return Some(Attempt::Failed(Error::precondition(message)));
        }
        if self.lifecycle.backups.progress(&self.running.id).is_none()
            && let Err(error) = context.engine.discard(cluster.id, cluster.epoch).await
        {
            // An earlier restore must not have left data that looks like that of this one.
            return Some(Attempt::Failed(error));
        }
        // From here on, nothing is discarded.
        self.lifecycle.backups.track(&self.running.id);
        let other_is_replaced = !self.restores_objects() && self.restore.value.source != cluster.id;
        if (self.restores_objects() || other_is_replaced) && observed.phase != Phase::Ready {
            return Some(Attempt::Later(next(cluster.power, observed)));
        }
        match other_is_replaced {
            true => self.check_empty().await.err().map(Attempt::Failed),
            false => None,
        }
    }

    async fn data(&self, progress: &Progress) -> Result<Found> {
        let Some(point) = self.restore.value.recovery_point else {
            return self.present(progress.clone()).await;
        };
        let store = &*self.lifecycle.context.store;
        let point = documents::find::<RecoveryPoint>(store, &point.to_string()).await?;
        let base = match &point {
            Some(point) => documents::find::<Base>(store, &point.value.base).await?,
            None => None,
        };
        Ok(match (point, base) {
            (Some(point), Some(base)) => {
                let (last, time) = self.end(point.value);
                Ok(Data::Backup(Box::new(base.value), last, time))
            }
            _ => Err(Attempt::Failed(Error::not_found("the backup"))),
        })
    }

    async fn stage(&self, data: Data, progress: Progress) -> Result<()> {
        let context = &self.lifecycle.context;
        let source = match data {
            Data::Backup(base, last, time) => {
                // An attempt that a crash interrupted can have restored them. Then the backup is not needed.
                if self.restores_objects() && self.copy_objects(&progress).await.is_ok() {
                    return Ok(());
                }
                let repository = self.lifecycle.backups.repository(context).await.map_err(unusable)?;
                let reader = RepositoryReader::open(repository, *base, &last, time, progress.clone()).await?;
                if self.restores_objects() {
                    return self.restore_objects(reader, &progress).await;
                }
                Source::Backup(Arc::new(reader))
            }
            Data::Cluster(source) => Source::Cluster(source),
        };
        let masking = self.restore.value.masking.as_ref();
        context.engine.stage(self.cluster().id, self.running.epoch, &source, masking).await
    }

    /// The last segment that is replayed, and until when if that is not its end.
    fn end(&self, point: RecoveryPoint) -> (String, Option<Timestamp>) {
        match self.restore.value.point_in_time.clone() {
            // Otherwise, the data was the same at the recovery point.
            Some(moment) if !moment.last_segment.is_empty() => (moment.last_segment, Some(moment.time)),
            _ => (point.last_segment, None),
        }
    }

    /// Waits until the restore is no longer wanted: the cluster is deleted, or the server stops. A cluster that is usable
    /// is kept running.
    async fn unwanted(&self) {
        let context = &self.lifecycle.context;
        let (id, mut hints) = (self.cluster().id.to_string(), context.store.changes());
        let mut draining = context.draining.subscribe();
        while !*draining.borrow() {
            match context.find::<Cluster>(&id).await {
                Ok(Some(found)) if self.is_wanted(&found.value) => self.keep_running(&found).await,
                Ok(_) => return,
                Err(_) => {}
            }
            let hint = async { while hints.recv().await.is_ok_and(|hint| hint.id != id) {} };
            tokio::select! {
                _ = timeout(CHECK_INTERVAL, hint) => {}
                _ = draining.changed() => {}
            }
        }
    }

    /// Whether the restore is still that of its destination.
    fn is_wanted(&self, destination: &Cluster) -> bool {
        destination.is_active() && destination.restore.as_ref() == Some(&self.running)
    }

    /// Returns `Precondition` unless the cluster has no databases but an empty `defaultdb`.
    async fn check_empty(&self) -> Result<()> {
        let mut admin = self.lifecycle.context.engine.admin(self.cluster().id).await?;
        let names: Vec<String> = admin.databases().await?.into_iter().map(|database| database.name).collect();
        let tables = admin.count_tables(&names).await?;
        let others: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| *name != "defaultdb").collect();
        if !others.is_empty() {
            return Err(not_empty(&databases(&others)));
        }
        match tables.first() {
            None => Ok(()),
            Some(Some(0)) if admin.is_empty("defaultdb").await? => Ok(()),
            Some(Some(0)) => Err(not_empty("views, functions, or other objects in the database defaultdb")),
            Some(Some(1)) => Err(not_empty("a table in the database defaultdb")),
            Some(Some(count)) => Err(not_empty(&format!("{count} tables in the database defaultdb"))),
            Some(None) => {
                Err(Error::unavailable("the tables of the destination cluster could not be counted"))
            }
        }
    }

    /// Lets the cluster have the data that was built. From here on, the restore succeeds.
    async fn switch(&self) -> Result<Step> {
        let cluster = self.cluster();
        let (epoch, generation) = (self.running.epoch, cluster.generation + 1);
        let after = nodes::with_other_data(Cluster { epoch, generation, ..cluster.clone() });
        let mut batch = Batch::server("restore").with(documents::update(&self.stored.row, &after)?);
        batch.mutations.extend(baseline::invalidate(&self.lifecycle.metering, cluster.id).await?);
        self.commit(batch).await?;
        Ok(Step::Again(Duration::ZERO))
    }

    /// Ends the restore once the restored data serves.
    async fn complete(&self, observed: &Observed) -> Result<Step> {
        let (lifecycle, cluster) = (self.lifecycle, self.cluster());
        if observed.phase != Phase::Ready {
            self.clear_early(observed).await;
            return Ok(next(cluster.power, observed));
        }
        lifecycle.context.engine.discard(cluster.id, cluster.epoch).await?;
        if self.running.creates {
            return self.created(observed).await;
        }
        if self.restores_objects() {
            lifecycle.context.engine.forget_restore(cluster.id, &self.running.id).await?;
        }
        // Until the commit, so that no earlier read of the replaced data is written after it.
        let _turns = sql_metadata::turns(lifecycle, cluster.id).await;
        let mut admin = lifecycle.context.engine.admin(cluster.id).await?;
        let metadata = sql_metadata::everything(lifecycle, cluster, &mut *admin).await?;
        let observed = recorded(observed);
        let after = Cluster { state: ClusterState::Created, restore: None, observed, ..cluster.clone() };
        let mut batch = self.batch(after, RestoreStatus::Success, None)?;
        batch.mutations.extend(sql_metadata::replace(lifecycle, &metadata).await?);
        if !self.restores_objects() {
            batch.mutations.push(baseline::rebase(&lifecycle.metering, cluster).await?);
        }
        self.commit(batch).await?;
        lifecycle.backups.ended(&self.running.id, true);
        tracing::info!(cluster = %cluster.id, restore = self.running.id, epoch = cluster.epoch, "backup restored");
        Ok(Step::Again(Duration::ZERO))
    }

    /// Ends the restore with the data that the cluster had.
    async fn fail(&self, error: &Error, observed: &Observed) -> Result<Step> {
        let (lifecycle, cluster) = (self.lifecycle, self.cluster());
        if observed.phase != Phase::Absent {
            lifecycle.context.engine.discard(cluster.id, cluster.epoch).await?;
            if self.restores_objects() {
                lifecycle.context.engine.forget_restore(cluster.id, &self.running.id).await?;
            }
        }
        let after = Cluster { state: ClusterState::Created, restore: None, ..cluster.clone() };
        let batch = self.batch(after, RestoreStatus::Failed, Some(self.failure(error)))?;
        self.commit(batch).await?;
        lifecycle.backups.ended(&self.running.id, false);
        let (id, cause) = (cluster.id, error.chain());
        match error.kind() {
            ErrorKind::Internal => {
                tracing::error!(cluster = %id, restore = self.running.id, error = cause, "backup not restored");
            }
            _ => {
                tracing::warn!(cluster = %id, restore = self.running.id, error = cause, "backup not restored")
            }
        }
        Ok(Step::Again(Duration::ZERO))
    }

    fn failure(&self, error: &Error) -> RestoreFailure {
        failure(error, self.restore.value.kind, self.is_of_backup())
    }

    /// Ends the restore, and writes the cluster.
    fn batch(
        &self,
        cluster: Cluster,
        status: RestoreStatus,
        failure: Option<RestoreFailure>,
    ) -> Result<Batch> {
        let completed_at = Some(self.lifecycle.context.now());
        let restore = Restore { status, completed_at, failure, masking: None, ..self.restore.value.clone() };
        Ok(Batch::server("restore")
            .with(documents::update(&self.restore.row, &restore)?)
            .with(documents::update(&self.stored.row, &cluster)?))
    }

    async fn commit(&self, batch: Batch) -> Result<()> {
        let batch = Batch { fence: Some(self.lease.clone()), ..batch };
        self.lifecycle.context.store.commit(batch, self.lifecycle.context.now()).await.map(drop)
    }
}

/// What the row of the cluster records of an instance that is ready.
fn recorded(observed: &Observed) -> ObservedCluster {
    ObservedCluster {
        generation: observed.generation,
        engine: observed.engine.clone(),
        conditions: observed.conditions.clone(),
        location: observed.location.clone(),
    }
}

fn not_empty(contents: &str) -> Error {
    Error::precondition(format!(
        "the destination cluster is not empty: it contains {contents}; only an empty cluster or the source itself can \
         be the destination"
    ))
}

/// Some databases for a message.
fn databases(names: &[&str]) -> String {
    let noun = if names.len() == 1 { "database" } else { "databases" };
    let mut text = format!("the {noun} {}", names[..names.len().min(NAMED)].join(", "));
    if let Some(more) = names.len().checked_sub(NAMED).filter(|more| *more > 0) {
        let _ = write!(text, ", and {more} more");
    }
    text
}

#[cfg(test)]
mod tests;
