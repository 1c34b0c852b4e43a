//! An authorized call, as handlers see it.

use crate::{
    api::client::Client,
    context::Context,
    documents::{Stored, undeleted_cluster},
    identity::{Identity, api_key},
    lifecycle::Lifecycle,
    metering::Metering,
};
use ootheca_api::{operations::Operation, versions::Version};
use ootheca_model::{Cluster, ErrorKind, Granted, OrganizationId, Result, Session, audit::AuditEntry};
use parking_lot::Mutex;
use std::sync::Arc;

/// What every handler receives in addition to its decoded input.
#[derive(Clone)]
pub struct Call {
    /// What every part may use.
    pub context: Arc<Context>,
    /// Authentication and callers.
    pub identity: Arc<Identity>,
    /// The usage of clusters.
    pub metering: Arc<Metering>,
    /// The lifecycle of clusters.
    pub lifecycle: Arc<Lifecycle>,
    /// The operation in the table.
    pub operation: &'static Operation,
    /// The proof of authorization.
    pub granted: Granted,
    /// The version of the API that the caller uses.
    pub version: Version,
    /// The client.
    pub client: Arc<Client>,
    /// The session of the caller, if there is one.
    pub session: Option<Arc<Stored<Session>>>,
    /// The user that an unauthenticated caller claims to be.
    pub claimant: Arc<Mutex<Option<Claimant>>>,
    /// Whether the change can have been attempted before.
    pub attempt: Attempt,
}

/// The user that an unauthenticated caller claims to be, for the audit entry.
pub struct Claimant {
    /// The organization whose audit log contains the entry.
    pub organization: OrganizationId,
    /// The email address, if such a user exists.
    pub email: Option<String>,
    /// The audit action.
    pub action: &'static str,
}

impl Claimant {
    /// Makes an entry the one of this user.
    pub fn attribute(&self, entry: &mut AuditEntry) {
        entry.organization = self.organization;
        entry.user_email.clone_from(&self.email);
        entry.action = self.action.to_owned();
        entry.source = "UI".to_owned();
    }
}

impl Call {
    /// The cluster in the path, in any state but DELETED.
    pub async fn cluster(&self) -> Result<Stored<Cluster>> {
        undeleted_cluster(&*self.context.store, self.granted.organization(), self.granted.cluster()).await
    }

    /// The session of the caller and its token. Operations with [`Scope::Session`] always have them.
    ///
    /// [`Scope::Session`]: ootheca_api::operations::Scope::Session
    pub fn session(&self) -> Result<(&Stored<Session>, &str)> {
        match (&self.session, self.client.credentials().session()) {
            (Some(session), Some(token)) => Ok((session, token)),
            _ => Err(api_key::unauthenticated()),
        }
    }

    /// Sets the user of the audit entry of an unauthenticated call. Until then, a refusal has no entry, because
    /// no organization is known.
    pub fn claim(&self, claimant: Claimant) {
        *self.claimant.lock() = Some(claimant);
    }
}

/// Whether a change can have been attempted before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The call has no idempotency key.
    Only,
    /// A dry run: everything is checked, nothing is done.
    DryRun,
    /// The first call with an idempotency key.
    First,
    /// A later call with an idempotency key: the side effect was started before, and may be complete.
    Replay,
}

impl Attempt {
    /// Whether the preconditions of the side effect are checked before it starts. With an idempotency key
    /// they must hold at the first attempt, so that a later attempt can recognize the result of an earlier
    /// one.
    pub fn checks_first(self) -> bool {
        matches!(self, Attempt::DryRun | Attempt::First)
    }

    /// The result of a side effect. In a replay, the error kind `done` means that an earlier attempt has
    /// completed it.
    pub fn ended(self, result: Result<()>, done: ErrorKind) -> Result<()> {
        match result {
            Err(error) if self == Attempt::Replay && error.kind() == done => Ok(()),
            result => result,
        }
    }
}
