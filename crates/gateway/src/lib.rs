//! The SQL front door: TLS, routing to the right cluster, its allowlist.
//!
//! Knows the PostgreSQL protocol up to the end of login and nothing after it. Never writes the
//! store: all it may ask is the [`Directory`].

use async_trait::async_trait;
use ipnet::IpNet;
use ootheca_model::{ClusterId, Result};
use std::path::PathBuf;
use tokio::sync::broadcast;

/// Who may connect to a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Networks that may open SQL connections.
    pub allow: Vec<IpNet>,
}

/// Where a connection goes.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The cluster.
    pub cluster: ClusterId,
    /// Who may connect.
    pub policy: Policy,
}

/// Everything that the gateway may ask of the rest of the program.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// The active cluster with this routing id (`name-number`); `None` if there is none.
    async fn resolve(&self, routing_id: &str) -> Result<Option<Destination>>;
    /// The Unix socket of the cluster's server, waiting a little for one that is starting.
    async fn endpoint(&self, cluster: ClusterId) -> Result<PathBuf>;
    /// The policy now; `None` once the cluster is deleted.
    async fn policy(&self, cluster: ClusterId) -> Result<Option<Policy>>;
    /// Clusters whose policy changed or that were deleted. A lagging receiver re-reads them all.
    fn changes(&self) -> broadcast::Receiver<ClusterId>;
}
