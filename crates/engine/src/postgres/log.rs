//! The log of a server: `log`, and `log.old` with what was in it before it became too large.

use super::instance::Instance;
use crate::files::{blocking, failed};
use ootheca_model::Result;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};
use tokio::time::sleep;

const MAX_SIZE: u64 = 16 << 20;
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Opens the log for a server that is about to start.
pub(super) fn open(path: &Path) -> Result<File> {
    if fs::metadata(path).is_ok_and(|data| data.len() > MAX_SIZE) {
        fs::rename(path, path.with_extension("old")).map_err(failed("rotate", path))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(failed("open", path))
}

impl Instance {
    /// Keeps the log of the running server small. Never returns.
    pub(super) async fn limit_log(&self) {
        loop {
            sleep(CHECK_INTERVAL).await;
            let path = self.log();
            let limited = blocking(move || truncate(&path, MAX_SIZE).map_err(failed("truncate", &path)));
            if let Err(error) = limited.await {
                tracing::warn!(instance = self.id, error = error.chain(), "could not truncate server log");
            }
        }
    }
}

/// Moves the end of a log that is too large to `log.old`. The server keeps the file open in append mode, so it
/// continues at the new end.
fn truncate(path: &Path, max_size: u64) -> io::Result<()> {
    let size = fs::metadata(path)?.len();
    if size <= max_size {
        return Ok(());
    }
    let mut log = OpenOptions::new().read(true).write(true).open(path)?;
    log.seek(SeekFrom::Start(size - max_size))?;
    let mut options = OpenOptions::new();
    let mut old =
        options.create(true).write(true).truncate(true).mode(0o600).open(path.with_extension("old"))?;
    io::copy(&mut log.by_ref().take(max_size), &mut old)?;
    log.set_len(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn open_logs_are_truncated_and_their_end_is_kept() {
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("log");
        let mut log = open(&path).unwrap();
        log.write_all(b"0123456789").unwrap();
        truncate(&path, 10).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"0123456789");
        truncate(&path, 4).unwrap();
        log.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(folder.join("log.old")).unwrap(), b"6789");
        fs::remove_dir_all(&folder).unwrap();
    }
}
