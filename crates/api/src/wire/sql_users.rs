//! SQL users.

use super::KeysetPaginationResponse;
use crate::params::path_params;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

path_params! {
    /// A SQL user of a cluster.
    SQLUserPath {
        /// ID of the cluster.
        cluster_id: String,
        /// Name of the user.
        name: String,
    }
}

/// A SQL user.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SQLUser {
    /// Name of the SQL user.
    pub name: String,
}

/// Response of `ListSQLUsers`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListSQLUsersResponse {
    /// SQL users, ordered by name.
    pub users: Vec<SQLUser>,
    /// Tokens of the neighboring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Body of `CreateSQLUser`.
#[derive(Clone, Default, Deserialize, JsonSchema)]
pub struct CreateSQLUserRequest {
    /// Name of the SQL user.
    pub name: Option<String>,
    /// Password. It cannot be read back.
    pub password: Option<String>,
}

/// Body of `UpdateSQLUserPassword`.
#[derive(Clone, Default, Deserialize, JsonSchema)]
pub struct UpdateSQLUserPasswordRequest {
    /// The new password.
    pub password: Option<String>,
}
