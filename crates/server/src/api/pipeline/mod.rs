//! The pipeline that every call of an operation passes, in this order: version, route, authentication, rate limit,
//! authorization, idempotency key, decoding, handler, audit, encoding. Public operations skip authentication;
//! their rate limit is the one for addresses with failed attempts.
//!
//! A call that changes something leaves exactly one audit entry, refused or not, in the transaction of its
//! change. It runs to its end even if the client disconnects. A dry run leaves none, unless the caller is not
//! allowed to make the change; nor does a replayed response, or a call beyond the rate limit. Repeated calls of a
//! caller that lacks the required role share an entry.

mod dry_run;
mod replay;

use crate::{
    api::{
        Api, audit,
        call::{Attempt, Call},
        client::Client,
        decision::{Decision, Reply},
        dispatch::{self, Events, Input, Outcome},
        hierarchy,
        idempotency::IdempotencyKey,
        redact,
    },
    documents,
    identity::{
        api_key,
        authenticate::{self, Caller},
        rate_limit,
    },
    ids::fresh_id,
};
use axum::http::{HeaderName, Method, Uri};
use bytes::Bytes;
use ootheca_api::{
    extensions::Extensions,
    operations::{Operation, Scope},
    router::{Params, Resolved},
    versions::Version,
};
use ootheca_model::{
    Cluster, ClusterId, Error, ErrorKind, Principal, Result,
    audit::{AuditEntry, INTERRUPTED},
    identity::{Requirement, Target, authorize},
};
use ootheca_store::Batch;
use parking_lot::Mutex;
use rand::RngExt;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const CC_VERSION: HeaderName = HeaderName::from_static("cc-version");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The maximum number of attempts if concurrent changes come first.
const ATTEMPTS: usize = 20;

/// A request to the pipeline.
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// The client.
    pub client: Arc<Client>,
    /// Body.
    pub body: Bytes,
}

impl Request {
    /// The query, without its question mark.
    fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }
}

/// A response in the format of the API.
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The version that was applied.
    pub version: Version,
    /// For `Cc-Trace-Id`.
    pub trace_id: String,
    /// The value of `Allow`, for status 405.
    pub allow: Option<String>,
    /// The value of `Retry-After` in seconds, for status 429.
    pub retry_after: Option<u64>,
    /// Whether it is the response to an earlier request with the same idempotency key.
    pub replayed: bool,
    /// Whether it is the response to a dry run.
    pub dry_run: bool,
    /// Whether caches must not store it.
    pub no_store: bool,
    /// `Set-Cookie`.
    pub cookie: Option<String>,
    /// JSON, or empty.
    pub body: Vec<u8>,
    /// The stream that replaces the body.
    pub events: Option<Events>,
}

impl Response {
    fn fail(&mut self, error: &Error) {
        if error.kind() == ErrorKind::Internal {
            tracing::error!(trace_id = self.trace_id, error = error.chain(), "request failed");
        }
        self.status = ootheca_api::error::status(error.kind());
        self.retry_after = rate_limit::retry_after_of(error);
        self.body = ootheca_api::error::body(error);
    }
}

/// Handles a request, for which `found` was found in the table. Errors become responses.
pub async fn answer(api: &Arc<Api>, request: Request, found: Result<Resolved>) -> Response {
    let trace_id = fresh_id().simple().to_string();
    let version = Version::from_header(request.client.header(CC_VERSION).as_deref());
    let applied = *version.as_ref().unwrap_or(&Version::default());
    let mut response = Response {
        status: 200,
        version: applied,
        trace_id,
        allow: None,
        retry_after: None,
        replayed: false,
        dry_run: false,
        no_store: false,
        cookie: None,
        body: Vec::new(),
        events: None,
    };
    let result = match (version, found) {
        (Err(error), _) | (_, Err(error)) => Err(error),
        (_, Ok(Resolved::NotFound)) => Err(Error::not_found(format!("path {}", request.uri.path()))),
        (_, Ok(Resolved::MethodNotAllowed { allow })) => {
            response.status = 405;
            let message = format!("method {} is not allowed here; allowed: {allow}", request.method);
            response.body = ootheca_api::error::body(&Error::new(ErrorKind::Unimplemented, message));
            response.allow = Some(allow);
            return response;
        }
        (Ok(version), Ok(Resolved::Found { operation, params })) => {
            response.no_store = operation.is_extension();
            let context = RequestContext {
                api: api.clone(),
                operation,
                params,
                version,
                request,
                trace_id: response.trace_id.clone(),
            };
            context.admit(&mut response).await
        }
    };
    if let Err(error) = result {
        response.fail(&error);
    }
    response
}

/// A request to an operation of the table.
struct RequestContext {
    api: Arc<Api>,
    operation: &'static Operation,
    params: Params,
    version: Version,
    request: Request,
    trace_id: String,
}

/// The result of a change.
struct ChangeResult {
    status: u16,
    /// In the newest version of the API, unless it is an error.
    body: Vec<u8>,
    /// The trace ID of the earlier request that made the change, if there was one.
    first: Option<String>,
    dry_run: bool,
    cookie: Option<String>,
}

impl ChangeResult {
    fn done(body: Vec<u8>) -> Self {
        Self { status: 200, body, first: None, dry_run: false, cookie: None }
    }

    fn refused(error: &Error) -> Self {
        let (status, body) = (ootheca_api::error::status(error.kind()), ootheca_api::error::body(error));
        Self { status, body, first: None, dry_run: false, cookie: None }
    }
}

impl RequestContext {
    /// Authenticates the caller, runs the operation, and fills in `response`.
    async fn admit(self, response: &mut Response) -> Result<()> {
        let caller = self.authenticate().await?;
        let (operation, version) = (self.operation, self.version);
        let answer = match operation.audit {
            None => match self.read(&caller).await? {
                Outcome::Read(body) => ChangeResult::done(body),
                Outcome::Stream(events) => {
                    response.events = Some(events);
                    return Ok(());
                }
                Outcome::Change(_) => return Err(Error::internal("a read returned a change")),
            },
            Some(action) => {
                let action = audit::action(operation.name, action, &self.request.body);
                // Spawned, so that a disconnecting client cannot cancel it.
                let task = tokio::spawn(async move { self.change(&caller, action).await });
                task.await.map_err(|error| Error::internal("a change panicked").because(error))??
            }
        };
        response.status = answer.status;
        response.dry_run = answer.dry_run;
        response.cookie = answer.cookie;
        response.replayed = answer.first.is_some();
        if let Some(first) = answer.first {
            response.trace_id = first;
        }
        let done = answer.status == 200;
        response.body = if done { version.downgrade(operation.op, answer.body) } else { answer.body };
        Ok(())
    }

    async fn authenticate(&self) -> Result<Caller> {
        let (identity, client) = (&self.api.identity, &self.request.client);
        if self.operation.requirement != Requirement::Public {
            return authenticate::admit(identity, client.credentials(), client.peer).await;
        }
        // Prevents login CSRF.
        if client.cross_site() {
            return Err(Error::new(ErrorKind::Denied, "cross-site request refused: Origin is another site"));
        }
        Ok(Caller::anonymous())
    }

    async fn authorize(&self, caller: &Caller) -> Result<Call> {
        let (scope, params) = (self.operation.scope, &self.params);
        let target = hierarchy::target(&self.api.context, &caller.principal, scope, params).await?;
        self.authorize_at(caller, target)
    }

    fn authorize_at(&self, caller: &Caller, target: Target) -> Result<Call> {
        let requirement = hierarchy::requirement(self.operation, self.version, &self.request.body);
        let granted = authorize(&caller.principal, requirement, target)?;
        if self.operation.scope == Scope::Session && caller.session.is_none() {
            return Err(api_key::unauthenticated());
        }
        if self.operation.has_body {
            ootheca_api::decode::check_syntax(&self.request.body)?;
        }
        let Api { context, identity, metering, lifecycle, .. } = &*self.api;
        Ok(Call {
            context: context.clone(),
            identity: identity.clone(),
            metering: metering.clone(),
            lifecycle: lifecycle.clone(),
            operation: self.operation,
            granted,
            version: self.version,
            client: self.request.client.clone(),
            session: caller.session.clone(),
            claimant: Arc::new(Mutex::new(None)),
            attempt: Attempt::Only,
        })
    }

    fn cluster_id(&self) -> Option<ClusterId> {
        match self.operation.scope {
            Scope::Cluster(parameter) => self.params.get(parameter)?.parse().ok(),
            _ => None,
        }
    }

    async fn dispatch(&self, call: &Arc<Call>) -> Result<Outcome> {
        let input = Input { params: &self.params, query: self.request.query(), body: &self.request.body };
        dispatch::run(self.operation.op, call.clone(), input).await
    }

    async fn read(&self, caller: &Caller) -> Result<Outcome> {
        let call = Arc::new(self.authorize(caller).await?);
        self.dispatch(&call).await
    }

    async fn change(&self, caller: &Caller, action: &'static str) -> Result<ChangeResult> {
        let principal = &caller.principal;
        let entry = self.audit_entry(caller, action).await?;
        let mut call = match self.authorize(caller).await {
            Ok(call) => call,
            Err(error) => return self.replay_or_refuse(entry, caller, error).await,
        };
        let extensions = match self.extensions() {
            Ok(extensions) => extensions,
            Err(error) => return self.refuse(entry, error).await,
        };
        if extensions.dry_run {
            call.attempt = Attempt::DryRun;
            return self.dry_run(entry, &Arc::new(call)).await;
        }
        let Some(key) = self.key(principal, &extensions) else {
            return self.decide(entry, Arc::new(call), None).await;
        };
        let _lock = self.api.idempotency.lock(key.id()).await;
        if let Some(found) = key.find(&self.api.context).await? {
            return self.replay(entry, call, &key, found).await;
        }
        call.attempt = Attempt::First;
        self.decide(entry, Arc::new(call), Some(&key)).await
    }

    fn extensions(&self) -> Result<Extensions> {
        let Request { client, body, .. } = &self.request;
        let key = client.header(IDEMPOTENCY_KEY);
        Extensions::read(self.operation, key.as_deref(), self.request.query(), body)
    }

    /// The idempotency key of the request, unless it is a dry run.
    fn key(&self, principal: &Principal, extensions: &Extensions) -> Option<IdempotencyKey> {
        let key = extensions.key.as_deref().filter(|_| !extensions.dry_run)?;
        let Request { method, uri, .. } = &self.request;
        let request = [method.as_str(), uri.path(), self.version.header(), &extensions.canonical];
        Some(IdempotencyKey::new(&self.api.context, principal, key, &request))
    }

    async fn decide(
        &self,
        mut entry: AuditEntry,
        call: Arc<Call>,
        key: Option<&IdempotencyKey>,
    ) -> Result<ChangeResult> {
        for attempt in 0..ATTEMPTS {
            step_aside(attempt).await;
            let outcome = self.dispatch(&call).await;
            if let Some(claimant) = &*call.claimant.lock() {
                claimant.attribute(&mut entry);
            }
            let change = match outcome {
                Ok(Outcome::Change(change)) => change,
                Ok(_) => return Err(Error::internal("a change changed nothing")),
                Err(error) if error.kind() == ErrorKind::Stale => continue,
                Err(error) if error.kind() == ErrorKind::Denied => {
                    self.note_denial(entry, call.granted.principal(), &error).await?;
                    return Err(error);
                }
                Err(error) => return self.refuse(entry, error).await,
            };
            let Decision { mut batch, reply, action, cluster, session_id, cookie } = *change;
            let mut begun = entry.clone();
            if let Some(action) = action {
                begun.action = action.to_owned();
            }
            if let Some((id, name)) = cluster {
                (begun.cluster, begun.cluster_name) = (Some(id), Some(name));
            }
            if session_id.is_some() {
                begun.session_id = session_id;
            }
            if matches!(reply, Reply::SideEffect(_)) {
                begun.error = Some(INTERRUPTED.to_owned());
            }
            if let Some(key) = key {
                let progress = key.progress(&begun, &reply)?;
                let folders = call.granted.folders();
                let record = key.record(self.api.context.now(), &self.trace_id, folders, progress);
                batch.mutations.push(documents::insert(&record)?);
            }
            batch.audit.push(begun.clone());
            match self.api.context.store.commit(batch, self.api.context.now()).await {
                Ok(_) => {
                    let answer = self.settle(begun, reply, key).await?;
                    return Ok(ChangeResult { cookie, ..answer });
                }
                Err(error) if error.kind() == ErrorKind::Stale => {}
                Err(error) => {
                    if error.kind() == ErrorKind::Exists
                        && let Some(key) = key
                        && let Some(found) = key.find(&self.api.context).await?
                    {
                        // A request to another server of this store with the same key came first.
                        return self.replay(entry, Call::clone(&call), key, found).await;
                    }
                    // The new resource was not created, so the entry only contains what the request
                    // contained.
                    return self.refuse(entry, error).await;
                }
            }
        }
        self.refuse(entry, Error::unavailable("too many concurrent changes of the same object; try again"))
            .await
    }

    async fn settle(
        &self,
        entry: AuditEntry,
        reply: Reply<Vec<u8>>,
        key: Option<&IdempotencyKey>,
    ) -> Result<ChangeResult> {
        match reply {
            Reply::Ready(body) => Ok(ChangeResult::done(body)),
            Reply::Pending(future) => {
                let body = future.await?;
                if let Some(key) = key {
                    key.note(&self.api.context, key.answered(200, &body)?).await;
                }
                Ok(ChangeResult::done(body))
            }
            Reply::SideEffect(future) => {
                let result = future.await;
                let error = result.as_ref().err().map(redact::error);
                self.api.context.store.complete_audit(entry.id, &entry.payload, error.as_deref()).await?;
                self.keep(key, &result).await?;
                result.map(ChangeResult::done)
            }
        }
    }

    /// Like [`Self::refuse`], for a caller that may lack the required role.
    async fn deny(&self, entry: AuditEntry, caller: &Caller, error: Error) -> Result<ChangeResult> {
        if !matches!(error.kind(), ErrorKind::Denied | ErrorKind::NotFound) {
            return self.refuse(entry, error).await;
        }
        self.note_denial(entry, &caller.principal, &error).await?;
        Err(error)
    }

    /// Like [`Self::note_refusal`], but counts refusals that are repeated. Callers without the required role could
    /// otherwise fill the audit log.
    async fn note_denial(&self, mut entry: AuditEntry, caller: &Principal, error: &Error) -> Result<()> {
        // All callers of a public operation have the same ID.
        if self.operation.requirement == Requirement::Public {
            return self.note_refusal(entry, error).await;
        }
        entry.error = Some(redact::error(error));
        entry.payload = redact::refused(entry.payload);
        match self.api.refusals.admit(caller.id, self.operation.name, entry) {
            Some(entry) => self.note_refusal(entry, error).await,
            None => Ok(()),
        }
    }

    /// Writes the entry of a refused call, and returns the error. A failed attempt to sign in counts.
    async fn refuse(&self, entry: AuditEntry, error: Error) -> Result<ChangeResult> {
        self.note_refusal(entry, &error).await?;
        let (identity, peer) = (&self.api.identity, self.request.client.peer);
        if self.operation.requirement == Requirement::Public && error.kind() == ErrorKind::Unauthenticated {
            identity.limiter.failed(peer, Instant::now()).map_err(rate_limit::too_many_failures)?;
        }
        Err(error)
    }

    async fn note_refusal(&self, mut entry: AuditEntry, error: &Error) -> Result<()> {
        // The caller named no user or organization that exists.
        if entry.organization.0.is_nil() {
            return Ok(());
        }
        entry.error = Some(redact::error(error));
        entry.payload = redact::refused(entry.payload);
        let mut batch = Batch::server("audit");
        batch.audit.push(entry);
        self.api.context.store.commit(batch, self.api.context.now()).await.map(|_| ())
    }

    async fn audit_entry(&self, caller: &Caller, action: &str) -> Result<AuditEntry> {
        let principal = &caller.principal;
        let cluster = match self.cluster_id() {
            Some(id) => self.api.context.find::<Cluster>(&id.to_string()).await?,
            None => None,
        };
        let cluster = cluster.filter(|found| found.row.organization == principal.organization);
        let service_account = !principal.person && !principal.is_anonymous();
        Ok(AuditEntry {
            id: fresh_id(),
            organization: principal.organization,
            created_at: self.api.context.now(),
            action: action.to_owned(),
            source: audit::source(self.request.client.user_agent().as_deref(), caller.session.is_some())
                .to_owned(),
            cluster: cluster.as_ref().map(|found| found.value.id),
            cluster_name: cluster.map(|found| found.value.name.clone()),
            user_email: principal.person.then(|| principal.name.clone()),
            service_account_name: service_account.then(|| redact::text(&principal.name)),
            session_id: caller.session_id(),
            ip_address: Some(self.request.client.peer.to_string()),
            trace_id: self.trace_id.clone(),
            payload: redact::payload(self.operation.name, self.params.iter(), &self.request.body),
            error: None,
        })
    }
}

/// Waits before a change is decided again: a random time that grows with each attempt, so that writers of the
/// same row do not keep conflicting.
async fn step_aside(attempt: usize) {
    if attempt > 0 {
        let most = 2_000 * u64::try_from(attempt).unwrap_or(1);
        let pause = Duration::from_micros(rand::rng().random_range(0..most));
        tokio::time::sleep(pause).await;
    }
}
