//! The settings of a gateway.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The settings of a gateway.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// A listening socket to use in place of `listen`, such as that of the previous process.
    pub listener: Option<Arc<TcpListener>>,
    /// The folder of the certificates, with the [`Authority`](crate::Authority).
    pub certificates: PathBuf,
    /// How often to check whether the certificate must be renewed.
    pub renewal: Duration,
    /// The time by which certificates are created and renewed. That of the clients, so it is always the
    /// system's outside of tests.
    pub now: fn() -> SystemTime,
    /// Domains of the gateway. Names directly below a domain identify clusters.
    pub domains: Vec<String>,
    /// The time that a client has to send its startup message.
    pub handshake_timeout: Duration,
    /// The maximum number of sessions.
    pub max_connections: usize,
    /// The maximum number of connections that have not authenticated.
    pub max_unauthenticated: usize,
    /// The same for each address.
    pub max_unauthenticated_per_address: usize,
    /// The maximum number of sessions per cluster.
    pub max_connections_per_cluster: usize,
    /// How long the server connection of an ended session stays in the pool; zero disables the pool.
    pub pool_idle: Duration,
    /// The age at which a server connection is no longer pooled; zero disables the pool.
    pub pool_lifetime: Duration,
    /// Whether connections start with a PROXY header, version 2.
    pub proxy_protocol: bool,
    /// The number of worker threads; 0 means one for every two cores.
    pub threads: usize,
}

impl Settings {
    /// The defaults, with certificates in `certificates`.
    pub fn new(listen: SocketAddr, certificates: impl Into<PathBuf>) -> Self {
        Self {
            listen,
            listener: None,
            certificates: certificates.into(),
            // The clock can jump, so it is not enough to wait for the time of the next renewal.
            renewal: Duration::from_secs(60),
            now: SystemTime::now,
            domains: Vec::new(),
            handshake_timeout: Duration::from_secs(10),
            max_connections: 10_000,
            max_unauthenticated: 2_000,
            max_unauthenticated_per_address: 500,
            max_connections_per_cluster: 1_000,
            pool_idle: Duration::ZERO,
            pool_lifetime: Duration::from_secs(3600),
            proxy_protocol: false,
            threads: 0,
        }
    }
}
