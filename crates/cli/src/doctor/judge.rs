//! What was seen → what it means and what to do about it. Pure.

use serde::Serialize;
use std::{net::IpAddr, path::PathBuf};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// A server runs, but something is missing or will be.
    Warn,
    /// A server can not run.
    Fail,
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was checked.
    pub(super) check: &'static str,
    /// How bad it is.
    pub(super) verdict: Verdict,
    /// What was seen.
    pub(super) detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

/// Everything that was seen.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// Whether SQL servers are started at all.
    pub(super) simulated: bool,
    /// Installed majors with their version and folder, newest first.
    pub(super) majors: Vec<(u32, String, PathBuf)>,
    /// Majors that the catalogue names.
    pub(super) wanted_majors: Vec<u32>,
    /// Whether this is root.
    pub(super) root: bool,
    /// The servers' user, under root.
    pub(super) user: String,
    /// Why that user is of no use.
    pub(super) owner: Result<(), String>,
    /// The version of control groups, or why there is none.
    pub(super) cpu: Result<u32, String>,
    /// The data folder and its file system.
    pub(super) folder: Folder,
    /// The ports.
    pub(super) api: Port,
    pub(super) sql: Port,
    /// Names that clients connect to, and where they lead.
    pub(super) names: Vec<(String, Result<Vec<IpAddr>, String>)>,
    /// Limits of this process and of the machine.
    pub(super) limits: Limits,
    /// Seconds since 1970, by the clock.
    pub(super) now: i64,
    /// The newest moment that a file of the system tells of.
    pub(super) at_least: i64,
    /// Whether the clock is kept right, where that can be seen.
    pub(super) synchronized: Option<bool>,
    /// Whether there is a data base of time zones.
    pub(super) time_zones: bool,
    /// What `psql` says of itself.
    pub(super) psql: Option<String>,
}

/// The data folder.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) exists: bool,
    /// Why nothing can be written there.
    pub(super) writable: Result<(), String>,
    /// The kind of file system, such as `ext4`.
    pub(super) kind: String,
    /// Whether copies share their blocks.
    pub(super) shares_blocks: bool,
    pub(super) free_bytes: u64,
    pub(super) free_files: u64,
}

/// A port that a server listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) address: String,
    pub(super) state: PortState,
}

/// Whether it can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PortState {
    Free,
    /// The server of this data folder has it.
    Ours,
    /// Why it can not be had.
    Taken(String),
}

/// Limits; `None` is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) open_files: Option<u64>,
    pub(super) open_files_hard: Option<u64>,
    pub(super) processes: Option<u64>,
    pub(super) pid_max: u64,
    /// Bytes free in /dev/shm; `None` if it is not there.
    pub(super) shared_memory: Option<u64>,
    /// Bytes of memory that can be had.
    pub(super) memory: u64,
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Longest path of a data folder: sockets live in it.
const LONGEST_PATH: usize = 70;
/// What a BASIC cluster takes of disk, with its write-ahead log.
const CLUSTER_DISK: u64 = 60 * MIB;
/// The first day of the year in which this was written.
const THIS_YEAR: i64 = 1_767_225_600;

/// Judges all of it.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut all = Vec::new();
    if !facts.simulated {
        all.extend([programs(facts), user(facts), cpu(&facts.cpu)]);
    }
    all.extend([
        folder(&facts.folder),
        file_system(&facts.folder),
        space(&facts.folder),
        port("port of the API", "--listen", &facts.api),
        port("port of SQL", "--sql-listen", &facts.sql),
    ]);
    all.extend(facts.names.iter().map(|(name, addresses)| resolver(name, addresses)));
    all.extend([
        open_files(&facts.limits),
        processes(&facts.limits),
        shared_memory(&facts.limits),
        memory(&facts.limits),
        clock(facts),
        time_zones(facts.time_zones),
        psql(facts.psql.as_deref()),
    ]);
    all
}

fn ok(check: &'static str, detail: impl Into<String>) -> Finding {
    Finding { check, verdict: Verdict::Ok, detail: detail.into(), advice: None }
}

fn warn(check: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { check, verdict: Verdict::Warn, detail: detail.into(), advice: Some(advice.into()) }
}

fn fail(check: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { check, verdict: Verdict::Fail, detail: detail.into(), advice: Some(advice.into()) }
}

fn programs(facts: &Facts) -> Finding {
    let check = "SQL server";
    if facts.owner.is_err() && facts.majors.is_empty() {
        return warn(check, "not looked for without its user", "fix the user first, then ask again");
    }
    if facts.majors.is_empty() {
        let advice = "apt-get install postgresql, or name a folder in engine.programs; a server without any \
                      is: ootheca serve --engine simulated";
        return fail(check, "no PostgreSQL 14 or newer was found", advice);
    }
    let installed: Vec<String> = facts
        .majors
        .iter()
        .map(|(_, version, folder)| format!("{version} in {}", folder.display()))
        .collect();
    let missing: Vec<String> = facts
        .wanted_majors
        .iter()
        .filter(|major| !facts.majors.iter().any(|(installed, ..)| installed == *major))
        .map(u32::to_string)
        .collect();
    if missing.is_empty() {
        return ok(check, installed.join(", "));
    }
    let advice =
        format!("install PostgreSQL {}, which the catalogue in the settings names", missing.join(", "));
    warn(check, installed.join(", "), advice)
}

fn user(facts: &Facts) -> Finding {
    let check = "user";
    match (&facts.owner, facts.root) {
        (Err(error), _) => fail(check, "SQL servers have no user who can run them", error.clone()),
        (Ok(()), true) => ok(check, format!("root; SQL servers run as {}", facts.user)),
        (Ok(()), false) => ok(check, "an ordinary user, who also runs the SQL servers"),
    }
}

fn cpu(version: &Result<u32, String>) -> Finding {
    let check = "control groups";
    match version {
        Ok(version) => ok(check, format!("version {version}; the CPU of clusters is bounded")),
        Err(reason) => {
            let advice = "clusters run, but each may use the whole CPU; run as root, or let systemd delegate: \
                          Delegate=cpu in the unit";
            warn(check, reason.clone(), advice)
        }
    }
}

fn folder(folder: &Folder) -> Finding {
    let check = "data folder";
    let path = folder.path.display();
    if folder.path.as_os_str().len() > LONGEST_PATH {
        let detail = format!("{path} is too long: at most {LONGEST_PATH} bytes");
        return fail(check, detail, "choose a shorter path with --data-dir: sockets live in it");
    }
    match &folder.writable {
        Err(error) => {
            let advice = "choose another one with --data-dir, or OOTHECA_DATA_DIR";
            fail(check, format!("{path} can not be written: {error}"), advice)
        }
        Ok(()) if folder.exists => ok(check, path.to_string()),
        Ok(()) => ok(check, format!("{path}, made on the first start")),
    }
}

fn file_system(folder: &Folder) -> Finding {
    let check = "file system";
    match folder.kind.as_str() {
        kind @ ("tmpfs" | "ramfs") => {
            let advice = "for anything that should last, choose a folder on a disk with --data-dir";
            warn(check, format!("{kind}: everything is gone after a restart of the machine"), advice)
        }
        kind @ ("nfs" | "cifs" | "smb" | "fuse" | "9p") => {
            let advice = "databases want a local disk: choose another folder with --data-dir";
            warn(check, format!("{kind}: a file system over the network or in user space"), advice)
        }
        kind if folder.shares_blocks => {
            ok(check, format!("{kind}; a new cluster shares its blocks with the template"))
        }
        kind => ok(
            check,
            format!("{kind}; a new cluster is a full copy, about 40 MB (XFS and btrfs would share it)"),
        ),
    }
}

fn space(folder: &Folder) -> Finding {
    let check = "free space";
    let detail =
        format!("{}, room for about {} clusters", size(folder.free_bytes), folder.free_bytes / CLUSTER_DISK);
    let advice = "make room, or choose another folder with --data-dir";
    match folder.free_bytes {
        bytes if bytes < 512 * MIB => fail(check, detail, advice),
        _ if folder.free_files < 20_000 => {
            warn(check, format!("{detail}, but only {} more files", folder.free_files), advice)
        }
        bytes if bytes < 5 * GIB => warn(check, detail, advice),
        _ => ok(check, detail),
    }
}

fn port(check: &'static str, flag: &str, port: &Port) -> Finding {
    let address = &port.address;
    match &port.state {
        PortState::Free => ok(check, format!("{address} is free")),
        PortState::Ours => ok(check, format!("{address} is the running server's")),
        PortState::Taken(reason) => {
            let advice = format!(
                "choose another one with {flag} 127.0.0.1:PORT, or stop what has it (ss -ltnp shows it)"
            );
            fail(check, format!("{address}: {reason}"), advice)
        }
    }
}

fn resolver(name: &str, addresses: &Result<Vec<IpAddr>, String>) -> Finding {
    let check = "resolver";
    let advice = format!("let {name} lead to this machine, in DNS or /etc/hosts; connection strings name it");
    match addresses {
        Err(error) => warn(check, format!("{name} is not found: {error}"), advice),
        Ok(addresses) if addresses.is_empty() => warn(check, format!("{name} leads nowhere"), advice),
        Ok(addresses) => {
            let list: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
            let local = name == "localhost" || name.ends_with(".localhost");
            if local && !addresses.iter().all(IpAddr::is_loopback) {
                return warn(
                    check,
                    format!("{name} is {}, which is not this machine", list.join(", ")),
                    advice,
                );
            }
            ok(check, format!("{name} is {}", list.join(", ")))
        }
    }
}

fn open_files(limits: &Limits) -> Finding {
    let check = "open files";
    let Some(limit) = limits.open_files else { return ok(check, "no limit") };
    // A session has two sockets, and the store and the logs want some.
    let detail = format!("{limit}, enough for about {} SQL sessions", limit.saturating_sub(200) / 2);
    let wanted = 4096;
    if limit >= wanted {
        return ok(check, detail);
    }
    let advice = if limits.open_files_hard.is_none_or(|hard| hard >= wanted) {
        "raise it before the start: ulimit -n 65536, or LimitNOFILE=65536 in the unit"
    } else {
        "raise it as root: in /etc/security/limits.conf, or LimitNOFILE=65536 in the unit"
    };
    if limit < 512 { fail(check, detail, advice) } else { warn(check, detail, advice) }
}

fn processes(limits: &Limits) -> Finding {
    let check = "processes";
    // Each SQL server has about eight processes, and one for every session.
    let room = limits.processes.unwrap_or(u64::MAX).min(limits.pid_max);
    let detail = format!("{room}, enough for about {} running clusters", room / 16);
    if room >= 2000 {
        return ok(check, detail);
    }
    let advice = "raise it: ulimit -u, TasksMax= in the unit, or sysctl kernel.pid_max";
    if room < 100 { fail(check, detail, advice) } else { warn(check, detail, advice) }
}

fn shared_memory(limits: &Limits) -> Finding {
    let check = "shared memory";
    let advice = "mount it, or give the container more: docker run --shm-size=1g";
    match limits.shared_memory {
        None => fail(check, "there is no /dev/shm, and SQL servers need it", advice),
        Some(bytes) if bytes < 16 * MIB => fail(check, format!("{} free in /dev/shm", size(bytes)), advice),
        Some(bytes) if bytes < 128 * MIB => warn(check, format!("{} free in /dev/shm", size(bytes)), advice),
        Some(bytes) => ok(check, format!("{} free in /dev/shm", size(bytes))),
    }
}

fn memory(limits: &Limits) -> Finding {
    let check = "memory";
    let detail = format!("{} available", size(limits.memory));
    let advice =
        "a running cluster takes 30 MB and more: lower engine.pool_size, or let idle clusters sleep sooner";
    match limits.memory {
        bytes if bytes < 128 * MIB => fail(check, detail, advice),
        bytes if bytes < 512 * MIB => warn(check, detail, advice),
        _ => ok(check, detail),
    }
}

fn clock(facts: &Facts) -> Finding {
    let check = "clock";
    let advice = "set it, and keep it right: timedatectl set-ntp true";
    if facts.now < THIS_YEAR.max(facts.at_least - 300) {
        let detail = "it is behind: files here are newer; certificates and tokens would not hold";
        return fail(check, detail, advice);
    }
    match facts.synchronized {
        Some(false) => warn(check, "plausible, but nothing keeps it right", advice),
        Some(true) => ok(check, "plausible, and kept right"),
        None => ok(check, "plausible"),
    }
}

fn time_zones(there: bool) -> Finding {
    let check = "time zones";
    if there {
        return ok(check, "the data base of time zones is there");
    }
    warn(
        check,
        "there is no /usr/share/zoneinfo",
        "apt-get install tzdata: SQL such as AT TIME ZONE needs it",
    )
}

fn psql(version: Option<&str>) -> Finding {
    let check = "psql";
    match version {
        Some(version) => ok(check, version),
        None => {
            let advice = "apt-get install postgresql-client; ootheca cluster sql and ootheca demo open it";
            warn(check, "not found", advice)
        }
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= GIB => format!("{}.{} GB", bytes / GIB, bytes % GIB * 10 / GIB),
        bytes => format!("{} MB", bytes / MIB),
    }
}

#[cfg(test)]
mod tests;
