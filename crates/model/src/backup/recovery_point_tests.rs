use super::*;
use crate::Plan;
use proptest::prelude::*;

/// About 2026-11-30, in milliseconds.
const START: i64 = 1_796_000_000_000;

fn cluster(number: u128) -> ClusterId {
    ClusterId(Uuid::from_u128(number))
}

fn millis(time: i64) -> Timestamp {
    Timestamp(time * MILLISECOND)
}

fn minutes(time: Timestamp, minutes: i64) -> Timestamp {
    Timestamp(time.0 + minutes * MINUTE)
}

fn point(as_of: i64, unchanged: i64, frequency_minutes: u16, retention_days: u16) -> RecoveryPoint {
    let (cluster, as_of_time) = (cluster(7 << 100), millis(as_of));
    RecoveryPoint {
        id: BackupId::new(cluster, as_of_time),
        organization: OrganizationId(Uuid::nil()),
        cluster,
        epoch: 0,
        base: "base".to_owned(),
        last_segment: String::new(),
        as_of_time,
        unchanged_until: Timestamp(as_of_time.0 + unchanged),
        frequency_minutes,
        retention_days,
        damaged: false,
    }
}

/// A point whose backups cover up to a few days, with the allowed frequencies and retentions.
fn any_point() -> impl Strategy<Value = RecoveryPoint> {
    let frequency = prop::sample::select(&crate::backup::FREQUENCIES[..]);
    let retention = prop::sample::select(&crate::backup::RETENTIONS[..]);
    (START..START + 1_000_000_000, 0..5 * DAY, frequency, retention)
        .prop_map(|(as_of, unchanged, minutes, days)| point(as_of, unchanged, minutes, days))
}

/// A time around the life of a point.
fn around(point: &RecoveryPoint, place: f64) -> Timestamp {
    let life = point.expires_at().0 - point.as_of_time.0 + 2 * DAY;
    Timestamp(point.as_of_time.0 - DAY + (life as f64 * place) as i64)
}

proptest! {
    #[test]
    fn an_id_contains_its_time_and_its_cluster(number: u128, other: u128, time in 0..1_i64 << 48) {
        let id = BackupId::new(cluster(number), millis(time));
        prop_assert_eq!(id.time(), millis(time));
        prop_assert_eq!(id.0.get_version_num(), 8);
        prop_assert!(id.may_be_of(cluster(number)));
        prop_assert_eq!(id.may_be_of(cluster(other)), number >> 72 == other >> 72);
        prop_assert_eq!(id.to_string().parse::<BackupId>().unwrap(), id);
        let text = serde_json::to_string(&id).unwrap();
        prop_assert_eq!(&text, &format!("\"{id}\""));
        prop_assert_eq!(serde_json::from_str::<BackupId>(&text).unwrap(), id);
    }

    #[test]
    fn ids_are_ordered_by_time(a in any::<u128>(), b in any::<u128>(), first in 0..1_i64 << 48, second in 0..1_i64 << 48) {
        let (one, other) = (BackupId::new(cluster(a), millis(first)), BackupId::new(cluster(b), millis(second)));
        prop_assert!(first >= second || (one < other && one.to_string() < other.to_string()));
    }

    #[test]
    fn an_id_of_another_kind_belongs_to_no_cluster(number: u128) {
        let id = BackupId(Builder::from_random_bytes(number.to_be_bytes()).into_uuid());
        prop_assert!(!id.may_be_of(cluster(number)));
    }

    /// They are listed in order, at the frequency, while it is certain that the data was the same.
    #[test]
    fn a_point_stands_for_a_backup_at_each_due_time(point in any_point()) {
        let all: Vec<Backup> = point.backups(point.as_of_time).collect();
        prop_assert_eq!(all[0], Backup { id: point.id, as_of_time: point.as_of_time });
        let frequency = i64::from(point.frequency_minutes);
        for pair in all.windows(2) {
            prop_assert_eq!(pair[1].as_of_time, minutes(pair[0].as_of_time, frequency));
        }
        let last = all[all.len() - 1].as_of_time;
        prop_assert!(last <= point.unchanged_until && minutes(last, frequency) > point.unchanged_until);
        let frequency_minutes = point.frequency_minutes;
        let same = BackupConfiguration { frequency_minutes, ..BackupConfiguration::default_of(Plan::Standard) };
        prop_assert_eq!(point.next_due(&same), minutes(last, frequency));
        prop_assert_eq!(point.expires_at().0 - last.0, i64::from(point.retention_days) * DAY);
        let mut reversed: Vec<Backup> = point.backups(point.as_of_time).rev().collect();
        reversed.reverse();
        prop_assert_eq!(reversed, all);
    }

    #[test]
    fn exactly_the_backups_that_have_not_expired_are_listed(point in any_point(), place in 0.0..1.0) {
        let now = around(&point, place);
        let listed: Vec<Backup> = point.backups(now).collect();
        let kept = |backup: &Backup| backup.as_of_time.0 + i64::from(point.retention_days) * DAY > now.0;
        let expected: Vec<Backup> = point.backups(point.as_of_time).filter(kept).collect();
        prop_assert_eq!(&listed, &expected);
        prop_assert_eq!(listed.is_empty(), now >= point.expires_at());
    }

    #[test]
    fn a_backup_is_found_by_its_id_while_it_is_listed(
        point in any_point(), which: prop::sample::Index, place in 0.0..1.0, other: u128, off in 1..1000_i64,
    ) {
        let now = around(&point, place);
        let all: Vec<Backup> = point.backups(point.as_of_time).collect();
        let backup = *which.get(&all);
        let listed = point.backups(now).any(|listed| listed == backup);
        prop_assert_eq!(point.backup(backup.id, now), listed.then_some(backup));
        let id = |cluster, millis: i64| {
            BackupId::new(cluster, Timestamp(backup.as_of_time.0 + millis * MILLISECOND))
        };
        for unknown in [id(cluster(other), 0), id(point.cluster, off), id(point.cluster, -off), BackupId(Uuid::from_u128(other))] {
            prop_assume!(unknown != backup.id);
            prop_assert_eq!(point.backup(unknown, now), None);
        }
    }

    #[test]
    fn the_time_of_a_backup_is_now_or_just_after_the_last_one(now in 0..START * MILLISECOND, after in prop::option::of(0..START * MILLISECOND)) {
        let (now, after) = (Timestamp(now), after.map(Timestamp));
        let time = backup_time(now, after);
        prop_assert_eq!(time.0 % MILLISECOND, 0);
        prop_assert!(after.is_none_or(|after| time > after));
        let floor = now.0 - now.0 % MILLISECOND;
        let next = after.map_or(0, |after| after.0 - after.0 % MILLISECOND + MILLISECOND);
        prop_assert_eq!(time.0, floor.max(next));
    }

    #[test]
    fn a_stored_point_is_read_back(point in any_point()) {
        let text = serde_json::to_string(&point).unwrap();
        prop_assert_eq!(serde_json::from_str::<RecoveryPoint>(&text).unwrap(), point);
    }
}

#[test]
fn the_next_backup_is_due_at_the_frequency_of_the_configuration() {
    let point = point(START, 90 * MINUTE, 60, 30);
    assert_eq!(point.backups(point.as_of_time).count(), 2);
    let basic = BackupConfiguration::default_of(Plan::Basic);
    assert_eq!(point.next_due(&basic), minutes(point.as_of_time, 1440));
    let often = BackupConfiguration { frequency_minutes: 5, ..basic };
    assert_eq!(point.next_due(&often), minutes(point.as_of_time, 95));
}

#[test]
fn a_changed_configuration_needs_another_recovery_point() {
    let point = point(START, 90 * MINUTE, 60, 30);
    let same = BackupConfiguration::default_of(Plan::Standard);
    assert!(point.is_of(&same));
    assert!(!point.is_of(&BackupConfiguration { frequency_minutes: 5, ..same }));
    assert!(!point.is_of(&BackupConfiguration { retention_days: 7, ..same }));
    let enabled = |minute: i64| {
        let enabled_at = Some(Timestamp(minutes(point.as_of_time, minute).0 + 1));
        BackupConfiguration { enabled_at, ..same }
    };
    assert!(point.is_of(&enabled(89)));
    assert!(point.is_of(&enabled(90)), "in the same millisecond");
    assert!(!point.is_of(&enabled(91)));
}

#[test]
fn a_backup_expires_when_its_retention_has_passed() {
    let point = point(START, 0, 60, 2);
    let end = minutes(point.as_of_time, 2 * 1440);
    assert_eq!(point.expires_at(), end);
    assert_eq!(point.backups(Timestamp(end.0 - 1)).count(), 1);
    assert_eq!(point.backups(end).count(), 0);
}
