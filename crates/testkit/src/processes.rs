//! Information about processes from `/proc`.

use rustix::process::{Pid, Signal, kill_process};
use std::{fs, path::Path};

/// A process that refers to a folder.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: u32,
    /// The ID of the parent process.
    pub parent: u32,
    /// The command line.
    pub command: String,
}

/// Lists the live processes whose working directory or command line refers to `folder`.
pub fn within(folder: &Path) -> Vec<Process> {
    let name = folder.to_string_lossy().into_owned();
    let own = std::process::id();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != own).filter_map(|pid| describe(pid, folder, &name)).collect()
}

fn describe(pid: u32, folder: &Path, name: &str) -> Option<Process> {
    let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&words).replace('\0', " ");
    let inside = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
    if !inside && !command.contains(name) {
        return None;
    }
    let (state, parent) = stat(pid)?;
    (state != "Z" && state != "X").then(|| Process { pid, parent, command: command.trim().to_owned() })
}

/// The state and the parent of a process.
fn stat(pid: u32) -> Option<(String, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut rest = text.rsplit_once(')')?.1.split_whitespace();
    let state = rest.next()?.to_owned();
    Some((state, rest.next()?.parse().ok()?))
}

/// Whether a process is running.
pub fn alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != "Z" && state != "X")
}

/// CPU time that a process has used, in clock ticks of a hundredth of a second.
pub fn cpu_ticks(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Counted from the state, which is the third column. User and system time are the 14th and 15th.
    let columns: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| columns.get(at)?.parse::<u64>().ok();
    Some(ticks(11)? + ticks(12)?)
}

/// Sends SIGKILL to a process.
pub fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

/// Interrupts a process like Ctrl-C.
pub fn interrupt(pid: u32) {
    signal(pid, Signal::INT);
}

/// Stops a process with SIGSTOP.
pub fn pause(pid: u32) {
    signal(pid, Signal::STOP);
}

/// Resumes a stopped process.
pub fn resume(pid: u32) {
    signal(pid, Signal::CONT);
}

/// Sends a signal to a process.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Raises the limit of open files of this process to its maximum.
pub fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// The CPU limit of a process in thousandths of a CPU, from its control group (version 2 or 1); `None` if it
/// has none.
pub fn cpu_limit(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let number = |file: String| -> Option<u64> { fs::read_to_string(file).ok()?.trim().parse().ok() };
        if controllers.split(',').any(|name| name == "cpu") {
            ["cpu", "cpu,cpuacct"].iter().find_map(|mount| {
                let folder = format!("/sys/fs/cgroup/{mount}/{path}");
                let quota = number(format!("{folder}/cpu.cfs_quota_us"))?;
                Some(quota * 1000 / number(format!("{folder}/cpu.cfs_period_us"))?)
            })
        } else if controllers.is_empty() {
            let max = fs::read_to_string(format!("/sys/fs/cgroup/{path}/cpu.max")).ok()?;
            let (quota, period) = max.trim().split_once(' ')?;
            Some(quota.parse::<u64>().ok()? * 1000 / period.parse::<u64>().ok()?)
        } else {
            None
        }
    })
}
