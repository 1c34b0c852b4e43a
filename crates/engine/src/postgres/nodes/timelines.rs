//! Timelines: PostgreSQL's numbers of histories of the WAL. Each promotion begins one.
//!
//! No timeline may be used twice in a cluster, because nodes with the same number count as having the same WAL. A
//! server takes the next number that has no history file, and knows only its own files. So files without a history
//! reserve the numbers that other nodes have used. A standby ignores them while it runs, but does not start with them.

use super::received::StandbyState;
pub(super) use crate::postgres::backup::wal::WAL_FOLDER;
use crate::{
    WalPosition,
    files::{failed, names_in, write_for_owner},
};
use ootheca_model::{Error, Result};
use std::{fs, path::Path};

const HISTORY: &str = ".history";
/// The length of the name of a segment: the timeline and the number, in hexadecimal digits.
const SEGMENT_NAME: usize = 24;
const TIMELINE_DIGITS: usize = 8;
/// The content of a file that reserves a timeline.
const RESERVED: &str = "# reserved by Ootheca\n";
/// The content of a file for the timeline of restored data.
const UNKNOWN: &str = "# the data was restored\n";

/// The timeline of the newest WAL in a data directory; 0 if it contains none.
pub(super) fn newest(data: &Path) -> u32 {
    let names = names_in(&data.join(WAL_FOLDER));
    names.iter().filter_map(|name| segment_timeline(name)).max().unwrap_or(0)
}

/// The newest timeline that is known in a data directory.
pub(super) fn last_known(data: &Path) -> u32 {
    let names = names_in(&data.join(WAL_FOLDER));
    let timeline = |name: &String| segment_timeline(name).or_else(|| history_timeline(name));
    names.iter().filter_map(timeline).max().unwrap_or(0)
}

/// Reserves all timelines up to this one that have no history in a data directory.
pub(super) fn reserve(data: &Path, last: u32) -> Result<()> {
    let wal = data.join(WAL_FOLDER);
    // The first timeline has no history.
    for name in (2..=last).map(history_name).filter(|name| !wal.join(name).exists()) {
        write_for_owner(&wal, &name, RESERVED.as_bytes())?;
    }
    Ok(())
}

/// Creates the history of the timeline of a primary if it is missing: restored data lacks it, but standbys require it. The
/// timelines before belong to data that no standby can continue.
pub(super) fn ensure_history(primary_data: &Path) -> Result<()> {
    let (wal, current) = (primary_data.join(WAL_FOLDER), newest(primary_data));
    let name = history_name(current);
    // The first timeline has no history.
    if current < 2 || wal.join(&name).exists() {
        return Ok(());
    }
    write_for_owner(&wal, &name, UNKNOWN.as_bytes())
}

/// Removes what reserves timelines in the data directory of a standby that is about to start.
pub(super) fn release(data: &Path) -> Result<()> {
    let wal = data.join(WAL_FOLDER);
    for name in names_in(&wal).into_iter().filter(|name| history_timeline(name).is_some()) {
        let path = wal.join(name);
        if fs::read_to_string(&path).is_ok_and(|text| text == RESERVED) {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

/// Whether a standby has replayed WAL that is not that of the primary with this data directory.
pub(super) fn has_diverged(primary_data: &Path, standby: &StandbyState) -> Result<bool> {
    let current = newest(primary_data);
    if standby.timeline == current {
        return Ok(false);
    }
    let end = end_of(primary_data, standby.timeline)?;
    Ok(end.is_none_or(|end| standby.replayed > end))
}

/// Where a timeline ends in the history of the primary with this data directory; `None` if it is not part of it.
pub(super) fn end_of(primary_data: &Path, timeline: u32) -> Result<Option<WalPosition>> {
    let current = newest(primary_data);
    if timeline >= current {
        return Ok(None);
    }
    let path = primary_data.join(WAL_FOLDER).join(history_name(current));
    let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
    find_end(&text, timeline).map_err(|()| Error::internal(format!("{} is damaged", path.display())))
}

/// Each line of a history is a timeline and where it ends.
fn find_end(history: &str, timeline: u32) -> Result<Option<WalPosition>, ()> {
    let lines = history.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        let mut fields = line.split_whitespace();
        let number: u32 = fields.next().and_then(|number| number.parse().ok()).ok_or(())?;
        let end = fields.next().and_then(parse_position).ok_or(())?;
        if number == timeline {
            return Ok(Some(end));
        }
    }
    Ok(None)
}

/// Parses PostgreSQL's notation, for example `1/9A000028`.
pub(super) fn parse_position(text: &str) -> Option<WalPosition> {
    let part = |text: &str| u32::from_str_radix(text, 16).ok().map(u64::from);
    let (high, low) = text.split_once('/')?;
    Some(WalPosition((part(high)? << 32) | part(low)?))
}

pub(super) fn segment_timeline(name: &str) -> Option<u32> {
    let is_segment = name.len() == SEGMENT_NAME && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = name.get(..TIMELINE_DIGITS).filter(|_| is_segment)?;
    u32::from_str_radix(digits, 16).ok()
}

/// The number of a segment on its timeline, given the size of segments.
pub(super) fn segment_number(name: &str, segment_bytes: u64) -> Option<u64> {
    segment_timeline(name)?;
    let part = |text: Option<&str>| u64::from_str_radix(text?, 16).ok();
    let (high, low) = (part(name.get(8..16))?, part(name.get(16..SEGMENT_NAME))?);
    let per_part = (1_u64 << 32).checked_div(segment_bytes)?;
    high.checked_mul(per_part)?.checked_add(low)
}

pub(super) fn history_timeline(name: &str) -> Option<u32> {
    let number = name.strip_suffix(HISTORY).filter(|number| number.len() == TIMELINE_DIGITS)?;
    u32::from_str_radix(number, 16).ok()
}

fn history_name(timeline: u32) -> String {
    format!("{timeline:08X}{HISTORY}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ootheca_model::node::NodeId;
    use std::path::PathBuf;

    fn data(files: &[(&str, &str)]) -> PathBuf {
        let data = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir_all(data.join(WAL_FOLDER)).unwrap();
        for (name, text) in files {
            fs::write(data.join(WAL_FOLDER).join(name), text).unwrap();
        }
        data
    }

    #[test]
    fn used_timelines_are_reserved_without_replacing_histories() {
        let history = "1\t0/28\tno recovery target specified\n";
        let data = data(&[("000000010000000000000001", ""), ("00000003.history", history)]);
        assert_eq!((newest(&data), last_known(&data)), (1, 3));
        reserve(&data, 4).unwrap();
        let text = |timeline: u32| fs::read_to_string(data.join(WAL_FOLDER).join(history_name(timeline)));
        assert_eq!(text(2).unwrap(), RESERVED);
        assert_eq!(text(3).unwrap(), history);
        assert_eq!((text(4).unwrap().as_str(), last_known(&data)), (RESERVED, 4));
        assert!(text(1).is_err() && text(5).is_err());
        release(&data).unwrap();
        assert!(text(2).is_err() && text(4).is_err());
        assert_eq!(text(3).unwrap(), history);
        fs::remove_dir_all(&data).unwrap();
    }

    #[test]
    fn the_timeline_of_restored_data_gets_a_history() {
        let segment = ("000000030000000000000001", "");
        let data = data(&[segment]);
        let text = || fs::read_to_string(data.join(WAL_FOLDER).join(history_name(3)));
        ensure_history(&data).unwrap();
        assert_eq!(text().unwrap(), UNKNOWN);
        assert_eq!(end_of(&data, 2).unwrap(), None, "nothing is known of earlier timelines");
        release(&data).unwrap();
        assert_eq!(text().unwrap(), UNKNOWN, "it reserves nothing");
        fs::write(data.join(WAL_FOLDER).join(history_name(3)), "2\t0/28\n").unwrap();
        ensure_history(&data).unwrap();
        assert_eq!(text().unwrap(), "2\t0/28\n");
        fs::remove_dir_all(&data).unwrap();
    }

    #[test]
    fn data_beyond_the_end_of_its_timeline_has_diverged() {
        let history = "1\t0/28\tno recovery target specified\n3\t0/50\tno recovery target specified\n";
        let data = data(&[("000000050000000000000001", ""), ("00000005.history", history)]);
        let diverged = |timeline, replayed| {
            let node = NodeId(2);
            let position = WalPosition(replayed + 8);
            let state = StandbyState { node, timeline, received: position, replayed: WalPosition(replayed) };
            has_diverged(&data, &state).unwrap()
        };
        assert!(!diverged(1, 0x28) && !diverged(3, 0x50) && !diverged(5, 0x99));
        assert!(diverged(1, 0x29) && diverged(3, 0x51));
        assert!(diverged(2, 0x10) && diverged(4, 0x10) && diverged(6, 0x10), "timelines that were given up");
        fs::remove_dir_all(&data).unwrap();
    }

    #[test]
    fn damaged_histories_are_detected() {
        assert_eq!(find_end("# comment\n\n", 1), Ok(None));
        for damaged in ["x\t0/28", "1", "1\t28", "1\t0/"] {
            assert_eq!(find_end(damaged, 1), Err(()), "{damaged}");
        }
    }

    #[test]
    fn segments_are_numbered_by_their_size() {
        assert_eq!(segment_number("000000010000000100000234", 1 << 20), Some(0x1234));
        assert_eq!(segment_number("000000010000001200000034", 16 << 20), Some(0x1234));
        assert_eq!(segment_number("00000001.history", 1 << 20), None);
        assert_eq!(segment_number("000000010000000100000234", 0), None);
        assert_eq!(history_timeline("0000000A.history"), Some(10));
        assert_eq!(history_timeline("A.history"), None);
    }
}
