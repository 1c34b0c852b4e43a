//! Files and folders: atomic writes, durable folders.

use ootheca_model::{Error, Result};
use rustix::fs::{CWD, RenameFlags};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// Turns an I/O error into ours: `can not <what> <path>: <why>`.
pub(crate) fn failed<'a>(what: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |error| Error::internal(format!("can not {what} {}: {error}", path.display())).because(error)
}

/// Runs file work on a thread that may wait.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal("file work was cut off").because(error)),
    }
}

/// Makes a folder with exactly this mode; it may exist.
pub(crate) fn make_folder(path: &Path, mode: u32) -> Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => result.map_err(failed("make folder", path))?,
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed("protect", path))
}

/// Writes a file whole or not at all, mode 0600, durable.
pub(crate) fn write_atomically(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    let draft = write_draft(folder, name, bytes)?;
    fs::rename(&draft, &path).map_err(failed("write", &path))?;
    sync_folder(folder)
}

/// As [`write_atomically`], but `false` if the file is there already.
pub(crate) fn publish_once(folder: &Path, name: &str, bytes: &[u8]) -> Result<bool> {
    let path = folder.join(name);
    let draft = write_draft(folder, name, bytes)?;
    match rustix::fs::renameat_with(CWD, &draft, CWD, &path, RenameFlags::NOREPLACE) {
        Ok(()) => sync_folder(folder).map(|()| true),
        Err(rustix::io::Errno::EXIST) => Ok(false),
        // A file system without the flag; the caller holds the only handle of this instance.
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

/// Makes everything on the file system of `path` durable: far cheaper than a thousand single files.
pub(crate) fn sync_file_system(path: &Path) -> Result<()> {
    let folder = File::open(path).map_err(failed("open", path))?;
    rustix::fs::syncfs(&folder).map_err(|error| failed("sync", path)(error.into()))
}

/// Removes a folder and all in it; it may be absent.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The names in a folder, hidden ones too; none if it is absent.
pub(crate) fn names_in(path: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
