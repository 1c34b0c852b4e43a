//! Audit entries: who did what, when, and how it ended.

use crate::{ClusterId, OrganizationId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One line of the audit log. Holds no secret, ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Id.
    pub id: Uuid,
    /// The organization.
    pub organization: OrganizationId,
    /// Set by the store when the entry is written; strictly increasing in an organization.
    pub created_at: Timestamp,
    /// Without its prefix, for example `CREATE_CLUSTER`.
    pub action: String,
    /// Without its prefix: `CC_API`, `CLI`, `UI`, `INTERNAL` or `MCP`.
    pub source: String,
    /// The cluster, where it is about one.
    pub cluster: Option<ClusterId>,
    /// That cluster's name.
    pub cluster_name: Option<String>,
    /// E-mail of the acting person.
    pub user_email: Option<String>,
    /// Name of the acting service account.
    pub service_account_name: Option<String>,
    /// The caller's address.
    pub ip_address: Option<String>,
    /// The value of the response's `Cc-Trace-Id`.
    pub trace_id: String,
    /// JSON text of the essentials.
    pub payload: String,
    /// Why the action failed; `None` when it succeeded.
    pub error: Option<String>,
}

/// What stands in [`AuditEntry::error`] of an action whose end was never recorded, because the
/// server stopped in the middle of it.
pub const INTERRUPTED: &str = "interrupted: the server stopped before the outcome was known";
