//! Blackout windows of ADVANCED clusters: times in which nothing that interrupts SQL clients is scheduled. They are
//! recorded; nothing is scheduled yet.

use crate::{Cluster, ClusterId, Error, ErrorKind, OrganizationId, Plan, Result, Timestamp, period};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// In seconds.
const DAY: u64 = 24 * 3600;
/// The minimum time between a change of the start and the start.
const NOTICE: Duration = Duration::from_secs(7 * DAY);
/// The maximum length.
const LENGTH: Duration = Duration::from_secs(14 * DAY);
/// The maximum calendar months between a change of the end and the end.
const MONTHS: u32 = 3;

/// Clients recognize this text, so it doesn't name a field.
const PLAN: &str = "invalid argument: blackout windows are supported for advanced clusters only";

const ENDED: &str = "blackout window has ended and can't be changed; create another one";

/// A blackout window. The windows of a cluster can overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlackoutWindow {
    pub organization: OrganizationId,
    pub cluster: ClusterId,
    /// The ID, a UUID.
    pub id: String,
    pub start_time: Timestamp,
    pub end_time: Timestamp,
    pub created_at: Timestamp,
}

/// A request to change a window. `None` means no change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlackoutPatch {
    pub start_time: Option<Timestamp>,
    pub end_time: Option<Timestamp>,
}

impl BlackoutWindow {
    /// Sorts windows by their start.
    pub fn sort_key(&self) -> String {
        self.start_time.to_string()
    }
}

/// Creates a window, or returns the first rule that the request violates.
pub fn create(
    cluster: &Cluster,
    id: String,
    request: &BlackoutPatch,
    now: Timestamp,
) -> Result<BlackoutWindow> {
    if cluster.plan != Plan::Advanced {
        return Err(Error::new(ErrorKind::Invalid, PLAN));
    }
    let required =
        |field: &str, time: Option<Timestamp>| time.ok_or_else(|| Error::invalid(field, "is required"));
    let start_time = required("start_time", request.start_time)?;
    let end_time = required("end_time", request.end_time)?;
    check_start(start_time, now)?;
    check_length(start_time, end_time)?;
    check_end(end_time, now)?;
    let (organization, cluster) = (cluster.organization, cluster.id);
    Ok(BlackoutWindow { organization, cluster, id, start_time, end_time, created_at: now })
}

/// Applies `patch`, or returns the first rule that it violates. Only times that change are compared with `now`, so
/// that the end of a window can be changed after its start. A patch that changes nothing is always valid.
pub fn patch(before: &BlackoutWindow, patch: &BlackoutPatch, now: Timestamp) -> Result<BlackoutWindow> {
    let start_time = patch.start_time.unwrap_or(before.start_time);
    let end_time = patch.end_time.unwrap_or(before.end_time);
    let changed = (start_time != before.start_time, end_time != before.end_time);
    if changed == (false, false) {
        return Ok(before.clone());
    }
    if before.end_time <= now {
        return Err(Error::precondition(ENDED));
    }
    if changed.0 {
        check_start(start_time, now)?;
    }
    check_length(start_time, end_time)?;
    if changed.1 {
        check_end(end_time, now)?;
    }
    Ok(BlackoutWindow { start_time, end_time, ..before.clone() })
}

fn check_start(start: Timestamp, now: Timestamp) -> Result<()> {
    if start < now.after(NOTICE) {
        return Err(Error::invalid("start_time", "must be at least 7 days from now"));
    }
    Ok(())
}

fn check_length(start: Timestamp, end: Timestamp) -> Result<()> {
    if end <= start {
        return Err(Error::invalid("end_time", "must be after start_time"));
    }
    if end > start.after(LENGTH) {
        return Err(Error::invalid("end_time", "must be at most 14 days after start_time"));
    }
    Ok(())
}

fn check_end(end: Timestamp, now: Timestamp) -> Result<()> {
    if end <= now {
        return Err(Error::invalid("end_time", "must be in the future"));
    }
    if end > period::months_later(now, MONTHS) {
        return Err(Error::invalid("end_time", "must be at most 3 months from now"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
