//! All routes: to the pipeline of the API, and to the paths outside of the API.

use crate::{
    api::{
        Api,
        client::Client,
        pipeline::{self, Request},
    },
    documents,
    gateway::embedded::EmbeddedGateway,
    http::{
        console,
        listener::Peer,
        metrics,
        response::{failure, plain},
        scim, scrape,
        tls::Tls,
    },
    identity::authenticate::header_text,
};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::Response,
    routing::get,
};
use futures_util::StreamExt;
use ootheca_model::{Cluster, Error, ErrorKind, disk::DiskPressure};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tower::ServiceExt;

/// The maximum size of a body in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// The state of the routes.
#[derive(Clone)]
struct RouteState {
    api: Arc<Api>,
    ready: Arc<AtomicBool>,
    /// The certificate authority that SQL clients trust, in PEM.
    authority: Arc<str>,
    /// The certificate of the API, if it is served over TLS.
    tls: Option<Arc<Tls>>,
    /// The gateway in this process, for its metrics.
    embedded: Option<Arc<EmbeddedGateway>>,
    /// The same routes, for paths with several slashes at the start. None of the routes matches those.
    collapsed: Option<Router>,
}

/// All routes. `ready` is true from when all sockets listen until the server drains.
pub fn router(
    api: Arc<Api>,
    ready: Arc<AtomicBool>,
    authority: String,
    tls: Option<Arc<Tls>>,
    embedded: Option<Arc<EmbeddedGateway>>,
) -> Router {
    let state = RouteState { api, ready, authority: authority.into(), tls, embedded, collapsed: None };
    routes(RouteState { collapsed: Some(routes(state.clone())), ..state })
}

fn routes(state: RouteState) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics_text))
        .route("/clusters/{id}/cert", get(certificate))
        .route("/api/v1/openapi.json", get(document))
        .route("/api/v1/clusters/{id}/metricexport/prometheus/{region}/scrape", get(scraped))
        .fallback(operation)
        .method_not_allowed_fallback(operation)
        .with_state(state)
}

/// A target with one slash at the start of its path; `None` if it already has only one. A base URL with a trailing
/// slash leads to paths like `//api/v1/clusters`. Other slashes are kept, because an empty segment can have a
/// meaning.
fn collapsed(uri: &Uri) -> Option<Uri> {
    let target = uri.path_and_query()?.as_str().strip_prefix("//")?;
    format!("/{}", target.trim_start_matches('/')).parse().ok()
}

async fn operation(
    State(state): State<RouteState>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    mut request: axum::extract::Request,
) -> Response {
    if let Some(routes) = &state.collapsed
        && let Some(uri) = collapsed(request.uri())
    {
        *request.uri_mut() = uri;
        return routes.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
    }
    if console::takes(&state.api.context, &request) {
        return console::answer(request.method(), request.uri(), request.headers());
    }
    let response = answer(&state, peer, request).await;
    state.api.response_counts.count(response.status().as_u16());
    response
}

async fn answer(state: &RouteState, peer: SocketAddr, request: axum::extract::Request) -> Response {
    let (head, body) = request.into_parts();
    let text = |name: &str| header_text(&head.headers, name);
    let path = head.uri.path().to_owned();
    let accept = text("accept");
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        let message = format!("invalid argument: body: must be complete and have at most {BODY_LIMIT} bytes");
        return scim::dress(&path, accept.as_deref(), failure(&Error::new(ErrorKind::Invalid, message)))
            .await;
    };
    let client = Client::of(peer.ip().to_canonical(), &head.method, &head.headers);
    let request = Request {
        method: head.method.as_str().to_owned(),
        path: path.clone(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        version: text("cc-version"),
        client: Arc::new(Client { secure: client.secure || state.tls.is_some(), ..client }),
        idempotency_key: text("idempotency-key"),
        body: body.to_vec(),
    };
    let answer = pipeline::answer(&state.api, request).await;
    let mut response = Response::builder()
        .status(answer.status)
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
    if let Some(cookie) = answer.cookie {
        response = response.header(header::SET_COOKIE, cookie);
    }
    let (content_type, body) = match answer.events {
        Some(events) => ("text/event-stream", Body::from_stream(events.map(Ok::<_, Infallible>))),
        None => ("application/json", Body::from(answer.body)),
    };
    if answer.no_store {
        response = response.header(header::CACHE_CONTROL, "no-store");
    }
    let response = response.header(header::CONTENT_TYPE, content_type).body(body);
    let response = response.unwrap_or_else(|_| Response::new(Body::empty()));
    scim::dress(&path, accept.as_deref(), response).await
}

/// The metrics of the caller's organization, for Prometheus.
async fn metrics_text(
    State(state): State<RouteState>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
) -> Response {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let gateway = state.embedded.as_ref().map(|embedded| embedded.figures());
    match metrics::text(&state.api, peer.ip(), authorization, gateway, state.tls.as_deref()).await {
        Ok(text) => Response::builder()
            .header(header::CONTENT_TYPE, metrics::CONTENT_TYPE)
            .body(Body::from(text))
            .unwrap_or_default(),
        Err(error) => failure(&error),
    }
}

async fn readiness(State(state): State<RouteState>) -> Response {
    let store = state.api.context.store.next_due(ootheca_store::Kind::Cluster).await;
    match (state.ready.load(Ordering::Relaxed), store) {
        (true, Ok(_)) if state.api.context.disk.pressure() == DiskPressure::Full => plain(
            StatusCode::OK,
            "ready, but the disk is full except for engine.disk_reserve_mib: data can only be deleted\n"
                .to_owned(),
        ),
        (true, Ok(_)) => plain(StatusCode::OK, "ready\n".to_owned()),
        (false, Ok(_)) => {
            plain(StatusCode::SERVICE_UNAVAILABLE, "not ready: starting or draining\n".to_owned())
        }
        (_, Err(error)) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: store: {error}\n")),
    }
}

/// The certificate authority of the SQL gateway, which is public and needs no authentication. A cluster that
/// does not exist returns 404, so that a wrong ID does not go unnoticed.
async fn certificate(State(state): State<RouteState>, Path(id): Path<String>) -> Response {
    let cluster = documents::find::<Cluster>(&*state.api.context.store, &id.to_lowercase()).await;
    match cluster {
        Ok(Some(cluster)) if cluster.value.is_active() => Response::builder()
            .header(header::CONTENT_TYPE, "application/x-pem-file")
            .body(Body::from(state.authority.to_string()))
            .unwrap_or_default(),
        Ok(_) => failure(&Error::not_found("cluster")),
        Err(error) => failure(&error),
    }
}

/// The metrics of one cluster in one region, for Prometheus.
async fn scraped(
    State(state): State<RouteState>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path((id, region)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let response = scrape::answer(&state.api, peer.ip(), authorization, &id, &region).await;
    state.api.response_counts.count(response.status().as_u16());
    response
}

async fn document(State(state): State<RouteState>, headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let host = host.map_or_else(|| state.api.context.settings.listen.to_string(), str::to_owned);
    let scheme = state.api.context.settings.tls.scheme();
    let document = ootheca_api::openapi::document(&format!("{scheme}://{host}"));
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(document.to_string()))
        .unwrap_or_default()
}
