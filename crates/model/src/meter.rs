//! The stored usage of a cluster: the last counters, the sums of the month, and the thresholds that were
//! reported.

use crate::{
    ClusterId, OrganizationId, Plan, Timestamp,
    cluster::UsageLimits,
    period,
    units::{self, MICRO, Quantities},
    usage::{Growth, Measure},
};
use serde::{Deserialize, Serialize};

/// The cost of a server start, which is not the tenant's: the CPU time of starting it, and the catalog blocks
/// that the first session after each start reads to fill the server's caches.
const START_CPU: u64 = 150_000;
const START_BLOCKS: u64 = 2_500;

/// For this number of rows, vacuum eventually writes one record: at most three for each page.
const ROWS_A_RECORD: u64 = 4;

/// Bytes in a MiB.
pub const MIB: u64 = 1 << 20;

/// The percentages of a limit that are reported in the audit log.
pub const THRESHOLDS: [u8; 3] = [50, 75, 100];

/// How many percentage points storage must fall below a threshold before the threshold is reported again,
/// because the size of files fluctuates.
const SLACK: u64 = 5;

/// The meter of a cluster. Counters and sums are in one row and change together, so that nothing is counted
/// twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    pub cluster: ClusterId,
    pub organization: OrganizationId,
    pub measured_at: Timestamp,
    /// The counters that are already included in the sums.
    pub last: Measure,
    /// The bytes sent to clients that are already included in the sums.
    #[serde(default, rename = "traffic")]
    pub egress: EgressCounter,
    /// The month of the sums.
    pub month: String,
    /// The usage in that month.
    pub used: Quantities,
    /// The reported thresholds of request units in that month.
    #[serde(rename = "told_request_units")]
    pub reported_request_units: ReportedThreshold,
    /// The reported thresholds of storage since it was last below them.
    #[serde(rename = "told_storage")]
    pub reported_storage: ReportedThreshold,
    /// The remaining cost of the server start, which is not charged.
    #[serde(default)]
    pub start: Start,
    /// The number of WAL records that vacuum may still write for rows that are already charged.
    #[serde(default)]
    pub upkeep: u64,
}

/// The bytes sent to the clients of a cluster, as one process of the control plane has counted them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressCounter {
    /// The run of the process. A new one starts at zero.
    pub epoch: String,
    /// Bytes sent to clients.
    pub sent: u64,
}

/// The remaining cost of a server start, which is not charged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The run of the server, as in the epoch of its CPU counter.
    pub epoch: String,
    /// CPU time in microseconds.
    pub cpu_micros: u64,
    pub blocks: u64,
}

/// The highest threshold that was reported, and for which limit. A change of the limit resets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedThreshold {
    pub limit: i64,
    /// The threshold in percent; 0 for none.
    pub percent: u8,
}

/// The usage of a month or an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodUsage {
    pub cluster: ClusterId,
    pub organization: OrganizationId,
    /// The month or hour: `2026-11` or `2026-11-24T13`.
    pub period: String,
    /// The time of the first usage that was recorded.
    pub created_at: Timestamp,
    pub used: Quantities,
}

/// A threshold of a limit that was just crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// The name of the limit on the wire.
    pub limit_name: &'static str,
    /// The limit, in its unit.
    pub limit: i64,
    /// The usage, in the same unit.
    pub used: u64,
    /// The threshold in percent.
    pub threshold: u8,
}

impl Meter {
    /// Creates the meter of a cluster that was never measured.
    pub fn new(cluster: ClusterId, organization: OrganizationId, now: Timestamp) -> Self {
        Self {
            cluster,
            organization,
            measured_at: now,
            last: Measure::default(),
            egress: EgressCounter::default(),
            month: period::month(now),
            used: Quantities::default(),
            reported_request_units: ReportedThreshold::default(),
            reported_storage: ReportedThreshold::default(),
            start: Start::default(),
            upkeep: 0,
        }
    }

    /// Deducts the cost of the server start from `growth`, once for each run of the server. The rest is
    /// deducted later, because sessions report late. The same applies to records that vacuum writes for rows.
    pub fn deduct_startup_cost(&mut self, epoch: &str, growth: &mut Growth) {
        if self.start.epoch != epoch {
            self.start = Start { epoch: epoch.to_owned(), cpu_micros: START_CPU, blocks: START_BLOCKS };
        }
        let cpu = growth.cpu_micros.min(self.start.cpu_micros);
        let blocks = growth.blocks_read.min(self.start.blocks);
        growth.cpu_micros -= cpu;
        growth.blocks_read -= blocks;
        self.start.cpu_micros -= cpu;
        self.start.blocks -= blocks;
        let upkeep = units::hidden(growth).min(self.upkeep);
        growth.wal_records -= upkeep;
        self.upkeep = (self.upkeep - upkeep).saturating_add(growth.tuples_written / ROWS_A_RECORD);
    }

    /// The usage in the month of `now`.
    pub fn used_in_month(&self, now: Timestamp) -> Quantities {
        if self.month == period::month(now) { self.used } else { Quantities::default() }
    }

    /// Switches to the month of `now`. Returns whether the month changed.
    pub fn roll(&mut self, now: Timestamp) -> bool {
        let month = period::month(now);
        let other = self.month != month;
        if other {
            self.month = month;
            self.used = Quantities::default();
            self.reported_request_units = ReportedThreshold::default();
        }
        other
    }

    /// Adds the usage until `now` to the month of `now`.
    pub fn record_usage(&mut self, measure: Measure, used: Quantities, now: Timestamp) {
        self.roll(now);
        self.used += used;
        self.last = measure;
        self.measured_at = now;
    }

    /// Returns thresholds that were crossed and not reported yet, and marks them as reported. Only BASIC
    /// clusters have limits.
    pub fn crossings(&mut self, plan: Plan, limits: &UsageLimits) -> Vec<Crossing> {
        let (request_units, storage_mib) =
            if plan == Plan::Basic { (limits.request_units, limits.storage_mib) } else { (None, None) };
        let micros = self.used.request_units().total();
        let mut crossed =
            cross(&mut self.reported_request_units, "request_unit_limit", request_units, micros, MICRO);
        forget(&mut self.reported_storage, storage_mib, self.last.storage_bytes);
        crossed.extend(cross(
            &mut self.reported_storage,
            "storage_mib_limit",
            storage_mib,
            self.last.storage_bytes,
            MIB,
        ));
        crossed
    }
}

/// Returns `used` in percent of `limit` times `unit`, rounded down.
pub fn percent(used: u64, limit: i64, unit: u64) -> u64 {
    let limit = u128::from(u64::try_from(limit).unwrap_or(0).max(1)) * u128::from(unit);
    u64::try_from(u128::from(used) * 100 / limit).unwrap_or(u64::MAX)
}

fn cross(
    reported: &mut ReportedThreshold,
    limit_name: &'static str,
    limit: Option<i64>,
    used: u64,
    unit: u64,
) -> Vec<Crossing> {
    let Some(limit) = limit else {
        *reported = ReportedThreshold::default();
        return Vec::new();
    };
    if reported.limit != limit {
        *reported = ReportedThreshold { limit, percent: 0 };
    }
    let share = percent(used, limit, unit);
    let new = THRESHOLDS.into_iter().filter(|threshold| u64::from(*threshold) <= share);
    let new: Vec<u8> = new.filter(|threshold| *threshold > reported.percent).collect();
    reported.percent = new.last().copied().unwrap_or(reported.percent);
    new.into_iter().map(|threshold| Crossing { limit_name, limit, used: used / unit, threshold }).collect()
}

/// Resets thresholds above the current usage, so that they are reported again. Only storage can decrease.
fn forget(reported: &mut ReportedThreshold, limit: Option<i64>, used: u64) {
    let Some(limit) = limit.filter(|limit| *limit == reported.limit) else { return };
    let share = percent(used, limit, MIB);
    let mut still =
        THRESHOLDS.into_iter().filter(|threshold| share.saturating_add(SLACK) >= u64::from(*threshold));
    reported.percent = reported.percent.min(still.next_back().unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn meter() -> Meter {
        Meter::new(ClusterId(Uuid::nil()), OrganizationId(Uuid::nil()), at("2026-11-24T13:00:00Z"))
    }

    /// A usage of `count` request units.
    fn units(count: u64) -> Quantities {
        Quantities { write_requests: count, ..Quantities::default() }
    }

    #[test]
    fn vacuum_records_of_charged_rows_are_not_charged() {
        let mut meter = Meter::new(ClusterId(Uuid::nil()), OrganizationId(Uuid::nil()), Timestamp(0));
        let mut record = |mut growth: Growth| {
            meter.deduct_startup_cost("1", &mut growth);
            Quantities::of(&growth, 0)
        };
        let rows =
            Growth { transactions: 1, tuples_written: 40_000, wal_records: 40_001, ..Growth::default() };
        assert_eq!(record(rows).write_requests, 120_000);
        let vacuum = Growth { wal_records: 9_000, wal_bytes: 400_000, ..Growth::default() };
        assert_eq!(record(vacuum), Quantities::default());
        assert_ne!(record(vacuum), Quantities::default(), "only once");
    }

    #[test]
    fn names_in_stored_meters_do_not_change() {
        let stored = serde_json::to_value(meter()).expect("a document");
        for name in ["traffic", "told_request_units", "told_storage", "start", "upkeep"] {
            assert!(stored.get(name).is_some(), "{name}");
        }
        assert!(serde_json::from_value::<Meter>(stored).is_ok_and(|read| read == meter()));
    }

    fn stored(mib: u64) -> Measure {
        Measure { storage_bytes: mib * MIB, ..Measure::default() }
    }

    fn reported(meter: &mut Meter, limits: &UsageLimits) -> Vec<(&'static str, u8)> {
        let crossings = meter.crossings(Plan::Basic, limits);
        crossings.iter().map(|crossing| (crossing.limit_name, crossing.threshold)).collect()
    }

    #[test]
    fn usage_is_charged_to_the_month_of_its_measurement() {
        let mut meter = meter();
        meter.record_usage(Measure::default(), units(3), at("2026-11-30T23:59:59Z"));
        assert_eq!(meter.used_in_month(at("2026-11-30T23:59:59Z")), units(3));
        assert_eq!(meter.used_in_month(at("2026-12-01T00:00:00Z")), units(0), "without any tick");
        meter.record_usage(Measure::default(), units(4), at("2026-12-01T00:00:00Z"));
        assert_eq!((meter.month.as_str(), meter.used), ("2026-12", units(4)));
    }

    #[test]
    fn the_startup_cost_is_deducted_once_for_each_run() {
        let mut meter = meter();
        let left = |meter: &mut Meter, epoch, blocks_read| {
            let mut growth = Growth { blocks_read, cpu_micros: 1_000, ..Growth::default() };
            meter.deduct_startup_cost(epoch, &mut growth);
            growth.blocks_read
        };
        assert_eq!(left(&mut meter, "a", 100), 0);
        assert_eq!(left(&mut meter, "a", START_BLOCKS), 100, "the startup cost is deducted");
        assert_eq!(left(&mut meter, "a", 7), 7);
        assert_eq!(left(&mut meter, "b", START_BLOCKS + 1), 1, "another start");
    }

    #[test]
    fn each_request_unit_threshold_is_reported_once_a_month() {
        let limits = UsageLimits { request_units: Some(100), ..UsageLimits::default() };
        let mut meter = meter();
        let now = at("2026-11-24T13:00:00Z");
        let name = "request_unit_limit";
        meter.record_usage(Measure::default(), units(49), now);
        assert_eq!(reported(&mut meter, &limits), []);
        meter.record_usage(Measure::default(), units(1), now);
        assert_eq!(reported(&mut meter, &limits), [(name, 50)]);
        assert_eq!(reported(&mut meter, &limits), []);
        meter.record_usage(Measure::default(), units(60), now);
        let crossings = meter.crossings(Plan::Basic, &limits);
        let both = [75, 100].map(|threshold| Crossing { limit_name: name, limit: 100, used: 110, threshold });
        assert_eq!(crossings, both);
        let higher = UsageLimits { request_units: Some(150), ..limits };
        assert_eq!(reported(&mut meter, &higher), [(name, 50)], "another limit is reported anew");
        meter.record_usage(Measure::default(), units(60), at("2026-12-01T00:00:00Z"));
        assert_eq!(reported(&mut meter, &limits), [(name, 50)], "another month");
    }

    #[test]
    fn storage_thresholds_are_reported_again_after_a_decrease() {
        let limits = UsageLimits { storage_mib: Some(100), ..UsageLimits::default() };
        let mut meter = meter();
        let now = at("2026-11-24T13:00:00Z");
        let name = "storage_mib_limit";
        for (mib, expected) in
            [(40, vec![]), (80, vec![50, 75]), (72, vec![]), (76, vec![]), (60, vec![]), (110, vec![75, 100])]
        {
            meter.record_usage(stored(mib), units(0), now);
            let expected: Vec<_> = expected.into_iter().map(|threshold| (name, threshold)).collect();
            assert_eq!(reported(&mut meter, &limits), expected, "at {mib} MiB");
        }
        meter.record_usage(stored(10), units(0), now);
        assert_eq!(reported(&mut meter, &limits), []);
        meter.record_usage(stored(100), units(0), now);
        assert_eq!(reported(&mut meter, &limits).len(), 3);
    }

    #[test]
    fn nothing_is_reported_for_other_plans_or_without_limits() {
        let limits = UsageLimits { request_units: Some(1), ..UsageLimits::default() };
        let mut meter = meter();
        meter.record_usage(stored(9999), units(9999), at("2026-11-24T13:00:00Z"));
        assert_eq!(meter.crossings(Plan::Standard, &limits), []);
        assert_eq!(meter.crossings(Plan::Basic, &UsageLimits::default()), []);
    }
}
