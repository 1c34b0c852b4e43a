//! Waiting until a cluster has become what was asked for.

use super::{Context, path};
use crate::{
    failure::{Exit, Failure, Result},
    resolve, talk,
};
use clap::Args;
use serde_json::Value;
use std::{
    thread,
    time::{Duration, Instant},
};

/// How often is asked.
const LOOK: Duration = Duration::from_millis(500);

/// Flags of what may take long.
#[derive(Args, Clone, Copy, Default)]
pub(crate) struct WaitArgs {
    /// Wait until it is done; that is the default
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Return at once
    #[arg(long)]
    no_wait: bool,
    /// Give up waiting after so many seconds; the work goes on
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    timeout: u64,
}

impl WaitArgs {
    /// Whether is waited at all.
    fn waits(self) -> bool {
        self.wait || !self.no_wait
    }
}

/// Asks for a change and says so; the cluster once nothing is at work on it, or at once. It may have
/// failed.
pub(super) fn done(
    context: &Context,
    args: WaitArgs,
    what: &str,
    ask: impl FnOnce() -> Result<Value>,
) -> Result<Value> {
    let mut progress = talk::progress(what);
    let mut cluster = ask()?;
    let deadline = Instant::now().checked_add(Duration::from_secs(args.timeout));
    while args.waits() && !is_settled(&cluster) {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            drop(progress);
            let name = resolve::name(&cluster);
            let message = format!("not done within {} s: {what}", args.timeout);
            let hint =
                format!("the server goes on with it; `ootheca cluster info {name}` shows how far it is");
            return Err(Failure::new(Exit::GivenUp, message).hint(hint));
        }
        thread::sleep(LOOK);
        cluster = context.client.get(&path(&cluster, ""))?;
        progress.now(&match operation(&cluster) {
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

/// Whether nothing is at work on it that could end by itself.
fn is_settled(cluster: &Value) -> bool {
    let at_work = matches!(cluster["state"].as_str(), Some("CREATING"));
    let operation = operation(cluster);
    !at_work && (operation.is_empty() || operation.ends_with("_FAILED") || operation.contains("PENDING"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_ends_the_waiting() {
        let settled = |state: &str, operation: &str| {
            is_settled(&json!({ "state": state, "operation_status": operation }))
        };
        assert!(settled("CREATED", "UNSPECIFIED") && settled("CREATION_FAILED", ""));
        assert!(!settled("CREATING", "UNSPECIFIED"));
        assert!(!settled("CREATED", "CRDB_MAJOR_UPGRADE_RUNNING"));
        assert!(settled("CREATED", "CRDB_MAJOR_UPGRADE_FAILED"));
    }
}
