//! Limits and measures CPU time, and limits memory and the number of processes, with the kernel's control
//! groups: in `<mount>/ootheca/<instance>`, where version 1 has a mount for each controller.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

const PARENT: &str = "ootheca";
/// The group of the control sessions of all instances.
const CONTROL: &str = "control";
/// The CPU time of a group in version 1, in nanoseconds.
const COUNTER: &str = "cpuacct.usage";
/// The default of `cpu.shares` in version 1.
const DEFAULT_SHARES: u64 = 1024;
/// The period of the CPU quota, in microseconds.
const PERIOD: u64 = 100_000;

/// The share of CPU of an instance without a limit of its own, relative to one with a limit, in percent. Only
/// matters while the CPUs of the machine are busy.
const UNLIMITED_SHARE: u64 = 25;

/// Limits of an instance besides CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) memory_bytes: u64,
    pub(super) processes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// The location of Ootheca's control groups, or the reason why there is none.
#[derive(Debug)]
pub(super) struct Cgroups {
    place: Result<(Version, PathBuf), String>,
    /// Where CPU time is counted: the same location, or another mount of version 1.
    counter: Option<PathBuf>,
    /// The same for memory, or the reason why it is not limited.
    memory: Result<PathBuf, String>,
    /// The same for processes.
    processes: Result<PathBuf, String>,
}

impl Cgroups {
    /// Looks for a CPU controller that this process can write to.
    pub(super) fn find() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut reasons = Vec::new();
        for (version, base) in candidates(&mounts, &own, "cpu") {
            match prepare(version, &base) {
                Ok(place) => {
                    let counter = counter(version, &place, &mounts, &own);
                    let [memory, processes] =
                        ["memory", "pids"].map(|name| limiter(version, &place, name, &mounts, &own));
                    return Self { place: Ok((version, place)), counter, memory, processes };
                }
                Err(reason) => reasons.push(reason),
            }
        }
        if reasons.is_empty() {
            reasons.push("no control group with a CPU controller is mounted".to_owned());
        }
        let reason = reasons.join("; ");
        let (memory, processes) = (Err(reason.clone()), Err(reason.clone()));
        Self { place: Err(reason), counter: None, memory, processes }
    }

    /// The reason why CPU cannot be limited on this machine.
    pub(super) fn unavailable(&self) -> Option<&str> {
        self.place.as_ref().err().map(String::as_str)
    }

    /// The reason why memory and processes cannot be limited on this machine.
    pub(super) fn bounds_unavailable(&self) -> Option<&str> {
        [&self.memory, &self.processes].into_iter().find_map(|place| place.as_ref().err()).map(String::as_str)
    }

    /// The version of control groups in use, or the reason why none is.
    pub(super) fn version(&self) -> Result<Version, String> {
        self.place.as_ref().map(|(version, _)| *version).map_err(Clone::clone)
    }

    /// Creates the group of an instance and sets its CPU limit, in thousandths of a CPU.
    pub(super) fn set_cpu_limit(&self, instance: &str, millis: Option<u32>) -> Result<(), String> {
        let (version, parent) = self.place.as_ref().map_err(Clone::clone)?;
        let group = parent.join(instance);
        let quota = millis.map(|millis| (u64::from(millis) * PERIOD / 1000).max(1000));
        let share = if millis.is_some() { 100 } else { UNLIMITED_SHARE };
        let set = || -> io::Result<()> {
            fs::create_dir_all(&group)?;
            match version {
                Version::V1 => {
                    fs::write(group.join("cpu.shares"), (share * DEFAULT_SHARES / 100).to_string())?;
                    fs::write(group.join("cpu.cfs_period_us"), PERIOD.to_string())?;
                    let quota = quota.map_or_else(|| "-1".to_owned(), |quota| quota.to_string());
                    fs::write(group.join("cpu.cfs_quota_us"), quota)
                }
                Version::V2 => {
                    let quota = quota.map_or_else(|| "max".to_owned(), |quota| quota.to_string());
                    // The default weight is 100.
                    fs::write(group.join("cpu.weight"), share.to_string())?;
                    fs::write(group.join("cpu.max"), format!("{quota} {PERIOD}"))
                }
            }
        };
        set().map_err(|error| format!("cannot write {}: {error}", group.display()))
    }

    /// Limits memory and processes of an instance, and adds these processes to its groups, or says why not.
    pub(super) fn set_bounds(&self, instance: &str, bounds: Bounds, pids: &[u32]) -> Result<(), String> {
        let memory_file = match self.version()? {
            Version::V1 => "memory.limit_in_bytes",
            Version::V2 => "memory.max",
        };
        let limits = [
            (&self.memory, memory_file, bounds.memory_bytes),
            (&self.processes, "pids.max", bounds.processes.into()),
        ];
        let set = |(parent, file, value): (&Result<PathBuf, String>, &str, u64)| {
            let group = parent.as_ref().map_err(Clone::clone)?.join(instance);
            limit(&group, file, value).and_then(|()| enter(&group, pids.iter().copied()))
        };
        // One is set even if the other fails.
        let failures: Vec<String> = limits.into_iter().filter_map(|one| set(one).err()).collect();
        if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
    }

    /// Adds processes to the group of an instance. Processes that have ended in the meantime are ignored.
    pub(super) fn add(&self, instance: &str, pids: impl IntoIterator<Item = u32>) -> Result<(), String> {
        let (_, parent) = self.place.as_ref().map_err(Clone::clone)?;
        enter(&parent.join(instance), pids)
    }

    /// Adds processes to the group that counts the CPU time of the instance. Returns `false` if CPU time
    /// cannot be counted on this machine.
    pub(super) fn count(&self, instance: &str, pids: impl IntoIterator<Item = u32>) -> bool {
        let (Ok((_, parent)), Some(counter)) = (&self.place, &self.counter) else { return false };
        let group = counter.join(instance);
        counter == parent || (fs::create_dir_all(&group).is_ok() && enter(&group, pids).is_ok())
    }

    /// Moves a control session out of the groups of its instance, so that it is neither limited nor counted.
    pub(super) fn exempt(&self, pid: u32) {
        for parent in self.places() {
            let group = parent.join(CONTROL);
            let entered = fs::create_dir_all(&group).is_ok() && enter(&group, [pid]).is_ok();
            tracing::trace!(pid, entered, group = %group.display(), "moved control session");
        }
    }

    /// CPU time in microseconds that the group of an instance has used since it was created.
    pub(super) fn used(&self, instance: &str) -> Option<u64> {
        let group = self.counter.as_ref()?.join(instance);
        match self.place {
            Ok((Version::V2, _)) => parse_used(&fs::read_to_string(group.join("cpu.stat")).ok()?),
            _ => Some(fs::read_to_string(group.join(COUNTER)).ok()?.trim().parse::<u64>().ok()? / 1000),
        }
    }

    /// Removes the group of an instance whose processes have ended. Returns `false` on failure.
    pub(super) fn remove(&self, instance: &str) -> bool {
        self.places().into_iter().fold(true, |all, parent| {
            let removed = fs::remove_dir(parent.join(instance));
            all & (removed.is_ok() || removed.is_err_and(|error| error.kind() == io::ErrorKind::NotFound))
        })
    }

    /// The locations with a group for each instance, each once.
    fn places(&self) -> Vec<&PathBuf> {
        let cpu = self.place.as_ref().ok().map(|(_, place)| place);
        let mut places: Vec<&PathBuf> =
            cpu.into_iter().chain(&self.counter).chain(&self.memory).chain(&self.processes).collect();
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// Sets a limit of a group, and creates the group if necessary.
fn limit(group: &Path, file: &str, value: u64) -> Result<(), String> {
    let path = group.join(file);
    // The file must exist: `fs::write` would create one where the controller is not enabled.
    fs::create_dir_all(group)
        .and_then(|()| fs::OpenOptions::new().write(true).open(&path))
        .and_then(|mut file| io::Write::write_all(&mut file, value.to_string().as_bytes()))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Adds processes to a group. Processes that have ended in the meantime are ignored.
fn enter(group: &Path, pids: impl IntoIterator<Item = u32>) -> Result<(), String> {
    let file = group.join("cgroup.procs");
    for pid in pids {
        match fs::write(&file, pid.to_string()) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                return Err(format!("cannot write {}: {error}", file.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where the CPU time of the groups in `place` is counted, if anywhere.
fn counter(version: Version, place: &Path, mounts: &str, own: &str) -> Option<PathBuf> {
    if version == Version::V2 || place.join(COUNTER).exists() {
        return Some(place.to_owned());
    }
    mount("cpuacct", mounts, own).ok()
}

/// Where a controller limits the groups in `place`, or the reason why it does not.
fn limiter(
    version: Version,
    place: &Path,
    controller: &str,
    mounts: &str,
    own: &str,
) -> Result<PathBuf, String> {
    if version == Version::V1 {
        return mount(controller, mounts, own);
    }
    for group in place.parent().into_iter().chain([place]) {
        let file = group.join("cgroup.subtree_control");
        fs::write(&file, format!("+{controller}"))
            .map_err(|error| format!("cannot enable {controller} in {}: {error}", file.display()))?;
    }
    Ok(place.to_owned())
}

/// The location of the groups in the mount of a controller of version 1, or the reason why it can't be used.
fn mount(controller: &str, mounts: &str, own: &str) -> Result<PathBuf, String> {
    let mut reason = format!("no control group with the controller {controller} is mounted");
    for (version, base) in candidates(mounts, own, controller) {
        if version == Version::V1 {
            match prepare(version, &base) {
                Ok(place) => return Ok(place),
                Err(failure) => reason = failure,
            }
        }
    }
    Err(reason)
}

/// Parses `usage_usec` of version 2.
fn parse_used(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("usage_usec ")?.trim().parse().ok())
}

/// Lists where groups might be created: the root of a controller, then this process's own group in it.
fn candidates(mounts: &str, own: &str, controller: &str) -> Vec<(Version, PathBuf)> {
    let mut found = Vec::new();
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let Some(mount) = left.split(' ').nth(4) else { continue };
        let mut right = right.split(' ');
        let (kind, options) = (right.next().unwrap_or_default(), right.nth(1).unwrap_or_default());
        let wanted = |list: &str| list.split(',').any(|word| word == controller);
        let (version, place) = match kind {
            "cgroup" if wanted(options) => (Version::V1, own_place(own, wanted)),
            "cgroup2" => (Version::V2, own_place(own, str::is_empty)),
            _ => continue,
        };
        found.push((version, PathBuf::from(mount)));
        if let Some(place) = place.filter(|place| !place.is_empty()) {
            found.push((version, Path::new(mount).join(place)));
        }
    }
    found
}

fn own_place(own: &str, wanted: impl Fn(&str) -> bool) -> Option<String> {
    own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        wanted(controllers).then(|| fields.next().unwrap_or_default().trim_start_matches('/').to_owned())
    })
}

fn prepare(version: Version, base: &Path) -> Result<PathBuf, String> {
    let place = base.join(PARENT);
    if version == Version::V2 {
        let controllers = fs::read_to_string(base.join("cgroup.controllers")).unwrap_or_default();
        if !controllers.split_whitespace().any(|name| name == "cpu") {
            return Err(format!("{} has no CPU controller", base.display()));
        }
    }
    let make = || -> io::Result<()> {
        if version == Version::V2 {
            fs::write(base.join("cgroup.subtree_control"), "+cpu")?;
        }
        fs::create_dir_all(&place)?;
        match version {
            Version::V1 => fs::OpenOptions::new().write(true).open(place.join("cgroup.procs")).map(|_| ()),
            Version::V2 => fs::write(place.join("cgroup.subtree_control"), "+cpu"),
        }
    };
    make().map_err(|error| format!("cannot write {}: {error}", place.display()))?;
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Cgroups, Version, candidates, parse_used};
    use std::{fs, path::PathBuf};

    #[test]
    fn both_versions_are_detected() {
        let one = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                   33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let found = candidates(one, "4:cpu,cpuacct:/a/b\n3:memory:/m\n", "cpu");
        let base = PathBuf::from("/sys/fs/cgroup/cpu,cpuacct");
        assert_eq!(found, [(Version::V1, base.clone()), (Version::V1, base.join("a/b"))]);
        let two = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let base = PathBuf::from("/sys/fs/cgroup");
        let found = candidates(two, "0::/user.slice\n", "cpu");
        assert_eq!(found, [(Version::V2, base.clone()), (Version::V2, base.join("user.slice"))]);
    }

    /// Folders in place of control groups: the files that the kernel would create are created here.
    #[test]
    fn memory_and_processes_are_limited_where_the_controllers_are_enabled() {
        let folder = std::env::temp_dir().join(format!("ootheca-cgroup-{}", uuid::Uuid::new_v4().simple()));
        let bounds = Bounds { memory_bytes: 1 << 30, processes: 164 };
        let cases = [
            (Version::V1, "memory", "memory.limit_in_bytes", "pids"),
            (Version::V2, "unified", "memory.max", "unified"),
        ];
        for (version, memory, memory_file, processes) in cases {
            let place = |name: &str| folder.join(name);
            let groups = Cgroups {
                place: Ok((version, place("cpu"))),
                counter: None,
                memory: Ok(place(memory)),
                processes: Ok(place(processes)),
            };
            let missing = groups.set_bounds("one", bounds, &[]).expect_err("no controller");
            assert!(missing.contains(memory_file) && missing.contains("pids.max"), "{missing}");
            let [memory, processes] = [memory, processes].map(|name| place(name).join("one"));
            fs::write(memory.join(memory_file), "").expect("created");
            let missing = groups.set_bounds("one", bounds, &[]).expect_err("one controller");
            assert!(!missing.contains(memory_file) && missing.contains("pids.max"), "{missing}");
            fs::write(processes.join("pids.max"), "").expect("created");
            groups.set_bounds("one", bounds, &[42]).expect("set");
            let read = |path: PathBuf| fs::read_to_string(path).expect("a file");
            assert_eq!(read(memory.join(memory_file)), "1073741824");
            assert_eq!(read(processes.join("pids.max")), "164");
            for group in [memory, processes] {
                assert_eq!(read(group.join("cgroup.procs")), "42");
            }
        }
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn missing_controllers_are_reported() {
        let none = super::mount("pids", "32 31 0:29 / /none rw - cgroup cgroup rw,memory\n", "");
        assert_eq!(none, Err("no control group with the controller pids is mounted".to_owned()));
        let absent = super::mount("memory", "32 31 0:29 / /proc/none rw - cgroup cgroup rw,memory\n", "");
        assert!(absent.expect_err("no such directory").contains("/proc/none/ootheca"));
    }

    #[test]
    fn cpu_usage_of_version_2_is_parsed() {
        assert_eq!(parse_used("usage_usec 4711\nuser_usec 4000\nsystem_usec 711\n"), Some(4711));
        assert_eq!(parse_used("nr_periods 0\n"), None);
    }
}
