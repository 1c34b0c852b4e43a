//! The socket of the API. It can be inherited from another process, and can stop accepting without being
//! closed.

use crate::http::tls::{Stream, Tls};
use axum::{
    Router,
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use ootheca_model::{Error, Result};
use std::{net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, sync::watch};

/// Listens, or continues with an inherited socket. Returns it twice: one to keep, and one to accept from.
pub async fn listen(
    address: SocketAddr,
    inherited: Option<std::net::TcpListener>,
) -> Result<(Arc<std::net::TcpListener>, TcpListener)> {
    let failed = |error| Error::invalid("listen", format!("could not listen on {address}: {error}"));
    let listener = match inherited {
        Some(listener) => listener,
        None => TcpListener::bind(address).await.and_then(TcpListener::into_std).map_err(failed)?,
    };
    listener.set_nonblocking(true).map_err(failed)?;
    let kept = Arc::new(listener.try_clone().map_err(failed)?);
    Ok((kept, TcpListener::from_std(listener).map_err(failed)?))
}

/// Serves `router` on a socket, over TLS if there is a certificate, until `stop` is true and the open requests
/// have ended. While `open` is false nothing is accepted, and new connections wait.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: Router,
    open: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) {
    let service = router.into_make_service_with_connect_info::<Peer>();
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let pausable = PausableListener { listener, tls, open };
    if let Err(error) = axum::serve(pausable, service).with_graceful_shutdown(stopped).await {
        tracing::error!(%error, "API listener stopped");
    }
}

/// A listener that can stop accepting without being closed.
struct PausableListener {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    open: watch::Receiver<bool>,
}

impl Listener for PausableListener {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        loop {
            // An error means that the server is gone.
            if self.open.wait_for(|open| *open).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::select! {
                biased;
                _ = self.open.wait_for(|open| !*open) => {}
                (stream, peer) = Listener::accept(&mut self.listener) => {
                    let stream = match &self.tls {
                        Some(tls) => tls.accept(stream),
                        None => Stream::plain(stream),
                    };
                    return (stream, peer);
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The caller's address.
#[derive(Clone, Copy)]
pub struct Peer(pub(super) SocketAddr);

impl Peer {
    /// The IP address without the port.
    pub fn ip(self) -> std::net::IpAddr {
        self.0.ip().to_canonical()
    }
}

impl Connected<IncomingStream<'_, PausableListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, PausableListener>) -> Self {
        Self(*stream.remote_addr())
    }
}
