//! A small disk, which a test can fill.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

/// A file system in memory that is mounted at a directory.
pub(crate) struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Creates the directory. `None` if this user can't mount anything.
    pub(crate) fn mount(path: &Path, mib: u32) -> Option<Self> {
        fs::create_dir_all(path).expect("a directory");
        let options = format!("size={mib}m,mode=0755");
        let mut mount = Command::new("mount");
        let output = mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).output().ok()?;
        output.status.success().then(|| Self { path: path.to_owned() })
    }

    /// Leaves no free space.
    pub(crate) fn fill(&self) {
        let mut file = File::create(self.ballast()).expect("a file");
        let block = vec![1; 1 << 16];
        loop {
            match file.write_all(&block) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("the disk can't be filled: {error}"),
            }
        }
    }

    /// Removes what `fill` has written.
    pub(crate) fn free(&self) {
        fs::remove_file(self.ballast()).expect("removed");
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // If the test has failed, the server can still use it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}
