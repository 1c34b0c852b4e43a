//! Audit entries of actions that the operator of the machine takes without a key.

use crate::ids::fresh_id;
use ootheca_model::{OrganizationId, Timestamp, audit::AuditEntry};

/// The audit entry of an action that was taken on the machine itself.
pub(super) fn entry(organization: OrganizationId, action: &str, about: &str, now: Timestamp) -> AuditEntry {
    AuditEntry {
        id: fresh_id(),
        organization,
        created_at: now,
        action: action.to_owned(),
        source: "CLI".to_owned(),
        cluster: None,
        cluster_name: None,
        user_email: None,
        service_account_name: None,
        session_id: None,
        ip_address: None,
        trace_id: fresh_id().simple().to_string(),
        payload: serde_json::json!({ "operation": "ootheca admin", "about": about }).to_string(),
        error: None,
    }
}
