//! Waits until a change of a cluster is complete.

use super::{Context, path};
use crate::{failure::Result, resolve};
use serde_json::Value;

pub(super) use crate::verbs::wait::WaitArgs;

/// Requests a change and waits until it is complete, unless the flags say otherwise. The returned cluster
/// shows whether the change succeeded.
pub(super) fn until_settled(
    context: &Context,
    args: WaitArgs,
    what: &str,
    request: impl FnOnce() -> Result<Value>,
) -> Result<Value> {
    args.until_complete(
        what,
        request,
        |cluster| context.client.get(&path(cluster, "")),
        |cluster| (!is_settled(cluster)).then(|| operation(cluster).to_lowercase().replace('_', " ")),
        |cluster| format!("ootheca cluster info {}", resolve::name(cluster)),
    )
}

fn operation(cluster: &Value) -> &str {
    match cluster["operation_status"].as_str().unwrap_or_default() {
        "UNSPECIFIED" | "CLUSTER_STATUS_UNSPECIFIED" => "",
        operation => operation,
    }
}

/// Whether the cluster won't change its state without another request.
fn is_settled(cluster: &Value) -> bool {
    let creating = matches!(cluster["state"].as_str(), Some("CREATING"));
    let operation = operation(cluster);
    !creating && (operation.is_empty() || operation.ends_with("_FAILED") || operation.contains("PENDING"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cluster_is_settled_without_a_running_operation() {
        let settled = |state: &str, operation: &str| {
            is_settled(&json!({ "state": state, "operation_status": operation }))
        };
        assert!(settled("CREATED", "UNSPECIFIED") && settled("CREATION_FAILED", ""));
        assert!(!settled("CREATING", "UNSPECIFIED"));
        assert!(!settled("CREATED", "CRDB_MAJOR_UPGRADE_RUNNING"));
        assert!(settled("CREATED", "CRDB_MAJOR_UPGRADE_FAILED"));
    }
}
