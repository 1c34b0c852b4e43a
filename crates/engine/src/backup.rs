//! What an engine reads for backups, and what it reads again for a restore.

use async_trait::async_trait;
use ootheca_model::{
    Error, Result, Timestamp,
    backup::{RestoreObject, RestoreOptions, RestoreType},
};
use std::{collections::BTreeSet, fmt};
use tokio::io::{AsyncRead, AsyncWrite};

/// Where the content of a base is written to.
pub type BaseWriter<'a> = &'a mut (dyn AsyncWrite + Send + Unpin);
/// The content of a base.
pub type BaseReader = Box<dyn AsyncRead + Send + Unpin>;

/// What a base contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseInfo {
    /// The engine major version of the data.
    pub engine_major: String,
    /// The first WAL segment that a restore needs; empty if it needs none.
    pub first_segment: String,
    /// The last WAL segment without which the base is not consistent; empty if it needs none. It may not be ready
    /// yet, see [`Engine::end_segment`](crate::Engine::end_segment).
    pub last_segment: String,
    /// The size of the data in bytes.
    pub bytes: u64,
}

/// Where the WAL of an instance ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalEnd {
    /// The last segment that is complete and ready to be stored, or was removed after it had been stored; empty if there
    /// was none yet.
    pub last_segment: String,
    /// Whether anything may have changed since the previous call of [`Engine::end_segment`](crate::Engine::end_segment)
    /// for this instance. The first call after the start of the engine returns true.
    pub changed: bool,
}

/// A backup that an engine reads for a restore.
#[async_trait]
pub trait BackupReader: fmt::Debug + Send + Sync {
    /// The content of the base.
    async fn base(&self) -> Result<BaseReader>;
    /// The size of the data of the base in bytes.
    fn base_bytes(&self) -> u64;
    /// The engine major version of the data.
    fn engine_major(&self) -> &str;
    /// The names of the WAL segments that are needed in addition to the base, in order. The last one ends exactly where
    /// the restore ends, unless there is a target time.
    fn segments(&self) -> &[String];
    /// The content of a segment. `Internal` if it is missing or damaged.
    async fn segment(&self, name: &str) -> Result<Vec<u8>>;
    /// The moment to which the data is recovered: everything that was committed by then, and nothing later. `None` if it
    /// is where the segments end. It is not earlier than the end of the base.
    fn target_time(&self) -> Option<Timestamp> {
        None
    }
    /// Is told the progress, from 0 to 1.
    fn progress(&self, fraction: f32);
}

/// Databases or tables to take over from a staged instance.
#[derive(Clone, Debug)]
pub struct ObjectRestore {
    /// Identifies the restore: a repeated call continues what an interrupted one has begun. A UUID.
    pub id: String,
    /// Database or Table.
    pub kind: RestoreType,
    /// What to restore. An empty schema means `public`. Tables of several databases need `into_db`.
    pub objects: Vec<RestoreObject>,
    pub options: RestoreOptions,
}

impl ObjectRestore {
    /// The databases that tables are restored from, always in the same order, and the one that they are restored into,
    /// or the first rule that is violated.
    pub(crate) fn databases_of_tables(&self) -> Result<(Vec<&str>, &str)> {
        let from: BTreeSet<&str> = self.objects.iter().map(|object| object.database.as_str()).collect();
        let from: Vec<&str> = from.into_iter().collect();
        let into = match (self.options.into_db.as_str(), from.as_slice()) {
            (_, []) => return Err(Error::invalid("objects", "must not be empty")),
            ("", [own]) => *own,
            ("", _) => {
                let message = "restore_opts.into_db is required for tables of several databases";
                return Err(Error::precondition(message));
            }
            (into, _) => into,
        };
        Ok((from, into))
    }

    /// The final name of a database.
    pub(crate) fn database_name<'a>(&'a self, object: &'a RestoreObject) -> &'a str {
        match self.options.new_db_name.as_str() {
            "" => object.database.as_str(),
            name => name,
        }
    }
}

/// The errors for objects, of every engine.
pub(crate) fn missing_in_backup(what: impl fmt::Display) -> Error {
    Error::precondition(format!("objects: the backup does not contain {what}"))
}

pub(crate) fn missing_in_destination(what: impl fmt::Display) -> Error {
    Error::precondition(format!("the destination cluster does not contain {what}; create it first"))
}

pub(crate) fn exists_in_destination(what: impl fmt::Display) -> Error {
    Error::precondition(format!("{what} already exists in the destination cluster"))
}
