//! What should run for a cluster, and what is seen to run. The language between reconciler and engine.

use crate::{ClusterId, Timestamp};
use serde::{Deserialize, Serialize};

/// Whether a cluster's SQL server should run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// It runs.
    #[default]
    On,
    /// Stopped in order, data kept: scaled to zero.
    Off,
}

/// The desired state of a cluster's SQL server. Recorded before the world is touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstancePlan {
    /// The cluster.
    pub cluster: ClusterId,
    /// Grows with every change of the plan; an engine refuses an older one.
    pub generation: u64,
    /// Major version of the engine, for example `15`.
    pub engine_major: String,
    /// CPU bound in thousandths of a vCPU; `None` is unbounded.
    pub cpu_millis: Option<u32>,
    /// Whether the server runs. Changes without a new generation: two plans that differ in nothing
    /// else are applied in the order in which they come.
    #[serde(default)]
    pub power: Power,
}

/// Where an instance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Nothing is there.
    Absent,
    /// Being made or started.
    Starting,
    /// Answers SQL.
    Ready,
    /// Stopped or died; the engine starts it again at the next `ensure` after `retry_at`.
    Down,
    /// Stopped because the plan's power is off; no process is left.
    Suspended,
}

/// One server process of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `n1`, `n2`, …
    pub name: String,
    /// Whether it answers.
    pub live: bool,
    /// Process id, where there is a process.
    pub pid: Option<u32>,
}

/// What an engine sees of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The cluster.
    pub cluster: ClusterId,
    /// The generation last applied; 0 when absent.
    pub generation: u64,
    /// Where it stands.
    pub phase: Phase,
    /// What really runs, for example `PostgreSQL 15.18`; empty while unknown.
    pub engine: String,
    /// Its processes.
    pub nodes: Vec<Node>,
    /// What a user should know, for example that CPU is not bounded here.
    pub conditions: Vec<Condition>,
    /// When a crashed instance is tried again.
    pub retry_at: Option<Timestamp>,
    /// Where its data is, for people; empty while unknown.
    pub location: String,
}

impl Observed {
    /// Nothing is there.
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

    /// The data of a cluster that was created before is not here. `message` says what is missing.
    pub fn data_missing(cluster: ClusterId, message: String) -> Self {
        let condition = Condition { kind: Condition::DATA_MISSING.to_owned(), holds: true, message };
        Self { conditions: vec![condition], ..Self::absent(cluster) }
    }
}

/// A fact about a cluster that its plain state does not tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// One word in camel case, for example `CpuLimited`.
    pub kind: String,
    /// Whether it holds.
    pub holds: bool,
    /// One sentence for a person.
    pub message: String,
}

impl Condition {
    /// The data of the cluster is not where the engine keeps it. The engine never makes new data in its place.
    pub const DATA_MISSING: &str = "DataMissing";
}

/// The answer to a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// No process, no file is left.
    Gone,
    /// Still at work; ask again.
    Going,
}
