//! File operations: atomic writes and durable directories.

use crate::DiskSpace;
use ootheca_durable::file;
use ootheca_model::{Error, Result};
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown},
    path::Path,
};

/// Converts an I/O error into `cannot <what> <path>: <reason>`.
pub(crate) fn failed<'a>(what: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |error| Error::internal(format!("cannot {what} {}: {error}", path.display())).because(error)
}

/// The same for a copy of data. A full disk is no damage and needs no operator: it is tried again.
pub(crate) fn not_written<'a>(what: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |error| match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Error::unavailable("the disk is full").because(error)
        }
        _ => failed(what, path)(error),
    }
}

/// Runs file operations on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal("a file operation was interrupted").because(error)),
    }
}

/// Creates a folder with exactly this mode. The folder may already exist.
pub(crate) fn make_folder(path: &Path, mode: u32) -> Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => result.map_err(failed("create folder", path))?,
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed("set the mode of", path))
}

/// Writes a file atomically and durably, with mode 0600.
pub(crate) fn write_atomically(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    file::replace(&path, bytes, 0o600).map_err(failed("write", &path))
}

/// Like [`write_atomically`], but returns `false` if the file already exists.
pub(crate) fn publish_once(folder: &Path, name: &str, bytes: &[u8]) -> Result<bool> {
    let path = folder.join(name);
    file::create(&path, bytes, 0o600).map_err(failed("write", &path))
}

/// Writes a file in the folder of another user atomically, with that user as its owner and mode 0600. Replaces
/// links instead of following them.
pub(crate) fn write_for_owner(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    let write = || -> io::Result<()> {
        let (draft, mut file) = file::create_draft(&path, 0o600)?;
        file.write_all(bytes)?;
        let (owner, own) = (fs::metadata(folder)?, file.metadata()?);
        if owner.uid() != own.uid() {
            fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        fs::rename(&draft, &path)
    };
    write().map_err(failed("write", &path))
}

/// Makes the entries of a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    file::sync_folder(path).map_err(failed("sync", path))
}

/// Makes everything on the file system of `path` durable, which is much cheaper than syncing each file.
pub(crate) fn sync_file_system(path: &Path) -> Result<()> {
    let folder = File::open(path).map_err(failed("open", path))?;
    rustix::fs::syncfs(&folder).map_err(|error| failed("sync", path)(error.into()))
}

/// Removes a folder with its contents. The folder may be absent.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The free space on the file system of `path`, or of the closest folder above it that exists.
pub(crate) fn disk_space(path: &Path) -> Option<DiskSpace> {
    let existing = path.ancestors().find(|path| path.is_dir())?;
    let status = rustix::fs::statvfs(existing).ok()?;
    Some(DiskSpace { path: existing.to_owned(), free_bytes: status.f_bavail.saturating_mul(status.f_frsize) })
}

/// Lists the names in a folder, including hidden ones. Returns an empty list if the folder is absent.
pub(crate) fn names_in(path: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_for_another_user_replaces_links_instead_of_following_them() {
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        let (data, outside) = (folder.join("data"), folder.join("outside"));
        fs::create_dir_all(&data).unwrap();
        fs::write(&outside, "kept").unwrap();
        for name in ["mark", "mark.new"] {
            std::os::unix::fs::symlink(&outside, data.join(name)).unwrap();
        }
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            std::os::unix::fs::chown(&data, Some(1_234_567), Some(1_234_567)).unwrap();
        }
        write_for_owner(&data, "mark", b"new").unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "kept");
        let written = fs::symlink_metadata(data.join("mark")).unwrap();
        assert!(written.is_file() && written.mode() & 0o777 == 0o600);
        assert_eq!(written.uid(), fs::metadata(&data).unwrap().uid());
        assert_eq!(fs::read_to_string(data.join("mark")).unwrap(), "new");
        assert_eq!(names_in(&data), ["mark"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
