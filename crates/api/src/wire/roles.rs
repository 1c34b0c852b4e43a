//! Roles and people.

use super::KeysetPaginationResponse;
use crate::params::{path_params, query_params};
use ootheca_model::{Role, cluster::ResourceType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

path_params! {
    /// A user or a service account.
    UserPath {
        /// ID of the user or service account.
        user_id: String,
    }
}

path_params! {
    /// A role of a user or a service account.
    RolePath {
        /// ID of the user or service account.
        user_id: String,
        /// `ORGANIZATION`, `FOLDER` or `CLUSTER`.
        resource_type: String,
        /// ID of the folder or cluster; empty for the organization.
        resource_id: String,
        /// Name of the role.
        role_name: String,
    }
}

query_params! {
    /// Query of `GetPersonUsersByEmail`.
    PersonQuery {
        /// Email address.
        email: String = required "email",
    }
}

/// A role and the resource on which it is granted.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct BuiltInRole {
    /// The role.
    pub name: Role,
    /// The resource on which it is granted.
    pub resource: Resource,
}

/// The resource on which a role is granted.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Resource {
    /// ID of the resource; absent for the organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Type of the resource.
    pub r#type: ResourceType,
}

/// A role in a request.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct BuiltInRoleRequest {
    /// The role.
    pub name: Option<Role>,
    /// The resource on which it is granted.
    pub resource: Option<ResourceRequest>,
}

/// The resource on which a role is granted, in a request.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct ResourceRequest {
    /// ID of the resource; empty or absent for the organization.
    pub id: Option<String>,
    /// Type of the resource.
    pub r#type: Option<ResourceType>,
}

/// A role that is granted through groups.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct BuiltInFromGroups {
    /// The role.
    pub role: BuiltInRole,
    /// The groups that grant the role.
    pub group_names: Vec<String>,
}

/// The roles that are granted directly to a user or service account.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct UserRoleGrants {
    /// ID of the user or service account.
    pub user_id: String,
    /// Roles that are granted directly.
    pub roles: Vec<BuiltInRole>,
}

/// The roles that are granted to a user through groups.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct UserGroupRoleGrant {
    /// ID of the user or service account.
    pub user_id: String,
    /// Roles that are granted through groups.
    pub group_roles: Vec<BuiltInFromGroups>,
}

/// Response of `ListRoleGrants`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListRoleGrantsResponse {
    /// Roles that are granted directly.
    pub grants: Vec<UserRoleGrants>,
    /// Roles that are granted through groups.
    pub user_group_grants: Vec<UserGroupRoleGrant>,
    /// Tokens of the neighboring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Response of the operations on the roles of a user or service account.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct GetAllRolesForUserResponse {
    /// Roles that are granted directly.
    pub roles: Vec<BuiltInRole>,
    /// Roles that are granted through groups.
    pub group_roles: Vec<BuiltInFromGroups>,
}

/// Body of `SetRolesForUser`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct SetRolesForUserRequest {
    /// All roles; omitted roles are revoked, and `null` revokes all roles.
    pub roles: Option<Vec<BuiltInRoleRequest>>,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PersonUserInfo {
    /// ID of the person.
    pub id: String,
    /// Email address.
    pub email: String,
}

/// Response of `GetPersonUsersByEmail`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct GetPersonUsersByEmailResponse {
    /// The person.
    pub user: PersonUserInfo,
}
