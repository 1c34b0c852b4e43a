//! Databases.

use super::{Int64, KeysetPaginationResponse};
use crate::params::path_params;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

path_params! {
    /// A database of a cluster.
    DatabasePath {
        /// Id of the cluster.
        cluster_id: String,
        /// Name of the database.
        name: String,
    }
}

/// A database.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Database {
    /// Name.
    pub name: String,
    /// Number of tables, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_count: Option<Int64>,
}

/// Answer of `ListDatabases`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListDatabasesResponse {
    /// Databases, sorted by name.
    pub databases: Vec<Database>,
    /// Neighbouring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Body of `CreateDatabase`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CreateDatabaseRequest {
    /// Name.
    pub name: Option<String>,
}

/// Body of `EditDatabase` and `EditDatabase2`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct UpdateDatabaseRequest {
    /// The present name, where the path does not hold it.
    pub name: Option<String>,
    /// The new name.
    pub new_name: Option<String>,
}
