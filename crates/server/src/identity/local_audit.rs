//! Audit entries of actions that the operator of the machine takes without a key.

use crate::ids::fresh_id;
use ootheca_model::{OrganizationId, Timestamp, audit::AuditEntry};

/// The audit entry of an action that was taken on the machine itself.
pub(super) fn entry(organization: OrganizationId, action: &str, about: &str, now: Timestamp) -> AuditEntry {
    let payload = serde_json::json!({ "operation": "ootheca admin", "about": about }).to_string();
    AuditEntry::without_caller([fresh_id(), fresh_id()], organization, "CLI", action, payload, now)
}
