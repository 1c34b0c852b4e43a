//! Clusters that are created with the data of a backup or of another cluster.
//!
//! The engine gets an empty instance first, because it stages data beside an instance. The server of that one never
//! serves, so it is not left running: no session sees the cluster without its data, and the switch doesn't have to wait
//! until it is stopped.

use super::{Attempt, Data, Found, Work, recorded};
use crate::{
    documents::{self, Stored},
    lifecycle::{
        backup::reader::Progress,
        reconcile::{
            creation,
            step::{Step, next},
        },
    },
    metering::baseline,
};
use ootheca_engine::ClusterSource;
use ootheca_model::{
    Cluster, ClusterState, Error, ErrorKind, Result,
    backup::RestoreStatus,
    instance::{InstancePlan, Observed, Phase, Power},
};
use std::{sync::Arc, time::Duration};

/// How often to check whether the source has its data again.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

impl Work<'_> {
    /// Makes the instance match the plan, and creates the instance of a new cluster.
    pub(super) async fn provide(&self) -> Result<Observed> {
        let (engine, plan) = (&self.lifecycle.context.engine, self.cluster().plan_instance());
        if !self.running.creates || self.is_decided() {
            return engine.ensure(&plan).await;
        }
        let stopped = InstancePlan { power: Power::Off, ..plan };
        engine.create(&stopped).await.map_err(|error| match error.kind() {
            ErrorKind::Internal => Error::unavailable("the SQL server could not be created").because(error),
            _ => error,
        })
    }

    /// What has to happen before data can be staged beside the instance of a new cluster.
    pub(super) fn await_instance(&self, observed: &Observed) -> Option<Attempt> {
        // A hint follows when the instance is there.
        (observed.generation == 0).then(|| Attempt::Later(next(self.cluster().power, observed)))
    }

    /// The present data of the source.
    pub(super) async fn present(&self, progress: Progress) -> Result<Found> {
        let Some(source) = self.source().await? else { return Ok(Err(Attempt::Failed(source_deleted()))) };
        let source = source.value;
        if source.observed.is_data_missing() {
            // It may come back.
            let error = Error::unavailable("the data of the source cluster is missing");
            return Ok(Err(Attempt::Failed(error)));
        }
        // While a backup replaces its data, an instance without that data can serve.
        if source.state != ClusterState::Created {
            return Ok(Err(Attempt::Later(Step::Again(CHECK_INTERVAL))));
        }
        let report = move |fraction: f32| progress.report(fraction);
        let source = ClusterSource { cluster: source.id, epoch: source.epoch, progress: Arc::new(report) };
        Ok(Ok(Data::Cluster(source)))
    }

    /// Why the present data was not copied: the source can have been deleted meanwhile.
    pub(super) async fn explain(&self, error: Error) -> Result<Error> {
        if self.is_of_backup() || error.kind() == ErrorKind::Stale {
            return Ok(error);
        }
        Ok(match self.source().await? {
            None => source_deleted(),
            Some(_) if error.kind() == ErrorKind::NotFound => {
                Error::unavailable("the source cluster has no instance").because(error)
            }
            Some(_) => error,
        })
    }

    /// The source, unless it was deleted.
    async fn source(&self) -> Result<Option<Stored<Cluster>>> {
        let (store, id) = (&*self.lifecycle.context.store, self.restore.value.source.to_string());
        let found = documents::find::<Cluster>(store, &id).await?;
        let missing = || Error::internal("the source of a restore is not in the store");
        Ok(Some(found.ok_or_else(missing)?).filter(|source| source.value.is_active()))
    }

    /// Removes the empty instance while the server with the data starts. A failure is repeated when it is ready.
    pub(super) async fn clear_early(&self, observed: &Observed) {
        if !self.running.creates || observed.phase != Phase::Starting {
            return;
        }
        let cluster = self.cluster();
        if let Err(error) = self.lifecycle.context.engine.discard(cluster.id, cluster.epoch).await {
            tracing::debug!(cluster = %cluster.id, error = error.chain(), "empty instance not removed yet");
        }
    }

    /// Ends the creation once the data serves. SQL metadata is read when it is needed, as that of every new cluster.
    pub(super) async fn created(&self, observed: &Observed) -> Result<Step> {
        let (lifecycle, cluster) = (self.lifecycle, self.cluster());
        let after = Cluster {
            state: ClusterState::Created,
            restore: None,
            updated_at: lifecycle.context.now(),
            observed: recorded(observed),
            ..cluster.clone()
        };
        let mut batch = self.batch(after, RestoreStatus::Success, None)?;
        batch.mutations.push(baseline::rebase(&lifecycle.metering, cluster).await?);
        self.commit(batch).await?;
        lifecycle.backups.ended(&self.running.id, true);
        let source = self.restore.value.source;
        tracing::info!(cluster = %cluster.id, restore = self.running.id, %source, "cluster cloned");
        Ok(Step::Again(Duration::ZERO))
    }

    /// Ends the creation. The engine removes everything of a cluster whose creation has failed.
    pub(super) async fn not_created(&self, error: &Error) -> Result<Step> {
        let (lifecycle, cluster) = (self.lifecycle, self.cluster());
        let failure = self.failure(error);
        let after = creation::failed(cluster, failure.message.clone(), lifecycle.context.now());
        self.commit(self.batch(after, RestoreStatus::Failed, Some(failure))?).await?;
        lifecycle.backups.ended(&self.running.id, false);
        let (id, cause) = (cluster.id, error.chain());
        match error.kind() {
            ErrorKind::Internal => {
                tracing::error!(cluster = %id, restore = self.running.id, error = cause, "cluster not cloned");
            }
            _ => {
                tracing::warn!(cluster = %id, restore = self.running.id, error = cause, "cluster not cloned");
            }
        }
        Ok(Step::Again(Duration::ZERO))
    }
}

fn source_deleted() -> Error {
    Error::not_found("the source cluster")
}

#[cfg(test)]
mod tests;
