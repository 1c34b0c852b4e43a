use super::*;
use proptest::prelude::*;
use uuid::Uuid;

/// In microseconds.
const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAYS: i64 = 24 * HOUR;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// A time whose day does not exist three months later.
fn now() -> Timestamp {
    at("2026-11-30T12:00:00Z")
}

/// The time `micros` after now.
fn ahead(micros: i64) -> Timestamp {
    Timestamp(now().0 + micros)
}

fn window(start_time: Timestamp, end_time: Timestamp) -> BlackoutWindow {
    BlackoutWindow {
        organization: OrganizationId(Uuid::nil()),
        cluster: ClusterId(Uuid::nil()),
        id: Uuid::nil().to_string(),
        start_time,
        end_time,
        created_at: now(),
    }
}

fn to(start: Option<Timestamp>, end: Option<Timestamp>) -> BlackoutPatch {
    BlackoutPatch { start_time: start, end_time: end }
}

/// A window that is over, has started, or starts later.
fn any_window() -> impl Strategy<Value = BlackoutWindow> {
    (-20 * DAYS..70 * DAYS, SECOND..=14 * DAYS)
        .prop_map(|(start, length)| window(ahead(start), ahead(start + length)))
}

/// A patch of a window, which is usually allowed.
fn any_patch() -> impl Strategy<Value = (BlackoutWindow, BlackoutPatch)> {
    let start = prop::option::of(6 * DAYS..100 * DAYS);
    let length = prop::option::of(-DAYS..16 * DAYS);
    (any_window(), start, length).prop_map(|(before, start, length)| {
        let start = start.map(ahead);
        let end = length.map(|length| Timestamp(start.unwrap_or(before.start_time).0 + length));
        (before, to(start, end))
    })
}

proptest! {
    /// A patch is refused exactly if it violates a rule. Otherwise it sets what it contains, and is idempotent.
    #[test]
    fn a_patch_is_applied_unless_it_violates_a_rule((before, wanted) in any_patch()) {
        let start = wanted.start_time.unwrap_or(before.start_time);
        let end = wanted.end_time.unwrap_or(before.end_time);
        let (start_changes, end_changes) = (start != before.start_time, end != before.end_time);
        let start_allowed = !start_changes || start.0 - now().0 >= 7 * DAYS;
        let end_allowed = !end_changes || (end > now() && end <= at("2027-02-28T12:00:00Z"));
        let length_allowed = start < end && end.0 - start.0 <= 14 * DAYS;
        let allowed = before.end_time > now() && start_allowed && end_allowed && length_allowed;
        match patch(&before, &wanted, now()) {
            Ok(after) => {
                prop_assert!(allowed || !(start_changes || end_changes));
                prop_assert_eq!(&after, &BlackoutWindow { start_time: start, end_time: end, ..before });
                prop_assert_eq!(patch(&after, &wanted, now()).ok(), Some(after));
            }
            Err(refused) => {
                prop_assert!(!allowed && (start_changes || end_changes), "{}", refused);
                let names_a_field = ["start_time: ", "end_time: "].iter().any(|field| refused.message().contains(field));
                prop_assert_eq!(names_a_field, before.end_time > now(), "{}", refused);
            }
        }
    }

    #[test]
    fn windows_are_sorted_by_their_start(first in any_window(), second in any_window()) {
        let keys = first.sort_key().cmp(&second.sort_key());
        prop_assert_eq!(keys, first.start_time.cmp(&second.start_time));
    }
}

#[test]
fn refusals_name_the_field_and_the_rule() {
    let later = window(ahead(8 * DAYS), ahead(9 * DAYS));
    let notice = "invalid argument: start_time: must be at least 7 days from now";
    let order = "invalid argument: end_time: must be after start_time";
    let length = "invalid argument: end_time: must be at most 14 days after start_time";
    let months = "invalid argument: end_time: must be at most 3 months from now";
    let limit = at("2027-02-28T12:00:00Z");
    let cases = [
        (to(Some(ahead(7 * DAYS - 1)), None), notice),
        (to(Some(ahead(-DAYS)), None), notice),
        (to(Some(ahead(9 * DAYS)), None), order),
        (to(None, Some(ahead(8 * DAYS))), order),
        (to(None, Some(ahead(22 * DAYS + 1))), length),
        (to(Some(ahead(80 * DAYS)), Some(Timestamp(limit.0 + 1))), months),
    ];
    for (wanted, message) in cases {
        assert_eq!(patch(&later, &wanted, now()).unwrap_err().message(), message, "{wanted:?}");
    }
    for wanted in [
        to(Some(ahead(7 * DAYS)), None),
        to(None, Some(ahead(22 * DAYS))),
        to(Some(ahead(80 * DAYS)), Some(limit)),
    ] {
        let after = patch(&later, &wanted, now()).expect("a limit is included");
        assert_eq!(after.start_time, wanted.start_time.unwrap_or(later.start_time));
        assert_eq!(after.end_time, wanted.end_time.unwrap_or(later.end_time));
    }
}

#[test]
fn the_end_can_be_changed_until_the_window_has_ended() {
    let started = window(ahead(-DAYS), ahead(HOUR));
    for end in [1, 13 * DAYS] {
        let after = patch(&started, &to(Some(started.start_time), Some(ahead(end))), now());
        assert_eq!(after.expect("the start is the same").end_time, ahead(end));
    }
    let past = patch(&started, &to(None, Some(now())), now()).unwrap_err();
    assert_eq!(past.message(), "invalid argument: end_time: must be in the future");
    let ended = window(ahead(-DAYS), now());
    let refused = patch(&ended, &to(None, Some(ahead(HOUR))), now()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Precondition);
    assert_eq!(refused.message(), ENDED);
    assert_eq!(patch(&ended, &BlackoutPatch::default(), now()).expect("nothing changes"), ended);
}
