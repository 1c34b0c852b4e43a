//! Copies of a store for backups of it.

use crate::{Row, sql, sqlite, value::values};
use ootheca_model::{Error, Result};
use rusqlite::{Connection, OpenFlags, params_from_iter};
use std::{
    fs::{self, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use tokio::task::spawn_blocking;

/// Writes a consistent copy of the SQLite store at `address` to the file `to`, as another SQLite store, and adds rows to
/// the copy. The store can be in use. The file is replaced, and readable for its owner only. Of a store in PostgreSQL,
/// which has tools of its own for backups, the copy contains only the added rows.
pub async fn copy(address: &str, to: &Path, added: Vec<Row>) -> Result<()> {
    let from = address.strip_prefix("sqlite:").map(PathBuf::from);
    let to = to.to_owned();
    let copied = spawn_blocking(move || write(from.as_deref(), &to, &added)).await;
    copied.map_err(|error| Error::internal("store: the copy was interrupted").because(error))?
}

fn write(from: Option<&Path>, to: &Path, added: &[Row]) -> Result<()> {
    let failed = |error: rusqlite::Error| Error::unavailable("store: could not be copied").because(error);
    create(to)?;
    if let Some(from) = from {
        let source = sqlite::connect(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        source.execute("VACUUM INTO ?1", [to.to_string_lossy().into_owned()]).map_err(failed)?;
    }
    let mut copy = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    // An interrupted copy is not used, so it needs no journal.
    copy.execute_batch("PRAGMA journal_mode = MEMORY").map_err(failed)?;
    if from.is_none() {
        sqlite::migrate(&mut copy)?;
    }
    let insert = sqlite::sqlite(sql::INSERT);
    for row in added {
        copy.execute(&insert, params_from_iter(values(row, 1))).map_err(failed)?;
    }
    copy.close().map_err(|(_, error)| failed(error))
}

/// Creates the empty file, which `VACUUM INTO` accepts, so that it is never readable for other users.
fn create(path: &Path) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::unavailable(format!("store: could not create {}", path.display())).because(error)
    };
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop).map_err(failed)
}
