//! Waits until a change of a cluster is complete.

use super::{Context, path};
use crate::{
    failure::{Exit, Failure, Result},
    resolve, terminal,
};
use clap::Args;
use serde_json::Value;
use std::{
    thread,
    time::{Duration, Instant},
};

/// How often the cluster is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Flags of changes that can take long.
#[derive(Args, Clone, Copy, Default)]
pub(crate) struct WaitArgs {
    /// Wait until the change is complete (the default)
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Return immediately
    #[arg(long)]
    no_wait: bool,
    /// Stop waiting after this number of seconds; the server continues the change
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    timeout: u64,
}

impl WaitArgs {
    /// Whether to wait.
    fn waits(self) -> bool {
        self.wait || !self.no_wait
    }
}

/// Requests a change and waits until it is complete, unless the flags say otherwise. The returned cluster
/// shows whether the change succeeded.
pub(super) fn until_settled(
    context: &Context,
    args: WaitArgs,
    what: &str,
    request: impl FnOnce() -> Result<Value>,
) -> Result<Value> {
    let mut progress = terminal::progress(what);
    let mut cluster = request()?;
    let deadline = Instant::now().checked_add(Duration::from_secs(args.timeout));
    while args.waits() && !is_settled(&cluster) {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            drop(progress);
            let name = resolve::name(&cluster);
            let message = format!("timed out after {} seconds: {what}", args.timeout);
            let hint = format!("the server continues; check the state with `ootheca cluster info {name}`");
            return Err(Failure::new(Exit::TimedOut, message).hint(hint));
        }
        thread::sleep(POLL_INTERVAL);
        cluster = context.client.get(&path(&cluster, ""))?;
        progress.update(&match operation(&cluster) {
            "" => what.to_owned(),
            operation => format!("{what} {}", operation.to_lowercase().replace('_', " ")),
        });
    }
    Ok(cluster)
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
