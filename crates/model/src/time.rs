//! Points in time in UTC with microsecond precision.

use chrono::{DateTime, Datelike, SecondsFormat, Timelike, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

/// The length of the text on the wire.
const LENGTH: usize = 27;

/// Microseconds since 1970-01-01T00:00:00Z. On the wire, RFC 3339 with six fraction digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This time plus `duration`.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The duration since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The text on the wire; `None` for a year that does not have four digits. Most responses contain times, so
    /// this does not use the slower formatter.
    fn text(self, buffer: &mut [u8; LENGTH]) -> Option<&str> {
        let time = DateTime::from_timestamp_micros(self.0)?.naive_utc();
        let year = u32::try_from(time.year()).ok().filter(|year| *year <= 9999)?;
        let parts = [
            (0..4, year),
            (5..7, time.month()),
            (8..10, time.day()),
            (11..13, time.hour()),
            (14..16, time.minute()),
            (17..19, time.second()),
            (20..26, time.nanosecond() / 1000),
        ];
        *buffer = *b"0000-00-00T00:00:00.000000Z";
        for (place, mut number) in parts {
            for digit in buffer[place].iter_mut().rev() {
                *digit += (number % 10) as u8;
                number /= 10;
            }
        }
        std::str::from_utf8(buffer).ok()
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self::default().after(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.text(&mut [0; LENGTH]) {
            return f.write_str(text);
        }
        let time = DateTime::<Utc>::from_timestamp_micros(self.0).unwrap_or_default();
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl FromStr for Timestamp {
    type Err = chrono::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DateTime::parse_from_rfc3339(text).map(|time| Self(time.timestamp_micros()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text(&mut [0; LENGTH]) {
            Some(text) => serializer.serialize_str(text),
            None => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom("must be an RFC 3339 time"))
    }
}

/// A source of time. The server uses the system clock, and tests use their own.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_chrono(time: Timestamp) -> String {
        let time = DateTime::<Utc>::from_timestamp_micros(time.0).unwrap_or_default();
        time.to_rfc3339_opts(SecondsFormat::Micros, true)
    }

    /// The first microseconds of the years 0 and 10000.
    const FOUR_DIGITS: std::ops::Range<i64> = -62_167_219_200_000_000..253_402_300_800_000_000;

    proptest! {
        #[test]
        fn times_are_shown_in_rfc_3339(four_digits in FOUR_DIGITS, any: i64) {
            for time in [four_digits, any].map(Timestamp) {
                let text = by_chrono(time);
                prop_assert_eq!(time.to_string(), &*text);
                prop_assert_eq!(serde_json::to_value(time).expect("JSON"), text);
            }
        }
    }

    #[test]
    fn years_without_four_digits_are_shown_too() {
        let (start, end) = (FOUR_DIGITS.start, FOUR_DIGITS.end);
        for time in [start - 1, start, end - 1, end, 0, i64::MIN, i64::MAX].map(Timestamp) {
            assert_eq!(time.to_string(), by_chrono(time));
        }
        assert_eq!(Timestamp(end - 1).to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp(end).text(&mut [0; LENGTH]), None);
    }
}
