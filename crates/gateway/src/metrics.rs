//! What a gateway has done since it started, in numbers.

use ootheca_model::ClusterId;
use std::{collections::BTreeMap, time::Duration};

/// How long something took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How often.
    pub count: u64,
    /// In all.
    pub sum: Duration,
    /// How often it took at most so long; each counts those before it, too.
    pub buckets: Vec<(Duration, u64)>,
}

/// What a cluster was used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Authenticated sessions that are open now.
    pub sessions: u32,
    /// Bytes to clients.
    pub sent: u64,
    /// Bytes from clients.
    pub received: u64,
}

/// The numbers at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Accepted connections.
    pub accepted: u64,
    /// Those that got an error before they were a session, by kind.
    pub refused: BTreeMap<&'static str, u64>,
    /// Those that ended otherwise, by kind.
    pub closed: BTreeMap<&'static str, u64>,
    /// Clusters that had sessions.
    pub clusters: BTreeMap<ClusterId, Usage>,
    /// From a proof until the cluster's server was there: near zero unless it was suspended.
    pub wake: Histogram,
    /// From a startup message until its session was ready.
    pub login: Histogram,
    /// Sessions that got a server connection that another one had left.
    pub reused: u64,
    /// Cancel requests that were passed on.
    pub canceled: u64,
}
