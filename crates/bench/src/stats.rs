//! Medians and spreads.

use std::{
    fs,
    time::{Duration, Instant},
};

/// Durations in milliseconds, sorted.
pub(crate) struct Times(Vec<f64>);

impl Times {
    /// Measures `run` `count` times.
    pub(crate) fn of(count: usize, mut run: impl FnMut(usize)) -> Self {
        let times = (0..count).map(|n| {
            let start = Instant::now();
            run(n);
            start.elapsed()
        });
        Self::from(times.collect::<Vec<_>>())
    }

    /// The median.
    pub(crate) fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// The quantile at `share`.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let last = self.0.len() - 1;
        self.0[(share * last as f64).round() as usize]
    }

    /// One line: minimum, median, p99 and maximum.
    pub(crate) fn line(&self, name: &str) -> String {
        let count = self.0.len();
        let (min, p50, p99, max) = (self.at(0.0), self.median(), self.at(0.99), self.at(1.0));
        format!("{name:<44} p50 {p50:>8.2} ms  p99 {p99:>8.2}  min {min:>8.2}  max {max:>8.2}  n={count}")
    }
}

impl From<Vec<Duration>> for Times {
    fn from(times: Vec<Duration>) -> Self {
        let mut times: Vec<f64> = times.into_iter().map(|time| time.as_secs_f64() * 1000.0).collect();
        times.sort_by(f64::total_cmp);
        Self(times)
    }
}

/// Median, minimum and maximum of rates.
pub(crate) struct Rates(Vec<f64>);

impl Rates {
    pub(crate) fn new(mut rates: Vec<f64>) -> Self {
        rates.sort_by(f64::total_cmp);
        Self(rates)
    }

    pub(crate) fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    pub(crate) fn line(&self, name: &str) -> String {
        let (min, max) = (self.0[0], self.0[self.0.len() - 1]);
        format!(
            "{name:<44} median {:>9.0}/s  min {min:>9.0}  max {max:>9.0}  n={}",
            self.median(),
            self.0.len()
        )
    }
}

/// Resident memory of a process in KiB.
pub(crate) fn resident_kib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// CPU time that a process has used.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
