//! The clock that users may advance to test their automation: months pass in milliseconds.
//!
//! Off unless the server was started with `--test-clock`, and loud in the log. It only goes forwards,
//! and remembers over restarts how far it went.

use crate::{
    app::{App, SystemClock},
    authenticate::{Credentials, identify},
    http, meter, rows,
};
use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Uri, header},
    response::Response,
};
use ootheca_api::extensions;
use ootheca_model::{
    Error, OrganizationId, Result, Role, Timestamp,
    identity::{Requirement, Target, authorize},
    time::Clock,
};
use ootheca_store::{Batch, Change, Kind, Row, Store};
use serde::Deserialize;
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

/// The setting under which the store remembers how far the clock went.
const SETTING: &str = "test-clock";

/// The furthest that it goes at once, in seconds: ten years.
const FURTHEST: i64 = 10 * 366 * 24 * 3600;

/// Largest body in bytes.
const BODY_LIMIT: usize = 4096;

/// The machine's time and something more.
#[derive(Default)]
pub struct TestClock {
    ahead_micros: AtomicI64,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0.saturating_add(self.ahead_micros.load(Ordering::SeqCst)))
    }
}

impl TestClock {
    /// A clock that is as far ahead as it was when it was last used with this store.
    pub async fn open(store: &dyn Store) -> Result<Self> {
        let row = store.get(Kind::Setting, SETTING).await?;
        let ahead = row.and_then(|row| row.document.parse().ok()).unwrap_or(0);
        let clock = Self { ahead_micros: AtomicI64::new(ahead) };
        tracing::warn!(now = %clock.now(), "TEST CLOCK: time can be advanced over the API; never do this in production");
        Ok(clock)
    }

    /// Goes forwards, for good.
    pub(crate) async fn advance(&self, store: &dyn Store, seconds: i64) -> Result<Timestamp> {
        let micros = seconds.saturating_mul(1_000_000);
        let ahead = self.ahead_micros.fetch_add(micros, Ordering::SeqCst).saturating_add(micros);
        let now = self.now();
        let nobody = OrganizationId(uuid::Uuid::nil());
        let fresh = rows::row(Kind::Setting, SETTING.to_owned(), nobody, SETTING.to_owned(), now);
        let change = match store.get(Kind::Setting, SETTING).await? {
            Some(row) => Change::Update(Row { document: ahead.to_string(), ..row }),
            None => Change::Insert(Row { document: ahead.to_string(), ..fresh }),
        };
        store.commit(Batch::server("test clock").with(change), now).await?;
        tracing::warn!(%now, seconds, "TEST CLOCK: time was advanced");
        Ok(now)
    }
}

/// What is asked of the clock.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: i64,
}

/// `GET /api/ootheca/v1/clock`
pub async fn show(app: Arc<App>, peer: IpAddr, headers: HeaderMap) -> Response {
    answer(shown(&app, peer, &headers).await)
}

/// `POST /api/ootheca/v1/clock`: goes forwards, and answers once what was due is under way.
pub async fn advance(app: Arc<App>, peer: IpAddr, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    answer(advanced(app, peer, &uri, &headers, body).await)
}

async fn shown(app: &App, peer: IpAddr, headers: &HeaderMap) -> Result<Timestamp> {
    admit(app, peer, headers).await?;
    Ok(app.now())
}

async fn advanced(
    app: Arc<App>,
    peer: IpAddr,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Timestamp> {
    let clock = admit(&app, peer, headers).await?;
    extensions::refuse(headers.contains_key(extensions::KEY_HEADER), uri.query().unwrap_or_default())?;
    let body = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
    let request: Advance = serde_json::from_slice(&body).map_err(|error| {
        Error::invalid("body", format!("must be {{\"advance_seconds\": number}}: {error}"))
    })?;
    if !(0..=FURTHEST).contains(&request.advance_seconds) {
        let rule = format!("must be from 0 to {FURTHEST}: time only goes forwards");
        return Err(Error::invalid("advance_seconds", rule));
    }
    // A task of its own: a caller that hangs up must not stop it half-way.
    let task = tokio::spawn(async move {
        // Zero only does what is due.
        if request.advance_seconds > 0 {
            clock.advance(&*app.store, request.advance_seconds).await?;
        }
        app.clock_moved.send_modify(|moves| *moves += 1);
        meter::tick(&app).await?;
        Ok(app.now())
    });
    task.await.map_err(|error| Error::internal("the test clock panicked").because(error))?
}

/// The clock, for an administrator of the organization.
async fn admit(app: &App, peer: IpAddr, headers: &HeaderMap) -> Result<Arc<TestClock>> {
    let Some(clock) = app.test_clock.clone() else {
        return Err(Error::not_found("path /api/ootheca/v1/clock"));
    };
    let token = headers.get(header::AUTHORIZATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let principal = identify(app, &Credentials::bearer(token.as_deref()), peer).await?.principal;
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
            (http::refusal(&error), ootheca_api::error::body(&error))
        }
    };
    response.body(Body::from(body)).unwrap_or_default()
}
