//! The desired and the observed state of a cluster's instance, which the reconciler and the engine exchange.

use crate::{ClusterId, Timestamp};
use serde::{Deserialize, Serialize};

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
    /// The major version of the engine, for example `15`.
    pub engine_major: String,
    /// The CPU limit in thousandths of a vCPU; `None` means unlimited.
    pub cpu_millis: Option<u32>,
    /// Whether the server runs. The generation does not change with it. Plans that differ in nothing else are
    /// applied in the order in which they arrive.
    #[serde(default)]
    pub power: Power,
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
    /// `retry_at`.
    Down,
    /// The instance was stopped because the plan's power is off. No process is left.
    Suspended,
}

/// A server process of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The name: `n1`, `n2`, …
    pub name: String,
    /// Whether the server accepts connections.
    pub live: bool,
    /// The process id, if there is a process.
    pub pid: Option<u32>,
}

/// What an engine observes of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    pub cluster: ClusterId,
    /// The generation that was last applied; 0 if there is no instance.
    pub generation: u64,
    pub phase: Phase,
    /// The version that is running, for example `PostgreSQL 15.18`; empty if unknown.
    pub engine: String,
    /// The server processes.
    pub nodes: Vec<Node>,
    /// The conditions to report to the user, for example that CPU is not limited on this machine.
    pub conditions: Vec<Condition>,
    /// The time of the next start attempt after a crash.
    pub retry_at: Option<Timestamp>,
    /// The location of the data, for display; empty if unknown.
    pub location: String,
}

impl Observed {
    /// There is no instance.
    pub fn absent(cluster: ClusterId) -> Self {
        Self {
            cluster,
            generation: 0,
            phase: Phase::Absent,
            engine: String::new(),
            nodes: Vec::new(),
            conditions: Vec::new(),
            retry_at: None,
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
}

/// The result of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// All processes and files are removed.
    Gone,
    /// The removal is in progress; repeat the call.
    Going,
}
