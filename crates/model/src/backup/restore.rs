//! Restores, and the rules for creating one.

use super::{Backup, BackupId, Base, RecoveryPoint};
use crate::{
    Cluster, ClusterId, ClusterState, Error, OrganizationId, Plan, Result, Timestamp, cluster::wire_enums,
    instance::Power, names,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, str::FromStr};

/// The maximum number of databases or tables of a restore.
const MAX_OBJECTS: usize = 1000;
/// The maximum length of their names in bytes, in the form of [`sql_name`](crate::sql_name).
const MAX_NAME: usize = 255;

wire_enums! {
    /// The state of a restore.
    RestoreStatus("status") { Pending = "PENDING", Success = "SUCCESS", Failed = "FAILED" }
    /// What a restore takes from a backup.
    RestoreType("type") { Cluster = "CLUSTER", Database = "DATABASE", Table = "TABLE" }
}

/// A restore job, under its destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// A UUID.
    pub id: String,
    pub organization: OrganizationId,
    /// The cluster that gets the data.
    pub destination: ClusterId,
    /// Its name when the restore was created.
    pub destination_name: String,
    /// The cluster that the data comes from.
    pub source: ClusterId,
    /// Its name when the restore was created.
    pub source_name: String,
    /// The backup; `None` for a clone of the present data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupId>,
    /// The recovery point that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_point: Option<BackupId>,
    /// The time of the backup, or of the request for a clone of the present data.
    pub backup_end_time: Timestamp,
    /// The moment after the backup to which the data is restored; `None` for the backup itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point_in_time: Option<PointInTime>,
    /// Removed when the restore ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masking: Option<MaskingScript>,
    /// The number that clients see as the job of the database.
    pub job: i64,
    /// What is restored. Rows from before there were several types have none.
    #[serde(default = "whole_cluster")]
    pub kind: RestoreType,
    /// The databases or tables to restore, sorted; empty if the type is CLUSTER.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<RestoreObject>,
    #[serde(default, skip_serializing_if = "RestoreOptions::is_unset")]
    pub options: RestoreOptions,
    pub status: RestoreStatus,
    pub created_at: Timestamp,
    /// When the status became SUCCESS or FAILED.
    pub completed_at: Option<Timestamp>,
    /// Why it failed.
    pub failure: Option<RestoreFailure>,
}

fn whole_cluster() -> RestoreType {
    RestoreType::Cluster
}

/// A moment to which data is restored: while a recovery point holds, or between two of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointInTime {
    /// Everything that was committed by then is restored, and nothing later.
    pub time: Timestamp,
    /// The last WAL segment that is replayed; empty if the backup contains no later changes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_segment: String,
}

/// SQL that runs on restored data before it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskingScript {
    /// The database in which it runs, in the form of [`sql_name`](crate::sql_name).
    pub database: String,
    /// One or more statements.
    pub text: String,
}

/// Why a restore failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreFailure {
    /// A code of gRPC, such as 9 for FAILED_PRECONDITION.
    pub code: i32,
    /// A sentence for the caller.
    pub message: String,
}

/// The restore that is running into a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreInProgress {
    /// The ID of the restore.
    pub id: String,
    /// The data epoch of the data that it builds. Databases and tables are copied from there.
    pub epoch: u64,
    /// Whether the databases or tables have been restored, so that it can only succeed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub added: bool,
    /// Whether it creates the cluster: if it fails, so does the creation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub creates: bool,
}

/// A request for a restore.
#[derive(Clone, Debug)]
pub struct NewRestore {
    /// The ID of the restore, a UUID.
    pub id: String,
    /// The number that clients see as the job of the database; positive.
    pub job: i64,
    pub kind: RestoreType,
    /// The databases or tables to restore, if the type is not CLUSTER.
    pub objects: Vec<RestoreObject>,
    pub options: RestoreOptions,
}

/// A database or a table to restore; empty names are unset. Names are in the form of [`sql_name`](crate::sql_name).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct RestoreObject {
    pub database: String,
    pub schema: String,
    pub table: String,
}

impl RestoreObject {
    fn names(&self) -> [&str; 3] {
        [&self.database, &self.schema, &self.table]
    }

    /// The schema and the name of a table.
    fn table(&self) -> (&str, &str) {
        (if self.schema.is_empty() { "public" } else { &self.schema }, &self.table)
    }
}

/// The options of a restore; empty names and `false` are unset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestoreOptions {
    pub new_db_name: String,
    pub into_db: String,
    pub schema_only: bool,
    pub skip_localities_check: bool,
    pub skip_missing_foreign_keys: bool,
    pub skip_missing_sequences: bool,
    pub skip_missing_views: bool,
}

impl RestoreOptions {
    /// Whether no option is set.
    pub fn is_unset(&self) -> bool {
        *self == Self::default()
    }

    /// The first option that is set.
    fn first(&self) -> Option<&'static str> {
        let options = [
            ("new_db_name", !self.new_db_name.is_empty()),
            ("into_db", !self.into_db.is_empty()),
            ("schema_only", self.schema_only),
            ("skip_localities_check", self.skip_localities_check),
            ("skip_missing_foreign_keys", self.skip_missing_foreign_keys),
            ("skip_missing_sequences", self.skip_missing_sequences),
            ("skip_missing_views", self.skip_missing_views),
        ];
        options.into_iter().find(|(_, set)| *set).map(|(name, _)| name)
    }
}

impl NewRestore {
    /// Checks the request and its destination, or returns the first rule that is violated.
    pub fn check(&self, destination: &Cluster) -> Result<()> {
        self.check_objects()?;
        self.check_options()?;
        if self.kind != RestoreType::Cluster && destination.plan != Plan::Advanced {
            return Err(Error::precondition(format!(
                "type: only ADVANCED clusters support restores of type {}; the plan of this cluster is {}",
                self.kind, destination.plan
            )));
        }
        check_destination(destination)
    }

    fn check_objects(&self) -> Result<()> {
        let any = |violates: fn(&RestoreObject) -> bool| self.objects.iter().any(violates);
        let rule = match self.kind {
            RestoreType::Cluster if self.objects.is_empty() => return Ok(()),
            RestoreType::Cluster => "is only valid for types DATABASE and TABLE".to_owned(),
            _ if self.objects.is_empty() => format!("is required for type {}", self.kind),
            _ if self.objects.len() > MAX_OBJECTS => format!("must have at most {MAX_OBJECTS} items"),
            _ if any(|object| object.database.is_empty()) => {
                "must contain the name of a database in each item".to_owned()
            }
            RestoreType::Table if any(|object| object.table.is_empty()) => {
                "must contain the name of a table in each item for type TABLE".to_owned()
            }
            RestoreType::Database if any(|object| object.names()[1..] != ["", ""]) => {
                "must contain only the name of a database in each item for type DATABASE".to_owned()
            }
            _ if any(|object| object.names().into_iter().any(is_no_name)) => NAME_RULE.to_owned(),
            _ if any(|object| names::engine_database(&object.database)) => {
                "must not contain the databases postgres, template0, and template1".to_owned()
            }
            _ if self.has_duplicates() => "must not contain the same object twice".to_owned(),
            RestoreType::Table if self.has_namesakes() => {
                "must not contain tables of several databases with the same schema and name".to_owned()
            }
            RestoreType::Database | RestoreType::Table => return Ok(()),
        };
        Err(Error::invalid("objects", rule))
    }

    fn databases(&self) -> BTreeSet<&str> {
        self.objects.iter().map(|object| object.database.as_str()).collect()
    }

    fn has_duplicates(&self) -> bool {
        let distinct = self.objects.iter().map(|object| (object.database.as_str(), object.table()));
        distinct.collect::<BTreeSet<_>>().len() < self.objects.len()
    }

    /// Whether tables could not be in one database together.
    fn has_namesakes(&self) -> bool {
        let distinct: BTreeSet<_> = self.objects.iter().map(RestoreObject::table).collect();
        distinct.len() < self.objects.len()
    }

    fn check_options(&self) -> Result<()> {
        let RestoreOptions { new_db_name, into_db, .. } = &self.options;
        let (name, rule) = match self.kind {
            RestoreType::Cluster => match self.options.first() {
                None => return Ok(()),
                Some(name) => (name, "is only valid for types DATABASE and TABLE"),
            },
            RestoreType::Database if !into_db.is_empty() => ("into_db", "is only valid for type TABLE"),
            RestoreType::Database if new_db_name.is_empty() => return Ok(()),
            RestoreType::Database if self.objects.len() > 1 => {
                ("new_db_name", "is only valid with a single database")
            }
            RestoreType::Database => return names::database("restore_opts.new_db_name", new_db_name),
            RestoreType::Table if !new_db_name.is_empty() => {
                ("new_db_name", "is only valid for type DATABASE")
            }
            RestoreType::Table if into_db.is_empty() && self.databases().len() > 1 => {
                ("into_db", "is required for tables of several databases")
            }
            RestoreType::Table if is_no_name(into_db) => ("into_db", NAME_RULE),
            RestoreType::Table if names::engine_database(into_db) => {
                ("into_db", "must not be postgres, template0, or template1")
            }
            RestoreType::Table => return Ok(()),
        };
        Err(Error::invalid(&format!("restore_opts.{name}"), rule))
    }
}

pub(super) const NAME_RULE: &str = "names must have at most 255 bytes and no zero bytes";

/// Whether nothing can have this name.
pub(super) fn is_no_name(name: &str) -> bool {
    name.len() > MAX_NAME || name.contains('\0')
}

fn check_destination(destination: &Cluster) -> Result<()> {
    let message = match destination.state {
        ClusterState::Created if destination.observed.is_data_missing() => {
            "the data of the destination cluster is missing; restore the backup into another cluster"
        }
        ClusterState::Created => return check_no_restore(destination),
        ClusterState::Creating => "the destination cluster is still being created",
        ClusterState::CreationFailed => "the creation of the destination cluster has failed",
        ClusterState::Locked => {
            destination.check_unlocked()?;
            "the destination cluster is locked while its nodes are changed; try again when operation_status is UNSPECIFIED"
        }
        ClusterState::Deleted => return Err(Error::not_found("cluster")),
    };
    Err(Error::precondition(message))
}

/// Clients that find "lock" in a message try again.
fn check_no_restore(destination: &Cluster) -> Result<()> {
    match &destination.restore {
        None => Ok(()),
        Some(running) => Err(Error::precondition(format!(
            "the cluster is locked for other restores while databases or tables are restored into it; try again when \
             restore {} is complete",
            running.id
        ))),
    }
}

/// Creates a restore of `backup`, which belongs to `point` and so to `base`, or of a moment after it. Returns it and the
/// destination, or the first rule that is violated. The destination is locked if all of its data is replaced. The source
/// can be deleted.
#[allow(clippy::too_many_arguments)]
pub fn create_restore(
    destination: &Cluster,
    source: &Cluster,
    point: &RecoveryPoint,
    base: &Base,
    backup: Backup,
    point_in_time: Option<PointInTime>,
    request: NewRestore,
    now: Timestamp,
) -> Result<(Restore, Cluster)> {
    request.check(destination)?;
    if source.organization != destination.organization {
        return Err(Error::not_found("source cluster"));
    }
    if source.plan != destination.plan {
        return Err(Error::precondition(format!(
            "the plan of the destination cluster is {}, but that of the source cluster is {}; both must be the same",
            destination.plan, source.plan
        )));
    }
    if base.engine_major != destination.engine_major {
        return Err(Error::precondition(format!(
            "the backup contains data of PostgreSQL {}, but the destination cluster uses PostgreSQL {}",
            base.engine_major, destination.engine_major
        )));
    }
    let restore = Restore {
        backup: Some(backup.id),
        recovery_point: Some(point.id),
        backup_end_time: backup.as_of_time,
        point_in_time,
        ..pending(destination, source, request, now)
    };
    let running = RestoreInProgress {
        id: restore.id.clone(),
        epoch: destination.epoch + 1,
        added: false,
        creates: false,
    };
    let after = Cluster { restore: Some(running), power: Power::On, ..destination.clone() };
    let after = match restore.kind {
        RestoreType::Cluster => Cluster { state: ClusterState::Locked, updated_at: now, ..after },
        RestoreType::Database | RestoreType::Table => after,
    };
    Ok((restore, after))
}

/// A restore of the present data of the source.
pub(super) fn pending(
    destination: &Cluster,
    source: &Cluster,
    request: NewRestore,
    now: Timestamp,
) -> Restore {
    let mut objects = request.objects;
    objects.sort();
    Restore {
        id: request.id,
        organization: destination.organization,
        destination: destination.id,
        destination_name: destination.name.clone(),
        source: source.id,
        source_name: source.name.clone(),
        backup: None,
        recovery_point: None,
        backup_end_time: now,
        point_in_time: None,
        masking: None,
        job: request.job,
        kind: request.kind,
        objects,
        options: request.options,
        status: RestoreStatus::Pending,
        created_at: now,
        completed_at: None,
        failure: None,
    }
}

#[cfg(test)]
#[path = "restore_tests.rs"]
pub(super) mod tests;
