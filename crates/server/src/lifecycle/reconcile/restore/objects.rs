//! Restores of databases and tables: they are copied from the data that was built into the current data, and the cluster
//! stays usable. One commit records that they are there, so that what is left is only to clean up.

use super::{Work, recorded};
use crate::{
    documents::{self, Stored},
    lifecycle::{
        backup::reader::{Progress, RepositoryReader},
        reconcile::{
            nodes::{self, Primary},
            step::Step,
        },
    },
};
use async_trait::async_trait;
use ootheca_engine::{
    Source,
    backup::{BackupReader, BaseReader, ObjectRestore},
};
use ootheca_model::{Cluster, ClusterState, Result, Timestamp, backup::RestoreInProgress, instance::Phase};
use ootheca_store::Batch;
use std::{sync::Arc, time::Duration};

/// The part of the progress that building the data is.
const BUILT: f32 = 0.5;

impl Work<'_> {
    /// Builds the data, and copies the databases or tables from there.
    pub(super) async fn restore_objects(&self, reader: RepositoryReader, progress: &Progress) -> Result<()> {
        let source = Source::Backup(Arc::new(FirstPart(reader)));
        let engine = &self.lifecycle.context.engine;
        engine.stage(self.cluster().id, self.running.epoch, &source, None).await?;
        self.copy_objects(progress).await
    }

    /// Copies the databases or tables from the data that was built, unless an earlier attempt has done so. If nothing is
    /// built, that is an error.
    pub(super) async fn copy_objects(&self, progress: &Progress) -> Result<()> {
        let engine = &self.lifecycle.context.engine;
        let restore = &self.restore.value;
        let objects = ObjectRestore {
            id: restore.id.clone(),
            kind: restore.kind,
            objects: restore.objects.clone(),
            options: restore.options.clone(),
        };
        let report = |fraction: f32| progress.report(BUILT + (1.0 - BUILT) * fraction);
        engine.restore_objects(self.cluster().id, self.running.epoch, &objects, &report).await
    }

    /// Records that the databases or tables are there. From here on, the restore succeeds.
    pub(super) async fn decide(&self) -> Result<Step> {
        let running = RestoreInProgress { added: true, ..self.running.clone() };
        let after = Cluster { restore: Some(running), ..self.cluster().clone() };
        self.commit(Batch::server("restore").with(documents::update(&self.stored.row, &after)?)).await?;
        Ok(Step::Again(Duration::ZERO))
    }

    /// Applies changes of a cluster that is usable, and starts or replaces its server after a crash. An error is not the end of
    /// the restore.
    pub(super) async fn keep_running(&self, stored: &Stored<Cluster>) {
        if stored.value.state != ClusterState::Created {
            return;
        }
        if let Err(error) = self.apply(stored).await {
            let cluster = stored.value.id;
            tracing::debug!(%cluster, error = error.chain(), "cluster not reconciled during a restore");
        }
    }

    async fn apply(&self, stored: &Stored<Cluster>) -> Result<()> {
        let (engine, cluster) = (&self.lifecycle.context.engine, &stored.value);
        let observed = engine.observe(cluster.id).await?;
        let generations = [observed.generation, cluster.observed.generation];
        let is_led = observed.phase == Phase::Ready && cluster.leadership.change.is_none();
        if is_led && generations == [cluster.generation; 2] {
            return Ok(());
        }
        if let Primary::Changing(_) = nodes::keep_primary(self.lifecycle, stored, &self.lease).await? {
            return Ok(());
        }
        let observed = engine.ensure(&cluster.plan_instance()).await?;
        let after = Cluster { observed: recorded(&observed), ..cluster.clone() };
        if observed.phase != Phase::Ready || after == *cluster {
            return Ok(());
        }
        self.commit(Batch::server("reconcile").with(documents::update(&stored.row, &after)?)).await
    }
}

/// Reads a backup; that is only the first part of the progress.
#[derive(Debug)]
struct FirstPart(RepositoryReader);

#[async_trait]
impl BackupReader for FirstPart {
    async fn base(&self) -> Result<BaseReader> {
        self.0.base().await
    }

    fn base_bytes(&self) -> u64 {
        self.0.base_bytes()
    }

    fn engine_major(&self) -> &str {
        self.0.engine_major()
    }

    fn segments(&self) -> &[String] {
        self.0.segments()
    }

    async fn segment(&self, name: &str) -> Result<Vec<u8>> {
        self.0.segment(name).await
    }

    fn target_time(&self) -> Option<Timestamp> {
        self.0.target_time()
    }

    fn progress(&self, fraction: f32) {
        self.0.progress(BUILT * fraction);
    }
}
