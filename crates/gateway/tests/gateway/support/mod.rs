//! A server, a gateway in front of it, and clients.

mod client;
mod fake;
mod server;
mod town;

pub(crate) use client::{Psql, Raw, log_in, log_in_bound, read_message, rest, startup};
pub(crate) use fake::{LOGIN_COMPLETE, VERIFIER, accept_login};
pub(crate) use server::{Server, program};
pub(crate) use town::Town;

use ootheca_gateway::{Gateway, Settings};
use std::{future::Future, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub(crate) const USER: &str = "ann";
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A gateway and who it asks.
pub(crate) struct Front {
    pub(crate) gateway: Gateway,
    pub(crate) town: Arc<Town>,
    folder: TempDir,
}

impl Front {
    /// Knows the cluster `shop-12`, open to everybody, behind `socket`.
    pub(crate) async fn start(socket: PathBuf) -> Self {
        Self::start_with(socket, |_| ()).await
    }

    pub(crate) async fn start_with(socket: PathBuf, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = Settings::new(([127, 0, 0, 1], 0).into(), folder.path().join("tls"));
        settings.threads = 2;
        change(&mut settings);
        let town = Arc::new(Town::new(socket));
        let gateway = Gateway::start(settings, town.clone()).await.expect("a gateway");
        Self { gateway, town, folder }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.local_addr()
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("tls/ca.pem")
    }

    pub(crate) fn psql(&self) -> Psql {
        Psql::new(self.address(), self.ca())
    }

    pub(crate) fn raw(&self) -> Raw {
        Raw::new(self.address(), self.gateway.authority())
    }

    /// Ends it and shows that nothing of it is left.
    pub(crate) async fn stop(self) {
        let address = self.address();
        self.gateway.shutdown(Duration::from_secs(5)).await;
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the port is still open");
    }
}

/// Waits until `condition` holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> F,
) {
    let end = Instant::now() + limit;
    while !condition().await {
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
