//! Implements the store over either database. Reads are single statements, and writes are pieces of [`Work`].

use crate::{
    AuditQuery, Batch, Changed, Event, EventRange, Kind, Lease, Query, Row, SampleRow, SampleRows, Store,
    chain::entry,
    events, samples, sql,
    transaction::{Work, WorkResult},
    value::{Columns, Record, Value, row},
};
use async_trait::async_trait;
use ootheca_model::{Error, OrganizationId, Result, Timestamp, audit::AuditEntry};
use std::time::Duration;
use tokio::sync::broadcast;
use uuid::Uuid;

#[async_trait]
pub(crate) trait Backend: Send + Sync + 'static {
    /// A condition that is true if the expression before it is in the JSON array at `?`.
    const ONE_OF: &'static str;

    /// Runs one statement that reads.
    async fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Record>>;
    /// Runs work in a durable transaction, and repeats it after a serialization failure.
    async fn transact(&self, work: Work) -> Result<WorkResult>;
    /// See [`Store::close`].
    async fn close(&self) -> Result<()> {
        Ok(())
    }
    /// Subscribes to hints about changed rows.
    fn changes(&self) -> broadcast::Receiver<Changed>;
    /// See [`Store::stamp`].
    fn stamp(&self, kind: Kind) -> Option<u64>;
}

async fn one<B: Backend>(backend: &B, sql: &str, kind: Kind, key: &str) -> Result<Option<Row>> {
    let records = backend.query(sql, &[kind.into(), key.into()]).await?;
    records.into_iter().next().map(row).transpose()
}

#[async_trait]
impl<B: Backend> Store for B {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Row>> {
        one(self, sql::GET, kind, id).await
    }

    async fn by_unique_key(&self, kind: Kind, key: &str) -> Result<Option<Row>> {
        one(self, sql::BY_UNIQUE_KEY, kind, key).await
    }

    async fn by_alias(&self, kind: Kind, alias: &str) -> Result<Option<Row>> {
        one(self, sql::BY_ALIAS, kind, alias).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Row>> {
        let (sql, params) = sql::list::<B>(query)?;
        self.query(&sql, &params).await?.into_iter().map(row).collect()
    }

    async fn revisions(&self, kind: Kind) -> Result<Vec<(String, i64)>> {
        let records = self.query(sql::REVISIONS, &[kind.into()]).await?.into_iter();
        let pair = |record| {
            let mut columns = Columns::of(record);
            Ok((columns.text()?, columns.int()?))
        };
        records.map(pair).collect()
    }

    async fn due(&self, kind: Kind, now: Timestamp, limit: usize) -> Result<Vec<String>> {
        let records = self.query(sql::DUE, &[kind.into(), now.into(), limit.into()]).await?;
        records.into_iter().map(|record| Columns::of(record).text()).collect()
    }

    async fn next_due(&self, kind: Kind) -> Result<Option<Timestamp>> {
        match self.query(sql::NEXT_DUE, &[kind.into()]).await?.into_iter().next() {
            Some(record) => Ok(Columns::of(record).optional_int()?.map(Timestamp)),
            None => Ok(None),
        }
    }

    async fn commit(&self, batch: Batch, now: Timestamp) -> Result<Vec<AuditEntry>> {
        Ok(self.transact(Work::Commit { batch: Box::new(batch), now }).await?.entries)
    }

    async fn validate(&self, batch: Batch, now: Timestamp) -> Result<()> {
        self.transact(Work::Validate { batch: Box::new(batch), now }).await.map(|_| ())
    }

    async fn complete_audit(&self, id: Uuid, payload: &str, error: Option<&str>) -> Result<()> {
        let owner = self.query(sql::AUDIT_OWNER, &[id.to_string().into()]).await?.pop();
        let owner = Columns::of(owner.ok_or_else(|| Error::not_found("audit entry"))?).text()?;
        let organization = owner
            .parse()
            .map_err(|error| Error::internal("store: invalid organization id").because(error))?;
        let (payload, error) = (payload.to_owned(), error.map(str::to_owned));
        self.transact(Work::CompleteAudit { organization, id, payload, error }).await.map(|_| ())
    }

    async fn events(&self, organization: OrganizationId, after: i64, limit: usize) -> Result<Vec<Event>> {
        let params = [organization.into(), after.into(), limit.into()];
        self.query(sql::EVENTS, &params).await?.into_iter().map(events::event).collect()
    }

    async fn event_range(&self, organization: OrganizationId) -> Result<EventRange> {
        let record = self.query(sql::EVENT_RANGE, &[organization.into()]).await?.pop();
        events::range(record.unwrap_or_default())
    }

    async fn forget_events(&self, before: Timestamp) -> Result<()> {
        self.transact(Work::ForgetEvents { before }).await.map(|_| ())
    }

    async fn samples(&self, wanted: &SampleRows<'_>) -> Result<Vec<SampleRow>> {
        let records = self.query(&sql::samples::<B>(), &wanted.params()?).await?;
        records.into_iter().map(samples::row).collect()
    }

    async fn forget_samples(&self, step_seconds: i64, before: Timestamp) -> Result<()> {
        self.transact(Work::ForgetSamples { step_seconds, before }).await.map(|_| ())
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>> {
        let (sql, start) = if query.descending {
            (sql::AUDIT_DOWN, Timestamp(i64::MAX))
        } else {
            (sql::AUDIT_UP, Timestamp(i64::MIN))
        };
        let start = query.starting_from.unwrap_or(start);
        let params = [query.organization.into(), start.into(), query.limit.into()];
        let records = self.query(sql, &params).await?;
        let full = records.len() >= query.limit;
        let mut entries = records.into_iter().map(entry).collect::<Result<Vec<_>>>()?;
        if let Some(last) = entries.last().map(|entry| entry.created_at).filter(|_| full) {
            // Entries with the same timestamp are always on the same page, however many there are.
            entries.retain(|entry| entry.created_at != last);
            let records = self.query(sql::AUDIT_AT, &[query.organization.into(), last.into()]).await?;
            entries.extend(records.into_iter().map(entry).collect::<Result<Vec<_>>>()?);
        }
        Ok(entries)
    }

    async fn lease(
        &self,
        name: &str,
        holder: &str,
        renew: Option<i64>,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Lease>> {
        let work = Work::Lease { name: name.to_owned(), holder: holder.to_owned(), renew, ttl, now };
        Ok(self.transact(work).await?.lease)
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        self.transact(Work::Release(lease.clone())).await.map(|_| ())
    }

    async fn close(&self) -> Result<()> {
        Backend::close(self).await
    }

    fn changes(&self) -> broadcast::Receiver<Changed> {
        Backend::changes(self)
    }

    fn stamp(&self, kind: Kind) -> Option<u64> {
        Backend::stamp(self, kind)
    }
}
