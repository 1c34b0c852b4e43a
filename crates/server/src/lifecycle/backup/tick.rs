//! Takes one backup: stores WAL, copies a new base if it is time for one, and commits the recovery point.

use super::{
    newest::{self, Newest, inserted},
    retention,
    unchanged::{self, Extension, has_configuration_of},
    wal,
};
use crate::{
    documents::{self, Stored},
    ids::fresh_id,
    lifecycle::Lifecycle,
};
use ootheca_backups::{Archive, Repository};
use ootheca_durable::failpoint;
use ootheca_model::{
    Cluster, Error, Result, Timestamp,
    backup::{BackupId, Base, RecoveryPoint, backup_time},
};
use ootheca_store::{Batch, Lease, Mutation};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep},
};

/// The age after which changed data gets a new base.
const BASE_AGE: Duration = Duration::from_secs(24 * 3600);
/// How long to wait for the WAL that a new base needs.
const ARCHIVE_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The bytes of a base that wait to be stored.
const BUFFER: usize = 256 * 1024;

/// Since when a backup is being taken without waiting for those of other clusters; `None` while it waits.
#[derive(Clone)]
pub(super) struct Work(Arc<Mutex<Option<Instant>>>);

impl Work {
    /// A backup that begins now.
    pub(super) fn begin() -> Self {
        Self(Arc::new(Mutex::new(Some(Instant::now()))))
    }

    /// Waits for something that backups of other clusters hold.
    async fn wait<T>(&self, turn: impl Future<Output = T>) -> T {
        *self.0.lock() = None;
        let result = turn.await;
        *self.0.lock() = Some(Instant::now());
        result
    }

    /// How long the backup has not waited for others; `None` while it waits.
    pub(super) fn elapsed(&self) -> Option<Duration> {
        self.0.lock().map(|since| since.elapsed())
    }
}

/// Takes a backup of a cluster. Returns what the next one depends on. `newest` can be outdated; then the result is
/// `Stale`. The cluster is neither resumed nor kept from being suspended.
pub(super) async fn run(
    lifecycle: &Lifecycle,
    cluster: &Cluster,
    newest: Newest,
    lease: Lease,
    work: &Work,
) -> Result<Newest> {
    let mut tick = Tick::begin(lifecycle, cluster, newest, lease).await?;
    let position = tick.end_segment().await?;
    if tick.has_gap(&position) {
        tick.end_base().await?;
    }
    let newest = match tick.newest.base_of(cluster.epoch).filter(|base| !tick.is_outdated(base, &position)) {
        Some(base) => {
            let base = base.clone();
            tick.continue_base(base, position).await?
        }
        None => tick.begin_base(&position, work).await?,
    };
    lifecycle.backups.count(|counts| counts.stored_bytes += tick.stored_bytes);
    Ok(newest)
}

/// Stores WAL that waits, so that it doesn't have to wait for the next backup. `newest` must be that of the store and
/// contain a base of the cluster's data epoch.
pub(super) async fn store_ahead(
    lifecycle: &Lifecycle,
    cluster: &Cluster,
    newest: Newest,
    segments: Vec<String>,
    lease: Lease,
) -> Result<()> {
    let (Some(base), Some(last)) = (newest.base_of(cluster.epoch).cloned(), segments.last().cloned()) else {
        return Ok(());
    };
    let mut tick = Tick::begin(lifecycle, cluster, newest, lease).await?;
    let position =
        Position { time: lifecycle.context.now(), last_segment: last.clone(), changed: true, segments };
    if tick.has_gap(&position) {
        return tick.end_base().await;
    }
    let stored = tick.newest.stored_segment(cluster.epoch).to_owned();
    tick.store_segments(&base.value, &stored, &position).await?;
    tick.commit(vec![newest::stored_ahead(&base, &last, tick.wal_bytes)?]).await?;
    lifecycle.backups.count(|counts| counts.stored_bytes += tick.stored_bytes);
    tick.remove_segments(&position).await;
    Ok(())
}

struct Tick<'a> {
    lifecycle: &'a Lifecycle,
    cluster: &'a Cluster,
    repository: Repository,
    archive: Archive,
    newest: Newest,
    lease: Lease,
    /// Bytes of WAL that were stored.
    wal_bytes: u64,
    /// Bytes that they and the base need in the repository.
    stored_bytes: u64,
}

/// Where the WAL ended at a time.
struct Position {
    /// Everything that was committed until then is in `last_segment` or before.
    time: Timestamp,
    last_segment: String,
    /// Whether the engine reports a change. After its start it always does.
    changed: bool,
    /// The segments that are ready to be stored.
    segments: Vec<String>,
}

impl<'a> Tick<'a> {
    async fn begin(
        lifecycle: &'a Lifecycle,
        cluster: &'a Cluster,
        newest: Newest,
        lease: Lease,
    ) -> Result<Self> {
        let repository = lifecycle.backups.repository(&lifecycle.context).await?;
        let archive = Archive { cluster: cluster.id, epoch: cluster.epoch };
        Ok(Self { lifecycle, cluster, repository, archive, newest, lease, wal_bytes: 0, stored_bytes: 0 })
    }

    async fn end_segment(&self) -> Result<Position> {
        let (id, epoch) = (self.cluster.id, self.cluster.epoch);
        let (context, engine) = (&self.lifecycle.context, &self.lifecycle.context.engine);
        let time = backup_time(context.now(), self.newest.unchanged_until());
        let end = engine.end_segment(id, epoch).await?;
        // The engine may have forgotten the name of a segment that was stored.
        let last_segment = end.last_segment.max(self.newest.stored_segment(epoch).to_owned());
        let segments = engine.segments(id, epoch).await?;
        Ok(Position { time, last_segment, changed: end.changed, segments })
    }

    /// The same once the WAL that a new base needs is ready.
    async fn end_of(&self, base: &Base) -> Result<Position> {
        let deadline = Instant::now() + ARCHIVE_TIMEOUT;
        loop {
            let position = self.end_segment().await?;
            if missing_segment(base, "", &position).is_none() || Instant::now() >= deadline {
                return Ok(position);
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Whether WAL after the newest recovery point was never archived, as while backups were disabled.
    fn has_gap(&self, position: &Position) -> bool {
        wal::has_gap(self.newest.stored_segment(self.cluster.epoch), &position.segments)
    }

    /// Ends the chain of the newest base, so that nothing is restored across missing WAL.
    async fn end_base(&mut self) -> Result<()> {
        let base = self.newest.base.take().filter(|base| base.value.epoch == self.cluster.epoch);
        let Some(base) = base else { return Ok(()) };
        let end = newest::end(&base, self.lifecycle.context.now())?;
        self.commit(vec![end]).await
    }

    /// Whether there is WAL that the newest recovery point does not contain.
    fn has_new_wal(&self, position: &Position) -> bool {
        position.last_segment != self.newest.last_segment(self.cluster.epoch)
    }

    /// Whether it is time for a new base.
    fn is_outdated(&self, base: &Stored<Base>, position: &Position) -> bool {
        let is_old = position.time.since(base.value.created_at) >= BASE_AGE;
        (is_old && self.has_new_wal(position)) || self.newest.is_too_long(position.segments.len())
    }

    /// Stores WAL that follows the base.
    async fn continue_base(&mut self, mut base: Stored<Base>, position: Position) -> Result<Newest> {
        let known = self.newest.point_of(self.cluster.epoch).cloned();
        let stored = self.newest.stored_segment(self.cluster.epoch).to_owned();
        self.store_segments(&base.value, &stored, &position).await?;
        let is_changed = position.changed || self.has_new_wal(&position);
        let same = known.filter(|known| !is_changed && has_configuration_of(&known.value, self.cluster));
        let point = match same {
            Some(known) => self.extend(&known, position.time).await?,
            None => {
                let point = self.recovery_point(&base.value, &position);
                // Fails if the base was ended, or released because it had no recovery points.
                self.commit(vec![documents::touch(&base.row), documents::insert(&point)?]).await?;
                base.row.revision += 1;
                self.lifecycle.backups.count(|counts| counts.stored += 1);
                inserted(point)
            }
        };
        self.remove_segments(&position).await;
        let wal_bytes = self.newest.wal_bytes + self.wal_bytes;
        Ok(Newest { point: Some(point), base: Some(base), wal_bytes })
    }

    /// Copies a base, and stores the WAL that it needs.
    async fn begin_base(&mut self, before: &Position, work: &Work) -> Result<Newest> {
        let base = self.copy_base(before, work).await?;
        let position = match self.store_wal_of(&base).await {
            Ok(position) => position,
            Err(error) => {
                self.remove_copy(&base).await;
                return Err(error);
            }
        };
        let point = self.recovery_point(&base, &position);
        self.commit(vec![documents::insert(&base)?, documents::insert(&point)?]).await?;
        self.lifecycle.backups.count(|counts| counts.stored += 1);
        self.remove_segments(&position).await;
        if let Err(error) = retention::sweep(self.lifecycle, &self.repository, self.archive).await {
            let cluster = self.cluster.id;
            tracing::warn!(%cluster, error = error.chain(), "outdated objects of backups not removed");
        }
        Ok(Newest { point: Some(inserted(point)), base: Some(inserted(base)), wal_bytes: self.wal_bytes })
    }

    /// Stores the WAL that a new base needs.
    async fn store_wal_of(&mut self, base: &Base) -> Result<Position> {
        let position = self.end_of(base).await?;
        self.store_segments(base, "", &position).await?;
        Ok(position)
    }

    /// Removes a base for which no commit was tried. Otherwise, each attempt would leave another one.
    async fn remove_copy(&self, base: &Base) {
        if let Err(error) = self.repository.remove_base(self.archive, &base.id).await {
            let cluster = self.cluster.id;
            tracing::debug!(%cluster, error = error.chain(), "base without its WAL not removed");
        }
    }

    async fn copy_base(&mut self, before: &Position, work: &Work) -> Result<Base> {
        let Tick { lifecycle, cluster, archive, .. } = *self;
        let _permit = work.wait(lifecycle.backups.begin_copy()).await?;
        let (id, engine) = (fresh_id().to_string(), &lifecycle.context.engine);
        let created_at = backup_time(lifecycle.context.now(), self.newest.unchanged_until());
        let (content, mut writer) = tokio::io::duplex(BUFFER);
        let written = async move {
            let info = engine.copy_base(cluster.id, cluster.epoch, &mut writer).await?;
            let closed = writer.shutdown().await;
            closed.map_err(|error| Error::unavailable("could not store the base").because(error))?;
            Ok::<_, Error>(info)
        };
        let (info, stored_bytes) = self.repository.put_base(archive, &id, content, written).await?;
        failpoint::reach("base stored");
        self.stored_bytes += stored_bytes;
        // Such a copy contains all WAL until then. The last segment is recorded to know which ones follow.
        let last_segment = match info.first_segment.is_empty() {
            true => before.last_segment.clone(),
            false => info.last_segment,
        };
        Ok(Base {
            id,
            organization: cluster.organization,
            cluster: cluster.id,
            epoch: cluster.epoch,
            engine_major: info.engine_major,
            first_segment: info.first_segment,
            last_segment,
            bytes: info.bytes,
            stored_bytes,
            created_at,
            stored_segment: String::new(),
            wal_bytes: 0,
            verified_at: None,
            damaged: false,
        })
    }

    /// Stores the segments that restores with `base` need. Those up to `stored` are already stored. If `base` replaces
    /// another one, the segments between them are stored as well, so that every moment between two recovery points can
    /// be restored.
    async fn store_segments(&mut self, base: &Base, stored: &str, position: &Position) -> Result<()> {
        let (id, epoch) = (self.cluster.id, self.cluster.epoch);
        if let Some(missing) = missing_segment(base, stored, position) {
            return Err(Error::unavailable(format!("the WAL segment {missing} is not ready to be stored")));
        }
        let replaced = self.newest.base_of(epoch).map(|_| self.newest.stored_segment(epoch).to_owned());
        let is_between = |name: &str| replaced.as_deref().is_some_and(|last| name > last);
        for name in &position.segments {
            let is_needed = wal::needs(base, name);
            if !is_needed && !is_between(name) {
                continue;
            }
            let content = self.lifecycle.context.engine.read_segment(id, epoch, name).await?;
            if is_needed {
                self.wal_bytes += wal::used_bytes(&content);
            }
            self.stored_bytes += self.repository.put_segment(self.archive, name, content).await?;
            failpoint::reach("WAL segment stored");
        }
        Ok(())
    }

    fn recovery_point(&self, base: &Base, position: &Position) -> RecoveryPoint {
        let configuration = self.cluster.backup_configuration();
        let time = position.time.max(base.created_at);
        RecoveryPoint {
            id: BackupId::new(self.cluster.id, time),
            organization: self.cluster.organization,
            cluster: self.cluster.id,
            epoch: self.cluster.epoch,
            base: base.id.clone(),
            last_segment: last_segment(base, position).to_owned(),
            as_of_time: time,
            unchanged_until: time,
            frequency_minutes: configuration.frequency_minutes,
            retention_days: configuration.retention_days,
            damaged: false,
        }
    }

    async fn extend(&self, known: &Stored<RecoveryPoint>, until: Timestamp) -> Result<Stored<RecoveryPoint>> {
        let written =
            unchanged::write(self.lifecycle, vec![Extension::new(known, until)], &self.lease).await?;
        written.into_iter().next().ok_or_else(unchanged::stale)
    }

    async fn commit(&self, mutations: Vec<Mutation>) -> Result<()> {
        let fence = Some(self.lease.clone());
        let batch = Batch { mutations, fence, quiet: true, ..Batch::server("backup") };
        self.lifecycle.context.store.commit(batch, self.lifecycle.context.now()).await.map(drop)
    }

    /// Segments that are not removed are stored again by the next backup.
    async fn remove_segments(&self, position: &Position) {
        let Some(last) = position.segments.last() else { return };
        let cluster = self.cluster.id;
        let removed = self.lifecycle.context.engine.remove_segments(cluster, self.cluster.epoch, last).await;
        if let Err(error) = removed {
            tracing::debug!(%cluster, error = error.chain(), "stored WAL not removed from the engine");
        }
    }
}

/// The last segment that a recovery point at this position needs.
fn last_segment<'a>(base: &'a Base, position: &'a Position) -> &'a str {
    position.last_segment.as_str().max(base.last_segment.as_str())
}

/// The last segment of a recovery point at this position, if it is neither stored nor ready. Those up to `stored` are
/// stored.
fn missing_segment<'a>(base: &'a Base, stored: &str, position: &'a Position) -> Option<&'a str> {
    let last = last_segment(base, position);
    let is_missing =
        wal::needs(base, last) && last > stored && !position.segments.iter().any(|ready| ready == last);
    is_missing.then_some(last)
}
