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
    /// Id of the console's session that it was done in, never its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The chain of the audit log covers the text as it was written.
    #[test]
    fn an_entry_from_before_there_were_session_ids_keeps_its_text() {
        let text = concat!(
            r#"{"id":"0191e1a0-0000-7000-8000-000000000000","organization":"0191e1a0-0000-7000-8000-000000000001","#,
            r#""created_at":"2026-01-31T12:00:00.000000Z","action":"CREATE_CLUSTER","source":"UI","cluster":null,"cluster_name":null,"#,
            r#""user_email":"ada@example.com","service_account_name":null,"ip_address":null,"trace_id":"t","#,
            r#""payload":"{}","error":null}"#,
        );
        let entry: AuditEntry = serde_json::from_str(text).unwrap();
        assert_eq!(entry.session_id, None);
        assert_eq!(serde_json::to_string(&entry).unwrap(), text);
        let newer = AuditEntry { session_id: Some("s".to_owned()), ..entry };
        let again: AuditEntry = serde_json::from_str(&serde_json::to_string(&newer).unwrap()).unwrap();
        assert_eq!(again, newer);
    }
}
