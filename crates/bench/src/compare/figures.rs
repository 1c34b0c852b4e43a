//! The values of a figure in pairs of servers, and what their ratios show.

/// The lowest ratio that is acceptable.
const LIMIT: f64 = 0.97;
/// The maximum probability that the interval does not contain the median.
const ERROR: f64 = 0.05;

/// The unit of a figure.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    PerSecond,
    Microseconds,
    Milliseconds,
}

impl Unit {
    /// The ratio of two values, which is above 1 if `after` is better.
    fn ratio(self, before: f64, after: f64) -> f64 {
        match self {
            Self::PerSecond => after / before,
            Self::Microseconds | Self::Milliseconds => before / after,
        }
    }

    fn format(self, value: f64) -> String {
        match self {
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Microseconds => format!("{value:.1} µs"),
            Self::Milliseconds => format!("{value:.1} ms"),
        }
    }
}

/// The order in which two sides are measured: 0, 1, 1, 0, and so on. A constant drift of the machine affects
/// both equally if `count` is a multiple of four.
pub(super) fn turns(count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(|n| n.div_ceil(2) % 2)
}

/// What was measured for one figure in one pair.
pub(super) struct Figure {
    name: String,
    unit: Unit,
    /// The values before and after, in the order of time.
    sides: [Vec<f64>; 2],
}

impl Figure {
    pub(super) fn new(name: &str, unit: Unit, sides: [Vec<f64>; 2]) -> Self {
        Self { name: name.to_owned(), unit, sides }
    }

    /// The ratio of after to before, which is above 1 if `after` is better.
    pub(super) fn ratio(&self) -> f64 {
        self.unit.ratio(median(&self.sides[0]), median(&self.sides[1]))
    }

    /// The ratio of the two halves of the values before: the noise within the pair.
    fn control(&self) -> f64 {
        let [first, second] = halves(&self.sides[0]);
        self.unit.ratio(median(&first), median(&second))
    }
}

/// The heading of the table of figures.
pub(super) fn heading() -> String {
    let columns = ["", "before", "after", "ratio", "min–max", "95 % interval", "before/before", "result"];
    row(columns.map(str::to_owned))
}

/// The row of one figure, from all pairs.
pub(super) fn summary(pairs: &[Figure]) -> String {
    let Some(Figure { name, unit, .. }) = pairs.first() else { return String::new() };
    let side = |side: usize| {
        let medians: Vec<f64> = pairs.iter().map(|pair| median(&pair.sides[side])).collect();
        unit.format(median(&medians))
    };
    let ratios = sorted(pairs.iter().map(Figure::ratio));
    let controls = sorted(pairs.iter().map(Figure::control));
    let interval = median_interval(&ratios);
    row([
        name.clone(),
        side(0),
        side(1),
        format!("{:.3}", median(&ratios)),
        range(ratios[0], ratios[ratios.len() - 1]),
        interval.map_or_else(|| "none".to_owned(), |(low, high)| range(low, high)),
        range(controls[0], controls[controls.len() - 1]),
        result(interval),
    ])
}

fn row(columns: [String; 8]) -> String {
    let [name, before, after, ratio, spread, interval, control, result] = columns;
    format!(
        "{name:<48} {before:>10} {after:>10} {ratio:>6} {spread:>12} {interval:>13} {control:>13}  {result}"
    )
}

fn range(low: f64, high: f64) -> String {
    format!("{low:.3}–{high:.3}")
}

/// Whether the median of the ratios is at least the limit.
fn result(interval: Option<(f64, f64)>) -> String {
    match interval {
        Some((low, _)) if low >= LIMIT => "ok".to_owned(),
        Some((_, high)) if high < LIMIT => format!("below {LIMIT}"),
        _ => "undecided".to_owned(),
    }
}

/// Two halves that a constant drift affects equally.
fn halves(values: &[f64]) -> [Vec<f64>; 2] {
    let mut halves = [Vec::new(), Vec::new()];
    for (half, value) in turns(values.len()).zip(values) {
        halves[half].push(*value);
    }
    halves
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The median of at least one value.
fn median(values: &[f64]) -> f64 {
    let values = sorted(values.iter().copied());
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// The interval of the median by the sign test, from sorted values. `None` if there are too few of them.
fn median_interval(sorted: &[f64]) -> Option<(f64, f64)> {
    let count = sorted.len();
    // Each value is below the median with a probability of 0.5. `probability` is that of exactly `rank`
    // values below it, `outside` that of fewer.
    let (mut rank, mut outside) = (0_usize, 0.0_f64);
    let mut probability = 0.5_f64.powi(count as i32);
    while 2.0 * (outside + probability) <= ERROR {
        outside += probability;
        rank += 1;
        probability *= (count - rank + 1) as f64 / rank as f64;
    }
    let at = rank.checked_sub(1)?;
    Some((sorted[at], sorted[count - 1 - at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up_to(count: u32) -> Vec<f64> {
        (1..=count).map(f64::from).collect()
    }

    #[test]
    fn constant_drift_affects_both_sides_equally() {
        assert_eq!(turns(8).collect::<Vec<_>>(), [0, 1, 1, 0, 0, 1, 1, 0]);
        for count in [4, 8, 12] {
            let places = |side: usize| {
                turns(count).enumerate().filter(move |(_, turn)| *turn == side).map(|(place, _)| place)
            };
            assert_eq!(places(0).count(), places(1).count());
            assert_eq!(places(0).sum::<usize>(), places(1).sum::<usize>());
        }
        assert_eq!(halves(&up_to(4)), [[1.0, 4.0], [2.0, 3.0]]);
    }

    #[test]
    fn median_of_an_even_number_of_values_is_between_two() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn ratios_are_above_one_if_the_program_after_is_better() {
        let ratio = |unit: Unit| Figure::new("", unit, [vec![10.0], vec![20.0]]).ratio();
        assert_eq!(ratio(Unit::PerSecond), 2.0);
        assert_eq!(ratio(Unit::Milliseconds), 0.5);
    }

    #[test]
    fn interval_is_that_of_the_sign_test() {
        assert_eq!(median_interval(&up_to(5)), None);
        assert_eq!(median_interval(&up_to(7)), Some((1.0, 7.0)));
        assert_eq!(median_interval(&up_to(9)), Some((2.0, 8.0)));
        assert_eq!(median_interval(&up_to(20)), Some((6.0, 15.0)));
    }

    #[test]
    fn result_is_undecided_if_the_interval_contains_the_limit() {
        assert_eq!(result(Some((0.97, 1.02))), "ok");
        assert_eq!(result(Some((0.96, 1.02))), "undecided");
        assert_eq!(result(Some((0.93, 0.96))), "below 0.97");
        assert_eq!(result(None), "undecided");
    }
}
