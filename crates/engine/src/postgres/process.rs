//! Server processes: whose they are, when they end, signals that can not hit a stranger.
//!
//! A bare process id is never trusted: ids are used again. A process is ours if it works in the data
//! folder and began when the folder's lock file says so; from then on a pidfd names it.

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use std::{
    collections::HashSet,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::io::{Interest, unix::AsyncFd};

/// What a postmaster writes into its data folder while it runs.
pub(super) const LOCK_FILE: &str = "postmaster.pid";
/// The kernel shows times in this unit on every architecture.
const TICKS_PER_SECOND: u64 = 100;
/// How far the lock file's start time and the kernel's may lie apart, in seconds.
const TOLERANCE: u64 = 5;

/// A process that was checked to be ours.
#[derive(Debug)]
pub(super) struct Process {
    /// Its id.
    pub(super) pid: u32,
    /// When it began, in ticks since the machine did.
    pub(super) began: u64,
    fd: AsyncFd<OwnedFd>,
}

impl Process {
    /// Takes hold of a child that was just started, or of a process that was just checked.
    pub(super) fn open(pid: u32) -> io::Result<Self> {
        let id = rustix_pid(pid).ok_or(io::ErrorKind::InvalidInput)?;
        let fd = rustix::process::pidfd_open(id, PidfdFlags::empty())?;
        let began = stat(pid).map_or(0, |stat| stat.began);
        #[expect(
            deprecated,
            reason = "its successor is unsafe; an OwnedFd keeps the promise that it asks for"
        )]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
        Ok(Self { pid, began, fd })
    }

    /// Whether it still runs.
    pub(super) fn alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| !stat.dead && stat.began == self.began)
    }

    /// Waits until it has ended, and reaps it if it is a child.
    pub(super) async fn exited(&self) {
        // A pidfd becomes readable at the end of its process, and only then.
        let _ = self.fd.readable().await;
        if let Some(pid) = rustix_pid(self.pid) {
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }

    /// Sends a signal; nothing happens if it has ended.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = rustix::process::pidfd_send_signal(self.fd.get_ref(), signal);
    }
}

/// What a postmaster writes into its data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    /// Process id.
    pub(super) pid: u32,
    /// When it began, in seconds since 1970.
    began: u64,
    /// Whether it accepts connections.
    pub(super) ready: bool,
    /// Its System V shared memory.
    pub(super) shared_memory: Option<u32>,
}

/// Reads `postmaster.pid`.
pub(super) fn lock(data: &Path) -> Option<Lock> {
    parse_lock(&fs::read_to_string(data.join(LOCK_FILE)).ok()?)
}

fn parse_lock(text: &str) -> Option<Lock> {
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

/// The lock of the postmaster that runs in `data`, if one does and it is the one of the lock file.
pub(super) fn postmaster(data: &Path) -> Option<Lock> {
    let lock = lock(data)?;
    let stat = stat(lock.pid).filter(|stat| !stat.dead)?;
    let began = boot_time()? + stat.began / TICKS_PER_SECOND;
    let ours = works_in(lock.pid, data) && began.abs_diff(lock.began) <= TOLERANCE;
    ours.then_some(lock)
}

/// Takes hold of the postmaster of `data`, if it runs.
pub(super) fn adopt(data: &Path) -> Option<(Process, Lock)> {
    let before = postmaster(data)?;
    let process = Process::open(before.pid).ok()?;
    // Checked again now that the id can not pass to another process unseen.
    postmaster(data).filter(|lock| lock.pid == before.pid).map(|lock| (process, lock))
}

/// Every live process that works in `folder`.
pub(super) fn working_in(folder: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| works_in(*pid, folder) && stat(*pid).is_some_and(|stat| !stat.dead))
        .collect()
}

/// Waits until no process works in `folder`; after `patience` they are killed.
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

/// The children of a process.
pub(super) fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// CPU time of a process, its children that live, and all that it has waited for, in microseconds.
///
/// Each live process is cut to a hundredth of a second; what it lost shows once it has ended.
pub(super) fn used(pid: u32) -> Option<u64> {
    let mut last = children(pid);
    for _ in 0..5 {
        let parent = stat(pid)?;
        let live: u64 = last.iter().filter_map(|child| stat(*child)).map(|stat| stat.used).sum();
        let now = children(pid);
        // A child that ended in between might be counted twice or not at all.
        if now == last {
            return Some((parent.used + live) * (1_000_000 / TICKS_PER_SECOND));
        }
        last = now;
    }
    None
}

/// The working folders of all live processes.
pub(super) fn working_folders() -> HashSet<PathBuf> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok()).collect()
}

fn works_in(pid: u32, folder: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder)
}

struct Stat {
    dead: bool,
    began: u64,
    /// Ticks of its own and of the children that it has waited for.
    used: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name in parentheses may hold anything, parentheses too.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let dead = matches!(fields.next()?, "Z" | "X");
    let mut ticks = fields.by_ref().skip(10).map(str::parse::<u64>);
    let mut used = 0;
    for _ in 0..4 {
        used += ticks.next()?.ok()?;
    }
    Some(Stat { dead, began: fields.nth(4)?.parse().ok()?, used })
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
    fn lock_files_in_every_stage() {
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
    fn names_with_parentheses() {
        let text = "7 (a) b) Z 1 7 7 0 -1 0 0 0 0 0 1 2 4 8 20 0 1 0 12345 0 0";
        let stat = parse_stat(text).expect("parsed");
        assert!(stat.dead && stat.began == 12345 && stat.used == 15);
    }

    #[test]
    fn time_of_processes_grows() {
        let own = std::process::id();
        let before = used(own).expect("counted");
        let begun = std::time::Instant::now();
        while used(own).expect("counted") < before + 50_000 {
            assert!(begun.elapsed().as_secs() < 60, "not in time");
        }
        assert!(used(u32::MAX).is_none());
    }
}
