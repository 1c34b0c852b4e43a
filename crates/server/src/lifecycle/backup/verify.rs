//! Verifies what is in the repository: the loop of the server that holds the lease.
//!
//! Each base, and the WAL that its recovery points need, is read again within a week. Recovery points that need
//! something damaged or missing are marked, so that they are neither listed nor restored, and the chain of the base
//! ends. If it is the newest one, the next backup is due at once and copies a new base. The cluster has a condition as
//! long as it has marked recovery points. If a later verification finds everything in order, because an operator has
//! put back what was missing, the marks are removed.

use super::{leader, newest, retention, wal};
use crate::{
    documents::{self, Stored, time_key},
    lifecycle::Lifecycle,
};
use ootheca_backups::{Archive, Repository};
use ootheca_model::{
    ClusterId, Error, ErrorKind, Result, Timestamp,
    backup::{Base, RecoveryPoint},
    instance::Condition,
};
use ootheca_store::{Batch, Kind, Lease, Position, Query, Row, Store};
use std::{collections::HashSet, io, sync::Arc, time::Duration};
use tokio::{
    io::AsyncReadExt,
    sync::watch,
    time::{Instant, sleep_until},
};

/// How often bases that are due are looked for.
const INTERVAL: Duration = Duration::from_secs(3600);
/// The time after which a base is verified again. A day less than a week, because it takes time.
const PERIOD: Duration = Duration::from_secs(6 * 24 * 3600);
/// The maximum number of rows that are read at once.
const PORTION: usize = 500;
/// The number of attempts to record a result while rows are changed concurrently.
const ATTEMPTS: u32 = 3;
/// The number of failures after which the others have to wait.
const FAILURES: u32 = 3;
/// The maximum content that is read in a second, in bytes.
const RATE: u64 = 32 << 20;
/// The content of a base that is read at once, in bytes.
const BUFFER: usize = 256 * 1024;

/// The loop. Without the lease, this server shows the conditions that another one has found. Ends when `stop` is true.
pub async fn run(lifecycle: Arc<Lifecycle>, stop: watch::Receiver<bool>) {
    let turns = leader::repeat(lifecycle.clone(), INTERVAL, stop.clone(), |lifecycle, lease| async move {
        if let Some(lease) = lease {
            turn(&lifecycle, &lease).await;
        }
    });
    tokio::join!(turns, lifecycle.backups.conditions.follow(&lifecycle.context, stop));
}

/// Verifies everything that is due, one object at a time.
async fn turn(lifecycle: &Lifecycle, lease: &Lease) {
    let due = match scan(lifecycle, lease).await {
        Ok(due) => due,
        Err(error) => {
            tracing::warn!(error = error.chain(), "backups to verify not found");
            return;
        }
    };
    let mut failures = 0;
    for id in due {
        if let Err(error) = verify(lifecycle, &id, lease).await {
            lifecycle.backups.count(|counts| counts.not_verified += 1);
            tracing::warn!(base = id, error = error.chain(), "backups not verified; retrying");
            failures += 1;
            if failures == FAILURES {
                return;
            }
        }
    }
}

/// The IDs of the bases that are due, those first that were not verified for the longest time. Also finds the clusters
/// with damaged backups.
async fn scan(lifecycle: &Lifecycle, lease: &Lease) -> Result<Vec<String>> {
    let (context, conditions) = (&lifecycle.context, &lifecycle.backups.conditions);
    let (store, now) = (&*context.store, context.now());
    conditions.begin(context, lease).await?;
    let (mut due, mut damaged) = (Vec::new(), HashSet::new());
    let mut query = Query { limit: PORTION, ..Query::all(Kind::BackupBase) };
    loop {
        let rows = store.list(&query).await?;
        let next = next_page(&rows, &query);
        for row in rows {
            let base = documents::decode::<Base>(row)?;
            // The backups of a released base have expired.
            if base.row.due_at.is_some() {
                continue;
            }
            if base.value.damaged {
                damaged.insert(base.value.cluster);
            }
            if is_due(&base.value, now) {
                due.push((verified_at(&base.value), base.value.id));
            }
        }
        if next.is_none() {
            break;
        }
        query.after = next;
    }
    conditions.retain(Condition::BACKUP_DAMAGED, |cluster| damaged.contains(cluster));
    if !context.settings.backups.enabled {
        // No backups are taken any more, so none is overdue.
        conditions.retain(Condition::BACKUP_FAILED, |_| false);
    }
    for cluster in damaged {
        publish(lifecycle, cluster).await?;
    }
    conditions.save(context, lease).await;
    due.sort();
    Ok(due.into_iter().map(|(_, id)| id).collect())
}

fn next_page(rows: &[Row], query: &Query) -> Option<Position> {
    let last = rows.last().filter(|_| rows.len() == query.limit);
    last.map(|row| Position::of(row, query.order))
}

/// When a base was verified, or else stored.
fn verified_at(base: &Base) -> Timestamp {
    base.verified_at.unwrap_or(base.created_at)
}

fn is_due(base: &Base, now: Timestamp) -> bool {
    now.since(verified_at(base)) >= PERIOD
}

/// Verifies a base and the WAL that its recovery points need, and records the result. Then removes outdated objects,
/// which otherwise happens when a base is added or has expired: an unchanged cluster has neither.
async fn verify(lifecycle: &Lifecycle, id: &str, lease: &Lease) -> Result<()> {
    let context = &lifecycle.context;
    let Some(base) = documents::find::<Base>(&*context.store, id).await? else { return Ok(()) };
    let points = points_of(&*context.store, &base.value).await?;
    let Some(last) = last_segment(&*context.store, &base, &points).await? else { return Ok(()) };
    let repository = lifecycle.backups.repository(context).await?;
    let damage = inspect(&repository, &base.value, &last).await?;
    let mut attempts = 1;
    loop {
        match record(lifecycle, id, damage.as_ref(), lease).await {
            Ok(()) => break,
            Err(error) if error.kind() == ErrorKind::Stale && attempts < ATTEMPTS => attempts += 1,
            Err(error) => return Err(error),
        }
    }
    let archive = Archive { cluster: base.value.cluster, epoch: base.value.epoch };
    if let Err(error) = retention::sweep(lifecycle, &repository, archive).await {
        let cluster = archive.cluster;
        tracing::warn!(%cluster, error = error.chain(), "outdated objects of backups not removed");
    }
    Ok(())
}

/// The last segment that restores with a base need, also those to a moment before the first backup of the next base.
/// `None` if the base has no recovery points.
async fn last_segment(
    store: &dyn Store,
    base: &Stored<Base>,
    points: &[Stored<RecoveryPoint>],
) -> Result<Option<String>> {
    let Some(newest) = points.last() else { return Ok(None) };
    let own = points.iter().map(|point| point.value.last_segment.clone()).max();
    let parent = Some(base.value.cluster.to_string());
    let mut query = Query { parent, limit: 1, ..Query::all(Kind::RecoveryPoint) };
    query.after = Some(Position::of(&newest.row, query.order));
    let next = store.list(&query).await?.pop().map(documents::decode::<RecoveryPoint>).transpose()?;
    // Otherwise the WAL does not lead there, and such moments are refused.
    let next = next
        .map(|next| next.value)
        .filter(|next| next.epoch == base.value.epoch && !next.damaged && base.row.ended_at.is_none());
    Ok(own.max(next.map(|next| next.last_segment)))
}

/// The recovery points of a base, oldest first. They follow the base and come before the next one.
async fn points_of(store: &dyn Store, base: &Base) -> Result<Vec<Stored<RecoveryPoint>>> {
    let mut query = Query {
        parent: Some(base.cluster.to_string()),
        after: Some(Position { value: time_key(base.created_at), id: String::new() }),
        limit: PORTION,
        ..Query::all(Kind::RecoveryPoint)
    };
    let mut points = Vec::new();
    loop {
        let rows = store.list(&query).await?;
        let next = next_page(&rows, &query);
        for row in rows {
            let point = documents::decode::<RecoveryPoint>(row)?;
            if point.value.base != base.id {
                return Ok(points);
            }
            points.push(point);
        }
        if next.is_none() {
            return Ok(points);
        }
        query.after = next;
    }
}

/// What is damaged or missing.
#[derive(Debug)]
struct Damage {
    /// The first segment; `None` if it is the base.
    segment: Option<String>,
    reason: Error,
}

impl Damage {
    fn missing(segment: Option<String>) -> Self {
        Self { segment, reason: Error::internal("the object is missing") }
    }

    /// Whether a restore of `point` needs what is damaged.
    fn affects(&self, base: &Base, point: &RecoveryPoint) -> bool {
        let last = point.last_segment.as_str();
        self.segment.as_deref().is_none_or(|first| wal::needs(base, last) && last >= first)
    }
}

/// Reads a base, and its WAL up to the segment `last`. An error means that nothing is known.
async fn inspect(repository: &Repository, base: &Base, last: &str) -> Result<Option<Damage>> {
    let archive = Archive { cluster: base.cluster, epoch: base.epoch };
    // Objects are only missing if the repository can be listed: a bucket that does not exist is not damage.
    if !repository.bases(archive).await?.iter().any(|(id, _)| *id == base.id) {
        return Ok(Some(Damage::missing(None)));
    }
    let mut pace = Pace::new();
    if let Some(reason) = damaged(read_base(repository, archive, &base.id, &mut pace).await)? {
        return Ok(Some(Damage { segment: None, reason }));
    }
    if !wal::needs(base, last) {
        return Ok(None);
    }
    let mut names = repository.segments(archive, wal::bound(base).unwrap_or_default()).await?;
    names.retain(|name| wal::needs(base, name) && name.as_str() <= last);
    // A base of a stopped server does not say with which segment its WAL begins.
    let mut expected = (!base.first_segment.is_empty()).then(|| base.first_segment.clone());
    for name in &names {
        if let Some(missing) = expected.filter(|expected| expected != name) {
            return Ok(Some(Damage::missing(Some(missing))));
        }
        let read = repository.read_segment(archive, name).await;
        let bytes = read.as_ref().map_or(0, Vec::len);
        if let Some(reason) = damaged(read.map(drop))? {
            return Ok(Some(Damage { segment: Some(name.clone()), reason }));
        }
        pace.advance(bytes).await;
        expected = wal::following(name, bytes);
    }
    let complete = names.last().is_some_and(|name| name == last);
    Ok((!complete).then(|| Damage::missing(Some(expected.unwrap_or_else(|| last.to_owned())))))
}

/// Reads a base, and discards its content.
async fn read_base(repository: &Repository, archive: Archive, id: &str, pace: &mut Pace) -> Result<()> {
    let mut content = repository.read_base(archive, id).await?;
    let mut buffer = vec![0; BUFFER];
    loop {
        match content.read(&mut buffer).await {
            Ok(0) => return Ok(()),
            Ok(bytes) => pace.advance(bytes).await,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(Error::internal("the object is damaged").because(error));
            }
            Err(error) => return Err(Error::unavailable("could not read the base").because(error)),
        }
    }
}

/// Why an object that was read is damaged; `None` if it is intact. Other errors say nothing about the object.
fn damaged(read: Result<()>) -> Result<Option<Error>> {
    match read {
        Ok(()) => Ok(None),
        Err(error) if error.kind() == ErrorKind::Internal => Ok(Some(error)),
        Err(error) => Err(error),
    }
}

/// Limits how fast objects are read.
struct Pace {
    began: Instant,
    bytes: u64,
}

impl Pace {
    fn new() -> Self {
        Self { began: Instant::now(), bytes: 0 }
    }

    /// Waits until so many bytes more can have been read.
    async fn advance(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let micros = self.bytes.saturating_mul(1_000_000) / RATE;
        sleep_until(self.began + Duration::from_micros(micros)).await;
    }
}

/// Records the result for a base and all of its recovery points, also for those that were added meanwhile.
async fn record(lifecycle: &Lifecycle, id: &str, damage: Option<&Damage>, lease: &Lease) -> Result<()> {
    let (context, store) = (&lifecycle.context, &*lifecycle.context.store);
    let found = documents::find::<Base>(store, id).await?;
    // The objects of a released base are being removed.
    let Some(base) = found.filter(|base| base.row.due_at.is_none()) else { return Ok(()) };
    // Fails if a recovery point was added, or if the base was released.
    let mut mutations = vec![newest::verified(&base, damage.is_some(), context.now())?];
    let mut lost = Vec::new();
    for point in points_of(store, &base.value).await? {
        let damaged = damage.is_some_and(|damage| damage.affects(&base.value, &point.value));
        if damaged != point.value.damaged {
            let after = RecoveryPoint { damaged, ..point.value };
            mutations.push(documents::update(&point.row, &after)?);
            lost.extend(damaged.then_some(after));
        }
    }
    let batch =
        Batch { mutations, fence: Some(lease.clone()), quiet: true, ..Batch::server("backup verification") };
    store.commit(batch, context.now()).await?;
    lifecycle.backups.count(|counts| match damage {
        None => counts.intact += 1,
        Some(_) => counts.damaged += 1,
    });
    let cluster = base.value.cluster;
    if let (Some(damage), Some(Range { from, until })) = (damage, Range::of(&lost)) {
        let (segment, error) = (damage.segment.as_deref(), damage.reason.chain());
        tracing::error!(%cluster, base = id, segment, %from, %until, error, "backups are damaged");
    } else if let Some(damage) = damage.filter(|_| !base.value.damaged) {
        // Only moments between the last of its backups and the next base need it.
        let (segment, error) = (damage.segment.as_deref(), damage.reason.chain());
        tracing::error!(%cluster, base = id, segment, error, "WAL between two backups is damaged");
    }
    if damage.is_some() || base.value.damaged {
        publish(lifecycle, cluster).await?;
        lifecycle.backups.conditions.save(context, lease).await;
    }
    lifecycle.backups.outdated.add(cluster, damage.is_some());
    Ok(())
}

/// From when to when backups are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    from: Timestamp,
    until: Timestamp,
}

impl Range {
    /// The range of recovery points, oldest first.
    fn of(points: &[RecoveryPoint]) -> Option<Self> {
        let (first, last) = (points.first()?, points.last()?);
        Some(Self { from: first.as_of_time, until: last.unchanged_until })
    }
}

/// Sets the condition of a cluster if it has damaged recovery points, and removes it otherwise.
async fn publish(lifecycle: &Lifecycle, cluster: ClusterId) -> Result<()> {
    let store = &*lifecycle.context.store;
    let active = lifecycle.context.clusters.refresh(store).await?.contains_key(&cluster.to_string());
    let range = if active { damaged_range(store, cluster).await? } else { None };
    lifecycle.backups.conditions.set(cluster, Condition::BACKUP_DAMAGED, range.map(message));
    Ok(())
}

async fn damaged_range(store: &dyn Store, cluster: ClusterId) -> Result<Option<Range>> {
    let query = Query { parent: Some(cluster.to_string()), ..Query::all(Kind::RecoveryPoint) };
    let rows = store.list(&query).await?.into_iter().map(documents::decode::<RecoveryPoint>);
    let points = rows.map(|point| Ok(point?.value)).collect::<Result<Vec<_>>>()?;
    let damaged: Vec<RecoveryPoint> = points.into_iter().filter(|point| point.damaged).collect();
    Ok(Range::of(&damaged))
}

/// The message of the condition.
fn message(Range { from, until }: Range) -> String {
    format!(
        "Backups of this cluster from {from} to {until} are damaged or missing in the repository, and can't be \
         restored. The backups that are listed are not affected. If the newest ones are damaged and backups are \
         enabled, a new one is taken as soon as possible. Check the storage of the repository for errors."
    )
}

#[cfg(test)]
mod tests;
