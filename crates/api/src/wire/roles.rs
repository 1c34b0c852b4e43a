//! Roles, and people.

use super::KeysetPaginationResponse;
use crate::params::{path_params, query_params};
use ootheca_model::{Role, cluster::ResourceType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

path_params! {
    /// A user or a service account.
    UserPath {
        /// Id of the user or service account.
        user_id: String,
    }
}

path_params! {
    /// A role of a user or a service account.
    RolePath {
        /// Id of the user or service account.
        user_id: String,
        /// `ORGANIZATION`, `FOLDER` or `CLUSTER`.
        resource_type: String,
        /// Id of the folder or cluster; empty for the organization.
        resource_id: String,
        /// Name of the role.
        role_name: String,
    }
}

query_params! {
    /// Of `GetPersonUsersByEmail`.
    PersonQuery {
        /// E-mail address.
        email: String = required "email",
    }
}

/// A role and what it is held on.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct BuiltInRole {
    /// The role.
    pub name: Role,
    /// What it is held on.
    pub resource: Resource,
}

/// What a role is held on.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Resource {
    /// Id; absent for the organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Kind.
    pub r#type: ResourceType,
}

/// A role in a request.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct BuiltInRoleRequest {
    /// The role.
    pub name: Option<Role>,
    /// What it is held on.
    pub resource: Option<ResourceRequest>,
}

/// What a role is held on, in a request.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct ResourceRequest {
    /// Id; empty or absent for the organization.
    pub id: Option<String>,
    /// Kind.
    pub r#type: Option<ResourceType>,
}

/// A role that is held through groups.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct BuiltInFromGroups {
    /// The role.
    pub role: BuiltInRole,
    /// The groups that give it.
    pub group_names: Vec<String>,
}

/// All that one principal holds itself.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct UserRoleGrants {
    /// Id of the user or service account.
    pub user_id: String,
    /// Its roles.
    pub roles: Vec<BuiltInRole>,
}

/// All that one principal holds through groups.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct UserGroupRoleGrant {
    /// Id of the user or service account.
    pub user_id: String,
    /// Its roles.
    pub group_roles: Vec<BuiltInFromGroups>,
}

/// Answer of `ListRoleGrants`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListRoleGrantsResponse {
    /// What principals hold themselves.
    pub grants: Vec<UserRoleGrants>,
    /// What they hold through groups.
    pub user_group_grants: Vec<UserGroupRoleGrant>,
    /// Neighbouring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Answer of the operations about one principal's roles.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct GetAllRolesForUserResponse {
    /// Roles that it holds itself.
    pub roles: Vec<BuiltInRole>,
    /// Roles that it holds through groups.
    pub group_roles: Vec<BuiltInFromGroups>,
}

/// Body of `SetRolesForUser`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct SetRolesForUserRequest {
    /// All roles; those that are left out are revoked, `null` revokes all.
    pub roles: Option<Vec<BuiltInRoleRequest>>,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PersonUserInfo {
    /// Id.
    pub id: String,
    /// E-mail address.
    pub email: String,
}

/// Answer of `GetPersonUsersByEmail`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct GetPersonUsersByEmailResponse {
    /// The person.
    pub user: PersonUserInfo,
}
