//! HTTP: how requests reach the gate, and the few paths that are not the API.

use crate::{
    app::App,
    authenticate::Credentials,
    clock, console, events,
    front::Front,
    gate::{self, Request},
    metrics, people, rate_limit, rows, samples, scim,
};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, Path, State, connect_info::Connected},
    http::{HeaderMap, StatusCode, Uri, header, response::Builder},
    response::Response,
    routing::get,
    serve::{IncomingStream, Listener},
};
use ootheca_model::{Cluster, Error, ErrorKind, Result};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Largest body in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// What the routes share.
#[derive(Clone)]
struct Door {
    app: Arc<App>,
    ready: Arc<AtomicBool>,
    /// The certificate that SQL clients trust, PEM.
    authority: Arc<str>,
    /// The gateway in this process, for its figures.
    front: Option<Arc<Front>>,
    /// True from the moment that the API drains.
    stop: watch::Receiver<bool>,
}

/// All routes. `ready` is true from the moment that everything listens until the server drains.
pub fn router(
    app: Arc<App>,
    ready: Arc<AtomicBool>,
    authority: String,
    front: Option<Arc<Front>>,
    stop: watch::Receiver<bool>,
) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readiness))
        .route("/metrics", get(figures))
        .route("/clusters/{id}/cert", get(certificate))
        .route("/api/v1/openapi.json", get(document))
        .route("/api/v1/events", get(told))
        .route("/api/ootheca/v1/clock", get(show_clock).post(advance_clock))
        .merge(people::router(app.clone()))
        .merge(samples::router(app.clone()))
        .fallback(api)
        .method_not_allowed_fallback(api)
        .with_state(Door { app, ready, authority: authority.into(), front, stop })
}

/// Listens, or goes on with an inherited socket; returns it twice: to keep, and to accept from.
pub async fn listen(
    address: SocketAddr,
    inherited: Option<std::net::TcpListener>,
) -> Result<(Arc<std::net::TcpListener>, TcpListener)> {
    let failed = |error| Error::invalid("listen", format!("can not listen on {address}: {error}"));
    let listener = match inherited {
        Some(listener) => listener,
        None => TcpListener::bind(address).await.and_then(TcpListener::into_std).map_err(failed)?,
    };
    listener.set_nonblocking(true).map_err(failed)?;
    let kept = Arc::new(listener.try_clone().map_err(failed)?);
    Ok((kept, TcpListener::from_std(listener).map_err(failed)?))
}

/// Serves `router` on a socket until `stop` turns true and what is under way has ended. While `open` is
/// false nothing is accepted: who connects waits.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    open: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) {
    let service = router.into_make_service_with_connect_info::<Peer>();
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let entrance = Entrance { listener, open };
    if let Err(error) = axum::serve(entrance, service).with_graceful_shutdown(stopped).await {
        tracing::error!(%error, "the API stopped");
    }
}

/// A listener that can be shut without being closed.
struct Entrance {
    listener: TcpListener,
    open: watch::Receiver<bool>,
}

impl Listener for Entrance {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            // An error says that the server itself is gone.
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

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The caller's address.
#[derive(Clone, Copy)]
pub struct Peer(SocketAddr);

impl Peer {
    /// Without its port.
    pub fn ip(self) -> std::net::IpAddr {
        self.0.ip().to_canonical()
    }
}

impl Connected<IncomingStream<'_, Entrance>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Entrance>) -> Self {
        Self(*stream.remote_addr())
    }
}

async fn api(
    State(door): State<Door>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: axum::extract::Request,
) -> Response {
    if console::takes(&door.app, request.method(), request.uri().path()) {
        return console::answer(request.method(), request.uri(), request.headers());
    }
    let response = answer(&door, peer, request).await;
    door.app.answers.count(response.status().as_u16());
    response
}

async fn answer(door: &Door, peer: SocketAddr, request: axum::extract::Request) -> Response {
    let (head, body) = request.into_parts();
    let text = |name: &str| {
        head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let path = head.uri.path().to_owned();
    let accept = text("accept");
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        let message = format!("invalid argument: body: must be whole and have at most {BODY_LIMIT} bytes");
        return scim::dress(&path, accept.as_deref(), failure(&Error::new(ErrorKind::Invalid, message)))
            .await;
    };
    let request = Request {
        method: head.method.as_str().to_owned(),
        path: path.clone(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        version: text("cc-version"),
        credentials: Credentials::of(&head.method, &head.headers),
        agent: text("user-agent"),
        idempotency_key: text("idempotency-key"),
        body: body.to_vec(),
        peer: peer.ip().to_canonical(),
    };
    let answer = gate::answer(&door.app, request).await;
    let mut response = Response::builder()
        .status(answer.status)
        .header(header::CONTENT_TYPE, "application/json")
        .header("cc-version", answer.version.header())
        .header("cc-trace-id", answer.trace_id);
    if let Some(allow) = answer.allow {
        response = response.header(header::ALLOW, allow);
    }
    if let Some(seconds) = answer.retry_after {
        response = response.header(header::RETRY_AFTER, seconds);
    }
    if answer.replayed {
        response = response.header("idempotency-replayed", "true");
    }
    if answer.dry_run {
        response = response.header("ootheca-dry-run", "true");
    }
    let response = response.body(Body::from(answer.body)).unwrap_or_else(|_| Response::new(Body::empty()));
    scim::dress(&path, accept.as_deref(), response).await
}

/// Figures for Prometheus, of the caller's organization.
async fn figures(
    State(door): State<Door>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
) -> Response {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let gateway = door.front.as_ref().map(|front| front.figures());
    match metrics::text(&door.app, peer.ip(), authorization, gateway).await {
        Ok(text) => Response::builder()
            .header(header::CONTENT_TYPE, metrics::CONTENT_TYPE)
            .body(Body::from(text))
            .unwrap_or_default(),
        Err(error) => failure(&error),
    }
}

async fn readiness(State(door): State<Door>) -> Response {
    let store = door.app.store.next_due(ootheca_store::Kind::Cluster).await;
    match (door.ready.load(Ordering::Relaxed), store) {
        (true, Ok(_)) => plain(StatusCode::OK, "ready\n".to_owned()),
        (false, Ok(_)) => {
            plain(StatusCode::SERVICE_UNAVAILABLE, "not ready: starting or draining\n".to_owned())
        }
        (_, Err(error)) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: store: {error}\n")),
    }
}

/// The certificate authority of the SQL gateway. Public by nature: no authentication. A cluster that
/// does not exist is 404, so that a wrong id is not mistaken for a certificate.
async fn certificate(State(door): State<Door>, Path(id): Path<String>) -> Response {
    let cluster = rows::find::<Cluster>(&*door.app.store, &id.to_lowercase()).await;
    match cluster {
        Ok(Some(cluster)) if cluster.value.is_active() => Response::builder()
            .header(header::CONTENT_TYPE, "application/x-pem-file")
            .body(Body::from(door.authority.to_string()))
            .unwrap_or_default(),
        Ok(_) => failure(&Error::not_found("cluster")),
        Err(error) => failure(&error),
    }
}

async fn told(
    State(door): State<Door>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let query = uri.query().unwrap_or_default();
    let response = events::answer(door.app.clone(), peer.ip(), &headers, query, door.stop).await;
    door.app.answers.count(response.status().as_u16());
    response
}

async fn show_clock(
    State(door): State<Door>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
) -> Response {
    clock::show(door.app, peer.ip(), headers).await
}

async fn advance_clock(
    State(door): State<Door>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    clock::advance(door.app, peer.ip(), uri, headers, body).await
}

async fn document(State(door): State<Door>, headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let host = host.map_or_else(|| door.app.settings.listen.to_string(), str::to_owned);
    let document = ootheca_api::openapi::document(&format!("http://{host}"));
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(document.to_string()))
        .unwrap_or_default()
}

fn plain(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}

fn failure(error: &Error) -> Response {
    refusal(error).body(Body::from(ootheca_api::error::body(error))).unwrap_or_default()
}

/// Status and headers of the answer to a request that failed; its body is `ootheca_api::error::body`.
pub(crate) fn refusal(error: &Error) -> Builder {
    let response = Response::builder()
        .status(ootheca_api::error::status(error.kind()))
        .header(header::CONTENT_TYPE, "application/json");
    match rate_limit::retry_after_of(error) {
        Some(seconds) => response.header(header::RETRY_AFTER, seconds),
        None => response,
    }
}
