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
        connections::Connection,
        console,
        listener::Respond,
        metrics,
        response::{failure, plain},
        scim, scrape,
        tls::Tls,
        trusted_proxies::Origin,
    },
    identity::authenticate::header_text,
};
use axum::{
    BoxError, Extension, Router,
    body::{Body, HttpBody, to_bytes},
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::Response,
    routing::get,
};
use bytes::Bytes;
use futures_util::StreamExt;
use hyper::body::Incoming;
use ootheca_api::router::{Resolved, resolve};
use ootheca_model::{Cluster, Error, Result, disk::DiskPressure};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;
use tower::ServiceExt;

/// The maximum size of a body in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

const CC_TRACE_ID: HeaderName = HeaderName::from_static("cc-trace-id");
const CC_VERSION: HeaderName = HeaderName::from_static("cc-version");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const OOTHECA_DRY_RUN: HeaderName = HeaderName::from_static("ootheca-dry-run");

/// All routes: the operations of the table, and `others`.
pub struct Routes {
    api: Arc<Api>,
    /// Whether they are served over TLS.
    tls: bool,
    others: Router,
}

/// The state of the other routes.
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
}

impl Routes {
    /// All routes. `ready` is true from when all sockets listen until the server drains.
    pub fn new(
        api: Arc<Api>,
        ready: Arc<AtomicBool>,
        authority: String,
        tls: Option<Arc<Tls>>,
        embedded: Option<Arc<EmbeddedGateway>>,
    ) -> Self {
        let served_over_tls = tls.is_some();
        let state = RouteState { api: api.clone(), ready, authority: authority.into(), tls, embedded };
        let others = Router::new()
            .route("/healthz", get(|| async { "alive\n" }))
            .route("/readyz", get(readiness))
            .route("/metrics", get(metrics_text))
            .route("/clusters/{id}/cert", get(certificate))
            .route("/api/v1/openapi.json", get(document))
            .route("/api/v1/clusters/{id}/metricexport/prometheus/{region}/scrape", get(scraped))
            .fallback(unmatched)
            .method_not_allowed_fallback(unmatched)
            .with_state(state);
        Self { api, tls: served_over_tls, others }
    }
}

impl Respond for Routes {
    async fn respond(&self, connection: &Connection, request: axum::extract::Request<Incoming>) -> Response {
        let mut request = request;
        let trusted = &self.api.context.settings.trusted_proxies;
        let mut origin = Origin::of(connection.ip(), request.headers(), trusted);
        origin.tls |= self.tls;
        let mut found = resolve(request.method().as_str(), request.uri().path());
        if matches!(found, Ok(Resolved::NotFound))
            && let Some(uri) = collapsed(request.uri())
        {
            *request.uri_mut() = uri;
            found = resolve(request.method().as_str(), request.uri().path());
        }
        if !matches!(found, Ok(Resolved::NotFound)) {
            return operation(&self.api, origin, request, found, || connection.set_busy()).await;
        }
        connection.set_busy();
        request.extensions_mut().insert(origin);
        let response = self.others.clone().oneshot(request.map(Body::new)).await;
        response.unwrap_or_else(|never| match never {})
    }
}

/// A target with one slash at the start of its path; `None` if it already has only one. A base URL with a trailing
/// slash leads to paths like `//api/v1/clusters`. Other slashes are kept, because an empty segment can have a
/// meaning.
fn collapsed(uri: &Uri) -> Option<Uri> {
    let target = uri.path_and_query()?.as_str().strip_prefix("//")?;
    format!("/{}", target.trim_start_matches('/')).parse().ok()
}

/// A request that no route matches: for a page of the console, or for an unknown path of the API.
async fn unmatched(
    State(state): State<RouteState>,
    Extension(origin): Extension<Origin>,
    request: axum::extract::Request,
) -> Response {
    if console::takes(&state.api.context, &request) {
        return console::answer(request.method(), request.uri(), request.headers());
    }
    operation(&state.api, origin, request, Ok(Resolved::NotFound), || ()).await
}

/// The response to a request of the API. `complete` is called when the request was read.
async fn operation<B>(
    api: &Arc<Api>,
    origin: Origin,
    request: axum::extract::Request<B>,
    found: Result<Resolved>,
    complete: impl Fn(),
) -> Response
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (head, body) = request.into_parts();
    let scim = ootheca_api::scim::covers(head.uri.path())
        .then(|| header_text(&head.headers, header::ACCEPT).map(|accept| accept.into_owned()));
    let deadline = Duration::from_secs(api.context.settings.http.body_seconds);
    let response = match whole(body, deadline).await {
        Ok(body) => {
            complete();
            let client = Arc::new(Client::of(origin.address, origin.tls, head.method.clone(), head.headers));
            let request = Request { method: head.method, uri: head.uri, client, body };
            response(pipeline::answer(api, request, found).await)
        }
        Err(error) => failure(&error),
    };
    api.response_counts.count(response.status().as_u16());
    match scim {
        Some(accept) => scim::dress(accept.as_deref(), response).await,
        None => response,
    }
}

/// Reads a body.
async fn whole<B>(body: B, deadline: Duration) -> Result<Bytes>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    match timeout(deadline, to_bytes(Body::new(body), BODY_LIMIT)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => {
            Err(Error::invalid("body", format!("must be complete and have at most {BODY_LIMIT} bytes")))
        }
        Err(_) => Err(Error::invalid("body", format!("must be complete within {} s", deadline.as_secs()))),
    }
}

fn response(answer: pipeline::Response) -> Response {
    let (content_type, body) = match answer.events {
        Some(events) => ("text/event-stream", Body::from_stream(events.map(Ok::<_, Infallible>))),
        None => ("application/json", Body::from(answer.body)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or_default();
    let headers = response.headers_mut();
    let mut set =
        |name: HeaderName, value: Option<HeaderValue>| value.map(|value| headers.insert(name, value));
    let text = |value: String| HeaderValue::try_from(value).ok();
    let flag = |on: bool| on.then_some(HeaderValue::from_static("true"));
    set(header::CONTENT_TYPE, Some(HeaderValue::from_static(content_type)));
    set(CC_VERSION, Some(HeaderValue::from_static(answer.version.header())));
    set(CC_TRACE_ID, text(answer.trace_id));
    set(header::ALLOW, answer.allow.and_then(text));
    set(header::RETRY_AFTER, answer.retry_after.map(HeaderValue::from));
    set(IDEMPOTENCY_REPLAYED, flag(answer.replayed));
    set(OOTHECA_DRY_RUN, flag(answer.dry_run));
    set(header::SET_COOKIE, answer.cookie.and_then(text));
    set(header::CACHE_CONTROL, answer.no_store.then_some(HeaderValue::from_static("no-store")));
    response
}

/// The metrics of the caller's organization, for Prometheus.
async fn metrics_text(
    State(state): State<RouteState>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
) -> Response {
    let gateway = state.embedded.as_ref().map(|embedded| embedded.figures());
    match metrics::text(&state.api, origin.address, &headers, gateway, state.tls.as_deref()).await {
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
        (true, Ok(_)) if state.api.context.disk.pressure() == DiskPressure::Low => plain(
            StatusCode::OK,
            "ready, but the disk is almost full: less than twice engine.disk_reserve_mib is free\n"
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
    Extension(origin): Extension<Origin>,
    Path((id, region)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let response = scrape::answer(&state.api, origin.address, &headers, &id, &region).await;
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
