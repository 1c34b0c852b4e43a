//! Events: one for each row that a batch inserts, updates, or ends, written in the transaction of the batch.
//! The events of an organization are numbered without gaps in the order of commit, so a reader that has seen
//! event n gets all later events by asking for those after n.

use crate::{
    Authority, Batch, Kind, Row, sql,
    transaction::{SqlTransaction, StatementError},
    value::{Columns, Record},
};
use ootheca_model::{Error, OrganizationId, Result, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The row was inserted.
    Created,
    /// The row was updated.
    Changed,
    /// The row ended or was deleted.
    Deleted,
}

/// The user, service account, or task that made a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `user`, `service_account` or `system`.
    pub kind: String,
    /// The email address, the name of the service account, or the name of the server's task.
    pub name: String,
}

/// A change of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub organization: OrganizationId,
    /// The number of the event in its organization, from 1, without gaps, in the order of commit.
    pub sequence: i64,
    /// The kind of the row.
    pub kind: Kind,
    /// The ID of the row.
    pub id: String,
    /// The parent of the row; empty if it has none.
    pub parent: String,
    pub what: What,
    /// The time of the change, not earlier than that of the previous event.
    pub at: Timestamp,
    pub actor: Actor,
    /// The `Cc-Trace-Id` of the request, if the change was made by one.
    pub trace_id: Option<String>,
}

/// The range of the stored events of an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRange {
    /// The oldest event that is stored, or one more than the newest if none is.
    pub oldest: i64,
    /// The newest event that was ever written, or 0 before the first.
    pub newest: i64,
}

impl Kind {
    /// Whether changes of rows of this kind produce events. Other kinds are internal to the server or
    /// confidential.
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
                | Kind::BlackoutWindow
                | Kind::Restore
                | Kind::SqlCatalog
                | Kind::JwtIssuer
        )
    }
}

/// An event without a number.
#[derive(Clone, Debug)]
pub(crate) struct PendingEvent {
    organization: OrganizationId,
    kind: Kind,
    id: String,
    parent: String,
    what: What,
}

/// The events of a batch, collected while its changes are applied.
#[derive(Debug, Default)]
pub(crate) struct PendingEvents(Vec<PendingEvent>);

impl PendingEvents {
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
            self.0.push(PendingEvent { organization, kind, id, parent, what });
        }
    }

    /// Numbers the events and writes them.
    pub(crate) async fn append<S: SqlTransaction>(
        self,
        session: &mut S,
        batch: &Batch,
        now: Timestamp,
    ) -> Result<(), StatementError> {
        let actor = actor(&batch.authority);
        let trace_id = batch.audit.first().map(|entry| entry.trace_id.clone());
        let mut by_organization: BTreeMap<String, Vec<PendingEvent>> = BTreeMap::new();
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
            for PendingEvent { organization, kind, id, parent, what } in drafts {
                sequence += 1;
                let (actor, trace_id) = (actor.clone(), trace_id.clone());
                let event = Event { organization, sequence, kind, id, parent, what, at, actor, trace_id };
                let document = serde_json::to_string(&event)
                    .map_err(|error| Error::internal("store: cannot encode an event").because(error))?;
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

/// Parses a record of an event's document.
pub(crate) fn event(record: Record) -> Result<Event> {
    let document = Columns::of(record).text()?;
    serde_json::from_str(&document).map_err(|error| Error::internal("store: invalid event").because(error))
}

/// Parses a record of [`sql::EVENT_RANGE`].
pub(crate) fn range(record: Record) -> Result<EventRange> {
    let mut columns = Columns::of(record);
    let (oldest, newest) = (columns.optional_int()?, columns.optional_int()?.unwrap_or(0));
    Ok(EventRange { oldest: oldest.unwrap_or(newest + 1), newest })
}
