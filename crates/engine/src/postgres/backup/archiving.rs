//! Ends WAL segments, and waits until the server has archived them.

use super::{
    ServerState, archiving_off,
    control_file::ControlFile,
    wal::{Lsn, WAL_FOLDER, WalLayout},
};
use crate::{
    backup::WalEnd,
    files::{blocking, names_in},
    postgres::{
        control_session::ControlSession, deadline::within_deadline, instance::Instance, meter,
        server::not_ready, statement_error::StatementError,
    },
};
use ootheca_durable::failpoint;
use ootheca_model::{Error, Result};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

const POLL_INTERVAL: Duration = Duration::from_millis(3);
/// The time limit for the server to archive a segment. After failures, it tries again only after a minute.
const ARCHIVE_TIMEOUT: Duration = Duration::from_secs(60);
/// The status of segments that the server has archived, and of those that it has not archived yet.
const STATUS_FOLDER: &str = "archive_status";
const ARCHIVED: &str = ".done";
const NOT_ARCHIVED: &str = ".ready";

/// The transactions that have ended identify the data: nothing else changes what a cluster contains. The position in
/// the WAL does not, because ending a segment leads to records of checkpoints, which would be changes again.
const SNAPSHOT: &str = "SELECT pg_current_snapshot()::text, current_setting('archive_mode')";
const SWITCH: &str = "SELECT pg_switch_wal()::text, ''";

/// The last segment that was ended for a backup.
#[derive(Debug, Default)]
pub(in crate::postgres) struct LastSegment(tokio::sync::Mutex<Option<Ended>>);

#[derive(Debug)]
struct Ended {
    /// The name of the segment; empty if none was archived.
    segment: String,
    /// The transactions before the end of the segment; `None` if the server did not run.
    snapshot: Option<String>,
}

impl Instance {
    /// Ends the current segment if the data may have changed since the previous call.
    pub(in crate::postgres) async fn end_segment(self: &Arc<Self>) -> Result<WalEnd> {
        let mut last = self.last_segment.0.lock().await;
        // Segments that are still there were not stored, so the result of the previous call was not used.
        let stored = self.segments().await?.is_empty();
        let (ended, changed) = match self.server_state()? {
            ServerState::Running => {
                let snapshot = self.snapshot().await?;
                match last.take() {
                    Some(ended) if stored && ended.snapshot.as_deref() == Some(&*snapshot) => (ended, false),
                    _ => (Ended { segment: self.switch_segment().await?, snapshot: Some(snapshot) }, true),
                }
            }
            ServerState::Stopped(_) => {
                let data = self.data();
                let segment = blocking(move || last_of_stopped(&data)).await?;
                let known = last.take().filter(|ended| ended.segment == segment);
                let changed = !stored || known.is_none();
                (known.unwrap_or(Ended { segment, snapshot: None }), changed)
            }
        };
        let last_segment = ended.segment.clone();
        *last = Some(ended);
        Ok(WalEnd { last_segment, changed })
    }

    /// The transactions that have ended. `Precondition` if the server does not archive WAL.
    async fn snapshot(self: &Arc<Self>) -> Result<String> {
        let [snapshot, archive_mode] = self.ask(SNAPSHOT).await?;
        if archive_mode == "off" { Err(archiving_off()) } else { Ok(snapshot) }
    }

    /// Ends the current segment unless it is empty. Returns the last segment before the end, once it is archived.
    async fn switch_segment(self: &Arc<Self>) -> Result<String> {
        let [end, _] = self.ask(SWITCH).await?;
        let end = Lsn::parse(&end).ok_or_else(unexpected)?;
        let wal = self.data().join(WAL_FOLDER);
        let layout = blocking({
            let wal = wal.clone();
            move || WalLayout::read(&wal)
        })
        .await?;
        let segment = layout.name(layout.last_before(end));
        let archived = async {
            while !is_archived(&wal, &segment) {
                self.ready_pid().ok_or_else(not_ready)?;
                sleep(POLL_INTERVAL).await;
            }
            Ok::<(), Error>(())
        };
        timeout(ARCHIVE_TIMEOUT, archived).await.unwrap_or_else(|late| {
            Err(Error::unavailable("the SQL server did not archive its WAL in time; see its log")
                .because(late))
        })?;
        failpoint::reach("WAL segment archived");
        Ok(segment)
    }

    /// Runs a statement that returns a row with two texts, in the session that reads the counters.
    async fn ask(self: &Arc<Self>, statement: &'static str) -> Result<[String; 2]> {
        let failed = |error| StatementError::from(error).other("end a WAL segment");
        let answer = ControlSession::run(self, meter::SESSION, async |session| {
            let rows = session.query(statement, &[], &[]).await.map_err(failed)?;
            let row = rows.first().ok_or_else(unexpected)?;
            Ok([row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?])
        });
        within_deadline(answer).await
    }
}

fn unexpected() -> Error {
    Error::internal("the SQL server returned an unexpected position in the WAL")
}

/// Whether the server has archived a segment that has ended. It removes a segment only after that.
fn is_archived(wal: &Path, segment: &str) -> bool {
    wal.join(STATUS_FOLDER).join(format!("{segment}{ARCHIVED}")).exists() || !wal.join(segment).exists()
}

/// The last segment before the one in which a server that does not run will continue. When it is stopped, it ends its
/// segment and archives it, and writes the last checkpoint to the next one.
fn last_of_stopped(data: &Path) -> Result<String> {
    let control = ControlFile::read(data)?;
    let wal = data.join(WAL_FOLDER);
    let waiting = names_in(&wal.join(STATUS_FOLDER)).iter().any(|name| name.ends_with(NOT_ARCHIVED));
    if !control.shut_down || waiting {
        return Err(Error::unavailable(
            "the SQL server was stopped before it had archived its WAL, which it does at its next start",
        ));
    }
    let layout = WalLayout::read(&wal)?;
    Ok(match layout.containing(control.redo) {
        0 | 1 => String::new(),
        next => layout.name(next - 1),
    })
}
