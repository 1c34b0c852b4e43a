//! A temporary folder that outlives a failed test.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
};
use tempfile::TempDir;

/// Longest path of the folder: Unix sockets lie deep in it.
const LONGEST: usize = 40;

/// A temporary folder: removed when it is dropped, kept while a test is failing.
pub struct Folder {
    dir: Option<TempDir>,
    path: PathBuf,
}

impl Folder {
    /// Makes a folder with a short path that an unprivileged user may enter.
    pub fn new() -> Self {
        let place = Some(std::env::temp_dir()).filter(|place| place.as_os_str().len() <= LONGEST - 10);
        let place = place.unwrap_or_else(|| PathBuf::from("/tmp"));
        let dir = tempfile::Builder::new().prefix("oo-").tempdir_in(place).expect("a temporary folder");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).expect("its mode");
        // Its real name, as the kernel reports it for the working folders of processes.
        let path = dir.path().canonicalize().expect("its real path");
        Self { dir: Some(dir), path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps it for a person to look at.
    pub fn keep(&mut self) {
        if let Some(dir) = self.dir.take() {
            eprintln!("kept: {}", dir.keep().display());
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
