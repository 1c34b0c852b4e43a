//! Creates folders for the servers' user and copies templates into them.

use super::owner::Owner;
use crate::files::{failed, make_folder};
use ootheca_model::{Error, Result};
use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

/// Creates a folder that only the servers' user can enter.
pub(super) fn make_private_folder(path: &Path, owner: &Owner) -> Result<()> {
    make_folder(path, 0o700)?;
    owner.chown(path)
}

/// Copies a folder. Files share their blocks if the file system supports it. Returns an error as soon as
/// `stopped` returns true.
pub(super) fn copy_tree(from: &Path, to: &Path, owner: &Owner, stopped: &dyn Fn() -> bool) -> Result<()> {
    Copy { owner, stopped, reflink: true }.folder(from, to)
}

struct Copy<'a> {
    owner: &'a Owner,
    stopped: &'a dyn Fn() -> bool,
    reflink: bool,
}

impl Copy<'_> {
    fn folder(&mut self, from: &Path, to: &Path) -> Result<()> {
        make_private_folder(to, self.owner)?;
        if (self.stopped)() {
            return Err(Error::unavailable("the engine is shutting down"));
        }
        for entry in fs::read_dir(from).map_err(failed("read", from))? {
            let entry = entry.map_err(failed("read", from))?;
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            if entry.file_type().map_err(failed("read", &source))?.is_dir() {
                self.folder(&source, &target)?;
            } else {
                self.file(&source, &target).map_err(failed("copy to", &target))?;
                self.owner.chown(&target)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if self.reflink {
            // A number of bytes means that the file was copied. The file system does not share blocks, so it
            // is not tried again for each file.
            self.reflink = reflink_copy::reflink_or_copy(from, to)?.is_none();
            return fs::set_permissions(to, fs::Permissions::from_mode(0o600));
        }
        fs::copy(from, to).map(|_| ())
    }
}
