//! Gathers facts about this machine without changing it: test data is written to unnamed temporary files.

use super::diagnose::{DataDir, Facts, Limits, Port, PortState};
use ootheca_engine::postgres;
use ootheca_server::{Settings, gateway::control, settings::EngineKind};
use rustix::{
    fs::{ioctl_ficlone, statfs, statvfs},
    process::{Resource, geteuid, getrlimit},
};
use std::{
    fs,
    io::{ErrorKind, Write},
    net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

/// Gathers all facts.
pub(super) fn collect(settings: &Settings) -> Facts {
    let path = std::path::absolute(&settings.data_dir).unwrap_or_else(|_| settings.data_dir.clone());
    let nearest = nearest_directory(&path);
    let probe = postgres::probe(&settings.postgres(nearest.clone()));
    let running = UnixStream::connect(control::control_socket(&path)).is_ok();
    Facts {
        simulated: settings.engine_kind == EngineKind::Simulated,
        majors: probe.majors.into_iter().map(|found| (found.major, found.version, found.folder)).collect(),
        wanted_majors: settings
            .catalog
            .versions
            .iter()
            .filter_map(|version| version.postgres.parse().ok())
            .collect(),
        root: geteuid().is_root(),
        user: settings.engine.user.clone(),
        owner: probe.owner.map_err(|error| error.chain()),
        sandbox: probe.sandbox,
        sandbox_reduced: probe.sandbox_reduced,
        cpu: probe.cpu,
        data_dir: data_dir(path, &nearest),
        api: port(settings.listen, running),
        sql: port(settings.sql_listen, running),
        names: names(settings),
        limits: limits(),
        now: seconds(SystemTime::now()),
        at_least: newest(&["/etc", "/usr/bin", "/usr/lib", "/var/lib"]),
        synchronized: synchronized(),
        time_zones: Path::new("/usr/share/zoneinfo/Europe").is_dir(),
        psql: psql(),
    }
}

/// The directory itself, or its nearest ancestor that exists.
fn nearest_directory(path: &Path) -> PathBuf {
    path.ancestors().find(|part| part.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

fn data_dir(path: PathBuf, nearest: &Path) -> DataDir {
    let written = write_test(nearest).map_err(|error| error.to_string());
    let space = statvfs(nearest);
    DataDir {
        exists: path.is_dir(),
        kind: statfs(nearest).map_or_else(|_| "unknown".to_owned(), |found| kind(found.f_type as u64)),
        shares_blocks: written == Ok(true),
        writable: written.map(|_| ()),
        free_bytes: space.as_ref().map_or(0, |space| space.f_bavail * space.f_frsize),
        // File systems that allocate inodes dynamically report 0.
        free_files: space.map_or(0, |space| if space.f_files == 0 { u64::MAX } else { space.f_favail }),
        path,
    }
}

/// Writes an unnamed temporary file. Returns whether a copy of it can share its blocks.
fn write_test(directory: &Path) -> std::io::Result<bool> {
    let mut from = tempfile::tempfile_in(directory)?;
    from.write_all(&[1; 65536])?;
    let to = tempfile::tempfile_in(directory)?;
    Ok(ioctl_ficlone(&to, &from).is_ok())
}

/// The name of a file system type, from the magic number of `statfs(2)`.
fn kind(magic: u64) -> String {
    let name = match magic {
        0xEF53 => "ext4",
        0x5846_5342 => "xfs",
        0x9123_683E => "btrfs",
        0x0102_1994 => "tmpfs",
        0x8584_58F6 => "ramfs",
        0x794C_7630 => "overlay",
        0x2FC1_2FC1 => "zfs",
        0xCA45_1A4E => "bcachefs",
        0x6969 => "nfs",
        0xFF53_4D42 | 0xFE53_4D42 => "cifs",
        0x6573_5546 => "fuse",
        0x0102_1997 => "9p",
        other => return format!("type {other:x}"),
    };
    name.to_owned()
}

fn port(address: SocketAddr, running: bool) -> Port {
    let state = match TcpListener::bind(address) {
        Ok(_) => PortState::Free,
        Err(error) if error.kind() == ErrorKind::AddrInUse && running => PortState::Ours,
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            PortState::Unavailable("another program is using it".to_owned())
        }
        Err(error) => PortState::Unavailable(error.to_string()),
    };
    Port { address: address.to_string(), state }
}

/// The host name in connection strings, and the addresses that it resolves to.
fn names(settings: &Settings) -> Vec<(String, Result<Vec<IpAddr>, String>)> {
    let domain = &settings.gateway.domain;
    let name = match domain.is_empty() {
        true => settings.gateway.host.clone(),
        false => format!("a-cluster.{domain}"),
    };
    vec![(name.clone(), resolve(&name))]
}

fn resolve(name: &str) -> Result<Vec<IpAddr>, String> {
    let found = (name, 0).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.dedup();
    Ok(addresses)
}

fn limits() -> Limits {
    let files = getrlimit(Resource::Nofile);
    let shm = statvfs("/dev/shm").ok();
    Limits {
        open_files: files.current,
        open_files_hard: files.maximum,
        processes: getrlimit(Resource::Nproc).current,
        pid_max: number("/proc/sys/kernel/pid_max").unwrap_or(u64::MAX),
        shared_memory: shm.map(|space| space.f_bavail * space.f_frsize),
        memory: available_memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
    }
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Available bytes according to `/proc/meminfo`. If it doesn't say, the check passes.
fn available_memory(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.map_or(u64::MAX, |kilobytes| kilobytes * 1024)
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}

fn newest(paths: &[&str]) -> i64 {
    let times = paths.iter().filter_map(|path| fs::metadata(path).and_then(|data| data.modified()).ok());
    times.map(seconds).max().unwrap_or(0)
}

/// Whether systemd reports the clock as synchronized. `None` without systemd.
fn synchronized() -> Option<bool> {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return Some(true);
    }
    let output = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn psql() -> Option<String> {
    let output =
        Command::new("psql").arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_in_bytes() {
        assert_eq!(available_memory("MemTotal: 9 kB\nMemAvailable:    2048 kB\n"), 2 << 20);
        assert_eq!(available_memory(""), u64::MAX);
    }

    #[test]
    fn a_port_is_free_or_in_use_by_this_server_or_another_program() {
        let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = held.local_addr().expect("its address");
        assert_eq!(port(address, true).state, PortState::Ours);
        assert!(matches!(port(address, false).state, PortState::Unavailable(_)));
        drop(held);
        assert_eq!(port(address, false).state, PortState::Free);
    }

    #[test]
    fn the_nearest_existing_directory_is_tested_without_leaving_files() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(nearest_directory(&directory.path().join("a/b")), directory.path());
        assert!(write_test(directory.path()).is_ok());
        assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 0, "no file is left");
    }
}
