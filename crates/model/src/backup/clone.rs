//! Clones: new clusters that begin with data of another one.

use super::{
    Backup, Base, MaskingScript, NewRestore, PointInTime, RecoveryPoint, Restore, RestoreInProgress,
    RestoreOptions, RestoreType,
    restore::{NAME_RULE, is_no_name, pending},
};
use crate::{
    Cluster, ClusterState, Error, OrganizationId, Result, Timestamp,
    cluster::{
        Config,
        create::{MachineSpec, NewCluster, NewDedicated, NewServerless},
    },
    instance::Power,
    names,
};

/// The maximum length of a masking script in bytes.
const MAX_MASKING: usize = 1 << 20;
/// The database in which a masking script runs unless it names another one.
const DEFAULT_DATABASE: &str = "defaultdb";
/// The data epoch of the data that a clone begins with.
const FIRST_EPOCH: u64 = 1;

/// The data that a clone begins with.
#[derive(Clone, Debug)]
pub struct CloneSource<'a> {
    /// The cluster that the data comes from.
    pub cluster: &'a Cluster,
    /// The backup, its recovery point, and its base; `None` for the present data of the cluster.
    pub backup: Option<(Backup, &'a RecoveryPoint, &'a Base)>,
    /// The moment after the backup; `None` for the backup itself.
    pub point_in_time: Option<PointInTime>,
}

/// A request for a clone.
#[derive(Clone, Debug)]
pub struct NewClone {
    /// The ID of the restore, a UUID.
    pub id: String,
    /// The number that clients see as the job of the database; positive.
    pub job: i64,
    pub masking: Option<MaskingScript>,
    /// Whether the request names the version of the new cluster. Otherwise, it gets that of the source.
    pub explicit_version: bool,
}

impl CloneSource<'_> {
    /// The engine major version of the data.
    pub fn engine_major(&self) -> &str {
        self.backup.map_or(&self.cluster.engine_major, |(_, _, base)| &base.engine_major)
    }

    fn check(&self, organization: OrganizationId) -> Result<()> {
        if self.cluster.organization != organization {
            return Err(Error::not_found("source cluster"));
        }
        if self.backup.is_some() { Ok(()) } else { check_present(self.cluster) }
    }
}

/// Checks that the present data of a cluster can be copied.
fn check_present(source: &Cluster) -> Result<()> {
    let message = match source.state {
        ClusterState::Locked if source.is_being_replaced() || source.operation.is_none() => {
            "the source cluster is locked while a backup is restored into it; try again when the restore is complete"
        }
        ClusterState::Created | ClusterState::Locked if source.observed.is_data_missing() => {
            "the data of the source cluster is missing; set backup_id or point_in_time to use a backup of it"
        }
        ClusterState::Created | ClusterState::Locked => return Ok(()),
        ClusterState::Creating => "the source cluster is still being created",
        ClusterState::CreationFailed => "the creation of the source cluster has failed",
        ClusterState::Deleted => {
            "the source cluster is deleted; set backup_id or point_in_time to use a backup of it"
        }
    };
    Err(Error::precondition(message))
}

impl MaskingScript {
    /// The script of a request, or the first rule that is violated. An empty database is the same as none. An empty text is
    /// refused, so that a mistake does not lead to unmasked data.
    pub fn requested(text: Option<String>, database: Option<String>) -> Result<Option<Self>> {
        let invalid = |member: &str, rule: &str| Err(Error::invalid(&format!("restore_from.{member}"), rule));
        if text.as_deref().is_some_and(|text| text.trim().is_empty()) {
            return invalid("masking_sql", "must not be empty");
        }
        let (text, database) = match (text, database.filter(|name| !name.is_empty())) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return invalid("masking_database", "is only valid with masking_sql"),
            (Some(text), database) => (text, database.unwrap_or_else(|| DEFAULT_DATABASE.to_owned())),
        };
        if text.len() > MAX_MASKING {
            return invalid("masking_sql", &format!("must have at most {MAX_MASKING} bytes"));
        }
        if text.contains('\0') {
            return invalid("masking_sql", "must not contain a zero byte");
        }
        if is_no_name(&database) {
            return invalid("masking_database", NAME_RULE);
        }
        if names::engine_database(&database) {
            return invalid("masking_database", "must not be postgres, template0, or template1");
        }
        Ok(Some(Self { database, text }))
    }
}

/// Lets `cluster`, which was created just now, begin with data of another one. Returns the restore of the data, and the
/// cluster, which is CREATING until the restore has succeeded; or the first rule that is violated. The plans can differ.
pub fn clone_into(
    cluster: Cluster,
    source: &CloneSource<'_>,
    request: NewClone,
    now: Timestamp,
) -> Result<(Restore, Cluster)> {
    source.check(cluster.organization)?;
    let engine_major = source.engine_major().to_owned();
    if request.explicit_version && cluster.engine_major != engine_major {
        return Err(Error::precondition(format!(
            "cockroach_version: {} uses PostgreSQL {}, but the data of the source cluster is that of PostgreSQL \
             {engine_major}",
            cluster.version, cluster.engine_major
        )));
    }
    let (version, full_version) = match request.explicit_version {
        true => (cluster.version.clone(), cluster.full_version.clone()),
        false => (source.cluster.version.clone(), source.cluster.full_version.clone()),
    };
    let new = NewRestore {
        id: request.id,
        job: request.job,
        kind: RestoreType::Cluster,
        objects: Vec::new(),
        options: RestoreOptions::default(),
    };
    let present = pending(&cluster, source.cluster, new, now);
    let restore = Restore {
        backup: source.backup.map(|(backup, _, _)| backup.id),
        recovery_point: source.backup.map(|(_, point, _)| point.id),
        backup_end_time: source.backup.map_or(now, |(backup, _, _)| backup.as_of_time),
        point_in_time: source.point_in_time.clone(),
        masking: request.masking,
        ..present
    };
    let running =
        RestoreInProgress { id: restore.id.clone(), epoch: FIRST_EPOCH, added: false, creates: true };
    let cluster = Cluster {
        version,
        full_version,
        engine_major,
        state: ClusterState::Creating,
        restore: Some(running),
        power: Power::On,
        ..cluster
    };
    Ok((restore, cluster))
}

/// A request for a cluster with the plan, regions, configuration, and limits of `source`, without a name. Labels, folder,
/// delete protection, and backup configuration are not those of the source.
pub fn specification_of(source: &Cluster) -> NewCluster {
    let request =
        NewCluster { provider: Some(source.provider), plan: Some(source.plan), ..NewCluster::default() };
    match &source.config {
        Config::Serverless { upgrade_type, limits } => {
            let primary = source.regions.iter().find(|region| region.primary);
            let block = NewServerless {
                regions: source.regions.iter().map(|region| region.name.clone()).collect(),
                primary_region: primary.map(|region| region.name.clone()).unwrap_or_default(),
                limits: *limits,
                upgrade_type: Some(*upgrade_type),
                empty_allowlist: false,
            };
            NewCluster { serverless: Some(block), ..request }
        }
        Config::Dedicated { machine_type, storage_gib, disk_iops, .. } => {
            let nodes = source.regions.iter().map(|region| (region.name.clone(), i64::from(region.nodes)));
            let block = NewDedicated {
                region_nodes: nodes.collect(),
                machine: MachineSpec { machine_type: Some(machine_type.clone()), virtual_cpus: None },
                storage_gib: i64::from(*storage_gib),
                disk_iops: i64::from(*disk_iops),
                cidr_range: source.cidr_range.clone(),
                network_visibility: source.network_visibility,
                ..NewDedicated::default()
            };
            NewCluster { dedicated: Some(block), ..request }
        }
    }
}

#[cfg(test)]
#[path = "clone_tests.rs"]
mod tests;
