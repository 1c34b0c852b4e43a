//! What is kept of a cluster's use: the counters last seen, the sums of the month, and what was told.

use crate::{
    ClusterId, OrganizationId, Plan, Timestamp,
    cluster::UsageLimits,
    period,
    units::{self, MICRO, Quantities},
    usage::{Growth, Measure},
};
use serde::{Deserialize, Serialize};

/// What a start of a server costs that no tenant asked for: the CPU of starting it, and the blocks of its
/// catalogs that the first session of each start reads to fill the server's caches.
const START_CPU: u64 = 150_000;
const START_BLOCKS: u64 = 2_500;

/// For so many rows vacuum writes a record some time: at most three a page.
const ROWS_A_RECORD: u64 = 4;

/// Bytes in a mebibyte.
pub const MIB: u64 = 1 << 20;

/// Shares of a limit, in percent, at which the audit log says so.
pub const THRESHOLDS: [u8; 3] = [50, 75, 100];

/// How far, in points, storage must fall below a threshold before crossing it is told again: files
/// grow and shrink a little all the time.
const SLACK: u64 = 5;

/// The meter of a cluster: one row, in which counters and sums change together, so that nothing is
/// counted twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its organization.
    pub organization: OrganizationId,
    /// When it was last changed.
    pub measured_at: Timestamp,
    /// The counters that are booked.
    pub last: Measure,
    /// The month of the sums.
    pub month: String,
    /// What was used in that month.
    pub used: Quantities,
    /// What was told of request units in that month.
    pub told_request_units: Told,
    /// What was told of storage since it was last below.
    pub told_storage: Told,
    /// What the server's start may still cost without being booked.
    #[serde(default)]
    pub start: Start,
    /// Records of the write-ahead log that vacuum may still write for rows that are booked.
    #[serde(default)]
    pub upkeep: u64,
}

/// What is left of the cost of a start, which is not booked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The run of the server, as its CPU counter names it.
    pub epoch: String,
    /// Microseconds of CPU.
    pub cpu_micros: u64,
    /// Blocks.
    pub blocks: u64,
}

/// The highest threshold that was told, and of which limit: another limit begins anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The limit.
    pub limit: i64,
    /// Percent; 0 for none.
    pub percent: u8,
}

/// Use that was booked to one month or hour, which its name tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodUsage {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its organization.
    pub organization: OrganizationId,
    /// `2026-11` or `2026-11-24T13`.
    pub period: String,
    /// When the first of it was booked.
    pub created_at: Timestamp,
    /// What was used.
    pub used: Quantities,
}

/// A threshold of a limit that was just crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Name of the limit on the wire.
    pub limit_name: &'static str,
    /// The limit, in its unit.
    pub limit: i64,
    /// What is used, in the same unit.
    pub used: u64,
    /// Percent.
    pub threshold: u8,
}

impl Meter {
    /// The meter of a cluster that was never measured.
    pub fn new(cluster: ClusterId, organization: OrganizationId, now: Timestamp) -> Self {
        Self {
            cluster,
            organization,
            measured_at: now,
            last: Measure::default(),
            month: period::month(now),
            used: Quantities::default(),
            told_request_units: Told::default(),
            told_storage: Told::default(),
            start: Start::default(),
            upkeep: 0,
        }
    }

    /// Takes from `growth` what the start of this run of the server cost, once for each run. What is left
    /// stays for the next time: a session reports late. So it is with what vacuum writes for rows.
    pub fn forgive(&mut self, epoch: &str, growth: &mut Growth) {
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

    /// What was used in the month of `now`.
    pub fn used_in_month(&self, now: Timestamp) -> Quantities {
        if self.month == period::month(now) { self.used } else { Quantities::default() }
    }

    /// Goes on to the month of `now`; says whether it is another one.
    pub fn roll(&mut self, now: Timestamp) -> bool {
        let month = period::month(now);
        let other = self.month != month;
        if other {
            self.month = month;
            self.used = Quantities::default();
            self.told_request_units = Told::default();
        }
        other
    }

    /// Books what was used until `now`, all of it to the month of `now`.
    pub fn book(&mut self, measure: Measure, used: Quantities, now: Timestamp) {
        self.roll(now);
        self.used += used;
        self.last = measure;
        self.measured_at = now;
    }

    /// Thresholds that were crossed and not told yet; they are told from now on. Only BASIC is limited.
    pub fn crossings(&mut self, plan: Plan, limits: &UsageLimits) -> Vec<Crossing> {
        let (request_units, storage_mib) =
            if plan == Plan::Basic { (limits.request_units, limits.storage_mib) } else { (None, None) };
        let micros = self.used.request_units().total();
        let mut crossed =
            cross(&mut self.told_request_units, "request_unit_limit", request_units, micros, MICRO);
        forget(&mut self.told_storage, storage_mib, self.last.storage_bytes);
        crossed.extend(cross(
            &mut self.told_storage,
            "storage_mib_limit",
            storage_mib,
            self.last.storage_bytes,
            MIB,
        ));
        crossed
    }
}

/// `used` in percent of `limit`, which counts `unit` each; rounded down.
pub fn percent(used: u64, limit: i64, unit: u64) -> u64 {
    let limit = u128::from(u64::try_from(limit).unwrap_or(0).max(1)) * u128::from(unit);
    u64::try_from(u128::from(used) * 100 / limit).unwrap_or(u64::MAX)
}

fn cross(
    told: &mut Told,
    limit_name: &'static str,
    limit: Option<i64>,
    used: u64,
    unit: u64,
) -> Vec<Crossing> {
    let Some(limit) = limit else {
        *told = Told::default();
        return Vec::new();
    };
    if told.limit != limit {
        *told = Told { limit, percent: 0 };
    }
    let share = percent(used, limit, unit);
    let new = THRESHOLDS.into_iter().filter(|threshold| u64::from(*threshold) <= share);
    let new: Vec<u8> = new.filter(|threshold| *threshold > told.percent).collect();
    told.percent = new.last().copied().unwrap_or(told.percent);
    new.into_iter().map(|threshold| Crossing { limit_name, limit, used: used / unit, threshold }).collect()
}

/// Storage can fall: what was told above where it is now will be told again.
fn forget(told: &mut Told, limit: Option<i64>, used: u64) {
    let Some(limit) = limit.filter(|limit| *limit == told.limit) else { return };
    let share = percent(used, limit, MIB);
    let mut still =
        THRESHOLDS.into_iter().filter(|threshold| share.saturating_add(SLACK) >= u64::from(*threshold));
    told.percent = told.percent.min(still.next_back().unwrap_or(0));
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

    /// That many request units.
    fn units(count: u64) -> Quantities {
        Quantities { write_requests: count, ..Quantities::default() }
    }

    #[test]
    fn vacuum_writes_for_rows_that_are_booked() {
        let mut meter = Meter::new(ClusterId(Uuid::nil()), OrganizationId(Uuid::nil()), Timestamp(0));
        let mut book = |mut growth: Growth| {
            meter.forgive("1", &mut growth);
            Quantities::of(&growth, 0)
        };
        let rows =
            Growth { transactions: 1, tuples_written: 40_000, wal_records: 40_001, ..Growth::default() };
        assert_eq!(book(rows).write_requests, 120_000);
        let vacuum = Growth { wal_records: 9_000, wal_bytes: 400_000, ..Growth::default() };
        assert_eq!(book(vacuum), Quantities::default());
        assert_ne!(book(vacuum), Quantities::default(), "only once");
    }

    fn stored(mib: u64) -> Measure {
        Measure { storage_bytes: mib * MIB, ..Measure::default() }
    }

    fn told(meter: &mut Meter, limits: &UsageLimits) -> Vec<(&'static str, u8)> {
        let crossings = meter.crossings(Plan::Basic, limits);
        crossings.iter().map(|crossing| (crossing.limit_name, crossing.threshold)).collect()
    }

    #[test]
    fn use_is_booked_to_the_month_in_which_it_is_seen() {
        let mut meter = meter();
        meter.book(Measure::default(), units(3), at("2026-11-30T23:59:59Z"));
        assert_eq!(meter.used_in_month(at("2026-11-30T23:59:59Z")), units(3));
        assert_eq!(meter.used_in_month(at("2026-12-01T00:00:00Z")), units(0), "without any tick");
        meter.book(Measure::default(), units(4), at("2026-12-01T00:00:00Z"));
        assert_eq!((meter.month.as_str(), meter.used), ("2026-12", units(4)));
    }

    #[test]
    fn what_a_start_costs_is_not_booked_once_for_each_run() {
        let mut meter = meter();
        let left = |meter: &mut Meter, epoch, blocks_read| {
            let mut growth = Growth { blocks_read, cpu_micros: 1_000, ..Growth::default() };
            meter.forgive(epoch, &mut growth);
            growth.blocks_read
        };
        assert_eq!(left(&mut meter, "a", 100), 0);
        assert_eq!(left(&mut meter, "a", START_BLOCKS), 100, "what was forgiven is gone");
        assert_eq!(left(&mut meter, "a", 7), 7);
        assert_eq!(left(&mut meter, "b", START_BLOCKS + 1), 1, "another start");
    }

    #[test]
    fn each_threshold_of_request_units_is_told_once_a_month() {
        let limits = UsageLimits { request_units: Some(100), ..UsageLimits::default() };
        let mut meter = meter();
        let now = at("2026-11-24T13:00:00Z");
        let name = "request_unit_limit";
        meter.book(Measure::default(), units(49), now);
        assert_eq!(told(&mut meter, &limits), []);
        meter.book(Measure::default(), units(1), now);
        assert_eq!(told(&mut meter, &limits), [(name, 50)]);
        assert_eq!(told(&mut meter, &limits), []);
        meter.book(Measure::default(), units(60), now);
        let crossings = meter.crossings(Plan::Basic, &limits);
        let both = [75, 100].map(|threshold| Crossing { limit_name: name, limit: 100, used: 110, threshold });
        assert_eq!(crossings, both);
        let higher = UsageLimits { request_units: Some(150), ..limits };
        assert_eq!(told(&mut meter, &higher), [(name, 50)], "another limit is told anew");
        meter.book(Measure::default(), units(60), at("2026-12-01T00:00:00Z"));
        assert_eq!(told(&mut meter, &limits), [(name, 50)], "another month");
    }

    #[test]
    fn storage_is_told_again_after_it_fell() {
        let limits = UsageLimits { storage_mib: Some(100), ..UsageLimits::default() };
        let mut meter = meter();
        let now = at("2026-11-24T13:00:00Z");
        let name = "storage_mib_limit";
        for (mib, expected) in
            [(40, vec![]), (80, vec![50, 75]), (72, vec![]), (76, vec![]), (60, vec![]), (110, vec![75, 100])]
        {
            meter.book(stored(mib), units(0), now);
            let expected: Vec<_> = expected.into_iter().map(|threshold| (name, threshold)).collect();
            assert_eq!(told(&mut meter, &limits), expected, "at {mib} MiB");
        }
        meter.book(stored(10), units(0), now);
        assert_eq!(told(&mut meter, &limits), []);
        meter.book(stored(100), units(0), now);
        assert_eq!(told(&mut meter, &limits).len(), 3);
    }

    #[test]
    fn other_plans_and_absent_limits_are_told_nothing() {
        let limits = UsageLimits { request_units: Some(1), ..UsageLimits::default() };
        let mut meter = meter();
        meter.book(stored(9999), units(9999), at("2026-11-24T13:00:00Z"));
        assert_eq!(meter.crossings(Plan::Standard, &limits), []);
        assert_eq!(meter.crossings(Plan::Basic, &UsageLimits::default()), []);
    }
}
