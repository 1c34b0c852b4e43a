//! The format of clusters in responses.

use super::{DateTime, Int64, KeysetPaginationResponse};
use crate::params::{path_params, query_params};
use ootheca_model::{
    Timestamp,
    cluster::{
        CloudProvider, ClusterSortBy, ClusterState, ClusterStatus, ClusterUpgradeStatus, DeleteProtection,
        EgressTrafficPolicy, NetworkVisibility, NodeStatus, OperatingSystem, Plan, ReleaseType,
        SupportStatus, UpgradeType,
    },
    instance,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

path_params! {
    /// A cluster.
    ClusterPath {
        /// ID of the cluster.
        cluster_id: String,
    }
}

query_params! {
    /// Query of `ListClusters`.
    ListClustersQuery {
        /// Whether to include deleted clusters and clusters whose creation failed.
        show_inactive: bool = "show_inactive",
        /// The field that the list is ordered by.
        sort_by: ClusterSortBy = "pagination.sort_by",
        ..page
    }
}

query_params! {
    /// Query of `ListAvailableRegions`.
    ListAvailableRegionsQuery {
        /// Only regions of this cloud provider.
        provider: CloudProvider = "provider",
        /// `true` for regions that support BASIC and STANDARD clusters, `false` for the others.
        serverless: bool = "serverless",
        ..page
    }
}

query_params! {
    /// Query of `ListClusterNodes`.
    ListClusterNodesQuery {
        /// Only nodes in this region.
        region_name: String = "region_name",
        ..page
    }
}

query_params! {
    /// Query of `GetConnectionString`.
    ConnectionStringQuery {
        /// Database to connect to.
        database: String = "database",
        /// SQL user to connect as.
        sql_user: String = "sql_user",
        /// Operating system of the client. Required for ADVANCED clusters, whose strings name a file.
        os: OperatingSystem = "os",
    }
}

/// A cluster.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Cluster {
    /// ID of the cluster.
    pub id: String,
    /// Name of the cluster.
    pub name: String,
    /// Full version, `vYY.N.P`.
    pub cockroach_version: String,
    /// State of a major upgrade.
    pub upgrade_status: ClusterUpgradeStatus,
    /// Plan of the cluster.
    pub plan: Plan,
    /// Cloud provider that the regions belong to.
    pub cloud_provider: CloudProvider,
    /// The cloud account that hosts the cluster; empty on this server.
    pub account_id: String,
    /// State of the cluster.
    pub state: ClusterState,
    /// ID of the user or service account that created it.
    pub creator_id: String,
    /// The long-running operation that is in progress.
    pub operation_status: ClusterStatus,
    /// Configuration that depends on the plan.
    pub config: ClusterConfig,
    /// Regions, ordered by name.
    pub regions: Vec<Region>,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DateTime>")]
    pub created_at: Option<Timestamp>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DateTime>")]
    pub updated_at: Option<Timestamp>,
    /// When it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DateTime>")]
    pub deleted_at: Option<Timestamp>,
    /// Host name for SQL clients.
    pub sql_dns: String,
    /// Whether nodes have public IP addresses (ADVANCED).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_visibility: Option<NetworkVisibility>,
    /// Whether egress is restricted (ADVANCED).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_traffic_policy: Option<EgressTrafficPolicy>,
    /// IP address range (ADVANCED on GCP); otherwise empty.
    pub cidr_range: String,
    /// Labels of the cluster.
    pub labels: BTreeMap<String, String>,
    /// ID of the folder, or `root`.
    pub parent_id: String,
    /// Whether the cluster is protected from deletion.
    pub delete_protection: DeleteProtection,
    /// When the cluster is deleted automatically, unless it is protected from deletion; omitted if it is kept. An
    /// extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DateTime>")]
    pub expires_at: Option<Timestamp>,
    /// The caller's account with the cloud provider, if the cluster runs in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_cloud_account: Option<CustomerCloudAccount>,
    /// Identity of the cluster in the caller's Azure account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure_cluster_identity_client_id: Option<String>,
    /// Extensions of this server.
    pub ootheca: Extension,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            cockroach_version: String::new(),
            upgrade_status: ClusterUpgradeStatus::Finalized,
            plan: Plan::Basic,
            cloud_provider: CloudProvider::Gcp,
            account_id: String::new(),
            state: ClusterState::Creating,
            creator_id: String::new(),
            operation_status: ClusterStatus::Unspecified,
            config: ClusterConfig::default(),
            regions: Vec::new(),
            created_at: None,
            updated_at: None,
            deleted_at: None,
            sql_dns: String::new(),
            network_visibility: None,
            egress_traffic_policy: None,
            cidr_range: String::new(),
            labels: BTreeMap::new(),
            parent_id: String::new(),
            delete_protection: DeleteProtection::Disabled,
            expires_at: None,
            customer_cloud_account: None,
            azure_cluster_identity_client_id: None,
            ootheca: Extension::default(),
        }
    }
}

/// Extensions of this server, which are not in the official reference. Other clients ignore them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Extension {
    /// The database engine that runs, for example `PostgreSQL 15.18`; empty if it is not known yet.
    pub engine: String,
    /// Conditions of the cluster.
    #[schemars(with = "Vec<Condition>")]
    pub conditions: Vec<instance::Condition>,
    /// Status of the usage limits: `OPEN`; `STORAGE_LIMIT_EXCEEDED` (only one session at a time, so that data
    /// can be deleted); or `REQUEST_UNIT_LIMIT_EXCEEDED` (no sessions until the limit is raised or the next
    /// month starts).
    pub limit_status: String,
    /// The former name of `limit_status`, until the next release.
    pub standing: String,
    /// Whether the cluster is suspended. It resumes when a client connects.
    pub suspended: bool,
    /// Current usage.
    pub usage: Usage,
}

/// The usage of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Usage {
    /// The month of `request_units`, in UTC, for example `2026-11`.
    pub month: String,
    /// Request units that were used in the month.
    pub request_units: RequestUnits,
    /// Used share of `request_unit_limit`, in percent; absent if there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_unit_limit_percent: Option<Int64>,
    /// Size of the data in MiB, as last measured.
    pub storage_mib: f64,
    /// Used share of `storage_mib_limit`, in percent; absent if there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_mib_limit_percent: Option<Int64>,
    /// Average vCPU usage in the last seconds.
    pub virtual_cpus: f64,
    /// Number of open SQL sessions.
    pub connections: i32,
}

/// Request units by component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct RequestUnits {
    /// Sum of all components.
    pub total: f64,
    /// CPU time of the SQL server.
    pub cpu: f64,
    /// Bytes that were sent to clients.
    pub egress: f64,
    /// Read transactions.
    pub read_batches: f64,
    /// Index lookups.
    pub read_requests: f64,
    /// Bytes that were read.
    pub read_bytes: f64,
    /// Write transactions.
    pub write_batches: f64,
    /// Rows and index entries that were written.
    pub write_requests: f64,
    /// Bytes that were written.
    pub write_bytes: f64,
}

/// The schema of an [`instance::Condition`].
#[derive(JsonSchema)]
#[allow(dead_code)]
struct Condition {
    /// Name of the condition in camel case, for example `CpuLimited`.
    kind: String,
    /// Whether the condition holds.
    holds: bool,
    /// Description of the condition.
    message: String,
}

/// Configuration that depends on the plan. Exactly one member is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct ClusterConfig {
    /// Configuration of a BASIC or STANDARD cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serverless: Option<ServerlessClusterConfig>,
    /// Configuration of an ADVANCED cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedicated: Option<DedicatedHardwareConfig>,
}

/// Configuration of a BASIC or STANDARD cluster.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ServerlessClusterConfig {
    /// The ID that SQL clients use to connect to the cluster.
    pub routing_id: String,
    /// Whether major upgrades start automatically or manually.
    pub upgrade_type: UpgradeType,
    /// Usage limits; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_limits: Option<UsageLimits>,
}

/// Usage limits of a BASIC or STANDARD cluster. An absent limit means unlimited usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageLimits {
    /// Request units per month (BASIC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_unit_limit: Option<Int64>,
    /// Storage in MiB (BASIC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_mib_limit: Option<Int64>,
    /// Number of vCPUs (STANDARD).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioned_virtual_cpus: Option<Int64>,
}

/// Configuration of each node of an ADVANCED cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct DedicatedHardwareConfig {
    /// Name of the machine type.
    pub machine_type: String,
    /// Number of vCPUs of each node.
    pub num_virtual_cpus: i32,
    /// Storage in GiB.
    pub storage_gib: i32,
    /// Memory in GiB.
    pub memory_gib: f64,
    /// Disk I/O operations per second.
    pub disk_iops: i32,
}

/// A region of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Region {
    /// Name of the region.
    pub name: String,
    /// Host name for SQL clients.
    pub sql_dns: String,
    /// Host name of the DB Console; empty if there is none.
    pub ui_dns: String,
    /// Host name within the network of the cloud provider.
    pub internal_dns: String,
    /// Host name of private endpoints.
    pub private_endpoint_dns: String,
    /// Number of nodes; 0 for BASIC and STANDARD clusters.
    pub node_count: i32,
    /// Whether this is the primary region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
    /// ID of the VPC endpoint for S3 (ADVANCED on AWS). This server has no such endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_vpc_endpoint_id: Option<String>,
    /// Machine type of each node (ADVANCED).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_type: Option<String>,
    /// Number of vCPUs of each node (ADVANCED).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_virtual_cpus: Option<i32>,
    /// Disk I/O operations per second of each node (ADVANCED on AWS).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_iops: Option<i32>,
}

/// The caller's account with a cloud provider. Exactly one member is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerCloudAccount {
    /// Account on AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsCustomerCloudAccount>,
    /// Account on Azure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure: Option<AzureCustomerCloudAccount>,
    /// Account on GCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gcp: Option<GcpCustomerCloudAccount>,
}

/// The caller's role on AWS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AwsCustomerCloudAccount {
    /// ARN of the role.
    pub arn: String,
}

/// The caller's subscription on Azure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AzureCustomerCloudAccount {
    /// ID of the subscription.
    pub subscription_id: String,
    /// ID of the tenant.
    pub tenant_id: String,
}

/// The caller's service account on GCP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GcpCustomerCloudAccount {
    /// Email address of the service account.
    pub service_account_email: String,
}

/// Response of `ListClusters`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListClustersResponse {
    /// Clusters.
    pub clusters: Vec<Cluster>,
    /// Tokens of the neighboring pages.
    pub pagination: KeysetPaginationResponse,
}

/// A node of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Node {
    /// Name of the node.
    pub name: String,
    /// Name of its region.
    pub region_name: String,
    /// Whether the node is running.
    pub status: NodeStatus,
    /// Extensions of this server.
    pub ootheca: NodeExtension,
}

/// Extensions of this server for a node, which are not in the official reference. Other clients ignore them.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct NodeExtension {
    /// What the node does.
    pub role: NodeRole,
    /// Name of the availability zone that the node belongs to.
    pub zone: String,
    /// Bytes of WAL that a standby has not received yet; absent if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_bytes: Option<Int64>,
    /// The database engine that runs, for example `PostgreSQL 17.11`; empty if the node does not run.
    pub version: String,
}

/// What a node does: PRIMARY accepts writes, STANDBY replays the WAL of the primary, and NONE does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NodeRole {
    Primary,
    Standby,
    None,
}

/// Response of `ListClusterNodes`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListClusterNodesResponse {
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Tokens of the neighboring pages.
    pub pagination: KeysetPaginationResponse,
}

/// A region in which clusters can be created.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CloudProviderRegion {
    /// Name of the region.
    pub name: String,
    /// Location of the region.
    pub location: String,
    /// Cloud provider.
    pub provider: CloudProvider,
    /// Whether BASIC and STANDARD clusters are supported.
    pub serverless: bool,
    /// Distance from the caller in miles.
    pub distance: f64,
}

/// Response of `ListAvailableRegions`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListAvailableRegionsResponse {
    /// Regions.
    pub regions: Vec<CloudProviderRegion>,
    /// Tokens of the neighboring pages.
    pub pagination: KeysetPaginationResponse,
}

/// A major version.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ClusterMajorVersion {
    /// The version, `vYY.N`.
    pub version: String,
    /// Type of the release.
    pub release_type: ReleaseType,
    /// Whether this server supports the version.
    pub support_status: SupportStatus,
    /// When support ends.
    #[schemars(with = "DateTime")]
    pub support_end: Timestamp,
    /// Versions that a cluster with this version can be upgraded to.
    pub allowed_upgrades: Vec<String>,
}

/// Response of `ListMajorClusterVersions`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListMajorClusterVersionsResponse {
    /// Versions, newest first.
    pub versions: Vec<ClusterMajorVersion>,
    /// Tokens of the neighboring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Response of `GetConnectionString`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct GetConnectionStringResponse {
    /// The connection string, without a password.
    pub connection_string: String,
    /// The parts of the connection string.
    pub params: ConnectionStringParameters,
}

/// The parts of a connection string.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ConnectionStringParameters {
    /// Host name.
    pub host: String,
    /// Port.
    pub port: String,
    /// Name of the database.
    pub database: String,
    /// Name of the SQL user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}
