//! People: signing in and invitations. Extensions of the API below `/api/ootheca/v1`.
//!
//! | | |
//! |---|---|
//! | `POST session` | sign in: `{email, password}`, `{link_token, password?}` or `{jwt}` |
//! | `GET session`, `DELETE session` | the current session; sign out |
//! | `PUT session/password` | `{old_password, new_password}`; every other session ends |
//! | `GET sessions`, `DELETE sessions/{id}` | the caller's sessions; end one |
//! | `GET`, `POST invitations`, `DELETE invitations/{id}` | invite links; for ORG_ADMIN |
//! | `GET people`, `DELETE people/{id}` | the people of the organization; for ORG_ADMIN |
//! | `POST clusters/{id}/sql` | the SQL shell of the console, see [`crate::api::shell`] |
//!
//! Every change leaves one audit entry, refused or not, as in the pipeline; so does signing in.

mod invitations;
mod members;
mod session;

use crate::{
    api::{
        Api,
        extension::{Answer, ExtensionRequest},
        shell,
    },
    http::{listener::Peer, response},
};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, State},
    http::header,
    response::Response,
    routing::any,
};
use ootheca_model::{Error, ErrorKind, Result};
use std::sync::Arc;

/// The prefix of all paths.
const BASE: &str = "/api/ootheca/v1/";
/// The maximum size of a body in bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// The routes.
pub fn router<S: Clone + Send + Sync + 'static>(api: Arc<Api>) -> Router<S> {
    let paths = [
        "session",
        "session/password",
        "sessions",
        "sessions/{id}",
        "invitations",
        "invitations/{id}",
        "people",
        "people/{id}",
        "clusters/{id}/sql",
    ];
    let router = paths
        .into_iter()
        .fold(Router::new(), |router, path| router.route(&format!("{BASE}{path}"), any(answer)));
    router.with_state(api)
}

async fn answer(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: axum::extract::Request,
) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT).await;
    let call = ExtensionRequest::new(api, peer.ip(), &head);
    let trace_id = call.trace_id.clone();
    // Spawned, so that a disconnecting client cannot cancel it.
    let task = tokio::spawn(async move {
        let body =
            body.map_err(|_| Error::invalid("body", format!("must have at most {BODY_LIMIT} bytes")))?;
        route(&call, &head, &body).await
    });
    let result = task.await.unwrap_or_else(|error| Err(Error::internal("a request panicked").because(error)));
    let (response, body) = match result {
        Ok(answer) => {
            let response = Response::builder().header(header::CONTENT_TYPE, "application/json");
            let response = match answer.cookie {
                Some(cookie) => response.header(header::SET_COOKIE, cookie),
                None => response,
            };
            (response, answer.body.to_string().into_bytes())
        }
        Err(error) => {
            if error.kind() == ErrorKind::Internal {
                tracing::error!(trace_id, error = error.chain(), "request failed");
            }
            (response::refusal(&error), ootheca_api::error::body(&error))
        }
    };
    let response = response.header(header::CACHE_CONTROL, "no-store").header("cc-trace-id", trace_id);
    response.body(Body::from(body)).unwrap_or_default()
}

async fn route(call: &ExtensionRequest, head: &axum::http::request::Parts, body: &[u8]) -> Result<Answer> {
    let path = head.uri.path();
    let rest = path.strip_prefix(BASE).unwrap_or_default();
    let parts: Vec<&str> = rest.split('/').collect();
    match (head.method.as_str(), parts.as_slice()) {
        ("GET", ["session"]) => session::show(call).await,
        ("POST", ["session"]) => session::sign_in(call, body).await,
        ("DELETE", ["session"]) => session::sign_out(call).await,
        ("PUT", ["session", "password"]) => session::change_password(call, body).await,
        ("GET", ["sessions"]) => session::list(call).await,
        ("DELETE", ["sessions", id]) => session::end(call, id).await,
        ("GET", ["invitations"]) => invitations::list(call).await,
        ("POST", ["invitations"]) => invitations::invite(call, body).await,
        ("DELETE", ["invitations", id]) => invitations::revoke(call, id).await,
        ("GET", ["people"]) => members::list(call).await,
        ("DELETE", ["people", id]) => members::remove(call, id).await,
        ("POST", ["clusters", id, "sql"]) => shell::run(call, id, body).await,
        (method, _) => {
            let message = format!("method {method} is not allowed at {path}");
            Err(Error::new(ErrorKind::Unimplemented, message))
        }
    }
}
