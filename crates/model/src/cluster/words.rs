//! The closed vocabularies of the API that clusters use. Spelled on the wire as [`name`] gives them.
//!
//! [`name`]: Plan::name

use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

macro_rules! words {
    ($($(#[$doc:meta])* $type:ident($field:literal) { $($name:ident = $wire:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[allow(missing_docs)]
        pub enum $type {
            $(#[serde(rename = $wire)] $name,)*
        }

        impl $type {
            /// Every word.
            pub const ALL: &[$type] = &[$($type::$name),*];

            /// The word on the wire.
            pub fn name(self) -> &'static str {
                match self { $($type::$name => $wire),* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let found = Self::ALL.iter().copied().find(|word| word.name() == text);
                found.ok_or_else(|| {
                    let all: Vec<&str> = Self::ALL.iter().map(|word| word.name()).collect();
                    Error::invalid($field, format!("must be one of {}", all.join(", ")))
                })
            }
        }
    )*};
}

words! {
    /// What a cluster promises.
    Plan("plan") { Basic = "BASIC", Standard = "STANDARD", Advanced = "ADVANCED" }
    /// The cloud that a cluster's regions are named after.
    CloudProvider("provider") { Gcp = "GCP", Aws = "AWS", Azure = "AZURE" }
    /// Where a cluster stands in its life.
    ClusterState("state") {
        Creating = "CREATING", Created = "CREATED", CreationFailed = "CREATION_FAILED",
        Deleted = "DELETED", Locked = "LOCKED",
    }
    /// The long operation that is at work on a cluster.
    ClusterStatus("operation_status") {
        Unspecified = "UNSPECIFIED",
        MajorUpgradeRunning = "CRDB_MAJOR_UPGRADE_RUNNING", MajorUpgradeFailed = "CRDB_MAJOR_UPGRADE_FAILED",
        MajorRollbackRunning = "CRDB_MAJOR_ROLLBACK_RUNNING", MajorRollbackFailed = "CRDB_MAJOR_ROLLBACK_FAILED",
        PatchRunning = "CRDB_PATCH_RUNNING", PatchFailed = "CRDB_PATCH_FAILED",
        ScaleRunning = "CRDB_SCALE_RUNNING", ScaleFailed = "CRDB_SCALE_FAILED",
        MaintenanceRunning = "MAINTENANCE_RUNNING",
        InstanceUpdateRunning = "CRDB_INSTANCE_UPDATE_RUNNING", InstanceUpdateFailed = "CRDB_INSTANCE_UPDATE_FAILED",
        EditClusterRunning = "CRDB_EDIT_CLUSTER_RUNNING", EditClusterFailed = "CRDB_EDIT_CLUSTER_FAILED",
        CmekOperationRunning = "CRDB_CMEK_OPERATION_RUNNING", CmekOperationFailed = "CRDB_CMEK_OPERATION_FAILED",
        TenantRestoreRunning = "TENANT_RESTORE_RUNNING", TenantRestoreFailed = "TENANT_RESTORE_FAILED",
        LogExportOperationRunning = "CRDB_LOG_EXPORT_OPERATION_RUNNING",
        LogExportOperationFailed = "CRDB_LOG_EXPORT_OPERATION_FAILED",
        ClusterDisruptionRunning = "CRDB_CLUSTER_DISRUPTION_RUNNING",
        ClusterDisruptionFailed = "CRDB_CLUSTER_DISRUPTION_FAILED",
        RepaveRunning = "CRDB_REPAVE_RUNNING", RepaveFailed = "CRDB_REPAVE_FAILED",
        CustomClientCaRunning = "CRDB_CUSTOM_CLIENT_CA_RUNNING", CustomClientCaFailed = "CRDB_CUSTOM_CLIENT_CA_FAILED",
        DedicatedFullClusterRestoreRunning = "DEDICATED_FULL_CLUSTER_RESTORE_RUNNING",
        DedicatedFullClusterRestoreFailed = "DEDICATED_FULL_CLUSTER_RESTORE_FAILED",
    }
    /// Where a cluster stands between two major versions.
    ClusterUpgradeStatus("upgrade_status") {
        Finalized = "FINALIZED", MajorUpgradeRunning = "MAJOR_UPGRADE_RUNNING",
        UpgradeAvailable = "UPGRADE_AVAILABLE", PendingFinalization = "PENDING_FINALIZATION",
        RollbackRunning = "ROLLBACK_RUNNING",
    }
    /// Who starts major upgrades of a BASIC or STANDARD cluster.
    UpgradeType("serverless.upgrade_type") { Manual = "MANUAL", Automatic = "AUTOMATIC" }
    /// Whether a cluster can be deleted.
    DeleteProtection("delete_protection") { Enabled = "ENABLED", Disabled = "DISABLED" }
    /// Whether the nodes of an ADVANCED cluster have public addresses.
    NetworkVisibility("dedicated.network_visibility") { Public = "PUBLIC", Private = "PRIVATE" }
    /// What an ADVANCED cluster may reach.
    EgressTrafficPolicy("egress_traffic_policy") {
        Unspecified = "UNSPECIFIED", Error = "ERROR", AllowAll = "ALLOW_ALL",
        DefaultDeny = "DEFAULT_DENY", Updating = "UPDATING",
    }
    /// Whether a node answers.
    NodeStatus("status") { Live = "LIVE", NotReady = "NOT_READY" }
    /// The kind of a release.
    ReleaseType("release_type") { Regular = "REGULAR", Innovation = "INNOVATION" }
    /// Whether a release is supported here.
    SupportStatus("support_status") { Unsupported = "UNSUPPORTED", Supported = "SUPPORTED", Preview = "PREVIEW" }
    /// The operating system that a connection string is for.
    OperatingSystem("os") { Mac = "MAC", Linux = "LINUX", Windows = "WINDOWS" }
    /// What a role is held on, as a path parameter and in grants.
    ResourceType("resource_type") { Organization = "ORGANIZATION", Cluster = "CLUSTER", Folder = "FOLDER" }
    /// The direction of a list.
    SortOrder("sort_order") { Asc = "ASC", Desc = "DESC" }
    /// What a list of clusters is ordered by.
    ClusterSortBy("pagination.sort_by") { Name = "NAME", CreatedAt = "CREATED_AT", DeletedAt = "DELETED_AT" }
}
