//! Composes the parts of a running server and starts their loops. Nothing below imports it.

use crate::{
    api::{Api, idempotency, refusals},
    context::Context,
    disk, event_retention,
    identity::{Identity, last_use},
    lifecycle::{
        Lifecycle,
        backup::{control, retention, schedule, spool, verify},
        expiry, reconcile,
    },
    metering::{Metering, collector},
};
use std::sync::Arc;
use tokio::{sync::watch, task::JoinHandle};

/// The parts of a running server.
pub struct App {
    /// What every part may use.
    pub context: Arc<Context>,
    /// Authentication and callers.
    pub identity: Arc<Identity>,
    /// The usage of clusters.
    pub metering: Arc<Metering>,
    /// The lifecycle of clusters.
    pub lifecycle: Arc<Lifecycle>,
    /// The API.
    pub api: Arc<Api>,
}

impl App {
    /// Composes the parts without starting them.
    pub fn new(context: Context) -> Self {
        let context = Arc::new(context);
        let identity = Arc::new(Identity::new(context.clone()));
        let metering = Arc::new(Metering::new(context.clone()));
        let lifecycle = Arc::new(Lifecycle::new(context.clone(), metering.clone()));
        let api = Arc::new(Api::new(context.clone(), identity.clone(), metering.clone(), lifecycle.clone()));
        Self { context, identity, metering, lifecycle, api }
    }

    /// Starts the loops, which run until `stop` is true. `holder` identifies this server in the lease of the
    /// reconciler.
    pub fn spawn(&self, holder: String, stop: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
        let Self { context, identity, metering, lifecycle, api } = self;
        vec![
            tokio::spawn(reconcile::run(lifecycle.clone(), holder, stop.clone())),
            tokio::spawn(expiry::run(lifecycle.clone(), stop.clone())),
            tokio::spawn(schedule::run(lifecycle.clone(), stop.clone())),
            tokio::spawn(retention::run(lifecycle.clone(), stop.clone())),
            tokio::spawn(spool::run(lifecycle.clone(), stop.clone())),
            tokio::spawn(verify::run(lifecycle.clone(), stop.clone())),
            tokio::spawn(control::run(lifecycle.clone(), stop.clone())),
            tokio::spawn(collector::run(metering.clone(), stop.clone())),
            tokio::spawn(disk::run(context.engine.clone(), context.disk.clone(), stop.clone())),
            tokio::spawn(event_retention::run(context.clone(), stop.clone())),
            tokio::spawn(last_use::run(context.clone(), identity.last_use.clone(), stop.clone())),
            tokio::spawn(idempotency::run(context.clone(), stop.clone())),
            tokio::spawn(refusals::run(context.clone(), api.refusals.clone(), stop.clone())),
        ]
    }
}

#[cfg(test)]
mod disturbance;
