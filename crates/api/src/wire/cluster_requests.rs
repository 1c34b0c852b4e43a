//! The format of clusters in requests. [`requests`](crate::requests) converts all spellings of a body to
//! these types first.

use super::{CustomerCloudAccount, DateTime, UsageLimits};
use ootheca_model::{
    Timestamp,
    cluster::{CloudProvider, ClusterUpgradeStatus, DeleteProtection, NetworkVisibility, Plan, UpgradeType},
};
use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use std::collections::BTreeMap;

/// Body of `CreateCluster`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CreateClusterRequest {
    /// Name of the cluster.
    pub name: Option<String>,
    /// Cloud provider. With `restore_from`, it can be omitted together with `spec`.
    pub provider: Option<CloudProvider>,
    /// Specification of the cluster. `plan` is also accepted outside of it. If `provider` and `spec` are omitted, plan,
    /// regions, configuration, and limits are those of the source in `restore_from`.
    pub spec: Option<CreateClusterSpecification>,
    /// The data of another cluster that the cluster begins with; it is empty if this is omitted. An extension.
    pub restore_from: Option<RestoreFrom>,
    /// When the cluster is deleted automatically; it is kept if this is omitted. Can't be combined with delete
    /// protection. An extension.
    #[schemars(with = "Option<DateTime>")]
    pub expires_at: Option<Timestamp>,
}

/// The data of another cluster that a new cluster begins with: its present data unless it names a backup or a point in
/// time. Requires the roles of `CreateRestore` on the source. An extension.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreFrom {
    /// ID of the source. Required unless `backup_id` is given.
    pub source_cluster_id: Option<String>,
    /// ID of a backup of the source, which can be deleted.
    pub backup_id: Option<String>,
    /// A moment between the oldest and the newest backup of the source. Can't be combined with `backup_id`.
    #[schemars(with = "Option<DateTime>")]
    pub point_in_time: Option<Timestamp>,
    /// SQL that runs before the cluster can be connected to, for example to remove personal data. Not empty, and at most
    /// 1 MiB, as for the whole request.
    pub masking_sql: Option<String>,
    /// Name of the database in which the SQL runs. Defaults to `defaultdb`.
    pub masking_database: Option<String>,
}

/// The specification of a new cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CreateClusterSpecification {
    /// Plan of the cluster.
    pub plan: Option<Plan>,
    /// Edition, instead of a plan. No edition is enabled on this server, so every value is refused.
    #[schemars(with = "Option<Edition>")]
    pub edition: Option<IgnoredAny>,
    /// Configuration of a BASIC or STANDARD cluster.
    pub serverless: Option<ServerlessClusterCreateSpecification>,
    /// Configuration of an ADVANCED cluster.
    pub dedicated: Option<DedicatedClusterCreateSpecification>,
    /// Labels of the cluster.
    pub labels: Option<BTreeMap<String, String>>,
    /// ID of the folder; absent, empty, or `root` for no folder.
    pub parent_id: Option<String>,
    /// Whether the cluster is protected from deletion.
    pub delete_protection: Option<DeleteProtection>,
    /// An account with the cloud provider that belongs to the caller.
    pub customer_cloud_account: Option<CustomerCloudAccount>,
}

/// A product edition, for organizations that have editions enabled.
#[derive(JsonSchema)]
#[schemars(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Edition {
    Standard,
    MissionCritical,
}

/// A new BASIC or STANDARD cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct ServerlessClusterCreateSpecification {
    /// Regions of the cluster.
    pub regions: Option<Vec<String>>,
    /// The primary region, if there are several.
    pub primary_region: Option<String>,
    /// Usage limits. Plan STANDARD requires `provisioned_virtual_cpus`.
    pub usage_limits: Option<UsageLimits>,
    /// Whether major upgrades start automatically or manually.
    pub upgrade_type: Option<UpgradeType>,
    /// Whether the allowlist is empty at first, so that no network can connect.
    pub with_empty_ip_allowlist: Option<bool>,
}

/// A new ADVANCED cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct DedicatedClusterCreateSpecification {
    /// Number of nodes by region.
    pub region_nodes: Option<BTreeMap<String, i32>>,
    /// Hardware of each node.
    pub hardware: Option<DedicatedHardwareCreateSpecification>,
    /// Machines by region, if regions differ.
    pub region_machine_specs: Option<BTreeMap<String, DedicatedMachineTypeSpecification>>,
    /// Major version.
    pub cockroach_version: Option<String>,
    /// IP address range, on GCP.
    pub cidr_range: Option<String>,
    /// Whether nodes have public IP addresses.
    pub network_visibility: Option<NetworkVisibility>,
    /// Whether all egress is denied at first.
    pub restrict_egress_traffic: Option<bool>,
    /// Whether to prepare the cluster for physical replication.
    pub supports_cluster_virtualization: Option<bool>,
}

/// Hardware of each node of a new ADVANCED cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct DedicatedHardwareCreateSpecification {
    /// Machine type or size.
    pub machine_spec: Option<DedicatedMachineTypeSpecification>,
    /// Storage in GiB; 0 for the minimum.
    pub storage_gib: Option<i32>,
    /// Disk I/O operations per second; 0 for the default.
    pub disk_iops: Option<i32>,
}

/// A machine, specified by either its type or its size.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct DedicatedMachineTypeSpecification {
    /// Name of the machine type.
    pub machine_type: Option<String>,
    /// Number of vCPUs.
    pub num_virtual_cpus: Option<i32>,
}

/// Body of `UpdateCluster`. It can also be wrapped in `spec`, and `usage_limits` can be at the top level.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct UpdateClusterRequest {
    /// Plan of the cluster.
    pub plan: Option<Plan>,
    /// Configuration of a BASIC or STANDARD cluster.
    pub serverless: Option<ServerlessClusterUpdateSpecification>,
    /// Configuration of an ADVANCED cluster.
    pub dedicated: Option<DedicatedClusterUpdateSpecification>,
    /// All labels; omitted labels are removed.
    pub labels: Option<BTreeMap<String, String>>,
    /// ID of the folder; empty or `root` for no folder.
    pub parent_id: Option<String>,
    /// Whether the cluster is protected from deletion.
    pub delete_protection: Option<DeleteProtection>,
    /// Major version to upgrade to.
    pub cockroach_version: Option<String>,
    /// `FINALIZED` to finalize an upgrade, `ROLLBACK_RUNNING` to roll it back.
    pub upgrade_status: Option<ClusterUpgradeStatus>,
}

/// Changes to a BASIC or STANDARD cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct ServerlessClusterUpdateSpecification {
    /// All regions.
    pub regions: Option<Vec<String>>,
    /// The primary region, if there are several; an empty value does not change it.
    pub primary_region: Option<String>,
    /// All usage limits; omitted limits are removed.
    pub usage_limits: Option<UsageLimits>,
    /// Whether major upgrades start automatically or manually.
    pub upgrade_type: Option<UpgradeType>,
}

/// Changes to an ADVANCED cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct DedicatedClusterUpdateSpecification {
    /// Number of nodes in each region, for all regions.
    pub region_nodes: Option<BTreeMap<String, i32>>,
    /// Hardware of each node.
    pub hardware: Option<DedicatedHardwareUpdateSpecification>,
    /// Machines by region, if regions differ.
    pub region_machine_specs: Option<BTreeMap<String, DedicatedMachineTypeSpecification>>,
    /// Encryption keys of new regions.
    pub cmek_region_specs: Option<Vec<CMEKRegionSpecification>>,
}

/// Changes to the hardware of each node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct DedicatedHardwareUpdateSpecification {
    /// Machine type or size.
    pub machine_spec: Option<DedicatedMachineTypeSpecification>,
    /// Storage in GiB.
    pub storage_gib: Option<i32>,
    /// Disk I/O operations per second.
    pub disk_iops: Option<i32>,
}

/// The encryption key of a region.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CMEKRegionSpecification {
    /// Name of the region.
    pub region: Option<String>,
    /// The key.
    pub key_spec: Option<CMEKKeySpecification>,
}

/// An encryption key.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CMEKKeySpecification {
    /// The service that stores the key.
    pub r#type: Option<CMEKKeyType>,
    /// URI of the key.
    pub uri: Option<String>,
    /// The identity that has access to the key.
    pub auth_principal: Option<String>,
}

/// The service that stores an encryption key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CMEKKeyType {
    AwsKms,
    GcpCloudKms,
    NullKms,
    AzureKeyVault,
}
