//! The data directory: its lock and its private files.

use ootheca_durable::file;
use ootheca_model::{Error, Result};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// The maximum length of the path in bytes: the paths of Unix sockets in it are limited to 107.
const LONGEST: usize = 70;

/// A data directory that is locked by this process until it is dropped.
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the directory if it is missing, and locks it for a server. If another process uses it, waits until
    /// that process has ended, for at most `wait`.
    pub async fn open(path: &Path, wait: Duration) -> Result<Self> {
        Self::open_for(path, "lock", "server", wait).await
    }

    /// The same for a separate gateway, which uses the directory together with the server.
    pub async fn open_for_gateway(path: &Path, wait: Duration) -> Result<Self> {
        Self::open_for(path, "gateway.lock", "gateway", wait).await
    }

    async fn open_for(path: &Path, name: &str, who: &str, wait: Duration) -> Result<Self> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(data) = Self::try_lock(path, name)? {
                return Ok(data);
            }
            if Instant::now() >= deadline {
                let rule = format!(
                    "another {who} is using {}; to replace it without downtime, start with --take-over",
                    path.display()
                );
                return Err(Error::invalid("data_dir", rule));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Locks the directory; `None` if another process has locked it.
    fn try_lock(path: &Path, name: &str) -> Result<Option<Self>> {
        let failed = |what: &str, error: std::io::Error| {
            Error::invalid("data_dir", format!("{what} {}: {error}", path.display()))
        };
        let absolute = absolute(path)?;
        if absolute.as_os_str().len() > LONGEST {
            let rule = format!(
                "the path must have at most {LONGEST} bytes, because it contains sockets: {}",
                absolute.display()
            );
            return Err(Error::invalid("data_dir", rule));
        }
        // The unprivileged owner of the SQL servers can enter the directory, but not list or read it.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(&absolute)
            .map_err(|e| failed("could not create", e))?;
        fs::set_permissions(&absolute, fs::Permissions::from_mode(0o711))
            .map_err(|e| failed("could not set the permissions of", e))?;
        let lock = open_lock(&absolute.join(name)).map_err(|error| failed("could not lock", error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path: absolute, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed("could not lock", error)),
        }
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a file that [`DataDir::write_private`] has written; `None` if it does not exist.
    pub fn read_private(&self, name: &str) -> Result<Option<String>> {
        let path = self.path.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::internal(format!("could not read {}", path.display())).because(error)),
        }
    }

    /// Removes a file that [`DataDir::write_private`] has written.
    pub fn remove_private(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        fs::remove_file(&path)
            .map_err(|error| Error::internal(format!("could not remove {}", path.display())).because(error))
    }

    /// Writes a secret atomically. Only the owner can read the file.
    pub fn write_private(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        file::replace(&path, text.as_bytes(), 0o600)
            .map_err(|error| Error::internal(format!("could not write {}", path.display())).because(error))?;
        Ok(path)
    }
}

/// The absolute path of a data directory, which does not have to exist.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|error| Error::invalid("data_dir", format!("could not resolve {}: {error}", path.display())))
}

fn open_lock(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}
