//! Limits and measures CPU time with the kernel's control groups, version 1 and 2, in
//! `<cpu>/ootheca/<instance>`. With version 2, also limits memory and the number of processes.

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
                    return Self { place: Ok((version, place)), counter };
                }
                Err(reason) => reasons.push(reason),
            }
        }
        if reasons.is_empty() {
            reasons.push("no control group with a CPU controller is mounted".to_owned());
        }
        Self { place: Err(reasons.join("; ")), counter: None }
    }

    /// The reason why CPU cannot be limited on this machine.
    pub(super) fn unavailable(&self) -> Option<&str> {
        self.place.as_ref().err().map(String::as_str)
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

    /// Limits memory and processes in the group of an instance, or says why not.
    pub(super) fn set_bounds(&self, instance: &str, bounds: Bounds) -> Result<(), String> {
        let (version, parent) = self.place.as_ref().map_err(Clone::clone)?;
        if *version == Version::V1 {
            return Err("the machine uses control groups of version 1".to_owned());
        }
        let values = [("memory.max", bounds.memory_bytes), ("pids.max", bounds.processes.into())];
        values.into_iter().try_for_each(|(file, value)| {
            let path = parent.join(instance).join(file);
            // The file must exist: `fs::write` would create one where the controller is not enabled.
            let write = |mut file: fs::File| io::Write::write_all(&mut file, value.to_string().as_bytes());
            fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .and_then(write)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))
        })
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
        let Ok((_, parent)) = &self.place else { return };
        for parent in [parent].into_iter().chain(&self.counter) {
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
        let Ok((_, parent)) = &self.place else { return true };
        let other = self.counter.iter().filter(|counter| *counter != parent);
        [parent].into_iter().chain(other).fold(true, |all, parent| {
            let removed = fs::remove_dir(parent.join(instance));
            all & (removed.is_ok() || removed.is_err_and(|error| error.kind() == io::ErrorKind::NotFound))
        })
    }
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
    let bases = candidates(mounts, own, "cpuacct").into_iter().filter(|(version, _)| *version == Version::V1);
    bases.filter_map(|(version, base)| prepare(version, &base).ok()).next()
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
        }?;
        if version == Version::V2 {
            // Without them, CPU is limited nevertheless.
            for controller in ["+memory", "+pids"] {
                let enable = |group: &Path| fs::write(group.join("cgroup.subtree_control"), controller);
                let _ = enable(base).and_then(|()| enable(&place));
            }
        }
        Ok(())
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

    /// A folder in place of a control group: the files that the kernel would create are created here.
    #[test]
    fn memory_and_processes_are_limited_where_the_controllers_are_enabled() {
        let folder = std::env::temp_dir().join(format!("ootheca-cgroup-{}", uuid::Uuid::new_v4().simple()));
        let group = folder.join("one");
        fs::create_dir_all(&group).expect("created");
        let bounds = Bounds { memory_bytes: 1 << 30, processes: 164 };
        let at = |version| Cgroups { place: Ok((version, folder.clone())), counter: None };
        let missing = at(Version::V2).set_bounds("one", bounds).expect_err("no controller");
        assert!(missing.contains("memory.max"), "{missing}");
        for file in ["memory.max", "pids.max"] {
            fs::write(group.join(file), "").expect("created");
        }
        at(Version::V2).set_bounds("one", bounds).expect("set");
        let read = |file: &str| fs::read_to_string(group.join(file)).expect(file);
        assert_eq!((read("memory.max").as_str(), read("pids.max").as_str()), ("1073741824", "164"));
        assert!(at(Version::V1).set_bounds("one", bounds).expect_err("version 1").contains("version 1"));
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn cpu_usage_of_version_2_is_parsed() {
        assert_eq!(parse_used("usage_usec 4711\nuser_usec 4000\nsystem_usec 711\n"), Some(4711));
        assert_eq!(parse_used("nr_periods 0\n"), None);
    }
}
