//! Builds a data directory from the present data of another cluster, or of the primary of the same one.
//!
//! A running server is in backup mode while its files are copied, and its WAL is copied up to the end of the backup, so
//! the copy is recovered like a base. The files of a suspended cluster are copied as they are. Its server is neither
//! started nor kept from starting: the copy is discarded if it starts in the meantime.

use super::{
    ServerState,
    base::{self, BackupSession},
    control_file::{self, CONTROL_FILE, ControlFile},
    data_files::{DataFiles, open_regular},
    label::LABEL,
    recovery::Recovery,
    unpack::write_file,
    wal::{Lsn, WAL_FOLDER, WalLayout},
};
use crate::{
    ClusterSource, Progress,
    files::{blocking, disk_space},
    postgres::{
        binaries::Programs,
        claim::Claim,
        copy::{FileCopy, can_share_blocks, make_private_folder},
        instance::Instance,
        missing::version_file,
        nodes::slots,
        owner::Owner,
        server::{MAX_WAL_BYTES, not_ready},
        shared::Shared,
        staging::create_data_folder,
        table::ClusterSlot,
    },
};
use ootheca_durable::failpoint;
use ootheca_model::{ClusterId, Error, Result, node::NodeId};
use std::{
    path::PathBuf,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::time::sleep;

const MIB: u64 = 1 << 20;
/// How often the state of the clusters is checked, and the progress is reported.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// How often WAL is copied while the files are. A server keeps only some of it, see `SLOT_WAL` in `server.rs`.
const WAL_INTERVAL: Duration = Duration::from_millis(100);
/// What the name of a file with the history of a timeline ends with.
const HISTORY: &str = ".history";
/// The progress when the files are copied.
const COPIED: f64 = 0.9;

impl Shared {
    /// Builds the present data of another cluster in the folder of a new instance of the cluster, which is returned. The
    /// data is neither adapted to the cluster nor durable yet.
    ///
    /// Returns `NotFound` if the source does not exist, `Stale` if another epoch of it serves, and `Unavailable` if its
    /// server starts or stops, also in the middle.
    pub(in crate::postgres) async fn clone_data(
        self: &Arc<Self>,
        cluster: ClusterId,
        programs: &Programs,
        id: &str,
        source: &ClusterSource,
    ) -> Result<PathBuf> {
        let from = self.instance_of(source)?;
        let (clone, copied) = self.copy_data(cluster, id, from, None, &source.progress).await?;
        let folder = self.context.instances().join(id);
        if copied != Copied::Complete {
            let recovery = Recovery {
                context: &self.context,
                id,
                programs,
                owner: &clone.owner,
                data: &clone.data,
                sockets: &self.context.run().join(id),
                log: &folder.join("log"),
            };
            let recovered = recovery.run(None, self.staging_interrupted(cluster)).await?;
            if matches!(copied, Copied::WithWal(end) if recovered < end) {
                return Err(Error::internal("the WAL of the copied data ends early"));
            }
            failpoint::reach("copied data recovered");
        }
        (source.progress)(1.0);
        Ok(folder)
    }

    /// Builds the present data of a primary in the folder of a new instance, which is returned. A standby can go on from
    /// there: its replication slot keeps the WAL that follows. The data is neither that of a standby nor durable yet.
    ///
    /// Returns `Unavailable` unless the primary runs, also if it stops in the middle.
    pub(in crate::postgres) async fn seed_data(
        self: &Arc<Self>,
        primary: &Arc<Instance>,
        node: NodeId,
        id: &str,
        progress: &Progress,
    ) -> Result<PathBuf> {
        let cluster = primary.cluster().ok_or_else(not_ready)?;
        let Progress(report) = progress;
        let (_, copied) = self.copy_data(cluster, id, primary.clone(), Some(node), report).await?;
        if !matches!(copied, Copied::WithWal(_)) {
            return Err(base::interrupted());
        }
        report(1.0);
        Ok(self.context.instances().join(id))
    }

    /// Copies the data of `from` to a new instance of the cluster.
    async fn copy_data(
        self: &Arc<Self>,
        cluster: ClusterId,
        id: &str,
        from: Arc<Instance>,
        standby: Option<NodeId>,
        report: &Report,
    ) -> Result<(Arc<DataClone>, Copied)> {
        let (unchanged, running) = match from.server_state()? {
            ServerState::Running => {
                let (from, server) = (from.clone(), from.ready_pid().ok_or_else(not_ready)?);
                let unchanged: Condition = Box::new(move || from.ready_pid() == Some(server));
                (unchanged, true)
            }
            ServerState::Stopped(states) => {
                let unchanged: Condition =
                    Box::new(move || states.has_changed().is_ok_and(|changed| !changed));
                (unchanged, false)
            }
        };
        let (folder, owner) = create_data_folder(&self.context, id).await?;
        let data = folder.join("data");
        make_private_folder(&data.join(WAL_FOLDER), &owner)?;
        let clone = Arc::new(DataClone {
            shared: self.clone(),
            cluster,
            from,
            standby,
            unchanged,
            data,
            owner,
            report: report.clone(),
            failed: AtomicBool::new(false),
        });
        let copied = if running { clone.copy_running().await } else { clone.copy_stopped().await };
        // A source that is being removed loses its files.
        let copied = copied.map_err(|error| match (clone.unchanged)() {
            true => error,
            false => base::interrupted().because(error),
        })?;
        failpoint::reach("data copied");
        report(COPIED as f32);
        Ok((clone, copied))
    }

    /// The instance with the present data of a cluster.
    fn instance_of(&self, source: &ClusterSource) -> Result<Arc<Instance>> {
        let exists = {
            let table = self.table();
            match table.clusters.get(&source.cluster) {
                Some(ClusterSlot::Removing(_)) => false,
                Some(_) => true,
                None => table.idle_of(source.cluster).next().is_some(),
            }
        };
        if !exists {
            return Err(Error::not_found("source cluster"));
        }
        self.serving_epoch(Claim::alone(source.cluster, source.epoch))
    }
}

type Condition = Box<dyn Fn() -> bool + Send + Sync>;
type Report = Arc<dyn Fn(f32) + Send + Sync>;

/// How the copied data becomes consistent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copied {
    /// Already consistent: the server was stopped cleanly.
    Complete,
    /// Like that of a server that has crashed.
    Crashed,
    /// With its WAL, which ends here.
    WithWal(Lsn),
}

/// A copy of the data of an instance.
struct DataClone {
    shared: Arc<Shared>,
    /// The cluster that gets the copy.
    cluster: ClusterId,
    from: Arc<Instance>,
    /// The standby of the source that the copy becomes, if it does.
    standby: Option<NodeId>,
    /// Whether the server of the source has neither started nor stopped.
    unchanged: Condition,
    /// The data directory of the copy.
    data: PathBuf,
    owner: Owner,
    report: Report,
    /// Whether the WAL could not be copied, so that the files are of no use.
    failed: AtomicBool,
}

impl DataClone {
    async fn copy_running(self: &Arc<Self>) -> Result<Copied> {
        let turn = async {
            let closed = |error| Error::internal("no copies are made any more").because(error);
            self.from.copies.acquire().await.map_err(closed)
        };
        let _turn = self.unless_interrupted(turn).await?;
        // The backup mode belongs to this session: if the session ends, so does the backup mode.
        let session = self.unless_interrupted(BackupSession::begin_with_wal(&self.from)).await?;
        let (data, is_standby) = (self.from.data(), self.standby.is_some());
        let (files, layout) = blocking(move || {
            let layout = WalLayout::read(&data.join(WAL_FOLDER))?;
            // A standby that is promoted continues the histories of the timelines.
            let files = DataFiles::list(&data, &|name| is_standby && name.ends_with(HISTORY))?;
            Ok((files, layout))
        })
        .await?;
        let mut wal = WalRange { layout, next: layout.containing(session.start) };
        self.copy_files_and_wal(files, &session, &mut wal).await?;
        let this = self.clone();
        blocking(move || {
            let content = control_file::content(&this.from.data())?;
            write_file(&this.data.join(CONTROL_FILE), &this.owner, &content)
        })
        .await?;
        if let Some(standby) = self.standby {
            // Before the end, so that all of the WAL that follows is kept.
            self.unless_interrupted(slots::ensure(&self.from, &[standby])).await?;
        }
        let end = self.unless_interrupted(session.end()).await?;
        self.copy_segments(&mut wal, layout.last_before(end.position) + 1).await?;
        let this = self.clone();
        blocking(move || write_file(&this.data.join(LABEL), &this.owner, end.label.as_bytes())).await?;
        Ok(Copied::WithWal(layout.start(wal.next)))
    }

    async fn copy_stopped(self: &Arc<Self>) -> Result<Copied> {
        let this = self.clone();
        blocking(move || {
            let (files, content, _) = base::list_stopped(&this.from.data())?;
            this.copy_files(files)?;
            write_file(&this.data.join(CONTROL_FILE), &this.owner, &content)?;
            this.check()?;
            let control = ControlFile::parse(&content)?;
            Ok(if control.shut_down { Copied::Complete } else { Copied::Crashed })
        })
        .await
    }

    /// Copies the files, and the WAL segments that end meanwhile. Returns when no file is being written any more.
    async fn copy_files_and_wal(
        self: &Arc<Self>,
        files: DataFiles,
        session: &BackupSession,
        wal: &mut WalRange,
    ) -> Result<()> {
        let this = self.clone();
        let mut copying = pin!(blocking(move || this.copy_files(files)));
        let mut followed = Ok(());
        let copied = loop {
            tokio::select! {
                copied = &mut copying => break copied,
                () = sleep(WAL_INTERVAL), if followed.is_ok() => {
                    followed = self.copy_ended_segments(session, wal).await;
                    self.failed.store(followed.is_err(), Ordering::Relaxed);
                }
            }
        };
        followed.and(copied)
    }

    /// Copies the segments that have ended, and allows the server to remove them.
    async fn copy_ended_segments(
        self: &Arc<Self>,
        session: &BackupSession,
        wal: &mut WalRange,
    ) -> Result<()> {
        let flushed = self.unless_interrupted(session.flushed()).await?;
        let current = wal.layout.containing(flushed);
        if current <= wal.next {
            return Ok(());
        }
        self.copy_segments(wal, current).await?;
        self.unless_interrupted(session.release_wal(wal.layout.start(wal.next))).await
    }

    /// Copies the segments before `end`.
    async fn copy_segments(self: &Arc<Self>, wal: &mut WalRange, end: u64) -> Result<()> {
        let names: Vec<String> = (wal.next..end).map(|number| wal.layout.name(number)).collect();
        let this = self.clone();
        blocking(move || {
            let (from, to) = (this.from.data().join(WAL_FOLDER), this.data.join(WAL_FOLDER));
            let mut check = |_: u64| this.check().and_then(|()| this.check_space(0));
            let mut copy = FileCopy::new(&this.owner, &mut check);
            for name in names {
                let (segment, bytes) = open_regular(&from.join(&name)).map_err(|error| {
                    Error::unavailable("a WAL segment could not be copied in time").because(error)
                })?;
                copy.file(&segment, bytes, &to.join(&name))?;
            }
            Ok(())
        })
        .await?;
        wal.next = wal.next.max(end);
        Ok(())
    }

    /// Copies the files. Blocks.
    fn copy_files(&self, files: DataFiles) -> Result<()> {
        let total = files.remaining_bytes();
        self.check_space(total)?;
        (self.report)(0.0);
        let (mut copied, mut checked) = (0, Instant::now());
        let mut advance = |bytes: u64| -> Result<()> {
            copied += bytes;
            if checked.elapsed() < CHECK_INTERVAL {
                return Ok(());
            }
            self.check()?;
            // Others write at the same time.
            self.check_space(0)?;
            // It only informs, so it does not have to be exact.
            (self.report)((COPIED * (copied as f64 / total.max(1) as f64).min(1.0)) as f32);
            checked = Instant::now();
            Ok(())
        };
        files.copy_to(&self.data, &mut FileCopy::new(&self.owner, &mut advance))
    }

    /// Besides the files, the server needs space for WAL.
    fn check_space(&self, bytes: u64) -> Result<()> {
        let Some(space) = disk_space(&self.data) else { return Ok(()) };
        let spare = MAX_WAL_BYTES.saturating_add(self.shared.context.settings.disk_reserve_bytes);
        let mut needed = bytes.saturating_add(spare);
        if space.free_bytes < needed && self.shares_blocks() {
            needed = spare;
        }
        if space.free_bytes >= needed {
            return Ok(());
        }
        Err(Error::precondition(format!(
            "the copy of the data needs {} MiB of disk space, and {} MiB are free",
            needed.div_ceil(MIB),
            space.free_bytes / MIB
        )))
    }

    fn shares_blocks(&self) -> bool {
        let file = open_regular(&version_file(&self.from.data()));
        file.is_ok_and(|(file, _)| can_share_blocks(&file, &self.data))
    }

    /// Waits for the server, which can take long, unless the copy is interrupted.
    async fn unless_interrupted<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let interrupted = async {
            loop {
                sleep(CHECK_INTERVAL).await;
                if let Err(error) = self.check() {
                    return error;
                }
            }
        };
        tokio::select! {
            done = work => done,
            error = interrupted => Err(error),
        }
    }

    /// `Unavailable` once the copy is of no use.
    fn check(&self) -> Result<()> {
        if self.shared.is_staging_interrupted(self.cluster) || self.failed.load(Ordering::Relaxed) {
            return Err(Error::unavailable("the copy of the data was interrupted"));
        }
        if (self.unchanged)() { Ok(()) } else { Err(base::interrupted()) }
    }
}

/// The WAL segments that remain to be copied.
struct WalRange {
    layout: WalLayout,
    /// The number of the first one.
    next: u64,
}
