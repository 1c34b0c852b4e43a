//! Server processes: their identity, their exit, and signals that cannot reach an unrelated process.
//!
//! A process ID alone is never trusted, because IDs are reused. A process is the server of an instance if the
//! lock file in the data directory contains its ID, its working directory is that folder, and its program is
//! PostgreSQL. From then on it is referenced by a pidfd. The start time in the lock file is not compared with
//! that of the process: the clock may have been set since, and on a busy machine seconds pass between the
//! start of the process and that of its program.

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use std::{
    collections::HashSet,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::io::{Interest, unix::AsyncFd};

/// The file that a postmaster keeps in its data directory while it runs.
pub(super) const LOCK_FILE: &str = "postmaster.pid";
/// The unit of times in `/proc` on every architecture.
const TICKS_PER_SECOND: u64 = 100;
const CLEAR_POLL: Duration = Duration::from_millis(10);
/// Part of the name of the program of a server. Packages may wrap it, as in `.postgres-wrapped`.
const PROGRAM: &str = "postgres";

/// A process whose identity was verified.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// The start time, in ticks since the machine booted.
    pub(super) began: u64,
    fd: AsyncFd<OwnedFd>,
}

impl Process {
    /// Opens a child that was just started, or a process that was just verified.
    pub(super) fn open(pid: u32) -> io::Result<Self> {
        let id = rustix_pid(pid).ok_or(io::ErrorKind::InvalidInput)?;
        let fd = rustix::process::pidfd_open(id, PidfdFlags::empty())?;
        let began = stat(pid).map_or(0, |stat| stat.began);
        #[expect(deprecated, reason = "its replacement is unsafe; an OwnedFd meets its requirements")]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
        Ok(Self { pid, began, fd })
    }

    pub(super) fn alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| !stat.dead && stat.began == self.began)
    }

    /// Waits until the process has exited, and reaps it if it is a child.
    pub(super) async fn exited(&self) {
        // A pidfd becomes readable only when its process has exited.
        let _ = self.fd.readable().await;
        if let Some(pid) = rustix_pid(self.pid) {
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }

    /// Sends a signal. Does nothing if the process has exited.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = rustix::process::pidfd_send_signal(self.fd.get_ref(), signal);
    }
}

/// The content of a postmaster's lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    pub(super) pid: u32,
    /// The start time, in seconds since 1970. Distinguishes two locks with the same process ID.
    began: u64,
    /// Whether the server accepts connections.
    pub(super) ready: bool,
    /// Whether the server has reported its status, which it does right before it starts its recovery.
    pub(super) reported: bool,
    /// The ID of its System V shared memory segment.
    pub(super) shared_memory: Option<u32>,
}

pub(super) fn lock(data: &Path) -> Option<Lock> {
    parse_lock(&fs::read_to_string(data.join(LOCK_FILE)).ok()?)
}

pub(super) fn parse_lock(text: &str) -> Option<Lock> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let status = lines.get(7);
    Some(Lock {
        pid: lines.first()?.parse().ok().filter(|pid| *pid > 1)?,
        began: lines.get(2)?.parse().ok()?,
        shared_memory: lines
            .get(6)
            .and_then(|line| line.split_whitespace().nth(1))
            .and_then(|id| id.parse().ok()),
        ready: status.is_some_and(|status| *status == "ready"),
        reported: status.is_some_and(|status| !status.is_empty()),
    })
}

/// Returns the lock of the postmaster that runs in `data`, if its process is verified to be the one in the
/// lock file.
pub(super) fn postmaster(data: &Path) -> Option<Lock> {
    let lock = lock(data)?;
    let stat = stat(lock.pid)?;
    let ours = !stat.dead && stat.program.contains(PROGRAM) && works_in(lock.pid, data);
    ours.then_some(lock)
}

/// Opens the postmaster of `data`, if it runs.
pub(super) fn adopt(data: &Path) -> Option<(Process, Lock)> {
    let before = postmaster(data)?;
    let process = Process::open(before.pid).ok()?;
    // Verified again, because the ID can no longer be reused unnoticed.
    postmaster(data).filter(|lock| lock.pid == before.pid).map(|lock| (process, lock))
}

/// Lists the live processes whose working directory is `folder`.
pub(super) fn working_in(folder: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| works_in(*pid, folder) && stat(*pid).is_some_and(|stat| !stat.dead))
        .collect()
}

/// Waits until no process has `folder` as its working directory, and kills those that remain after
/// `patience`.
pub(super) async fn clear(folder: &Path, patience: Duration) {
    let begun = Instant::now();
    loop {
        let left = working_in(folder);
        if left.is_empty() {
            return;
        }
        if begun.elapsed() >= patience {
            left.into_iter().for_each(|pid| kill(pid, folder));
        }
        tokio::time::sleep(CLEAR_POLL).await;
    }
}

/// Kills the processes whose working directory is `folder`. Returns whether there were any.
pub(super) fn kill_all(folder: &Path) -> bool {
    let left = working_in(folder);
    left.iter().for_each(|pid| kill(*pid, folder));
    !left.is_empty()
}

/// Kills the processes of a program whose working directory is `folder`, and waits until they have exited.
pub(super) async fn clear_program(folder: &Path, program: &str) {
    loop {
        let mut left = working_in(folder);
        left.retain(|pid| stat(*pid).is_some_and(|stat| stat.program == program));
        if left.is_empty() {
            return;
        }
        left.into_iter().for_each(|pid| kill(pid, folder));
        tokio::time::sleep(CLEAR_POLL).await;
    }
}

/// Kills a process unless its ID belongs to another one by now.
fn kill(pid: u32, folder: &Path) {
    let Some(id) = rustix_pid(pid) else { return };
    let Ok(fd) = rustix::process::pidfd_open(id, PidfdFlags::empty()) else { return };
    if works_in(pid, folder) {
        let _ = rustix::process::pidfd_send_signal(&fd, Signal::KILL);
        let _ = rustix::process::waitpid(Some(id), WaitOptions::NOHANG);
    }
}

pub(super) fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Whether a process of the server runs, waits for a CPU, or waits for a disk. A postmaster that is stopped is
/// never busy.
pub(super) fn is_busy(postmaster: u32) -> bool {
    let state = |pid| stat(pid).map_or('X', |stat| stat.state);
    let busy = |pid| matches!(state(pid), 'R' | 'D');
    !matches!(state(postmaster), 'T' | 't')
        && (busy(postmaster) || children(postmaster).into_iter().any(busy))
}

/// CPU time in microseconds of a process, its live children, and the children that it has waited for.
///
/// The time of each live process is truncated to a hundredth of a second until it has exited.
pub(super) fn used(pid: u32) -> Option<u64> {
    let mut last = children(pid);
    for _ in 0..5 {
        let parent = stat(pid)?;
        let live: u64 = last.iter().filter_map(|child| stat(*child)).map(|stat| stat.used).sum();
        let now = children(pid);
        // A child that exited in the meantime might be counted twice or not at all.
        if now == last {
            return Some((parent.used + live) * (1_000_000 / TICKS_PER_SECOND));
        }
        last = now;
    }
    None
}

/// The working directories of all live processes.
pub(super) fn working_folders() -> HashSet<PathBuf> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok()).collect()
}

fn works_in(pid: u32, folder: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder)
}

struct Stat {
    /// The first 15 bytes of the name of the program.
    program: String,
    state: char,
    dead: bool,
    began: u64,
    /// Ticks of the process and of the children that it has waited for.
    used: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name in parentheses can contain any character, including parentheses.
    let (name, fields) = text.rsplit_once(')')?;
    let program = name.split_once('(')?.1.to_owned();
    let mut fields = fields.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let dead = matches!(state, 'Z' | 'X');
    let mut ticks = fields.by_ref().skip(10).map(str::parse::<u64>);
    let mut used = 0;
    for _ in 0..4 {
        used += ticks.next()?.ok()?;
    }
    Some(Stat { program, state, dead, began: fields.nth(4)?.parse().ok()?, used })
}

fn rustix_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::{LOCK_FILE, parse_lock, parse_stat, postmaster, used};
    use std::{fs, path::Path, process::Command};

    #[test]
    fn only_a_server_in_the_folder_of_the_lock_is_its_owner() {
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        let [data, other] = ["data", "other"].map(|name| folder.join(name));
        fs::create_dir_all(&data).expect("created");
        fs::create_dir(&other).expect("created");
        let server = folder.join("postgres");
        fs::copy("/bin/sleep", &server).expect("copied");
        let locked = |program: &Path, works_in: &Path| {
            let mut child = Command::new(program).arg("60").current_dir(works_in).spawn().expect("started");
            let lock = format!("{}\n{}\n1700000000\n5432\n", child.id(), data.display());
            fs::write(data.join(LOCK_FILE), lock).expect("written");
            let owner = postmaster(&data).map(|lock| lock.pid);
            let found = owner == Some(child.id());
            child.kill().expect("killed");
            child.wait().expect("ended");
            assert_eq!(postmaster(&data), None, "no process");
            found
        };
        assert!(locked(&server, &data));
        assert!(!locked(&server, &other), "another folder");
        assert!(!locked(Path::new("/bin/sleep"), &data), "another program");
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn lock_files_are_parsed_at_every_stage() {
        let full = "4711\n/data\n1700000000\n5432\n/run\n\n   88    17\nready   \n";
        let lock = parse_lock(full).expect("complete");
        assert_eq!(
            (lock.pid, lock.began, lock.ready, lock.shared_memory),
            (4711, 1_700_000_000, true, Some(17))
        );
        let starting = parse_lock(&full.replace("ready   ", "starting")).expect("complete");
        assert!(lock.reported && starting.reported && !starting.ready);
        let early = parse_lock("4711\n/data\n1700000000\n5432\n").expect("early");
        assert!(!early.ready && !early.reported && early.shared_memory.is_none());
        assert!(
            parse_lock("4711\n").is_none() && parse_lock("").is_none() && parse_lock("1\n/\n5\n").is_none()
        );
    }

    #[test]
    fn process_names_can_contain_parentheses() {
        let text = "7 (a) b) Z 1 7 7 0 -1 0 0 0 0 0 1 2 4 8 20 0 1 0 12345 0 0";
        let stat = parse_stat(text).expect("parsed");
        assert!(stat.dead && stat.began == 12345 && stat.used == 15);
        assert_eq!(stat.program, "a) b");
    }

    #[test]
    fn cpu_time_of_processes_grows() {
        let own = std::process::id();
        let before = used(own).expect("counted");
        let begun = std::time::Instant::now();
        while used(own).expect("counted") < before + 50_000 {
            assert!(begun.elapsed().as_secs() < 60, "timed out");
        }
        assert!(used(u32::MAX).is_none());
    }
}
