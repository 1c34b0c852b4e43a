//! How long patches are deferred. This is recorded; patches are not applied yet.

use super::DateTime;
use ootheca_model::{Timestamp, cluster::ClusterVersionDeferralPolicy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::IgnoredAny};

/// How long the patches of a cluster are deferred. The policy is recorded; patches are not applied yet.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ClusterVersionDeferral {
    /// The policy; `NOT_DEFERRED` unless it was set. `FIXED_DEFERRAL` means the same as `DEFERRAL_60_DAYS`.
    pub deferral_policy: ClusterVersionDeferralPolicy,
    /// Until when the next patch is deferred. Always omitted, because patches are not applied yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DateTime>")]
    pub deferred_until: Option<Timestamp>,
}

/// Body of `SetClusterVersionDeferral`, for ADVANCED clusters. The policy is recorded; patches are not applied yet.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct ClusterVersionDeferralUpdate {
    /// The policy. Required.
    pub deferral_policy: Option<ClusterVersionDeferralPolicy>,
    /// Ignored.
    #[schemars(with = "Option<DateTime>")]
    pub deferred_until: Option<IgnoredAny>,
}
