//! The names of objects.

use object_store::path::Path;
use ootheca_model::{ClusterId, Error, Result};
use std::fmt;

/// The directory of all archives.
pub(crate) const ARCHIVES: &str = "clusters";
/// The directory of the copies of the control store.
pub(crate) const CONTROL: &str = "control";

/// Names the objects of one data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Archive {
    pub cluster: ClusterId,
    /// The data epoch.
    pub epoch: u64,
}

/// The kind of an object, as its name contains it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Base,
    Wal,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Base, Self::Wal];

    fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Wal => "wal",
        }
    }
}

impl Archive {
    /// The directory of the archive in the repository.
    pub(crate) fn directory(&self) -> String {
        format!("{ARCHIVES}/{}/{}", self.cluster, self.epoch)
    }

    /// The directory with its objects of one kind.
    pub(crate) fn objects(&self, kind: Kind) -> String {
        format!("{}/{}", self.directory(), kind.as_str())
    }

    /// An object. Its name consists of letters, digits, `-`, `_`, and `.`.
    pub(crate) fn object(&self, kind: Kind, name: &str) -> Result<Object> {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(valid) {
            return Err(Error::internal(format!("the name of a backup object is invalid: {name:?}")));
        }
        Ok(Object { cluster: Some(self.cluster), name: format!("{}/{name}", self.objects(kind)) })
    }
}

/// An encrypted object.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// The cluster that it belongs to; `None` for a copy of the control store.
    pub(crate) cluster: Option<ClusterId>,
    /// The whole name in the repository.
    pub(crate) name: String,
}

impl Object {
    pub(crate) fn path(&self) -> Path {
        Path::from(self.name.as_str())
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_not_leave_their_directory() {
        let cluster = "00000000-0000-0000-0000-000000000001".parse().unwrap();
        let archive = Archive { cluster, epoch: 2 };
        let object = archive.object(Kind::Wal, "000000010000000000000007").unwrap();
        let name = "clusters/00000000-0000-0000-0000-000000000001/2/wal/000000010000000000000007";
        assert_eq!((object.name.as_str(), object.path().as_ref()), (name, name));
        for name in ["", ".", "..", "a/b", "a#1", "a b", "ä"] {
            assert!(archive.object(Kind::Base, name).is_err(), "{name:?}");
        }
    }
}
