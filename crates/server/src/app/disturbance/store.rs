//! A store whose reads can be stale, and whose answers can be lost.

use super::{
    laws,
    past::{Key, Listed, Past},
    schedule::{STALE, Schedule, TWICE, lost, short},
};
use async_trait::async_trait;
use ootheca_model::{OrganizationId, Result, Timestamp, audit::AuditEntry};
use ootheca_store::{
    AuditQuery, Batch, Changed, Event, EventRange, Kind, Lease, Mutation, Query, Row, SampleRow, SampleRows,
    Store,
};
use std::{
    array,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};
use tokio::sync::broadcast;
use uuid::Uuid;

/// A store whose reads can be stale, and whose answers can be lost. Its writes are complete when they return
/// for the first time, so that a run does not depend on the thread of the store.
pub(super) struct DisturbedStore {
    pub(super) inner: Arc<dyn Store>,
    pub(super) past: Arc<Past>,
    /// `None` for a part of the program that is not disturbed.
    pub(super) disturbed: Option<Arc<Schedule>>,
    /// Where violated laws are recorded.
    pub(super) laws: Arc<Schedule>,
    /// Whether there are stamps, as with one server.
    pub(super) stamps: bool,
    /// The number of stale reads of each kind. A stale read is one that was overtaken by a change, so the stamp
    /// is another one after it.
    pub(super) overtaken: [AtomicU64; Kind::ALL.len()],
    /// A fault of the loops: changes are written whatever the row is now.
    pub(super) blind: bool,
}

impl DisturbedStore {
    pub(super) fn new(inner: Arc<dyn Store>, past: Arc<Past>, laws: Arc<Schedule>, stamps: bool) -> Self {
        let overtaken = array::from_fn(|_| AtomicU64::new(0));
        Self { inner, past, disturbed: None, laws, stamps, overtaken, blind: false }
    }

    async fn before_read(&self, what: &str, subject: &str) -> Result<()> {
        let Some(schedule) = &self.disturbed else { return Ok(()) };
        schedule.pause().await;
        schedule.failure(what, subject).map_or(Ok(()), Err)
    }

    /// Notes that a read of `kind` is stale.
    fn overtake(&self, schedule: &Schedule, kind: Kind, subject: &str) {
        schedule.note(format!("read {kind:?} {subject}: stale"));
        self.overtaken[kind as usize].fetch_add(1, Ordering::SeqCst);
    }

    /// An earlier result of the query instead of `now`, if this read is stale.
    fn listed(&self, kind: Kind, query: String, now: Listed) -> Listed {
        let Some(schedule) = &self.disturbed else { return now };
        let earlier = self.past.list(query, &now, schedule);
        match earlier.filter(|_| schedule.happens(STALE)) {
            Some(earlier) if earlier != now => {
                self.overtake(schedule, kind, "list");
                earlier
            }
            _ => now,
        }
    }

    /// The rows that a batch changes.
    async fn changed(&self, batch: &Batch) -> Result<Vec<Key>> {
        let mut keys = Vec::new();
        for change in &batch.mutations {
            match change {
                Mutation::Insert(row) | Mutation::Update(row) => keys.push((row.kind, row.id.clone())),
                Mutation::Delete { kind, id, .. } | Mutation::Touch { kind, id, .. } => {
                    keys.push((*kind, id.clone()));
                }
                Mutation::DeleteChildren { kind, parent } => {
                    let query = Query { parent: Some(parent.clone()), ..Query::all(*kind) };
                    let rows = self.inner.list(&query).await?;
                    keys.extend(rows.into_iter().map(|row| (*kind, row.id)));
                }
                Mutation::KeepSamples(_) | Mutation::ForgetSamples { .. } => {}
            }
        }
        Ok(keys)
    }

    async fn rows(&self, keys: &[Key]) -> Result<Vec<Option<Row>>> {
        let mut rows = Vec::new();
        for (kind, id) in keys {
            rows.push(self.inner.get(*kind, id).await?);
        }
        Ok(rows)
    }

    /// Commits, and checks the laws for every row that has changed.
    async fn apply(&self, mut batch: Batch, now: Timestamp) -> Result<Vec<AuditEntry>> {
        let keys = self.changed(&batch).await?;
        let before = self.rows(&keys).await?;
        if self.blind {
            for change in &mut batch.mutations {
                if let Mutation::Update(row) = change
                    && let Some(current) = self.inner.get(row.kind, &row.id).await?
                {
                    row.revision = current.revision;
                }
            }
        }
        let entries = wait(self.inner.commit(batch, now))?;
        let after = self.rows(&keys).await?;
        for ((key, before), after) in keys.into_iter().zip(before).zip(after) {
            if before != after {
                laws::check(&self.laws, key.0, before.as_ref(), after.as_ref());
                self.past.superseded(key, before);
            }
        }
        Ok(entries)
    }
}

/// Runs a future to its end on this thread.
fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    // The budget of the task does not count, because the task cannot yield here.
    let mut future = pin!(tokio::task::unconstrained(future));
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// What a batch changes, for the trace.
fn summary(batch: &Batch) -> String {
    let of = |change: &Mutation| match change {
        Mutation::Insert(row) => format!("+{:?} {}", row.kind, short(&row.id)),
        Mutation::Update(row) => format!("{:?} {} after {}", row.kind, short(&row.id), row.revision),
        Mutation::Delete { kind, id, .. } => format!("-{kind:?} {}", short(id)),
        Mutation::Touch { kind, id, .. } => format!("touch {kind:?} {}", short(id)),
        Mutation::DeleteChildren { kind, parent } => format!("-{kind:?} of {}", short(parent)),
        Mutation::KeepSamples(row) => format!("samples {}", short(row.cluster)),
        Mutation::ForgetSamples { cluster } => format!("-samples {}", short(cluster)),
    };
    batch.mutations.iter().map(of).collect::<Vec<_>>().join(", ")
}

/// Whether a batch can be applied twice without a difference.
fn is_idempotent(batch: &Batch) -> bool {
    batch.mutations.iter().all(|change| matches!(change, Mutation::KeepSamples(_)))
}

#[async_trait]
impl Store for DisturbedStore {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Row>> {
        self.before_read("read", &format!("{kind:?} {}", short(id))).await?;
        let now = self.inner.get(kind, id).await?;
        let Some(schedule) = &self.disturbed else { return Ok(now) };
        if schedule.happens(STALE)
            && let Some(earlier) = self.past.row(kind, id, now.as_ref(), schedule)
        {
            self.overtake(schedule, kind, &short(id));
            return Ok(earlier);
        }
        Ok(now)
    }

    async fn by_unique_key(&self, kind: Kind, key: &str) -> Result<Option<Row>> {
        self.inner.by_unique_key(kind, key).await
    }

    async fn by_alias(&self, kind: Kind, alias: &str) -> Result<Option<Row>> {
        self.inner.by_alias(kind, alias).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Row>> {
        self.before_read("list", &format!("{:?}", query.kind)).await?;
        let now = Listed::Rows(self.inner.list(query).await?);
        match self.listed(query.kind, format!("{query:?}"), now) {
            Listed::Rows(rows) => Ok(rows),
            _ => Err(lost("list")),
        }
    }

    async fn revisions(&self, kind: Kind) -> Result<Vec<(String, i64)>> {
        self.before_read("revisions", &format!("{kind:?}")).await?;
        let now = Listed::Revisions(self.inner.revisions(kind).await?);
        match self.listed(kind, format!("revisions {kind:?}"), now) {
            Listed::Revisions(revisions) => Ok(revisions),
            _ => Err(lost("revisions")),
        }
    }

    async fn due(&self, kind: Kind, now: Timestamp, limit: usize) -> Result<Vec<String>> {
        self.before_read("due", &format!("{kind:?}")).await?;
        let found = Listed::Ids(self.inner.due(kind, now, limit).await?);
        match self.listed(kind, format!("due {kind:?}"), found) {
            Listed::Ids(ids) => Ok(ids),
            _ => Err(lost("due")),
        }
    }

    async fn next_due(&self, kind: Kind) -> Result<Option<Timestamp>> {
        self.inner.next_due(kind).await
    }

    async fn commit(&self, batch: Batch, now: Timestamp) -> Result<Vec<AuditEntry>> {
        let Some(schedule) = &self.disturbed else { return self.apply(batch, now).await };
        let summary = summary(&batch);
        schedule.pause().await;
        if let Some(error) = schedule.failure("commit", &summary) {
            return Err(error);
        }
        let result = self.apply(batch.clone(), now).await;
        let outcome =
            result.as_ref().map_or_else(|error| format!("{:?}", error.kind()), |_| "done".to_owned());
        schedule.note(format!("commit {summary}: {outcome}"));
        if result.is_ok() && schedule.happens(TWICE) && !is_idempotent(&batch) {
            schedule.note(format!("commit {summary}: again"));
            if self.apply(batch, now).await.is_ok() {
                schedule.violated("a batch was applied twice".to_owned());
            }
        }
        schedule.pause().await;
        match schedule.failure("response to commit", &summary) {
            Some(error) => Err(error),
            None => result,
        }
    }

    async fn validate(&self, batch: Batch, now: Timestamp) -> Result<()> {
        wait(self.inner.validate(batch, now))
    }

    async fn complete_audit(&self, id: Uuid, payload: &str, error: Option<&str>) -> Result<()> {
        wait(self.inner.complete_audit(id, payload, error))
    }

    async fn events(&self, organization: OrganizationId, after: i64, limit: usize) -> Result<Vec<Event>> {
        self.inner.events(organization, after, limit).await
    }

    async fn event_range(&self, organization: OrganizationId) -> Result<EventRange> {
        self.inner.event_range(organization).await
    }

    async fn forget_events(&self, before: Timestamp) -> Result<()> {
        wait(self.inner.forget_events(before))
    }

    async fn samples(&self, wanted: &SampleRows<'_>) -> Result<Vec<SampleRow>> {
        self.before_read("samples", "").await?;
        self.inner.samples(wanted).await
    }

    async fn forget_samples(&self, step_seconds: i64, before: Timestamp) -> Result<()> {
        wait(self.inner.forget_samples(step_seconds, before))
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>> {
        self.inner.audit(query).await
    }

    async fn lease(
        &self,
        name: &str,
        holder: &str,
        renew: Option<i64>,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Lease>> {
        self.before_read("lease", name).await?;
        let lease = wait(self.inner.lease(name, holder, renew, ttl, now))?;
        let failure =
            self.disturbed.as_ref().and_then(|schedule| schedule.failure("response to lease", name));
        failure.map_or(Ok(lease), Err)
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        wait(self.inner.release(lease))
    }

    async fn close(&self) -> Result<()> {
        wait(self.inner.close())
    }

    fn changes(&self) -> broadcast::Receiver<Changed> {
        self.inner.changes()
    }

    fn stamp(&self, kind: Kind) -> Option<u64> {
        let stale = self.overtaken[kind as usize].load(Ordering::SeqCst);
        self.inner.stamp(kind).filter(|_| self.stamps).map(|stamp| stamp + stale)
    }
}
