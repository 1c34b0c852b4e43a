//! The SQL gateway: terminates TLS, routes connections to clusters, enforces their policies, and
//! authenticates their users.
//!
//! It interprets the PostgreSQL protocol up to the end of login, and relays bytes after that. Only the
//! sessions of throttled clusters are interpreted, by the storage guard. The gateway never writes to the
//! store; the [`Directory`] is its only interface to the rest of the program.
//!
//! `server` accepts connections and assigns them to `workers`. A `session` passes through `handshake`
//! (PROXY header, TLS, opening packet), `routing`, `admission`, `login` (with `sasl` towards the client,
//! and `pool` or `backend_login` towards the server), and `relay`. The `registry` holds all live sessions,
//! terminates them, forwards cancel requests, and reports activity.

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
mod unauthenticated;
mod workers;

pub use metrics::{Histogram, Snapshot, Usage};
pub use server::Gateway;
pub use settings::Settings;
pub use storage_guard::{first_word, may_add_data, without_passwords};
pub use tls::authority::{Authority, Certificate, Purpose, RENEW_BEFORE};

use async_trait::async_trait;
use ipnet::IpNet;
use ootheca_model::{ClusterId, Result, login::Secret};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};
use tokio::sync::broadcast;

/// The control plane's text for clients of a cluster that exceeds a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Names the limit.
    pub message: String,
    /// Says how to resolve the problem.
    pub hint: String,
}

/// Which sessions a cluster admits, according to its limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdmissionState {
    /// All sessions: the cluster is within its limits.
    #[default]
    Open,
    /// One session at a time, which cannot add data: the cluster exceeds its storage limit.
    Throttled(Notice),
    /// No sessions: the cluster exceeds its request unit limit.
    Disabled(Notice),
}

/// Who may connect to a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The networks from which clients may connect.
    pub allow: Vec<IpNet>,
    /// Which sessions it admits. Serialized under its former name for gateways of other versions.
    #[serde(rename = "standing")]
    pub admission: AdmissionState,
}

impl Policy {
    /// Whether a client with this address may connect. IPv4-mapped IPv6 addresses count as IPv4, and the
    /// IPv6 loopback address also counts as 127.0.0.1, because allowlists contain only IPv4 networks.
    pub fn allows(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        let loopback =
            peer.is_loopback().then_some(IpAddr::V4(Ipv4Addr::LOCALHOST)).filter(|_| peer.is_ipv6());
        let within = |address: &IpAddr| self.allow.iter().any(|network| network.contains(address));
        within(&peer) || loopback.is_some_and(|address| within(&address))
    }
}

/// The cluster that a routing ID identifies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The cluster.
    pub cluster: ClusterId,
    /// Who may connect.
    pub policy: Policy,
    /// The iterations of its users' SCRAM verifiers, for nonexistent users, so that clients cannot find out
    /// which users exist; `None` means PostgreSQL's default.
    #[serde(default)]
    pub iterations: Option<u32>,
}

/// The activity of a cluster since the last report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The number of open authenticated sessions.
    pub sessions: u32,
    /// The number of sessions that have been open since the last report, including those still open.
    pub sessions_seen: u32,
    /// Bytes sent to clients.
    pub sent: u64,
    /// Bytes received from clients.
    pub received: u64,
}

/// The gateway's interface to the rest of the program. Always called on the runtime that started the
/// gateway.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// The active cluster with this routing ID (`name-number`).
    async fn resolve(&self, routing_id: &str) -> Result<Option<Destination>>;
    /// The stored form of a user's password; `None` if the user does not exist. The name is in the form of
    /// `ootheca_model::sql_name`. Never wakes the cluster. As the server has it now, unless the server does not
    /// respond.
    async fn secret(&self, cluster: ClusterId, user: &str) -> Result<Option<Secret>>;
    /// Invalidates cached secrets, after one of them turned out to differ from the server's.
    async fn invalidate(&self, cluster: ClusterId);
    /// The Unix socket of the cluster's server. Wakes a suspended cluster, and waits a limited time for a
    /// starting one. Only for authenticated clients.
    async fn endpoint(&self, cluster: ClusterId) -> Result<PathBuf>;
    /// The current policy; `None` once the cluster is deleted.
    async fn policy(&self, cluster: ClusterId) -> Result<Option<Policy>>;
    /// Records the activity of clusters. Called every second if there is any. After an error, the activity
    /// is included in the next report.
    async fn report(&self, activities: Vec<Activity>) -> Result<()>;
    /// The clusters whose policy changed or that were deleted, sent once the change can be read. A receiver
    /// that lags behind reads all policies again.
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
    fn allowlists_match_canonical_addresses() {
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
