//! Clusters, as requests ask for them. [`requests`](crate::requests) brings all spellings of a body to
//! these shapes first.

use super::{CustomerCloudAccount, UsageLimits};
use ootheca_model::cluster::{
    CloudProvider, ClusterUpgradeStatus, DeleteProtection, NetworkVisibility, Plan, UpgradeType,
};
use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use std::collections::BTreeMap;

/// Body of `CreateCluster`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CreateClusterRequest {
    /// Name.
    pub name: Option<String>,
    /// Cloud.
    pub provider: Option<CloudProvider>,
    /// Everything else. `plan` is also accepted beside it.
    pub spec: Option<CreateClusterSpecification>,
}

/// What a new cluster should be.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CreateClusterSpecification {
    /// Plan.
    pub plan: Option<Plan>,
    /// Edition, in place of a plan. No edition is enabled here, so every value is refused.
    #[schemars(with = "Option<Edition>")]
    pub edition: Option<IgnoredAny>,
    /// BASIC and STANDARD.
    pub serverless: Option<ServerlessClusterCreateSpecification>,
    /// ADVANCED.
    pub dedicated: Option<DedicatedClusterCreateSpecification>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Folder; absent, empty or `root` for none.
    pub parent_id: Option<String>,
    /// Whether it can be deleted.
    pub delete_protection: Option<DeleteProtection>,
    /// An account in the caller's own cloud.
    pub customer_cloud_account: Option<CustomerCloudAccount>,
}

/// A product edition, for organizations that have editions enabled.
#[derive(JsonSchema)]
#[schemars(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum Edition {
    Standard,
    MissionCritical,
}

/// A new BASIC or STANDARD cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct ServerlessClusterCreateSpecification {
    /// Regions.
    pub regions: Option<Vec<String>>,
    /// The primary one of several.
    pub primary_region: Option<String>,
    /// Limits.
    pub usage_limits: Option<UsageLimits>,
    /// Who starts major upgrades.
    pub upgrade_type: Option<UpgradeType>,
    /// Begin with an allowlist that lets nobody in.
    pub with_empty_ip_allowlist: Option<bool>,
}

/// A new ADVANCED cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct DedicatedClusterCreateSpecification {
    /// Number of nodes by region.
    pub region_nodes: Option<BTreeMap<String, i32>>,
    /// Hardware of each node.
    pub hardware: Option<DedicatedHardwareCreateSpecification>,
    /// Machines by region, where they differ.
    pub region_machine_specs: Option<BTreeMap<String, DedicatedMachineTypeSpecification>>,
    /// Major version.
    pub cockroach_version: Option<String>,
    /// Address range, on GCP.
    pub cidr_range: Option<String>,
    /// Whether nodes have public addresses.
    pub network_visibility: Option<NetworkVisibility>,
    /// Begin with all egress denied.
    pub restrict_egress_traffic: Option<bool>,
    /// Prepare for physical replication.
    pub supports_cluster_virtualization: Option<bool>,
}

/// Hardware of each node of a new ADVANCED cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct DedicatedHardwareCreateSpecification {
    /// Machine.
    pub machine_spec: Option<DedicatedMachineTypeSpecification>,
    /// Storage in GiB; 0 for the smallest.
    pub storage_gib: Option<i32>,
    /// Disk operations a second; 0 for the default.
    pub disk_iops: Option<i32>,
}

/// A machine, by exactly one of its type and its size.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct DedicatedMachineTypeSpecification {
    /// Type.
    pub machine_type: Option<String>,
    /// vCPUs.
    pub num_virtual_cpus: Option<i32>,
}

/// Body of `UpdateCluster`. It may also be wrapped in `spec`, and `usage_limits` may stand at the top.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct UpdateClusterRequest {
    /// Plan.
    pub plan: Option<Plan>,
    /// BASIC and STANDARD.
    pub serverless: Option<ServerlessClusterUpdateSpecification>,
    /// ADVANCED.
    pub dedicated: Option<DedicatedClusterUpdateSpecification>,
    /// All labels; those that are left out are removed.
    pub labels: Option<BTreeMap<String, String>>,
    /// Folder; empty or `root` for none.
    pub parent_id: Option<String>,
    /// Whether it can be deleted.
    pub delete_protection: Option<DeleteProtection>,
    /// Major version to upgrade to.
    pub cockroach_version: Option<String>,
    /// `FINALIZED` to keep an upgrade, `ROLLBACK_RUNNING` to undo it.
    pub upgrade_status: Option<ClusterUpgradeStatus>,
}

/// Changes of a BASIC or STANDARD cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct ServerlessClusterUpdateSpecification {
    /// All regions.
    pub regions: Option<Vec<String>>,
    /// The primary one of several; empty leaves it as it is.
    pub primary_region: Option<String>,
    /// All limits; those that are left out are lifted.
    pub usage_limits: Option<UsageLimits>,
    /// Who starts major upgrades.
    pub upgrade_type: Option<UpgradeType>,
}

/// Changes of an ADVANCED cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct DedicatedClusterUpdateSpecification {
    /// Number of nodes by region, of all regions.
    pub region_nodes: Option<BTreeMap<String, i32>>,
    /// Hardware of each node.
    pub hardware: Option<DedicatedHardwareUpdateSpecification>,
    /// Machines by region, where they differ.
    pub region_machine_specs: Option<BTreeMap<String, DedicatedMachineTypeSpecification>>,
    /// Encryption keys of new regions.
    pub cmek_region_specs: Option<Vec<CMEKRegionSpecification>>,
}

/// Changes of the hardware of each node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct DedicatedHardwareUpdateSpecification {
    /// Machine.
    pub machine_spec: Option<DedicatedMachineTypeSpecification>,
    /// Storage in GiB.
    pub storage_gib: Option<i32>,
    /// Disk operations a second.
    pub disk_iops: Option<i32>,
}

/// The encryption key of a region.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CMEKRegionSpecification {
    /// Region.
    pub region: Option<String>,
    /// Key.
    pub key_spec: Option<CMEKKeySpecification>,
}

/// An encryption key.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CMEKKeySpecification {
    /// Where it is kept.
    pub r#type: Option<CMEKKeyType>,
    /// Its address there.
    pub uri: Option<String>,
    /// Who may use it.
    pub auth_principal: Option<String>,
}

/// Where an encryption key is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum CMEKKeyType {
    AwsKms,
    GcpCloudKms,
    NullKms,
    AzureKeyVault,
}
