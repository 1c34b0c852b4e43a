//! Folders.

use super::KeysetPaginationResponse;
use crate::params::{path_params, query_params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

path_params! {
    /// A folder.
    FolderPath {
        /// Id of the folder; for its contents also `root`, the top.
        folder_id: String,
    }
}

query_params! {
    /// Of `ListFolders`.
    ListFoldersQuery {
        /// Only the folder at this absolute path of names; slashes at its ends are optional.
        path: String = "path",
        ..page
    }
}

/// A folder or a cluster, and where it lies.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FolderResource {
    /// Id.
    pub resource_id: String,
    /// Name.
    pub name: String,
    /// The folder that it is in; `root` at the top.
    pub parent_id: String,
    /// The folders that it lies in, outermost first.
    pub path: Vec<PathSegment>,
    /// What it is.
    pub resource_type: FolderResourceType,
    /// The organization.
    pub organization_id: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A folder on the way to something.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PathSegment {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
}

/// What can be in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FolderResourceType {
    /// A folder.
    Folder,
    /// A cluster.
    Cluster,
}

/// Answer of `ListFolders`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListFoldersResponse {
    /// Folders, sorted by name.
    pub folders: Vec<FolderResource>,
    /// Neighbouring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Answer of `ListFolderContents`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FolderResourceList {
    /// Folders, then clusters, each sorted by name.
    pub resources: Vec<FolderResource>,
    /// Neighbouring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Body of `CreateFolder`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CreateFolderRequest {
    /// Name.
    pub name: Option<String>,
    /// The folder to put it in; absent, empty or `root` for the top.
    pub parent_id: Option<String>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
}

/// Body of `UpdateFolder`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct UpdateFolderSpecification {
    /// Name.
    pub name: Option<String>,
    /// The folder to move it to; empty or `root` for the top.
    pub parent_id: Option<String>,
    /// All labels, replaced as a whole.
    pub labels: Option<BTreeMap<String, String>>,
}

/// Answer of `DeleteFolder`: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeleteFolderResponse {}
