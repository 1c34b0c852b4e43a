//! Blackout windows. They are recorded; nothing is scheduled yet that they could block.

use super::{DateTime, KeysetPaginationResponse};
use crate::params::path_params;
use ootheca_model::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

path_params! {
    /// A blackout window of a cluster.
    BlackoutWindowPath {
        /// ID of the cluster.
        cluster_id: String,
        /// ID of the blackout window.
        blackout_window_id: String,
    }
}

/// A time in which nothing that interrupts SQL clients of an ADVANCED cluster is scheduled. The window is recorded;
/// nothing is scheduled yet that it could block.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct BlackoutWindow {
    /// ID of the blackout window.
    pub id: String,
    /// ID of the cluster.
    pub cluster_id: String,
    /// When the window starts.
    #[schemars(with = "DateTime")]
    pub start_time: Timestamp,
    /// When the window ends.
    #[schemars(with = "DateTime")]
    pub end_time: Timestamp,
}

/// Response of `ListBlackoutWindows`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListBlackoutWindowsResponse {
    /// Blackout windows, ordered by their start, including those that have ended.
    pub blackout_windows: Vec<BlackoutWindow>,
    /// Tokens of the neighboring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Body of `CreateBlackoutWindow`, for ADVANCED clusters. The window is recorded; nothing is scheduled yet that it
/// could block.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CreateBlackoutWindowBody {
    /// When the window starts: at least 7 days from now. Required.
    #[schemars(with = "Option<DateTime>")]
    pub start_time: Option<Timestamp>,
    /// When the window ends: at most 14 days after its start, and at most 3 months from now. Required.
    #[schemars(with = "Option<DateTime>")]
    pub end_time: Option<Timestamp>,
}

/// Body of `UpdateBlackoutWindow`. Omitted members are not changed. A window that has ended can't be changed. The
/// window is recorded; nothing is scheduled yet that it could block.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct UpdateBlackoutWindowBody {
    /// When the window starts: if it is another time than before, at least 7 days from now.
    #[schemars(with = "Option<DateTime>")]
    pub start_time: Option<Timestamp>,
    /// When the window ends: at most 14 days after its start, and if it is another time than before, in the future
    /// and at most 3 months from now.
    #[schemars(with = "Option<DateTime>")]
    pub end_time: Option<Timestamp>,
}
