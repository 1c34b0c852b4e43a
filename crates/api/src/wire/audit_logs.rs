//! The audit log.

use super::{AuditLogAction, AuditLogSource, DateTime, SystemActorName};
use crate::params::query_params;
use ootheca_model::{Timestamp, cluster::SortOrder};
use schemars::JsonSchema;
use serde::Serialize;

query_params! {
    /// Of `ListAuditLogs`.
    ListAuditLogsQuery {
        /// The first moment to show.
        starting_from: Timestamp = "starting_from",
        /// Direction.
        sort_order: SortOrder = "sort_order",
        /// About how many entries; those of one moment are never split.
        limit: i32 = "limit",
    }
}

/// Who did what, when, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct AuditLogEntry {
    /// Id.
    pub id: String,
    /// What was done.
    #[schemars(with = "AuditLogAction")]
    pub action: String,
    /// When.
    #[schemars(with = "DateTime")]
    pub created_at: Timestamp,
    /// The cluster, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// That cluster's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// The acting person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_email: Option<String>,
    /// The acting service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// The acting part of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SystemActorName>")]
    pub system_actor_name: Option<String>,
    /// Where it was asked for.
    #[schemars(with = "AuditLogSource")]
    pub source: String,
    /// Session of the console.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// `Cc-Trace-Id` of the answer.
    pub trace_id: String,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<AuditLogMetadata>,
    /// JSON text of the essentials.
    pub payload: String,
    /// Why it failed; absent when it succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Where an action came from.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct AuditLogMetadata {
    /// Address of the caller.
    pub ip_address: String,
}

/// Answer of `ListAuditLogs`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListAuditLogsResponse {
    /// Entries.
    pub entries: Vec<AuditLogEntry>,
    /// Where to go on; absent at the end of a descending list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DateTime>")]
    pub next_starting_from: Option<Timestamp>,
}
