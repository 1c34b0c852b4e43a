//! What a gateway needs to know.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// What a gateway needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// A socket that listens already, for example one of the process before this one; then `listen`
    /// means nothing.
    pub listener: Option<Arc<TcpListener>>,
    /// The folder of [`Certificates`](crate::Certificates).
    pub certificates: PathBuf,
    /// How often it is looked whether the certificate has to be made again.
    pub renewal: Duration,
    /// Zones of the gateway: the names right below each lead to clusters.
    pub domains: Vec<String>,
    /// How long a client may take until its startup message is there.
    pub handshake_timeout: Duration,
    /// The most connections at a time.
    pub max_connections: usize,
    /// The most sessions of a cluster at a time.
    pub max_connections_per_cluster: usize,
    /// How long a server connection that a session left waits for the next; zero: not at all.
    pub reuse: Duration,
    /// Whether every connection begins with a header of the PROXY protocol, version 2.
    pub proxy_protocol: bool,
    /// Threads that serve connections; 0 is one a core.
    pub threads: usize,
}

impl Settings {
    /// The defaults, with certificates in `certificates`.
    pub fn new(listen: SocketAddr, certificates: impl Into<PathBuf>) -> Self {
        Self {
            listen,
            listener: None,
            certificates: certificates.into(),
            renewal: Duration::from_secs(24 * 60 * 60),
            domains: Vec::new(),
            handshake_timeout: Duration::from_secs(10),
            max_connections: 10_000,
            max_connections_per_cluster: 1_000,
            reuse: Duration::from_secs(2),
            proxy_protocol: false,
            threads: 0,
        }
    }
}
