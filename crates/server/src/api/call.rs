//! An authorized call, as handlers see it.

use crate::{context::Context, identity::Identity, lifecycle::Lifecycle, metering::Metering};
use ootheca_api::{operations::Operation, versions::Version};
use ootheca_model::{ErrorKind, Granted, Result};
use std::sync::Arc;

/// What every handler gets beside its decoded input.
#[derive(Clone)]
pub struct Call {
    /// What every part may use.
    pub context: Arc<Context>,
    /// Who calls.
    pub identity: Arc<Identity>,
    /// What clusters use.
    pub metering: Arc<Metering>,
    /// What clusters are made to do.
    pub lifecycle: Arc<Lifecycle>,
    /// The row of the table.
    pub operation: &'static Operation,
    /// The proof.
    pub granted: Granted,
    /// The dialect.
    pub version: Version,
    /// What the call is to its change.
    pub attempt: Attempt,
}

/// What a call is to its change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The only one.
    Only,
    /// A dry run: everything is checked, nothing is done.
    DryRun,
    /// The first under an idempotency key.
    First,
    /// A later one under an idempotency key: the first one's effect was begun, and maybe done.
    Replay,
}

impl Attempt {
    /// Whether the effect's conditions are looked at before it is begun. Under a key they must hold, so
    /// that a later attempt knows whose work it finds.
    pub fn checks_first(self) -> bool {
        matches!(self, Attempt::DryRun | Attempt::First)
    }

    /// The end of an effect: after an interruption, `done` says that it was done before.
    pub fn ended(self, result: Result<()>, done: ErrorKind) -> Result<()> {
        match result {
            Err(error) if self == Attempt::Replay && error.kind() == done => Ok(()),
            result => result,
        }
    }
}
