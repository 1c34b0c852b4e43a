//! What happens inside a transaction, the same for both databases.

use crate::{
    Authority, Batch, Change, Changed, Kind, Lease, Row, SampleRow, chain,
    events::{Drafts, What},
    samples, sql,
    value::{Columns, Record, Value, values},
};
use ootheca_model::{Error, ErrorKind, OrganizationId, Result, Timestamp, audit::AuditEntry};
use std::{future::Future, time::Duration};
use uuid::Uuid;

/// Why a statement failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A unique key is taken.
    Taken,
    /// The transaction lost a race; the same work may succeed when it is done again.
    Again(String),
    /// Something else.
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Other(error)
    }
}

/// An open transaction.
pub(crate) trait Session: Send {
    /// Runs a statement; says how many rows it changed.
    fn execute(&mut self, sql: &str, params: &[Value]) -> impl Future<Output = Result<u64, Failure>> + Send;
    /// Runs a statement; gives its rows.
    fn query(
        &mut self,
        sql: &str,
        params: &[Value],
    ) -> impl Future<Output = Result<Vec<Record>, Failure>> + Send;
}

/// A piece of work that is done in one transaction. Data, so that it can be done again.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    Commit { batch: Box<Batch>, now: Timestamp },
    CompleteAudit { organization: OrganizationId, id: Uuid, payload: String, error: Option<String> },
    Lease { name: String, holder: String, renew: Option<i64>, ttl: Duration, now: Timestamp },
    Release(Lease),
    ForgetEvents { before: Timestamp },
    ForgetSamples { step_seconds: i64, before: Timestamp },
}

impl Work {
    /// The organizations whose numbered rows it appends to.
    pub(crate) fn organizations(&self) -> Vec<OrganizationId> {
        match self {
            Work::Commit { batch, .. } => {
                let told = batch.changes.iter().filter_map(|change| match change {
                    Change::Insert(row) | Change::Update(row) if row.kind.is_announced() => {
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
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// The audit entries of a commit, as written.
    pub(crate) entries: Vec<AuditEntry>,
    /// The lease, if it was granted.
    pub(crate) lease: Option<Lease>,
    /// To be told when it is durable.
    pub(crate) hints: Vec<Changed>,
    /// Kinds of rows that only got a new revision, which is told to nobody.
    pub(crate) touched: Vec<Kind>,
}

/// Does the work. The caller commits if it succeeds and rolls back if it fails.
pub(crate) async fn run<S: Session>(session: &mut S, work: &Work) -> Result<Done, Failure> {
    match work {
        Work::Commit { batch, now } => commit(session, batch, *now).await,
        Work::CompleteAudit { id, payload, error, .. } => {
            chain::complete(session, *id, payload, error.clone()).await?;
            Ok(Done::default())
        }
        Work::Lease { name, holder, renew, ttl, now } => {
            let lease = lease(session, name, holder, *renew, now.after(*ttl), *now).await?;
            Ok(Done { lease, ..Done::default() })
        }
        Work::Release(lease) => {
            let params = [lease.name.as_str().into(), lease.holder.as_str().into(), lease.fence.into()];
            session.execute(sql::LEASE_RELEASE, &params).await?;
            Ok(Done::default())
        }
        Work::ForgetEvents { before } => {
            session.execute(sql::EVENTS_FORGET, &[(*before).into()]).await?;
            Ok(Done::default())
        }
        Work::ForgetSamples { step_seconds, before } => {
            session.execute(sql::SAMPLES_FORGET, &[(*step_seconds).into(), (*before).into()]).await?;
            Ok(Done::default())
        }
    }
}

async fn commit<S: Session>(session: &mut S, batch: &Batch, now: Timestamp) -> Result<Done, Failure> {
    if let Some(lease) = &batch.fence {
        check_fence(session, lease).await?;
    }
    let mut done = Done::default();
    let mut drafts = Drafts::default();
    for change in &batch.changes {
        check_authority(session, &batch.authority, change).await?;
        apply(session, &batch.authority, change, &mut done, &mut drafts).await?;
    }
    if !batch.quiet {
        drafts.append(session, batch, now).await?;
    }
    done.entries = chain::append(session, &batch.audit, now).await?;
    Ok(done)
}

async fn apply<S: Session>(
    session: &mut S,
    authority: &Authority,
    change: &Change,
    done: &mut Done,
    drafts: &mut Drafts,
) -> Result<(), Failure> {
    match change {
        Change::Insert(row) => {
            session
                .execute(sql::INSERT, &values(row, 1))
                .await
                .map_err(|failure| taken(row.kind, failure))?;
            done.hints.push(Changed { kind: row.kind, id: row.id.clone(), parent: row.parent.clone() });
            drafts.row(row, What::Created);
        }
        Change::Update(row) => {
            if let Some(what) = what(session, row).await? {
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
        Change::Delete { kind, id, revision } => {
            let params = [(*kind).into(), id.as_str().into(), (*revision).into()];
            let deleted = session.query(sql::DELETE, &params).await?.into_iter().next();
            let mut columns = Columns::of(deleted.ok_or_else(|| stale(*kind, id))?);
            let (parent, owner) = (columns.text()?, organization(&columns.text()?)?);
            // The end of a row that is still shown was told when it ended.
            if columns.optional_int()?.is_none() {
                drafts.add(owner, *kind, id, &parent, What::Deleted);
            }
            done.hints.push(Changed { kind: *kind, id: id.clone(), parent });
        }
        Change::DeleteChildren { kind, parent } => {
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
        Change::Touch { kind, id, revision } => {
            let params = [(*kind).into(), id.as_str().into(), (*revision).into()];
            if session.execute(sql::TOUCH, &params).await? == 0 {
                return Err(stale(*kind, id));
            }
            done.touched.push(*kind);
        }
        Change::KeepSamples(row) => samples::keep(session, row).await?,
        Change::ForgetSamples { cluster } => {
            session.execute(sql::SAMPLES_OF_CLUSTER_FORGET, &[cluster.to_string().into()]).await?;
        }
    }
    Ok(())
}

/// What an update does to a row, in the eyes of others; nothing, if only its bookkeeping changes.
async fn what<S: Session>(session: &mut S, row: &Row) -> Result<Option<What>, Failure> {
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

fn taken(kind: Kind, failure: Failure) -> Failure {
    match failure {
        Failure::Taken => Error::exists(kind.title()).into(),
        other => other,
    }
}

fn stale(kind: Kind, id: &str) -> Failure {
    Error::new(ErrorKind::Stale, format!("{} {id} changed meanwhile", kind.title())).into()
}

/// A caller writes rows of its own organization only.
async fn check_authority<S: Session>(
    session: &mut S,
    authority: &Authority,
    change: &Change,
) -> Result<(), Failure> {
    let Authority::Caller(granted) = authority else { return Ok(()) };
    let owner = match change {
        Change::Insert(row) => Some(row.organization),
        Change::Update(row) if row.organization != granted.organization() => Some(row.organization),
        Change::Update(row) => owner(session, row.kind.into(), &row.id).await?,
        Change::Delete { kind, id, .. } | Change::Touch { kind, id, .. } => {
            owner(session, (*kind).into(), id).await?
        }
        Change::KeepSamples(SampleRow { cluster, .. }) | Change::ForgetSamples { cluster } => {
            owner(session, Kind::Cluster.into(), &cluster.to_string()).await?
        }
        Change::DeleteChildren { .. } => None,
    };
    Ok(check_owner(authority, owner)?)
}

fn check_owner(authority: &Authority, owner: Option<OrganizationId>) -> Result<()> {
    match (authority, owner) {
        (Authority::Caller(granted), Some(owner)) if owner != granted.organization() => {
            Err(Error::internal("store: a caller reached for a row of another organization"))
        }
        _ => Ok(()),
    }
}

fn organization(text: &str) -> Result<OrganizationId> {
    text.parse().map_err(|error| Error::internal("store: damaged organization").because(error))
}

async fn owner<S: Session>(
    session: &mut S,
    kind: Value,
    id: &str,
) -> Result<Option<OrganizationId>, Failure> {
    let records = session.query(sql::ORGANIZATION, &[kind, id.into()]).await?;
    let Some(record) = records.into_iter().next() else { return Ok(None) };
    Ok(Some(organization(&Columns::of(record).text()?)?))
}

async fn lease<S: Session>(
    session: &mut S,
    name: &str,
    holder: &str,
    renew: Option<i64>,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<Option<Lease>, Failure> {
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

async fn check_fence<S: Session>(session: &mut S, lease: &Lease) -> Result<(), Failure> {
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
