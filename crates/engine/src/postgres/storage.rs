//! The storage that a cluster uses: the size of its files.
//!
//! All files of the data directory and of the spool count, with these exceptions: the files that an empty cluster
//! has, WAL within the size that every server may keep and that can wait to be stored, and temporary files of
//! sessions within the limit of one process.

use super::server::{MAX_TEMPORARY_BYTES, MAX_WAL_BYTES};
use std::{
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

/// The databases that an empty cluster has: `template0`, `template1`, `postgres`, and `defaultdb`.
const FRESH_DATABASES: u64 = 4;
/// The files of an empty cluster outside of its databases, rounded up.
const FRESH_BYTES: u64 = 1 << 20;
/// The folder of temporary files. There is only one, because tenants can't create tablespaces.
const TEMPORARY: &str = "pgsql_tmp";
/// WAL that can wait to be stored: so much, or this part of the data if that is more. Without a reachable repository,
/// as much remains until the next base, which is not the tenant's doing. More is only there for about a minute.
const FREE_SPOOL_BYTES: u64 = 64 << 20;
const FREE_SPOOL_PART: u64 = 4;
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

    /// Counts the files of an instance. `template` is the oid of the database `template0`, which is empty.
    pub(super) fn count(data: &Path, spool: &Path, template: u32) -> io::Result<(u64, Self)> {
        let began = Instant::now();
        let bytes = used(data, spool, template)?;
        let ended = Instant::now();
        Ok((bytes, Self(Some(Counted { bytes, ended, took: ended - began }))))
    }
}

fn used(data: &Path, spool: &Path, template: u32) -> io::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        total += match path.file_name().and_then(|name| name.to_str()) {
            Some("pg_wal") => size(&path)?.saturating_sub(MAX_WAL_BYTES),
            _ => size(&path)?,
        };
    }
    let databases = data.join("base");
    let empty = size(&databases.join(template.to_string()))?;
    let stored = total.saturating_sub(FRESH_DATABASES * empty + FRESH_BYTES);
    let temporary = size(&databases.join(TEMPORARY))?.saturating_sub(MAX_TEMPORARY_BYTES);
    let waiting = size(spool)?.saturating_sub(FREE_SPOOL_BYTES.max(total / FREE_SPOOL_PART));
    Ok(stored + temporary + waiting)
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

/// The size of an entry of a folder, except for temporary files.
fn below(entry: &fs::DirEntry) -> io::Result<u64> {
    if entry.file_name() == TEMPORARY { Ok(0) } else { size(&entry.path()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn write(folder: &Path, name: &str, bytes: u64) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().set_len(bytes).unwrap();
    }

    /// The files of an empty cluster, which are removed at the end.
    struct Instance {
        folder: PathBuf,
        data: PathBuf,
        spool: PathBuf,
    }

    impl Instance {
        fn fresh() -> Self {
            let name = format!("ootheca-storage-{}", uuid::Uuid::new_v4().simple());
            let folder = std::env::temp_dir().join(name);
            let (data, spool) = (folder.join("data"), folder.join("wal"));
            for database in [1, 4, 5, 16384] {
                write(&data, &format!("base/{database}/1259"), 1000);
            }
            write(&data, "global/1260", FRESH_BYTES);
            write(&data, "pg_wal/000000010000000000000001", MAX_WAL_BYTES);
            Self { folder, data, spool }
        }

        fn used(&self) -> u64 {
            used(&self.data, &self.spool, 4).unwrap()
        }
    }

    impl Drop for Instance {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    #[test]
    fn everything_counts_except_for_what_an_empty_cluster_has() {
        let instance = Instance::fresh();
        let (data, used) = (&instance.data, || instance.used());
        assert_eq!(used(), 0);
        write(data, "base/16385/1259", 1000);
        assert_eq!(used(), 1000, "an empty database");
        write(data, "pg_notify/0000", 10);
        write(data, "pg_wal/000000010000000000000002", 100);
        assert_eq!(used(), 1110);
        fs::remove_dir_all(data.join("base/16384")).unwrap();
        assert_eq!(used(), 110);
    }

    #[test]
    fn temporary_files_count_beyond_the_limit_of_one_process() {
        let instance = Instance::fresh();
        write(&instance.data, "base/pgsql_tmp/pgsql_tmp1.0", MAX_TEMPORARY_BYTES);
        assert_eq!(instance.used(), 0);
        write(&instance.data, "base/pgsql_tmp/pgsql_tmp2.0.fileset/0.0", 100);
        assert_eq!(instance.used(), 100);
        fs::remove_dir_all(instance.data.join("base/pgsql_tmp")).unwrap();
        assert_eq!(instance.used(), 0);
    }

    #[test]
    fn waiting_wal_counts_beyond_what_can_wait() {
        let instance = Instance::fresh();
        write(&instance.spool, "000000010000000000000001", FREE_SPOOL_BYTES);
        assert_eq!(instance.used(), 0);
        write(&instance.spool, "archtemp.000000010000000000000002", 100);
        assert_eq!(instance.used(), 100);
        let large = FREE_SPOOL_PART * FREE_SPOOL_BYTES;
        write(&instance.data, "base/16384/16385", large);
        assert_eq!(instance.used(), large, "a part of the data can wait");
    }

    #[test]
    fn links_are_not_followed() {
        let instance = Instance::fresh();
        std::os::unix::fs::symlink("/", instance.data.join("base/1/link")).unwrap();
        assert!(instance.used() < 10);
    }

    #[test]
    fn a_slow_count_is_not_repeated_immediately() {
        let counted = |took| StorageCount(Some(Counted { bytes: 7, ended: Instant::now(), took }));
        assert_eq!(counted(Duration::from_secs(10)).recent(), Some(7));
        assert_eq!(counted(Duration::ZERO).recent(), None);
        assert_eq!(StorageCount::default().recent(), None);
    }
}
