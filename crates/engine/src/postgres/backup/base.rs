//! Copies the data directory of an instance, whether its server runs or not. `clone.rs` copies it to another instance.

use super::{
    ServerState, archiving_off,
    control_file::{self, CONTROL_FILE, ControlFile},
    data_files::{DataFiles, PART},
    label::{self, LABEL},
    tar_stream::{self, BLOCK},
    wal::{Lsn, WAL_FOLDER, WalLayout},
};
use crate::{
    backup::{BaseInfo, BaseWriter},
    files::blocking,
    postgres::{
        deadline::{CHECKPOINT_TIMEOUT, response, within},
        instance::{Instance, InstanceState},
        server::{self, SET_CHECKPOINT_STATEMENT_TIMEOUT, not_ready},
        statement_error::StatementError,
    },
};
use ootheca_model::{Error, Result};
use std::{ops::RangeInclusive, path::Path};
use tokio::{io::AsyncWriteExt as _, sync::watch};
use tokio_postgres::{Client, Row};

const ARCHIVE_MODE: &str = "SELECT current_setting('archive_mode')";

impl Instance {
    /// Writes a base of the instance.
    pub(in crate::postgres) async fn copy_base(&self, to: BaseWriter<'_>) -> Result<BaseInfo> {
        match self.server_state()? {
            ServerState::Running => self.copy_running(to).await,
            ServerState::Stopped(states) => self.copy_stopped(&states, to).await,
        }
    }

    async fn copy_running(&self, to: BaseWriter<'_>) -> Result<BaseInfo> {
        let server = self.ready_pid().ok_or_else(not_ready)?;
        // The backup belongs to this session: if it ends, so does the backup.
        let session = BackupSession::begin_archived(self).await?;
        let data = self.data();
        let files = blocking({
            let data = data.clone();
            move || DataFiles::list(&data, &|_| false)
        })
        .await?;
        let bytes = write_files(files, to, || self.ready_pid() == Some(server)).await?;
        let (control_file, layout) = blocking(move || {
            let layout = WalLayout::read(&data.join(WAL_FOLDER))?;
            Ok((control_file::content(&data)?, layout))
        })
        .await?;
        let end = session.end().await?;
        drop(session);
        let mut rest = tar_stream::file(CONTROL_FILE, &control_file)?;
        rest.extend(tar_stream::file(LABEL, end.label.as_bytes())?);
        write_end(rest, to).await?;
        Ok(BaseInfo {
            engine_major: self.programs.major.to_string(),
            first_segment: end.first_segment,
            last_segment: layout.name(layout.last_before(end.position)),
            bytes: bytes + control_file.len() as u64,
        })
    }

    async fn copy_stopped(
        &self,
        states: &watch::Receiver<InstanceState>,
        to: BaseWriter<'_>,
    ) -> Result<BaseInfo> {
        let unchanged = || states.has_changed().is_ok_and(|changed| !changed);
        let data = self.data();
        let (files, control_file, first_segment) = blocking(move || list_stopped(&data)).await?;
        let bytes = write_files(files, to, unchanged).await?;
        write_end(tar_stream::file(CONTROL_FILE, &control_file)?, to).await?;
        if !unchanged() {
            return Err(interrupted());
        }
        Ok(BaseInfo {
            engine_major: self.programs.major.to_string(),
            first_segment,
            last_segment: String::new(),
            bytes: bytes + control_file.len() as u64,
        })
    }
}

/// The files of a server that does not run, the content of `pg_control`, and the segment of its last checkpoint, which
/// is in the copy, but has to be replaced by the archived one if later WAL is added.
pub(super) fn list_stopped(data: &Path) -> Result<(DataFiles, Vec<u8>, String)> {
    let content = control_file::content(data)?;
    let control = ControlFile::parse(&content)?;
    let layout = WalLayout::read(&data.join(WAL_FOLDER))?;
    let needed = needed_segments(&control, layout);
    let is_needed = |name: &str| layout.number(name).is_some_and(|number| needed.contains(&number));
    Ok((DataFiles::list(data, &is_needed)?, content, layout.name(*needed.start())))
}

/// The segments from the last checkpoint on. After a clean stop, nothing follows the checkpoint.
fn needed_segments(control: &ControlFile, layout: WalLayout) -> RangeInclusive<u64> {
    let last = if control.shut_down { layout.containing(control.checkpoint) + 1 } else { u64::MAX };
    layout.containing(control.redo)..=last
}

/// Writes the files. Returns their size. `Unavailable` once `unchanged` returns false.
async fn write_files(mut files: DataFiles, to: BaseWriter<'_>, unchanged: impl Fn() -> bool) -> Result<u64> {
    let mut part = Vec::with_capacity(PART + 2 * BLOCK);
    loop {
        let (rest, filled, more) = blocking(move || {
            let more = files.read(&mut part)?;
            Ok((files, part, more))
        })
        .await?;
        (files, part) = (rest, filled);
        to.write_all(&part).await.map_err(not_written)?;
        part.clear();
        if !unchanged() {
            return Err(interrupted());
        }
        if !more {
            return Ok(files.bytes());
        }
    }
}

/// Writes the last entries and the end of the stream.
async fn write_end(mut entries: Vec<u8>, to: BaseWriter<'_>) -> Result<()> {
    entries.extend(tar_stream::END);
    to.write_all(&entries).await.map_err(not_written)?;
    to.flush().await.map_err(not_written)
}

fn not_written(error: std::io::Error) -> Error {
    Error::unavailable("the base could not be written").because(error)
}

pub(super) fn interrupted() -> Error {
    Error::unavailable("the SQL server was started or stopped while its data was copied")
}

/// A session in which the server is in backup mode, which ends with it.
pub(super) struct BackupSession {
    client: Client,
    statements: Statements,
    /// Where the WAL begins that makes the copy consistent.
    pub(super) start: Lsn,
}

/// What the server returns at the end of the backup mode.
pub(super) struct BackupEnd {
    pub(super) label: String,
    first_segment: String,
    /// Where the WAL ends that makes the copy consistent. Its segment has ended.
    pub(super) position: Lsn,
}

/// The functions have other names since PostgreSQL 15.
struct Statements {
    begin: &'static str,
    end: &'static str,
}

const STATEMENTS_14: Statements = Statements {
    begin: "SELECT pg_start_backup('ootheca', true, false)::text",
    end: "SELECT lsn::text, labelfile, spcmapfile FROM pg_stop_backup(false, false)",
};
const STATEMENTS_15: Statements = Statements {
    begin: "SELECT pg_backup_start('ootheca', true)::text",
    end: "SELECT lsn::text, labelfile, spcmapfile FROM pg_backup_stop(false)",
};

/// Keeps WAL until the session ends. Several sessions can do so at the same time.
const KEEP_WAL: &str =
    "SELECT pg_create_physical_replication_slot(('ootheca_' || pg_backend_pid())::name, true, true)";
const FLUSHED: &str = "SELECT pg_current_wal_flush_lsn()::text";

impl BackupSession {
    /// Begins a backup of a server that archives its WAL.
    async fn begin_archived(instance: &Instance) -> Result<Self> {
        let client = server::connect(&instance.context, &instance.sockets(), "postgres").await?;
        let mode = response(client.query_one(ARCHIVE_MODE, &[]), not_begun).await?;
        if mode.try_get::<_, String>(0).map_err(not_begun)? == "off" {
            return Err(archiving_off());
        }
        Self::begin(client, instance.programs.major).await
    }

    /// Begins a backup whose WAL the server keeps until the session ends, or until it is released.
    pub(super) async fn begin_with_wal(instance: &Instance) -> Result<Self> {
        let client = server::connect(&instance.context, &instance.sockets(), "postgres").await?;
        let session = Self::begin(client, instance.programs.major).await?;
        // After the checkpoint: a slot from before it would hold back more WAL than a server keeps, and be terminated.
        response(session.client.batch_execute(KEEP_WAL), not_begun).await?;
        Ok(session)
    }

    /// Waits for the checkpoint with which a backup begins.
    async fn begin(client: Client, major: u32) -> Result<Self> {
        let statements = if major < 15 { STATEMENTS_14 } else { STATEMENTS_15 };
        let begin = async {
            client.batch_execute(SET_CHECKPOINT_STATEMENT_TIMEOUT).await.map_err(not_begun)?;
            client.query_one(statements.begin, &[]).await.map_err(not_begun)
        };
        let row = within(CHECKPOINT_TIMEOUT, begin).await?;
        let start: String = row.try_get(0).map_err(not_begun)?;
        let start = Lsn::parse(&start).ok_or_else(unexpected_position)?;
        Ok(Self { client, statements, start })
    }

    /// Up to where the WAL is in its files.
    pub(super) async fn flushed(&self) -> Result<Lsn> {
        let failed = |error| StatementError::from(error).other("read the position in the WAL");
        let row = response(self.client.query_one(FLUSHED, &[]), failed).await?;
        let position: String = row.try_get(0).map_err(failed)?;
        Lsn::parse(&position).ok_or_else(unexpected_position)
    }

    /// Allows the server to remove the WAL before a position, because a server keeps a limited amount of it.
    pub(super) async fn release_wal(&self, before: Lsn) -> Result<()> {
        let failed = |error| StatementError::from(error).other("release the WAL");
        // The slot can begin later than the backup.
        let statement = format!(
            "SELECT pg_replication_slot_advance(slot_name, greatest(restart_lsn, '{before}')) \
             FROM pg_replication_slots WHERE slot_name = ('ootheca_' || pg_backend_pid())::name"
        );
        response(self.client.batch_execute(&statement), failed).await
    }

    /// Ends the backup mode. WAL is still kept.
    pub(super) async fn end(&self) -> Result<BackupEnd> {
        let failed = |error| StatementError::from(error).other("end a backup");
        let row = response(self.client.query_one(self.statements.end, &[]), failed).await?;
        let [position, label, tablespaces] = texts(&row).map_err(failed)?;
        if !tablespaces.is_empty() {
            return Err(Error::precondition("tablespaces can't be backed up"));
        }
        let unexpected = || Error::internal("the SQL server returned an unexpected backup label");
        let first_segment = label::start_segment(&label).ok_or_else(unexpected)?.to_owned();
        let position = Lsn::parse(&position).ok_or_else(unexpected)?;
        Ok(BackupEnd { label, first_segment, position })
    }
}

fn not_begun(error: tokio_postgres::Error) -> Error {
    StatementError::from(error).other("begin a backup")
}

fn unexpected_position() -> Error {
    Error::internal("the SQL server returned an unexpected position in the WAL")
}

/// The columns of a row. NULL is empty.
fn texts<const COLUMNS: usize>(row: &Row) -> Result<[String; COLUMNS], tokio_postgres::Error> {
    let mut columns = [const { String::new() }; COLUMNS];
    for (at, column) in columns.iter_mut().enumerate() {
        *column = row.try_get::<_, Option<String>>(at)?.unwrap_or_default();
    }
    Ok(columns)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_a_stopped_server_begin_with_its_last_checkpoint() {
        let layout = WalLayout::of("000000010000000000000001", 1 << 20).unwrap();
        let (redo, checkpoint) = (layout.start(7), Lsn(layout.start(9).0 + 100));
        let stopped = ControlFile { shut_down: true, checkpoint, redo: checkpoint };
        assert_eq!(needed_segments(&stopped, layout), 9..=10);
        let crashed = ControlFile { shut_down: false, checkpoint, redo };
        assert_eq!(needed_segments(&crashed, layout), 7..=u64::MAX);
    }
}
