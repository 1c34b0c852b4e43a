//! Maintenance windows. They are recorded; patches are not applied yet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The weekly time in which an ADVANCED cluster may be restarted. The window is recorded; patches are not applied
/// yet, so nothing is scheduled by it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct MaintenanceWindow {
    /// Time from Monday, 00:00 UTC, until the window starts, in seconds such as `172800s`.
    pub offset_duration: String,
    /// Length of the window, in seconds such as `21600s`.
    pub window_duration: String,
}

/// Body of `SetMaintenanceWindow`, for ADVANCED clusters. The window is recorded; patches are not applied yet, so
/// nothing is scheduled by it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct MaintenanceWindowRequest {
    /// Time from Monday, 00:00 UTC, until the window starts: from `0s` to `604799s`. Required.
    pub offset_duration: Option<String>,
    /// Length of the window: from `21600s` (6 hours) to `604799s`. Required.
    pub window_duration: Option<String>,
}
