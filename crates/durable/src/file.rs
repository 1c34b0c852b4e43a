//! Files that are written atomically: after a crash, a file has its earlier content or the new one.
//!
//! The draft of a file is beside it and has a fixed name, so that a crash leaves at most one, which the next write
//! replaces. Therefore a file must have only one writer at a time.

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Writes a file durably, and replaces an existing one.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let draft = write_draft(path, bytes, mode)?;
    fs::rename(&draft, path)?;
    sync_parent(path)
}

/// Writes a file durably. Returns `false` if it already exists, and leaves it unchanged.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<bool> {
    let draft = write_draft(path, bytes, mode)?;
    match renameat_with(CWD, &draft, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(Errno::EXIST) => return fs::remove_file(&draft).map(|()| false),
        // The file system does not support the flag.
        Err(Errno::INVAL) if !path.exists() => fs::rename(&draft, path)?,
        Err(error) => return Err(error.into()),
    }
    sync_parent(path).map(|()| true)
}

/// Creates the draft of a file. Replaces what a crash has left, and links instead of following them.
pub fn create_draft(path: &Path, mode: u32) -> io::Result<(PathBuf, File)> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
    Ok((draft, file))
}

fn write_draft(path: &Path, bytes: &[u8], mode: u32) -> io::Result<PathBuf> {
    let (draft, mut file) = create_draft(path, mode)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(draft)
}

/// Makes the name of a file durable.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    // The parent of a relative path can be empty.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_folder(parent.unwrap_or(Path::new(".")))
}

/// Makes the entries of a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn files_are_replaced_together_with_their_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.txt");
        fs::write(&path, "an earlier and longer content").unwrap();
        replace(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["secret.txt"]);
    }

    #[test]
    fn a_draft_that_a_crash_has_left_is_replaced_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, outside) = (folder.path().join("file"), folder.path().join("outside"));
        fs::write(&outside, "kept").unwrap();
        symlink(&outside, folder.path().join("file.new")).unwrap();
        replace(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "kept");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        fs::write(folder.path().join("file.new"), "half").unwrap();
        replace(&path, b"newer", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "newer");
    }

    #[test]
    fn an_existing_file_is_not_created_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("claim");
        assert!(create(&path, b"first", 0o600).unwrap());
        assert!(!create(&path, b"second", 0o600).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(names(folder.path()), ["claim"]);
    }
}
