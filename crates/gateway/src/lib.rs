//! The SQL front door: TLS, routing to the right cluster, its allowlist.
//!
//! Knows the PostgreSQL protocol up to the end of login and nothing after it. Never writes the
//! store: all it may ask is the [`Directory`].
//!
//! A connection goes through `session` (TLS, startup packet, route), `admission` (may this peer reach
//! that cluster, and where is it) and `relay` (copying), and ends there. `sessions` and `cancel` know
//! who is live.

mod admission;
mod backend;
mod cancel;
mod certificates;
mod gateway;
mod login;
mod refusal;
mod relay;
mod route;
mod session;
mod sessions;
mod startup;

pub use certificates::Certificates;
pub use gateway::{Gateway, Settings};

use async_trait::async_trait;
use ipnet::IpNet;
use ootheca_model::{ClusterId, Result};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};
use tokio::sync::broadcast;

/// The protocol's name in TLS.
const ALPN: &[u8] = b"postgresql";

/// Who may connect to a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Networks that may open SQL connections.
    pub allow: Vec<IpNet>,
}

impl Policy {
    /// Whether a peer may connect. IPv4 inside IPv6 counts as IPv4, and the IPv6 loopback address as
    /// 127.0.0.1 too: allowlists can hold IPv4 networks only.
    pub fn allows(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        let loopback =
            peer.is_loopback().then_some(IpAddr::V4(Ipv4Addr::LOCALHOST)).filter(|_| peer.is_ipv6());
        let within = |address: &IpAddr| self.allow.iter().any(|network| network.contains(address));
        within(&peer) || loopback.is_some_and(|address| within(&address))
    }
}

/// Where a connection goes.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The cluster.
    pub cluster: ClusterId,
    /// Who may connect.
    pub policy: Policy,
}

/// Everything that the gateway may ask of the rest of the program. Always called on the runtime that
/// started the gateway.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// The active cluster with this routing id (`name-number`); `None` if there is none.
    async fn resolve(&self, routing_id: &str) -> Result<Option<Destination>>;
    /// The Unix socket of the cluster's server, waiting a little for one that is starting.
    async fn endpoint(&self, cluster: ClusterId) -> Result<PathBuf>;
    /// The policy now; `None` once the cluster is deleted.
    async fn policy(&self, cluster: ClusterId) -> Result<Option<Policy>>;
    /// Clusters whose policy changed or that were deleted, sent after the change can be read. A
    /// lagging receiver re-reads them all.
    fn changes(&self) -> broadcast::Receiver<ClusterId>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(networks: &[&str], peer: &str) -> bool {
        let allow = networks.iter().map(|network| network.parse().expect("a network")).collect();
        Policy { allow }.allows(peer.parse().expect("an address"))
    }

    #[test]
    fn allowed_peers() {
        assert!(allows(&["10.0.0.0/8"], "10.1.2.3"));
        assert!(allows(&["10.0.0.0/8"], "::ffff:10.1.2.3"));
        assert!(!allows(&["10.0.0.0/8"], "11.1.2.3"));
        assert!(!allows(&["0.0.0.0/0"], "2001:db8::1"));
        assert!(allows(&["0.0.0.0/0"], "::1"));
        assert!(allows(&["127.0.0.1/32"], "::1"));
        assert!(!allows(&["127.0.0.2/32"], "::1"));
        assert!(allows(&["::1/128"], "::1"));
        assert!(!allows(&["::1/128"], "127.0.0.1"));
        assert!(!allows(&[], "127.0.0.1"));
    }
}
