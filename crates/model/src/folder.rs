//! Folders: the tree in which an organization arranges its clusters, and the rules of the tree.
//!
//! An organization has few folders, so [`Tree`] contains all of them, and every decision is based on the
//! whole tree.

use crate::{Error, ErrorKind, FolderId, OrganizationId, Result, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The maximum nesting depth of folders, without the root.
pub const DEPTH: usize = 3;

/// The maximum number of folders in an organization.
pub const LIMIT: usize = 65;

/// The name of the root on the wire.
pub const ROOT: &str = "root";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Folder {
    pub organization: OrganizationId,
    pub id: FolderId,
    /// The name, unique among its siblings.
    pub name: String,
    /// The parent folder; `None` for the root.
    pub parent: Option<FolderId>,
    pub labels: BTreeMap<String, String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Checks the name of a folder.
pub fn check_name(name: &str) -> Result<()> {
    let bytes = name.as_bytes();
    let inner = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'-' | b'\'' | b'_');
    let shape = bytes.iter().all(inner)
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric);
    if shape && (3..=40).contains(&bytes.len()) {
        return Ok(());
    }
    let rule = "must be 3 to 40 letters, digits, spaces, hyphens, apostrophes, or underscores, and must start and end with a letter or digit";
    Err(Error::invalid("name", rule))
}

/// The error for a parent that does not exist, or that the caller is not allowed to know about.
pub fn no_parent() -> Error {
    Error::new(ErrorKind::Invalid, "invalid argument: the parent must exist")
}

/// Parses a parent: an ID, or an empty string or `root` for the root.
pub fn parse_parent(text: &str) -> Result<Option<FolderId>> {
    match text {
        "" | ROOT => Ok(None),
        id => id.parse().map(Some).map_err(|_| no_parent()),
    }
}

/// Formats a parent for clients.
pub fn show_parent(parent: Option<FolderId>) -> String {
    parent.map_or_else(|| ROOT.to_owned(), |id| id.to_string())
}

/// All folders of an organization.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    folders: BTreeMap<FolderId, Folder>,
}

impl Tree {
    pub fn new(folders: impl IntoIterator<Item = Folder>) -> Self {
        Self { folders: folders.into_iter().map(|folder| (folder.id, folder)).collect() }
    }

    pub fn get(&self, id: FolderId) -> Option<&Folder> {
        self.folders.get(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Folder> {
        self.folders.values()
    }

    /// The direct children of `parent`.
    pub fn children(&self, parent: Option<FolderId>) -> impl Iterator<Item = &Folder> {
        self.folders.values().filter(move |folder| folder.parent == parent)
    }

    /// `from` and its ancestors, innermost first. Stops at a missing parent, and terminates even if there is
    /// a cycle.
    pub fn ancestors_from(&self, from: Option<FolderId>) -> Vec<&Folder> {
        let mut ancestors = Vec::new();
        let mut next = from;
        while let Some(folder) = next.and_then(|id| self.folders.get(&id)) {
            if ancestors.len() >= self.folders.len() {
                break;
            }
            ancestors.push(folder);
            next = folder.parent;
        }
        ancestors
    }

    /// The IDs of [`ancestors_from`](Self::ancestors_from).
    pub fn ancestor_ids_from(&self, from: Option<FolderId>) -> Vec<FolderId> {
        self.ancestors_from(from).iter().map(|folder| folder.id).collect()
    }

    /// Finds a folder by an absolute path of names. Leading and trailing slashes are optional.
    pub fn at(&self, path: &str) -> Option<&Folder> {
        let mut found: Option<&Folder> = None;
        for name in path.strip_prefix('/').unwrap_or(path).trim_end_matches('/').split('/') {
            let parent = found.map(|folder| folder.id);
            found = Some(self.children(parent).find(|folder| folder.name == name)?);
        }
        found
    }

    /// Checks that another folder can be created.
    pub fn check_room(&self) -> Result<()> {
        if self.folders.len() >= LIMIT {
            let message =
                format!("folders: the organization has the maximum of {LIMIT} folders; delete one first");
            return Err(Error::precondition(message));
        }
        Ok(())
    }

    /// Checks that `folder`, which is new or changed, is valid at its position in the tree.
    pub fn check_place(&self, folder: &Folder) -> Result<()> {
        let above = self.ancestors_from(folder.parent);
        if folder.parent.is_some() && above.is_empty() {
            return Err(no_parent());
        }
        if above.iter().any(|other| other.id == folder.id) {
            return Err(Error::invalid(
                "parent_id",
                "a folder can't be moved into itself or one of its descendants",
            ));
        }
        if above.len() + 1 + self.height(folder.id) > DEPTH {
            return Err(Error::invalid(
                "parent_id",
                format!("folders can be nested at most {DEPTH} levels deep"),
            ));
        }
        if self.children(folder.parent).any(|other| other.id != folder.id && other.name == folder.name) {
            return Err(Error::exists(format!("folder {:?}", folder.name)));
        }
        Ok(())
    }

    /// The number of levels below this folder.
    fn height(&self, id: FolderId) -> usize {
        let depth =
            |folder: &&Folder| self.ancestors_from(folder.parent).iter().position(|above| above.id == id);
        self.folders.values().filter_map(|folder| depth(&folder)).max().map_or(0, |place| place + 1)
    }
}
