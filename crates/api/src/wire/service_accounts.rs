//! Service accounts.

use super::{BuiltInFromGroups, BuiltInRole, BuiltInRoleRequest, DateTime, KeysetPaginationResponse};
use crate::params::{path_params, query_params};
use ootheca_model::{Role, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

path_params! {
    /// One thing by its id.
    IdPath {
        /// Id.
        id: String,
    }
}

query_params! {
    /// Of `ListServiceAccounts`.
    ListServiceAccountsQuery {
        /// Only accounts whose name contains this text, in upper or lower case.
        service_account_name: String = "service_account_name",
        /// Only accounts that hold at least one of these roles, anywhere; may be given several times.
        roles: Vec<Role> = "roles",
        ..page
    }
}

/// A program that calls the API.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ServiceAccount {
    /// Id.
    pub id: String,
    /// Name; need not be unique.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Who created it.
    pub creator_name: String,
    /// When it was created.
    #[schemars(with = "DateTime")]
    pub created_at: Timestamp,
    /// Roles that it holds itself.
    pub roles: Vec<BuiltInRole>,
    /// Roles that it holds through groups.
    pub group_roles: Vec<BuiltInFromGroups>,
}

/// Answer of `ListServiceAccounts`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListServiceAccountsResponse {
    /// Service accounts, sorted by name.
    pub service_accounts: Vec<ServiceAccount>,
    /// Neighbouring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Body of `CreateServiceAccount`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CreateServiceAccountRequest {
    /// Name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Roles to begin with.
    pub roles: Option<Vec<BuiltInRoleRequest>>,
}

/// Body of `UpdateServiceAccount`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct UpdateServiceAccountRequest {
    /// Name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
}
