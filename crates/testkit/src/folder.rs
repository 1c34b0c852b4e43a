//! A temporary folder that is kept if the test fails.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
};
use tempfile::TempDir;

/// The maximum length of the folder's path, because it contains paths of Unix sockets.
const LONGEST: usize = 40;

/// A temporary folder, which is removed when it is dropped unless a test is failing.
pub struct Folder {
    dir: Option<TempDir>,
    path: PathBuf,
}

impl Folder {
    /// Creates a folder with a short path that an unprivileged user can enter.
    pub fn new() -> Self {
        let place = Some(std::env::temp_dir()).filter(|place| place.as_os_str().len() <= LONGEST - 10);
        let place = place.unwrap_or_else(|| PathBuf::from("/tmp"));
        let dir = tempfile::Builder::new().prefix("oo-").tempdir_in(place).expect("a temporary folder");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).expect("its mode");
        // The canonical path, as the kernel reports it for working directories of processes.
        let path = dir.path().canonicalize().expect("its real path");
        Self { dir: Some(dir), path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the folder for inspection.
    pub fn keep(&mut self) {
        if let Some(dir) = self.dir.take() {
            eprintln!("kept folder: {}", dir.keep().display());
        }
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if thread::panicking() {
            self.keep();
        }
    }
}
