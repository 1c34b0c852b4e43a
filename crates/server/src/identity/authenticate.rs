//! Authenticates callers by an API key, the token of another issuer, or the cookie of a session.
//!
//! Every invalid credential returns the same error, 401. Authorization is not decided here.

use crate::{
    documents::Stored,
    identity::{
        Identity,
        api_key::{self, Secret},
        jwt, members, principal, rate_limit, sessions,
    },
};
use axum::http::{HeaderMap, HeaderName, Method, header};
use ootheca_model::{ApiKey, Error, ErrorKind, Person, Principal, Result, ServiceAccount, Session};
use ootheca_store::Kind;
use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Instant};
use tokio::time::timeout;

const CC_VANITY_NAME: HeaderName = HeaderName::from_static("cc-vanity-name");
const CC_USERNAME: HeaderName = HeaderName::from_static("cc-username");
const X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// The value of a header. Bytes that are not UTF-8 are replaced.
pub fn header_text(headers: &HeaderMap, name: HeaderName) -> Option<Cow<'_, str>> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
}

/// The credentials of a request, which its headers contain.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    headers: &'a HeaderMap,
    /// Whether a session is accepted.
    sessions: bool,
    /// Whether the request can change something.
    changes: bool,
}

impl<'a> Credentials<'a> {
    /// The credentials of a request of the API.
    pub fn of(method: &Method, headers: &'a HeaderMap) -> Self {
        let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        Self { headers, sessions: true, changes }
    }

    /// The credentials of a program that only sends `Authorization`.
    pub fn bearer(headers: &'a HeaderMap) -> Self {
        Self { headers, sessions: false, changes: false }
    }

    /// The token in the session cookie.
    pub fn session(self) -> Option<&'a str> {
        let cookies = self.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        sessions::token_in_cookies(cookies).filter(|_| self.sessions)
    }

    /// `Cc-Username`: selects one of the identities of a token.
    pub fn username(self) -> Option<Cow<'a, str>> {
        header_text(self.headers, CC_USERNAME)
    }

    /// Whether the request comes from a page of this server, according to `Origin`.
    pub fn same_origin(self) -> bool {
        let text = |name| header_text(self.headers, name);
        sessions::same_origin(text(header::ORIGIN).as_deref(), text(header::HOST).as_deref())
    }

    /// `Authorization`.
    fn authorization(self) -> Option<Cow<'a, str>> {
        header_text(self.headers, header::AUTHORIZATION)
    }

    /// `Cc-Vanity-Name`: the organization, for tokens of other issuers.
    fn vanity_name(self) -> Option<Cow<'a, str>> {
        header_text(self.headers, CC_VANITY_NAME)
    }

    /// `X-CSRF-Token`.
    fn csrf_token(self) -> Option<Cow<'a, str>> {
        header_text(self.headers, X_CSRF_TOKEN)
    }
}

/// A caller, authenticated unless its principal is anonymous.
pub struct Caller {
    /// The principal.
    pub principal: Arc<Principal>,
    /// The session, if there is one.
    pub session: Option<Arc<Stored<Session>>>,
}

impl Caller {
    /// A caller without credentials, for public operations.
    pub fn anonymous() -> Self {
        Self::by_token(Arc::new(Principal::anonymous()))
    }

    fn by_token(principal: Arc<Principal>) -> Self {
        Self { principal, session: None }
    }

    /// The ID of the session, a hash of the token. It is not secret.
    pub fn session_id(&self) -> Option<String> {
        self.session.as_ref().map(|session| session.value.id.clone())
    }
}

/// Authenticates a caller and waits for its turn, if it exceeds the rate limit. This counts as a call.
pub async fn admit(identity: &Identity, credentials: Credentials<'_>, peer: IpAddr) -> Result<Caller> {
    let caller = identify(identity, credentials, peer).await?;
    let turn = identity.limiter.enter(caller.principal.id, Instant::now()).map_err(rate_limit::exceeded)?;
    let Some(turn) = turn else { return Ok(caller) };
    loop {
        // Created before the turn is checked, so that no notification is missed.
        let shortened = turn.shortened.notified();
        let Err(wait) = turn.take(Instant::now()) else { break };
        let _ = timeout(wait, shortened).await;
    }
    // The key or the session can have ended in the meantime, and roles can have changed.
    identify(identity, credentials, peer).await
}

/// Authenticates a caller. Failed attempts from addresses with too many of them have to wait. A request without
/// credentials does not count as a failed attempt.
pub async fn identify(identity: &Identity, credentials: Credentials<'_>, peer: IpAddr) -> Result<Caller> {
    let found = authenticate(identity, credentials).await;
    let unknown = found.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unauthenticated);
    if unknown && credentials.authorization().is_some() {
        identity.limiter.failed(peer, Instant::now()).map_err(rate_limit::exceeded)?;
    }
    found
}

/// Authenticates a caller.
pub async fn authenticate(identity: &Identity, credentials: Credentials<'_>) -> Result<Caller> {
    let authorization = credentials.authorization();
    if authorization.is_none()
        && let Some(token) = credentials.session()
    {
        return by_session(identity, credentials, token).await;
    }
    let token = api_key::bearer(authorization.as_deref())?;
    match Secret::parse(token) {
        Some(secret) => by_key(identity, &secret).await,
        None => {
            let vanity_name = credentials.vanity_name().ok_or_else(api_key::unauthenticated)?;
            let username = credentials.username();
            let principal = jwt::principal(identity, token, &vanity_name, username.as_deref()).await?;
            members::record_arrival(&identity.context, &principal).await?;
            Ok(Caller::by_token(principal))
        }
    }
}

async fn by_key(identity: &Identity, secret: &Secret) -> Result<Caller> {
    let key = identity.context.find::<ApiKey>(secret.id()).await?.ok_or_else(api_key::unauthenticated)?;
    let now = identity.context.now();
    if !secret.matches(&key.value) || key.value.expires_at.is_some_and(|end| end <= now) {
        return Err(api_key::unauthenticated());
    }
    let account = identity.context.find::<ServiceAccount>(&key.value.service_account.to_string()).await?;
    let account = account.ok_or_else(api_key::unauthenticated)?;
    identity.last_use.note(Kind::ApiKey, secret.id(), now);
    Ok(Caller::by_token(Arc::new(principal::of_account(&account.value))))
}

async fn by_session(identity: &Identity, credentials: Credentials<'_>, token: &str) -> Result<Caller> {
    let session = sessions::find(identity, token).await?.ok_or_else(api_key::unauthenticated)?;
    let person = identity.context.find::<Person>(&session.value.person.to_string()).await?;
    let person = person.ok_or_else(api_key::unauthenticated)?;
    let principal = principal::of_person(&identity.context, &person.value).await?;
    if credentials.changes && !credentials.same_origin() {
        let known = credentials.csrf_token().is_some_and(|sent| sessions::csrf_matches(token, &sent));
        if !known {
            let message = "cross-site request refused: send the session's csrf_token in X-CSRF-Token";
            return Err(Error::new(ErrorKind::Denied, message));
        }
    }
    identity.last_use.note(Kind::Session, &session.value.id, identity.context.now());
    Ok(Caller { principal, session: Some(session) })
}
