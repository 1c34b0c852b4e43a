//! One request to the extensions below `/api/ootheca/v1`: who sent it, the change that it makes, and the audit
//! entry that it leaves.

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

/// How often a change is decided again when a concurrent one was faster.
const ATTEMPTS: usize = 10;

/// What is to be written and what is answered then.
pub(crate) type ChangesFuture<'a, T> = Pin<Box<dyn Future<Output = Result<(Vec<Change>, T)>> + Send + 'a>>;

/// A request.
pub(crate) struct ExtensionRequest {
    pub(crate) api: Arc<Api>,
    pub(crate) trace_id: String,
    pub(crate) peer: IpAddr,
    pub(crate) credentials: Credentials,
    pub(crate) user_agent: String,
    /// Whether the browser speaks TLS, to this server or to a proxy in front of it.
    pub(crate) secure: bool,
    /// Whether it has an `Origin`, and that is another one.
    foreign: bool,
    query: String,
    has_idempotency_key: bool,
}

/// Whom an audit entry names.
pub(crate) enum Actor<'a> {
    Caller(&'a Caller),
    /// A person who signs in or tries to; `None` where the address is unknown.
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

    /// The caller. This counts as a call, as in the pipeline.
    pub(crate) async fn caller(&self) -> Result<Caller> {
        authenticate::admit(&self.api.identity, &self.credentials, self.peer).await
    }

    /// Refuses what a page of another site sends; a browser says so.
    pub(crate) fn check_origin(&self) -> Result<()> {
        if self.foreign {
            return Err(Error::new(ErrorKind::Denied, "cross-site request refused: Origin is another site"));
        }
        Ok(())
    }

    /// Refuses what changes here know nothing of: a dry run and an idempotency key.
    pub(crate) fn check_extensions(&self) -> Result<()> {
        extensions::refuse(self.has_idempotency_key, &self.query)
    }

    /// For an administrator of the organization.
    pub(crate) fn admin(&self, caller: &Caller) -> Result<Granted> {
        authorize(&caller.principal, Requirement::Roles(&[Role::OrgAdmin]), Target::Organization)
    }

    /// Any member.
    pub(crate) fn member(&self, caller: &Caller) -> Result<Granted> {
        authorize(&caller.principal, Requirement::Member, Target::Organization)
    }

    /// Decides and writes a change with its audit entry, or the entry of its refusal.
    pub(crate) async fn change<'a, T>(
        &self,
        entry: &AuditEntry,
        decide: impl Fn() -> ChangesFuture<'a, T>,
    ) -> Result<T> {
        self.change_in(entry.session_id.as_deref(), entry, decide).await
    }

    /// The same where the change itself opens the session that it then belongs to.
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

    /// Writes the entry of a refusal, then gives it back.
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

    /// The token of the session that calls; 401 if it is no session.
    pub(crate) fn session_token(&self, caller: &Caller) -> Result<&str> {
        match (&caller.session, &self.credentials.session) {
            (Some(_), Some(token)) => Ok(token),
            _ => Err(api_key::unauthenticated()),
        }
    }
}

/// What is answered.
pub(crate) struct Answer {
    pub(crate) body: Value,
    pub(crate) cookie: Option<String>,
}

impl From<Value> for Answer {
    fn from(body: Value) -> Self {
        Self { body, cookie: None }
    }
}

/// Reads a body; its errors never hold its values, which may be secret.
pub(crate) fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Error::invalid("body", format!("must be a JSON object of this operation's members; wrong at {place}"))
    })
}
