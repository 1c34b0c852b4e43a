//! Sampling with a real store, and an engine whose measurements the test sets.

#![allow(clippy::unwrap_used)]

use super::*;
use downsample::{COARSE, MIDDLE};

const DAY: i64 = 24 * 3600;
const START: i64 = 1_796_000_000 / 3600 * 3600;

/// A sample of a busy cluster.
fn busy(second: i64) -> sample::Sample {
    let noise = |range: i64| (second / 10 * 7919 % range).unsigned_abs();
    let mut columns = [0; sample::COLUMNS];
    let numbers = [1, 10_003, 5, 900, 700_000, 2_000_000, 50_000_000, 2_000_000, 90_000, 900, 1_500]
        .into_iter()
        .chain([9_000_000, 1_200, 1_800, 400_000]);
    for (column, number) in columns.iter_mut().zip(numbers) {
        *column = if number > 100 { number + noise(i64::try_from(number / 3).unwrap()) } else { number };
    }
    sample::Sample::of_columns(&columns)
}

/// A sample of an idle cluster.
fn idle(second: i64) -> sample::Sample {
    let noise = |range: i64| (second / 10 * 7919 % range).unsigned_abs();
    sample::Sample {
        samples: 1,
        millis: 9_980 + noise(41),
        cpu_micros: 1_000 + noise(4_000),
        storage_bytes: 8 << 20,
        ..sample::Sample::default()
    }
}

/// The size in bytes of the documents of all rows of a cluster after three months, and of all documents that
/// are written in a day. A row is half full on average.
fn bytes(sample: fn(i64) -> sample::Sample) -> (usize, usize) {
    let row = |step: Step| {
        let times = step.seconds / FINE.seconds;
        let samples = (0..row::PLACES).map(|place| {
            let mut sum = sample::Sample::default();
            (0..times).for_each(|time| sum.add(&sample(START + (place * times + time) * FINE.seconds)));
            (place, sum)
        });
        row::encode(&samples.collect()).len()
    };
    let rows = |step: Step| {
        let kept = START - step.forgotten_before(START);
        usize::try_from(kept / step.row_seconds()).unwrap()
    };
    let all = STEPS.iter().map(|step| rows(*step) * row(*step)).sum();
    let writing = STEPS.iter().map(|step| row(*step) / 2).sum::<usize>();
    (all, writing * 24 * 30)
}

/// The sizes that docs/console.md states, without the overhead of the database.
#[test]
fn storage_costs_match_the_documentation() {
    let writings_a_minute = 60.0 / 120.0 * STEPS.len() as f64;
    assert!((writings_a_minute * 100.0 - 150.0).abs() < 1e-9, "rows a minute of 100 clusters");
    let ((idle_kept, idle_written), (busy_kept, busy_written)) = (bytes(idle), bytes(busy));
    eprintln!("idle: {idle_kept} kept, {idle_written} a day; busy: {busy_kept}, {busy_written} a day");
    assert!(idle_kept < 64 << 10, "{idle_kept} bytes of an idle cluster");
    assert!(busy_kept < 256 << 10, "{busy_kept} bytes of a busy cluster");
    assert!(idle_written < 1 << 20, "{idle_written} bytes a day");
    assert!(busy_written < 8 << 20, "{busy_written} bytes a day");
}

#[test]
fn the_number_of_rows_is_bounded() {
    let rows = |step: Step| (START - step.forgotten_before(START)) / step.row_seconds();
    assert_eq!((rows(FINE), rows(MIDDLE), rows(COARSE)), (7, 13, 19));
    let read = |plan: downsample::Plan| {
        let step = plan.step;
        (plan.end() - step.row_start(plan.first)) / step.row_seconds() + 1
    };
    for (back, most) in [(3600, 5), (DAY, 8), (7 * DAY, 3), (90 * DAY, 20)] {
        let plan = downsample::plan(START - back, START, 300, 10, START);
        assert!(read(plan) <= most, "{back} s read {} rows", read(plan));
    }
}
