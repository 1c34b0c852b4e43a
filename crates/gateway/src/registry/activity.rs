//! Tells the directory, every second, what clusters are used for.

use super::Sessions;
use crate::Directory;
use std::{sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval};

const EVERY: Duration = Duration::from_secs(1);

/// Reports for ever.
pub(crate) async fn run(directory: Arc<dyn Directory>, sessions: Arc<Sessions>) {
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        every.tick().await;
        let cause = report(&*directory, &sessions).await.err();
        match &cause {
            Some(cause) if !failing => tracing::warn!(cause, "activity of clusters is not noted; it is kept"),
            None if failing => tracing::info!("activity of clusters is noted again"),
            _ => {}
        }
        failing = cause.is_some();
    }
}

/// Reports what was not reported yet.
pub(crate) async fn report(directory: &dyn Directory, sessions: &Sessions) -> Result<(), String> {
    let activities = sessions.activities();
    if !activities.is_empty() {
        directory.report(activities.clone()).await.map_err(|error| error.chain())?;
    }
    sessions.reported(&activities);
    Ok(())
}
