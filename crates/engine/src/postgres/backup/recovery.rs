//! Starts a server so that it replays the WAL in its data directory, and stops it again.
//!
//! Without a target it is no archive recovery to PostgreSQL, which replays just the WAL that is there. With a target it
//! is that of a standby without connections, because that needs no command to fetch WAL. It is promoted from the start:
//! a standby looks for that only where the WAL ends, so it replays all of it, or stops at the first commit after the
//! target. If there is no such commit, everything that the WAL contains was committed by then. PostgreSQL considers that
//! an error, so the recovery continues without the target.

use super::{
    control_file::{ControlFile, was_stopped_cleanly},
    unpack::write_file,
    wal::{Lsn, WAL_FOLDER, WalLayout, is_segment},
    work::Work,
};
use crate::{
    WalPosition,
    files::{blocking, failed, names_in, remove_tree},
    postgres::{
        binaries::Programs,
        context::EngineContext,
        instance::STANDBY_SIGNAL,
        owner::Owner,
        process::{self, Process},
        server::{self, LaunchSpec, StopMode},
    },
};
use ootheca_model::{Error, Result, Timestamp};
use rustix::process::Signal;
use std::{
    fs, io,
    path::Path,
    pin::{Pin, pin},
    time::Duration,
};

/// The time limit for a recovery. It depends on how much WAL there is.
const TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// Nothing but the recovery should change the data. All of it becomes durable at once, when the instance is published.
const OPTIONS: [&str; 2] = ["autovacuum=off", "fsync=off"];
/// A standby that accepts connections would need the same limits as the server that has written the WAL.
const STANDBY_OPTIONS: [&str; 2] = ["hot_standby=off", "recovery_target_timeline=current"];
const TARGET_OPTIONS: [&str; 2] = ["recovery_target_inclusive=on", "recovery_target_action=promote"];
/// `pg_rewind` reads the WAL since the last checkpoint that both nodes have, which the next checkpoint would remove. No
/// standby may follow the server.
const REWIND_OPTIONS: [&str; 2] = ["wal_keep_size=1GB", "max_wal_senders=0"];
/// The file that is there when a standby gets the signal to be promoted.
const PROMOTE: &str = "promote";
/// Errors of a server in its log that say nothing about its data.
const LACKS: [&str; 7] = [
    "No space left on device",
    "Disk quota exceeded",
    "Cannot allocate memory",
    "out of memory",
    "could not create shared memory",
    "Too many open files",
    "Input/output error",
];
/// The error of a server that finds no commit after the target.
const TARGET_NOT_REACHED: &str = "recovery ended before configured recovery target was reached";
/// The error of a server whose data is not consistent yet at the target.
const TARGET_TOO_EARLY: &str = "requested recovery stop point is before consistent recovery point";

/// A moment in the WAL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// Everything that was committed by then is recovered, and nothing later.
    pub(super) time: Timestamp,
    /// Where the WAL ends.
    pub(super) end: Lsn,
}

/// What is recovered.
pub(in crate::postgres) struct Recovery<'a> {
    pub(in crate::postgres) context: &'a EngineContext,
    /// The ID of the instance.
    pub(in crate::postgres) id: &'a str,
    pub(in crate::postgres) programs: &'a Programs,
    pub(in crate::postgres) owner: &'a Owner,
    pub(in crate::postgres) data: &'a Path,
    pub(in crate::postgres) sockets: &'a Path,
    pub(in crate::postgres) log: &'a Path,
}

/// How a server ends its recovery.
#[derive(Clone, Copy)]
enum End {
    /// Where the WAL ends.
    Wal,
    /// The same, before a rewind.
    Rewind,
    /// The same, but as a standby that is promoted.
    Promotion,
    /// At the first commit after this time.
    Target(Timestamp),
}

impl End {
    fn is_standby(self) -> bool {
        matches!(self, Self::Promotion | Self::Target(_))
    }

    /// The settings of the server.
    fn options(self) -> Vec<String> {
        let mut options: Vec<&str> = OPTIONS.to_vec();
        if self.is_standby() {
            options.extend(STANDBY_OPTIONS);
        }
        if matches!(self, Self::Rewind) {
            options.extend(REWIND_OPTIONS);
        }
        let mut options: Vec<String> = options.into_iter().map(str::to_owned).collect();
        if let Self::Target(time) = self {
            options.extend(TARGET_OPTIONS.map(str::to_owned));
            options.push(format!("recovery_target_time={}", notation(time)));
        }
        options
    }
}

/// PostgreSQL's notation of a time.
fn notation(time: Timestamp) -> String {
    time.to_string().replace('T', " ").replace('Z', "+00")
}

impl Recovery<'_> {
    /// Recovers the data until `target` or where its WAL ends. Returns where the last checkpoint afterwards is, right
    /// behind the end of the recovery. `interrupted` ends it early. No server runs afterwards. Nothing logs in, because
    /// the control password of the data can be that of another cluster.
    ///
    /// With a target, the data must contain a label of PostgreSQL, or be that of a server that was stopped cleanly. It has
    /// another timeline afterwards.
    pub(super) async fn run(
        &self,
        target: Option<Target>,
        interrupted: impl Future<Output = ()>,
    ) -> Result<Lsn> {
        let mut interrupted = pin!(interrupted);
        let not_reached = || Error::internal("PostgreSQL reports a target that was not set");
        let Some(target) = target else {
            return self.attempt(End::Wal, Work::Nothing, interrupted).await?.ok_or_else(not_reached);
        };
        let (path, owner) = (self.data.join(STANDBY_SIGNAL), self.owner.clone());
        blocking(move || write_file(&path, &owner, b"")).await?;
        let until = End::Target(target.time);
        if let Some(end) = self.attempt(until, Work::Nothing, interrupted.as_mut()).await? {
            return Ok(end);
        }
        let end = self.attempt(End::Promotion, Work::Nothing, interrupted).await?.ok_or_else(not_reached)?;
        if end < target.end { Err(ends_early()) } else { Ok(end) }
    }

    /// Recovers the data of a node before `pg_rewind`, which requires that its server was stopped cleanly. Returns where
    /// the last checkpoint afterwards is, or `None` if it was stopped cleanly before. Nothing logs in.
    pub(in crate::postgres) async fn run_before_rewind(
        &self,
        interrupted: impl Future<Output = ()>,
    ) -> Result<Option<WalPosition>> {
        let data = self.data.to_owned();
        if blocking(move || was_stopped_cleanly(&data)).await? {
            return Ok(None);
        }
        let end = self.attempt(End::Rewind, Work::Nothing, pin!(interrupted)).await?;
        Ok(end.map(|Lsn(end)| WalPosition(end)))
    }

    /// Does work in data that is complete. `interrupted` ends it early.
    pub(super) async fn work(&self, work: Work<'_>, interrupted: impl Future<Output = ()>) -> Result<()> {
        self.attempt(End::Wal, work, pin!(interrupted)).await.map(drop)
    }

    fn spec<'a>(&'a self, options: &'a [&'a str]) -> LaunchSpec<'a> {
        LaunchSpec {
            programs: self.programs,
            owner: self.owner,
            data: self.data,
            sockets: self.sockets,
            log: self.log,
            spool: None,
            connect: false,
            options,
        }
    }

    /// Starts a server, and stops it once it has recovered the data. Returns `None` if the WAL ends before the target;
    /// then another attempt continues.
    async fn attempt(
        &self,
        end: End,
        work: Work<'_>,
        interrupted: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Option<Lsn>> {
        let mut options = end.options();
        options.extend(work.option(self.data));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let logged = self.log_length();
        let process = server::spawn(self.context, &self.spec(&options))?;
        if matches!(work, Work::Masking(_)) {
            self.limit(&process);
        }
        let recovered = tokio::select! {
            recovered = self.recovered(&process, end, work, logged) => recovered,
            () = interrupted => Err(Error::unavailable("the recovery was interrupted")),
        };
        let mode = if recovered.is_ok() { StopMode::Suspend } else { StopMode::Immediate };
        server::stop(&process, self.data, self.context.shutdown.subscribe(), mode).await;
        let (data, sockets) = (self.data.to_owned(), self.sockets.to_owned());
        let is_recovered = matches!(recovered, Ok(true));
        let position = blocking(move || {
            remove_tree(&sockets)?;
            is_recovered.then(|| complete(&data, end)).transpose()
        })
        .await;
        recovered?;
        position
    }

    /// Waits until the server has recovered, and does the work. Returns `false` if the WAL ends before the target.
    async fn recovered(&self, process: &Process, end: End, work: Work<'_>, logged: u64) -> Result<bool> {
        if let Err(error) = self.ready(process, end).await {
            if process.alive() {
                return Err(error);
            }
            let log = self.log_since(logged);
            let ended = |text: &str| log.lines().any(|line| is_failure(line) && line.contains(text));
            if matches!(end, End::Target(_)) && ended(TARGET_NOT_REACHED) {
                return Ok(false);
            }
            return Err(failure(&log).unwrap_or(error));
        }
        work.run(self.context, self.sockets).await.map(|()| true).map_err(|error| match work {
            Work::Change(_) => failure(&self.log_since(logged)).unwrap_or(error),
            _ => error,
        })
    }

    /// Waits until the server accepts connections. A standby is promoted.
    async fn ready(&self, process: &Process, end: End) -> Result<()> {
        if end.is_standby() {
            // Before that, the server removes the file.
            server::starting(process, self.data, TIMEOUT).await?;
            let path = self.data.join(PROMOTE);
            blocking(move || request_promotion(&path)).await?;
            process.signal(Signal::USR1);
        }
        server::ready(process, self.data, TIMEOUT).await
    }

    /// SQL of tenants gets the limits of their servers, as far as the machine supports them.
    fn limit(&self, process: &Process) {
        let cgroups = &self.context.cgroups;
        let pids: Vec<u32> = [process.pid].into_iter().chain(process::children(process.pid)).collect();
        let cpu = cgroups.set_cpu_limit(self.id, None);
        let cpu = cpu.and_then(|()| cgroups.add(self.id, pids.iter().copied()));
        if let Err(reason) = cpu.and(cgroups.set_bounds(self.id, self.context.bounds, &pids)) {
            tracing::debug!(instance = self.id, reason, "masking SQL is not limited");
        }
    }

    fn log_length(&self) -> u64 {
        fs::metadata(self.log).map_or(0, |log| log.len())
    }

    /// What was logged after the first `logged` bytes.
    fn log_since(&self, logged: u64) -> String {
        let log = fs::read(self.log).unwrap_or_default();
        // It was replaced if it is shorter.
        let new = usize::try_from(logged).ok().and_then(|logged| log.get(logged..)).unwrap_or(&log);
        String::from_utf8_lossy(new).into_owned()
    }
}

/// Checks that a server that has recovered was stopped cleanly. Returns where its last checkpoint is.
fn complete(data: &Path, end: End) -> Result<Lsn> {
    let control = ControlFile::read(data)?;
    if !control.shut_down {
        return Err(Error::unavailable("the SQL server did not stop cleanly after the recovery"));
    }
    if end.is_standby() {
        remove_leftovers(data)?;
    }
    Ok(control.redo)
}

/// Removes what a promotion has left. Once the server was stopped cleanly, the WAL of earlier timelines is not needed, and
/// it would be archived as if it belonged to the recovered data.
fn remove_leftovers(data: &Path) -> Result<()> {
    // It is still there if the standby reached its target first.
    remove_file(&data.join(PROMOTE))?;
    let wal = data.join(WAL_FOLDER);
    let newest = WalLayout::read(&wal)?;
    for name in names_in(&wal).into_iter().filter(|name| is_segment(name) && newest.number(name).is_none()) {
        remove_file(&wal.join(name))?;
    }
    Ok(())
}

/// Creates the file that makes a server promote itself. Its owner is not changed, because the server can remove it at
/// once: it also looks for it when one of its own processes signals it.
fn request_promotion(path: &Path) -> Result<()> {
    remove_file(path)?;
    fs::File::create_new(path).map(drop).map_err(failed("create", path))
}

/// Removes a file that may be absent.
pub(super) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The error for data whose WAL does not reach its end.
pub(super) fn ends_early() -> Error {
    Error::internal("the WAL of the backup ends early")
}

fn is_failure(line: &str) -> bool {
    line.contains("] FATAL:  ") || line.contains("] PANIC:  ")
}

/// Why a server ended by itself, from its log; `None` if it was killed.
fn failure(log: &str) -> Option<Error> {
    let line = log.lines().rev().find(|line| is_failure(line))?;
    let error = if LACKS.iter().any(|text| line.contains(text)) {
        Error::unavailable("the SQL server lacks the memory or the disk space for the recovery")
    } else if line.contains(TARGET_TOO_EARLY) {
        Error::precondition("point_in_time: the backup was not complete yet at this time")
    } else {
        Error::internal("PostgreSQL can't recover the data")
    };
    Some(error.because(line))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ootheca_model::ErrorKind;

    #[test]
    fn failures_are_found_in_the_log() {
        let kind = |log| failure(log).map(|error| error.kind());
        let started = "2026-01-01 00:00:00.000 UTC [7] LOG:  starting PostgreSQL 15.18\n";
        assert_eq!(kind(started), None);
        let incomplete = format!(
            "{started}2026-01-01 00:00:01.000 UTC [8] FATAL:  WAL ends before end of online backup\n\
             2026-01-01 00:00:01.000 UTC [7] LOG:  aborting startup due to startup process failure\n"
        );
        assert_eq!(kind(&incomplete), Some(ErrorKind::Internal));
        let full = format!(
            "{started}2026-01-01 00:00:01.000 UTC [8] PANIC:  could not write to file \"pg_wal/xlogtemp.8\": \
             No space left on device\n"
        );
        assert_eq!(kind(&full), Some(ErrorKind::Unavailable));
        let early = format!("{started}2026-01-01 00:00:01.000 UTC [8] FATAL:  {TARGET_TOO_EARLY}\n");
        assert_eq!(kind(&early), Some(ErrorKind::Precondition));
    }

    #[test]
    fn times_have_the_notation_of_postgresql() {
        let time: Timestamp = "2026-01-02T03:04:05.000006Z".parse().unwrap();
        assert_eq!(notation(time), "2026-01-02 03:04:05.000006+00");
        let options = End::Target(time).options();
        assert_eq!(options.last().unwrap(), "recovery_target_time=2026-01-02 03:04:05.000006+00");
        assert!(End::Promotion.options().iter().all(|option| !option.contains("recovery_target_time=")));
        assert_eq!(End::Wal.options(), OPTIONS);
    }

    #[test]
    fn only_the_wal_of_the_newest_timeline_is_kept() {
        let data = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        let wal = data.join(WAL_FOLDER);
        fs::create_dir_all(&wal).unwrap();
        let kept = ["00000002.history", "000000020000000000000007", "000000020000000000000008"];
        for name in ["000000010000000000000006", "000000010000000000000007"].iter().chain(&kept) {
            fs::File::create(wal.join(name)).unwrap().set_len(1 << 20).unwrap();
        }
        fs::write(data.join(PROMOTE), "").unwrap();
        for _ in 0..2 {
            remove_leftovers(&data).unwrap();
            let mut left = names_in(&wal);
            left.sort_unstable();
            assert_eq!(left, kept);
            assert!(!data.join(PROMOTE).exists());
        }
        fs::remove_dir_all(&data).unwrap();
    }
}
