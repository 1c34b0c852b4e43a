//! The work inside a transaction, which is the same for both databases.

use crate::{
    Authority, Batch, Changed, Kind, Lease, Mutation, Row, SampleRow, chain,
    events::{PendingEvents, What},
    samples, sql,
    value::{Columns, Record, Value, values},
};
use ootheca_model::{Error, ErrorKind, OrganizationId, Result, Timestamp, audit::AuditEntry};
use std::{future::Future, time::Duration};
use uuid::Uuid;

/// The reason why a statement failed.
#[derive(Debug)]
pub(crate) enum StatementError {
    /// A unique key is already in use.
    UniqueViolation,
    /// A serialization failure. The same work may succeed when it is repeated.
    SerializationFailure(String),
    /// Another error.
    Other(Error),
}

impl From<Error> for StatementError {
    fn from(error: Error) -> Self {
        StatementError::Other(error)
    }
}

/// An open transaction.
pub(crate) trait SqlTransaction: Send {
    /// Runs a statement. Returns the number of changed rows.
    fn execute(
        &mut self,
        sql: &str,
        params: &[Value],
    ) -> impl Future<Output = Result<u64, StatementError>> + Send;
    /// Runs a statement. Returns its rows.
    fn query(
        &mut self,
        sql: &str,
        params: &[Value],
    ) -> impl Future<Output = Result<Vec<Record>, StatementError>> + Send;
}

/// Work that runs in one transaction. It is data, so that it can be repeated.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    Commit {
        batch: Box<Batch>,
        now: Timestamp,
    },
    /// A commit that is rolled back.
    Validate {
        batch: Box<Batch>,
        now: Timestamp,
    },
    CompleteAudit {
        organization: OrganizationId,
        id: Uuid,
        payload: String,
        error: Option<String>,
    },
    Lease {
        name: String,
        holder: String,
        renew: Option<i64>,
        ttl: Duration,
        now: Timestamp,
    },
    Release(Lease),
    ForgetEvents {
        before: Timestamp,
    },
    ForgetSamples {
        step_seconds: i64,
        before: Timestamp,
    },
}

impl Work {
    /// The organizations to whose numbered logs the work appends.
    pub(crate) fn organizations(&self) -> Vec<OrganizationId> {
        match self {
            Work::Commit { batch, .. } | Work::Validate { batch, .. } => {
                let told = batch.mutations.iter().filter_map(|change| match change {
                    Mutation::Insert(row) | Mutation::Update(row) if row.kind.is_announced() => {
                        Some(row.organization)
                    }
                    _ => None,
                });
                batch.audit.iter().map(|entry| entry.organization).chain(told).collect()
            }
            Work::CompleteAudit { organization, .. } => vec![*organization],
            Work::Lease { .. }
            | Work::Release(_)
            | Work::ForgetEvents { .. }
            | Work::ForgetSamples { .. } => Vec::new(),
        }
    }

    /// Whether the transaction is committed if the work succeeds. Otherwise it is always rolled back.
    pub(crate) fn commits(&self) -> bool {
        !matches!(self, Work::Validate { .. })
    }
}

/// The result of a piece of work.
#[derive(Debug, Default)]
pub(crate) struct WorkResult {
    /// The audit entries of a commit, as written.
    pub(crate) entries: Vec<AuditEntry>,
    /// The lease, if it was granted.
    pub(crate) lease: Option<Lease>,
    /// Hints to send once the transaction is durable.
    pub(crate) hints: Vec<Changed>,
    /// Kinds of rows of which only the revision changed, which produces no hints.
    pub(crate) touched: Vec<Kind>,
}

/// Runs the work. The caller commits if it succeeds and [`Work::commits`], and rolls back otherwise.
pub(crate) async fn run<S: SqlTransaction>(
    session: &mut S,
    work: &Work,
) -> Result<WorkResult, StatementError> {
    match work {
        Work::Commit { batch, now } => commit(session, batch, *now).await,
        Work::Validate { batch, now } => commit(session, batch, *now).await.map(|_| WorkResult::default()),
        Work::CompleteAudit { id, payload, error, .. } => {
            chain::complete(session, *id, payload, error.clone()).await?;
            Ok(WorkResult::default())
        }
        Work::Lease { name, holder, renew, ttl, now } => {
            let lease = lease(session, name, holder, *renew, now.after(*ttl), *now).await?;
            Ok(WorkResult { lease, ..WorkResult::default() })
        }
        Work::Release(lease) => {
            let params = [lease.name.as_str().into(), lease.holder.as_str().into(), lease.fence.into()];
            session.execute(sql::LEASE_RELEASE, &params).await?;
            Ok(WorkResult::default())
        }
        Work::ForgetEvents { before } => {
            session.execute(sql::EVENTS_FORGET, &[(*before).into()]).await?;
            Ok(WorkResult::default())
        }
        Work::ForgetSamples { step_seconds, before } => {
            session.execute(sql::SAMPLES_FORGET, &[(*step_seconds).into(), (*before).into()]).await?;
            Ok(WorkResult::default())
        }
    }
}

async fn commit<S: SqlTransaction>(
    session: &mut S,
    batch: &Batch,
    now: Timestamp,
) -> Result<WorkResult, StatementError> {
    if let Some(lease) = &batch.fence {
        check_fence(session, lease).await?;
    }
    let mut done = WorkResult::default();
    let mut drafts = PendingEvents::default();
    for change in &batch.mutations {
        check_authority(session, &batch.authority, change).await?;
        apply(session, &batch.authority, change, &mut done, &mut drafts).await?;
    }
    if !batch.quiet {
        drafts.append(session, batch, now).await?;
    }
    done.entries = chain::append(session, &batch.audit, now).await?;
    Ok(done)
}

async fn apply<S: SqlTransaction>(
    session: &mut S,
    authority: &Authority,
    change: &Mutation,
    done: &mut WorkResult,
    drafts: &mut PendingEvents,
) -> Result<(), StatementError> {
    match change {
        Mutation::Insert(row) => {
            session
                .execute(sql::INSERT, &values(row, 1))
                .await
                .map_err(|failure| taken(row.kind, failure))?;
            done.hints.push(Changed { kind: row.kind, id: row.id.clone(), parent: row.parent.clone() });
            drafts.row(row, What::Created);
        }
        Mutation::Update(row) => {
            if let Some(what) = update_event(session, row).await? {
                drafts.row(row, what);
            }
            let changed = session.execute(sql::UPDATE, &values(row, row.revision)).await;
            match changed.map_err(|failure| taken(row.kind, failure))? {
                0 => return Err(stale(row.kind, &row.id)),
                _ => done.hints.push(Changed {
                    kind: row.kind,
                    id: row.id.clone(),
                    parent: row.parent.clone(),
                }),
            }
        }
        Mutation::Delete { kind, id, revision } => {
            let params = [(*kind).into(), id.as_str().into(), (*revision).into()];
            let deleted = session.query(sql::DELETE, &params).await?.into_iter().next();
            let mut columns = Columns::of(deleted.ok_or_else(|| stale(*kind, id))?);
            let (parent, owner) = (columns.text()?, organization(&columns.text()?)?);
            // An ended row has already produced an event when it ended.
            if columns.optional_int()?.is_none() {
                drafts.add(owner, *kind, id, &parent, What::Deleted);
            }
            done.hints.push(Changed { kind: *kind, id: id.clone(), parent });
        }
        Mutation::DeleteChildren { kind, parent } => {
            for deleted in
                session.query(sql::DELETE_CHILDREN, &[(*kind).into(), parent.as_str().into()]).await?
            {
                let mut columns = Columns::of(deleted);
                let (id, owner) = (columns.text()?, organization(&columns.text()?)?);
                check_owner(authority, Some(owner))?;
                if columns.optional_int()?.is_none() {
                    drafts.add(owner, *kind, &id, parent, What::Deleted);
                }
                done.hints.push(Changed { kind: *kind, id, parent: parent.clone() });
            }
        }
        Mutation::Touch { kind, id, revision } => {
            let params = [(*kind).into(), id.as_str().into(), (*revision).into()];
            if session.execute(sql::TOUCH, &params).await? == 0 {
                return Err(stale(*kind, id));
            }
            done.touched.push(*kind);
        }
        Mutation::KeepSamples(row) => samples::keep(session, row).await?,
        Mutation::ForgetSamples { cluster } => {
            session.execute(sql::SAMPLES_OF_CLUSTER_FORGET, &[cluster.to_string().into()]).await?;
        }
    }
    Ok(())
}

/// Returns what an update means to readers of events, or `None` if it is only bookkeeping.
async fn update_event<S: SqlTransaction>(session: &mut S, row: &Row) -> Result<Option<What>, StatementError> {
    if !row.kind.is_announced() {
        return Ok(None);
    }
    let before = session.query(sql::BEFORE, &[row.kind.into(), row.id.as_str().into()]).await?.pop();
    let Some(before) = before else { return Ok(None) };
    let mut columns = Columns::of(before);
    let (ended_at, document) = (columns.optional_int()?, columns.text()?);
    Ok(if ended_at.is_none() && row.ended_at.is_some() {
        Some(What::Deleted)
    } else {
        (document != row.document).then_some(What::Changed)
    })
}

fn taken(kind: Kind, failure: StatementError) -> StatementError {
    match failure {
        StatementError::UniqueViolation => Error::exists(kind.title()).into(),
        other => other,
    }
}

fn stale(kind: Kind, id: &str) -> StatementError {
    Error::new(ErrorKind::Stale, format!("{} {id} was changed concurrently", kind.title())).into()
}

/// Checks that a caller writes only rows of its own organization.
async fn check_authority<S: SqlTransaction>(
    session: &mut S,
    authority: &Authority,
    change: &Mutation,
) -> Result<(), StatementError> {
    let Authority::Caller(granted) = authority else { return Ok(()) };
    let owner = match change {
        Mutation::Insert(row) => Some(row.organization),
        Mutation::Update(row) if row.organization != granted.organization() => Some(row.organization),
        Mutation::Update(row) => owner(session, row.kind.into(), &row.id).await?,
        Mutation::Delete { kind, id, .. } | Mutation::Touch { kind, id, .. } => {
            owner(session, (*kind).into(), id).await?
        }
        Mutation::KeepSamples(SampleRow { cluster, .. }) | Mutation::ForgetSamples { cluster } => {
            owner(session, Kind::Cluster.into(), &cluster.to_string()).await?
        }
        Mutation::DeleteChildren { .. } => None,
    };
    Ok(check_owner(authority, owner)?)
}

fn check_owner(authority: &Authority, owner: Option<OrganizationId>) -> Result<()> {
    match (authority, owner) {
        (Authority::Caller(granted), Some(owner)) if owner != granted.organization() => {
            Err(Error::internal("store: a caller accessed a row of another organization"))
        }
        _ => Ok(()),
    }
}

fn organization(text: &str) -> Result<OrganizationId> {
    text.parse().map_err(|error| Error::internal("store: invalid organization id").because(error))
}

async fn owner<S: SqlTransaction>(
    session: &mut S,
    kind: Value,
    id: &str,
) -> Result<Option<OrganizationId>, StatementError> {
    let records = session.query(sql::ORGANIZATION, &[kind, id.into()]).await?;
    let Some(record) = records.into_iter().next() else { return Ok(None) };
    Ok(Some(organization(&Columns::of(record).text()?)?))
}

async fn lease<S: SqlTransaction>(
    session: &mut S,
    name: &str,
    holder: &str,
    renew: Option<i64>,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<Option<Lease>, StatementError> {
    let records = session.query(sql::LEASE_GET, &[name.into()]).await?;
    let Some(record) = records.into_iter().next() else {
        if renew.is_some() {
            return Ok(None);
        }
        session
            .execute(sql::LEASE_INSERT, &[name.into(), holder.into(), 1_i64.into(), expires_at.into()])
            .await?;
        return Ok(Some(Lease { name: name.to_owned(), holder: holder.to_owned(), fence: 1 }));
    };
    let mut columns = Columns::of(record);
    let (held_by, fence, until) = (columns.text()?, columns.int()?, Timestamp(columns.int()?));
    let fence = match renew {
        Some(renew) if held_by == holder && renew == fence => fence,
        None if held_by == holder || until <= now => fence + 1,
        _ => return Ok(None),
    };
    session
        .execute(sql::LEASE_UPDATE, &[name.into(), holder.into(), fence.into(), expires_at.into()])
        .await?;
    Ok(Some(Lease { name: name.to_owned(), holder: holder.to_owned(), fence }))
}

async fn check_fence<S: SqlTransaction>(session: &mut S, lease: &Lease) -> Result<(), StatementError> {
    let records = session.query(sql::LEASE_GET, &[lease.name.as_str().into()]).await?;
    let held = match records.into_iter().next() {
        Some(record) => {
            let mut columns = Columns::of(record);
            (columns.text()?, columns.int()?) == (lease.holder.clone(), lease.fence)
        }
        None => false,
    };
    if held {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Stale, format!("the lease on {} was lost", lease.name)).into())
}
