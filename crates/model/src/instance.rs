//! The desired and the observed state of a cluster's instance, which the reconciler and the engine exchange.

use crate::{
    ClusterId, Error, ErrorKind, Result,
    node::{NodeId, Quorum},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Whether the SQL server of a cluster should run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// The server runs.
    #[default]
    On,
    /// The server is stopped cleanly and its data is kept, because the cluster is scaled to zero.
    Off,
}

/// The desired state of a cluster's SQL server. Recorded before it is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstancePlan {
    pub cluster: ClusterId,
    /// Increases with every change of the plan. An engine rejects an older generation.
    pub generation: u64,
    /// The data epoch: the number of the data directory that the server uses. An engine rejects an older epoch.
    #[serde(default)]
    pub epoch: u64,
    /// The major version of the engine, for example `15`.
    pub engine_major: String,
    /// The CPU limit in thousandths of a vCPU; `None` means unlimited.
    pub cpu_millis: Option<u32>,
    /// Whether the server runs. The generation does not change with it. Plans that differ in nothing else are
    /// applied in the order in which they arrive.
    #[serde(default)]
    pub power: Power,
    /// The nodes of a cluster with several nodes, by number. Empty for a cluster with one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodePlan>,
    #[serde(default, skip_serializing_if = "NodeId::is_first")]
    pub primary: NodeId,
    /// Increases with every change of the primary, which is no change of the generation. An engine rejects an older
    /// term.
    #[serde(default, skip_serializing_if = "is_first_term")]
    pub term: u64,
    /// The quorum to apply at the primary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Quorum>,
}

fn is_first_term(term: &u64) -> bool {
    *term == 0
}

/// The desired state of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePlan {
    pub id: NodeId,
    /// The CPU limit in thousandths of a vCPU; `None` means unlimited.
    pub cpu_millis: Option<u32>,
    /// The memory limit; `None` means unlimited.
    pub memory_mib: Option<u32>,
    /// Whether the server of the node runs. All servers are off while the power of the plan is.
    pub power: Power,
}

impl InstancePlan {
    /// Returns `Stale` if `plan` is older than this one.
    pub fn check_successor(&self, plan: &Self) -> Result<()> {
        for (what, old, new) in [
            ("epoch", plan.epoch, self.epoch),
            ("term", plan.term, self.term),
            ("generation", plan.generation, self.generation),
        ] {
            if old < new {
                let message = format!("{what} {old} is older than the current {what} {new}");
                return Err(Error::new(ErrorKind::Stale, message));
            }
        }
        Ok(())
    }
}

/// The phase of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// There is no instance.
    Absent,
    /// The instance is being created or started.
    Starting,
    /// The instance accepts SQL connections.
    Ready,
    /// The instance was stopped or has crashed. The engine starts it again at the next `ensure` after
    /// `retry_after`.
    Down,
    /// The instance was stopped because the plan's power is off. No process is left.
    Suspended,
}

/// What the server of a node does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeRole {
    /// It accepts writes, or will once it has started.
    Primary,
    /// It replays the WAL of the primary.
    Standby,
    /// It does not run.
    #[default]
    None,
}

/// A server process of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub id: NodeId,
    /// The name: `n1`, `n2`, …
    pub name: String,
    pub role: NodeRole,
    /// Whether it is a primary that accepts connections, or a standby that streams from the primary.
    pub live: bool,
    /// How many bytes of WAL a standby has not received yet; `None` if unknown.
    pub lag_bytes: Option<u64>,
    /// The version that is running; empty if unknown.
    pub version: String,
    /// The process ID, if there is a process.
    pub pid: Option<u32>,
}

/// What an engine observes of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    pub cluster: ClusterId,
    /// The generation that was last applied; 0 if there is no instance.
    pub generation: u64,
    /// The term that was last applied.
    pub term: u64,
    /// The node that accepts writes.
    pub primary: Option<NodeId>,
    /// The phase of the primary.
    pub phase: Phase,
    /// The version that is running, for example `PostgreSQL 15.18`; empty if unknown.
    pub engine: String,
    /// The server processes.
    pub nodes: Vec<Node>,
    /// The conditions to report to the user, for example that CPU is not limited on this machine.
    pub conditions: Vec<Condition>,
    /// The time until the next start attempt after a crash.
    pub retry_after: Option<Duration>,
    /// The location of the data, for display; empty if unknown.
    pub location: String,
}

impl Observed {
    /// There is no instance.
    pub fn absent(cluster: ClusterId) -> Self {
        Self {
            cluster,
            generation: 0,
            term: 0,
            primary: None,
            phase: Phase::Absent,
            engine: String::new(),
            nodes: Vec::new(),
            conditions: Vec::new(),
            retry_after: None,
            location: String::new(),
        }
    }

    /// The data of a cluster that was created before is missing. `message` says what is missing.
    pub fn data_missing(cluster: ClusterId, message: String) -> Self {
        let condition = Condition { kind: Condition::DATA_MISSING.to_owned(), holds: true, message };
        Self { conditions: vec![condition], ..Self::absent(cluster) }
    }
}

/// A fact about a cluster that its state does not express.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The type as one word in camel case, for example `CpuLimited`.
    pub kind: String,
    /// Whether the condition is true.
    pub holds: bool,
    /// A sentence for the user.
    pub message: String,
}

impl Condition {
    /// The data of the cluster is not where the engine stores it. The engine never creates new data in its
    /// place.
    pub const DATA_MISSING: &str = "DataMissing";
    /// The server runs but does not respond to connections. It is killed and started again.
    pub const NOT_RESPONDING: &str = "NotResponding";
    /// The servers of a cluster with several nodes can connect to servers of other clusters.
    pub const SANDBOX_REDUCED: &str = "SandboxReduced";
    /// The newest backups of the cluster are damaged or missing in the repository, and no new base was taken yet.
    pub const BACKUP_DAMAGED: &str = "BackupDamaged";
    /// A backup of the cluster is long overdue, because it fails or does not end.
    pub const BACKUP_FAILED: &str = "BackupFailed";
    /// The configuration of the cluster enables backups, but the settings of the server turn them off.
    pub const BACKUPS_DISABLED: &str = "BackupsDisabled";
    /// The primary is lost, and too few of the other nodes respond to replace it without losing commits.
    pub const QUORUM_LOST: &str = "QuorumLost";
}

/// The result of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// All processes and files are removed.
    Gone,
    /// The removal is in progress; repeat the call.
    Going,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(epoch: u64, term: u64, generation: u64) -> InstancePlan {
        InstancePlan {
            cluster: ClusterId(uuid::Uuid::nil()),
            generation,
            epoch,
            engine_major: "15".to_owned(),
            cpu_millis: None,
            power: Power::On,
            nodes: Vec::new(),
            primary: NodeId::FIRST,
            term,
            quorum: None,
        }
    }

    #[test]
    fn plans_without_an_epoch_and_nodes_are_those_of_one_node_and_epoch_0() {
        let cluster = "01234567-89ab-cdef-0123-456789abcdef";
        let text = format!(
            r#"{{"cluster":"{cluster}","generation":7,"engine_major":"15","cpu_millis":null,"power":"off"}}"#
        );
        let plan: InstancePlan = serde_json::from_str(&text).unwrap();
        assert_eq!((plan.generation, plan.epoch, plan.power), (7, 0, Power::Off));
        assert_eq!((plan.nodes.len(), plan.primary, plan.term), (0, NodeId::FIRST, 0));
    }

    #[test]
    fn a_plan_of_one_node_is_written_without_nodes() {
        let text = serde_json::to_string(&plan(0, 0, 7)).unwrap();
        for field in ["nodes", "primary", "term", "quorum"] {
            assert!(!text.contains(field), "{text}");
        }
    }

    #[test]
    fn plans_with_an_older_epoch_term_or_generation_are_stale() {
        let current = plan(1, 3, 5);
        for (epoch, term, generation) in [(1, 3, 5), (1, 3, 6), (1, 4, 5), (2, 3, 5)] {
            current.check_successor(&plan(epoch, term, generation)).unwrap();
        }
        for (epoch, term, generation) in [(0, 3, 5), (0, 9, 9), (1, 2, 6), (1, 3, 4), (2, 4, 4), (2, 2, 5)] {
            let error = current.check_successor(&plan(epoch, term, generation)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Stale, "{epoch} {term} {generation}: {error}");
        }
    }
}
