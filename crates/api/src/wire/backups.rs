//! Backups, and restores of them.

use super::{DateTime, KeysetPaginationResponse};
use crate::params::{path_params, query_params};
use ootheca_model::{
    Timestamp,
    backup::{RestoreStatus, RestoreType},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often a cluster is backed up, and how long each backup is kept.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct BackupConfiguration {
    /// Whether backups are enabled.
    pub enabled: bool,
    /// Minutes between two backups. Fixed at 1440 on BASIC; 60 by default on STANDARD and ADVANCED.
    pub frequency_minutes: i32,
    /// Days for which each backup is kept. Fixed at 30 on BASIC; 30 by default on STANDARD and ADVANCED.
    pub retention_days: i32,
}

/// Body of `UpdateBackupConfiguration`. Omitted members are not changed. The configuration of a BASIC cluster can't
/// be changed. Backups that were taken before are kept as long as the earlier configuration says.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct UpdateBackupConfigurationSpec {
    /// Whether backups are enabled. `false` can't be combined with other members.
    pub enabled: Option<bool>,
    /// Minutes between two backups: 5, 10, 15, 30, 60, 240, or 1440.
    pub frequency_minutes: Option<i32>,
    /// Days for which each backup is kept: 2, 7, 30, 90, or 365. Can be changed once for each cluster.
    pub retention_days: Option<i32>,
}

query_params! {
    /// Query of `ListBackups`.
    ListBackupsQuery {
        /// Only backups from this time on.
        start_time: Timestamp = "start_time",
        /// Only backups from before this time.
        end_time: Timestamp = "end_time",
        ..page
    }
}

/// A backup.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct BackupSummary {
    /// ID of the backup.
    pub id: String,
    /// The time to which a restore of the backup returns the data.
    #[schemars(with = "DateTime")]
    pub as_of_time: Timestamp,
}

/// Response of `ListBackups` and `ListSourceBackups`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListBackupsResponse {
    /// Backups that have not expired, newest first by default.
    pub backups: Vec<BackupSummary>,
    /// Tokens of the neighboring pages.
    pub pagination: KeysetPaginationResponse,
}

path_params! {
    /// The destination of a restore.
    RestoreDestinationPath {
        /// ID of the cluster that gets the data.
        destination_cluster_id: String,
    }
}

path_params! {
    /// A restore.
    RestorePath {
        /// ID of the cluster that gets the data.
        cluster_id: String,
        /// ID of the restore.
        restore_id: String,
    }
}

query_params! {
    /// Query of `ListRestores`.
    ListRestoresQuery {
        /// Only restores that were created at this time or later.
        start_time: Timestamp = "start_time",
        /// Only restores that were created before this time.
        end_time: Timestamp = "end_time",
        ..page
    }
}

/// Body of `CreateRestore`. It contains a backup, a source cluster, or both; or a point in time. Without a backup and a
/// point in time, the newest backup of the last seven days is restored.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CreateRestoreBody {
    /// What is restored. Required. CLUSTER replaces all data of the cluster. DATABASE and TABLE add databases or tables
    /// to an ADVANCED cluster, which stays usable.
    pub r#type: Option<RestoreType>,
    /// ID of the backup.
    pub backup_id: Option<String>,
    /// ID of the cluster that the backup was taken of. It can be deleted, and it can be the destination.
    pub source_cluster_id: Option<String>,
    /// The moment to which the data is restored, between the oldest and the newest backup of the source, which is the
    /// destination unless `source_cluster_id` is given. Can't be combined with `backup_id`. An extension.
    #[schemars(with = "Option<DateTime>")]
    pub point_in_time: Option<Timestamp>,
    /// Databases or tables, at most 1000. Required for types DATABASE and TABLE. Tables of several databases require
    /// `into_db`.
    pub objects: Option<Vec<RestoreItem>>,
    /// Options for types DATABASE and TABLE.
    pub restore_opts: Option<RestoreOpts>,
}

/// A database, or a table in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RestoreItem {
    /// Name of the database.
    pub database: String,
    /// Name of the schema of the table. Defaults to `public`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Name of the table. Required for type TABLE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
}

/// Options of a restore. An empty name and `false` are the same as no value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RestoreOpts {
    /// Name of the database that the tables are restored into. It must exist. Defaults to their own database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub into_db: Option<String>,
    /// New name of the database that is restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_db_name: Option<String>,
    /// Whether only the schema is restored, without rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_only: Option<bool>,
    /// Whether differences between the regions of source and destination are ignored. Has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_localities_check: Option<bool>,
    /// Whether foreign keys are omitted if the referenced table isn't restored, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_missing_foreign_keys: Option<bool>,
    /// Whether defaults are omitted if their sequence isn't restored, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_missing_sequences: Option<bool>,
    /// Whether views are omitted if what they depend on isn't restored, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_missing_views: Option<bool>,
}

/// A restore of a backup into a cluster, or the creation of a cluster with data of another one.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Restore {
    /// ID of the restore.
    pub id: String,
    /// ID of the backup; that of the last one until `point_in_time` if there is one. Empty if the present data of the
    /// source is copied.
    pub backup_id: String,
    /// The time of the backup, to which the data returns unless there is a `point_in_time`. The time of the request if
    /// the present data of the source is copied.
    #[schemars(with = "DateTime")]
    pub backup_end_time: Timestamp,
    /// The moment to which the data returns; omitted unless it was requested. An extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DateTime>")]
    pub point_in_time: Option<Timestamp>,
    /// Name of the cluster that the data comes from, when the restore was created.
    pub source_cluster_name: String,
    /// Name of the cluster that gets the data, when the restore was created.
    pub destination_cluster_name: String,
    /// What is restored.
    pub r#type: RestoreType,
    /// State of the restore.
    pub status: RestoreStatus,
    /// When the restore was created.
    #[schemars(with = "DateTime")]
    pub created_at: Timestamp,
    /// When the restore succeeded or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DateTime>")]
    pub completed_at: Option<Timestamp>,
    /// Part of the restore that is complete, from 0 to 1.
    pub completion_percent: f32,
    /// Number of the restore as a job of the database.
    pub crdb_job_id: String,
    /// Databases or tables that are restored, sorted by name, if the type is not CLUSTER.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<Vec<RestoreItem>>,
    /// Options that are set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_opts: Option<RestoreOpts>,
    /// Why the restore failed: a code of gRPC, such as 9 for FAILED_PRECONDITION.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_error_code: Option<i32>,
    /// Why the restore failed, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_error_message: Option<String>,
}

/// Response of `ListRestores`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListRestoresResponse {
    /// Restores into the cluster, newest first by default.
    pub restores: Vec<Restore>,
    /// Tokens of the neighboring pages.
    pub pagination: KeysetPaginationResponse,
}
