//! Steps: the resolution and the retention of samples, and the series that is used for a query. Pure.

use crate::metering::timeseries::{
    row::{PLACES, Places},
    sample::Sample,
};
use std::collections::BTreeMap;

/// One of the three stored series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The length of a sample in seconds.
    pub(crate) seconds: i64,
    /// The retention in seconds.
    kept: i64,
}

pub(crate) const FINE: Step = Step { seconds: 10, kept: 2 * 3600 };
pub(crate) const MIDDLE: Step = Step { seconds: 120, kept: 2 * 24 * 3600 };
pub(crate) const COARSE: Step = Step { seconds: 3600, kept: 90 * 24 * 3600 };
/// From fine to coarse. A row of each contains whole samples of the next one.
pub(crate) const STEPS: [Step; 3] = [FINE, MIDDLE, COARSE];

/// Lengths of a point in seconds that are easy to read on an axis. Longer points are whole days.
const ROUND: [i64; 17] = [
    10,
    20,
    30,
    60,
    120,
    240,
    600,
    1200,
    1800,
    3600,
    2 * 3600,
    3 * 3600,
    4 * 3600,
    6 * 3600,
    8 * 3600,
    12 * 3600,
    DAY,
];
const DAY: i64 = 24 * 3600;
/// Tolerance in seconds: a request for the last two hours arrives a moment later.
const SLACK: i64 = 300;

impl Step {
    /// The length of a row in seconds.
    pub(crate) const fn row_seconds(self) -> i64 {
        self.seconds * PLACES
    }

    /// The start of the row that contains a time.
    pub(crate) fn row_start(self, second: i64) -> i64 {
        floor(second, self.row_seconds())
    }

    /// The position of a time in its row.
    pub(crate) fn place(self, second: i64) -> i64 {
        (second - self.row_start(second)) / self.seconds
    }

    /// Rows that start before this time are removed, because all their samples are too old.
    pub(crate) fn forgotten_before(self, now: i64) -> i64 {
        now - self.kept - SLACK - self.row_seconds()
    }

    fn still_has(self, from: i64, now: i64) -> bool {
        from >= now - self.kept - SLACK
    }
}

/// The largest multiple of `step` that is not after `second`.
pub(crate) fn floor(second: i64, step: i64) -> i64 {
    second.div_euclid(step) * step
}

/// Sets every sample of `coarse` for which `fine` has data. The rows start at the specified times.
pub(crate) fn roll_up(fine: (Step, i64, &Places), coarse: (Step, i64, &mut Places)) {
    let ((fine, fine_start, samples), (step, start, sums)) = (fine, coarse);
    let mut touched: BTreeMap<i64, Sample> = BTreeMap::new();
    for (place, sample) in samples {
        let second = fine_start + place * fine.seconds;
        touched.entry((second - start) / step.seconds).or_default().add(sample);
    }
    sums.extend(touched);
}

/// How a query about `[from, to)` is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The series to read.
    pub(crate) step: Step,
    /// The length of a point in seconds.
    pub(crate) point: i64,
    /// The time of the first point.
    pub(crate) first: i64,
    /// The number of points.
    pub(crate) points: i64,
}

/// Plans a response of at most `points` points, each with a round length of at least `shortest` seconds. It
/// reads the coarsest series that is as fine as the points, among those that go back far enough.
pub(crate) fn plan(from: i64, to: i64, points: i64, shortest: i64, now: i64) -> Plan {
    let kept = STEPS.into_iter().find(|step| step.still_has(from, now)).unwrap_or(COARSE);
    let count = |point: i64| (to - floor(from, point) + point - 1) / point;
    let fits = |point: &i64| *point % kept.seconds == 0 && *point >= shortest && count(*point) <= points;
    let days = || (DAY..).step_by(DAY as usize);
    let point = ROUND.into_iter().chain(days()).find(fits).unwrap_or(DAY);
    let finer = |step: &Step| step.seconds >= kept.seconds && point % step.seconds == 0;
    let step = STEPS.into_iter().rfind(finer).unwrap_or(kept);
    Plan { step, point, first: floor(from, point), points: count(point) }
}

impl Plan {
    /// Adds samples to the points that contain their times.
    pub(crate) fn gather(&self, samples: impl IntoIterator<Item = (i64, Sample)>) -> Vec<Sample> {
        let mut ordered: Vec<(i64, Sample)> = samples.into_iter().collect();
        ordered.sort_by_key(|(second, _)| *second);
        let mut points = vec![Sample::default(); usize::try_from(self.points).unwrap_or(0)];
        for (second, sample) in ordered {
            let point = usize::try_from((second - self.first).div_euclid(self.point));
            if let Some(point) = point.ok().and_then(|point| points.get_mut(point)) {
                point.add(&sample);
            }
        }
        points
    }

    /// The end of the last point.
    pub(crate) fn end(&self) -> i64 {
        self.first + self.points * self.point
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metering::timeseries::sample::tests::any_cell;
    use proptest::prelude::*;

    const NOW: i64 = 1_796_000_000;

    #[test]
    fn a_row_contains_whole_samples_of_the_next_step() {
        for pair in STEPS.windows(2) {
            assert_eq!(pair[0].row_seconds() % pair[1].seconds, 0);
        }
        assert_eq!(STEPS.map(Step::row_seconds), [20 * 60, 4 * 3600, 5 * DAY]);
    }

    #[test]
    fn common_time_ranges_are_planned() {
        let ask = |back: i64, points| {
            let plan = plan(NOW - back, NOW, points, 10, NOW);
            (plan.step.seconds, plan.point)
        };
        assert_eq!(ask(3600, 400), (10, 10));
        assert_eq!(ask(3600, 300), (10, 20));
        assert_eq!(ask(2 * 3600 + 60, 1000), (10, 10), "a moment too late");
        assert_eq!(ask(3 * 3600, 1000), (120, 120), "longer than the finest is kept");
        assert_eq!(ask(6 * 3600, 300), (120, 120));
        assert_eq!(ask(DAY, 300), (120, 600));
        assert_eq!(ask(2 * DAY, 300), (120, 600));
        assert_eq!(ask(7 * DAY, 300), (3600, 3600));
        assert_eq!(ask(30 * DAY, 300), (3600, 3 * 3600));
        assert_eq!(ask(90 * DAY, 300), (3600, 8 * 3600));
        assert_eq!(plan(NOW - 3600, NOW, 1000, 30, NOW).point, 30, "samples come each 30 s only");
        assert_eq!(plan(0, NOW, 1000, 10, NOW).point, 21 * DAY);
    }

    fn day(samples: &[(i64, Sample)]) -> Vec<(Step, i64, Places)> {
        // As the server does it: row by row, each step from the previous one.
        let mut rows: BTreeMap<(i64, i64), Places> = BTreeMap::new();
        for (second, sample) in samples {
            let row = rows.entry((FINE.seconds, FINE.row_start(*second))).or_default();
            row.entry(FINE.place(*second)).or_default().add(sample);
            for pair in STEPS.windows(2) {
                let (fine, coarse) = (pair[0], pair[1]);
                let (from, to) = (fine.row_start(*second), coarse.row_start(*second));
                let finer = rows[&(fine.seconds, from)].clone();
                let sums = rows.entry((coarse.seconds, to)).or_default();
                roll_up((fine, from, &finer), (coarse, to, sums));
            }
        }
        let step = |seconds| STEPS.into_iter().find(|step| step.seconds == seconds).expect("a step");
        rows.into_iter().map(|((seconds, start), places)| (step(seconds), start, places)).collect()
    }

    fn any_cells() -> impl Strategy<Value = Vec<(i64, Sample)>> {
        prop::collection::vec((1..2000_i64, any_cell()), 1..60).prop_map(|gaps| {
            let mut second = NOW;
            let step = |(gap, sample)| {
                second += gap;
                (second, sample)
            };
            gaps.into_iter().map(step).collect()
        })
    }

    proptest! {
        /// Every step contains the same sums, at the times of the samples.
        #[test]
        fn every_step_has_the_same_sums(samples in any_cells()) {
            let rows = day(&samples);
            let total = Sample::sum(samples.iter().map(|(_, sample)| sample));
            for wanted in STEPS {
                let of_step = rows.iter().filter(|(step, ..)| *step == wanted);
                let found: Vec<(i64, Sample)> = of_step
                    .flat_map(|(step, start, places)| {
                        places.iter().map(move |(place, sample)| (start + place * step.seconds, *sample))
                    })
                    .collect();
                prop_assert_eq!(Sample::sum(found.iter().map(|(_, sample)| sample)), total);
                for (second, _) in &found {
                    let within = |(sample, _): &(i64, Sample)| floor(*sample, wanted.seconds) == *second;
                    prop_assert!(samples.iter().any(within), "a sample where nothing was");
                }
            }
        }

        /// A response is never longer than requested, covers the whole time, and loses no data.
        #[test]
        fn the_series_covers_the_time_range(
            samples in any_cells(),
            back in 1..100 * DAY,
            points in 1..1000_i64,
        ) {
            let to = NOW + 200_000;
            let found = plan(to - back, to, points, 10, to);
            prop_assert!(found.points <= points, "{found:?}");
            prop_assert!(found.first <= to - back && found.end() >= to, "{found:?}");
            prop_assert!(found.first > to - back - found.point && found.end() < to + found.point);
            prop_assert_eq!(found.point % found.step.seconds, 0);
            prop_assert!(found.step.still_has(to - back, to) || found.step == COARSE);
            let gathered = found.gather(samples.iter().copied());
            let inside = samples.iter().filter(|(at, _)| (found.first..found.end()).contains(at));
            prop_assert_eq!(Sample::sum(&gathered), Sample::sum(inside.map(|(_, sample)| sample)));
        }

        /// Data that can still be requested is not removed.
        #[test]
        fn rows_are_kept_while_they_are_used(age in 0..100 * DAY) {
            for step in STEPS {
                let (second, now) = (NOW - age, NOW);
                if step.still_has(second, now) {
                    prop_assert!(step.row_start(second) >= step.forgotten_before(now));
                }
            }
        }
    }
}
