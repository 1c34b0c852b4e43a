//! What clusters use: sessions, CPU, request units and storage, the limits on them, and the series for charts.

pub mod activity;
pub mod collector;
pub mod cpu_samples;
mod ledger;
pub mod limit_status;
pub mod timeseries;
pub mod usage;

use crate::{context::Context, documents::Stored, informer::Informer};
use activity::Traffic;
use cpu_samples::Looks;
use ootheca_model::{ClusterId, Result, meter::Meter};
use std::sync::Arc;
use timeseries::buffer::Book;

/// What metering keeps in memory.
pub struct Metering {
    /// What every part may use.
    pub context: Arc<Context>,
    /// The meters of all clusters.
    pub meters: Informer<Meter>,
    /// What the gateways report of their sessions.
    pub activity: Traffic,
    /// The last reading of each cluster's CPU.
    pub cpu_samples: Looks,
    /// The newest part of each cluster's series.
    pub samples: Book,
}

impl Metering {
    /// Nothing measured yet.
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            meters: Informer::default(),
            activity: Traffic::default(),
            cpu_samples: Looks::default(),
            samples: Book::default(),
        }
    }

    /// The meter of a cluster; `None` if the cluster was never used.
    pub async fn meter(&self, cluster: ClusterId) -> Result<Option<Arc<Stored<Meter>>>> {
        self.context.cache.find_or_none(&*self.context.store, &cluster.to_string()).await
    }
}
