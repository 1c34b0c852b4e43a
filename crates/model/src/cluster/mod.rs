//! Clusters: the document that is kept, and the decisions about it.
//!
//! [`create`] and [`patch`] hold the laws of making and changing one; both are pure.

pub mod create;
pub mod patch;
mod words;

pub use words::*;

use crate::{
    ClusterId, Error, FolderId, OrganizationId, PrincipalId, Result, Timestamp,
    catalogue::Catalogue,
    instance::{Condition, InstancePlan, Power},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Limits of a BASIC or STANDARD cluster. `None` is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageLimits {
    /// Request units in a calendar month (BASIC).
    pub request_units: Option<i64>,
    /// Mebibytes of storage at any time (BASIC).
    pub storage_mib: Option<i64>,
    /// vCPUs (STANDARD).
    pub virtual_cpus: Option<i64>,
}

impl UsageLimits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A region of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRegion {
    /// Name.
    pub name: String,
    /// Nodes there; 0 for BASIC and STANDARD.
    pub nodes: u32,
    /// The primary region of a BASIC or STANDARD cluster with several.
    pub primary: bool,
}

/// What differs between the plans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Config {
    /// BASIC and STANDARD.
    Serverless {
        /// Who starts major upgrades.
        upgrade_type: UpgradeType,
        /// Limits.
        limits: UsageLimits,
    },
    /// ADVANCED.
    Dedicated {
        /// Machine type of each node.
        machine_type: String,
        /// vCPUs of each node.
        virtual_cpus: u32,
        /// Memory of each node in GiB.
        memory_gib: f64,
        /// Storage of each node in GiB. Recorded only.
        storage_gib: u32,
        /// Disk operations a second of each node. Recorded only.
        disk_iops: u32,
    },
}

/// A cluster as it is kept: what was asked for, and what was last seen of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Id.
    pub id: ClusterId,
    /// The organization.
    pub organization: OrganizationId,
    /// Name; unique among the active clusters of the organization.
    pub name: String,
    /// The number behind the name in the routing id.
    pub tenant: u32,
    /// Cloud.
    pub provider: CloudProvider,
    /// Plan.
    pub plan: Plan,
    /// State.
    pub state: ClusterState,
    /// Who made it.
    pub creator: PrincipalId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a caller last changed it.
    pub updated_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// Major version, `vYY.N`.
    pub version: String,
    /// Full version, `vYY.N.P`.
    pub full_version: String,
    /// The major of the engine that its data belongs to.
    pub engine_major: String,
    /// Regions, sorted by name.
    pub regions: Vec<ClusterRegion>,
    /// What depends on the plan.
    pub config: Config,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The folder that it is in; `None` at the top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<FolderId>,
    /// Delete protection.
    pub delete_protection: DeleteProtection,
    /// ADVANCED: whether nodes are said to have public addresses. Recorded only.
    pub network_visibility: Option<NetworkVisibility>,
    /// ADVANCED on GCP: the address range. Recorded only.
    pub cidr_range: String,
    /// When it last left STANDARD for BASIC.
    pub left_standard_at: Option<Timestamp>,
    /// When its vCPUs were lowered; those that the law no longer counts are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lowered_cpus_at: Vec<Timestamp>,
    /// Grows with every change of what should run.
    pub generation: u64,
    /// Whether its SQL server should run; off while a BASIC cluster is scaled to zero.
    #[serde(default)]
    pub power: Power,
    /// Deleted or failed, and nothing of it is left.
    pub removed: bool,
    /// What was last seen.
    pub observed: ObservedCluster,
}

/// What the reconciler last saw of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedCluster {
    /// The generation that runs.
    pub generation: u64,
    /// What really runs.
    pub engine: String,
    /// What a user should know.
    pub conditions: Vec<Condition>,
    /// Where its data was last seen; empty while unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub location: String,
}

impl ObservedCluster {
    /// Whether the engine found no data of a cluster that was created before.
    pub fn is_data_missing(&self) -> bool {
        self.conditions.iter().any(|condition| condition.kind == Condition::DATA_MISSING && condition.holds)
    }
}

impl Cluster {
    /// Name and number: how SQL clients name the cluster.
    pub fn routing_id(&self) -> String {
        format!("{}-{}", self.name, self.tenant)
    }

    /// Whether it is neither deleted nor failed.
    pub fn is_active(&self) -> bool {
        !matches!(self.state, ClusterState::Deleted | ClusterState::CreationFailed)
    }

    /// What should run for it.
    pub fn plan_instance(&self) -> InstancePlan {
        let cpus = match &self.config {
            Config::Serverless { limits, .. } => limits.virtual_cpus,
            Config::Dedicated { virtual_cpus, .. } => Some(i64::from(*virtual_cpus)),
        };
        InstancePlan {
            cluster: self.id,
            generation: self.generation,
            engine_major: self.engine_major.clone(),
            cpu_millis: cpus.and_then(|cpus| u32::try_from(cpus * 1000).ok()),
            power: self.power,
        }
    }

    /// The long operation at work: a change that the engine has not caught up with.
    pub fn operation_status(&self) -> ClusterStatus {
        if self.state == ClusterState::Created && self.observed.generation < self.generation {
            ClusterStatus::EditClusterRunning
        } else {
            ClusterStatus::Unspecified
        }
    }

    /// Whether a newer version is to be had.
    pub fn upgrade_status(&self, catalogue: &Catalogue) -> ClusterUpgradeStatus {
        match catalogue.upgrades(&self.version, self.plan).next() {
            Some(_) => ClusterUpgradeStatus::UpgradeAvailable,
            None => ClusterUpgradeStatus::Finalized,
        }
    }

    /// The most entries that its allowlist may have.
    pub fn allowlist_limit(&self) -> usize {
        let (serverless, aws, other) = crate::allowlist::LIMITS;
        match (self.plan, self.provider) {
            (Plan::Basic | Plan::Standard, _) => serverless,
            (Plan::Advanced, CloudProvider::Aws) => aws,
            (Plan::Advanced, _) => other,
        }
    }
}

/// Checks labels: at most 50, keys and values of a small alphabet.
pub fn check_labels(labels: &BTreeMap<String, String>) -> Result<()> {
    if labels.len() > 50 {
        return Err(Error::invalid("labels", "at most 50 are allowed"));
    }
    let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    for (key, value) in labels {
        let starts = key.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        if !starts || key.len() > 63 || !key.as_bytes().iter().all(inner) {
            let rule = "keys must be 1 to 63 lower-case letters, digits, dashes and underscores, beginning with a letter";
            return Err(Error::invalid("labels", format!("{rule}: {key:?}")));
        }
        if value.len() > 63 || !value.as_bytes().iter().all(inner) {
            let rule = "values must be at most 63 lower-case letters, digits, dashes and underscores";
            return Err(Error::invalid("labels", format!("{rule}: {value:?}")));
        }
    }
    Ok(())
}
