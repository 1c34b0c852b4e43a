//! Reports the activity of clusters to the directory.

use super::Registry;
use crate::Directory;
use std::{sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval};

const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Reports every second. Never returns.
pub(crate) async fn run(directory: Arc<dyn Directory>, registry: Arc<Registry>) {
    let mut interval = interval(REPORT_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        interval.tick().await;
        let cause = report(&*directory, &registry).await.err();
        match &cause {
            Some(cause) if !failing => tracing::warn!(cause, "activity report failed; retrying"),
            None if failing => tracing::info!("activity reports succeed again"),
            _ => {}
        }
        failing = cause.is_some();
    }
}

/// Reports the activity since the last successful report.
pub(crate) async fn report(directory: &dyn Directory, registry: &Registry) -> Result<(), String> {
    let activities = registry.unreported();
    if !activities.is_empty() {
        directory.report(activities.clone()).await.map_err(|error| error.chain())?;
    }
    registry.mark_reported(&activities);
    Ok(())
}
