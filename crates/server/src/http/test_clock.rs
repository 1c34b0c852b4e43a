//! `/api/ootheca/v1/clock`: reads and advances the test clock. Requires an administrator of the organization.
//! Returns 404 unless the server was started with `--test-clock`.

use crate::{
    api::Api,
    clock::TestClock,
    http::response,
    identity::authenticate::{Credentials, identify},
    metering::collector,
};
use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Uri, header},
    response::Response,
};
use ootheca_api::extensions;
use ootheca_model::{
    Error, Result, Role, Timestamp,
    identity::{Requirement, Target, authorize},
};
use serde::Deserialize;
use std::{net::IpAddr, sync::Arc};

/// The maximum number of seconds in one request: ten years.
const FURTHEST: i64 = 10 * 366 * 24 * 3600;

/// The maximum size of a body in bytes.
const BODY_LIMIT: usize = 4096;

/// The body of `POST`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: i64,
}

/// `GET /api/ootheca/v1/clock`
pub async fn show(api: Arc<Api>, peer: IpAddr, headers: HeaderMap) -> Response {
    answer(shown(&api, peer, &headers).await)
}

/// `POST /api/ootheca/v1/clock`: advances the clock, and responds once the work that is due was started.
pub async fn advance(api: Arc<Api>, peer: IpAddr, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    answer(advanced(api, peer, &uri, &headers, body).await)
}

async fn shown(api: &Api, peer: IpAddr, headers: &HeaderMap) -> Result<Timestamp> {
    admit(api, peer, headers).await?;
    Ok(api.context.now())
}

async fn advanced(
    api: Arc<Api>,
    peer: IpAddr,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Timestamp> {
    let clock = admit(&api, peer, headers).await?;
    extensions::refuse(headers.contains_key(extensions::KEY_HEADER), uri.query().unwrap_or_default())?;
    let body = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
    let request: Advance = serde_json::from_slice(&body).map_err(|error| {
        Error::invalid("body", format!("must be {{\"advance_seconds\": number}}: {error}"))
    })?;
    if !(0..=FURTHEST).contains(&request.advance_seconds) {
        let rule = format!("must be from 0 to {FURTHEST}: the clock can only be advanced");
        return Err(Error::invalid("advance_seconds", rule));
    }
    // Spawned, so that a disconnecting client cannot cancel it.
    let task = tokio::spawn(async move {
        // Zero only starts the work that is due.
        if request.advance_seconds > 0 {
            clock.advance(&*api.context.store, request.advance_seconds).await?;
        }
        api.context.clock_moved.send_modify(|moves| *moves += 1);
        collector::tick(&api.metering).await?;
        Ok(api.context.now())
    });
    task.await.map_err(|error| Error::internal("the test clock panicked").because(error))?
}

/// Authenticates an administrator of the organization, and returns the clock.
async fn admit(api: &Api, peer: IpAddr, headers: &HeaderMap) -> Result<Arc<TestClock>> {
    let Some(clock) = api.context.test_clock.clone() else {
        return Err(Error::not_found("path /api/ootheca/v1/clock"));
    };
    let token = headers.get(header::AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let principal = identify(&api.identity, &Credentials::bearer(token.as_deref()), peer).await?.principal;
    authorize(&principal, Requirement::Roles(&[Role::OrgAdmin]), Target::Organization)?;
    Ok(clock)
}

fn answer(result: Result<Timestamp>) -> Response {
    let (response, body) = match result {
        Ok(now) => {
            let response = Response::builder().header(header::CONTENT_TYPE, "application/json");
            (response, serde_json::json!({ "now": now }).to_string().into_bytes())
        }
        Err(error) => {
            if error.kind() == ootheca_model::ErrorKind::Internal {
                tracing::error!(error = error.chain(), "test clock: request failed");
            }
            (response::refusal(&error), ootheca_api::error::body(&error))
        }
    };
    response.body(Body::from(body)).unwrap_or_default()
}
