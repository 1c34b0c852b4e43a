//! Reads a backup from the repository for a restore.

use super::wal;
use async_trait::async_trait;
use ootheca_backups::{Archive, Repository};
use ootheca_engine::backup::{BackupReader, BaseReader};
use ootheca_model::{Error, ErrorKind, Result, Timestamp, backup::Base};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// The progress of a restore, from 0 to 1. It never decreases.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<AtomicU32>);

impl Progress {
    pub(super) fn fraction(&self) -> f32 {
        f32::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// The order of positive floats is that of their bits.
    pub(crate) fn report(&self, fraction: f32) {
        if fraction > 0.0 {
            self.0.fetch_max(fraction.min(1.0).to_bits(), Ordering::Relaxed);
        }
    }
}

/// A backup in the repository.
#[derive(Debug)]
pub(crate) struct RepositoryReader {
    repository: Repository,
    archive: Archive,
    base: Base,
    segments: Vec<String>,
    target_time: Option<Timestamp>,
    progress: Progress,
}

impl RepositoryReader {
    /// The base, and the WAL that follows it until `last`: the last segment of a recovery point, or that of the moment
    /// `target_time` between two of them. `Internal` if WAL is missing.
    pub(crate) async fn open(
        repository: Repository,
        base: Base,
        last: &str,
        target_time: Option<Timestamp>,
        progress: Progress,
    ) -> Result<Self> {
        let archive = Archive { cluster: base.cluster, epoch: base.epoch };
        let mut segments = Vec::new();
        if wal::needs(&base, last) {
            segments = repository.segments(archive, wal::bound(&base).unwrap_or_default()).await?;
            segments.retain(|name| wal::needs(&base, name) && name.as_str() <= last);
            if segments.last().map(String::as_str) != Some(last) {
                return Err(Error::internal(format!("the WAL segment {last} of the backup is missing")));
            }
        }
        Ok(Self { repository, archive, base, segments, target_time, progress })
    }
}

/// The rows of the backup exist, so a missing object is damage.
fn missing(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::internal("an object of the backup is missing").because(error),
        _ => error,
    }
}

#[async_trait]
impl BackupReader for RepositoryReader {
    async fn base(&self) -> Result<BaseReader> {
        self.repository.read_base(self.archive, &self.base.id).await.map_err(missing)
    }

    fn base_bytes(&self) -> u64 {
        self.base.bytes
    }

    fn engine_major(&self) -> &str {
        &self.base.engine_major
    }

    fn segments(&self) -> &[String] {
        &self.segments
    }

    async fn segment(&self, name: &str) -> Result<Vec<u8>> {
        self.repository.read_segment(self.archive, name).await.map_err(missing)
    }

    fn target_time(&self) -> Option<Timestamp> {
        self.target_time
    }

    fn progress(&self, fraction: f32) {
        self.progress.report(fraction);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_never_decreases_and_stays_between_0_and_1() {
        let progress = Progress::default();
        let mut seen = Vec::new();
        for fraction in [0.0, 0.25, 0.125, -1.0, f32::NAN, 0.5, 7.0] {
            progress.report(fraction);
            seen.push(progress.fraction());
        }
        assert_eq!(seen, [0.0, 0.25, 0.25, 0.25, 0.25, 0.5, 1.0]);
    }
}
