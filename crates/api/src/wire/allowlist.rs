//! IP allowlists.

use super::KeysetPaginationResponse;
use crate::params::path_params;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

path_params! {
    /// An entry of a cluster's allowlist.
    AllowlistEntryPath {
        /// Id of the cluster.
        cluster_id: String,
        /// Address of the network.
        cidr_ip: String,
        /// Mask of the network, 0 to 32.
        cidr_mask: i32,
    }
}

/// A network and what it may reach.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct AllowlistEntry {
    /// Address of the network.
    pub cidr_ip: String,
    /// Mask of the network.
    pub cidr_mask: i32,
    /// Name for people.
    pub name: String,
    /// Whether it may reach SQL.
    pub sql: bool,
    /// Whether it may reach the DB Console.
    pub ui: bool,
}

/// Answer of `ListAllowlistEntries`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListAllowlistEntriesResponse {
    /// Entries, by network.
    pub allowlist: Vec<AllowlistEntry>,
    /// Whether a change is still on its way.
    pub propagating: bool,
    /// Neighbouring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Body of the operations that add or change an entry. Where the path names the network, the body need
/// not.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct AllowlistEntryRequest {
    /// Address of the network.
    pub cidr_ip: Option<String>,
    /// Mask of the network, 0 to 32.
    pub cidr_mask: Option<i32>,
    /// Name for people.
    pub name: Option<String>,
    /// Whether it may reach SQL.
    pub sql: Option<bool>,
    /// Whether it may reach the DB Console.
    pub ui: Option<bool>,
}
