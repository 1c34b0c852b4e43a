//! The one door. Every call of the API passes here, in this order: version, route, authentication,
//! authorization, decoding, handler, audit, encoding.
//!
//! A call that changes something leaves exactly one audit entry, refused or not, in the transaction
//! of its change. It runs to its end even if the caller hangs up.

use crate::{
    app::{App, fresh_id},
    audit,
    authenticate::{Caller, Credentials, authenticate},
    call::Call,
    change::{Change, Reply},
    dispatch::{self, Input, Outcome},
    places, redact,
};
use ootheca_api::{
    operations::{Operation, Scope},
    router::{self, Params, Resolved},
    versions::Version,
};
use ootheca_model::{
    Cluster, ClusterId, Error, ErrorKind, Principal, Result,
    audit::{AuditEntry, INTERRUPTED},
    identity::authorize,
};
use ootheca_store::Batch;
use rand::RngExt;
use std::{net::IpAddr, sync::Arc, time::Duration};

/// How often a change is decided again when a concurrent one was faster.
const ATTEMPTS: usize = 20;

/// A request, as far as the gate looks at it.
pub struct Request {
    /// `GET`, …
    pub method: String,
    /// Path, still percent-encoded.
    pub path: String,
    /// Query, without its question mark.
    pub query: String,
    /// `Cc-Version`.
    pub version: Option<String>,
    /// What it says about its caller.
    pub credentials: Credentials,
    /// `User-Agent`.
    pub agent: Option<String>,
    /// Body.
    pub body: Vec<u8>,
    /// The caller's address.
    pub peer: IpAddr,
}

/// An answer in the API's shape.
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The version that was applied.
    pub version: Version,
    /// For `Cc-Trace-Id`.
    pub trace_id: String,
    /// For `Allow`, after 405.
    pub allow: Option<String>,
    /// JSON, or nothing.
    pub body: Vec<u8>,
}

/// Answers a request. Never fails: errors become answers.
pub async fn answer(app: &Arc<App>, request: Request) -> Response {
    let trace_id = fresh_id().simple().to_string();
    let version = Version::from_header(request.version.as_deref());
    let applied = *version.as_ref().unwrap_or(&Version::default());
    let mut response = Response { status: 200, version: applied, trace_id, allow: None, body: Vec::new() };
    let result = match (version, router::resolve(&request.method, &request.path)) {
        (Err(error), _) | (_, Err(error)) => Err(error),
        (_, Ok(Resolved::NotFound)) => Err(Error::not_found(format!("path {}", request.path))),
        (_, Ok(Resolved::MethodNotAllowed { allow })) => {
            response.status = 405;
            let message = format!("method {} is not allowed here; allowed: {allow}", request.method);
            response.body = ootheca_api::error::body(&Error::new(ErrorKind::Unimplemented, message));
            response.allow = Some(allow);
            return response;
        }
        (Ok(version), Ok(Resolved::Found { operation, params })) => {
            let visit = Visit {
                app: app.clone(),
                operation,
                params,
                version,
                request,
                trace_id: response.trace_id.clone(),
            };
            visit.admit().await
        }
    };
    match result {
        Ok(body) => response.body = body,
        Err(error) => {
            if error.kind() == ErrorKind::Internal {
                tracing::error!(trace_id = response.trace_id, error = error.chain(), "request failed");
            }
            response.status = ootheca_api::error::status(error.kind());
            response.body = ootheca_api::error::body(&error);
        }
    }
    response
}

/// A request that found its row of the table.
struct Visit {
    app: Arc<App>,
    operation: &'static Operation,
    params: Params,
    version: Version,
    request: Request,
    trace_id: String,
}

impl Visit {
    async fn admit(self) -> Result<Vec<u8>> {
        let caller = authenticate(&self.app, &self.request.credentials).await?;
        let (operation, version) = (self.operation, self.version);
        let body = match operation.audit {
            None => self.read(&caller.principal).await?,
            Some(action) => {
                let action = audit::action(operation.name, action, &self.request.body);
                // A task of its own: a caller that hangs up must not stop it half-way.
                let task = tokio::spawn(async move { self.change(&caller, action).await });
                task.await.map_err(|error| Error::internal("a change panicked").because(error))??
            }
        };
        Ok(version.render(operation.op, body))
    }

    async fn authorize(&self, principal: &Arc<Principal>) -> Result<Arc<Call>> {
        let target = places::target(&self.app, principal, self.operation.scope, &self.params).await?;
        let requirement = places::requirement(self.operation, self.version, &self.request.body);
        let granted = authorize(principal, requirement, target)?;
        if self.operation.has_body {
            ootheca_api::decode::check_syntax(&self.request.body)?;
        }
        let (app, operation, version) = (self.app.clone(), self.operation, self.version);
        Ok(Arc::new(Call { app, operation, granted, version }))
    }

    fn cluster_id(&self) -> Option<ClusterId> {
        match self.operation.scope {
            Scope::Cluster(parameter) => self.params.get(parameter)?.parse().ok(),
            _ => None,
        }
    }

    async fn dispatch(&self, call: &Arc<Call>) -> Result<Outcome> {
        let input = Input { params: &self.params, query: &self.request.query, body: &self.request.body };
        dispatch::run(self.operation.op, call.clone(), input).await
    }

    async fn read(&self, principal: &Arc<Principal>) -> Result<Vec<u8>> {
        let call = self.authorize(principal).await?;
        match self.dispatch(&call).await? {
            Outcome::Read(body) => Ok(body),
            Outcome::Change(_) => Err(Error::internal("a read wanted to change something")),
        }
    }

    async fn change(&self, caller: &Caller, action: &'static str) -> Result<Vec<u8>> {
        let entry = self.audit_entry(caller, action).await?;
        let call = match self.authorize(&caller.principal).await {
            Ok(call) => call,
            Err(error) => return self.refuse(entry, error).await,
        };
        for attempt in 0..ATTEMPTS {
            step_aside(attempt).await;
            let change = match self.dispatch(&call).await {
                Ok(Outcome::Change(change)) => change,
                Ok(Outcome::Read(_)) => return Err(Error::internal("a change changed nothing")),
                Err(error) if error.kind() == ErrorKind::Stale => continue,
                Err(error) => return self.refuse(entry, error).await,
            };
            let Change { mut batch, reply, action, cluster } = *change;
            let mut begun = entry.clone();
            if let Some(action) = action {
                begun.action = action.to_owned();
            }
            if let Some((id, name)) = cluster {
                (begun.cluster, begun.cluster_name) = (Some(id), Some(name));
            }
            if matches!(reply, Reply::Effect(_)) {
                begun.error = Some(INTERRUPTED.to_owned());
            }
            batch.audit.push(begun.clone());
            match self.app.store.commit(batch, self.app.now()).await {
                Ok(_) => return self.settle(begun, reply).await,
                Err(error) if error.kind() == ErrorKind::Stale => {}
                // What it would have made never was: the entry names only what the request named.
                Err(error) => return self.refuse(entry, error).await,
            }
        }
        self.refuse(entry, Error::unavailable("too many concurrent changes of the same object; try again"))
            .await
    }

    async fn settle(&self, entry: AuditEntry, reply: Reply<Vec<u8>>) -> Result<Vec<u8>> {
        match reply {
            Reply::Now(body) => Ok(body),
            Reply::After(future) => future.await,
            Reply::Effect(future) => {
                let result = future.await;
                let error = result.as_ref().err().map(ootheca_api::error::message);
                self.app.store.complete_audit(entry.id, &entry.payload, error).await?;
                result
            }
        }
    }

    /// Writes the entry of a refused call, then gives the refusal back.
    async fn refuse(&self, mut entry: AuditEntry, error: Error) -> Result<Vec<u8>> {
        entry.error = Some(ootheca_api::error::message(&error).to_owned());
        let mut batch = Batch::server("audit");
        batch.audit.push(entry);
        self.app.store.commit(batch, self.app.now()).await?;
        Err(error)
    }

    async fn audit_entry(&self, caller: &Caller, action: &str) -> Result<AuditEntry> {
        let principal = &caller.principal;
        let cluster = match self.cluster_id() {
            Some(id) => self.app.find::<Cluster>(&id.to_string()).await?,
            None => None,
        };
        let cluster = cluster.filter(|found| found.row.organization == principal.organization);
        Ok(AuditEntry {
            id: fresh_id(),
            organization: principal.organization,
            created_at: self.app.now(),
            action: action.to_owned(),
            source: audit::source(self.request.agent.as_deref(), caller.session.is_some()).to_owned(),
            cluster: cluster.as_ref().map(|found| found.value.id),
            cluster_name: cluster.map(|found| found.value.name.clone()),
            user_email: principal.person.then(|| principal.name.clone()),
            service_account_name: (!principal.person).then(|| principal.name.clone()),
            ip_address: Some(self.request.peer.to_string()),
            trace_id: self.trace_id.clone(),
            payload: redact::payload(self.operation.name, self.params.iter(), &self.request.body),
            error: None,
        })
    }
}

/// Lets others pass before a change is decided again: a random time that grows with each attempt, so
/// that writers of the same object do not meet again and again.
async fn step_aside(attempt: usize) {
    if attempt > 0 {
        let most = 2_000 * u64::try_from(attempt).unwrap_or(1);
        let pause = Duration::from_micros(rand::rng().random_range(0..most));
        tokio::time::sleep(pause).await;
    }
}
