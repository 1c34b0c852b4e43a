//! The test clock.

use crate::wire::DateTime;
use ootheca_model::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The test clock.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Clock {
    /// The current time.
    #[schemars(with = "DateTime")]
    pub now: Timestamp,
}

/// Body of `AdvanceClock`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdvanceClockRequest {
    /// By how many seconds to advance the clock. 0 only starts the work that is due.
    #[schemars(required, range(min = 0))]
    pub advance_seconds: Option<i64>,
}
