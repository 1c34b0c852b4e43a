//! Removes events that are older than the configured retention.

use crate::context::Context;
use ootheca_model::Timestamp;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::timeout};

/// How often old events are removed.
const INTERVAL: Duration = Duration::from_secs(600);

/// Removes old events periodically until `stop` is true.
pub async fn run(context: Arc<Context>, mut stop: watch::Receiver<bool>) {
    let mut moved = context.clock_moved.subscribe();
    let kept = Duration::from_secs(u64::from(context.settings.events.retention_days) * 24 * 3600);
    loop {
        let kept = i64::try_from(kept.as_micros()).unwrap_or(i64::MAX);
        let before = Timestamp(context.now().0.saturating_sub(kept));
        if let Err(error) = context.store.forget_events(before).await {
            tracing::warn!(error = error.chain(), "old events not removed");
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = timeout(INTERVAL, moved.changed()) => {}
        }
    }
}
