//! The storage that a cluster uses: the size of its files.
//!
//! All files of the data folder count, with these exceptions: the files that an empty cluster has, WAL within
//! the size that every server may keep, and temporary files of sessions, which have limits of their own.

use super::server::MAX_WAL_BYTES;
use std::{
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

/// The databases that an empty cluster has: `template0`, `template1`, `postgres`, and `defaultdb`.
const FRESH_DATABASES: u64 = 4;
/// The files of an empty cluster outside of its databases, rounded up.
const FRESH_BYTES: u64 = 1 << 20;
/// The folder of temporary files.
const TEMPORARY: &str = "pgsql_tmp";
/// After a count that took some time, the next one waits this many times as long. So a cluster with very many
/// files costs at most a few percent of a CPU.
const REST: u32 = 20;

/// The last count of an instance.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StorageCount(Option<Counted>);

#[derive(Clone, Copy, Debug)]
struct Counted {
    bytes: u64,
    ended: Instant,
    took: Duration,
}

impl StorageCount {
    /// The last count, if it is too early for another one.
    pub(super) fn recent(&self) -> Option<u64> {
        self.0.filter(|last| last.ended.elapsed() < last.took * REST).map(|last| last.bytes)
    }

    /// Counts the files in the data folder. `template` is the oid of the database `template0`, which is empty.
    pub(super) fn count(data: &Path, template: u32) -> io::Result<(u64, Self)> {
        let began = Instant::now();
        let bytes = used(data, template)?;
        let ended = Instant::now();
        Ok((bytes, Self(Some(Counted { bytes, ended, took: ended - began }))))
    }
}

fn used(data: &Path, template: u32) -> io::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        total += match path.file_name().and_then(|name| name.to_str()) {
            Some("pg_wal") => size(&path)?.saturating_sub(MAX_WAL_BYTES),
            _ => size(&path)?,
        };
    }
    let empty = size(&data.join("base").join(template.to_string()))?;
    Ok(total.saturating_sub(FRESH_DATABASES * empty + FRESH_BYTES))
}

/// The size of a file, or of all files in a folder. Files that are removed in the meantime don't count.
fn size(path: &Path) -> io::Result<u64> {
    let found = |result: io::Result<u64>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        result => result,
    };
    let status = match fs::symlink_metadata(path) {
        Err(error) => return found(Err(error)),
        Ok(status) => status,
    };
    if !status.is_dir() {
        return Ok(status.len());
    }
    let sum = || fs::read_dir(path)?.try_fold(0, |sum, entry| Ok(sum + below(&entry?)?));
    found(sum())
}

fn below(entry: &fs::DirEntry) -> io::Result<u64> {
    if entry.file_name() == TEMPORARY { Ok(0) } else { size(&entry.path()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, bytes: u64) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().set_len(bytes).unwrap();
    }

    fn fresh() -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("ootheca-storage-{}", uuid::Uuid::new_v4().simple()));
        for database in [1, 4, 5, 16384] {
            write(&folder, &format!("base/{database}/1259"), 1000);
        }
        write(&folder, "global/1260", FRESH_BYTES);
        write(&folder, "pg_wal/000000010000000000000001", MAX_WAL_BYTES);
        folder
    }

    #[test]
    fn everything_counts_except_for_what_an_empty_cluster_has() {
        let data = fresh();
        let used = || used(&data, 4).unwrap();
        assert_eq!(used(), 0);
        write(&data, "base/16385/1259", 1000);
        assert_eq!(used(), 1000, "an empty database");
        write(&data, "pg_notify/0000", 10);
        write(&data, "pg_wal/000000010000000000000002", 100);
        assert_eq!(used(), 1110);
        write(&data, "base/pgsql_tmp/pgsql_tmp1.0", 5000);
        assert_eq!(used(), 1110, "temporary files have their own limit");
        fs::remove_dir_all(data.join("base/16384")).unwrap();
        assert_eq!(used(), 110);
        fs::remove_dir_all(&data).unwrap();
    }

    #[test]
    fn links_are_not_followed() {
        let data = fresh();
        std::os::unix::fs::symlink("/", data.join("base/1/link")).unwrap();
        assert!(used(&data, 4).unwrap() < 10);
        fs::remove_dir_all(&data).unwrap();
    }

    #[test]
    fn a_slow_count_is_not_repeated_immediately() {
        let counted = |took| StorageCount(Some(Counted { bytes: 7, ended: Instant::now(), took }));
        assert_eq!(counted(Duration::from_secs(10)).recent(), Some(7));
        assert_eq!(counted(Duration::ZERO).recent(), None);
        assert_eq!(StorageCount::default().recent(), None);
    }
}
