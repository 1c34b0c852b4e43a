//! The nodes of a cluster: what is stored about them, and the decisions about them.
//!
//! The row of a cluster decides which nodes there are, which of them is the primary, and whose confirmations count.
//! Whether a node runs, streams, or lags is only observed, see [`crate::instance`].

mod failover;
mod order;
mod placement;
mod quorum;

pub use failover::{Decision, FailoverFacts, Received, WalPosition, check_promotion, decide};
pub use order::{NextRestart, next_restart};
pub use placement::{Placement, ZONES, place, zone_of};
pub use quorum::{has_needed_answers, needed, quorum_of};

use crate::{Error, Timestamp};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The number of a node, which is never used again in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The only node of a cluster with one node.
    pub const FIRST: Self = Self(1);

    /// Whether it is the first node.
    pub fn is_first(&self) -> bool {
        *self == Self::FIRST
    }
}

impl Default for NodeId {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl FromStr for NodeId {
    type Err = Error;

    /// Accepts only what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix('n').and_then(|number| number.parse().ok()).map(Self);
        let exact = number.filter(|node| node.to_string() == text);
        exact.ok_or_else(|| Error::invalid("node", format!("{text:?} is not a node such as n1")))
    }
}

/// A node as the row of its cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpec {
    pub id: NodeId,
    pub region: String,
    pub zone: String,
    pub stage: NodeStage,
}

/// Whether a node belongs to its cluster already, and still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeStage {
    /// It is being built, and is in no quorum.
    Joining,
    /// It belongs to the cluster.
    Member,
    /// It is to be removed.
    Leaving,
}

/// Which node is the primary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leadership {
    pub primary: NodeId,
    /// Increases with every change of the primary.
    pub term: u64,
    /// The change of the primary in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<PrimaryChange>,
}

impl Leadership {
    /// Whether the first node has been the primary from the beginning.
    pub fn is_initial(&self) -> bool {
        *self == Self::default()
    }
}

/// A change of the primary. Until the row names `to` as the primary, `from` is still the primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrimaryChange {
    pub from: NodeId,
    pub to: NodeId,
    pub kind: ChangeKind,
    pub begun_at: Timestamp,
}

/// Why the primary changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The old primary does not work.
    Failover,
    /// The change is planned.
    Switchover,
}

/// The standbys whose confirmation of a commit counts, and how many of them must confirm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// Sorted.
    pub standbys: Vec<NodeId>,
    pub confirmations: u32,
}

/// An operation on the nodes of a cluster, in progress or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    pub kind: OperationKind,
    pub started_at: Timestamp,
    /// Why the operation has failed; `None` while it is in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// The kind of an [`Operation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    Scale,
    InstanceUpdate,
    Patch,
    MajorUpgrade,
    MajorRollback,
    Disruption,
    Maintenance,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_is_read_as_it_is_written() {
        assert_eq!("n12".parse::<NodeId>().unwrap(), NodeId(12));
        assert_eq!(NodeId(12).to_string(), "n12");
        for text in ["", "n", "12", "n012", "n+1", "n-1", "N1", "n1 ", "n4294967296"] {
            text.parse::<NodeId>().unwrap_err();
        }
    }
}
