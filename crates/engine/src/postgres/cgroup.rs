//! CPU bounds through the kernel's control groups, version 1 and 2: `<cpu>/ootheca/<instance>`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

const PARENT: &str = "ootheca";
/// Microseconds in which the quota may be used.
const PERIOD: u64 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// The place of our groups, or why there is none.
#[derive(Debug)]
pub(super) struct Cgroups {
    place: Result<(Version, PathBuf), String>,
}

impl Cgroups {
    /// Looks for a CPU controller that this process may write to.
    pub(super) fn find() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut reasons = Vec::new();
        for (version, base) in candidates(&mounts, &own) {
            match prepare(version, &base) {
                Ok(place) => return Self { place: Ok((version, place)) },
                Err(reason) => reasons.push(reason),
            }
        }
        if reasons.is_empty() {
            reasons.push("no control group with a CPU controller is mounted".to_owned());
        }
        Self { place: Err(reasons.join("; ")) }
    }

    /// Why CPU can not be bounded here.
    pub(super) fn unbounded(&self) -> Option<&str> {
        self.place.as_ref().err().map(String::as_str)
    }

    /// Makes the group of an instance and sets its bound, in thousandths of a CPU.
    pub(super) fn bound(&self, instance: &str, millis: Option<u32>) -> Result<(), String> {
        let (version, parent) = self.place.as_ref().map_err(Clone::clone)?;
        let group = parent.join(instance);
        let quota = millis.map(|millis| (u64::from(millis) * PERIOD / 1000).max(1000));
        let set = || -> io::Result<()> {
            fs::create_dir_all(&group)?;
            match version {
                Version::V1 => {
                    fs::write(group.join("cpu.cfs_period_us"), PERIOD.to_string())?;
                    let quota = quota.map_or_else(|| "-1".to_owned(), |quota| quota.to_string());
                    fs::write(group.join("cpu.cfs_quota_us"), quota)
                }
                Version::V2 => {
                    let quota = quota.map_or_else(|| "max".to_owned(), |quota| quota.to_string());
                    fs::write(group.join("cpu.max"), format!("{quota} {PERIOD}"))
                }
            }
        };
        set().map_err(|error| format!("can not write {}: {error}", group.display()))
    }

    /// Puts processes into the group of an instance; those that ended meanwhile are passed over.
    pub(super) fn add(&self, instance: &str, pids: impl IntoIterator<Item = u32>) -> Result<(), String> {
        let (_, parent) = self.place.as_ref().map_err(Clone::clone)?;
        let file = parent.join(instance).join("cgroup.procs");
        for pid in pids {
            match fs::write(&file, pid.to_string()) {
                Err(error) if error.raw_os_error() != Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                    return Err(format!("can not write {}: {error}", file.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes the group of an instance whose processes have ended. `false` if it could not.
    pub(super) fn remove(&self, instance: &str) -> bool {
        let Ok((_, parent)) = &self.place else { return true };
        let removed = fs::remove_dir(parent.join(instance));
        removed.is_ok() || removed.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }
}

/// Where groups might be made: the root of a CPU controller, then this process's own place in it.
fn candidates(mounts: &str, own: &str) -> Vec<(Version, PathBuf)> {
    let mut found = Vec::new();
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let Some(mount) = left.split(' ').nth(4) else { continue };
        let mut right = right.split(' ');
        let (kind, options) = (right.next().unwrap_or_default(), right.nth(1).unwrap_or_default());
        let has_cpu = |list: &str| list.split(',').any(|word| word == "cpu");
        let (version, place) = match kind {
            "cgroup" if has_cpu(options) => (Version::V1, own_place(own, has_cpu)),
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
    make().map_err(|error| format!("{} can not be written: {error}", place.display()))?;
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::{Version, candidates};
    use std::path::PathBuf;

    #[test]
    fn both_versions_are_found() {
        let one = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                   33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let found = candidates(one, "4:cpu,cpuacct:/a/b\n3:memory:/m\n");
        let base = PathBuf::from("/sys/fs/cgroup/cpu,cpuacct");
        assert_eq!(found, [(Version::V1, base.clone()), (Version::V1, base.join("a/b"))]);
        let two = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let base = PathBuf::from("/sys/fs/cgroup");
        let found = candidates(two, "0::/user.slice\n");
        assert_eq!(found, [(Version::V2, base.clone()), (Version::V2, base.join("user.slice"))]);
    }
}
