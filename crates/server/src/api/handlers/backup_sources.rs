//! Finds the clusters that backups were taken of, their backups, and the moments between them, for the handlers of
//! backups, restores, and clones.

use crate::{
    api::{call::Call, hierarchy},
    documents::{self, Stored, time_key},
};
use ootheca_api::page::LIMIT;
use ootheca_model::{
    Cluster, ClusterId, Error, ErrorKind, Resource, Result, Timestamp,
    backup::{Backup, BackupId, Base, PointInTime, RecoveryPoint},
    identity::{Requirement, Target, authorize},
};
use ootheca_store::{Kind, Order, Position, Query, Store};
use std::{ops::Range, sync::Arc};

/// A backup and the recovery point that it belongs to.
pub(super) type Found = (Backup, Arc<Stored<RecoveryPoint>>);

/// A cluster in any state, whose data or backups a request names.
pub(super) type Source = Arc<Stored<Cluster>>;

/// The cluster with this ID in any state, if the caller meets `requirement` on it. `None` if it doesn't exist, or if the
/// caller has no access to it.
async fn source(call: &Call, requirement: Requirement, id: ClusterId) -> Result<Option<Source>> {
    let principal = call.granted.principal();
    let folders = hierarchy::folders(&call.context, principal, Resource::Cluster(id)).await?;
    match authorize(principal, requirement, Target::Cluster(id, folders)) {
        Ok(_) => cluster(call, id).await,
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same for an ID in a request. A malformed one is the same as an unknown one.
pub(super) async fn named(call: &Call, requirement: Requirement, id: &str) -> Result<Option<Source>> {
    match id.parse() {
        Ok(id) => source(call, requirement, id).await,
        Err(_) => Ok(None),
    }
}

/// The source that a request names. Empty IDs are the same as absent ones.
pub(super) async fn named_source(
    call: &Call,
    requirement: Requirement,
    id: Option<String>,
) -> Result<Option<Source>> {
    let Some(id) = given(id) else { return Ok(None) };
    let found = named(call, requirement, &id).await?;
    found.ok_or_else(|| Error::not_found("source cluster")).map(Some)
}

/// The ID that a request contains, unless it is empty.
pub(super) fn given(id: Option<String>) -> Option<String> {
    id.filter(|id| !id.is_empty())
}

/// The cluster with this ID in any state, if it belongs to the organization.
pub(super) async fn cluster(call: &Call, id: ClusterId) -> Result<Option<Source>> {
    let found = call.context.find::<Cluster>(&id.to_string()).await?;
    Ok(found.filter(|found| found.row.organization == call.granted.organization()))
}

/// The cluster of the organization that a backup was taken of, according to the backup's ID.
async fn owner(call: &Call, backup: BackupId) -> Result<Option<ClusterId>> {
    let (context, organization) = (&call.context, call.granted.organization());
    if backup.time() > context.now() {
        return Ok(None);
    }
    let active = context.clusters.refresh(&*context.store).await?;
    let own = active.values().filter(|cluster| cluster.row.organization == organization);
    let mut ids = own.map(|cluster| cluster.value.id);
    if let Some(id) = ids.find(|id| backup.may_be_of(*id)) {
        return Ok(Some(id));
    }
    // Ignores clusters that were deleted before the backup was taken.
    let mut query = Query {
        organization: Some(organization),
        order: Order::EndedAt,
        descending: true,
        limit: LIMIT,
        ..Query::all(Kind::Cluster)
    };
    loop {
        let rows = context.store.list(&query).await?;
        let mut ids = rows.iter().filter_map(|row| row.id.parse::<ClusterId>().ok());
        if let Some(id) = ids.find(|id| backup.may_be_of(*id)) {
            return Ok(Some(id));
        }
        let last = rows.last().filter(|_| rows.len() == query.limit);
        let last = last.filter(|row| row.ended_at.unwrap_or(row.created_at) >= backup.time());
        let Some(last) = last else { return Ok(None) };
        query.after = Some(Position::of(last, query.order));
    }
}

/// The source and the backup that a request names in `field`, and the source in `source_cluster_id`, which can be absent.
pub(super) async fn named_backup(
    call: &Call,
    requirement: Requirement,
    field: &str,
    id: &str,
    source: Option<Source>,
) -> Result<(Source, Found)> {
    let unknown = || Error::not_found("backup");
    let id: BackupId = id.parse().map_err(|_| unknown())?;
    let source = match source {
        Some(source) if id.may_be_of(source.value.id) => source,
        Some(_) => return Err(Error::invalid(field, "must be the ID of a backup of source_cluster_id")),
        None => {
            let owner = owner(call, id).await?.ok_or_else(unknown)?;
            self::source(call, requirement, owner).await?.ok_or_else(unknown)?
        }
    };
    let context = &call.context;
    let found = backup(&*context.store, source.value.id, id, context.now()).await?;
    Ok((source, found.ok_or_else(unknown)?))
}

/// The backup of the cluster with this ID, if it is neither expired nor damaged.
async fn backup(
    store: &dyn Store,
    cluster: ClusterId,
    id: BackupId,
    now: Timestamp,
) -> Result<Option<Found>> {
    let time = id.time();
    let wanted = Wanted { times: time..Timestamp(time.0 + 1), descending: true, limit: 1 };
    let found = backups(store, cluster, &wanted, now).await?;
    Ok(found.into_iter().find(|(backup, _)| backup.id == id))
}

/// Which backups of a cluster to read.
pub(super) struct Wanted {
    /// Their times.
    pub(super) times: Range<Timestamp>,
    /// Whether the newest ones come first.
    pub(super) descending: bool,
    /// The maximum number, at least 1.
    pub(super) limit: usize,
}

/// The backups of a cluster that are neither expired nor damaged. Reads only as many recovery points as necessary,
/// because each can stand for many backups.
pub(super) async fn backups(
    store: &dyn Store,
    cluster: ClusterId,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Vec<Found>> {
    let Wanted { times, descending, limit } = wanted;
    let (descending, limit) = (*descending, *limit);
    let parent = Some(cluster.to_string());
    let before = |time| Some(Position { value: time_key(time), id: String::new() });
    let mut query = Query { parent, limit: limit.min(LIMIT), ..Query::all(Kind::RecoveryPoint) };
    query.descending = descending;
    query.after = before(if descending { times.end } else { times.start });
    if !descending {
        // A recovery point from before the start can have backups after it.
        let first = Query { descending: true, limit: 1, ..query.clone() };
        let earlier = store.list(&first).await?.pop();
        query.after = earlier.map(|row| Position { value: row.sort_key, id: String::new() }).or(query.after);
    }
    let mut found = Vec::new();
    loop {
        let rows = store.list(&query).await?;
        let last = rows.len() < query.limit;
        query.after = rows.last().map(|row| Position::of(row, query.order));
        for row in rows {
            let point = Arc::new(documents::decode::<RecoveryPoint>(row)?);
            let passed = match descending {
                true => point.value.unchanged_until < times.start,
                false => point.value.as_of_time >= times.end,
            };
            if passed {
                return Ok(found);
            }
            let some = part(&point.value, times, descending, limit - found.len(), now);
            found.extend(some.into_iter().map(|backup| (backup, point.clone())));
            if found.len() == limit {
                return Ok(found);
            }
        }
        if last {
            return Ok(found);
        }
    }
}

/// The first `limit` backups of a recovery point in `times`; none if it is damaged.
fn part(
    point: &RecoveryPoint,
    times: &Range<Timestamp>,
    descending: bool,
    limit: usize,
    now: Timestamp,
) -> Vec<Backup> {
    let backups = point.backups(now).filter(|backup| !point.damaged && times.contains(&backup.as_of_time));
    if descending { backups.rev().take(limit).collect() } else { backups.take(limit).collect() }
}

/// What a restore begins with, and where it ends.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) backup: Backup,
    /// The recovery point that it belongs to.
    pub(super) point: Arc<Stored<RecoveryPoint>>,
    pub(super) base: Stored<Base>,
    /// The moment after the backup; `None` for the backup itself.
    pub(super) point_in_time: Option<PointInTime>,
}

impl Moment {
    /// The moment of a backup.
    pub(super) async fn of(store: &dyn Store, (backup, point): Found) -> Result<Self> {
        let base = base(store, &point.value).await?;
        Ok(Self { backup, point, base, point_in_time: None })
    }
}

/// The retention removes a base after its recovery points.
async fn base(store: &dyn Store, point: &RecoveryPoint) -> Result<Stored<Base>> {
    documents::find(store, &point.base).await?.ok_or_else(|| Error::not_found("backup"))
}

/// The moment `time` of a cluster, which `field` of the request contains. It begins with the last backup until then.
pub(super) async fn moment(
    store: &dyn Store,
    cluster: ClusterId,
    field: &str,
    time: Timestamp,
    now: Timestamp,
) -> Result<Moment> {
    let first = |until, descending| async move {
        let wanted = Wanted { times: Timestamp(i64::MIN)..until, descending, limit: 1 };
        Ok::<_, Error>(backups(store, cluster, &wanted, now).await?.pop())
    };
    let end = Timestamp(i64::MAX);
    let (Some((oldest, _)), Some((_, newest))) = (first(end, false).await?, first(end, true).await?) else {
        return Err(Error::precondition("the source cluster has no backup"));
    };
    let (oldest, newest) = (oldest.as_of_time, newest.value.unchanged_until);
    if !(oldest..=newest).contains(&time) {
        let rule =
            format!("must be between {oldest} and {newest}, the times of the oldest and the newest backup");
        return Err(Error::invalid(field, rule));
    }
    let last = first(Timestamp(time.0.saturating_add(1)), true).await?;
    let (backup, point) = last.ok_or_else(changed)?;
    let base = base(store, &point.value).await?;
    // The recovery point can contain what was committed shortly after its time.
    let last_segment = match time <= point.value.unchanged_until {
        true => point.value.last_segment.clone(),
        false => segment_after(store, &point, &base, time).await?,
    };
    // A base without a first segment contains everything up to its last one.
    let is_enough = base.value.first_segment.is_empty() && last_segment <= base.value.last_segment;
    let last_segment = if is_enough { String::new() } else { last_segment };
    Ok(Moment { backup, point, base, point_in_time: Some(PointInTime { time, last_segment }) })
}

/// The last WAL segment that is replayed for a moment after a recovery point: that of the next recovery point that is not
/// before the moment. `Precondition` if the WAL does not lead there.
async fn segment_after(
    store: &dyn Store,
    point: &Stored<RecoveryPoint>,
    base: &Stored<Base>,
    time: Timestamp,
) -> Result<String> {
    let parent = Some(point.value.cluster.to_string());
    let mut query = Query { parent, limit: LIMIT, ..Query::all(Kind::RecoveryPoint) };
    query.after = Some(Position::of(&point.row, query.order));
    let (mut before, mut base) = (point.value.clone(), base.clone());
    loop {
        let rows = store.list(&query).await?;
        let last = rows.len() < query.limit;
        query.after = rows.last().map(|row| Position::of(row, query.order));
        for row in rows {
            let next = documents::decode::<RecoveryPoint>(row)?.value;
            check_follows(&before, &base, &next, time)?;
            if next.unchanged_until >= time {
                return Ok(next.last_segment);
            }
            if next.base != base.value.id {
                base = self::base(store, &next).await?;
            }
            before = next;
        }
        if last {
            return Err(changed());
        }
    }
}

/// Checks that the WAL leads from a recovery point, which has this base, to the next one.
fn check_follows(
    before: &RecoveryPoint,
    base: &Stored<Base>,
    next: &RecoveryPoint,
    time: Timestamp,
) -> Result<()> {
    let (from, to) = (before.unchanged_until, next.as_of_time);
    let reason = if next.epoch != before.epoch {
        format!("the data of the source cluster was replaced between {from} and {to}")
    } else if next.damaged {
        format!("the backup of {to} is damaged")
    } else if next.base != base.value.id && base.row.ended_at.is_some() {
        // The chain of the base was ended, so some WAL was never stored.
        format!("the write-ahead log between the backups of {from} and {to} is incomplete")
    } else {
        return Ok(());
    };
    Err(Error::precondition(format!("the data can't be restored to {time}: {reason}")))
}

fn changed() -> Error {
    Error::new(ErrorKind::Stale, "the backups of the source cluster were changed concurrently")
}

#[cfg(test)]
mod tests;
