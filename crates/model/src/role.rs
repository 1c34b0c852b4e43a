//! Roles, the scopes at which they can be held, and which roles can grant which.

use crate::{ClusterId, Error, FolderId, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident = $wire:literal, $scopes:literal;)*) => {
        /// A built-in role. Written in upper case on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Role {
            $($(#[$doc])* #[serde(rename = $wire)] $name,)*
        }

        impl Role {
            /// All roles, in the order of the reference.
            pub const ALL: &[Role] = &[$(Role::$name),*];

            /// The name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Role::$name => $wire),* }
            }

            /// The scopes at which the role can be held, as letters of `OFC`.
            pub fn scopes(self) -> &'static str {
                match self { $(Role::$name => $scopes),* }
            }
        }
    };
}

roles! {
    /// Held by every member of the organization; grants nothing by itself.
    OrgMember = "ORG_MEMBER", "O";
    /// Manages users, service accounts, and all grants.
    OrgAdmin = "ORG_ADMIN", "O";
    /// Views and manages billing.
    BillingCoordinator = "BILLING_COORDINATOR", "O";
    /// Views billing.
    BillingViewer = "BILLING_VIEWER", "O";
    /// Manages all aspects of clusters; creates them at organization scope.
    ClusterAdmin = "CLUSTER_ADMIN", "OFC";
    /// Operates clusters: scaling, networking, backups, and upgrades.
    ClusterOperatorWriter = "CLUSTER_OPERATOR_WRITER", "OFC";
    /// Views clusters and connects to them.
    ClusterDeveloper = "CLUSTER_DEVELOPER", "OFC";
    /// Creates clusters and becomes CLUSTER_ADMIN of each.
    ClusterCreator = "CLUSTER_CREATOR", "OF";
    /// Reads SQL activity.
    ClusterMonitor = "CLUSTER_MONITOR", "OFC";
    /// Reads metrics.
    MetricsViewer = "METRICS_VIEWER", "OFC";
    /// Manages folders and grants at folder scope.
    FolderAdmin = "FOLDER_ADMIN", "OF";
    /// Moves folders and clusters.
    FolderMover = "FOLDER_MOVER", "OF";
    /// Reads configuration, identities, grants, and the audit log; changes nothing.
    Auditor = "AUDITOR", "OFC";
    /// Manages the databases of clusters, but not the clusters.
    ClusterDataAccessor = "CLUSTER_DATA_ACCESSOR", "OFC";
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Role::ALL.iter().find(|role| role.name() == text);
        known.copied().ok_or_else(|| Error::invalid("role", format!("{text:?} is not a role")))
    }
}

/// What a grant covers: an organization with everything in it, a folder with its subtree, or a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Resource {
    Organization,
    /// A folder and everything in it, at any depth.
    Folder(FolderId),
    Cluster(ClusterId),
}

impl Resource {
    /// The letter used by [`Role::scopes`].
    pub fn scope(self) -> char {
        match self {
            Resource::Organization => 'O',
            Resource::Folder(_) => 'F',
            Resource::Cluster(_) => 'C',
        }
    }

    /// Whether a grant on `self` covers `other`, which is in `folders`.
    pub fn covers(self, other: Resource, folders: &[FolderId]) -> bool {
        match self {
            Resource::Organization => true,
            Resource::Folder(id) => self == other || folders.contains(&id),
            Resource::Cluster(_) => self == other,
        }
    }
}

/// A role held on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Grant {
    pub role: Role,
    /// The resource on which the role is held.
    pub resource: Resource,
}

impl Grant {
    /// Creates a grant. Rejects a role that cannot be held at that scope.
    pub fn new(role: Role, resource: Resource) -> Result<Self> {
        if !role.scopes().contains(resource.scope()) {
            let scope = match resource {
                Resource::Organization => "organization",
                Resource::Folder(_) => "folder",
                Resource::Cluster(_) => "cluster",
            };
            return Err(Error::invalid("role", format!("{role} can't be granted at {scope} scope")));
        }
        Ok(Self { role, resource })
    }

    /// A grant of the role on the organization.
    pub const fn organization(role: Role) -> Self {
        Self { role, resource: Resource::Organization }
    }
}

/// Whether a principal that holds `held` can grant or revoke `wanted`, whose resource is in `folders`.
///
/// ORG_ADMIN can grant every role. CLUSTER_ADMIN can grant CLUSTER_ADMIN, CLUSTER_OPERATOR_WRITER, and
/// CLUSTER_DEVELOPER on clusters that it administers. FOLDER_ADMIN can grant every role that can be held on a
/// folder, on folders that it administers.
pub fn may_grant(held: &[Grant], wanted: Grant, folders: &[FolderId]) -> bool {
    const CLUSTER_ROLES: [Role; 3] =
        [Role::ClusterAdmin, Role::ClusterOperatorWriter, Role::ClusterDeveloper];
    held.iter().any(|have| match (have.role, wanted.resource) {
        (Role::OrgAdmin, _) => true,
        (Role::ClusterAdmin, Resource::Cluster(_)) => {
            have.resource.covers(wanted.resource, folders) && CLUSTER_ROLES.contains(&wanted.role)
        }
        (Role::FolderAdmin, Resource::Folder(_)) => have.resource.covers(wanted.resource, folders),
        _ => false,
    })
}
