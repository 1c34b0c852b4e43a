//! Service accounts.

use super::{BuiltInFromGroups, BuiltInRole, BuiltInRoleRequest, DateTime, KeysetPaginationResponse};
use crate::params::{path_params, query_params};
use ootheca_model::{Role, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

path_params! {
    /// A resource, identified by its ID.
    IdPath {
        /// ID of the resource.
        id: String,
    }
}

query_params! {
    /// Query of `ListServiceAccounts`.
    ListServiceAccountsQuery {
        /// Only accounts whose name contains this text, without regard to case.
        service_account_name: String = "service_account_name",
        /// Only accounts that hold at least one of these roles on any resource. Can be repeated.
        roles: Vec<Role> = "roles",
        ..page
    }
}

/// An account for a program that calls the API.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ServiceAccount {
    /// ID of the service account.
    pub id: String,
    /// Name of the service account. It does not have to be unique.
    pub name: String,
    /// Description of the service account.
    pub description: String,
    /// Name of the user or service account that created it.
    pub creator_name: String,
    /// When it was created.
    #[schemars(with = "DateTime")]
    pub created_at: Timestamp,
    /// Roles that are granted directly.
    pub roles: Vec<BuiltInRole>,
    /// Roles that are granted through groups.
    pub group_roles: Vec<BuiltInFromGroups>,
}

/// Response of `ListServiceAccounts`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListServiceAccountsResponse {
    /// Service accounts, ordered by name.
    pub service_accounts: Vec<ServiceAccount>,
    /// Tokens of the neighboring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Body of `CreateServiceAccount`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CreateServiceAccountRequest {
    /// Name of the service account.
    pub name: Option<String>,
    /// Description of the service account.
    pub description: Option<String>,
    /// Initial roles.
    pub roles: Option<Vec<BuiltInRoleRequest>>,
}

/// Body of `UpdateServiceAccount`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct UpdateServiceAccountRequest {
    /// Name of the service account.
    pub name: Option<String>,
    /// Description of the service account.
    pub description: Option<String>,
}
