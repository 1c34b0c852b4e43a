//! Rewinds a node that has diverged: `pg_rewind` replaces the blocks that it has changed by those of the primary.

use super::{
    fence,
    promote::checkpoint,
    rejoin::{remove_primary_state, start},
    settings::{NodeSettings, connection_value},
    spool, timelines,
};
use crate::{
    Rejoin, WalPosition,
    files::{blocking, failed, remove_tree, sync_file_system, write_atomically},
    postgres::{
        backup::Recovery,
        context::{CONTROL_USER, Shutdown},
        control_session::ControlSession,
        deadline::within_deadline,
        instance::{Instance, REWINDING, STANDBY_SIGNAL},
        log,
        owner::Owner,
        process::LOCK_FILE,
        replication::SESSION,
        server::{LaunchSpec, not_ready},
        statement_error::StatementError,
    },
};
use ootheca_durable::failpoint;
use ootheca_model::{Error, ErrorKind, Result};
use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::Arc,
};
use tokio::process::Command;

const PROGRAM: &str = "pg_rewind";
const CONTROL_TIMELINE: &str = "SELECT timeline_id FROM pg_control_checkpoint()";

/// Makes a node a standby whose data may have diverged from that of the primary. Nothing runs in it meanwhile.
pub(super) async fn rewind(instance: &Arc<Instance>, primary: &Arc<Instance>) -> Result<Rejoin> {
    if instance.programs.client_program(PROGRAM).is_err() {
        return Ok(Rejoin::NeedsReseed);
    }
    ensure_control_timeline(primary).await?;
    tracing::info!(instance = instance.id, node = %instance.node(), "rewinding node");
    // From here on, its server is not started.
    let folder = instance.folder.clone();
    blocking(move || write_atomically(&folder, REWINDING, b"")).await?;
    fence::kill(instance).await?;
    keep_wal(instance, primary).await?;
    prepare(instance).await?;
    let owner = instance.take_ownership().await?;
    if !recover(instance, &owner, primary).await? {
        return Ok(Rejoin::NeedsReseed);
    }
    let status = run(instance, &owner, primary).await?;
    if !status.success() {
        tracing::warn!(instance = instance.id, %status, "could not rewind node; see the log of its server");
        return Ok(Rejoin::NeedsReseed);
    }
    failpoint::reach("node rewound");
    let data = instance.data();
    blocking(move || sync_file_system(&data)).await?;
    start(instance, primary).await
}

/// `pg_rewind` reads the timeline of the primary from its control file, which a promotion changes only with the next
/// checkpoint.
async fn ensure_control_timeline(primary: &Arc<Instance>) -> Result<()> {
    let failed = |error| StatementError::from(error).other("read the timeline of the primary");
    let recorded = ControlSession::run(primary, SESSION, async |session| {
        let rows = session.query(CONTROL_TIMELINE, &[], &[]).await.map_err(failed)?;
        rows.first().ok_or_else(not_ready)?.try_get::<_, i32>(0).map_err(failed)
    });
    let recorded = within_deadline(recorded).await?;
    let data = primary.data();
    let current = blocking(move || Ok(timelines::newest(&data))).await?;
    if u32::try_from(recorded).is_ok_and(|recorded| recorded >= current) {
        return Ok(());
    }
    checkpoint(primary).await
}

/// Keeps the segments that only a former primary has.
async fn keep_wal(instance: &Instance, primary: &Instance) -> Result<()> {
    if !instance.context.settings.archive_wal || instance.is_standby() {
        return Ok(());
    }
    let (from, spool) = (instance.folder.clone(), instance.spool());
    let (primary_data, to) = (primary.data(), primary.spool());
    blocking(move || spool::move_segments(&from.join("data"), &spool, &primary_data, &to)).await
}

/// Makes the data that of a primary that has crashed, and has no quorum.
async fn prepare(instance: &Instance) -> Result<()> {
    let (data, sockets) = (instance.data(), instance.sockets());
    blocking(move || {
        remove_tree(&sockets)?;
        remove_primary_state(&data)?;
        NodeSettings::of_primary(None).write(&data)?;
        fence::remove_file(&data.join(LOCK_FILE))?;
        fence::remove_file(&data.join(STANDBY_SIGNAL))
    })
    .await
}

/// Lets a server that runs alone recover the data. `pg_rewind` would run PostgreSQL's single-user mode, which requires
/// that the user ID of the owner has a name. Returns whether `pg_rewind` can go on from there.
async fn recover(instance: &Instance, owner: &Owner, primary: &Instance) -> Result<bool> {
    let (data, sockets, log) = (instance.data(), instance.sockets(), instance.log());
    let recovery = Recovery {
        context: &instance.context,
        id: &instance.id,
        programs: &instance.programs,
        owner,
        data: &data,
        sockets: &sockets,
        log: &log,
    };
    let end = match recovery.run_before_rewind(closing(instance)).await {
        Ok(Some(end)) => end,
        Ok(None) => return Ok(true),
        Err(error) if error.kind() == ErrorKind::Internal => {
            tracing::warn!(instance = instance.id, error = error.chain(), "could not recover node");
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let primary_data = primary.data();
    blocking(move || is_beyond_history(&primary_data, timelines::newest(&data), end)).await
}

/// Whether a position on a timeline is not in the history of the primary. Otherwise, `pg_rewind` would take the checkpoint
/// there, which only the node has, for one of the primary.
fn is_beyond_history(primary_data: &Path, timeline: u32, position: WalPosition) -> Result<bool> {
    let is_current = timeline == timelines::newest(primary_data);
    let end = timelines::end_of(primary_data, timeline)?;
    Ok(!is_current && end.is_none_or(|end| position >= end))
}

/// Waits until the engine shuts down.
async fn closing(instance: &Instance) {
    let mut shutdown = instance.context.shutdown.subscribe();
    let _ = shutdown.wait_for(|shutdown| *shutdown != Shutdown::NotRequested).await;
}

async fn run(instance: &Arc<Instance>, owner: &Owner, primary: &Instance) -> Result<ExitStatus> {
    let (data, sockets, log_path) = (instance.data(), instance.sockets(), instance.log());
    let spec = LaunchSpec {
        programs: &instance.programs,
        owner,
        data: &data,
        sockets: &sockets,
        log: &log_path,
        spool: None,
        connect: true,
        options: &[],
    };
    let program = instance.programs.program(PROGRAM);
    let mut command = match &instance.context.sandbox {
        Some(sandbox) => sandbox.program(&spec, PROGRAM),
        None => owner.command(&program),
    };
    let source = format!(
        "host={} port=5432 user={CONTROL_USER} dbname=postgres application_name=ootheca connect_timeout=10",
        connection_value(&primary.sockets().display().to_string())
    );
    let log = log::open(&log_path)?;
    let errors = log.try_clone().map_err(failed("open", &log_path))?;
    command.args(["--no-sync", "--no-ensure-shutdown"]);
    command.arg("--target-pgdata").arg(&data).arg("--source-server").arg(source);
    // Not on the command line, where others could see it.
    command.env("PGPASSWORD", primary.context.secret_of(&primary.sockets())?);
    command.current_dir(&data).process_group(0).stdout(Stdio::from(log)).stderr(Stdio::from(errors));
    let mut child = Command::from(command).kill_on_drop(true).spawn().map_err(failed("start", &program))?;
    tokio::select! {
        status = child.wait() => return status.map_err(failed("run", &program)),
        () = closing(instance) => {}
    }
    // Also what it has started.
    fence::kill(instance).await?;
    Err(Error::unavailable("the engine is shutting down"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_node_is_rewound_only_from_beyond_the_history_of_the_primary() {
        let data = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        let wal = data.join(timelines::WAL_FOLDER);
        fs::create_dir_all(&wal).unwrap();
        fs::write(wal.join("000000030000000000000001"), "").unwrap();
        fs::write(wal.join("00000003.history"), "1\t0/28\tno recovery target specified\n").unwrap();
        let is_beyond = |timeline, end| is_beyond_history(&data, timeline, WalPosition(end)).unwrap();
        assert!(is_beyond(1, 0x28) && is_beyond(1, 0x50));
        assert!(is_beyond(2, 0x10), "a timeline that was given up");
        assert!(!is_beyond(1, 0x20), "the primary has other WAL there");
        assert!(!is_beyond(3, 0x50), "the timeline of the primary");
        fs::remove_dir_all(&data).unwrap();
    }
}
