//! Clusters, as answers show them.

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
        /// Id of the cluster.
        cluster_id: String,
    }
}

query_params! {
    /// Of `ListClusters`.
    ListClustersQuery {
        /// Also deleted clusters and such that failed to be made.
        show_inactive: bool = "show_inactive",
        /// What the list is ordered by.
        sort_by: ClusterSortBy = "pagination.sort_by",
        ..page
    }
}

query_params! {
    /// Of `ListAvailableRegions`.
    ListAvailableRegionsQuery {
        /// Only regions of this cloud.
        provider: CloudProvider = "provider",
        /// Only regions that BASIC and STANDARD clusters may use, or only the others.
        serverless: bool = "serverless",
        ..page
    }
}

query_params! {
    /// Of `ListClusterNodes`.
    ListClusterNodesQuery {
        /// Only nodes in this region.
        region_name: String = "region_name",
        ..page
    }
}

query_params! {
    /// Of `GetConnectionString`.
    ConnectionStringQuery {
        /// Database to connect to.
        database: String = "database",
        /// SQL user to connect as.
        sql_user: String = "sql_user",
        /// Where the client runs; needed for ADVANCED clusters, whose strings name a file.
        os: OperatingSystem = "os",
    }
}

/// A cluster.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Cluster {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Full version, `vYY.N.P`.
    pub cockroach_version: String,
    /// Where it stands between two major versions.
    pub upgrade_status: ClusterUpgradeStatus,
    /// Plan.
    pub plan: Plan,
    /// Cloud that its regions are named after.
    pub cloud_provider: CloudProvider,
    /// The cloud account that hosts it; empty here.
    pub account_id: String,
    /// Where it stands in its life.
    pub state: ClusterState,
    /// The user or service account that made it.
    pub creator_id: String,
    /// The long operation that is at work.
    pub operation_status: ClusterStatus,
    /// What depends on the plan.
    pub config: ClusterConfig,
    /// Regions, sorted by name.
    pub regions: Vec<Region>,
    /// When it was made.
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
    /// ADVANCED: whether nodes have public addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_visibility: Option<NetworkVisibility>,
    /// ADVANCED: what it may reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_traffic_policy: Option<EgressTrafficPolicy>,
    /// ADVANCED on GCP: its address range. Empty elsewhere.
    pub cidr_range: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Folder, or `root`.
    pub parent_id: String,
    /// Whether it can be deleted.
    pub delete_protection: DeleteProtection,
    /// The caller's own cloud account, where it runs in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_cloud_account: Option<CustomerCloudAccount>,
    /// Its identity in the caller's own Azure account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure_cluster_identity_client_id: Option<String>,
    /// What only this server says.
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
            customer_cloud_account: None,
            azure_cluster_identity_client_id: None,
            ootheca: Extension::default(),
        }
    }
}

/// What this server says of a cluster beyond the reference; other clients ignore it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Extension {
    /// What really runs, for example `PostgreSQL 15.18`; empty while unknown.
    pub engine: String,
    /// What a user should know.
    #[schemars(with = "Vec<Condition>")]
    pub conditions: Vec<instance::Condition>,
    /// How it stands with its limits: `OPEN`; `STORAGE_LIMIT_EXCEEDED` (one session at a time, for
    /// deleting); `REQUEST_UNIT_LIMIT_EXCEEDED` (no session until the limit is raised or a month starts).
    pub standing: String,
    /// Whether its SQL server is stopped until somebody connects.
    pub suspended: bool,
    /// What it uses.
    pub usage: Usage,
}

/// What a cluster uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Usage {
    /// The month that request units are counted in, in UTC, for example `2026-11`.
    pub month: String,
    /// Request units of that month.
    pub request_units: RequestUnits,
    /// Their share of `request_unit_limit`, in percent; absent without that limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_unit_limit_percent: Option<Int64>,
    /// Mebibytes of data, as last measured.
    pub storage_mib: f64,
    /// Their share of `storage_mib_limit`, in percent; absent without that limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_mib_limit_percent: Option<Int64>,
    /// vCPUs that were busy in the last seconds.
    pub virtual_cpus: f64,
    /// SQL sessions that are open.
    pub connections: i32,
}

/// Request units by what they were used for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct RequestUnits {
    /// All together.
    pub total: f64,
    /// CPU of the SQL server.
    pub cpu: f64,
    /// Bytes to clients.
    pub egress: f64,
    /// Transactions that read.
    pub read_batches: f64,
    /// Look-ups through an index.
    pub read_requests: f64,
    /// Bytes that were read.
    pub read_bytes: f64,
    /// Transactions that wrote.
    pub write_batches: f64,
    /// Rows and index entries that were written.
    pub write_requests: f64,
    /// Bytes that were written.
    pub write_bytes: f64,
}

/// How the schemas show a [`instance::Condition`].
#[derive(JsonSchema)]
#[allow(dead_code)]
struct Condition {
    /// One word in camel case, for example `CpuLimited`.
    kind: String,
    /// Whether it holds.
    holds: bool,
    /// One sentence for a person.
    message: String,
}

/// What depends on the plan; exactly one member is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct ClusterConfig {
    /// BASIC and STANDARD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serverless: Option<ServerlessClusterConfig>,
    /// ADVANCED.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedicated: Option<DedicatedHardwareConfig>,
}

/// Configuration of a BASIC or STANDARD cluster.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ServerlessClusterConfig {
    /// How SQL clients name the cluster.
    pub routing_id: String,
    /// Who starts major upgrades.
    pub upgrade_type: UpgradeType,
    /// Limits; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_limits: Option<UsageLimits>,
}

/// Limits of a BASIC or STANDARD cluster. What is absent is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageLimits {
    /// BASIC: request units in a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_unit_limit: Option<Int64>,
    /// BASIC: mebibytes of storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_mib_limit: Option<Int64>,
    /// STANDARD: vCPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioned_virtual_cpus: Option<Int64>,
}

/// Configuration of each node of an ADVANCED cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct DedicatedHardwareConfig {
    /// Machine type.
    pub machine_type: String,
    /// vCPUs.
    pub num_virtual_cpus: i32,
    /// Storage in GiB.
    pub storage_gib: i32,
    /// Memory in GiB.
    pub memory_gib: f64,
    /// Disk operations a second.
    pub disk_iops: i32,
}

/// A region of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Region {
    /// Name.
    pub name: String,
    /// Host name for SQL clients.
    pub sql_dns: String,
    /// Host name of the DB Console; empty where there is none.
    pub ui_dns: String,
    /// Host name inside the cloud's network.
    pub internal_dns: String,
    /// Host name of private endpoints.
    pub private_endpoint_dns: String,
    /// Nodes; 0 for BASIC and STANDARD.
    pub node_count: i32,
    /// Whether it is the primary one of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
    /// VPC endpoint of S3, on AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_vpc_endpoint_id: Option<String>,
    /// Machine type, where regions differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_type: Option<String>,
    /// vCPUs, where regions differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_virtual_cpus: Option<i32>,
    /// Disk operations a second, where regions differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_iops: Option<i32>,
}

/// An account in the caller's own cloud; exactly one member is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerCloudAccount {
    /// On AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsCustomerCloudAccount>,
    /// On Azure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure: Option<AzureCustomerCloudAccount>,
    /// On GCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gcp: Option<GcpCustomerCloudAccount>,
}

/// The caller's role on AWS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AwsCustomerCloudAccount {
    /// Name of the role.
    pub arn: String,
}

/// The caller's subscription on Azure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AzureCustomerCloudAccount {
    /// Subscription.
    pub subscription_id: String,
    /// Tenant.
    pub tenant_id: String,
}

/// The caller's service account on GCP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GcpCustomerCloudAccount {
    /// Its e-mail address.
    pub service_account_email: String,
}

/// Answer of `ListClusters`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListClustersResponse {
    /// Clusters.
    pub clusters: Vec<Cluster>,
    /// Neighbouring pages.
    pub pagination: KeysetPaginationResponse,
}

/// A node of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Node {
    /// Name.
    pub name: String,
    /// Region that it is in.
    pub region_name: String,
    /// Whether it answers.
    pub status: NodeStatus,
}

/// Answer of `ListClusterNodes`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListClusterNodesResponse {
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Neighbouring pages.
    pub pagination: KeysetPaginationResponse,
}

/// A region that clusters may use.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CloudProviderRegion {
    /// Name.
    pub name: String,
    /// Where it is said to be.
    pub location: String,
    /// Cloud.
    pub provider: CloudProvider,
    /// Whether BASIC and STANDARD clusters may use it.
    pub serverless: bool,
    /// Miles from the caller.
    pub distance: f64,
}

/// Answer of `ListAvailableRegions`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListAvailableRegionsResponse {
    /// Regions.
    pub regions: Vec<CloudProviderRegion>,
    /// Neighbouring pages.
    pub pagination: KeysetPaginationResponse,
}

/// A major version.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ClusterMajorVersion {
    /// `vYY.N`.
    pub version: String,
    /// The kind of release.
    pub release_type: ReleaseType,
    /// Whether it is supported here.
    pub support_status: SupportStatus,
    /// When support ends.
    #[schemars(with = "DateTime")]
    pub support_end: Timestamp,
    /// Versions that a cluster of this one may be upgraded to.
    pub allowed_upgrades: Vec<String>,
}

/// Answer of `ListMajorClusterVersions`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListMajorClusterVersionsResponse {
    /// Versions, newest first.
    pub versions: Vec<ClusterMajorVersion>,
    /// Neighbouring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Answer of `GetConnectionString`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct GetConnectionStringResponse {
    /// The whole string; never holds a password.
    pub connection_string: String,
    /// Its parts.
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
    /// Database.
    pub database: String,
    /// SQL user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}
