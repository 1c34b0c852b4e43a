//! An authorized call, as handlers see it.

use crate::{context::Context, identity::Identity, lifecycle::Lifecycle, metering::Metering};
use ootheca_api::{operations::Operation, versions::Version};
use ootheca_model::{ErrorKind, Granted, Result};
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
    /// Whether the change can have been attempted before.
    pub attempt: Attempt,
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
