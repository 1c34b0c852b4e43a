//! The lifecycle of clusters: makes the engine match the store, suspends idle clusters and resumes them, deletes expired
//! ones, takes and restores backups, and caches their SQL metadata.

pub mod activity_tracker;
mod backoff;
pub mod backup;
pub(crate) mod deletion;
pub mod expiry;
pub mod power;
pub mod reconcile;
pub(crate) mod scale_to_zero;
pub mod sql_metadata;
pub mod standby_tracker;

use crate::{context::Context, metering::Metering};
use activity_tracker::ActivityTracker;
use backup::Backups;
use sql_metadata::{locks::MetadataLocks, rows::MetadataCache};
use standby_tracker::StandbyTracker;
use std::sync::{Arc, atomic::AtomicU64};

/// The in-memory state of the lifecycle of clusters, and the parts that it uses.
pub struct Lifecycle {
    /// What every part may use.
    pub context: Arc<Context>,
    /// The usage of clusters.
    pub metering: Arc<Metering>,
    /// Which clusters are in use, in addition to the sessions that gateways report.
    pub tracker: ActivityTracker,
    /// The standbys that do not follow their primary.
    pub standbys: StandbyTracker,
    /// How fresh the SQL metadata of each cluster is.
    pub metadata_locks: MetadataLocks,
    /// The cached SQL metadata that is in memory.
    pub metadata_cache: MetadataCache,
    /// The backups that are taken, and the restores that run.
    pub backups: Backups,
    /// The number of expired clusters that were deleted since the server started.
    pub expired: AtomicU64,
    /// The number of failovers since the server started.
    pub failovers: AtomicU64,
}

impl Lifecycle {
    /// Creates the state without any use and without fresh metadata.
    pub fn new(context: Arc<Context>, metering: Arc<Metering>) -> Self {
        let tracker = ActivityTracker::new(context.now());
        let backups = Backups::new(context.backup_conditions.clone());
        Self {
            context,
            metering,
            tracker,
            standbys: StandbyTracker::default(),
            metadata_locks: MetadataLocks::default(),
            metadata_cache: MetadataCache::default(),
            backups,
            expired: AtomicU64::new(0),
            failovers: AtomicU64::new(0),
        }
    }
}
