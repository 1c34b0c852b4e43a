//! The API: one pipeline for every operation, and the handlers.
//!
//! It depends on JSON, versions, and audit entries, but not on sockets or routes. Handlers have no side
//! effects.

pub mod audit;
pub mod call;
pub mod client;
pub mod convert;
pub mod decision;
pub mod dispatch;
pub mod handlers;
pub mod hierarchy;
pub mod idempotency;
pub mod pipeline;
pub mod redact;
pub mod refusals;
pub mod response_counts;
pub mod statement_rules;

use crate::{context::Context, identity::Identity, lifecycle::Lifecycle, metering::Metering};
use idempotency::locks::KeyLocks;
use refusals::Refusals;
use response_counts::ResponseCounts;
use std::sync::Arc;

/// The in-memory state of the API, and the parts that it uses.
pub struct Api {
    /// What every part may use.
    pub context: Arc<Context>,
    /// Authentication and callers.
    pub identity: Arc<Identity>,
    /// The usage of clusters.
    pub metering: Arc<Metering>,
    /// The lifecycle of clusters.
    pub lifecycle: Arc<Lifecycle>,
    /// The idempotency keys that are in use.
    pub idempotency: KeyLocks,
    /// Counts of responses.
    pub response_counts: ResponseCounts,
    /// Refused calls of callers without the required role.
    pub refusals: Arc<Refusals>,
}

impl Api {
    /// No request has been served yet.
    pub fn new(
        context: Arc<Context>,
        identity: Arc<Identity>,
        metering: Arc<Metering>,
        lifecycle: Arc<Lifecycle>,
    ) -> Self {
        let (idempotency, response_counts) = (KeyLocks::default(), ResponseCounts::default());
        let refusals = Arc::default();
        Self { context, identity, metering, lifecycle, idempotency, response_counts, refusals }
    }
}
