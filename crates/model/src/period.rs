//! Calendar months and hours in UTC.

use crate::Timestamp;
use chrono::{DateTime, Datelike, Months, TimeZone, Utc};

/// The month of a time, for example `2026-11`. Later months compare greater.
pub fn month(now: Timestamp) -> String {
    start(now, "-24T13:00:00.000000Z")
}

/// The hour of a time, for example `2026-11-24T13`. Later hours compare greater.
pub fn hour(now: Timestamp) -> String {
    start(now, ":00:00.000000Z")
}

/// The text of a time without as many characters at its end as `rest` has.
fn start(now: Timestamp, rest: &str) -> String {
    let mut text = now.to_string();
    text.truncate(text.len().saturating_sub(rest.len()));
    text
}

/// The start of the month after that of `now`.
pub fn next_month(now: Timestamp) -> Timestamp {
    let now = time(now);
    let (year, month) = if now.month() == 12 { (now.year() + 1, 1) } else { (now.year(), now.month() + 1) };
    let start = Utc.with_ymd_and_hms(year, month, 1, 0, 0, 0).single().unwrap_or(now);
    Timestamp(start.timestamp_micros())
}

/// The same day and time `months` calendar months later, or the last day of that month if it is shorter.
pub fn months_later(now: Timestamp, months: u32) -> Timestamp {
    let later = time(now).checked_add_months(Months::new(months));
    later.map_or(Timestamp(i64::MAX), |later| Timestamp(later.timestamp_micros()))
}

fn time(now: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(now.0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn month_boundaries_are_in_utc() {
        let cases = [
            ("2026-11-30T23:59:59.999999Z", "2026-11", "2026-11-30T23", "2026-12-01T00:00:00Z"),
            ("2026-12-01T00:00:00Z", "2026-12", "2026-12-01T00", "2027-01-01T00:00:00Z"),
            ("2026-12-31T23:59:59Z", "2026-12", "2026-12-31T23", "2027-01-01T00:00:00Z"),
            ("2028-02-29T12:00:00Z", "2028-02", "2028-02-29T12", "2028-03-01T00:00:00Z"),
            ("2026-11-01T00:30:00+01:00", "2026-10", "2026-10-31T23", "2026-11-01T00:00:00Z"),
        ];
        for (now, in_month, in_hour, next) in cases {
            assert_eq!((month(at(now)).as_str(), hour(at(now)).as_str()), (in_month, in_hour));
            assert_eq!(next_month(at(now)), at(next), "{now}");
        }
    }

    #[test]
    fn months_later_is_the_same_day_or_the_last_of_the_month() {
        let cases = [
            ("2026-11-15T08:46:34.000001Z", "2027-02-15T08:46:34.000001Z"),
            ("2026-11-30T23:59:59Z", "2027-02-28T23:59:59Z"),
            ("2027-11-30T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("2026-10-31T00:00:00Z", "2027-01-31T00:00:00Z"),
        ];
        for (now, later) in cases {
            assert_eq!(months_later(at(now), 3), at(later), "{now}");
        }
        assert_eq!(months_later(at("2026-11-15T00:00:00Z"), u32::MAX), Timestamp(i64::MAX));
    }
}
