//! Backups of data that has not changed: the newest recovery point stands for them, too.
//!
//! Those of suspended clusters need neither a process nor the repository, and are written together.

use super::newest::Newest;
use crate::{
    documents::{self, Stored},
    lifecycle::Lifecycle,
};
use ootheca_model::{
    Cluster, ClusterId, Error, ErrorKind, Result, Timestamp,
    backup::{RecoveryPoint, backup_time},
    instance::Power,
};
use ootheca_store::{Batch, Lease, Row};

/// The maximum number of recovery points that are written together.
const TOGETHER: usize = 500;

/// Whether a recovery point has the configuration that the cluster has now.
pub(super) fn has_configuration_of(point: &RecoveryPoint, cluster: &Cluster) -> bool {
    point.is_of(&cluster.backup_configuration())
}

/// A recovery point with a later time until which the data was the same, and how it was before.
pub(super) struct Extension {
    before: Stored<RecoveryPoint>,
    after: RecoveryPoint,
}

impl Extension {
    pub(super) fn new(point: &Stored<RecoveryPoint>, until: Timestamp) -> Self {
        let after = RecoveryPoint { unchanged_until: until, ..point.value.clone() };
        Self { before: point.clone(), after }
    }

    pub(super) fn cluster(&self) -> ClusterId {
        self.after.cluster
    }

    /// The recovery point once this is committed.
    fn committed(self) -> Stored<RecoveryPoint> {
        let row = Row { revision: self.before.row.revision + 1, ..self.before.row };
        Stored { row, value: self.after }
    }
}

/// What makes the newest recovery point the backup of a suspended cluster; `None` if the cluster is not suspended, or
/// if its backup has to be taken.
pub(super) async fn of_suspended(
    lifecycle: &Lifecycle,
    cluster: &Cluster,
    newest: &Newest,
) -> Option<Extension> {
    let point = newest.point_of(cluster.epoch).filter(|point| has_configuration_of(&point.value, cluster))?;
    if cluster.power == Power::On || newest.base_of(cluster.epoch).is_none() {
        return None;
    }
    let until = backup_time(lifecycle.context.now(), newest.unchanged_until());
    // If this fails, the backup that is taken instead reports it.
    let end = lifecycle.context.engine.end_segment(cluster.id, cluster.epoch).await.ok()?;
    let same = !end.changed && end.last_segment <= point.value.last_segment;
    same.then(|| Extension::new(point, until))
}

/// Writes extensions. Returns those that were written: others were changed concurrently.
pub(super) async fn write(
    lifecycle: &Lifecycle,
    extensions: Vec<Extension>,
    lease: &Lease,
) -> Result<Vec<Stored<RecoveryPoint>>> {
    let mut written = Vec::new();
    let mut extensions = extensions.into_iter().peekable();
    while extensions.peek().is_some() {
        let portion: Vec<Extension> = extensions.by_ref().take(TOGETHER).collect();
        match commit(lifecycle, &portion, lease).await {
            Ok(()) => written.extend(portion.into_iter().map(Extension::committed)),
            Err(error) if error.kind() == ErrorKind::Stale && portion.len() > 1 => {
                written.extend(one_by_one(lifecycle, portion, lease).await?);
            }
            Err(error) if error.kind() == ErrorKind::Stale => {}
            Err(error) => return Err(error),
        }
    }
    lifecycle.backups.count(|counts| counts.unchanged += u64::try_from(written.len()).unwrap_or(0));
    Ok(written)
}

/// The error if the newest recovery point was changed concurrently.
pub(super) fn stale() -> Error {
    Error::new(ErrorKind::Stale, "the newest recovery point was changed concurrently")
}

async fn one_by_one(
    lifecycle: &Lifecycle,
    portion: Vec<Extension>,
    lease: &Lease,
) -> Result<Vec<Stored<RecoveryPoint>>> {
    let mut written = Vec::new();
    for extension in portion {
        match commit(lifecycle, std::slice::from_ref(&extension), lease).await {
            Ok(()) => written.push(extension.committed()),
            Err(error) if error.kind() == ErrorKind::Stale => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

async fn commit(lifecycle: &Lifecycle, extensions: &[Extension], lease: &Lease) -> Result<()> {
    let mut batch = Batch { fence: Some(lease.clone()), quiet: true, ..Batch::server("backup") };
    for extension in extensions {
        batch.mutations.push(documents::update(&extension.before.row, &extension.after)?);
    }
    lifecycle.context.store.commit(batch, lifecycle.context.now()).await.map(drop)
}
