//! The files of the data directory without which a copy of the store is not enough: what the data of the clusters and
//! their clients know. They are a row of each copy in the repository of backups.

use crate::{data_dir::DataDir, documents};
use ootheca_durable::{failpoint, file};
use ootheca_model::{Error, Result, Timestamp};
use ootheca_store::{Batch, Kind, Row, Store};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

/// The administrator's key, the password of the engine in all SQL servers, and the certificate authority that SQL clients
/// trust.
const PATHS: [&str; 4] =
    ["admin-api-key", "engine/control-secret", "certificates/ca.pem", "certificates/ca-key.pem"];
const ROW: &str = "private-files";

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PrivateFile {
    /// Relative to the data directory.
    path: String,
    /// The permissions.
    mode: u32,
    text: String,
}

/// The files that exist, as a row for a copy of the store.
pub(crate) fn row(data_dir: &Path, now: Timestamp) -> Result<Row> {
    let mut files = Vec::new();
    for path in PATHS {
        files.extend(read(data_dir, path)?);
    }
    let document = serde_json::to_string(&files)
        .map_err(|error| Error::internal("could not encode the private files").because(error))?;
    Ok(documents::setting(ROW, document, now))
}

/// Creates the files that a copy of the store contains.
pub(crate) async fn write_all(store: &dyn Store, data: &DataDir) -> Result<()> {
    let Some(row) = store.get(Kind::Setting, ROW).await? else { return Ok(()) };
    let files: Vec<PrivateFile> = serde_json::from_str(&row.document)
        .map_err(|error| Error::internal(format!("setting {ROW}: damaged")).because(error))?;
    // Only known paths, so that nothing is written elsewhere.
    for file in files.iter().filter(|file| PATHS.contains(&file.path.as_str())) {
        write(data.path(), file).map_err(|error| {
            Error::unavailable(format!("could not write {} in the data directory", file.path)).because(error)
        })?;
        failpoint::reach("private file written");
    }
    Ok(())
}

/// Removes the row from a store that was a copy.
pub(crate) async fn forget(store: &dyn Store, now: Timestamp) -> Result<()> {
    let Some(row) = store.get(Kind::Setting, ROW).await? else { return Ok(()) };
    store.commit(Batch::server("recover").with(documents::delete(&row)), now).await.map(drop)
}

fn read(data_dir: &Path, path: &str) -> Result<Option<PrivateFile>> {
    let file = data_dir.join(path);
    let read = fs::read_to_string(&file).and_then(|text| {
        let mode = fs::metadata(&file)?.permissions().mode() & 0o777;
        Ok(PrivateFile { path: path.to_owned(), mode, text })
    });
    match read {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::unavailable(format!("could not read {}", file.display())).because(error)),
    }
}

fn write(data_dir: &Path, private: &PrivateFile) -> io::Result<()> {
    let path = data_dir.join(&private.path);
    if let Some(folder) = path.parent() {
        // The engine and the gateway set the permissions that they need.
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    file::replace(&path, private.text.as_bytes(), private.mode)
}
