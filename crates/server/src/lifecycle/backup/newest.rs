//! The newest recovery point of a cluster, and the base that the next one can continue.

use super::wal;
use crate::documents::{self, Document, Stored};
use ootheca_model::{
    ClusterId, Result, Timestamp,
    backup::{Base, RecoveryPoint},
};
use ootheca_store::{Mutation, Query, Row, Store};

/// What the next backup of a cluster depends on. The rows are without their documents.
#[derive(Clone, Debug, Default)]
pub(super) struct Newest {
    /// The newest recovery point of any data epoch.
    pub(super) point: Option<Stored<RecoveryPoint>>,
    /// The newest base, if more WAL can follow it.
    pub(super) base: Option<Stored<Base>>,
    /// The bytes of WAL since the base, as far as they were stored ahead of recovery points, or since this was read.
    pub(super) wal_bytes: u64,
}

impl Newest {
    /// Reads what is in the store.
    pub(super) async fn read(store: &dyn Store, cluster: ClusterId) -> Result<Self> {
        let point = last::<RecoveryPoint>(store, cluster).await?;
        let base = last::<Base>(store, cluster).await?;
        let base = base.filter(|base| base.row.ended_at.is_none() && base.row.due_at.is_none());
        let wal_bytes = base.as_ref().map_or(0, |base| base.value.wal_bytes);
        Ok(Self { point, base, wal_bytes })
    }

    /// The newest recovery point of a data epoch.
    pub(super) fn point_of(&self, epoch: u64) -> Option<&Stored<RecoveryPoint>> {
        self.point.as_ref().filter(|point| point.value.epoch == epoch)
    }

    /// The base of a data epoch that the next recovery point can continue.
    pub(super) fn base_of(&self, epoch: u64) -> Option<&Stored<Base>> {
        self.base.as_ref().filter(|base| base.value.epoch == epoch)
    }

    /// The last segment that the newest recovery point of a data epoch needs.
    pub(super) fn last_segment(&self, epoch: u64) -> &str {
        self.point_of(epoch).map_or("", |point| &point.value.last_segment)
    }

    /// The last segment of a data epoch that was stored, also ahead of the next recovery point.
    pub(super) fn stored_segment(&self, epoch: u64) -> &str {
        let ahead = self.base_of(epoch).map_or("", |base| &base.value.stored_segment);
        self.last_segment(epoch).max(ahead)
    }

    /// The time that every later recovery point is after.
    pub(super) fn unchanged_until(&self) -> Option<Timestamp> {
        self.point.as_ref().map(|point| point.value.unchanged_until)
    }

    /// Whether the chain of WAL of the base becomes too long with so many segments more.
    pub(super) fn is_too_long(&self, segments: usize) -> bool {
        let base = self.base.as_ref().map(|base| &base.value);
        self.wal_bytes.saturating_add(wal::bytes_of(segments)) > wal::limit(base)
    }
}

/// The newest document of a kind below a cluster. Its row is without the document.
pub(super) async fn last<T: Document>(store: &dyn Store, cluster: ClusterId) -> Result<Option<Stored<T>>> {
    let parent = Some(cluster.to_string());
    let query = Query { parent, descending: true, limit: 1, ..Query::all(T::KIND) };
    let found = store.list(&query).await?.pop().map(documents::decode::<T>).transpose()?;
    let Some(Stored { row, value }) = found else { return Ok(None) };
    Ok(Some(Stored { row: Row { document: String::new(), ..row }, value }))
}

/// A document that was inserted just now.
pub(super) fn inserted<T: Document>(value: T) -> Stored<T> {
    Stored { row: Row { revision: 1, ..value.columns() }, value }
}

/// Ends the chain of a base: no more WAL follows it.
pub(super) fn end(base: &Stored<Base>, now: Timestamp) -> Result<Mutation> {
    with_columns(base, |row| Row { ended_at: Some(now), ..row })
}

/// Lets a base be removed, because no recovery point needs it any more.
pub(super) fn release(base: &Stored<Base>, now: Timestamp) -> Result<Mutation> {
    let ended_at = base.row.ended_at;
    with_columns(base, |row| Row { due_at: Some(now), ended_at, ..row })
}

/// Records that WAL up to the segment `last` was stored ahead of the next recovery point.
pub(super) fn stored_ahead(base: &Stored<Base>, last: &str, bytes: u64) -> Result<Mutation> {
    let wal_bytes = base.value.wal_bytes.saturating_add(bytes);
    let value = Base { stored_segment: last.to_owned(), wal_bytes, ..base.value.clone() };
    let (due_at, ended_at) = (base.row.due_at, base.row.ended_at);
    with_columns(&Stored { row: base.row.clone(), value }, |row| Row { due_at, ended_at, ..row })
}

/// Records that a base was verified. If something is damaged, its chain ends.
pub(super) fn verified(base: &Stored<Base>, damaged: bool, now: Timestamp) -> Result<Mutation> {
    let value = Base { verified_at: Some(now), damaged, ..base.value.clone() };
    let (due_at, ended_at) = (base.row.due_at, base.row.ended_at.or(damaged.then_some(now)));
    with_columns(&Stored { row: base.row.clone(), value }, |row| Row { due_at, ended_at, ..row })
}

fn with_columns(base: &Stored<Base>, change: impl FnOnce(Row) -> Row) -> Result<Mutation> {
    Ok(match documents::update(&base.row, &base.value)? {
        Mutation::Update(row) => Mutation::Update(change(row)),
        other => other,
    })
}
