//! A memory control group around the SQL servers of a program that has none, to measure what the group alone costs: the
//! kernel charges each message between the gateway and a SQL server to the group of its sender.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The hierarchy of version 1.
const HIERARCHY: &str = "/sys/fs/cgroup/memory";

/// Removed once its processes have ended.
pub(super) struct MemoryGroup {
    path: PathBuf,
}

impl MemoryGroup {
    /// Moves the SQL servers of a server into a new group. Returns `None` if they are in groups already, and where there
    /// are no control groups of version 1.
    pub(super) fn around_sql_servers(server: u32) -> Option<Self> {
        let (own, servers) = (group_of(server)?, descendants(server));
        if servers.iter().filter_map(|pid| group_of(*pid)).any(|group| group != own) {
            return None;
        }
        let group = Self { path: Path::new(HIERARCHY).join(format!("ootheca-bench-{server}")) };
        fs::create_dir(&group.path).ok()?;
        for pid in servers {
            // A process may have ended.
            fs::write(group.path.join("cgroup.procs"), pid.to_string()).ok();
        }
        Some(group)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        fs::remove_dir(&self.path).ok();
    }
}

/// The memory group of a process, as a path in the hierarchy.
fn group_of(pid: u32) -> Option<String> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    groups.lines().find_map(|line| Some(line.split_once(":memory:")?.1.to_owned()))
}

/// The children of a process, their children, and so on.
fn descendants(pid: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent_of(pid)?)))
        .collect();
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
