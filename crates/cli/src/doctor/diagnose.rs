//! Turns facts about the machine into findings with advice. Pure.

use ootheca_engine::postgres::SandboxProbe;
use serde::Serialize;
use std::{net::IpAddr, path::PathBuf};

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// No problem.
    Ok,
    /// A server can run, with restrictions.
    Warn,
    /// A server can't run.
    Fail,
}

/// A check and its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Name of the check.
    pub(super) check: &'static str,
    /// Result.
    pub(super) verdict: Verdict,
    /// The facts.
    pub(super) detail: String,
    /// How to solve the problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

/// Facts about the machine.
#[derive(Debug)]
pub(super) struct Facts {
    /// Whether the engine is the simulated one, which needs no SQL servers.
    pub(super) simulated: bool,
    /// Installed PostgreSQL major versions with version and directory, newest first.
    pub(super) majors: Vec<(u32, String, PathBuf)>,
    /// Major versions that the settings name.
    pub(super) wanted_majors: Vec<u32>,
    /// Whether the user is root.
    pub(super) root: bool,
    /// User that runs the SQL servers if the server runs as root.
    pub(super) user: String,
    /// Why the SQL servers can't run as that user.
    pub(super) owner: Result<(), String>,
    /// Whether SQL servers run in a sandbox.
    pub(super) sandbox: SandboxProbe,
    /// Why servers of clusters with several nodes could connect to those of other clusters.
    pub(super) sandbox_reduced: Option<String>,
    /// Version of the usable control groups, or why there are none.
    pub(super) cpu: Result<u32, String>,
    /// Data directory and its file system.
    pub(super) data_dir: DataDir,
    /// Port of the API.
    pub(super) api: Port,
    /// Port of the SQL gateway.
    pub(super) sql: Port,
    /// Host names that clients connect to, with their addresses.
    pub(super) names: Vec<(String, Result<Vec<IpAddr>, String>)>,
    /// Resource limits.
    pub(super) limits: Limits,
    /// Current time in Unix seconds.
    pub(super) now: i64,
    /// Latest modification time of system directories, in Unix seconds.
    pub(super) at_least: i64,
    /// Whether the clock is synchronized, if known.
    pub(super) synchronized: Option<bool>,
    /// Whether the time zone database is installed.
    pub(super) time_zones: bool,
    /// Output of `psql --version`.
    pub(super) psql: Option<String>,
}

/// Facts about the data directory.
#[derive(Clone, Debug)]
pub(super) struct DataDir {
    pub(super) path: PathBuf,
    pub(super) exists: bool,
    /// Why the directory isn't writable.
    pub(super) writable: Result<(), String>,
    /// Type of the file system, such as `ext4`.
    pub(super) kind: String,
    /// Whether copied files can share blocks.
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

/// Whether the server can listen on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PortState {
    Free,
    /// The server on the same data directory is listening on it.
    Ours,
    /// Why it isn't available.
    Unavailable(String),
}

/// Resource limits. `None` means unlimited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) open_files: Option<u64>,
    pub(super) open_files_hard: Option<u64>,
    pub(super) processes: Option<u64>,
    pub(super) pid_max: u64,
    /// Free bytes in /dev/shm; `None` if it doesn't exist.
    pub(super) shared_memory: Option<u64>,
    /// Available memory in bytes.
    pub(super) memory: u64,
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Maximum length of the data directory's path, which is limited because it contains Unix sockets.
const MAX_PATH: usize = 70;
/// Disk space of a new BASIC cluster, including its write-ahead log.
const CLUSTER_DISK: u64 = 60 * MIB;
/// 2026-01-01. The clock can't be earlier than this code.
const EARLIEST_TIME: i64 = 1_767_225_600;

/// Runs all checks.
pub(super) fn diagnose(facts: &Facts) -> Vec<Finding> {
    let mut all = Vec::new();
    if !facts.simulated {
        all.extend([programs(facts), user(facts)]);
        all.extend(sandbox(&facts.sandbox));
        all.extend(facts.sandbox_reduced.as_deref().map(sandbox_of_nodes));
        all.push(cpu(&facts.cpu));
    }
    all.extend([
        data_dir(&facts.data_dir),
        file_system(&facts.data_dir),
        space(&facts.data_dir),
        port("API port", "--listen", &facts.api),
        port("SQL port", "--sql-listen", &facts.sql),
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
        return warn(
            check,
            "not checked, because its user doesn't exist",
            "solve the problem with the user first",
        );
    }
    if facts.majors.is_empty() {
        let advice = "run: apt-get install postgresql, or add its directory to engine.programs; to run without SQL \
                      servers, use: ootheca serve --engine simulated";
        return fail(check, "PostgreSQL 14 or newer not found", advice);
    }
    let installed: Vec<String> = facts
        .majors
        .iter()
        .map(|(_, version, directory)| format!("{version} in {}", directory.display()))
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
    let advice = format!("install PostgreSQL {}, which the settings refer to", missing.join(", "));
    warn(check, installed.join(", "), advice)
}

fn user(facts: &Facts) -> Finding {
    let check = "user";
    match (&facts.owner, facts.root) {
        (Err(error), _) => fail(check, "SQL servers can't run as this user", error.clone()),
        (Ok(()), true) => ok(check, format!("root; SQL servers run as the user {}", facts.user)),
        (Ok(()), false) => ok(check, "unprivileged; SQL servers run as the same user"),
    }
}

/// No finding if it was not checked, because another one says why no server can run.
fn sandbox(probe: &SandboxProbe) -> Option<Finding> {
    let check = "sandbox";
    Some(match probe {
        SandboxProbe::NotChecked => return None,
        SandboxProbe::Off => ok(check, "off; SQL servers can use all files of their user (engine.sandbox)"),
        SandboxProbe::Failed(error) => {
            fail(check, error.chain(), "see engine.sandbox and engine.sandbox_paths in `ootheca settings`")
        }
        SandboxProbe::Enforced(enforcement) => match enforcement.missing() {
            None => ok(check, format!("Landlock version {} and seccomp filters", enforcement.landlock)),
            Some(reason) => {
                let advice = match enforcement.landlock {
                    0 => "use Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK, and with landlock in lsm=",
                    _ => "use a kernel with CONFIG_SECCOMP_FILTER, on x86-64 or ARM64",
                };
                warn(check, reason, advice)
            }
        },
    })
}

fn sandbox_of_nodes(reason: &str) -> Finding {
    let detail = format!("servers of clusters with several nodes can connect to other clusters: {reason}");
    let advice = "run the server as root, with user IDs of its own (engine.uid_range); to refuse such clusters, set \
                  engine.sandbox to \"strict\"";
    warn("sandbox of nodes", detail, advice)
}

fn cpu(version: &Result<u32, String>) -> Finding {
    let check = "control groups";
    match version {
        Ok(version) => ok(check, format!("version {version}; CPU limits of clusters are enforced")),
        Err(reason) => {
            let advice = "clusters run without CPU limits; run the server as root, or set Delegate=cpu in its \
                          systemd unit";
            warn(check, reason.clone(), advice)
        }
    }
}

fn data_dir(data_dir: &DataDir) -> Finding {
    let check = "data directory";
    let path = data_dir.path.display();
    if data_dir.path.as_os_str().len() > MAX_PATH {
        let detail = format!("the path {path} has more than {MAX_PATH} bytes");
        return fail(check, detail, "choose a shorter path with --data-dir; it contains Unix sockets");
    }
    match &data_dir.writable {
        Err(error) => {
            let advice = "choose another directory with --data-dir or OOTHECA_DATA_DIR";
            fail(check, format!("{path} is not writable: {error}"), advice)
        }
        Ok(()) if data_dir.exists => ok(check, path.to_string()),
        Ok(()) => ok(check, format!("{path} will be created on the first start")),
    }
}

fn file_system(data_dir: &DataDir) -> Finding {
    let check = "file system";
    match data_dir.kind.as_str() {
        kind @ ("tmpfs" | "ramfs") => {
            let advice = "to keep data, choose a directory on a disk with --data-dir";
            warn(check, format!("{kind}: data is lost when the machine restarts"), advice)
        }
        kind @ ("nfs" | "cifs" | "smb" | "fuse" | "9p") => {
            let advice = "choose a directory on a local disk with --data-dir";
            warn(
                check,
                format!("{kind}: network and user-space file systems aren't suitable for databases"),
                advice,
            )
        }
        kind if data_dir.shares_blocks => {
            ok(check, format!("{kind}; new clusters share blocks with the template"))
        }
        kind => ok(
            check,
            format!(
                "{kind}; a new cluster takes about 40 MB (less on XFS and btrfs, which can share blocks)"
            ),
        ),
    }
}

fn space(data_dir: &DataDir) -> Finding {
    let check = "free space";
    let free = data_dir.free_bytes;
    let detail = format!("{}, enough for about {} clusters", size(free), free / CLUSTER_DISK);
    let advice = "free up space, or choose another directory with --data-dir";
    match free {
        bytes if bytes < 512 * MIB => fail(check, detail, advice),
        _ if data_dir.free_files < 20_000 => {
            warn(check, format!("{detail}, but only {} files", data_dir.free_files), advice)
        }
        bytes if bytes < 5 * GIB => warn(check, detail, advice),
        _ => ok(check, detail),
    }
}

fn port(check: &'static str, flag: &str, port: &Port) -> Finding {
    let address = &port.address;
    match &port.state {
        PortState::Free => ok(check, format!("{address} is free")),
        PortState::Ours => ok(check, format!("{address} is in use by the running server")),
        PortState::Unavailable(reason) => {
            let advice = format!(
                "choose another port with {flag} 127.0.0.1:PORT, or stop the program that uses it (see: ss -ltnp)"
            );
            fail(check, format!("{address}: {reason}"), advice)
        }
    }
}

fn resolver(name: &str, addresses: &Result<Vec<IpAddr>, String>) -> Finding {
    let check = "host name";
    let advice =
        format!("make {name} resolve to this machine, in DNS or /etc/hosts; connection strings contain it");
    match addresses {
        Err(error) => warn(check, format!("{name} can't be resolved: {error}"), advice),
        Ok(addresses) if addresses.is_empty() => warn(check, format!("{name} has no address"), advice),
        Ok(addresses) => {
            let list: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
            let local = name == "localhost" || name.ends_with(".localhost");
            if local && !addresses.iter().all(IpAddr::is_loopback) {
                return warn(
                    check,
                    format!("{name} resolves to {}, which is not this machine", list.join(", ")),
                    advice,
                );
            }
            ok(check, format!("{name} resolves to {}", list.join(", ")))
        }
    }
}

fn open_files(limits: &Limits) -> Finding {
    let check = "open files";
    let Some(limit) = limits.open_files else { return ok(check, "unlimited") };
    // A session has two sockets. The store and the logs need some more.
    let detail = format!("{limit}, enough for about {} SQL sessions", limit.saturating_sub(200) / 2);
    let wanted = 4096;
    if limit >= wanted {
        return ok(check, detail);
    }
    let advice = if limits.open_files_hard.is_none_or(|hard| hard >= wanted) {
        "raise the limit before the start: ulimit -n 65536, or LimitNOFILE=65536 in the systemd unit"
    } else {
        "raise the limit as root: in /etc/security/limits.conf, or LimitNOFILE=65536 in the systemd unit"
    };
    if limit < 512 { fail(check, detail, advice) } else { warn(check, detail, advice) }
}

fn processes(limits: &Limits) -> Finding {
    let check = "processes";
    // A SQL server has about eight processes, and one more for each session.
    let room = limits.processes.unwrap_or(u64::MAX).min(limits.pid_max);
    let detail = format!("{room}, enough for about {} running clusters", room / 16);
    if room >= 2000 {
        return ok(check, detail);
    }
    let advice = "raise the limit: ulimit -u, TasksMax= in the systemd unit, or sysctl kernel.pid_max";
    if room < 100 { fail(check, detail, advice) } else { warn(check, detail, advice) }
}

fn shared_memory(limits: &Limits) -> Finding {
    let check = "shared memory";
    let advice = "mount /dev/shm, or give the container more: docker run --shm-size=1g";
    match limits.shared_memory {
        None => fail(check, "/dev/shm doesn't exist, but SQL servers need it", advice),
        Some(bytes) if bytes < 16 * MIB => fail(check, format!("{} free in /dev/shm", size(bytes)), advice),
        Some(bytes) if bytes < 128 * MIB => warn(check, format!("{} free in /dev/shm", size(bytes)), advice),
        Some(bytes) => ok(check, format!("{} free in /dev/shm", size(bytes))),
    }
}

fn memory(limits: &Limits) -> Finding {
    let check = "memory";
    let detail = format!("{} available", size(limits.memory));
    let advice =
        "a running cluster takes at least 30 MB; lower engine.pool_size or scale_to_zero.idle_seconds";
    match limits.memory {
        bytes if bytes < 128 * MIB => fail(check, detail, advice),
        bytes if bytes < 512 * MIB => warn(check, detail, advice),
        _ => ok(check, detail),
    }
}

fn clock(facts: &Facts) -> Finding {
    let check = "clock";
    let advice = "set the clock and keep it synchronized: timedatectl set-ntp true";
    if facts.now < EARLIEST_TIME.max(facts.at_least - 300) {
        let detail =
            "slow: system files are newer than the current time, so certificates and tokens would be invalid";
        return fail(check, detail, advice);
    }
    match facts.synchronized {
        Some(false) => warn(check, "not synchronized", advice),
        Some(true) => ok(check, "synchronized"),
        None => ok(check, "plausible"),
    }
}

fn time_zones(installed: bool) -> Finding {
    let check = "time zones";
    if installed {
        return ok(check, "the time zone database is installed");
    }
    warn(
        check,
        "/usr/share/zoneinfo doesn't exist",
        "run: apt-get install tzdata; SQL such as AT TIME ZONE needs it",
    )
}

fn psql(version: Option<&str>) -> Finding {
    let check = "psql";
    match version {
        Some(version) => ok(check, version),
        None => {
            let advice =
                "run: apt-get install postgresql-client; `ootheca cluster sql` and `ootheca demo` need psql";
            warn(check, "not found", advice)
        }
    }
}

/// Formats a number of bytes.
fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= GIB => format!("{}.{} GB", bytes / GIB, bytes % GIB * 10 / GIB),
        bytes => format!("{} MB", bytes / MIB),
    }
}

#[cfg(test)]
mod tests;
