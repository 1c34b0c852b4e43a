//! The life of clusters: makes the engine match the store, suspends idle clusters and wakes them again, and caches
//! what is inside them.

pub mod activity_tracker;
pub mod power;
pub mod reconcile;
mod scale_to_zero;
pub mod sql_metadata;

use crate::{context::Context, metering::Metering};
use activity_tracker::ActivityTracker;
use sql_metadata::freshness::MetadataFreshness;
use std::sync::Arc;

/// What the lifecycle of clusters keeps in memory, and the parts that it uses.
pub struct Lifecycle {
    /// What every part may use.
    pub context: Arc<Context>,
    /// What clusters use.
    pub metering: Arc<Metering>,
    /// Who uses which cluster, beside the sessions of the gateways.
    pub tracker: ActivityTracker,
    /// How fresh the SQL metadata of each cluster is.
    pub freshness: MetadataFreshness,
}

impl Lifecycle {
    /// Nothing is in use and no metadata is fresh.
    pub fn new(context: Arc<Context>, metering: Arc<Metering>) -> Self {
        let tracker = ActivityTracker::new(context.now());
        Self { context, metering, tracker, freshness: MetadataFreshness::default() }
    }
}
