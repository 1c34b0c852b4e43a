//! The backup configuration of a cluster.

use crate::{Cluster, Error, Plan, Result, Timestamp};
use serde::{Deserialize, Serialize};

/// The allowed minutes between two backups.
pub const FREQUENCIES: [u16; 7] = [5, 10, 15, 30, 60, 240, 1440];

/// The allowed days for which each backup is kept.
pub const RETENTIONS: [u16; 5] = [2, 7, 30, 90, 365];

/// Clients recognize this text, so it doesn't name the field.
const RETENTION_IS_SET: &str =
    "cluster already has a retention policy set, open a support ticket to change it";

/// How often a cluster is backed up, and how long each backup is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupConfiguration {
    pub enabled: bool,
    /// The minutes between two backups.
    pub frequency_minutes: u16,
    /// The days for which each backup is kept.
    pub retention_days: u16,
    /// Whether a caller has changed the retention, which is possible once.
    pub retention_changed: bool,
    /// When a caller last enabled backups that were disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled_at: Option<Timestamp>,
}

/// A request to change the configuration. `None` means no change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupPatch {
    pub enabled: Option<bool>,
    /// The minutes between two backups.
    pub frequency_minutes: Option<i32>,
    /// The days for which each backup is kept.
    pub retention_days: Option<i32>,
}

impl BackupConfiguration {
    /// The configuration of a new cluster. That of BASIC can't be changed.
    pub fn default_of(plan: Plan) -> Self {
        let frequency_minutes = match plan {
            Plan::Basic => 1440,
            Plan::Standard | Plan::Advanced => 60,
        };
        Self {
            enabled: true,
            frequency_minutes,
            retention_days: 30,
            retention_changed: false,
            enabled_at: None,
        }
    }

    /// The configuration after a change to `plan`: the fixed one of BASIC, or the same as before.
    #[must_use]
    pub fn on_plan(self, plan: Plan) -> Self {
        match plan {
            // Otherwise, changing to BASIC and back would allow another change of the retention.
            Plan::Basic => Self { retention_changed: self.retention_changed, ..Self::default_of(plan) },
            Plan::Standard | Plan::Advanced => self,
        }
    }

    /// Applies `patch` on `plan`, or returns the first rule that it violates. An empty patch is always valid.
    pub fn patched(self, plan: Plan, patch: &BackupPatch) -> Result<Self> {
        if *patch == BackupPatch::default() {
            return Ok(self);
        }
        if plan == Plan::Basic {
            let message =
                "plan: the backup configuration of a BASIC cluster can't be changed; change its plan first";
            return Err(Error::precondition(message));
        }
        let frequency = one_of("frequency_minutes", patch.frequency_minutes, &FREQUENCIES)?;
        let retention = one_of("retention_days", patch.retention_days, &RETENTIONS)?;
        if patch.enabled == Some(false) && (frequency.is_some() || retention.is_some()) {
            let field = if frequency.is_some() { "frequency_minutes" } else { "retention_days" };
            return Err(Error::invalid(field, "can't be combined with enabled: false"));
        }
        let retention_days = retention.unwrap_or(self.retention_days);
        let changes_retention = retention_days != self.retention_days;
        if changes_retention && self.retention_changed {
            return Err(Error::precondition(RETENTION_IS_SET));
        }
        Ok(Self {
            enabled: patch.enabled.unwrap_or(self.enabled),
            frequency_minutes: frequency.unwrap_or(self.frequency_minutes),
            retention_days,
            retention_changed: self.retention_changed || changes_retention,
            enabled_at: self.enabled_at,
        })
    }
}

/// Applies `patch` to the configuration of a cluster. A patch that changes nothing is valid.
pub fn patch(before: &Cluster, patch: &BackupPatch, now: Timestamp) -> Result<Cluster> {
    let current = before.backup_configuration();
    let mut changed = current.patched(before.plan, patch)?;
    let mut after = before.clone();
    if changed != current {
        if changed.enabled && !current.enabled {
            changed.enabled_at = Some(now);
        }
        after.backup = Some(changed);
        after.updated_at = now;
    }
    Ok(after)
}

/// The allowed values as text, for messages and help.
pub fn choices(allowed: &[u16]) -> String {
    allowed.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

fn one_of(field: &str, value: Option<i32>, allowed: &[u16]) -> Result<Option<u16>> {
    let Some(value) = value else { return Ok(None) };
    let found = allowed.iter().copied().find(|choice| i32::from(*choice) == value);
    found.map(Some).ok_or_else(|| Error::invalid(field, format!("must be one of {}", choices(allowed))))
}

#[cfg(test)]
#[path = "configuration_tests.rs"]
mod tests;
