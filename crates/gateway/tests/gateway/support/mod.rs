//! A PostgreSQL server, a gateway, and clients.

mod client;
mod fake_directory;
mod fake_server;
mod server;

pub(crate) use client::{Psql, Raw, log_in, log_in_bound, proxy_header, read_message, rest, send, startup};
pub(crate) use fake_directory::FakeDirectory;
pub(crate) use fake_server::{LOGIN_COMPLETE, VERIFIER, accept_login};
pub(crate) use server::{PostgresServer, program};

use ootheca_gateway::{Gateway, Settings};
use std::{future::Future, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub(crate) const USER: &str = "ann";
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A gateway with its directory.
pub(crate) struct TestGateway {
    pub(crate) inner: Gateway,
    pub(crate) directory: Arc<FakeDirectory>,
    folder: TempDir,
}

impl TestGateway {
    /// A gateway for the cluster `shop-12`, which admits every address; its server listens on `socket`.
    pub(crate) async fn start(socket: PathBuf) -> Self {
        Self::start_with(socket, |_| ()).await
    }

    pub(crate) async fn start_with(socket: PathBuf, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = Settings::new(([127, 0, 0, 1], 0).into(), folder.path().join("tls"));
        settings.threads = 2;
        change(&mut settings);
        let directory = Arc::new(FakeDirectory::new(socket));
        let inner = Gateway::start(settings, directory.clone()).await.expect("a gateway");
        Self { inner, directory, folder }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.inner.local_addr()
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("tls/ca.pem")
    }

    pub(crate) fn psql(&self) -> Psql {
        Psql::new(self.address(), self.ca())
    }

    pub(crate) fn raw(&self) -> Raw {
        Raw::new(self.address(), self.inner.authority())
    }

    /// Shuts the gateway down, and checks that its port is closed.
    pub(crate) async fn stop(self) {
        let address = self.address();
        self.inner.shutdown(Duration::from_secs(5)).await;
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the port is still open");
    }
}

/// How long a test waits for a condition. It is long, because a busy machine is no fault of the gateway.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Waits until `condition` holds. Panics after [`LIMIT`].
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let end = Instant::now() + LIMIT;
    while !condition().await {
        assert!(Instant::now() < end, "not within {LIMIT:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
