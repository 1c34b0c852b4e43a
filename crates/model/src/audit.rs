//! Audit entries: who did what, when, and with which result.

use crate::{Cluster, ClusterId, OrganizationId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An entry of the audit log. Never contains secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub id: Uuid,
    pub organization: OrganizationId,
    /// Set by the store when the entry is written; strictly increasing in an organization.
    pub created_at: Timestamp,
    /// The action without its prefix, for example `CREATE_CLUSTER`.
    pub action: String,
    /// The source without its prefix: `CC_API`, `CLI`, `UI`, `INTERNAL`, or `MCP`.
    pub source: String,
    /// The cluster, if the action concerns one.
    pub cluster: Option<ClusterId>,
    /// The name of the cluster.
    pub cluster_name: Option<String>,
    /// The email address of the user who acted.
    pub user_email: Option<String>,
    /// The name of the service account that acted.
    pub service_account_name: Option<String>,
    /// The ID of the console session, never its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The IP address of the caller.
    pub ip_address: Option<String>,
    /// The value of the response's `Cc-Trace-Id`.
    pub trace_id: String,
    /// The main parameters of the action as JSON.
    pub payload: String,
    /// The reason why the action failed; `None` if it succeeded.
    pub error: Option<String>,
}

impl AuditEntry {
    /// The entry of an action that no caller of the API has requested. `ids` are new: those of the entry and of the trace.
    pub fn without_caller(
        ids: [Uuid; 2],
        organization: OrganizationId,
        source: &str,
        action: &str,
        payload: String,
        now: Timestamp,
    ) -> Self {
        let [id, trace] = ids;
        Self {
            id,
            organization,
            created_at: now,
            action: action.to_owned(),
            source: source.to_owned(),
            cluster: None,
            cluster_name: None,
            user_email: None,
            service_account_name: None,
            session_id: None,
            ip_address: None,
            trace_id: trace.simple().to_string(),
            payload,
            error: None,
        }
    }

    /// The entry of a change of a cluster that the server makes by itself.
    pub fn internal(
        ids: [Uuid; 2],
        cluster: &Cluster,
        action: &str,
        payload: String,
        now: Timestamp,
    ) -> Self {
        Self {
            cluster: Some(cluster.id),
            cluster_name: Some(cluster.name.clone()),
            ..Self::without_caller(ids, cluster.organization, "INTERNAL", action, payload, now)
        }
    }
}

/// The [`AuditEntry::error`] of an action whose outcome was never recorded because the server stopped during
/// the action.
pub const INTERRUPTED: &str = "interrupted: the server stopped before the outcome was known";

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash chain of the audit log covers the text as it was written.
    #[test]
    fn entries_without_a_session_id_are_serialized_unchanged() {
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
