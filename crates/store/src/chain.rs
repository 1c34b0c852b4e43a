//! The audit log: append-only, with one hash chain for each organization.
//!
//! A link is an entry, or the outcome of an entry that was written before its outcome was known. Each link
//! contains its number, without gaps, and a hash of itself and of the previous link. Links are never
//! modified. Entries that are older than the chain have no number; the chain starts with their count.
//! `docs/audit.md` describes what the chain proves and what it cannot prove.

use crate::{
    sql,
    transaction::{SqlTransaction, StatementError},
    value::{Columns, Record},
};
use ootheca_model::{
    Error, OrganizationId, Result, Timestamp,
    audit::{AuditEntry, INTERRUPTED},
    hex,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, hash_map::Entry};
use uuid::Uuid;

/// The type of a link, which is part of what is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkKind {
    Entry,
    Outcome,
}

/// Everything of a link that its hash covers, except for the previous hash.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) kind: LinkKind,
    pub(crate) organization: OrganizationId,
    pub(crate) sequence: i64,
    /// The ID of the entry.
    pub(crate) id: String,
    /// When the entry was written; 0 for an outcome.
    pub(crate) created_at: Timestamp,
    /// The document exactly as stored.
    pub(crate) document: String,
}

impl Link {
    /// Returns the hash of this link after a link with the hash `previous`.
    pub(crate) fn hash(&self, previous: &str) -> String {
        let kind = match self.kind {
            LinkKind::Entry => "entry",
            LinkKind::Outcome => "outcome",
        };
        hash(&[
            previous,
            kind,
            &self.organization.to_string(),
            &self.sequence.to_string(),
            &self.id,
            &self.created_at.0.to_string(),
            &self.document,
        ])
    }
}

/// The hash before the first link. It covers the number of entries that are older than the chain.
pub(crate) fn initial_hash(organization: OrganizationId, older: i64) -> String {
    hash(&["ootheca audit 1", &organization.to_string(), &older.to_string()])
}

/// The hexadecimal SHA-256 hash of the fields, each preceded by its length.
fn hash(fields: &[&str]) -> String {
    let mut digest = Sha256::new();
    for field in fields {
        digest.update((field.len() as u64).to_be_bytes());
        digest.update(field.as_bytes());
    }
    hex::encode(&digest.finalize())
}

/// The newest link of an organization.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) sequence: i64,
    pub(crate) hash: String,
    /// When the newest entry was written.
    created_at: Option<Timestamp>,
    /// Whether the head is not stored yet.
    fresh: bool,
}

/// Parses a record of [`sql::AUDIT_HEAD`].
pub(crate) fn head(record: Record) -> Result<Head> {
    let mut columns = Columns::of(record);
    Ok(Head {
        sequence: columns.int()?,
        hash: columns.text()?,
        created_at: columns.optional_int()?.map(Timestamp),
        fresh: false,
    })
}

impl Head {
    async fn read<S: SqlTransaction>(
        session: &mut S,
        organization: OrganizationId,
    ) -> Result<Self, StatementError> {
        if let Some(record) = session.query(sql::AUDIT_HEAD, &[organization.into()]).await?.pop() {
            return Ok(head(record)?);
        }
        let older = session.query(sql::AUDIT_OLDER, &[organization.into()]).await?.pop().unwrap_or_default();
        let mut columns = Columns::of(older);
        let (count, newest) = (columns.int()?, columns.optional_int()?.map(Timestamp));
        Ok(Self { sequence: 0, hash: initial_hash(organization, count), created_at: newest, fresh: true })
    }

    /// Advances to the next link.
    fn advance(&mut self, link: &Link) {
        self.sequence = link.sequence;
        self.hash = link.hash(&self.hash);
        if link.kind == LinkKind::Entry {
            self.created_at = Some(link.created_at);
        }
    }

    async fn write<S: SqlTransaction>(
        &self,
        session: &mut S,
        organization: OrganizationId,
    ) -> Result<(), StatementError> {
        let statement = if self.fresh { sql::AUDIT_HEAD_INSERT } else { sql::AUDIT_HEAD_UPDATE };
        let params =
            [organization.into(), self.sequence.into(), self.hash.as_str().into(), self.created_at.into()];
        session.execute(statement, &params).await?;
        Ok(())
    }
}

/// Appends entries with increasing timestamps. Returns them as written.
pub(crate) async fn append<S: SqlTransaction>(
    session: &mut S,
    entries: &[AuditEntry],
    now: Timestamp,
) -> Result<Vec<AuditEntry>, StatementError> {
    let mut heads: HashMap<OrganizationId, Head> = HashMap::new();
    let mut written = Vec::with_capacity(entries.len());
    for entry in entries {
        let organization = entry.organization;
        let head = match heads.entry(organization) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(Head::read(session, organization).await?),
        };
        let created_at = head.created_at.map_or(now, |before| now.max(Timestamp(before.0 + 1)));
        let entry = AuditEntry { created_at, ..entry.clone() };
        let link = Link {
            kind: LinkKind::Entry,
            organization,
            sequence: head.sequence + 1,
            id: entry.id.to_string(),
            created_at,
            document: text(&entry)?,
        };
        head.advance(&link);
        let params = [
            link.id.into(),
            organization.into(),
            created_at.into(),
            link.document.into(),
            link.sequence.into(),
            head.hash.as_str().into(),
        ];
        session.execute(sql::AUDIT_INSERT, &params).await?;
        written.push(entry);
    }
    for (organization, head) in heads {
        head.write(session, organization).await?;
    }
    Ok(written)
}

/// The outcome of an action whose entry was written before the outcome was known.
#[derive(Debug, Serialize, Deserialize)]
struct Outcome {
    payload: String,
    error: Option<String>,
}

/// Appends the outcome of an interrupted entry. Does nothing if there is one already.
pub(crate) async fn complete<S: SqlTransaction>(
    session: &mut S,
    id: Uuid,
    payload: &str,
    error: Option<String>,
) -> Result<(), StatementError> {
    let record = session.query(sql::AUDIT_GET, &[id.to_string().into()]).await?.pop();
    let entry = entry(record.ok_or_else(|| Error::not_found("audit entry"))?)?;
    if entry.error.as_deref() != Some(INTERRUPTED) {
        return Err(Error::precondition("the audit entry is already complete").into());
    }
    let organization = entry.organization;
    let mut head = Head::read(session, organization).await?;
    let link = Link {
        kind: LinkKind::Outcome,
        organization,
        sequence: head.sequence + 1,
        id: id.to_string(),
        created_at: Timestamp(0),
        document: text(&Outcome { payload: payload.to_owned(), error })?,
    };
    head.advance(&link);
    let params = [
        link.id.into(),
        organization.into(),
        link.sequence.into(),
        link.document.into(),
        head.hash.as_str().into(),
    ];
    session.execute(sql::OUTCOME_INSERT, &params).await?;
    head.write(session, organization).await
}

fn text<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::internal("store: cannot encode an audit entry").because(error))
}

/// Parses a record of an entry's document, its time, and the document of its outcome.
pub(crate) fn entry(record: Record) -> Result<AuditEntry> {
    let damaged = |error| Error::internal("store: invalid audit entry").because(error);
    let mut columns = Columns::of(record);
    let entry: AuditEntry = serde_json::from_str(&columns.text()?).map_err(damaged)?;
    let mut entry = AuditEntry { created_at: Timestamp(columns.int()?), ..entry };
    if let Some(outcome) = columns.optional_text()? {
        let outcome: Outcome = serde_json::from_str(&outcome).map_err(damaged)?;
        (entry.payload, entry.error) = (outcome.payload, outcome.error);
    }
    Ok(entry)
}
