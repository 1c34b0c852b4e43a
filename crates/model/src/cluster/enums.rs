//! The enums of the API that clusters use. [`name`] returns the value on the wire.
//!
//! [`name`]: Plan::name

use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

macro_rules! wire_enums {
    ($($(#[$doc:meta])* $type:ident($field:literal) { $($name:ident = $wire:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $type {
            $(#[serde(rename = $wire)] $name,)*
        }

        impl $type {
            /// All values.
            pub const ALL: &[$type] = &[$($type::$name),*];

            /// The value on the wire.
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
                let found = Self::ALL.iter().copied().find(|value| value.name() == text);
                found.ok_or_else(|| {
                    let all: Vec<&str> = Self::ALL.iter().map(|value| value.name()).collect();
                    Error::invalid($field, format!("must be one of {}", all.join(", ")))
                })
            }
        }
    )*};
}

pub(crate) use wire_enums;

wire_enums! {
    /// The plan of a cluster.
    Plan("plan") { Basic = "BASIC", Standard = "STANDARD", Advanced = "ADVANCED" }
    /// The cloud provider that a cluster's regions are named after.
    CloudProvider("provider") { Gcp = "GCP", Aws = "AWS", Azure = "AZURE" }
    /// The lifecycle state of a cluster.
    ClusterState("state") {
        Creating = "CREATING", Created = "CREATED", CreationFailed = "CREATION_FAILED",
        Deleted = "DELETED", Locked = "LOCKED",
    }
    /// The long-running operation that is in progress on a cluster.
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
    /// The state of a cluster's major version upgrade.
    ClusterUpgradeStatus("upgrade_status") {
        Finalized = "FINALIZED", MajorUpgradeRunning = "MAJOR_UPGRADE_RUNNING",
        UpgradeAvailable = "UPGRADE_AVAILABLE", PendingFinalization = "PENDING_FINALIZATION",
        RollbackRunning = "ROLLBACK_RUNNING",
    }
    /// Whether major upgrades of a BASIC or STANDARD cluster are manual or automatic.
    UpgradeType("serverless.upgrade_type") { Manual = "MANUAL", Automatic = "AUTOMATIC" }
    /// How long the patches of an ADVANCED cluster are deferred.
    ClusterVersionDeferralPolicy("deferral_policy") {
        NotDeferred = "NOT_DEFERRED", Days60 = "DEFERRAL_60_DAYS", Fixed = "FIXED_DEFERRAL",
        Days30 = "DEFERRAL_30_DAYS", Days90 = "DEFERRAL_90_DAYS",
    }
    /// Whether a cluster is protected from deletion.
    DeleteProtection("delete_protection") { Enabled = "ENABLED", Disabled = "DISABLED" }
    /// Whether the nodes of an ADVANCED cluster have public addresses.
    NetworkVisibility("dedicated.network_visibility") { Public = "PUBLIC", Private = "PRIVATE" }
    /// The destinations that an ADVANCED cluster can reach.
    EgressTrafficPolicy("egress_traffic_policy") {
        Unspecified = "UNSPECIFIED", Error = "ERROR", AllowAll = "ALLOW_ALL",
        DefaultDeny = "DEFAULT_DENY", Updating = "UPDATING",
    }
    /// Whether a node is live.
    NodeStatus("status") { Live = "LIVE", NotReady = "NOT_READY" }
    /// The type of a release.
    ReleaseType("release_type") { Regular = "REGULAR", Innovation = "INNOVATION" }
    /// Whether a release is supported.
    SupportStatus("support_status") { Unsupported = "UNSUPPORTED", Supported = "SUPPORTED", Preview = "PREVIEW" }
    /// The operating system that a connection string is for.
    OperatingSystem("os") { Mac = "MAC", Linux = "LINUX", Windows = "WINDOWS" }
    /// The type of resource that a role is granted on, as a path parameter and in grants.
    ResourceType("resource_type") { Organization = "ORGANIZATION", Cluster = "CLUSTER", Folder = "FOLDER" }
    /// The direction of a list.
    SortOrder("sort_order") { Asc = "ASC", Desc = "DESC" }
    /// The field that a list of clusters is sorted by.
    ClusterSortBy("pagination.sort_by") { Name = "NAME", CreatedAt = "CREATED_AT", DeletedAt = "DELETED_AT" }
}
