//! Bases.

use crate::{ClusterId, OrganizationId, Timestamp};
use serde::{Deserialize, Serialize};

/// A copy of the data directory of a cluster in the repository. Recorded once it is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// A UUID; with the cluster and the epoch, it names the object in the repository.
    pub id: String,
    pub organization: OrganizationId,
    pub cluster: ClusterId,
    /// The data epoch of the data directory.
    pub epoch: u64,
    /// The engine major version of the data.
    pub engine_major: String,
    /// The first WAL segment that a restore needs; empty if it needs none.
    pub first_segment: String,
    /// The last WAL segment without which the base is not consistent; empty if it needs none.
    pub last_segment: String,
    /// The size of the data in bytes.
    pub bytes: u64,
    /// The size of the object in bytes.
    pub stored_bytes: u64,
    pub created_at: Timestamp,
    /// The last WAL segment that was stored ahead of the next recovery point; empty if there was none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stored_segment: String,
    /// The bytes of WAL that were stored ahead of recovery points.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wal_bytes: u64,
    /// When the object, and the WAL that its recovery points need, were last verified; `None` if they were not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
    /// Whether the last verification found something damaged or missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
}

fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}
