//! Which WAL segments belong to a base.

use ootheca_model::backup::Base;
use std::ops::Range;

/// The size of a WAL segment in the engine.
const SEGMENT_BYTES: u64 = 1 << 20;
/// A new base is taken after more WAL than this, or than this part of the base.
const LEAST_LIMIT: u64 = 64 << 20;
const LIMIT_PART: u64 = 4;

/// The name of a segment is the timeline and the number in two parts, in hexadecimal digits.
const NAME_LENGTH: usize = 24;
/// The lower part of the number counts the segments in so many bytes.
const PART_BYTES: u64 = 1 << 32;

/// The bytes of WAL after which a new base is taken.
pub(super) fn limit(base: Option<&Base>) -> u64 {
    base.map_or(0, |base| base.bytes / LIMIT_PART).max(LEAST_LIMIT)
}

/// The maximum size of so many segments.
pub(super) fn bytes_of(segments: usize) -> u64 {
    u64::try_from(segments).unwrap_or(u64::MAX).saturating_mul(SEGMENT_BYTES)
}

/// The bytes of a segment that are in use. If a segment is ended early, the rest of it is zero.
pub(super) fn used_bytes(segment: &[u8]) -> u64 {
    let used = segment.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    u64::try_from(used).unwrap_or(u64::MAX)
}

/// Whether a restore that begins with `base` and goes far enough needs this segment.
pub(super) fn needs(base: &Base, segment: &str) -> bool {
    match base.first_segment.as_str() {
        // The copy contains everything up to its last segment.
        "" => segment > base.last_segment.as_str(),
        first => segment >= first,
    }
}

/// No restore that begins with `base` needs a segment before this one. `None` if this is not known.
pub(super) fn bound(base: &Base) -> Option<&str> {
    [&base.first_segment, &base.last_segment].into_iter().map(String::as_str).find(|name| !name.is_empty())
}

/// Whether segments are missing between `stored`, up to which all are stored, and those that are ready, in order. Names
/// that are not those of PostgreSQL say nothing.
pub(super) fn has_gap(stored: &str, ready: &[String]) -> bool {
    let next = |name: &str| following(name, usize::try_from(SEGMENT_BYTES).ok()?);
    let mut expected = next(stored);
    ready.iter().filter(|name| name.as_str() > stored).any(|name| {
        let is_missing = expected.as_ref().is_some_and(|expected| expected != name);
        expected = next(name);
        is_missing
    })
}

/// The name of the segment that follows one of this size; `None` if it is not that of PostgreSQL.
pub(super) fn following(segment: &str, bytes: usize) -> Option<String> {
    let part = |range: Range<usize>| u64::from_str_radix(segment.get(range)?, 16).ok();
    let (high, low) = (part(8..16)?, part(16..NAME_LENGTH)?);
    let per_part = PART_BYTES.checked_div(u64::try_from(bytes).ok()?)?;
    let next = high.checked_mul(per_part)?.checked_add(low + 1)?;
    let is_known = segment.len() == NAME_LENGTH && low < per_part;
    is_known.then(|| format!("{}{:08X}{:08X}", &segment[..8], next / per_part, next % per_part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ootheca_model::{ClusterId, OrganizationId, Timestamp};
    use uuid::Uuid;

    fn base(first_segment: &str, last_segment: &str, bytes: u64) -> Base {
        Base {
            id: Uuid::from_u128(3).to_string(),
            organization: OrganizationId(Uuid::nil()),
            cluster: ClusterId(Uuid::from_u128(7)),
            epoch: 0,
            engine_major: "15".to_owned(),
            first_segment: first_segment.to_owned(),
            last_segment: last_segment.to_owned(),
            bytes,
            stored_bytes: bytes / 5,
            created_at: Timestamp(1_000_000),
            stored_segment: String::new(),
            wal_bytes: 0,
            verified_at: None,
            damaged: false,
        }
    }

    #[test]
    fn a_base_needs_the_segments_from_its_first_or_after_its_last() {
        let needed = |base: &Base| ["1", "2", "3", "4"].map(|name| needs(base, name));
        let (running, stopped, unknown) = (base("2", "3", 0), base("", "2", 0), base("", "", 0));
        assert_eq!(needed(&running), [false, true, true, true]);
        assert_eq!(needed(&stopped), [false, false, true, true]);
        assert_eq!(needed(&unknown), [true; 4]);
        assert!(!needs(&unknown, ""), "no segment");
        assert_eq!([&running, &stopped, &unknown].map(bound), [Some("2"), Some("2"), None]);
    }

    #[test]
    fn limits_depend_on_the_base() {
        assert_eq!(limit(None), 64 << 20);
        assert_eq!(limit(Some(&base("", "", 100 << 20))), 64 << 20);
        assert_eq!(limit(Some(&base("", "", 1 << 30))), 256 << 20);
        assert_eq!((bytes_of(0), bytes_of(3)), (0, 3 << 20));
    }

    #[test]
    fn names_are_followed_by_the_next_number() {
        let next = |name: &str, bytes: usize| following(name, bytes);
        let name = |end: &str| Some(format!("0000000A{end}"));
        assert_eq!(next("0000000A0000000000000001", 1 << 20), name("0000000000000002"));
        assert_eq!(next("0000000A0000000000000FFF", 1 << 20), name("0000000100000000"));
        assert_eq!(next("0000000A00000001000000FF", 1 << 20), name("0000000100000100"));
        assert_eq!(next("0000000A00000001000000FF", 16 << 20), name("0000000200000000"));
        for unknown in ["", "0000000000000001", "0000000A0000000000001000", "0000000A000000000000000é"] {
            assert_eq!(next(unknown, 1 << 20), None, "{unknown}");
        }
        assert_eq!(next("0000000A0000000000000001", 0), None);
    }

    #[test]
    fn missing_segments_are_a_gap() {
        let ready = |ends: &[&str]| {
            ends.iter().map(|end| format!("0000000A000000000000000{end}")).collect::<Vec<_>>()
        };
        let gap = |stored: &str, ends: &[&str]| has_gap(&ready(&[stored])[0], &ready(ends));
        assert!(!gap("3", &[]));
        assert!(!gap("3", &["4", "5"]));
        assert!(!gap("3", &["2", "3", "4"]), "some of them were not removed yet");
        assert!(gap("3", &["5"]) && gap("3", &["4", "6"]));
        assert!(!has_gap("", &ready(&["5", "6"])), "nothing is stored");
        assert!(has_gap("", &ready(&["5", "7"])));
        assert!(!has_gap("0000000000000001", &["0000000000000009".to_owned()]), "those of another engine");
    }

    #[test]
    fn the_end_of_a_segment_does_not_count() {
        let counts = [&[][..], &[0, 0], &[7], &[0, 7, 0, 0], &[7, 0, 7]].map(used_bytes);
        assert_eq!(counts, [0, 0, 1, 2, 3]);
    }
}
