//! IP allowlists.

use super::KeysetPaginationResponse;
use crate::params::path_params;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

path_params! {
    /// An entry of a cluster's allowlist.
    AllowlistEntryPath {
        /// ID of the cluster.
        cluster_id: String,
        /// Address of the network.
        cidr_ip: String,
        /// Mask of the network, 0 to 32.
        cidr_mask: i32,
    }
}

/// A network and the services that it can access.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct AllowlistEntry {
    /// Address of the network.
    pub cidr_ip: String,
    /// Mask of the network.
    pub cidr_mask: i32,
    /// Display name.
    pub name: String,
    /// Whether the network can connect to the SQL port.
    pub sql: bool,
    /// Whether the network can connect to the DB Console.
    pub ui: bool,
}

/// Response of `ListAllowlistEntries`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListAllowlistEntriesResponse {
    /// Entries, by network.
    pub allowlist: Vec<AllowlistEntry>,
    /// Whether a change has not taken effect yet.
    pub propagating: bool,
    /// Tokens of the neighboring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Body of the operations that add or change an entry. If the path contains the network, the body does not
/// have to.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct AllowlistEntryRequest {
    /// Address of the network.
    pub cidr_ip: Option<String>,
    /// Mask of the network, 0 to 32.
    pub cidr_mask: Option<i32>,
    /// Display name.
    pub name: Option<String>,
    /// Whether the network can connect to the SQL port.
    pub sql: Option<bool>,
    /// Whether the network can connect to the DB Console.
    pub ui: Option<bool>,
}
