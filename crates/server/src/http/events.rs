//! `GET /api/v1/events`: changes as server-sent events, an extension of the official API.
//!
//! Each event has a number in its organization. A caller that reconnects with the last number that it
//! received continues from there, even after a restart. It receives the events that it is allowed to read
//! when they are sent.

use crate::{
    api::hierarchy,
    http::response,
    identity::{
        Identity,
        authenticate::{self, Credentials, authenticate},
    },
    ids::fresh_id,
};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Method, header},
    response::Response,
};
use futures_util::stream;
use ootheca_api::{
    operations::{Op, operation},
    versions::Version,
};
use ootheca_model::{
    ClusterId, Error, FolderId, Principal, Resource, Result, Timestamp,
    identity::{Target, authorize},
};
use ootheca_store::{Actor, Changed, Event, Kind, What};
use serde::Serialize;
use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast, watch},
    time::{Instant, sleep_until},
};
use uuid::Uuid;

/// An idle stream sends a comment at this interval.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often the store is polled if other servers write to it, so that there are no hints.
const LOOK: Duration = Duration::from_secs(1);
/// The maximum number of events that are read at once.
const PAGE: usize = 200;

/// Responds with a stream, or with an error.
pub async fn answer(
    identity: Arc<Identity>,
    peer: IpAddr,
    headers: &HeaderMap,
    query: &str,
    stop: watch::Receiver<bool>,
) -> Response {
    let text =
        |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let version = Version::from_header(text("cc-version").as_deref());
    let spoken = version.as_ref().unwrap_or(&Version::default()).header();
    // The last event that the client received takes precedence over the URL of its first request.
    let cursor = text("last-event-id").or_else(|| parameter(query, "cursor"));
    let opened = match version {
        Ok(_) => Follower::open(identity, peer, Credentials::of(&Method::GET, headers), cursor, stop).await,
        Err(error) => Err(Refusal::Other(error)),
    };
    let refused = |error: &Error| (response::refusal(error), Body::from(ootheca_api::error::body(error)));
    let (response, body) = match opened {
        Ok(follower) => {
            let response = Response::builder()
                .header(header::CONTENT_TYPE, "text/event-stream")
                .header(header::CACHE_CONTROL, "no-cache");
            (response, Body::from_stream(stream::unfold(follower, Follower::tell)))
        }
        Err(Refusal::Gone(error)) => {
            let (response, body) = refused(&error);
            (response.status(410), body)
        }
        Err(Refusal::Other(error)) => refused(&error),
    };
    let response = response.header("cc-version", spoken);
    let response = response.header("cc-trace-id", fresh_id().simple().to_string());
    response.body(body).unwrap_or_default()
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

/// Why there is no stream.
enum Refusal {
    /// The next events are no longer stored.
    Gone(Error),
    Other(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::Other(error)
    }
}

/// The stream of one caller.
struct Follower {
    identity: Arc<Identity>,
    credentials: Credentials,
    /// The number of the event that was processed last.
    cursor: i64,
    /// The number that was sent last; `None` before the first message.
    told: Option<i64>,
    silent_since: Instant,
    hints: broadcast::Receiver<Changed>,
    stop: watch::Receiver<bool>,
}

impl Follower {
    async fn open(
        identity: Arc<Identity>,
        peer: IpAddr,
        credentials: Credentials,
        cursor: Option<String>,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, Refusal> {
        // Opening a stream counts as one call, however long it stays open.
        let principal = authenticate::admit(&identity, &credentials, peer).await?.principal;
        let hints = identity.context.store.changes();
        let range = identity.context.store.event_range(principal.organization).await?;
        let cursor = match cursor.as_deref().map(str::parse::<i64>) {
            None => range.newest,
            Some(Ok(cursor)) if (0..=range.newest).contains(&cursor) => cursor,
            Some(_) => {
                return Err(Error::invalid("cursor", "must be the id of an event that was sent").into());
            }
        };
        if cursor + 1 < range.oldest {
            let days = identity.context.settings.events.retention_days;
            return Err(Refusal::Gone(Error::precondition(format!(
                "cursor {cursor}: the events behind it are older than {days} days and gone; list what there is, then follow without a cursor"
            ))));
        }
        Ok(Self { identity, credentials, cursor, told: None, silent_since: Instant::now(), hints, stop })
    }

    /// The next part of the stream. The stream ends when the server drains, when the caller is no longer
    /// authenticated, and when the store fails. A caller that reconnects gets the error.
    async fn tell(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if *self.stop.borrow() {
                return None;
            }
            let text = match self.look().await {
                Ok(text) => text?,
                Err(error) => {
                    tracing::warn!(error = error.chain(), "event stream ended");
                    return None;
                }
            };
            if !text.is_empty() {
                self.silent_since = Instant::now();
                return Some((Ok(text.into()), self));
            }
            self.wait().await;
        }
    }

    /// The text to send; `None` at the end.
    async fn look(&mut self) -> Result<Option<String>> {
        let Ok(caller) = authenticate(&self.identity, &self.credentials).await else { return Ok(None) };
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
        let until = if alone { heartbeat } else { heartbeat.min(Instant::now() + LOOK) };
        let hint = async {
            // A lost hint counts too.
            while self.hints.recv().await.is_ok_and(|changed| !changed.kind.is_announced()) {}
        };
        tokio::select! {
            _ = self.stop.wait_for(|stop| *stop) => {}
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
        Kind::Cluster | Kind::AllowlistEntry | Kind::SqlCatalog => {
            let (op, id) = match event.kind {
                Kind::Cluster => (Op::GetCluster, &event.id),
                Kind::AllowlistEntry => (Op::ListAllowlistEntries, &event.parent),
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

/// An event in JSON.
#[derive(Serialize)]
struct Wire<'a> {
    kind: Kind,
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    parent: &'a str,
    what: What,
    at: Timestamp,
    actor: &'a Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
}

fn frame(event: &Event) -> Result<String> {
    let wire = Wire {
        kind: event.kind,
        id: &event.id,
        parent: &event.parent,
        what: event.what,
        at: event.at,
        actor: &event.actor,
        trace_id: event.trace_id.as_deref(),
    };
    let data = serde_json::to_string(&wire)
        .map_err(|error| Error::internal("could not encode an event").because(error))?;
    Ok(format!("id: {}\ndata: {data}\n\n", event.sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_by_its_whole_name() {
        assert_eq!(parameter("a=1&cursor=7&b=", "cursor").as_deref(), Some("7"));
        assert_eq!(parameter("xcursor=7", "cursor"), None);
        assert_eq!(parameter("", "cursor"), None);
    }
}
