//! The audit log.

use super::{AuditLogAction, AuditLogSource, DateTime, SystemActorName};
use crate::params::query_params;
use ootheca_model::{Timestamp, cluster::SortOrder};
use schemars::JsonSchema;
use serde::Serialize;

query_params! {
    /// Query of `ListAuditLogs`.
    ListAuditLogsQuery {
        /// The earliest time of an entry.
        starting_from: Timestamp = "starting_from",
        /// Direction of the list.
        sort_order: SortOrder = "sort_order",
        /// The approximate number of entries; entries with the same time are never split.
        limit: i32 = "limit",
    }
}

/// An action, its actor, its time, and its result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct AuditLogEntry {
    /// ID of the entry.
    pub id: String,
    /// The action.
    #[schemars(with = "AuditLogAction")]
    pub action: String,
    /// When the action was taken.
    #[schemars(with = "DateTime")]
    pub created_at: Timestamp,
    /// ID of the cluster, if the action is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Name of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// The user that took the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_email: Option<String>,
    /// The service account that took the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// The component of the system that took the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SystemActorName>")]
    pub system_actor_name: Option<String>,
    /// The source of the action.
    #[schemars(with = "AuditLogSource")]
    pub source: String,
    /// ID of the session in the console.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// `Cc-Trace-Id` of the response.
    pub trace_id: String,
    /// The origin of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<AuditLogMetadata>,
    /// Details of the request, as JSON text.
    pub payload: String,
    /// Why the action failed; absent if it succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The origin of a request.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct AuditLogMetadata {
    /// IP address of the caller.
    pub ip_address: String,
}

/// Response of `ListAuditLogs`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListAuditLogsResponse {
    /// Entries of the audit log.
    pub entries: Vec<AuditLogEntry>,
    /// The value of `starting_from` for the next page; absent at the end of a descending list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DateTime>")]
    pub next_starting_from: Option<Timestamp>,
}
