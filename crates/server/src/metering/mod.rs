//! The usage of clusters: sessions, CPU, request units, and storage; their limits; and the series for charts.

pub mod activity;
pub mod baseline;
pub mod collector;
pub mod cpu_samples;
mod ledger;
pub mod limit_status;
pub mod timeseries;
pub mod usage;

use crate::{context::Context, documents::Stored, informer::Informer};
use activity::SessionActivity;
use cpu_samples::CpuSamples;
use ootheca_model::{ClusterId, Result, meter::Meter};
use std::sync::Arc;
use timeseries::buffer::SampleBuffer;

/// The in-memory state of metering.
pub struct Metering {
    /// What every part may use.
    pub context: Arc<Context>,
    /// The meters of all clusters.
    pub meters: Informer<Meter>,
    /// The sessions that gateways report.
    pub activity: SessionActivity,
    /// The last reading of each cluster's CPU.
    pub cpu_samples: CpuSamples,
    /// The newest samples of each cluster.
    pub samples: SampleBuffer,
}

impl Metering {
    /// Creates the state without measurements.
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            meters: Informer::default(),
            activity: SessionActivity::default(),
            cpu_samples: CpuSamples::default(),
            samples: SampleBuffer::default(),
        }
    }

    /// The meter of a cluster; `None` if the cluster was never used.
    pub async fn meter(&self, cluster: ClusterId) -> Result<Option<Arc<Stored<Meter>>>> {
        self.context.cache.find_or_none(&*self.context.store, &cluster.to_string()).await
    }
}
