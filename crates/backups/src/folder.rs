//! What a directory needs beyond what the object store does: permissions, and the removal of what crashes leave.
//!
//! The object store writes `NAME#1`, `NAME#2`, … and renames the file when it is complete.

use crate::archive::{ARCHIVES, Archive, Kind};
use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, DirEntry, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// An upload that wrote nothing for this time does not run any more.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// Creates what is missing, and removes what crashes have left. Returns the absolute path.
///
/// Only the owner can enter the directory of the objects, so their own permissions don't matter.
pub(crate) fn prepare(folder: &Path, create: bool) -> io::Result<PathBuf> {
    let archives = folder.join(ARCHIVES);
    if create && !archives.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(&archives)?;
        File::open(folder)?.sync_all()?;
        // The parent can be a directory that this process must not read.
        if let Some(parent) = folder.parent().and_then(|parent| File::open(parent).ok()) {
            parent.sync_all()?;
        }
    }
    remove_uploads(folder, ABANDONED)?;
    fs::canonicalize(folder)
}

/// Creates a directory that only the owner can enter, unless it exists.
pub(crate) fn create_private(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// Removes the files of uploads below `folder` that wrote nothing for `age`.
pub(crate) fn remove_uploads(folder: &Path, age: Duration) -> io::Result<()> {
    let Some(entries) = if_present(fs::read_dir(folder))? else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_uploads(&entry.path(), age)?;
        } else if is_upload(&entry.file_name()) && is_idle(&entry, age) {
            if_present(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

/// Removes the directories of an archive if they are empty.
pub(crate) fn remove_empty(folder: &Path, archive: Archive) {
    let directory = folder.join(archive.directory());
    for kind in Kind::ALL {
        let _ = fs::remove_dir(folder.join(archive.objects(kind)));
    }
    let _ = fs::remove_dir(&directory);
    if let Some(cluster) = directory.parent() {
        let _ = fs::remove_dir(cluster);
    }
}

fn is_upload(name: &OsStr) -> bool {
    let number = name.to_str().and_then(|name| name.rsplit_once('#')).map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_idle(entry: &DirEntry, age: Duration) -> bool {
    let changed = entry.metadata().and_then(|file| file.modified());
    changed.is_ok_and(|at| at.elapsed().unwrap_or_default() >= age)
}

fn if_present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt, time::SystemTime};

    #[test]
    fn objects_are_private_to_the_owner() {
        let parent = tempfile::tempdir().unwrap();
        let folder = prepare(&parent.path().join("backups"), true).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        // A directory that exists keeps its permissions.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(prepare(&folder, true).unwrap(), folder);
        assert_eq!((mode(&folder), mode(&folder.join(ARCHIVES))), (0o755, 0o700));
    }

    #[test]
    fn abandoned_uploads_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let folder = prepare(parent.path(), true).unwrap();
        let base = folder.join(ARCHIVES).join("a/0/base");
        fs::create_dir_all(&base).unwrap();
        let old = SystemTime::now() - 2 * ABANDONED;
        for (name, modified) in [("a", old), ("a#1", old), ("a#b", old), ("b#12", SystemTime::now())] {
            File::create(base.join(name)).unwrap().set_modified(modified).unwrap();
        }
        let names = || {
            let mut names: Vec<_> = fs::read_dir(&base).unwrap().map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        prepare(&folder, true).unwrap();
        assert_eq!(names(), ["a", "a#b", "b#12"]);
        remove_uploads(&base, Duration::ZERO).unwrap();
        assert_eq!(names(), ["a", "a#b"]);
        remove_uploads(&base.join("missing"), Duration::ZERO).unwrap();
    }
}
