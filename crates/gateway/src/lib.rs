//! The SQL front door: TLS, routing to the right cluster, its allowlist.
//!
//! Knows the PostgreSQL protocol up to the end of login and nothing after it, but for what `guard`
//! reads of throttled clusters. Never writes the store: all it may ask is the [`Directory`].
//!
//! `session` leads a connection through `greeting` (PROXY header, TLS, startup packet), `route`,
//! `admission` (may this peer reach that cluster), `authentication` (does it know the password),
//! `upstream` or `reuse` (a session at the server) and `relay` (copying). `sessions` and `cancel` know
//! who is live, `activity` reports it, `metrics` counts.

mod backend;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod metrics;
mod pool;
mod registry;
mod server;
mod session;
mod settings;
mod storage_guard;
mod tls;
mod workers;

pub use metrics::{Histogram, Snapshot, Usage};
pub use server::Gateway;
pub use settings::Settings;
pub use storage_guard::{first_word, may_add_data, without_passwords};
pub use tls::Certificates;

use async_trait::async_trait;
use ipnet::IpNet;
use ootheca_model::{ClusterId, Result, login::Secret};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};
use tokio::sync::broadcast;

/// What a client is told about a limit, in words of the control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What is the matter, naming the limit.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// How a cluster stands with its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Within them.
    #[default]
    Open,
    /// Over its storage: one session at a time, which may not add data.
    Throttled(Notice),
    /// Over its request units: no session.
    Disabled(Notice),
}

/// Who may connect to a cluster, and for what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Networks that may open SQL connections.
    pub allow: Vec<IpNet>,
    /// How it stands with its limits.
    pub standing: Standing,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The cluster.
    pub cluster: ClusterId,
    /// Who may connect.
    pub policy: Policy,
    /// The iterations of its users' SCRAM verifiers, so that nobody can tell who is none of them; `None`
    /// where PostgreSQL's own number will do.
    #[serde(default)]
    pub iterations: Option<u32>,
}

/// What a gateway has seen of a cluster since its last report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// The cluster.
    pub cluster: ClusterId,
    /// Authenticated sessions that are open now.
    pub sessions: u32,
    /// Sessions that were open at some time since the last report; those that are open now count.
    pub sessions_seen: u32,
    /// Bytes to clients since the last report.
    pub sent: u64,
    /// Bytes from clients since the last report.
    pub received: u64,
}

/// Everything that the gateway may ask of the rest of the program. Always called on the runtime that
/// started the gateway.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// The active cluster with this routing id (`name-number`); `None` if there is none.
    async fn resolve(&self, routing_id: &str) -> Result<Option<Destination>>;
    /// What a user's password is checked against; `None` if there is no such user. Never wakes the
    /// cluster. Not older than a second where a session may have changed it.
    async fn secret(&self, cluster: ClusterId, user: &str) -> Result<Option<Secret>>;
    /// Says that a secret turned out to be old: the server refused what it had let pass.
    async fn distrust(&self, cluster: ClusterId);
    /// The Unix socket of the cluster's server. Wakes a suspended one, and waits a little for one that
    /// is starting. Only for clients that have proven who they are.
    async fn endpoint(&self, cluster: ClusterId) -> Result<PathBuf>;
    /// The policy now; `None` once the cluster is deleted.
    async fn policy(&self, cluster: ClusterId) -> Result<Option<Policy>>;
    /// Takes note of what clusters were used for; called every second, with those that have sessions
    /// or had since. An error says that it was not noted: it is reported again with the next.
    async fn report(&self, activities: Vec<Activity>) -> Result<()>;
    /// Clusters whose policy changed or that were deleted, sent after the change can be read. A
    /// lagging receiver re-reads them all.
    fn changes(&self) -> broadcast::Receiver<ClusterId>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(networks: &[&str], peer: &str) -> bool {
        let allow = networks.iter().map(|network| network.parse().expect("a network")).collect();
        Policy { allow, ..Policy::default() }.allows(peer.parse().expect("an address"))
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
