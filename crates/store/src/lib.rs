//! Persistent state: every row that Ootheca stores, its audit log, and its leases.
//!
//! The store contains intent and the latest observations, one JSON document for each row beside the columns
//! that queries need. It never contains plaintext secrets or anything that can be observed again. SQL users
//! and databases are stored inside the cluster. The store only caches them for the time when the cluster is
//! suspended.
//!
//! A change is data, not a closure. Handlers read rows, decide, and pass one [`Batch`], which is applied
//! atomically. Each change names the revision that the decision is based on, so a concurrent write makes the
//! batch [`ootheca_model::ErrorKind::Stale`] instead of being lost, and a backend can repeat a batch after a
//! serialization failure without involving the caller.

mod backend;
mod chain;
mod copy;
mod events;
mod migrations;
mod postgres;
mod samples;
mod sql;
mod sqlite;
mod transaction;
mod value;
mod verify;

pub use copy::copy;
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

/// The kind of a row.
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
    /// [`ootheca_model::blackout::BlackoutWindow`]; parent: its cluster
    BlackoutWindow,
    /// [`ootheca_model::backup::Base`]; parent: its cluster, which may already be deleted
    BackupBase,
    /// [`ootheca_model::backup::RecoveryPoint`]; parent: its cluster, which may already be deleted; due when its
    /// last backup expires
    RecoveryPoint,
    /// [`ootheca_model::backup::Restore`]; parent: its destination, which may already be deleted
    Restore,
    /// The header of the cached SQL users and databases of a cluster; parent: the cluster
    SqlCatalog,
    /// Some of the cached SQL users and databases of a cluster; parent: the cluster
    SqlCatalogBucket,
    /// [`ootheca_model::meter::Meter`] of a cluster, under the cluster's ID; parent: its cluster
    Meter,
    /// [`ootheca_model::meter::PeriodUsage`] of an hour; parent: its cluster
    UsageHour,
    /// [`ootheca_model::meter::PeriodUsage`] of a month; parent: its cluster, which may already be deleted
    UsageMonth,
    /// The result of a request with an idempotency key; due when it expires
    Idempotency,
    /// Values of the installation itself, for example the key of the page tokens
    Setting,
}

/// A row: the columns that queries need, and the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub kind: Kind,
    /// The ID, unique within the kind.
    pub id: String,
    /// The organization that owns the row.
    pub organization: OrganizationId,
    /// The ID of the parent row; empty if there is none.
    pub parent: String,
    /// A key that is unique within the kind, unless it is `None`.
    pub unique_key: Option<String>,
    /// A second unique key, for lookups by another name, such as a cluster's routing ID.
    pub alias: Option<String>,
    /// Lists are ordered by this key bytewise, then by ID.
    pub sort_key: String,
    /// When a reconciler must process the row; `None` means never.
    pub due_at: Option<Timestamp>,
    /// The revision, which increases by one with every update; 0 before the row is inserted.
    pub revision: i64,
    pub created_at: Timestamp,
    /// The time of the last change, which the writer of the row sets.
    pub updated_at: Timestamp,
    /// The time when the row ended (was deleted, but is still visible); `None` while it is active.
    pub ended_at: Option<Timestamp>,
    /// The document as JSON.
    pub document: String,
}

/// A change of rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Mutation {
    /// Inserts a row with revision 1. `Exists` if the ID, unique key, or alias is taken.
    Insert(Row),
    /// Replaces the row and increases its revision. `Stale` unless its revision is the given one.
    Update(Row),
    /// Deletes the row. `Stale` unless its revision is the given one.
    Delete {
        kind: Kind,
        id: String,
        /// The revision that was read.
        revision: i64,
    },
    /// Deletes all rows of a kind with a given parent.
    DeleteChildren { kind: Kind, parent: String },
    /// Increases only the revision of a row. `Stale` unless its revision is the given one. Protects a rule
    /// that involves several rows, for example a limit on the children of a parent.
    Touch {
        kind: Kind,
        id: String,
        /// The revision that was read.
        revision: i64,
    },
    /// Writes samples of a cluster, and replaces existing ones. Does nothing if the cluster is no longer
    /// active.
    KeepSamples(SampleRow),
    /// Deletes all samples of a cluster.
    ForgetSamples { cluster: ClusterId },
}

/// The authority for a batch.
#[derive(Clone, Debug)]
pub enum Authority {
    /// A caller that passed the authorization check. Rows of other organizations are rejected with
    /// `Internal`.
    Caller(Granted),
    /// A task of the server, identified by its name.
    Server(&'static str),
}

/// Mutations, audit entries, and their guards, applied in one durable transaction.
#[derive(Clone, Debug)]
pub struct Batch {
    pub authority: Authority,
    /// Applied in order.
    pub mutations: Vec<Mutation>,
    /// Audit entries to append. The store sets their `created_at`.
    pub audit: Vec<AuditEntry>,
    /// If set, the batch fails with `Stale` unless this lease still has this fencing number.
    pub fence: Option<Lease>,
    /// Whether the batch is bookkeeping that produces no events, such as the time when a key was last used.
    pub quiet: bool,
}

impl Batch {
    /// Returns an empty batch of an authorized caller.
    pub fn by(granted: &Granted) -> Self {
        Self::new(Authority::Caller(granted.clone()))
    }

    /// Returns an empty batch of a task of the server.
    pub fn server(task: &'static str) -> Self {
        Self::new(Authority::Server(task))
    }

    fn new(authority: Authority) -> Self {
        Self { authority, mutations: Vec::new(), audit: Vec::new(), fence: None, quiet: false }
    }

    /// Adds a mutation.
    #[must_use]
    pub fn with(mut self, mutation: Mutation) -> Self {
        self.mutations.push(mutation);
        self
    }
}

/// The order of a list. Ties are broken by ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// [`Row::sort_key`]
    SortKey,
    /// [`Row::created_at`]
    CreatedAt,
    /// [`Row::ended_at`], or [`Row::created_at`] while active
    EndedAt,
}

/// The position of a row in a list: the value that the list is ordered by, and the ID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The text of the ordering value. Times are decimal microseconds.
    pub value: String,
    /// The ID of the row.
    pub id: String,
}

impl Position {
    /// Returns the position of `row` in a list ordered by `order`.
    pub fn of(row: &Row, order: Order) -> Self {
        let value = match order {
            Order::SortKey => row.sort_key.clone(),
            Order::CreatedAt => row.created_at.0.to_string(),
            Order::EndedAt => row.ended_at.unwrap_or(row.created_at).0.to_string(),
        };
        Self { value, id: row.id.clone() }
    }
}

/// A request for a page of rows.
#[derive(Clone, Debug)]
pub struct Query {
    pub kind: Kind,
    /// Only rows of this organization. `None`, for tasks of the server, selects all organizations.
    pub organization: Option<OrganizationId>,
    /// Only children of this row.
    pub parent: Option<String>,
    /// Only rows with these IDs, and those that `parents` adds.
    pub ids: Option<Vec<String>>,
    /// With `ids`, also the children of these rows. Ignored without `ids`.
    pub parents: Vec<String>,
    /// Omits rows that have ended.
    pub active_only: bool,
    /// Omits rows that were created later.
    pub as_of: Option<Timestamp>,
    pub order: Order,
    /// Whether the order is reversed.
    pub descending: bool,
    /// Only rows after this position, in the direction of the list.
    pub after: Option<Position>,
    /// The maximum number of rows.
    pub limit: usize,
}

impl Query {
    /// Selects all rows of a kind, by sort key.
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

    /// Selects the rows of a kind that have not ended, by sort key.
    pub fn active(kind: Kind) -> Self {
        Self { active_only: true, ..Self::all(kind) }
    }
}

/// A request for a page of the audit log. Both ends are inclusive.
#[derive(Clone, Debug)]
pub struct AuditQuery {
    pub organization: OrganizationId,
    /// The time at which the page starts, in the direction of the list.
    pub starting_from: Option<Timestamp>,
    /// Whether the newest entry comes first.
    pub descending: bool,
    /// The approximate number of entries. All entries with the same time as the last one are returned.
    pub limit: usize,
}

/// A lease on a name, held until it expires. The fencing number increases with every new holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The name that is leased.
    pub name: String,
    pub holder: String,
    /// The fencing number.
    pub fence: i64,
}

/// A hint that a row changed. Hints may be lost, so a consumer that must not miss changes also scans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub kind: Kind,
    pub id: String,
    pub parent: String,
}

/// Stores rows, the audit log, events, samples, and leases.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Returns a row by ID.
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Row>>;
    /// Returns a row by its unique key.
    async fn by_unique_key(&self, kind: Kind, key: &str) -> Result<Option<Row>>;
    /// Returns a row by its alias.
    async fn by_alias(&self, kind: Kind, alias: &str) -> Result<Option<Row>>;
    /// Returns a page of rows.
    async fn list(&self, query: &Query) -> Result<Vec<Row>>;
    /// Returns the ID and revision of every active row of a kind, in no particular order.
    async fn revisions(&self, kind: Kind) -> Result<Vec<(String, i64)>>;
    /// Returns the IDs of rows whose `due_at` is not after `now`, the earliest first.
    async fn due(&self, kind: Kind, now: Timestamp, limit: usize) -> Result<Vec<String>>;
    /// Returns the earliest `due_at` of a kind.
    async fn next_due(&self, kind: Kind) -> Result<Option<Timestamp>>;
    /// Applies a batch atomically and durably. `now` becomes the time of the audit entries, or one
    /// microsecond after the organization's latest entry if that is later. Returns the entries as written.
    async fn commit(&self, batch: Batch, now: Timestamp) -> Result<Vec<AuditEntry>>;
    /// Returns the error that [`Store::commit`] would return for a batch, without keeping any of it.
    async fn validate(&self, batch: Batch, now: Timestamp) -> Result<()>;
    /// Records the outcome of an action whose entry was written before the outcome was known. The entry is
    /// not modified. The outcome is a separate link of the chain.
    async fn complete_audit(&self, id: Uuid, payload: &str, error: Option<&str>) -> Result<()>;
    /// Returns the events of an organization after number `after`, in order.
    async fn events(&self, organization: OrganizationId, after: i64, limit: usize) -> Result<Vec<Event>>;
    /// Returns the range of the stored events of an organization.
    async fn event_range(&self, organization: OrganizationId) -> Result<EventRange>;
    /// Deletes the events of every organization from before a time.
    async fn forget_events(&self, before: Timestamp) -> Result<()>;
    /// Returns samples of some clusters, by cluster and time.
    async fn samples(&self, wanted: &SampleRows<'_>) -> Result<Vec<SampleRow>>;
    /// Deletes the samples of every cluster that start before a time.
    async fn forget_samples(&self, step_seconds: i64, before: Timestamp) -> Result<()>;
    /// Returns a page of the audit log.
    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>>;
    /// Acquires or renews a lease. It is granted if it is free, expired, or held by the same holder. A new
    /// holder, and the same holder with `renew: None`, gets a higher fencing number. Renewing a lease that
    /// was lost in the meantime returns `None`.
    async fn lease(
        &self,
        name: &str,
        holder: &str,
        renew: Option<i64>,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Option<Lease>>;
    /// Releases a lease.
    async fn release(&self, lease: &Lease) -> Result<()>;
    /// Moves all committed data into the store's main file, so that a copy of that file is complete.
    async fn close(&self) -> Result<()>;
    /// Subscribes to hints about changed rows.
    fn changes(&self) -> broadcast::Receiver<Changed>;
    /// Returns a number that changes as soon as a change to rows of this kind is acknowledged. Data that was
    /// read after getting the number is current as long as the number stays the same. `None` if other servers
    /// can write too.
    fn stamp(&self, kind: Kind) -> Option<u64>;
}

/// Opens the store at an address: `sqlite:PATH`, `postgres://…`, or `postgresql://…`.
pub async fn open(address: &str) -> Result<Arc<dyn Store>> {
    if let Some(path) = address.strip_prefix("sqlite:") {
        return Ok(Arc::new(sqlite::Sqlite::open(Path::new(path))?));
    }
    if address.starts_with("postgres://") || address.starts_with("postgresql://") {
        return Ok(Arc::new(postgres::Postgres::open(address).await?));
    }
    Err(Error::invalid("store", "must start with sqlite:, postgres://, or postgresql://"))
}

/// Returns every statement that can be sent to SQLite and to PostgreSQL, for the test that prepares them.
#[doc(hidden)]
pub fn statements() -> (Vec<String>, Vec<String>) {
    (sql::every::<sqlite::Sqlite>(), sql::every::<postgres::Postgres>())
}
