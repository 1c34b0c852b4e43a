//! The export of the audit log.

use crate::api::call::Call;
use ootheca_api::wire::*;
use ootheca_model::{Error, Result, Timestamp, audit::AuditEntry, cluster::SortOrder};
use ootheca_store::AuditQuery;
use std::sync::Arc;

const DEFAULT_LIMIT: i32 = 200;
const MAX_LIMIT: i32 = 5000;

/// `GET /auditlogevents`. The start is inclusive. `next_starting_from` is one microsecond after the last
/// entry, so that consecutive calls return each entry once.
pub async fn list_audit_logs(call: Arc<Call>, query: ListAuditLogsQuery) -> Result<ListAuditLogsResponse> {
    let limit = match query.limit.unwrap_or(DEFAULT_LIMIT) {
        0 => DEFAULT_LIMIT,
        limit if limit < 0 => return Err(Error::invalid("limit", "must not be negative")),
        limit => limit.min(MAX_LIMIT),
    };
    let descending = query.sort_order == Some(SortOrder::Desc);
    let organization = call.granted.organization();
    let page = |starting_from, limit| AuditQuery { organization, starting_from, descending, limit };
    let wanted = page(query.starting_from, usize::try_from(limit).unwrap_or(1));
    let entries = call.context.store.audit(&wanted).await?;
    let last = entries.last().map(|entry| entry.created_at);
    let next_starting_from = if descending {
        match last.map(|last| Timestamp(last.0 - 1)) {
            Some(next) if !call.context.store.audit(&page(Some(next), 1)).await?.is_empty() => Some(next),
            _ => None,
        }
    } else {
        // A client that follows an empty log continues at the same time.
        let start = query.starting_from.unwrap_or_default();
        Some(last.map_or(start, |last| Timestamp(last.0 + 1)))
    };
    Ok(ListAuditLogsResponse { entries: entries.into_iter().map(show).collect(), next_starting_from })
}

fn show(entry: AuditEntry) -> AuditLogEntry {
    AuditLogEntry {
        id: entry.id.to_string(),
        action: format!("AUDIT_LOG_ACTION_{}", entry.action),
        created_at: entry.created_at,
        cluster_id: entry.cluster.map(|id| id.to_string()),
        cluster_name: entry.cluster_name,
        user_email: entry.user_email,
        service_account_name: entry.service_account_name,
        source: format!("AUDIT_LOG_SOURCE_{}", entry.source),
        session_id: entry.session_id,
        trace_id: entry.trace_id,
        metadata: entry.ip_address.map(|ip_address| AuditLogMetadata { ip_address }),
        payload: entry.payload,
        error: entry.error,
        ..AuditLogEntry::default()
    }
}
