use super::*;
use crate::ErrorKind;
use proptest::prelude::*;

fn patch(enabled: Option<bool>, frequency_minutes: Option<i32>, retention_days: Option<i32>) -> BackupPatch {
    BackupPatch { enabled, frequency_minutes, retention_days }
}

fn any_plan() -> impl Strategy<Value = Plan> {
    prop::sample::select(Plan::ALL)
}

fn any_configuration() -> impl Strategy<Value = BackupConfiguration> {
    let frequency = prop::sample::select(&FREQUENCIES[..]);
    let retention = prop::sample::select(&RETENTIONS[..]);
    (any::<bool>(), frequency, retention, any::<bool>()).prop_map(|(enabled, minutes, days, changed)| {
        let (frequency_minutes, retention_days, retention_changed) = (minutes, days, changed);
        BackupConfiguration {
            enabled,
            frequency_minutes,
            retention_days,
            retention_changed,
            enabled_at: None,
        }
    })
}

/// A number that is usually allowed.
fn number(allowed: &'static [u16]) -> impl Strategy<Value = Option<i32>> {
    prop::option::of(prop_oneof![
        4 => prop::sample::select(allowed).prop_map(i32::from),
        1 => any::<i32>(),
    ])
}

fn any_patch() -> impl Strategy<Value = BackupPatch> {
    let members = (prop::option::of(any::<bool>()), number(&FREQUENCIES), number(&RETENTIONS));
    members.prop_map(|(enabled, minutes, days)| patch(enabled, minutes, days))
}

fn is_allowed(allowed: &[u16], value: Option<i32>) -> bool {
    value.is_none_or(|value| allowed.iter().any(|choice| i32::from(*choice) == value))
}

proptest! {
    /// An accepted patch sets exactly the members that it contains, to allowed values, and is idempotent.
    #[test]
    fn an_accepted_patch_sets_what_it_contains(before in any_configuration(), plan in any_plan(), patch in any_patch()) {
        let Ok(after) = before.patched(plan, &patch) else { return Ok(()) };
        prop_assert_eq!(after.enabled, patch.enabled.unwrap_or(before.enabled));
        let frequency = patch.frequency_minutes.unwrap_or(before.frequency_minutes.into());
        let retention = patch.retention_days.unwrap_or(before.retention_days.into());
        prop_assert_eq!((i32::from(after.frequency_minutes), i32::from(after.retention_days)), (frequency, retention));
        prop_assert!(FREQUENCIES.contains(&after.frequency_minutes) && RETENTIONS.contains(&after.retention_days));
        prop_assert_eq!(after.patched(plan, &patch).ok(), Some(after));
    }

    /// A patch is refused exactly if it violates a rule.
    #[test]
    fn a_refused_patch_violates_a_rule(before in any_configuration(), plan in any_plan(), patch in any_patch()) {
        let empty = patch == BackupPatch::default();
        let named = patch.frequency_minutes.is_some() || patch.retention_days.is_some();
        let changes_retention = patch.retention_days.is_some_and(|days| days != i32::from(before.retention_days));
        let allowed = empty
            || (plan != Plan::Basic
                && is_allowed(&FREQUENCIES, patch.frequency_minutes)
                && is_allowed(&RETENTIONS, patch.retention_days)
                && !(patch.enabled == Some(false) && named)
                && !(changes_retention && before.retention_changed));
        prop_assert_eq!(before.patched(plan, &patch).is_ok(), allowed);
    }

    /// Whatever happens to a cluster, its retention is changed at most once.
    #[test]
    fn the_retention_is_changed_at_most_once(first in any_plan(), steps in prop::collection::vec((any_patch(), any_plan()), 0..12)) {
        let (mut plan, mut configuration, mut changes) = (first, BackupConfiguration::default_of(first), 0);
        for (patch, next) in steps {
            if let Ok(after) = configuration.patched(plan, &patch) {
                changes += usize::from(after.retention_days != configuration.retention_days);
                configuration = after;
            }
            (plan, configuration) = (next, configuration.on_plan(next));
            prop_assert!(changes <= 1);
            prop_assert_eq!(configuration.retention_changed, changes == 1);
        }
    }

    #[test]
    fn a_stored_configuration_is_read_back(configuration in any_configuration()) {
        let text = serde_json::to_string(&configuration).unwrap();
        prop_assert_eq!(serde_json::from_str::<BackupConfiguration>(&text).unwrap(), configuration);
    }
}

#[test]
fn defaults_depend_on_the_plan() {
    let of = |plan| {
        let found = BackupConfiguration::default_of(plan);
        (found.enabled, found.frequency_minutes, found.retention_days, found.retention_changed)
    };
    assert_eq!(of(Plan::Basic), (true, 1440, 30, false));
    assert_eq!(of(Plan::Standard), (true, 60, 30, false));
    assert_eq!(of(Plan::Advanced), (true, 60, 30, false));
}

#[test]
fn a_change_to_basic_resets_everything_but_the_changed_retention() {
    let standard = BackupConfiguration::default_of(Plan::Standard);
    let changed = standard.patched(Plan::Standard, &patch(None, Some(5), Some(7))).unwrap();
    let disabled = changed.patched(Plan::Standard, &patch(Some(false), None, None)).unwrap();
    let basic = disabled.on_plan(Plan::Basic);
    let fixed = BackupConfiguration::default_of(Plan::Basic);
    assert_eq!(basic, BackupConfiguration { retention_changed: true, ..fixed });
    assert_eq!(basic.on_plan(Plan::Standard), basic, "the schedule of BASIC is kept");
    let refused = basic.on_plan(Plan::Standard).patched(Plan::Standard, &patch(None, None, Some(7)));
    assert_eq!(refused.unwrap_err().message(), RETENTION_IS_SET);
}

#[test]
fn refusals_name_the_rule() {
    let standard = BackupConfiguration::default_of(Plan::Standard);
    let changed = standard.patched(Plan::Standard, &patch(None, None, Some(7))).unwrap();
    let (invalid, precondition) = (ErrorKind::Invalid, ErrorKind::Precondition);
    let frequencies = "invalid argument: frequency_minutes: must be one of 5, 10, 15, 30, 60, 240, 1440";
    let retentions = "invalid argument: retention_days: must be one of 2, 7, 30, 90, 365";
    let cases = [
        (standard, patch(None, Some(120), None), invalid, frequencies),
        (standard, patch(None, Some(-5), None), invalid, frequencies),
        (standard, patch(Some(false), Some(0), None), invalid, frequencies),
        (standard, patch(None, Some(5), Some(3)), invalid, retentions),
        // The value is checked first, as the tests of the Terraform provider expect.
        (changed, patch(None, None, Some(12345)), invalid, retentions),
        (
            standard,
            patch(Some(false), Some(5), Some(7)),
            invalid,
            "invalid argument: frequency_minutes: can't be combined with enabled: false",
        ),
        (
            standard,
            patch(Some(false), None, Some(30)),
            invalid,
            "invalid argument: retention_days: can't be combined with enabled: false",
        ),
        (changed, patch(None, None, Some(30)), precondition, RETENTION_IS_SET),
    ];
    for (before, patch, kind, message) in cases {
        let refused = before.patched(Plan::Standard, &patch).unwrap_err();
        assert_eq!((refused.kind(), refused.message()), (kind, message), "{patch:?}");
    }
    let basic = BackupConfiguration::default_of(Plan::Basic);
    let refused = basic.patched(Plan::Basic, &patch(Some(true), None, None)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Precondition);
    assert!(refused.message().contains("BASIC"), "{refused}");
}

#[test]
fn the_current_retention_is_not_a_change() {
    let standard = BackupConfiguration::default_of(Plan::Standard);
    let same = standard.patched(Plan::Standard, &patch(None, None, Some(30))).unwrap();
    assert_eq!(same, standard, "one change is left");
    let changed = same.patched(Plan::Standard, &patch(None, None, Some(90))).unwrap();
    assert_eq!(changed.patched(Plan::Standard, &patch(None, None, Some(90))).unwrap(), changed);
}

#[test]
fn the_retention_can_be_changed_while_backups_are_disabled() {
    let standard = BackupConfiguration::default_of(Plan::Standard);
    let disabled = standard.patched(Plan::Standard, &patch(Some(false), None, None)).unwrap();
    let changed = disabled.patched(Plan::Standard, &patch(None, None, Some(2))).unwrap();
    assert_eq!((changed.enabled, changed.retention_days, changed.retention_changed), (false, 2, true));
}
