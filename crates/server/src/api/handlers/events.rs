//! Changes as server-sent events.
//!
//! Each event has a number in its organization. A caller that reconnects with the last number that it
//! received continues from there, even after a restart. It receives the events that it is allowed to read
//! when they are sent.

use crate::{
    api::{call::Call, client::Client, dispatch::Events, hierarchy},
    identity::{Identity, authenticate::authenticate},
};
use futures_util::{StreamExt, stream};
use ootheca_api::{
    operations::{Op, operation},
    wire::{Event as Wire, EventActor, EventType, WatchEventsQuery},
};
use ootheca_model::{
    ClusterId, Error, ErrorKind, FolderId, OrganizationId, Principal, Resource, Result,
    identity::{Target, authorize},
};
use ootheca_store::{Changed, Event, Kind, What};
use std::{borrow::Cow, sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast, watch},
    time::{Instant, sleep_until},
};
use uuid::Uuid;

/// An idle stream sends a comment at this interval.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often the store is polled if other servers write to it, so that there are no hints.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The maximum number of events that are read at once.
const PAGE: usize = 200;

/// `GET /events`. Opening a stream counts as one call, however long it stays open.
pub async fn watch_events(call: Arc<Call>, query: WatchEventsQuery) -> Result<Events> {
    // The last event that the client received takes precedence over the URL of its first request.
    let cursor = call.client.last_event_id().map(Cow::into_owned).or(query.cursor);
    let follower = Follower::open(&call, call.granted.organization(), cursor.as_deref()).await?;
    Ok(stream::unfold(follower, Follower::tell).boxed())
}

/// The stream of one caller.
struct Follower {
    identity: Arc<Identity>,
    client: Arc<Client>,
    /// The number of the event that was processed last.
    cursor: i64,
    /// The number that was sent last; `None` before the first message.
    told: Option<i64>,
    silent_since: Instant,
    hints: broadcast::Receiver<Changed>,
    draining: watch::Receiver<bool>,
}

impl Follower {
    async fn open(call: &Call, organization: OrganizationId, cursor: Option<&str>) -> Result<Self> {
        let store = &call.context.store;
        let hints = store.changes();
        let range = store.event_range(organization).await?;
        let cursor = match cursor.map(str::parse::<i64>) {
            None => range.newest,
            Some(Ok(cursor)) if (0..=range.newest).contains(&cursor) => cursor,
            Some(_) => {
                return Err(Error::invalid("cursor", "must be the ID of an event that was sent"));
            }
        };
        if cursor + 1 < range.oldest {
            let days = call.context.settings.events.retention_days;
            let message = format!(
                "cursor {cursor}: the events after it are older than {days} days and were removed; list the \
                 objects, then follow without a cursor"
            );
            return Err(Error::new(ErrorKind::Expired, message));
        }
        Ok(Self {
            identity: call.identity.clone(),
            client: call.client.clone(),
            cursor,
            told: None,
            silent_since: Instant::now(),
            hints,
            draining: call.context.draining.subscribe(),
        })
    }

    /// The next part of the stream. The stream ends when the server drains, when the caller is no longer
    /// authenticated, and when the store fails. A caller that reconnects gets the error.
    async fn tell(mut self) -> Option<(String, Self)> {
        loop {
            if *self.draining.borrow() {
                return None;
            }
            let text = match self.next_text().await {
                Ok(text) => text?,
                Err(error) => {
                    tracing::warn!(error = error.chain(), "event stream ended");
                    return None;
                }
            };
            if !text.is_empty() {
                self.silent_since = Instant::now();
                return Some((text, self));
            }
            self.wait().await;
        }
    }

    /// The text to send; `None` at the end.
    async fn next_text(&mut self) -> Result<Option<String>> {
        let Ok(caller) = authenticate(&self.identity, self.client.credentials()).await else {
            return Ok(None);
        };
        let principal = caller.principal;
        let mut text = String::new();
        loop {
            let page = self.identity.context.store.events(principal.organization, self.cursor, PAGE).await?;
            // Numbers have no gaps: missing events have been removed.
            if page.first().is_some_and(|first| first.sequence != self.cursor + 1) {
                return Ok(None);
            }
            for event in &page {
                self.cursor = event.sequence;
                if may_see(&self.identity, &principal, event).await? {
                    text.push_str(&frame(event)?);
                    self.told = Some(event.sequence);
                }
            }
            if page.len() < PAGE || !text.is_empty() {
                break;
            }
        }
        if self.told.is_none() {
            text.push_str("retry: 1000\n");
        }
        let silent = self.silent_since.elapsed() >= HEARTBEAT;
        if self.told.is_none() || (silent && self.told != Some(self.cursor)) {
            // A caller that has no access to these events does not have to read them again.
            text.push_str(&format!("id: {}\n\n", self.cursor));
            self.told = Some(self.cursor);
        } else if silent && text.is_empty() {
            text.push_str(": alive\n\n");
        }
        Ok(Some(text))
    }

    /// Waits until there can be something to send.
    async fn wait(&mut self) {
        let alone = self.identity.context.store.stamp(Kind::Cluster).is_some();
        let heartbeat = self.silent_since + HEARTBEAT;
        let until = if alone { heartbeat } else { heartbeat.min(Instant::now() + POLL_INTERVAL) };
        let hint = async {
            // A lost hint counts too.
            while self.hints.recv().await.is_ok_and(|changed| !changed.kind.is_announced()) {}
        };
        tokio::select! {
            _ = self.draining.wait_for(|draining| *draining) => {}
            () = hint => {}
            () = sleep_until(until) => {}
        }
    }
}

/// Whether the caller is allowed to read or list the resource of the event.
async fn may_see(identity: &Identity, principal: &Arc<Principal>, event: &Event) -> Result<bool> {
    let within = |resource| hierarchy::folders(&identity.context, principal, resource);
    let cluster = |id: &str| id.parse().unwrap_or(ClusterId(Uuid::nil()));
    let (op, target) = match event.kind {
        Kind::Cluster | Kind::AllowlistEntry | Kind::BlackoutWindow | Kind::Restore | Kind::SqlCatalog => {
            let (op, id) = match event.kind {
                Kind::Cluster => (Op::GetCluster, &event.id),
                Kind::AllowlistEntry => (Op::ListAllowlistEntries, &event.parent),
                Kind::BlackoutWindow => (Op::ListBlackoutWindows, &event.parent),
                Kind::Restore => (Op::ListRestores, &event.parent),
                _ => (Op::ListSQLUsers, &event.parent),
            };
            let id = cluster(id);
            (op, Target::Cluster(id, within(Resource::Cluster(id)).await?))
        }
        Kind::Folder => {
            let id = FolderId(event.id.parse().unwrap_or(Uuid::nil()));
            // After the folder is deleted, only the event contains its location.
            let (folder, last) = (Resource::Folder(id), event.parent.parse().ok());
            let folders = hierarchy::last_folders(&identity.context, principal, folder, last).await?;
            (Op::GetFolder, Target::Folder(id, folders))
        }
        Kind::Organization => (Op::GetOrganizationInfo, Target::Organization),
        Kind::ServiceAccount => (Op::ListServiceAccounts, Target::Organization),
        Kind::ApiKey => (Op::ListApiKeys, Target::Organization),
        Kind::Person => (Op::GetUsers, Target::Organization),
        Kind::Group => (Op::GetGroups, Target::Organization),
        Kind::JwtIssuer => (Op::ListJWTIssuers, Target::Organization),
        _ => return Ok(false),
    };
    Ok(authorize(principal, operation(op).requirement, target).is_ok())
}

fn frame(event: &Event) -> Result<String> {
    let wire = Wire {
        kind: event.kind.name().to_owned(),
        id: event.id.clone(),
        parent: event.parent.clone(),
        what: match event.what {
            What::Created => EventType::Created,
            What::Changed => EventType::Changed,
            What::Deleted => EventType::Deleted,
        },
        at: event.at,
        actor: EventActor { kind: event.actor.kind.clone(), name: event.actor.name.clone() },
        trace_id: event.trace_id.clone(),
    };
    let data = serde_json::to_string(&wire)
        .map_err(|error| Error::internal("could not encode an event").because(error))?;
    Ok(format!("id: {}\ndata: {data}\n\n", event.sequence))
}
