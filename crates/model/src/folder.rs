//! Folders: a tree in which an organization keeps its clusters, and the laws of that tree.
//!
//! An organization has few folders, so [`Tree`] is all of them, and every decision is made on the whole.

use crate::{Error, ErrorKind, FolderId, OrganizationId, Result, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How deep folders may be nested. The root is a level of its own, above the first of them.
pub const DEPTH: usize = 3;

/// The most folders of an organization.
pub const LIMIT: usize = 65;

/// How the top of the tree is called on the wire.
pub const ROOT: &str = "root";

/// A folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Folder {
    /// The organization.
    pub organization: OrganizationId,
    /// Id.
    pub id: FolderId,
    /// Name; unique among the folders beside it.
    pub name: String,
    /// The folder that it is in; `None` at the top.
    pub parent: Option<FolderId>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
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
    let rule = "must be 3 to 40 letters, digits, blanks, dashes, apostrophes and underscores, beginning and ending with a letter or digit";
    Err(Error::invalid("name", rule))
}

/// The answer to a parent that does not exist, or that the caller may not know.
pub fn no_parent() -> Error {
    Error::new(ErrorKind::Invalid, "invalid argument: the parent must exist")
}

/// Reads a parent as clients write it: an id, or nothing or `root` for the top.
pub fn parse_parent(text: &str) -> Result<Option<FolderId>> {
    match text {
        "" | ROOT => Ok(None),
        id => id.parse().map(Some).map_err(|_| no_parent()),
    }
}

/// A parent as clients read it.
pub fn show_parent(parent: Option<FolderId>) -> String {
    parent.map_or_else(|| ROOT.to_owned(), |id| id.to_string())
}

/// All folders of an organization.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    folders: BTreeMap<FolderId, Folder>,
}

impl Tree {
    /// The tree of these folders.
    pub fn new(folders: impl IntoIterator<Item = Folder>) -> Self {
        Self { folders: folders.into_iter().map(|folder| (folder.id, folder)).collect() }
    }

    /// The folder with this id.
    pub fn get(&self, id: FolderId) -> Option<&Folder> {
        self.folders.get(&id)
    }

    /// Every folder.
    pub fn iter(&self) -> impl Iterator<Item = &Folder> {
        self.folders.values()
    }

    /// The folders directly in `parent`.
    pub fn children(&self, parent: Option<FolderId>) -> impl Iterator<Item = &Folder> {
        self.folders.values().filter(move |folder| folder.parent == parent)
    }

    /// `from` and the folders that it is in, innermost first. Ends at what is not there, and never runs
    /// in circles.
    pub fn line(&self, from: Option<FolderId>) -> Vec<&Folder> {
        let mut line = Vec::new();
        let mut next = from;
        while let Some(folder) = next.and_then(|id| self.folders.get(&id)) {
            if line.len() >= self.folders.len() {
                break;
            }
            line.push(folder);
            next = folder.parent;
        }
        line
    }

    /// The ids of [`line`](Self::line).
    pub fn line_ids(&self, from: Option<FolderId>) -> Vec<FolderId> {
        self.line(from).iter().map(|folder| folder.id).collect()
    }

    /// The folder at an absolute path of names. Slashes at either end are optional.
    pub fn at(&self, path: &str) -> Option<&Folder> {
        let mut found: Option<&Folder> = None;
        for name in path.strip_prefix('/').unwrap_or(path).trim_end_matches('/').split('/') {
            let parent = found.map(|folder| folder.id);
            found = Some(self.children(parent).find(|folder| folder.name == name)?);
        }
        found
    }

    /// Checks that one more folder fits.
    pub fn check_room(&self) -> Result<()> {
        if self.folders.len() >= LIMIT {
            let message =
                format!("folders: the organization has {LIMIT}, the most allowed; delete one first");
            return Err(Error::precondition(message));
        }
        Ok(())
    }

    /// Checks that `folder`, new or as it would be, may stand where it says it stands.
    pub fn check_place(&self, folder: &Folder) -> Result<()> {
        let above = self.line(folder.parent);
        if folder.parent.is_some() && above.is_empty() {
            return Err(no_parent());
        }
        if above.iter().any(|other| other.id == folder.id) {
            return Err(Error::invalid(
                "parent_id",
                "a folder can not be moved into itself or what it holds",
            ));
        }
        if above.len() + 1 + self.height(folder.id) > DEPTH {
            return Err(Error::invalid("parent_id", format!("folders can be nested at most {DEPTH} deep")));
        }
        if self.children(folder.parent).any(|other| other.id != folder.id && other.name == folder.name) {
            return Err(Error::exists(format!("folder {:?}", folder.name)));
        }
        Ok(())
    }

    /// How many levels of folders are below this one.
    fn height(&self, id: FolderId) -> usize {
        let depth = |folder: &&Folder| self.line_ids(folder.parent).iter().position(|above| *above == id);
        self.folders.values().filter_map(|folder| depth(&folder)).max().map_or(0, |place| place + 1)
    }
}
