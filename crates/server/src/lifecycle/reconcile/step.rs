//! The result of a step.

use ootheca_model::{
    Error,
    instance::{Observed, Phase, Power},
};
use std::time::Duration;

/// When to check again for missing data.
const DATA_WAIT: Duration = Duration::from_secs(5);

/// The result of a step.
#[derive(Debug)]
pub enum Step {
    /// The cluster has its desired state.
    Done,
    /// Check again after this time, or at the next hint.
    Again(Duration),
    /// A cluster could not be created, or a backup could not be restored. Too many of these attempts are the end of
    /// the cluster or the restore.
    NotAchieved(Error),
}

/// When to check again; usually a hint comes first.
pub(super) fn next(wanted: Power, observed: &Observed) -> Step {
    match (observed.phase, observed.retry_after) {
        (Phase::Ready, _) if wanted == Power::On => Step::Done,
        (Phase::Suspended, _) if wanted == Power::Off => Step::Done,
        (Phase::Absent, _) => Step::Again(DATA_WAIT),
        (_, Some(after)) => Step::Again(after.max(Duration::from_millis(10))),
        _ => Step::Again(Duration::from_millis(500)),
    }
}
