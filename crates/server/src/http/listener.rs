//! The socket of the API. It can be inherited from another process, and can stop accepting without being
//! closed. Connections have limits and deadlines.

use crate::{
    http::{
        connections::{Connection, Connections, Place},
        tls::Tls,
    },
    settings::Settings,
};
use axum::{
    Router,
    body::{Body, HttpBody},
    extract::Request,
    response::Response,
    serve::Listener,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use ootheca_model::{Error, Result};
use std::{convert::Infallible, future::Future, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tower::ServiceExt;

/// The response to a connection beyond the limits.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";

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

/// Responds to the requests of a listener.
pub trait Respond: Send + Sync + 'static {
    /// The response to a request. [`Connection::set_busy`] is called once the request is complete.
    fn respond(
        &self,
        connection: &Connection,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response> + Send;
}

impl Respond for Router {
    async fn respond(&self, connection: &Connection, request: Request<Incoming>) -> Response {
        connection.set_busy();
        self.clone().oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {})
    }
}

/// Serves a socket, over TLS if there is a certificate, until `stop` is true and the open requests have ended.
/// While `open` is false nothing is accepted, and new connections wait.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    responder: Arc<impl Respond>,
    settings: Settings,
    open: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) {
    let connections = Connections::new(&settings.http, &settings.trusted_proxies);
    let header_timeout = Duration::from_secs(settings.http.header_seconds);
    let server = Arc::new(HttpServer { tls, responder, header_timeout, stop: stop.clone() });
    let mut tasks = JoinSet::new();
    let mut listener = PausableListener { listener, open };
    loop {
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next() => continue,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let _ = stream.set_nodelay(true);
        match connections.admit(address) {
            Some(place) => drop(tasks.spawn(server.clone().connection(stream, place))),
            // Without waiting: the buffer of a new connection is empty.
            None if server.tls.is_none() => drop(stream.try_write(TOO_MANY)),
            None => {}
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

/// What the connections of a listener share.
struct HttpServer<R> {
    tls: Option<Arc<Tls>>,
    responder: Arc<R>,
    header_timeout: Duration,
    stop: watch::Receiver<bool>,
}

impl<R: Respond> HttpServer<R> {
    /// Serves a connection until it ends.
    async fn connection(self: Arc<Self>, stream: TcpStream, place: Place) {
        let Some(tls) = &self.tls else { return self.requests(stream, &place).await };
        let mut stop = self.stop.clone();
        let opened = tokio::select! {
            opened = tls.accept(stream) => opened,
            () = place.connection.evicted.notified() => return,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        if let Ok(stream) = opened {
            self.requests(stream, &place).await;
        }
    }

    async fn requests(&self, stream: impl AsyncRead + AsyncWrite + Unpin, place: &Place) {
        let connection = &place.connection;
        let service = service_fn(|request| {
            let (responder, connection) = (self.responder.clone(), connection.clone());
            async move {
                let response = responder.respond(&connection, request).await;
                // A stream has no size, and goes on until the client disconnects.
                if response.body().size_hint().exact().is_some() {
                    connection.set_waiting();
                }
                Ok::<_, Infallible>(response)
            }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .serve_connection(TokioIo::new(stream), service);
        let (mut served, mut stop) = (pin!(served), self.stop.clone());
        let mut draining = false;
        loop {
            tokio::select! {
                biased;
                _ = &mut served => return,
                () = connection.evicted.notified() => return,
                _ = stop.wait_for(|stop| *stop), if !draining => {
                    draining = true;
                    served.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// A listener that can stop accepting without being closed.
struct PausableListener {
    listener: TcpListener,
    open: watch::Receiver<bool>,
}

impl PausableListener {
    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            // An error means that the server is gone.
            if self.open.wait_for(|open| *open).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::select! {
                biased;
                _ = self.open.wait_for(|open| !*open) => {}
                accepted = Listener::accept(&mut self.listener) => return accepted,
            }
        }
    }
}
