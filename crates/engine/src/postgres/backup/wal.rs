//! Positions in the WAL, and the names of its segments.

use crate::files::names_in;
use ootheca_model::{Error, Result};
use std::{
    fmt, fs,
    ops::{Range, RangeInclusive},
    path::Path,
};

/// The folder of the WAL in a data directory.
pub(in crate::postgres) const WAL_FOLDER: &str = "pg_wal";
/// The size of segments in the data of a new cluster.
pub(super) const USUAL_SEGMENT_BYTES: u64 = 1 << 20;
/// The sizes that PostgreSQL supports.
const SEGMENT_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 30;
/// The name is the timeline and the number, in hexadecimal digits.
const NAME_LENGTH: usize = 24;

/// A position in the WAL, which PostgreSQL calls LSN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lsn(pub(super) u64);

impl Lsn {
    /// Parses PostgreSQL's notation, for example `1/9A000028`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let part = |text: &str| u32::from_str_radix(text, 16).ok().map(u64::from);
        let (high, low) = text.split_once('/')?;
        Some(Self((part(high)? << 32) | part(low)?))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// Whether this is the name of a segment.
pub(super) fn is_segment(name: &str) -> bool {
    name.len() == NAME_LENGTH && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'))
}

/// The name of the segment that a name begins with, for example that of a backup history file.
pub(super) fn segment_of(name: &str) -> Option<&str> {
    name.get(..NAME_LENGTH).filter(|segment| is_segment(segment))
}

/// How the WAL of a timeline is divided into segments, which are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WalLayout {
    timeline: u32,
    segment_bytes: u64,
}

impl WalLayout {
    /// The layout of a segment with this name and size; `None` if it is not a segment.
    pub(super) fn of(name: &str, bytes: u64) -> Option<Self> {
        let valid = is_segment(name) && bytes.is_power_of_two() && SEGMENT_BYTES.contains(&bytes);
        let timeline = u32::from_str_radix(name.get(..8)?, 16).ok()?;
        valid.then_some(Self { timeline, segment_bytes: bytes })
    }

    /// The layout of the segments in a folder, on the newest timeline.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let mut names = names_in(folder);
        names.sort_unstable();
        // A running server may remove or rename some of them.
        let layout = |name: &String| Self::of(name, fs::symlink_metadata(folder.join(name)).ok()?.len());
        let found = names.iter().rev().find_map(layout);
        found.ok_or_else(|| Error::internal(format!("{} contains no WAL segment", folder.display())))
    }

    pub(super) fn name(self, number: u64) -> String {
        let (high, low) = (number / self.segments_per_part(), number % self.segments_per_part());
        format!("{:08X}{high:08X}{low:08X}", self.timeline)
    }

    /// The number of the segment with this name; `None` if it belongs to another timeline.
    pub(super) fn number(self, name: &str) -> Option<u64> {
        let part = |range: Range<usize>| u64::from_str_radix(name.get(range)?, 16).ok();
        let (timeline, high, low) = (part(0..8)?, part(8..16)?, part(16..NAME_LENGTH)?);
        let valid =
            is_segment(name) && timeline == u64::from(self.timeline) && low < self.segments_per_part();
        valid.then_some(high * self.segments_per_part() + low)
    }

    /// The number of the segment that contains a position.
    pub(super) fn containing(self, position: Lsn) -> u64 {
        position.0 / self.segment_bytes
    }

    /// The number of the last segment that contains WAL before a position.
    pub(super) fn last_before(self, position: Lsn) -> u64 {
        position.0.saturating_sub(1) / self.segment_bytes
    }

    /// The position where a segment begins.
    pub(super) fn start(self, number: u64) -> Lsn {
        Lsn(number * self.segment_bytes)
    }

    /// The lower part of a number in a name is that of segments in 4 GiB.
    fn segments_per_part(self) -> u64 {
        (1 << 32) / self.segment_bytes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAME: &str = "000000010000000000000001";

    #[test]
    fn positions_have_the_notation_of_postgresql() {
        let position = Lsn::parse("1A/9A000028").unwrap();
        assert_eq!(position, Lsn(0x1a_9a00_0028));
        assert_eq!(position.to_string(), "1A/9A000028");
        assert_eq!(Lsn(0x28).to_string(), "0/28");
        for invalid in ["", "1", "1/", "/1", "1/2/3", "x/1", "1/123456789"] {
            assert_eq!(Lsn::parse(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn segments_have_the_names_of_postgresql() {
        let small = WalLayout::of(NAME, 1 << 20).unwrap();
        assert_eq!(small.name(0x1234), "000000010000000100000234");
        let usual = WalLayout::of(NAME, 16 << 20).unwrap();
        assert_eq!(usual.name(0x1234), "000000010000001200000034");
        assert_eq!(usual.number("000000020000001200000034"), None, "another timeline");
        assert_eq!(usual.number("000000010000001200000100"), None, "there are 256 segments in 4 GiB");
    }

    #[test]
    fn segments_contain_their_start_and_end_before_the_next_one() {
        let layout = WalLayout::of(NAME, 1 << 20).unwrap();
        let start = layout.start(7);
        assert_eq!((layout.containing(start), layout.last_before(start)), (7, 6));
        let inside = Lsn(start.0 + 1);
        assert_eq!((layout.containing(inside), layout.last_before(inside)), (7, 7));
    }

    #[test]
    fn other_files_are_no_segments() {
        for name in [
            "",
            "00000001",
            "00000002.history",
            "00000001000000000000000a",
            "00000001000000000000000G",
            "0000000100000000000000011",
            "000000010000000000000001.00000028.backup",
            "archtemp.000000010000000000000001.4711.1",
            "+00000010000000000000001",
        ] {
            assert!(!is_segment(name) && WalLayout::of(name, 1 << 20).is_none(), "{name}");
        }
        for bytes in [0, 1, 1 << 19, (1 << 20) + 1, 3 << 20, 1 << 31] {
            assert_eq!(WalLayout::of(NAME, bytes), None, "{bytes}");
        }
        assert_eq!(segment_of("000000010000000000000001.00000028.backup"), Some(NAME));
        assert_eq!(segment_of("archtemp.000000010000000000000001"), None);
        assert_eq!(segment_of("00000001000000000000000é"), None);
    }

    #[test]
    fn layouts_are_those_of_the_newest_timeline() {
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&folder).unwrap();
        assert!(WalLayout::read(&folder).is_err(), "no segment");
        for (name, bytes) in
            [(NAME, 16 << 20), ("000000020000000000000001", 1 << 20), ("00000003.history", 40)]
        {
            fs::File::create(folder.join(name)).unwrap().set_len(bytes).unwrap();
        }
        fs::create_dir(folder.join("archive_status")).unwrap();
        let layout = WalLayout::read(&folder).unwrap();
        assert_eq!(layout, WalLayout { timeline: 2, segment_bytes: 1 << 20 });
        fs::remove_dir_all(&folder).unwrap();
    }

    proptest! {
        #[test]
        fn names_are_ordered_like_numbers(
            timeline in 1_u32..,
            exponent in 20..=30_u32,
            a in 0_u64..1 << 34,
            b in 0_u64..1 << 34,
        ) {
            let layout = WalLayout { timeline, segment_bytes: 1 << exponent };
            prop_assert_eq!(layout.number(&layout.name(a)), Some(a));
            prop_assert_eq!(layout.name(a).cmp(&layout.name(b)), a.cmp(&b));
            prop_assert!(is_segment(&layout.name(a)));
        }

        #[test]
        fn parsing_never_panics(text in ".{0,30}") {
            Lsn::parse(&text);
            segment_of(&text);
            WalLayout { timeline: 1, segment_bytes: 1 << 20 }.number(&text);
            WalLayout::of(&text, 1 << 20);
        }
    }
}
