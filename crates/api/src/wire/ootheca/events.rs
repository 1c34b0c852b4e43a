//! The stream of changes.

use crate::{params::query_params, wire::DateTime};
use ootheca_model::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

query_params! {
    /// Query of `WatchEvents`.
    WatchEventsQuery {
        /// ID of the event after which the stream starts; the newest event if omitted. The header `Last-Event-ID` takes precedence.
        cursor: String = "cursor",
    }
}

/// The data of a server-sent event: something changed.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Event {
    /// Kind of the object, such as `cluster`.
    pub kind: String,
    /// ID of the object.
    pub id: String,
    /// ID of the object that contains it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub parent: String,
    /// What happened to the object.
    pub what: EventType,
    /// When it happened.
    #[schemars(with = "DateTime")]
    pub at: Timestamp,
    /// What made the change.
    pub actor: EventActor,
    /// Trace ID of the request that made the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventType {
    /// It was created.
    Created,
    /// It was changed.
    Changed,
    /// It was deleted.
    Deleted,
}

/// What made a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EventActor {
    /// `user`, `service_account` or `system`.
    pub kind: String,
    /// Email address, name of the service account, or name of the task of the server.
    pub name: String,
}
