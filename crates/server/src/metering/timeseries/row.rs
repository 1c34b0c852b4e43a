//! How a row of the store contains samples: 120 positions of one step, as columns of small numbers.
//!
//! The document is Base64. The first byte is the version of the format. It is followed by the positions that
//! have a sample, as (gap, length) pairs, and by each column of those samples: one value if it is constant,
//! otherwise the differences from sample to sample. All numbers have a variable length, so the row of an idle
//! cluster is short.

use crate::metering::timeseries::sample::{COLUMNS, Sample};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use ootheca_model::{Error, Result};
use std::collections::BTreeMap;

/// The number of samples in a row.
pub(crate) const PLACES: i64 = 120;
const VERSION: u8 = 1;
/// The encoding of a column: one value, or differences.
const SAME: u64 = 0;
const DIFFERENT: u64 = 1;

/// The samples of a row by position.
pub(crate) type Places = BTreeMap<i64, Sample>;

/// Encodes samples as a document.
pub(crate) fn encode(places: &Places) -> String {
    let mut bytes = vec![VERSION];
    let runs = runs(places);
    put(&mut bytes, runs.len() as u64);
    for (gap, length) in runs {
        put(&mut bytes, gap);
        put(&mut bytes, length);
    }
    let samples: Vec<[u64; COLUMNS]> = places.values().map(Sample::columns).collect();
    for column in 0..COLUMNS {
        let values = samples.iter().map(|sample| sample[column]);
        let first = values.clone().next().unwrap_or(0);
        if values.clone().all(|value| value == first) {
            put(&mut bytes, SAME);
            put(&mut bytes, first);
            continue;
        }
        put(&mut bytes, DIFFERENT);
        let mut before = 0;
        for value in values {
            put(&mut bytes, folded(value.wrapping_sub(before)));
            before = value;
        }
    }
    STANDARD_NO_PAD.encode(bytes)
}

/// Decodes a document.
pub(crate) fn decode(document: &str) -> Result<Places> {
    let damaged = || Error::internal("samples: damaged row");
    let bytes = STANDARD_NO_PAD.decode(document).map_err(|error| damaged().because(error))?;
    read(&bytes).ok_or_else(damaged)
}

fn read(bytes: &[u8]) -> Option<Places> {
    let (&version, mut rest) = bytes.split_first()?;
    if version != VERSION {
        return None;
    }
    let rest = &mut rest;
    let (mut places, mut next) = (Vec::new(), 0_i64);
    for _ in 0..take(rest)?.min(PLACES as u64) {
        let (gap, length) = (i64::try_from(take(rest)?).ok()?, i64::try_from(take(rest)?).ok()?);
        let start = next.checked_add(gap)?;
        next = start.checked_add(length).filter(|end| *end <= PLACES)?;
        places.extend(start..next);
    }
    let mut samples = vec![[0; COLUMNS]; places.len()];
    for column in 0..COLUMNS {
        if take(rest)? == SAME {
            let value = take(rest)?;
            samples.iter_mut().for_each(|sample| sample[column] = value);
            continue;
        }
        let mut before = 0_u64;
        for sample in &mut samples {
            before = before.wrapping_add(unfolded(take(rest)?));
            sample[column] = before;
        }
    }
    Some(places.into_iter().zip(samples.iter().map(Sample::of_columns)).collect())
}

/// Adjacent positions as (gap before, length).
fn runs(places: &Places) -> Vec<(u64, u64)> {
    let (mut runs, mut next): (Vec<(u64, u64)>, i64) = (Vec::new(), 0);
    for place in places.keys() {
        match runs.last_mut() {
            Some((_, length)) if *place == next => *length += 1,
            _ => runs.push(((place - next).unsigned_abs(), 1)),
        }
        next = place + 1;
    }
    runs
}

/// Maps small differences of either sign to small numbers.
fn folded(difference: u64) -> u64 {
    (difference << 1) ^ if difference >> 63 == 1 { u64::MAX } else { 0 }
}

fn unfolded(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}

/// Seven bits per byte, the lowest first; the highest bit is set if more follow.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metering::timeseries::sample::tests::any_cell;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_row_round_trips(
            places in prop::collection::btree_map(0..PLACES, any_cell(), 0..PLACES as usize),
        ) {
            let document = encode(&places);
            prop_assert_eq!(decode(&document).expect("a row"), places);
        }

        #[test]
        fn numbers_of_every_size_round_trip(numbers in prop::collection::vec(any::<u64>(), 0..20)) {
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| put(&mut bytes, folded(*number)));
            let mut rest = bytes.as_slice();
            let back: Option<Vec<u64>> = numbers.iter().map(|_| take(&mut rest).map(unfolded)).collect();
            prop_assert_eq!(back, Some(numbers));
            prop_assert!(rest.is_empty());
        }

        /// Any input is either decoded or returns an error, and never panics.
        #[test]
        fn a_damaged_row_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let _ = decode(&String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn small_differences_are_encoded_in_few_bytes() {
        let folded_small = [0_u64, 1, 2, 1_u64.wrapping_neg(), 2_u64.wrapping_neg()].map(folded);
        assert_eq!(folded_small, [0, 2, 4, 1, 3]);
    }
}
