//! SQL users.

use super::KeysetPaginationResponse;
use crate::params::path_params;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

path_params! {
    /// A SQL user of a cluster.
    SQLUserPath {
        /// Id of the cluster.
        cluster_id: String,
        /// Name of the user.
        name: String,
    }
}

/// A SQL user.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SQLUser {
    /// Name.
    pub name: String,
}

/// Answer of `ListSQLUsers`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListSQLUsersResponse {
    /// Users, sorted by name.
    pub users: Vec<SQLUser>,
    /// Neighbouring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Body of `CreateSQLUser`.
#[derive(Clone, Default, Deserialize, JsonSchema)]
pub struct CreateSQLUserRequest {
    /// Name.
    pub name: Option<String>,
    /// Password; can not be read again.
    pub password: Option<String>,
}

/// Body of `UpdateSQLUserPassword`.
#[derive(Clone, Default, Deserialize, JsonSchema)]
pub struct UpdateSQLUserPasswordRequest {
    /// The new password.
    pub password: Option<String>,
}
