//! What changed, told in order: one event for each row that a batch makes, changes or ends, written in
//! the batch's own transaction. Events of an organization are numbered without gaps in the order of
//! commit, so whoever has seen number n misses nothing by asking for what comes after it.

use crate::{
    Authority, Batch, Kind, Row, sql,
    transaction::{Failure, Session},
    value::{Columns, Record},
};
use ootheca_model::{Error, OrganizationId, Result, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It is new.
    Created,
    /// It is another one.
    Changed,
    /// It ended, or is gone.
    Deleted,
}

/// Who made a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `user`, `service_account` or `system`.
    pub kind: String,
    /// E-mail, name of the service account, or of the server's task.
    pub name: String,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The organization.
    pub organization: OrganizationId,
    /// Its number in the organization; from 1, without gaps, in the order of commit.
    pub sequence: i64,
    /// Kind of the row.
    pub kind: Kind,
    /// Id of the row.
    pub id: String,
    /// Its parent; empty at the top.
    pub parent: String,
    /// What happened.
    pub what: What,
    /// When; never earlier than the event before.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// The `Cc-Trace-Id` of the call, where it was one.
    pub trace_id: Option<String>,
}

/// Which events of an organization are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRange {
    /// The oldest that is still kept; one more than the newest if none is.
    pub oldest: i64,
    /// The newest that was ever written; 0 before the first.
    pub newest: i64,
}

impl Kind {
    /// Whether changes of such rows are told. What is left out is of the server's own making, or may
    /// not be known to anybody.
    pub fn is_announced(self) -> bool {
        matches!(
            self,
            Kind::Organization
                | Kind::Person
                | Kind::Group
                | Kind::Folder
                | Kind::ServiceAccount
                | Kind::ApiKey
                | Kind::Cluster
                | Kind::AllowlistEntry
                | Kind::SqlCatalog
                | Kind::JwtIssuer
        )
    }
}

/// An event that has no number yet.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    organization: OrganizationId,
    kind: Kind,
    id: String,
    parent: String,
    what: What,
}

/// Events of a batch, as its changes are applied.
#[derive(Debug, Default)]
pub(crate) struct Drafts(Vec<Draft>);

impl Drafts {
    pub(crate) fn row(&mut self, row: &Row, what: What) {
        self.add(row.organization, row.kind, &row.id, &row.parent, what);
    }

    pub(crate) fn add(
        &mut self,
        organization: OrganizationId,
        kind: Kind,
        id: &str,
        parent: &str,
        what: What,
    ) {
        if kind.is_announced() {
            let (id, parent) = (id.to_owned(), parent.to_owned());
            self.0.push(Draft { organization, kind, id, parent, what });
        }
    }

    /// Numbers and writes them.
    pub(crate) async fn append<S: Session>(
        self,
        session: &mut S,
        batch: &Batch,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let actor = actor(&batch.authority);
        let trace_id = batch.audit.first().map(|entry| entry.trace_id.clone());
        let mut by_organization: BTreeMap<String, Vec<Draft>> = BTreeMap::new();
        for draft in self.0 {
            by_organization.entry(draft.organization.to_string()).or_default().push(draft);
        }
        for (organization, drafts) in by_organization {
            let head = session.query(sql::EVENT_HEAD, &[organization.as_str().into()]).await?.pop();
            let statement = if head.is_some() { sql::EVENT_HEAD_UPDATE } else { sql::EVENT_HEAD_INSERT };
            let (mut sequence, before) = match head.map(Columns::of) {
                Some(mut columns) => (columns.int()?, Timestamp(columns.int()?)),
                None => (0, now),
            };
            let at = now.max(before);
            for Draft { organization, kind, id, parent, what } in drafts {
                sequence += 1;
                let (actor, trace_id) = (actor.clone(), trace_id.clone());
                let event = Event { organization, sequence, kind, id, parent, what, at, actor, trace_id };
                let document = serde_json::to_string(&event)
                    .map_err(|error| Error::internal("store: event").because(error))?;
                let params = [organization.into(), sequence.into(), at.into(), document.into()];
                session.execute(sql::EVENT_INSERT, &params).await?;
            }
            let params = [organization.into(), sequence.into(), at.into()];
            session.execute(statement, &params).await?;
        }
        Ok(())
    }
}

fn actor(authority: &Authority) -> Actor {
    let (kind, name) = match authority {
        Authority::Caller(granted) if granted.principal().person => ("user", &*granted.principal().name),
        Authority::Caller(granted) => ("service_account", &*granted.principal().name),
        Authority::Server(task) => ("system", *task),
    };
    Actor { kind: kind.to_owned(), name: name.to_owned() }
}

/// Reads a record of an event's document.
pub(crate) fn event(record: Record) -> Result<Event> {
    let document = Columns::of(record).text()?;
    serde_json::from_str(&document).map_err(|error| Error::internal("store: damaged event").because(error))
}

/// Reads a record of [`sql::EVENT_RANGE`].
pub(crate) fn range(record: Record) -> Result<EventRange> {
    let mut columns = Columns::of(record);
    let (oldest, newest) = (columns.optional_int()?, columns.optional_int()?.unwrap_or(0));
    Ok(EventRange { oldest: oldest.unwrap_or(newest + 1), newest })
}
