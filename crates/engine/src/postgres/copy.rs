//! Creates folders for the servers' user, and copies files into them.

use super::owner::Owner;
use crate::files::{failed, make_folder, not_written};
use ootheca_model::{Error, Result};
use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// The size of what is copied at once if blocks are not shared.
const PART: u64 = 8 << 20;
/// The name of a file that only exists while it is tried whether blocks can be shared.
const PROBE: &str = "probe";

/// Creates a folder that only the servers' user can enter.
pub(super) fn make_private_folder(path: &Path, owner: &Owner) -> Result<()> {
    make_folder(path, 0o700)?;
    owner.chown(path)
}

/// Copies a folder. Returns an error as soon as `stopped` returns true.
pub(super) fn copy_tree(from: &Path, to: &Path, owner: &Owner, stopped: &dyn Fn() -> bool) -> Result<()> {
    let mut advance =
        |_: u64| if stopped() { Err(Error::unavailable("the copy was stopped")) } else { Ok(()) };
    copy_folder(&mut FileCopy::new(owner, &mut advance), from, to)
}

fn copy_folder(copy: &mut FileCopy<'_>, from: &Path, to: &Path) -> Result<()> {
    copy.folder(to)?;
    for entry in fs::read_dir(from).map_err(failed("read", from))? {
        let entry = entry.map_err(failed("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().map_err(failed("read", &source))?.is_dir() {
            copy_folder(copy, &source, &target)?;
        } else {
            let file = File::open(&source).map_err(failed("read", &source))?;
            let bytes = file.metadata().map_err(failed("read", &source))?.len();
            copy.file(&file, bytes, &target)?;
        }
    }
    Ok(())
}

/// Whether a copy of this file in a folder can share its blocks.
pub(super) fn can_share_blocks(file: &File, folder: &Path) -> bool {
    let path = folder.join(PROBE);
    let shared = File::create_new(&path).and_then(|probe| reflink_copy::reflink_file(file, &probe)).is_ok();
    let _ = fs::remove_file(&path);
    shared
}

/// Creates files and folders that only the servers' user can read. Files share their blocks with the originals if the
/// file system supports it.
pub(super) struct FileCopy<'a> {
    owner: &'a Owner,
    /// Is told the bytes of each part, and 0 for what has no content. Its errors end the copy.
    advance: &'a mut dyn FnMut(u64) -> Result<()>,
    shares_blocks: bool,
}

impl<'a> FileCopy<'a> {
    pub(super) fn new(owner: &'a Owner, advance: &'a mut dyn FnMut(u64) -> Result<()>) -> Self {
        Self { owner, advance, shares_blocks: true }
    }

    /// Creates a folder, which may exist.
    pub(super) fn folder(&mut self, path: &Path) -> Result<()> {
        make_private_folder(path, self.owner)?;
        (self.advance)(0)
    }

    /// Copies an open file of this size to a new one. If it grows meanwhile, the rest may be missing; if it is shortened,
    /// the copy may be shorter.
    pub(super) fn file(&mut self, from: &File, bytes: u64, to: &Path) -> Result<()> {
        let target = File::options().write(true).create_new(true).mode(0o600).open(to);
        let target = target.map_err(not_written("copy to", to))?;
        self.owner.chown(to)?;
        if bytes == 0 {
            return (self.advance)(0);
        }
        if self.shares_blocks && reflink_copy::reflink_file(from, &target).is_ok() {
            return (self.advance)(bytes);
        }
        // It is not tried again for each file.
        self.shares_blocks = false;
        let mut left = bytes;
        while left > 0 {
            let copied =
                io::copy(&mut from.take(left.min(PART)), &mut &target).map_err(not_written("copy to", to))?;
            if copied == 0 {
                break;
            }
            left -= copied;
            (self.advance)(copied)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt as _, path::PathBuf};

    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&folder).unwrap();
        folder
    }

    fn owner() -> Owner {
        Owner::find("root").unwrap_or_else(|_| Owner::with_id(1_234_567))
    }

    #[test]
    fn trees_are_copied_for_the_owner_only() {
        let folder = folder();
        let (from, to) = (folder.join("from"), folder.join("to"));
        let large: Vec<u8> = (0..=250).cycle().take(3 << 20).collect();
        fs::create_dir_all(from.join("base/1")).unwrap();
        fs::write(from.join("base/1/large"), &large).unwrap();
        fs::write(from.join("empty"), "").unwrap();
        fs::set_permissions(from.join("empty"), fs::Permissions::from_mode(0o666)).unwrap();
        copy_tree(&from, &to, &owner(), &|| false).unwrap();
        assert_eq!(fs::read(to.join("base/1/large")).unwrap(), large);
        for (name, mode) in [("", 0o700), ("base/1", 0o700), ("base/1/large", 0o600), ("empty", 0o600)] {
            assert_eq!(fs::metadata(to.join(name)).unwrap().permissions().mode() & 0o777, mode, "{name}");
        }
        let stopped = copy_tree(&from, &folder.join("stopped"), &owner(), &|| true).unwrap_err();
        assert_eq!(stopped.message(), "the copy was stopped");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_progress_is_the_size_of_what_was_copied() {
        let folder = folder();
        let path = folder.join("from");
        fs::write(&path, vec![7; 1000]).unwrap();
        for (to, shares_blocks) in [("shared", true), ("copied", false)] {
            let (owner, mut copied) = (owner(), 0_u64);
            let mut advance = |bytes: u64| -> Result<()> {
                copied += bytes;
                Ok(())
            };
            let mut copy = FileCopy { shares_blocks, ..FileCopy::new(&owner, &mut advance) };
            copy.file(&File::open(&path).unwrap(), 1000, &folder.join(to)).unwrap();
            assert_eq!((copied, fs::read(folder.join(to)).unwrap().len()), (1000, 1000), "{to}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn files_that_change_are_copied_in_part() {
        let folder = folder();
        let path = folder.join("from");
        fs::write(&path, vec![7; 1000]).unwrap();
        let (owner, mut advance) = (owner(), |_: u64| -> Result<()> { Ok(()) });
        let mut copy = FileCopy { shares_blocks: false, ..FileCopy::new(&owner, &mut advance) };
        for (to, bytes, expected) in [("longer", 600, 600), ("shorter", 2000, 1000)] {
            copy.file(&File::open(&path).unwrap(), bytes, &folder.join(to)).unwrap();
            assert_eq!(fs::metadata(folder.join(to)).unwrap().len(), expected, "{to}");
        }
        copy.file(&File::open(&path).unwrap(), 1000, &folder.join("longer")).expect_err("it exists");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn nothing_is_left_of_a_probe() {
        let folder = folder();
        fs::write(folder.join("file"), "x").unwrap();
        can_share_blocks(&File::open(folder.join("file")).unwrap(), &folder);
        assert_eq!(crate::files::names_in(&folder), ["file"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
