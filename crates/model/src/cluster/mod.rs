//! Clusters: the stored document, and the rules for creating and changing it.
//!
//! [`create`] and [`patch`] contain the rules. Both are pure.

pub mod create;
mod enums;
pub mod patch;

pub(crate) use enums::wire_enums;
pub use enums::*;

use crate::{
    ClusterId, Error, FolderId, OrganizationId, PrincipalId, Result, Timestamp,
    backup::{BackupConfiguration, RestoreInProgress},
    catalog::Catalog,
    instance::{Condition, InstancePlan, NodePlan, Power},
    maintenance::MaintenanceWindow,
    node::{Leadership, NodeId, NodeSpec, NodeStage, Operation, OperationKind, Quorum, quorum_of, zone_of},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The limits of a BASIC or STANDARD cluster. `None` means unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageLimits {
    /// The request units in a calendar month (BASIC).
    pub request_units: Option<i64>,
    /// The storage in MiB (BASIC).
    pub storage_mib: Option<i64>,
    /// The number of vCPUs (STANDARD).
    pub virtual_cpus: Option<i64>,
}

impl UsageLimits {
    /// Whether there are no limits.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A region of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRegion {
    pub name: String,
    /// The number of nodes in the region; 0 for BASIC and STANDARD.
    pub nodes: u32,
    /// Whether it is the primary region of a BASIC or STANDARD cluster with several regions.
    pub primary: bool,
}

/// The configuration that depends on the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Config {
    /// BASIC and STANDARD.
    Serverless {
        /// Whether major upgrades are manual or automatic.
        upgrade_type: UpgradeType,
        limits: UsageLimits,
    },
    /// ADVANCED.
    Dedicated {
        /// The machine type of each node.
        machine_type: String,
        /// The vCPUs of each node.
        virtual_cpus: u32,
        /// The memory of each node in GiB.
        memory_gib: f64,
        /// The storage of each node in GiB. Stored but not enforced.
        storage_gib: u32,
        /// The disk operations per second of each node. Stored but not enforced.
        disk_iops: u32,
    },
}

/// A cluster as it is stored: its specification, and what was last observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    pub id: ClusterId,
    pub organization: OrganizationId,
    /// The name, unique among the active clusters of the organization.
    pub name: String,
    /// The number after the name in the routing ID.
    pub tenant: u32,
    pub provider: CloudProvider,
    pub plan: Plan,
    pub state: ClusterState,
    /// The principal that created the cluster.
    pub creator: PrincipalId,
    pub created_at: Timestamp,
    /// The time of the last change by a caller.
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    /// The major version, `vYY.N`.
    pub version: String,
    /// The full version, `vYY.N.P`.
    pub full_version: String,
    /// The engine major version of the data.
    pub engine_major: String,
    /// The regions, sorted by name.
    pub regions: Vec<ClusterRegion>,
    /// The configuration that depends on the plan.
    pub config: Config,
    pub labels: BTreeMap<String, String>,
    /// The folder of the cluster; `None` for the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<FolderId>,
    pub delete_protection: DeleteProtection,
    /// When the cluster is deleted unless it is protected from deletion; `None` if it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// ADVANCED: whether nodes have public addresses. Stored but without effect.
    pub network_visibility: Option<NetworkVisibility>,
    /// ADVANCED on GCP: the CIDR range of the network. Stored but without effect.
    pub cidr_range: String,
    /// The time of the last change from STANDARD to BASIC.
    pub left_standard_at: Option<Timestamp>,
    /// The times when the vCPUs were decreased, without those that no longer count towards the limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lowered_cpus_at: Vec<Timestamp>,
    /// The backup configuration; `None` for the default one of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupConfiguration>,
    /// ADVANCED: the maintenance window. Stored but without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance_window: Option<MaintenanceWindow>,
    /// ADVANCED: how long patches are deferred; `None` if they are not. Stored but without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_deferral: Option<ClusterVersionDeferralPolicy>,
    /// Increases with every change of the instance plan.
    pub generation: u64,
    /// The data epoch: the number of the data directory that belongs to the cluster.
    #[serde(default, skip_serializing_if = "is_first_epoch")]
    pub epoch: u64,
    /// The nodes of a cluster with several nodes, by number. Empty for a cluster with one node, see
    /// [`Cluster::members`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeSpec>,
    /// The highest number that a node ever had; 0 as long as there was only the first node.
    #[serde(default, skip_serializing_if = "is_no_node")]
    pub last_node: u32,
    #[serde(default, skip_serializing_if = "Leadership::is_initial")]
    pub leadership: Leadership,
    /// The quorum in force; `None` with one node, and until the first one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Quorum>,
    /// The quorum that is being applied. Meanwhile, both count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_quorum: Option<Quorum>,
    /// The operation on the nodes that is in progress or has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// The restore into the cluster, while it runs. If it replaces all data, the state is LOCKED meanwhile, and if it
    /// creates the cluster, CREATING, unless the cluster is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreInProgress>,
    /// Whether the SQL server should run. Off while a BASIC cluster is scaled to zero.
    #[serde(default)]
    pub power: Power,
    /// Whether the cluster is deleted or failed, and all of its resources are removed.
    pub removed: bool,
    pub observed: ObservedCluster,
}

fn is_first_epoch(epoch: &u64) -> bool {
    *epoch == 0
}

fn is_no_node(number: &u32) -> bool {
    *number == 0
}

/// What the reconciler last observed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedCluster {
    /// The generation that is running.
    pub generation: u64,
    /// The engine version that is running.
    pub engine: String,
    /// The conditions to report to the user.
    pub conditions: Vec<Condition>,
    /// The last known location of the data; empty if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub location: String,
}

impl ObservedCluster {
    /// Whether the data of the cluster is missing although it was created before.
    pub fn is_data_missing(&self) -> bool {
        self.conditions.iter().any(|condition| condition.kind == Condition::DATA_MISSING && condition.holds)
    }
}

impl Cluster {
    /// The name and number by which SQL clients identify the cluster.
    pub fn routing_id(&self) -> String {
        format!("{}-{}", self.name, self.tenant)
    }

    /// Whether the cluster is neither deleted nor failed.
    pub fn is_active(&self) -> bool {
        !matches!(self.state, ClusterState::Deleted | ClusterState::CreationFailed)
    }

    /// Whether a restore is replacing all data, so that the cluster can't be used. Databases and tables are restored into
    /// a cluster that stays usable.
    pub fn is_being_replaced(&self) -> bool {
        self.state == ClusterState::Locked && self.restore.is_some()
    }

    /// Returns `Precondition` while a restore is replacing all data, when the data and the specification can't be changed.
    /// A cluster that is LOCKED because its nodes are changed stays usable, see [`Cluster::check_specification`].
    pub fn check_unlocked(&self) -> Result<()> {
        match (self.state, &self.restore, &self.operation) {
            (ClusterState::Locked, Some(restore), _) => Err(Error::precondition(format!(
                "the cluster is locked while a backup is restored into it; try again when restore {} is complete",
                restore.id
            ))),
            (ClusterState::Locked, None, None) => Err(Error::precondition("the cluster is locked")),
            _ => Ok(()),
        }
    }

    /// Returns `Precondition` while the nodes are changed, when nodes, hardware, and version can't be changed.
    pub fn check_specification(&self) -> Result<()> {
        match (self.state, &self.operation) {
            (ClusterState::Locked, Some(_)) => Err(Error::precondition(
                "the cluster is locked while its nodes are changed; try again when operation_status is UNSPECIFIED",
            )),
            _ => Ok(()),
        }
    }

    /// The backup configuration: the default one of the plan unless it was changed.
    pub fn backup_configuration(&self) -> BackupConfiguration {
        self.backup.unwrap_or_else(|| BackupConfiguration::default_of(self.plan))
    }

    /// How long patches are deferred.
    pub fn deferral_policy(&self) -> ClusterVersionDeferralPolicy {
        self.version_deferral.unwrap_or(ClusterVersionDeferralPolicy::NotDeferred)
    }

    /// All nodes, by number. A cluster with one node has the first one, in its primary region or its first one.
    pub fn members(&self) -> Vec<NodeSpec> {
        if !self.nodes.is_empty() {
            return self.nodes.clone();
        }
        let home = self.regions.iter().find(|region| region.primary).or(self.regions.first());
        let region = home.map(|region| region.name.clone()).unwrap_or_default();
        let zone = zone_of(&region, 0);
        vec![NodeSpec { id: NodeId::FIRST, region, zone, stage: NodeStage::Member }]
    }

    /// Whether there is an operation that ends once the nodes are as the row describes them.
    pub fn has_node_operation(&self) -> bool {
        let kind = self.operation.as_ref().map(|operation| operation.kind);
        matches!(kind, Some(OperationKind::Scale | OperationKind::InstanceUpdate))
    }

    /// Whether the row describes a change of the nodes, the primary, or the quorum that is not complete.
    pub fn is_changing_nodes(&self) -> bool {
        self.has_node_operation()
            || self.leadership.change.is_some()
            || self.next_quorum.is_some()
            || self.nodes.iter().any(|node| node.stage != NodeStage::Member)
            || self.quorum != quorum_of(&self.nodes, self.leadership.primary)
    }

    /// The quorums of which the needed standbys must respond before `leadership.primary` is promoted: those that counted
    /// before it became the primary.
    pub fn quorums_before(&self) -> Vec<Quorum> {
        let quorums = self.quorum.iter().chain(&self.next_quorum);
        quorums.map(|quorum| self.leadership.quorum_before(quorum)).collect()
    }

    /// Returns the plan of the cluster's instance.
    pub fn plan_instance(&self) -> InstancePlan {
        let (cpus, memory_mib) = match &self.config {
            Config::Serverless { limits, .. } => (limits.virtual_cpus, None),
            // A conversion from a float saturates.
            Config::Dedicated { virtual_cpus, memory_gib, .. } => {
                (Some(i64::from(*virtual_cpus)), Some((memory_gib * 1024.0) as u32))
            }
        };
        let cpu_millis = cpus.and_then(|cpus| u32::try_from(cpus * 1000).ok());
        let node = |node: &NodeSpec| NodePlan { id: node.id, cpu_millis, memory_mib, power: Power::On };
        InstancePlan {
            cluster: self.id,
            generation: self.generation,
            epoch: self.epoch,
            engine_major: self.engine_major.clone(),
            cpu_millis,
            power: self.power,
            nodes: self.nodes.iter().map(node).collect(),
            primary: self.leadership.primary,
            term: self.leadership.term,
            quorum: self.next_quorum.as_ref().or(self.quorum.as_ref()).cloned(),
        }
    }

    /// The long-running operation: a restore, an operation on the nodes, or a change that the engine has not applied yet.
    /// An operation that has failed is shown until the next one begins.
    pub fn operation_status(&self) -> ClusterStatus {
        let is_edited = self.observed.generation < self.generation;
        match (self.state, &self.operation) {
            (ClusterState::Locked, _) if self.restore.is_some() => match self.plan {
                Plan::Basic | Plan::Standard => ClusterStatus::TenantRestoreRunning,
                Plan::Advanced => ClusterStatus::DedicatedFullClusterRestoreRunning,
            },
            (ClusterState::Created, Some(operation)) if is_edited && operation.failure.is_some() => {
                ClusterStatus::EditClusterRunning
            }
            (ClusterState::Created | ClusterState::Locked, Some(operation)) => status_of(operation),
            (ClusterState::Created, None) if is_edited => ClusterStatus::EditClusterRunning,
            _ => ClusterStatus::Unspecified,
        }
    }

    /// Whether a newer version is available.
    pub fn upgrade_status(&self, catalog: &Catalog) -> ClusterUpgradeStatus {
        match catalog.upgrades(&self.version, self.plan).next() {
            Some(_) => ClusterUpgradeStatus::UpgradeAvailable,
            None => ClusterUpgradeStatus::Finalized,
        }
    }

    /// The maximum number of entries in the allowlist.
    pub fn allowlist_limit(&self) -> usize {
        let (serverless, aws, other) = crate::allowlist::LIMITS;
        match (self.plan, self.provider) {
            (Plan::Basic | Plan::Standard, _) => serverless,
            (Plan::Advanced, CloudProvider::Aws) => aws,
            (Plan::Advanced, _) => other,
        }
    }
}

/// The status of a cluster with an operation on its nodes.
fn status_of(operation: &Operation) -> ClusterStatus {
    match (operation.kind, operation.failure.is_some()) {
        (OperationKind::Scale, false) => ClusterStatus::ScaleRunning,
        (OperationKind::Scale, true) => ClusterStatus::ScaleFailed,
        (OperationKind::InstanceUpdate, false) => ClusterStatus::InstanceUpdateRunning,
        (OperationKind::InstanceUpdate, true) => ClusterStatus::InstanceUpdateFailed,
        (OperationKind::Patch, false) => ClusterStatus::PatchRunning,
        (OperationKind::Patch, true) => ClusterStatus::PatchFailed,
        (OperationKind::MajorUpgrade, false) => ClusterStatus::MajorUpgradeRunning,
        (OperationKind::MajorUpgrade, true) => ClusterStatus::MajorUpgradeFailed,
        (OperationKind::MajorRollback, false) => ClusterStatus::MajorRollbackRunning,
        (OperationKind::MajorRollback, true) => ClusterStatus::MajorRollbackFailed,
        (OperationKind::Disruption, false) => ClusterStatus::ClusterDisruptionRunning,
        (OperationKind::Disruption, true) => ClusterStatus::ClusterDisruptionFailed,
        (OperationKind::Maintenance, _) => ClusterStatus::MaintenanceRunning,
    }
}

/// Checks labels: at most 50, with keys and values from a restricted alphabet.
pub fn check_labels(labels: &BTreeMap<String, String>) -> Result<()> {
    if labels.len() > 50 {
        return Err(Error::invalid("labels", "at most 50 are allowed"));
    }
    let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    for (key, value) in labels {
        let starts = key.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        if !starts || key.len() > 63 || !key.as_bytes().iter().all(inner) {
            let rule = "keys must be 1 to 63 lowercase letters, digits, hyphens, or underscores, and must start with a letter";
            return Err(Error::invalid("labels", format!("{rule}: {key:?}")));
        }
        if value.len() > 63 || !value.as_bytes().iter().all(inner) {
            let rule = "values must be at most 63 lowercase letters, digits, hyphens, or underscores";
            return Err(Error::invalid("labels", format!("{rule}: {value:?}")));
        }
    }
    Ok(())
}
