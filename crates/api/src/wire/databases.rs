//! Databases.

use super::{Int64, KeysetPaginationResponse};
use crate::params::path_params;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

path_params! {
    /// A database of a cluster.
    DatabasePath {
        /// ID of the cluster.
        cluster_id: String,
        /// Name of the database.
        name: String,
    }
}

/// A database.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Database {
    /// Name of the database.
    pub name: String,
    /// Number of tables, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_count: Option<Int64>,
}

/// Response of `ListDatabases`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListDatabasesResponse {
    /// Databases, ordered by name.
    pub databases: Vec<Database>,
    /// Tokens of the neighboring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Body of `CreateDatabase`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CreateDatabaseRequest {
    /// Name of the database.
    pub name: Option<String>,
}

/// Body of `EditDatabase` and `EditDatabase2`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct UpdateDatabaseRequest {
    /// The current name, if the path does not contain it.
    pub name: Option<String>,
    /// The new name.
    pub new_name: Option<String>,
}
