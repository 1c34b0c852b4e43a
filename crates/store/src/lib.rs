//! The truth: every row that Ootheca keeps, its audit log and its leases.
//!
//! What we keep: intent and what was last observed, one JSON document a row beside the columns that
//! queries need. What we refuse to keep: secrets in clear, anything that can be observed again. SQL users
//! and databases have their truth inside the cluster; of them there are notes, for when it sleeps.
//!
//! A change is data, not a closure: handlers read rows, decide, and hand over one [`Batch`] that is
//! applied whole or not at all. Each change names the revision that it was decided upon, so a
//! concurrent writer makes the batch [`ootheca_model::ErrorKind::Stale`] instead of being lost, and
//! a backend may repeat a batch after a serialization failure without asking anybody.

mod backend;
mod chain;
mod events;
mod migrations;
mod postgres;
mod samples;
mod sql;
mod sqlite;
mod transaction;
mod value;
mod verify;

pub use events::{Actor, Event, EventRange, What};
pub use samples::{SampleRow, SampleRows};
pub use verify::{Anchor, AuditCheck, ChainReport, Fault, verify_audit};

#[doc(hidden)]
pub use migrations::schema;

use async_trait::async_trait;
use ootheca_model::{ClusterId, Error, Granted, OrganizationId, Result, Timestamp, audit::AuditEntry};
use serde::{Deserialize, Serialize};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::sync::broadcast;
use uuid::Uuid;

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// [`ootheca_model::Organization`]
    Organization,
    /// [`ootheca_model::Person`]
    Person,
    /// [`ootheca_model::group::Group`]
    Group,
    /// [`ootheca_model::ServiceAccount`]
    ServiceAccount,
    /// [`ootheca_model::ApiKey`]; parent: its service account
    ApiKey,
    /// [`ootheca_model::Session`]; parent: its person
    Session,
    /// [`ootheca_model::Invitation`]; parent: its person
    Invitation,
    /// [`ootheca_model::JwtIssuer`]
    JwtIssuer,
    /// [`ootheca_model::Folder`]; parent: the folder that it is in
    Folder,
    /// [`ootheca_model::Cluster`]; parent: the folder that it is in
    Cluster,
    /// [`ootheca_model::AllowlistEntry`]; parent: its cluster
    AllowlistEntry,
    /// What was last seen inside a cluster: its SQL users and databases; parent: the cluster
    SqlCatalog,
    /// [`ootheca_model::meter::Meter`] of a cluster, under the cluster's id; parent: its cluster
    Meter,
    /// [`ootheca_model::meter::PeriodUsage`] of an hour; parent: its cluster
    UsageHour,
    /// [`ootheca_model::meter::PeriodUsage`] of a month; parent: its cluster, which it outlives
    UsageMonth,
    /// What was done under an idempotency key; due when its time is over
    Idempotency,
    /// Values of the installation itself, for example the key of the page tokens
    Setting,
}

/// A row: the columns that queries need, and the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it is.
    pub kind: Kind,
    /// Its id, unique in its kind.
    pub id: String,
    /// The organization that it belongs to.
    pub organization: OrganizationId,
    /// The id of the row that it is a child of; empty at the top.
    pub parent: String,
    /// No two rows of a kind may have the same; `None` is always free.
    pub unique_key: Option<String>,
    /// A second such key, for look-ups by another name (a cluster's routing id).
    pub alias: Option<String>,
    /// Lists are ordered by this, byte by byte, then by id.
    pub sort_key: String,
    /// When a reconciler must look at it; `None` is never.
    pub due_at: Option<Timestamp>,
    /// Grows by one with every update; 0 before the row is inserted.
    pub revision: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed; set by whoever changes it.
    pub updated_at: Timestamp,
    /// When it ended (was deleted, but is still shown); `None` while it is active.
    pub ended_at: Option<Timestamp>,
    /// The document, JSON.
    pub document: String,
}

/// One change of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Adds a row; its revision becomes 1. `Exists` if the id, unique key or alias is taken.
    Insert(Row),
    /// Replaces the row; `Stale` unless its revision is still the one given. It grows by one.
    Update(Row),
    /// Removes the row; `Stale` unless its revision is still the one given.
    Delete {
        /// Kind of the row.
        kind: Kind,
        /// Id of the row.
        id: String,
        /// The revision that was read.
        revision: i64,
    },
    /// Removes every row of a kind under a parent.
    DeleteChildren {
        /// Kind of the rows.
        kind: Kind,
        /// Their parent.
        parent: String,
    },
    /// Changes nothing but the revision of a row: `Stale` unless it is still the one given. Guards
    /// a rule that spans rows, for example a limit on a parent's children.
    Touch {
        /// Kind of the row.
        kind: Kind,
        /// Id of the row.
        id: String,
        /// The revision that was read.
        revision: i64,
    },
    /// Writes samples of a cluster, over those that are there; nothing if it is not active any more.
    KeepSamples(SampleRow),
    /// Removes all samples of a cluster.
    ForgetSamples {
        /// The cluster.
        cluster: ClusterId,
    },
}

/// On whose authority a batch is written.
#[derive(Clone, Debug)]
pub enum Authority {
    /// A caller that was checked. Rows of another organization are refused (`Internal`).
    Caller(Granted),
    /// A task of the server itself, by name.
    Server(&'static str),
}

/// Changes, audit entries and their guards, applied in one durable transaction.
#[derive(Clone, Debug)]
pub struct Batch {
    /// On whose authority.
    pub authority: Authority,
    /// Row changes, applied in order.
    pub changes: Vec<Change>,
    /// Entries to append; the store sets their `created_at`.
    pub audit: Vec<AuditEntry>,
    /// If set, the batch fails with `Stale` unless this lease still has this fencing number.
    pub fence: Option<Lease>,
    /// Whether it is bookkeeping, such as when a key was last used, that no event tells of.
    pub quiet: bool,
}

impl Batch {
    /// An empty batch of a checked caller.
    pub fn by(granted: &Granted) -> Self {
        Self::new(Authority::Caller(granted.clone()))
    }

    /// An empty batch of a task of the server.
    pub fn server(task: &'static str) -> Self {
        Self::new(Authority::Server(task))
    }

    fn new(authority: Authority) -> Self {
        Self { authority, changes: Vec::new(), audit: Vec::new(), fence: None, quiet: false }
    }

    /// Adds a change.
    #[must_use]
    pub fn with(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }
}

/// What a list is ordered by. Ties are broken by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// [`Row::sort_key`]
    SortKey,
    /// [`Row::created_at`]
    CreatedAt,
    /// [`Row::ended_at`], or [`Row::created_at`] while active
    EndedAt,
}

/// The place of a row in a list: the value it is ordered by, and its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Text of the ordering value; decimal microseconds for times.
    pub value: String,
    /// Id of the row.
    pub id: String,
}

impl Position {
    /// Where `row` stands in a list ordered by `order`.
    pub fn of(row: &Row, order: Order) -> Self {
        let value = match order {
            Order::SortKey => row.sort_key.clone(),
            Order::CreatedAt => row.created_at.0.to_string(),
            Order::EndedAt => row.ended_at.unwrap_or(row.created_at).0.to_string(),
        };
        Self { value, id: row.id.clone() }
    }
}

/// A page of rows.
#[derive(Clone, Debug)]
pub struct Query {
    /// Kind of the rows.
    pub kind: Kind,
    /// Only rows of this organization; `None` is for tasks of the server.
    pub organization: Option<OrganizationId>,
    /// Only children of this row.
    pub parent: Option<String>,
    /// Only these ids, and what `parents` adds.
    pub ids: Option<Vec<String>>,
    /// Beside `ids`, the children of these rows; nothing without `ids`.
    pub parents: Vec<String>,
    /// Leave out rows that have ended.
    pub active_only: bool,
    /// Leave out rows created after this.
    pub as_of: Option<Timestamp>,
    /// The order.
    pub order: Order,
    /// Largest first.
    pub descending: bool,
    /// Only rows after this place, in the direction of the list.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: usize,
}

impl Query {
    /// Everything of a kind, by sort key.
    pub fn all(kind: Kind) -> Self {
        Self {
            kind,
            organization: None,
            parent: None,
            ids: None,
            parents: Vec::new(),
            active_only: false,
            as_of: None,
            order: Order::SortKey,
            descending: false,
            after: None,
            limit: usize::MAX,
        }
    }

    /// What has not ended of a kind, by sort key.
    pub fn active(kind: Kind) -> Self {
        Self { active_only: true, ..Self::all(kind) }
    }
}

/// A page of the audit log. Both ends are inclusive.
#[derive(Clone, Debug)]
pub struct AuditQuery {
    /// The organization.
    pub organization: OrganizationId,
    /// First moment, looking in the direction of the list.
    pub starting_from: Option<Timestamp>,
    /// Newest first.
    pub descending: bool,
    /// About so many: entries that share the last one's time are all returned.
    pub limit: usize,
}

/// A lease on a name, held until it expires. The number grows with every new holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What is leased.
    pub name: String,
    /// By whom.
    pub holder: String,
    /// The fencing number.
    pub fence: i64,
}

/// A hint that a row changed. Hints may be lost; whoever needs certainty scans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Kind of the row.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// Its parent.
    pub parent: String,
}

/// The store, whatever keeps it.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The row, if it is there.
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Row>>;
    /// The row with this unique key.
    async fn by_unique_key(&self, kind: Kind, key: &str) -> Result<Option<Row>>;
    /// The row with this alias.
    async fn by_alias(&self, kind: Kind, alias: &str) -> Result<Option<Row>>;
    /// A page of rows.
    async fn list(&self, query: &Query) -> Result<Vec<Row>>;
    /// Id and revision of every row of a kind that has not ended, in no order.
    async fn revisions(&self, kind: Kind) -> Result<Vec<(String, i64)>>;
    /// Ids of rows whose `due_at` is not after `now`, the longest due first.
    async fn due(&self, kind: Kind, now: Timestamp, limit: usize) -> Result<Vec<String>>;
    /// The earliest `due_at` of a kind.
    async fn next_due(&self, kind: Kind) -> Result<Option<Timestamp>>;
    /// Applies a batch, whole, durably. `now` stamps the audit entries (or one microsecond after
    /// the organization's latest, whichever is later); returns them as written.
    async fn commit(&self, batch: Batch, now: Timestamp) -> Result<Vec<AuditEntry>>;
    /// Records how an action ended whose entry was written before its outcome was known. The entry stays
    /// as it was written: its outcome is a link of the chain of its own.
    async fn complete_audit(&self, id: Uuid, payload: &str, error: Option<&str>) -> Result<()>;
    /// Events of an organization after number `after`, in order.
    async fn events(&self, organization: OrganizationId, after: i64, limit: usize) -> Result<Vec<Event>>;
    /// Which events of an organization there are.
    async fn event_range(&self, organization: OrganizationId) -> Result<EventRange>;
    /// Forgets the events from before a moment, of every organization.
    async fn forget_events(&self, before: Timestamp) -> Result<()>;
    /// Samples of some clusters, by cluster and time.
    async fn samples(&self, wanted: &SampleRows<'_>) -> Result<Vec<SampleRow>>;
    /// Forgets rows of samples that begin before a moment, of every cluster.
    async fn forget_samples(&self, step_seconds: i64, before: Timestamp) -> Result<()>;
    /// A page of the audit log.
    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>>;
    /// Takes or renews a lease: granted if it is free, expired, or held by the same holder. A new
    /// holder, and the same one with `renew: None`, gets a higher fencing number; renewing a lease
    /// that was lost meanwhile returns `None`.
    async fn lease(
        &self,
        name: &str,
        holder: &str,
        renew: Option<i64>,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Lease>>;
    /// Gives a lease back.
    async fn release(&self, lease: &Lease) -> Result<()>;
    /// Makes all that was committed whole in the store's own file, so that a copy of it is complete.
    async fn close(&self) -> Result<()>;
    /// Hints about changed rows.
    fn changes(&self) -> broadcast::Receiver<Changed>;
    /// A number that is another one as soon as a change to rows of this kind is acknowledged: what was
    /// read after taking it is still true while it is the same. `None` where other servers write too.
    fn stamp(&self, kind: Kind) -> Option<u64>;
}

/// Opens a store by its address: `sqlite:PATH`, `postgres://…` or `postgresql://…`.
pub async fn open(address: &str) -> Result<Arc<dyn Store>> {
    if let Some(path) = address.strip_prefix("sqlite:") {
        return Ok(Arc::new(sqlite::Sqlite::open(Path::new(path))?));
    }
    if address.starts_with("postgres://") || address.starts_with("postgresql://") {
        return Ok(Arc::new(postgres::Postgres::open(address).await?));
    }
    Err(Error::invalid("store", "must begin with sqlite:, postgres:// or postgresql://"))
}

/// Every statement that SQLite and that PostgreSQL may be sent, for the test that prepares them.
#[doc(hidden)]
pub fn statements() -> (Vec<String>, Vec<String>) {
    (sql::every::<sqlite::Sqlite>(), sql::every::<postgres::Postgres>())
}
