//! Folders.

use super::KeysetPaginationResponse;
use crate::params::{path_params, query_params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

path_params! {
    /// A folder.
    FolderPath {
        /// ID of the folder. To list contents, `root` is accepted too.
        folder_id: String,
    }
}

query_params! {
    /// Query of `ListFolders`.
    ListFoldersQuery {
        /// Only the folder with this absolute path of names. Leading and trailing slashes are optional.
        path: String = "path",
        ..page
    }
}

/// A folder or a cluster, and its location in the tree of folders.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FolderResource {
    /// ID of the folder or cluster.
    pub resource_id: String,
    /// Name of the folder or cluster.
    pub name: String,
    /// ID of the parent folder, or `root`.
    pub parent_id: String,
    /// The folders above it, outermost first.
    pub path: Vec<PathSegment>,
    /// Type of the resource.
    pub resource_type: FolderResourceType,
    /// ID of the organization.
    pub organization_id: String,
    /// Labels of the folder or cluster.
    pub labels: BTreeMap<String, String>,
}

/// A folder in a path.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PathSegment {
    /// ID of the folder.
    pub id: String,
    /// Name of the folder.
    pub name: String,
}

/// The type of a resource in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FolderResourceType {
    /// The resource is a folder.
    Folder,
    /// The resource is a cluster.
    Cluster,
}

/// Response of `ListFolders`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ListFoldersResponse {
    /// Folders, ordered by name.
    pub folders: Vec<FolderResource>,
    /// Tokens of the neighboring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Response of `ListFolderContents`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FolderResourceList {
    /// Folders, then clusters, each ordered by name.
    pub resources: Vec<FolderResource>,
    /// Tokens of the neighboring pages.
    pub pagination: KeysetPaginationResponse,
}

/// Body of `CreateFolder`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct CreateFolderRequest {
    /// Name of the folder.
    pub name: Option<String>,
    /// ID of the parent folder; absent, empty, or `root` for none.
    pub parent_id: Option<String>,
    /// Labels of the folder.
    pub labels: Option<BTreeMap<String, String>>,
}

/// Body of `UpdateFolder`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
pub struct UpdateFolderSpecification {
    /// Name of the folder.
    pub name: Option<String>,
    /// ID of the new parent folder; empty or `root` for none.
    pub parent_id: Option<String>,
    /// All labels; omitted labels are removed.
    pub labels: Option<BTreeMap<String, String>>,
}

/// Response of `DeleteFolder`, an empty object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeleteFolderResponse {}
