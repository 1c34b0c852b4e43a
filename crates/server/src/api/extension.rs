//! A request to the extensions below `/api/ootheca/v1`: its caller, its change, and its audit entry.

use crate::{
    api::{Api, redact},
    identity::{
        api_key,
        authenticate::{self, Caller, Credentials},
    },
    ids::fresh_id,
};
use axum::http::request::Parts;
use ootheca_api::extensions;
use ootheca_model::{
    Error, ErrorKind, Granted, OrganizationId, Result, Role, Session,
    audit::AuditEntry,
    identity::{Requirement, Target, authorize},
};
use ootheca_store::{Batch, Change};
use serde_json::Value;
use std::{net::IpAddr, pin::Pin, sync::Arc};

/// The maximum number of attempts if concurrent changes come first.
const ATTEMPTS: usize = 10;

/// The changes to write, and the value to return after that.
pub(crate) type ChangesFuture<'a, T> = Pin<Box<dyn Future<Output = Result<(Vec<Change>, T)>> + Send + 'a>>;

/// A request.
pub(crate) struct ExtensionRequest {
    pub(crate) api: Arc<Api>,
    pub(crate) trace_id: String,
    pub(crate) peer: IpAddr,
    pub(crate) credentials: Credentials,
    pub(crate) user_agent: String,
    /// Whether the browser uses TLS, to this server or to a proxy in front of it.
    pub(crate) secure: bool,
    /// Whether the request has an `Origin` other than this server.
    foreign: bool,
    query: String,
    has_idempotency_key: bool,
}

/// The actor of an audit entry.
pub(crate) enum Actor<'a> {
    Caller(&'a Caller),
    /// A person who tries to sign in; `None` if the email address is unknown.
    Person(OrganizationId, Option<&'a str>),
}

impl ExtensionRequest {
    pub(crate) fn new(api: Arc<Api>, peer: IpAddr, head: &Parts) -> Self {
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let credentials = Credentials::of(&head.method, &head.headers);
        let origin = text("origin");
        let https = |text: Option<&str>| text.is_some_and(|text| text.starts_with("https"));
        Self {
            api,
            trace_id: fresh_id().simple().to_string(),
            peer,
            user_agent: text("user-agent").unwrap_or_default().to_owned(),
            secure: https(origin) || https(text("x-forwarded-proto")),
            foreign: origin.is_some() && !credentials.same_origin,
            query: head.uri.query().unwrap_or_default().to_owned(),
            has_idempotency_key: head.headers.contains_key(extensions::KEY_HEADER),
            credentials,
        }
    }

    /// Authenticates the caller. This counts toward the rate limit, as in the pipeline.
    pub(crate) async fn caller(&self) -> Result<Caller> {
        authenticate::admit(&self.api.identity, &self.credentials, self.peer).await
    }

    /// Refuses requests from pages of other sites, which browsers mark.
    pub(crate) fn check_origin(&self) -> Result<()> {
        if self.foreign {
            return Err(Error::new(ErrorKind::Denied, "cross-site request refused: Origin is another site"));
        }
        Ok(())
    }

    /// Refuses dry runs and idempotency keys, which these requests do not support.
    pub(crate) fn check_extensions(&self) -> Result<()> {
        extensions::refuse(self.has_idempotency_key, &self.query)
    }

    /// Requires an administrator of the organization.
    pub(crate) fn admin(&self, caller: &Caller) -> Result<Granted> {
        authorize(&caller.principal, Requirement::Roles(&[Role::OrgAdmin]), Target::Organization)
    }

    /// Requires a member of the organization.
    pub(crate) fn member(&self, caller: &Caller) -> Result<Granted> {
        authorize(&caller.principal, Requirement::Member, Target::Organization)
    }

    /// Decides on a change and writes it with its audit entry, or writes the entry of its refusal.
    pub(crate) async fn change<'a, T>(
        &self,
        entry: &AuditEntry,
        decide: impl Fn() -> ChangesFuture<'a, T>,
    ) -> Result<T> {
        self.change_in(entry.session_id.as_deref(), entry, decide).await
    }

    /// The same for a change that creates the session that the audit entry names.
    pub(crate) async fn opening<'a, T>(
        &self,
        session: &Session,
        entry: &AuditEntry,
        decide: impl Fn() -> ChangesFuture<'a, T>,
    ) -> Result<T> {
        self.change_in(Some(&session.id), entry, decide).await
    }

    async fn change_in<'a, T>(
        &self,
        session_id: Option<&str>,
        entry: &AuditEntry,
        decide: impl Fn() -> ChangesFuture<'a, T>,
    ) -> Result<T> {
        if let Err(error) = self.check_extensions() {
            return self.refuse(entry.clone(), error).await;
        }
        let mut last = Error::unavailable("too many concurrent changes of the same object; try again");
        for _ in 0..ATTEMPTS {
            let (changes, reply) = match decide().await {
                Ok(decided) => decided,
                Err(error) => {
                    last = error;
                    break;
                }
            };
            let mut batch = Batch::server("people");
            batch.changes = changes;
            batch.audit.push(AuditEntry { session_id: session_id.map(str::to_owned), ..entry.clone() });
            match self.api.context.store.commit(batch, self.api.context.now()).await {
                Ok(_) => return Ok(reply),
                Err(error) if error.kind() == ErrorKind::Stale => {}
                Err(error) => {
                    last = error;
                    break;
                }
            }
        }
        self.refuse(entry.clone(), last).await
    }

    /// Writes the entry of a refusal, and returns the error.
    pub(crate) async fn refuse<T>(&self, mut entry: AuditEntry, error: Error) -> Result<T> {
        entry.error = Some(redact::error(&error));
        let mut batch = Batch::server("people");
        batch.audit.push(entry);
        self.api.context.store.commit(batch, self.api.context.now()).await?;
        Err(error)
    }

    /// A new entry. Secrets in `request` are redacted.
    pub(crate) fn entry(
        &self,
        action: &str,
        operation: &str,
        actor: Actor<'_>,
        request: &Value,
    ) -> AuditEntry {
        let body = request.to_string();
        let session_id = match actor {
            Actor::Caller(caller) => caller.session_id(),
            Actor::Person(..) => None,
        };
        let (organization, source, user_email, service_account_name) = match actor {
            Actor::Caller(caller) => {
                let (name, person) = (caller.principal.name.clone(), caller.principal.person);
                let account = (!person).then(|| redact::text(&name));
                (caller.principal.organization, caller.source, person.then_some(name), account)
            }
            Actor::Person(organization, email) => (organization, "UI", email.map(str::to_owned), None),
        };
        AuditEntry {
            id: fresh_id(),
            organization,
            created_at: self.api.context.now(),
            action: action.to_owned(),
            source: source.to_owned(),
            cluster: None,
            cluster_name: None,
            user_email,
            service_account_name,
            session_id,
            ip_address: Some(self.peer.to_string()),
            trace_id: self.trace_id.clone(),
            payload: redact::payload(operation, std::iter::empty(), body.as_bytes()),
            error: None,
        }
    }

    /// The token of the caller's session; 401 if the caller has no session.
    pub(crate) fn session_token(&self, caller: &Caller) -> Result<&str> {
        match (&caller.session, &self.credentials.session) {
            (Some(_), Some(token)) => Ok(token),
            _ => Err(api_key::unauthenticated()),
        }
    }
}

/// A response.
pub(crate) struct Answer {
    pub(crate) body: Value,
    pub(crate) cookie: Option<String>,
}

impl From<Value> for Answer {
    fn from(body: Value) -> Self {
        Self { body, cookie: None }
    }
}

/// Decodes a body. Errors do not contain its values, which can be secret.
pub(crate) fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Error::invalid("body", format!("must be a JSON object of this operation's members; wrong at {place}"))
    })
}
