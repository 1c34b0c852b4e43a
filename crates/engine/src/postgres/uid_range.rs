//! The range of user IDs for instances and for clusters with several nodes.

use ootheca_model::{Error, Result};
use std::{fs, ops::RangeInclusive};

const SETTING: &str = "engine.uid_range";
/// Outside of the ranges of distributions, containers, and systemd.
const NODES: RangeInclusive<u32> = 1_900_000_000..=1_900_065_535;

/// User IDs, which are used as group IDs as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UidRange(RangeInclusive<u32>);

/// Files of the machine that say which IDs are in use.
#[derive(Clone, Debug, Default)]
struct Machine {
    /// `/etc/passwd` and `/etc/group`.
    names: [String; 2],
    /// `/etc/subuid` and `/etc/subgid`: the ranges that users may use in containers.
    subordinate: [String; 2],
    /// `/proc/self/uid_map` and `gid_map`: the IDs that exist in this container.
    maps: [String; 2],
}

impl Machine {
    fn read() -> Self {
        let read = |paths: [&str; 2]| paths.map(|path| fs::read_to_string(path).unwrap_or_default());
        Self {
            names: read(["/etc/passwd", "/etc/group"]),
            subordinate: read(["/etc/subuid", "/etc/subgid"]),
            maps: read(["/proc/self/uid_map", "/proc/self/gid_map"]),
        }
    }
}

impl UidRange {
    /// Reads the setting, for example `1900000000-1900065535`, and checks it against the users of this machine.
    /// Returns `None` if it is empty.
    pub(super) fn find(setting: &str) -> Result<Option<Self>> {
        if setting.is_empty() {
            return Ok(None);
        }
        let range = Self::parse(setting)?;
        if !rustix::process::geteuid().is_root() {
            return Err(Error::invalid(
                SETTING,
                "must be empty, because the server does not run as root and can't use the ids of other users",
            ));
        }
        range.check(&Machine::read())?;
        Ok(Some(range))
    }

    /// The range for clusters with several nodes if the setting is empty. Returns why it can't be used.
    pub(super) fn of_nodes() -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("the server does not run as root, so all SQL servers run as the same user".to_owned());
        }
        let range = Self(NODES);
        range.check(&Machine::read()).map_err(|error| error.message().to_owned())?;
        Ok(range)
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        let numbers = text.split_once('-').and_then(|(first, last)| {
            Some(first.trim().parse::<u32>().ok()?..=last.trim().parse::<u32>().ok()?)
        });
        match numbers {
            // The last number means "no user" in system calls.
            Some(range) if !range.is_empty() && *range.start() > 0 && *range.end() < u32::MAX => {
                Ok(Self(range))
            }
            _ => Err(Error::invalid(
                SETTING,
                format!(
                    "{text:?} must be the first and the last user id, such as 1900000000-1900065535, from 1 to {}",
                    u32::MAX - 1
                ),
            )),
        }
    }

    fn check(&self, machine: &Machine) -> Result<()> {
        let (first, last) = (self.0.start(), self.0.end());
        for (text, kind) in machine.names.iter().zip(["user", "group"]) {
            if let Some((name, id)) = names(text).find(|(_, id)| self.0.contains(id)) {
                let rule = format!("must not contain the id {id} of the {kind} {name:?}");
                return Err(Error::invalid(SETTING, rule));
            }
        }
        for (text, path) in machine.subordinate.iter().zip(["/etc/subuid", "/etc/subgid"]) {
            let overlaps = |(_, start, count): &(&str, u64, u64)| {
                *start <= u64::from(*last) && start + count > u64::from(*first)
            };
            if let Some((name, start, count)) = subordinate(text).find(overlaps) {
                let end = start + count.saturating_sub(1);
                let rule = format!("must not overlap {start}-{end}, which {path} assigns to {name:?}");
                return Err(Error::invalid(SETTING, rule));
            }
        }
        if !machine.maps.iter().all(|map| is_mapped(map, *first, *last)) {
            let rule =
                format!("{first}-{last} is outside of the ids of this container (see /proc/self/uid_map)");
            return Err(Error::invalid(SETTING, rule));
        }
        Ok(())
    }

    pub(super) fn contains(&self, id: u32) -> bool {
        self.0.contains(&id)
    }

    pub(super) fn first(&self) -> u32 {
        *self.0.start()
    }

    /// The first ID that is not in use.
    pub(super) fn free(&self, is_used: impl Fn(u32) -> bool) -> Result<u32> {
        self.0.clone().find(|id| !is_used(*id)).ok_or_else(|| {
            let count = self.0.end() - self.0.start() + 1;
            Error::unavailable(format!("{SETTING}: all {count} ids are in use; extend the range"))
        })
    }
}

/// Names and IDs in the format of `/etc/passwd` and `/etc/group`.
fn names(text: &str) -> impl Iterator<Item = (&str, u32)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        Some((fields.next()?, fields.nth(1)?.parse().ok()?))
    })
}

/// Names, first IDs, and numbers of IDs in the format of `/etc/subuid`.
fn subordinate(text: &str) -> impl Iterator<Item = (&str, u64, u64)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some((name, fields.next()?.parse::<u32>().ok()?.into(), fields.next()?.parse::<u32>().ok()?.into()))
    })
}

/// Whether one line of a map, as the kernel prints it, contains the whole range. Without a map, all IDs exist.
fn is_mapped(map: &str, first: u32, last: u32) -> bool {
    let mut lines = map.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let start: u64 = fields.next()?.parse().ok()?;
        Some((start, fields.nth(1)?.parse::<u64>().ok()?))
    });
    map.is_empty() || lines.any(|(start, count)| start <= first.into() && u64::from(last) < start + count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(text: &str) -> UidRange {
        UidRange::parse(text).expect(text)
    }

    #[test]
    fn invalid_ranges_are_refused_with_the_name_of_the_setting() {
        for text in ["200000", "a-b", "5-4", "0-9", "1-4294967295", "1-4294967296", "-5", "1-2-3", "1..2"] {
            let error = UidRange::parse(text).expect_err(text);
            let message = error.message();
            assert!(message.contains("engine.uid_range") && message.contains(text), "{message}");
        }
        assert_eq!(range("200000-265535"), range(" 200000 - 265535 "));
        assert_eq!(UidRange::find("").expect("unset"), None);
    }

    #[test]
    fn ranges_with_ids_of_other_users_are_refused() {
        let whole = "         0          0 4294967295\n".to_owned();
        let machine = Machine {
            names: [
                "root:x:0:0:root:/root:/bin/sh\nooo:x:999:998::/:/bin/false\n".to_owned(),
                "root:x:0:\nops:x:2000:max\n".to_owned(),
            ],
            subordinate: ["max:100000:65536\n".to_owned(), "zoe:300000:10\n".to_owned()],
            maps: [whole.clone(), whole],
        };
        let refused = |text| range(text).check(&machine).expect_err(text).message().to_owned();
        assert!(refused("900-1000").contains("999 of the user \"ooo\""));
        assert!(refused("1500-2500").contains("2000 of the group \"ops\""));
        assert!(refused("165535-170000").contains("100000-165535, which /etc/subuid assigns to \"max\""));
        assert!(refused("299999-300000").contains("/etc/subgid assigns to \"zoe\""));
        for text in ["165536-170000", "300010-300010", "1900000000-1900065535"] {
            range(text).check(&machine).expect(text);
        }
        let container = "0 100000 65536\n".to_owned();
        let machine = Machine { maps: [container.clone(), container], ..Machine::default() };
        range("60000-65535").check(&machine).expect("it is mapped");
        let error = range("60000-65536").check(&machine).expect_err("it is not mapped");
        assert!(error.message().contains("this container"), "{error}");
    }

    proptest! {
        #[test]
        fn ids_are_unique_until_the_range_is_used_up(first in 1u32..u32::MAX - 9, count in 1u32..9) {
            let range = range(&format!("{first}-{}", first + count - 1));
            let mut used = Vec::new();
            for _ in 0..count {
                let id = range.free(|id| used.contains(&id)).expect("one is left");
                prop_assert!(range.contains(id) && !used.contains(&id));
                used.push(id);
            }
            let error = range.free(|id| used.contains(&id)).expect_err("none is left");
            prop_assert!(error.message().contains("engine.uid_range"));
            let returned = used.swap_remove(0);
            prop_assert_eq!(range.free(|id| used.contains(&id)).expect("one was returned"), returned);
        }
    }
}
