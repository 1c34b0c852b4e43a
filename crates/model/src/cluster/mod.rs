//! Clusters.

mod words;

pub use words::*;

/// A cluster.
pub struct Cluster;
