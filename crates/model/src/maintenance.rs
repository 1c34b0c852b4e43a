//! The maintenance window of an ADVANCED cluster, and how long its patches are deferred. Both are recorded; patches
//! are not applied yet, so nothing is scheduled by them.

use crate::{Cluster, Error, Plan, Result, Timestamp, cluster::ClusterVersionDeferralPolicy};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// The allowed seconds from the start of a week until the window starts: less than a week.
const OFFSETS: RangeInclusive<u32> = 0..=604_799;
/// The allowed lengths in seconds: at least six hours, and less than a week.
const LENGTHS: RangeInclusive<u32> = 21_600..=604_799;

const OFFSET_RULE: &str = "must be whole seconds such as 172800s, from 0s (Monday, 00:00 UTC) to 604799s";
const LENGTH_RULE: &str = "must be whole seconds such as 21600s, from 21600s (6 hours) to 604799s";

/// A weekly time in which a cluster may be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceWindow {
    /// The seconds from Monday, 00:00 UTC, until the window starts.
    pub offset_seconds: u32,
    /// The length in seconds.
    pub length_seconds: u32,
}

impl MaintenanceWindow {
    /// Reads a window from its two texts on the wire, or returns the first rule that is violated.
    pub fn parse(offset: Option<&str>, length: Option<&str>) -> Result<Self> {
        Ok(Self {
            offset_seconds: seconds("offset_duration", offset, &OFFSETS, OFFSET_RULE)?,
            length_seconds: seconds("window_duration", length, &LENGTHS, LENGTH_RULE)?,
        })
    }
}

/// Seconds as text on the wire.
pub fn duration(seconds: u32) -> String {
    format!("{seconds}s")
}

/// Only one spelling of each duration is allowed, because clients expect exactly what they have sent.
fn seconds(field: &str, text: Option<&str>, allowed: &RangeInclusive<u32>, rule: &str) -> Result<u32> {
    let text = text.ok_or_else(|| Error::invalid(field, "is required"))?;
    let number = text.strip_suffix('s').and_then(|number| number.parse::<u32>().ok());
    let valid = number.filter(|number| allowed.contains(number) && duration(*number) == text);
    valid.ok_or_else(|| Error::invalid(field, rule))
}

/// Sets the maintenance window of a cluster. Setting the current one changes nothing.
pub fn set_window(
    before: &Cluster,
    offset: Option<&str>,
    length: Option<&str>,
    now: Timestamp,
) -> Result<(Cluster, MaintenanceWindow)> {
    check_plan(before, "maintenance windows are supported for advanced clusters only")?;
    let window = MaintenanceWindow::parse(offset, length)?;
    let after = Cluster { maintenance_window: Some(window), ..before.clone() };
    Ok((touched(before, after, now), window))
}

/// Removes the maintenance window of a cluster.
pub fn delete_window(before: &Cluster, now: Timestamp) -> Result<(Cluster, MaintenanceWindow)> {
    let window = existing_window(before)?;
    let after = Cluster { maintenance_window: None, ..before.clone() };
    Ok((touched(before, after, now), window))
}

/// The maintenance window of a cluster, which has none at first.
pub fn existing_window(cluster: &Cluster) -> Result<MaintenanceWindow> {
    cluster.maintenance_window.ok_or_else(|| Error::not_found("maintenance window"))
}

/// Sets how long the patches of a cluster are deferred.
pub fn set_deferral(
    before: &Cluster,
    policy: Option<ClusterVersionDeferralPolicy>,
    now: Timestamp,
) -> Result<Cluster> {
    check_plan(before, "version deferral is supported for advanced clusters only")?;
    let policy = policy.ok_or_else(|| Error::invalid("deferral_policy", "is required"))?;
    let version_deferral = Some(policy).filter(|policy| *policy != ClusterVersionDeferralPolicy::NotDeferred);
    Ok(touched(before, Cluster { version_deferral, ..before.clone() }, now))
}

/// Clients recognize the text of `refusal`, so it doesn't name a field.
fn check_plan(cluster: &Cluster, refusal: &str) -> Result<()> {
    if cluster.plan == Plan::Advanced { Ok(()) } else { Err(Error::precondition(refusal)) }
}

fn touched(before: &Cluster, after: Cluster, now: Timestamp) -> Cluster {
    if after == *before { after } else { Cluster { updated_at: now, ..after } }
}

#[cfg(test)]
mod tests;
