//! Server processes: their identity, their exit, and signals that cannot reach an unrelated process.
//!
//! A process id alone is never trusted, because ids are reused. A process belongs to an instance if its
//! working directory is the data folder and its start time matches the folder's lock file. From then on it is
//! referenced by a pidfd.

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use std::{
    collections::HashSet,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::io::{Interest, unix::AsyncFd};

/// The file that a postmaster keeps in its data folder while it runs.
pub(super) const LOCK_FILE: &str = "postmaster.pid";
/// The unit of times in `/proc` on every architecture.
const TICKS_PER_SECOND: u64 = 100;
/// The permitted difference between the start times in the lock file and in `/proc`, in seconds.
const TOLERANCE: u64 = 5;

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
    /// The start time, in seconds since 1970.
    began: u64,
    /// Whether the server accepts connections.
    pub(super) ready: bool,
    /// The id of its System V shared memory segment.
    pub(super) shared_memory: Option<u32>,
}

pub(super) fn lock(data: &Path) -> Option<Lock> {
    parse_lock(&fs::read_to_string(data.join(LOCK_FILE)).ok()?)
}

pub(super) fn parse_lock(text: &str) -> Option<Lock> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    Some(Lock {
        pid: lines.first()?.parse().ok().filter(|pid| *pid > 1)?,
        began: lines.get(2)?.parse().ok()?,
        shared_memory: lines
            .get(6)
            .and_then(|line| line.split_whitespace().nth(1))
            .and_then(|id| id.parse().ok()),
        ready: lines.get(7).is_some_and(|status| *status == "ready"),
    })
}

/// Returns the lock of the postmaster that runs in `data`, if its process is verified to be the one in the
/// lock file.
pub(super) fn postmaster(data: &Path) -> Option<Lock> {
    let lock = lock(data)?;
    let stat = stat(lock.pid).filter(|stat| !stat.dead)?;
    let began = boot_time()? + stat.began / TICKS_PER_SECOND;
    let ours = works_in(lock.pid, data) && began.abs_diff(lock.began) <= TOLERANCE;
    ours.then_some(lock)
}

/// Opens the postmaster of `data`, if it runs.
pub(super) fn adopt(data: &Path) -> Option<(Process, Lock)> {
    let before = postmaster(data)?;
    let process = Process::open(before.pid).ok()?;
    // Verified again, because the id can no longer be reused unnoticed.
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
            for pid in left {
                let Some(id) = rustix_pid(pid) else { continue };
                let Ok(fd) = rustix::process::pidfd_open(id, PidfdFlags::empty()) else { continue };
                if works_in(pid, folder) {
                    let _ = rustix::process::pidfd_send_signal(&fd, Signal::KILL);
                    let _ = rustix::process::waitpid(Some(id), WaitOptions::NOHANG);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
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
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let dead = matches!(state, 'Z' | 'X');
    let mut ticks = fields.by_ref().skip(10).map(str::parse::<u64>);
    let mut used = 0;
    for _ in 0..4 {
        used += ticks.next()?.ok()?;
    }
    Some(Stat { state, dead, began: fields.nth(4)?.parse().ok()?, used })
}

fn boot_time() -> Option<u64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

fn rustix_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::{parse_lock, parse_stat, used};

    #[test]
    fn lock_files_are_parsed_at_every_stage() {
        let full = "4711\n/data\n1700000000\n5432\n/run\n\n   88    17\nready   \n";
        let lock = parse_lock(full).expect("complete");
        assert_eq!(
            (lock.pid, lock.began, lock.ready, lock.shared_memory),
            (4711, 1_700_000_000, true, Some(17))
        );
        let early = parse_lock("4711\n/data\n1700000000\n5432\n").expect("early");
        assert!(!early.ready && early.shared_memory.is_none());
        assert!(
            parse_lock("4711\n").is_none() && parse_lock("").is_none() && parse_lock("1\n/\n5\n").is_none()
        );
    }

    #[test]
    fn process_names_can_contain_parentheses() {
        let text = "7 (a) b) Z 1 7 7 0 -1 0 0 0 0 0 1 2 4 8 20 0 1 0 12345 0 0";
        let stat = parse_stat(text).expect("parsed");
        assert!(stat.dead && stat.began == 12345 && stat.used == 15);
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
