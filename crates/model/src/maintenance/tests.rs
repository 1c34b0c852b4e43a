use super::*;
use crate::ErrorKind;
use proptest::prelude::*;

/// A text that is often a duration, or almost one.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => (0_u32..700_000).prop_map(duration),
        1 => any::<u32>().prop_map(duration),
        1 => "[+-]?0{0,2}[0-9]{1,7}(\\.[0-9])?[smh]?",
        1 => "\\PC{0,8}",
    ]
}

proptest! {
    #[test]
    fn a_window_is_shown_as_it_was_set_or_refused(offset in any_text(), length in any_text()) {
        match MaintenanceWindow::parse(Some(&offset), Some(&length)) {
            Ok(window) => {
                prop_assert!(window.offset_seconds < 604_800);
                prop_assert!((21_600..604_800).contains(&window.length_seconds));
                prop_assert_eq!(duration(window.offset_seconds), offset);
                prop_assert_eq!(duration(window.length_seconds), length);
            }
            Err(refused) => {
                prop_assert_eq!(refused.kind(), ErrorKind::Invalid);
                prop_assert!(refused.message().contains("_duration: must be"), "{}", refused);
            }
        }
    }

    #[test]
    fn every_allowed_window_can_be_set(offset_seconds in 0_u32..604_800, length_seconds in 21_600_u32..604_800) {
        let (offset, length) = (format!("{offset_seconds}s"), format!("{length_seconds}s"));
        let parsed = MaintenanceWindow::parse(Some(&offset), Some(&length));
        prop_assert_eq!(parsed.ok(), Some(MaintenanceWindow { offset_seconds, length_seconds }));
    }
}

#[test]
fn refusals_name_the_field_and_the_rule() {
    let refused = |offset: &str, length: &str| {
        MaintenanceWindow::parse(Some(offset), Some(length)).unwrap_err().message().to_owned()
    };
    let offset = format!("invalid argument: offset_duration: {OFFSET_RULE}");
    let length = format!("invalid argument: window_duration: {LENGTH_RULE}");
    for text in ["604800s", "-1s", "", "s", "172800", "172800S", " 172800s", "+172800s", "0172800s", "48h"] {
        assert_eq!(refused(text, "21600s"), offset, "{text:?}");
    }
    for text in ["21599s", "604800s", "0s", "21600.5s", "99999999999s", "6h"] {
        assert_eq!(refused("0s", text), length, "{text:?}");
    }
    let missing = MaintenanceWindow::parse(None, Some("21600s")).unwrap_err();
    assert_eq!(missing.message(), "invalid argument: offset_duration: is required");
    let missing = MaintenanceWindow::parse(Some("0s"), None).unwrap_err();
    assert_eq!(missing.message(), "invalid argument: window_duration: is required");
}
