//! Removes recovery points that have expired, and what only they needed.
//!
//! A base is released in the batch that removes its last recovery point, and is due from then on: its object is
//! removed, then its row. WAL is removed up to the first base that is left. This also applies to backups of deleted
//! clusters.

use super::{leader, newest, wal};
use crate::{
    documents::{self, Stored, time_key},
    lifecycle::Lifecycle,
};
use ootheca_backups::{Archive, Repository};
use ootheca_durable::failpoint;
use ootheca_model::{
    ClusterId, ErrorKind, Result,
    backup::{BackupId, Base, RecoveryPoint, Restore},
};
use ootheca_store::{Batch, Kind, Lease, Mutation, Position, Query};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::watch;

/// How often expired recovery points are looked for.
const INTERVAL: Duration = Duration::from_secs(60);
/// The maximum number of rows that are removed at once.
const PORTION: usize = 500;
/// The age after which an object without a row is removed: no backup takes longer.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);

/// The loop of the server that holds the lease. Ends when `stop` is true.
pub async fn run(lifecycle: Arc<Lifecycle>, stop: watch::Receiver<bool>) {
    leader::repeat(lifecycle, INTERVAL, stop, |lifecycle, lease| async move {
        if let Some(lease) = lease {
            turn(&lifecycle, &lease).await;
        }
    })
    .await;
}

/// Removes everything that has expired.
pub(super) async fn turn(lifecycle: &Lifecycle, lease: &Lease) {
    let expired = async {
        while remove_expired(lifecycle, lease).await? == PORTION {}
        remove_released(lifecycle, lease).await
    };
    if let Err(error) = expired.await {
        tracing::warn!(error = error.chain(), "expired backups not removed");
    }
}

/// Removes a portion of the expired recovery points, and releases bases without any. Returns the number of recovery
/// points.
async fn remove_expired(lifecycle: &Lifecycle, lease: &Lease) -> Result<usize> {
    let (store, now) = (&*lifecycle.context.store, lifecycle.context.now());
    let ids = store.due(Kind::RecoveryPoint, now, PORTION).await?;
    if ids.is_empty() {
        return Ok(0);
    }
    let rows = store.list(&Query { ids: Some(ids), ..Query::all(Kind::RecoveryPoint) }).await?;
    // Read after the recovery points: a restore that is created later changes the revision of its one.
    let restored = being_restored(lifecycle).await?;
    let mut clusters: BTreeMap<ClusterId, Vec<Stored<RecoveryPoint>>> = BTreeMap::new();
    for row in rows {
        let point = documents::decode::<RecoveryPoint>(row)?;
        if point.value.expires_at() <= now && !restored.contains(&point.value.id) {
            clusters.entry(point.value.cluster).or_default().push(point);
        }
    }
    let mut removed = 0;
    for (cluster, points) in clusters {
        match remove_points(lifecycle, cluster, &points, lease).await {
            Ok(()) => removed += points.len(),
            // A recovery point was extended, or a restore of it was created.
            Err(error) if error.kind() == ErrorKind::Stale => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

/// The recovery points that running restores read.
async fn being_restored(lifecycle: &Lifecycle) -> Result<HashSet<BackupId>> {
    let store = &*lifecycle.context.store;
    let clusters = lifecycle.context.clusters.refresh(store).await?;
    let mut restored = HashSet::new();
    for running in clusters.values().filter_map(|cluster| cluster.value.restore.as_ref()) {
        let restore = documents::find::<Restore>(store, &running.id).await?;
        // The present data of a cluster has none.
        restored.extend(restore.and_then(|restore| restore.value.recovery_point));
    }
    Ok(restored)
}

async fn remove_points(
    lifecycle: &Lifecycle,
    cluster: ClusterId,
    points: &[Stored<RecoveryPoint>],
    lease: &Lease,
) -> Result<()> {
    let mut mutations: Vec<Mutation> = points.iter().map(|point| documents::delete(&point.row)).collect();
    let bases: BTreeSet<&str> = points.iter().map(|point| point.value.base.as_str()).collect();
    for id in bases {
        let Some(base) = documents::find::<Base>(&*lifecycle.context.store, id).await? else { continue };
        if !has_other_points(lifecycle, &base.value, points).await? {
            mutations.push(newest::release(&base, lifecycle.context.now())?);
        }
    }
    commit(lifecycle, mutations, lease).await?;
    tracing::debug!(%cluster, count = points.len(), "expired recovery points removed");
    Ok(())
}

/// Whether a base has recovery points beside these. They follow the base and come before the next one.
async fn has_other_points(
    lifecycle: &Lifecycle,
    base: &Base,
    points: &[Stored<RecoveryPoint>],
) -> Result<bool> {
    let query = Query {
        parent: Some(base.cluster.to_string()),
        after: Some(Position { value: time_key(base.created_at), id: String::new() }),
        limit: points.len() + 1,
        ..Query::all(Kind::RecoveryPoint)
    };
    for row in lifecycle.context.store.list(&query).await? {
        let found = documents::decode::<RecoveryPoint>(row)?.value;
        if found.base == base.id && !points.iter().any(|point| point.value.id == found.id) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes the bases that were released.
async fn remove_released(lifecycle: &Lifecycle, lease: &Lease) -> Result<()> {
    let context = &lifecycle.context;
    let ids = context.store.due(Kind::BackupBase, context.now(), PORTION).await?;
    if ids.is_empty() {
        return Ok(());
    }
    let repository = lifecycle.backups.repository(context).await?;
    let mut archives = BTreeSet::new();
    for id in ids {
        let Some(base) = documents::find::<Base>(&*context.store, &id).await? else { continue };
        let archive = archive_of(&base.value);
        repository.remove_base(archive, &id).await?;
        failpoint::reach("base removed");
        commit(lifecycle, vec![documents::delete(&base.row)], lease).await?;
        archives.insert(archive);
    }
    for archive in archives {
        sweep(lifecycle, &repository, archive).await?;
    }
    Ok(())
}

/// Removes WAL that no base of an archive needs, and objects of bases that a crash has left.
pub(super) async fn sweep(lifecycle: &Lifecycle, repository: &Repository, archive: Archive) -> Result<()> {
    let store = &*lifecycle.context.store;
    let parent = Some(archive.cluster.to_string());
    let rows = store.list(&Query { parent, ..Query::all(Kind::BackupBase) }).await?;
    let bases = rows.into_iter().map(documents::decode::<Base>).collect::<Result<Vec<_>>>()?;
    let bases: Vec<Base> =
        bases.into_iter().map(|base| base.value).filter(|base| archive_of(base) == archive).collect();
    match bases.first() {
        Some(first) => {
            if let Some(bound) = wal::bound(first) {
                repository.remove_segments(archive, Some(bound)).await?;
                failpoint::reach("WAL segments removed");
            }
        }
        None if !is_live(lifecycle, archive).await? => {
            repository.remove_segments(archive, None).await?;
            failpoint::reach("WAL segments removed");
        }
        // A backup may be storing WAL before its base has a row.
        None => {}
    }
    for (id, changed) in repository.bases(archive).await? {
        let is_old = SystemTime::now().duration_since(changed).is_ok_and(|age| age > ORPHAN_AGE);
        if is_old && !bases.iter().any(|base| base.id == id) {
            tracing::info!(cluster = %archive.cluster, base = id, "base of an interrupted backup removed");
            repository.remove_base(archive, &id).await?;
        }
    }
    Ok(())
}

fn archive_of(base: &Base) -> Archive {
    Archive { cluster: base.cluster, epoch: base.epoch }
}

/// Whether a cluster has the data of this archive, so that backups are added to it.
async fn is_live(lifecycle: &Lifecycle, archive: Archive) -> Result<bool> {
    let clusters = lifecycle.context.clusters.refresh(&*lifecycle.context.store).await?;
    let cluster = clusters.get(&archive.cluster.to_string());
    Ok(cluster.is_some_and(|cluster| cluster.value.epoch == archive.epoch))
}

async fn commit(lifecycle: &Lifecycle, mutations: Vec<Mutation>, lease: &Lease) -> Result<()> {
    let fence = Some(lease.clone());
    let batch = Batch { mutations, fence, quiet: true, ..Batch::server("backup retention") };
    lifecycle.context.store.commit(batch, lifecycle.context.now()).await.map(drop)
}
