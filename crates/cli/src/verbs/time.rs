//! Times and durations on the command line, such as `--at 2026-03-01T10:30:00Z` and `--expires-in 48h`.

use ootheca_model::Timestamp;

/// Parses a time in RFC 3339.
pub(crate) fn rfc3339(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "must be an RFC 3339 time, such as 2026-03-01T10:30:00Z".to_owned())
}

/// Parses a duration: a whole number and its unit. Returns seconds.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let rule = || "must be a whole number of s, m, h, or d, such as 48h".to_owned();
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[number.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(rule()),
    };
    number.parse::<u32>().map(|number| u64::from(number) * unit).map_err(|_| rule())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_date_a_time_and_an_offset() {
        let expected = Ok(Timestamp(1_772_361_000_250_000));
        for text in ["2026-03-01T10:30:00.25Z", "2026-03-01T11:30:00.250000+01:00"] {
            assert_eq!(rfc3339(text), expected, "{text}");
        }
        for invalid in ["", "yesterday", "2026-03-01", "2026-03-01T10:30:00", "10:30:00Z", "1772361000"] {
            let rule = rfc3339(invalid).expect_err(invalid);
            assert!(rule.contains("such as 2026-03-01T10:30:00Z"), "{rule}");
        }
    }

    #[test]
    fn durations_are_whole_numbers_with_a_unit() {
        for (text, expected) in
            [("48h", 172_800), ("2d", 172_800), ("90m", 5400), ("21600s", 21_600), ("0s", 0)]
        {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for invalid in ["", "h", "48", "1.5h", "-1h", "1w", "1d12h", "1 h", "9999999999s", "1ü"] {
            assert!(seconds(invalid).is_err(), "{invalid:?}");
        }
    }
}
