//! File operations: atomic writes and durable directories.

use crate::DiskSpace;
use ootheca_model::{Error, Result};
use rustix::fs::{CWD, RenameFlags};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// Converts an I/O error into `cannot <what> <path>: <reason>`.
pub(crate) fn failed<'a>(what: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |error| Error::internal(format!("cannot {what} {}: {error}", path.display())).because(error)
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
    let draft = write_draft(folder, name, bytes)?;
    fs::rename(&draft, &path).map_err(failed("write", &path))?;
    sync_folder(folder)
}

/// Like [`write_atomically`], but returns `false` if the file already exists.
pub(crate) fn publish_once(folder: &Path, name: &str, bytes: &[u8]) -> Result<bool> {
    let path = folder.join(name);
    let draft = write_draft(folder, name, bytes)?;
    match rustix::fs::renameat_with(CWD, &draft, CWD, &path, RenameFlags::NOREPLACE) {
        Ok(()) => sync_folder(folder).map(|()| true),
        Err(rustix::io::Errno::EXIST) => Ok(false),
        // The file system does not support the flag. The caller holds the only handle to this instance.
        Err(rustix::io::Errno::INVAL) if !path.exists() => {
            fs::rename(&draft, &path).map_err(failed("write", &path))?;
            sync_folder(folder).map(|()| true)
        }
        Err(error) => Err(failed("write", &path)(error.into())),
    }
}

fn write_draft(folder: &Path, name: &str, bytes: &[u8]) -> Result<std::path::PathBuf> {
    let draft = folder.join(format!("{name}.new"));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(failed("write", &draft))?;
    Ok(draft)
}

/// Makes the entries of a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed("sync", path))
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
