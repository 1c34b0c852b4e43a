//! Backups of clusters that may be deleted.

use crate::params::query_params;
use ootheca_model::Timestamp;

query_params! {
    /// Query of `ListSourceBackups`.
    ListSourceBackupsQuery {
        /// ID of the cluster that the backups were taken of. It can be deleted.
        source_cluster_id: String = required "source_cluster_id",
        /// Only backups from this time on.
        start_time: Timestamp = "start_time",
        /// Only backups from before this time.
        end_time: Timestamp = "end_time",
        ..page
    }
}
