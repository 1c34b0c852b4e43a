//! The data folder: one server at a time, private files.

use ootheca_model::{Error, Result};
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Longest path of a data folder in bytes: Unix sockets in it have at most 107.
const LONGEST: usize = 70;

/// A data folder that this process alone uses, until it is dropped.
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the folder if it is missing and locks it for a server.
    pub fn open(path: &Path) -> Result<Self> {
        Self::lock(path, "lock", "server")
    }

    /// The same for a gateway of its own, which uses the folder beside the server.
    pub fn open_for_gateway(path: &Path) -> Result<Self> {
        Self::lock(path, "gateway.lock", "gateway")
    }

    fn lock(path: &Path, name: &str, who: &str) -> Result<Self> {
        let failed = |what: &str, error: std::io::Error| {
            Error::invalid("data_dir", format!("{what} {}: {error}", path.display()))
        };
        let absolute = absolute(path)?;
        if absolute.as_os_str().len() > LONGEST {
            let rule = format!(
                "the path may have at most {LONGEST} bytes (sockets live in it): {}",
                absolute.display()
            );
            return Err(Error::invalid("data_dir", rule));
        }
        // Entering is open to the unprivileged owner of the SQL servers; listing and reading are not.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(&absolute)
            .map_err(|e| failed("can not make", e))?;
        fs::set_permissions(&absolute, fs::Permissions::from_mode(0o711))
            .map_err(|e| failed("can not protect", e))?;
        let lock = private_file(&absolute.join(name)).map_err(|error| failed("can not lock", error))?;
        if lock.try_lock().is_err() {
            let rule = format!(
                "another {who} uses {}; to take its place without a pause, start with --take-over",
                absolute.display()
            );
            return Err(Error::invalid("data_dir", rule));
        }
        Ok(Self { path: absolute, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file that [`DataDir::write_private`] has written; `None` if there is none.
    pub fn read_private(&self, name: &str) -> Result<Option<String>> {
        let path = self.path.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::internal(format!("can not read {}", path.display())).because(error)),
        }
    }

    /// Writes a secret, whole or not at all, readable by its owner only.
    pub fn write_private(&self, name: &str, text: &str) -> Result<PathBuf> {
        let (path, draft) = (self.path.join(name), self.path.join(format!("{name}.new")));
        let write = || -> std::io::Result<()> {
            let mut file = private_file(&draft)?;
            file.set_len(0)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write()
            .map_err(|error| Error::internal(format!("can not write {}", path.display())).because(error))?;
        Ok(path)
    }
}

/// The whole path of a data folder, whether it is there or not.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|error| Error::invalid("data_dir", format!("can not resolve {}: {error}", path.display())))
}

fn private_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}
