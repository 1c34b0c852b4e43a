//! Tests of limits: the measured usage, the status of the limits, and the number of vCPU decreases.

#![allow(clippy::unwrap_used)]

use ootheca_model::{
    Cluster, ClusterId, ErrorKind, OrganizationId, Plan, PrincipalId, Timestamp,
    catalog::{Catalog, Region, Version},
    cluster::{
        CloudProvider, ReleaseType, SupportStatus, UsageLimits,
        create::{Birth, NewCluster, NewServerless, create},
        patch::{CPU_DECREASE_WINDOW, ClusterPatch, PatchServerless, patch},
    },
    limit_status::{LimitStatus, limit_status},
    meter::{MIB, Meter, percent},
    units::{MICRO, Quantities},
    usage::{CpuCounter, Growth, Measure, SqlCounters},
};
use proptest::prelude::*;
use std::time::Duration;
use uuid::Uuid;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn catalog() -> Catalog {
    Catalog {
        default_version: "v25.4".into(),
        versions: vec![Version {
            version: "v25.4".into(),
            full_version: "v25.4.1".into(),
            release_type: ReleaseType::Regular,
            support_status: SupportStatus::Supported,
            support_end: Timestamp(0),
            allowed_upgrades: Vec::new(),
            postgres: "newest".into(),
        }],
        regions: vec![Region {
            provider: CloudProvider::Gcp,
            name: "us-central1".into(),
            location: String::new(),
            serverless: true,
        }],
    }
}

fn cluster(plan: Plan, limits: UsageLimits) -> Cluster {
    let request = NewCluster {
        name: "notorious-moose".into(),
        provider: Some(CloudProvider::Gcp),
        plan: Some(plan),
        serverless: Some(NewServerless { regions: vec!["us-central1".into()], limits, ..Default::default() }),
        ..Default::default()
    };
    let birth = Birth {
        id: ClusterId(Uuid::nil()),
        tenant: 123,
        organization: OrganizationId(Uuid::nil()),
        creator: PrincipalId(Uuid::nil()),
        now: Timestamp(1_000_000),
    };
    create(request, birth, &catalog(), |_| Ok("15".into())).unwrap().0
}

fn meter(request_units: u64, storage_mib: u64, now: Timestamp) -> Meter {
    let mut meter = Meter::new(ClusterId(Uuid::nil()), OrganizationId(Uuid::nil()), now);
    let measure = Measure { storage_bytes: storage_mib * MIB, ..Measure::default() };
    meter.record_usage(measure, Quantities { write_requests: request_units, ..Quantities::default() }, now);
    meter
}

const BOTH: UsageLimits = UsageLimits { request_units: Some(100), storage_mib: Some(10), virtual_cpus: None };

#[test]
fn a_cluster_is_open_until_a_limit_is_reached() {
    let (cluster, now) = (cluster(Plan::Basic, BOTH), at("2026-11-24T13:00:00Z"));
    assert_eq!(limit_status(&cluster, None, now), LimitStatus::Open);
    assert_eq!(limit_status(&cluster, Some(&meter(99, 9, now)), now), LimitStatus::Open);
    let full = limit_status(&cluster, Some(&meter(99, 11, now)), now);
    assert_eq!(full, LimitStatus::StorageLimitExceeded { limit: 10, used: 11 });
    assert!(full.message().contains("storage_mib_limit of 10"), "{}", full.message());
    assert!(full.hint(&cluster).contains("PATCH /api/v1/clusters/"), "{}", full.hint(&cluster));
    let spent = limit_status(&cluster, Some(&meter(100, 11, now)), now);
    let until = at("2026-12-01T00:00:00Z");
    assert_eq!(spent, LimitStatus::RequestUnitLimitExceeded { limit: 100, used: 100, until });
    assert!(spent.message().contains("request_unit_limit of 100"), "{}", spent.message());
    assert!(spent.hint(&cluster).contains("2026-12-01T00:00:00"), "{}", spent.hint(&cluster));
}

#[test]
fn a_new_month_or_a_higher_limit_takes_effect_immediately() {
    let (cluster, now) = (cluster(Plan::Basic, BOTH), at("2026-11-30T23:59:59.999999Z"));
    let meter = meter(100, 1, now);
    assert_ne!(limit_status(&cluster, Some(&meter), now), LimitStatus::Open);
    assert_eq!(limit_status(&cluster, Some(&meter), at("2026-12-01T00:00:00Z")), LimitStatus::Open);
    let limits = Some(UsageLimits { request_units: Some(101), ..BOTH });
    let serverless = Some(PatchServerless { limits, ..Default::default() });
    let raise = ClusterPatch { serverless, ..Default::default() };
    let raised = patch(&cluster, &raise, &catalog(), now).unwrap();
    assert_eq!(limit_status(&raised, Some(&meter), now), LimitStatus::Open);
}

#[test]
fn only_basic_clusters_have_limits() {
    let now = at("2026-11-24T13:00:00Z");
    let standard = cluster(Plan::Standard, UsageLimits { virtual_cpus: Some(2), ..Default::default() });
    assert_eq!(limit_status(&standard, Some(&meter(1 << 40, 1 << 20, now)), now), LimitStatus::Open);
    let free = cluster(Plan::Basic, UsageLimits::default());
    assert_eq!(limit_status(&free, Some(&meter(1 << 40, 1 << 20, now)), now), LimitStatus::Open);
}

#[test]
fn vcpus_can_be_decreased_three_times_in_seven_days() {
    let to = |cluster: &Cluster, cpus: i64, now: Timestamp| {
        let limits = Some(UsageLimits { virtual_cpus: Some(cpus), ..Default::default() });
        let serverless = Some(PatchServerless { limits, ..Default::default() });
        patch(cluster, &ClusterPatch { serverless, ..Default::default() }, &catalog(), now)
    };
    let start = at("2026-11-01T00:00:00Z");
    let day = |days: u32| start.after(Duration::from_secs(24 * 3600) * days);
    let mut standard = cluster(Plan::Standard, UsageLimits { virtual_cpus: Some(20), ..Default::default() });
    for (cpus, days) in [(16, 0), (12, 1), (32, 2), (10, 3)] {
        standard = to(&standard, cpus, day(days)).unwrap();
    }
    let refused = to(&standard, 8, day(6)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Precondition);
    assert!(refused.message().contains("the next decrease is possible at 2026-11-08T00:00:00"), "{refused}");
    standard = to(&standard, 64, day(6)).unwrap();
    assert_eq!(to(&standard, 64, day(6)).unwrap(), standard, "the same again is no decrease");
    assert!(to(&standard, 63, Timestamp(day(7).0 - 1)).is_err(), "one microsecond early");
    standard = to(&standard, 63, start.after(CPU_DECREASE_WINDOW)).unwrap();
    assert!(to(&standard, 62, day(7)).is_err(), "any seven days, not the calendar's");
    assert!(to(&standard, 62, day(8)).is_ok());
}

#[test]
fn a_cluster_of_an_older_release_has_no_recorded_decreases() {
    let cluster = cluster(Plan::Basic, BOTH);
    let text = serde_json::to_string(&cluster).unwrap();
    assert!(!text.contains("lowered_cpus_at"), "{text}");
    assert_eq!(serde_json::from_str::<Cluster>(&text).unwrap(), cluster);
}

fn any_measure() -> impl Strategy<Value = Measure> {
    let count = || 0u64..1 << 30;
    let epoch = || prop::sample::select(vec!["1", "2"]);
    let sql = (epoch(), [count(), count(), count(), count(), count(), count(), count(), count(), count()]);
    (epoch(), count(), sql, count()).prop_map(|(cpu, micros, (epoch, counts), storage_bytes)| Measure {
        cpu: CpuCounter { epoch: cpu.to_owned(), micros },
        sql: SqlCounters {
            epoch: epoch.to_owned(),
            sessions: counts[7],
            active_micros: counts[8],
            transactions: counts[0],
            tuples_returned: counts[1],
            tuples_fetched: counts[2],
            tuples_written: counts[3],
            blocks_read: counts[4],
            wal_records: counts[5],
            wal_bytes: counts[6],
            ..SqlCounters::default()
        },
        storage_bytes,
        ..Measure::default()
    })
}

fn any_growth() -> impl Strategy<Value = Growth> {
    any_measure().prop_map(|measure| measure.since(&Measure::default()))
}

proptest! {
    /// Growth never exceeds what the counters show, and is zero between a measurement and itself.
    #[test]
    fn growth_never_exceeds_the_counters(before in any_measure(), after in any_measure()) {
        let growth = after.since(&before);
        prop_assert!(growth.cpu_micros <= after.cpu.micros);
        prop_assert!(growth.blocks_read <= after.sql.blocks_read);
        prop_assert_eq!(after.since(&after), Growth::default());
        if before.cpu.epoch != after.cpu.epoch {
            prop_assert_eq!(growth.cpu_micros, after.cpu.micros);
        }
        if before.sql.epoch != after.sql.epoch {
            prop_assert_eq!(growth.wal_bytes, after.sql.wal_bytes);
        }
    }

    /// Sums are converted as a whole, so rounding errors do not accumulate, whatever the intervals were.
    #[test]
    fn rounding_errors_do_not_accumulate(growths in prop::collection::vec(any_growth(), 1..20)) {
        let mut sum = Quantities::default();
        let mut parts = 0u64;
        for growth in &growths {
            let quantities = Quantities::of(growth, growth.wal_bytes);
            sum += quantities;
            parts += quantities.request_units().total();
        }
        let total = sum.request_units().total();
        prop_assert!(total >= parts, "the parts are rounded down, each component at most once a part");
        prop_assert!(total - parts <= 8 * growths.len() as u64);
    }

    /// More usage never costs less, except that log records that turn out to be rows are not index entries.
    #[test]
    fn more_usage_never_costs_less(growth in any_growth(), egress in 0u64..1 << 40, more in 1u64..1 << 30) {
        let cost = |growth: &Growth, egress| Quantities::of(growth, egress).request_units().total();
        let before = cost(&growth, egress);
        let larger = [
            Growth { cpu_micros: growth.cpu_micros + more, ..growth },
            Growth { tuples_returned: growth.tuples_returned + more, ..growth },
            Growth { tuples_fetched: growth.tuples_fetched + more, ..growth },
            Growth { blocks_read: growth.blocks_read + more, ..growth },
            Growth { wal_records: growth.wal_records + more, ..growth },
            Growth { wal_bytes: growth.wal_bytes + more, ..growth },
        ];
        for growth in &larger {
            prop_assert!(cost(growth, egress) >= before, "{growth:?}");
        }
        prop_assert!(cost(&growth, egress + more) >= before);
        prop_assert_eq!(cost(&Growth::default(), 0), 0, "an idle cluster uses nothing");
    }

    /// 100 % of a limit is the same as reaching it.
    #[test]
    fn reaching_a_limit_is_a_hundred_percent(limit in 1i64..1 << 40, used in 0u64..1 << 41) {
        let now = at("2026-11-24T13:00:00Z");
        let limits = UsageLimits { request_units: Some(limit), ..Default::default() };
        let stands = limit_status(&cluster(Plan::Basic, limits), Some(&meter(used, 0, now)), now);
        let share = percent(used * MICRO, limit, MICRO);
        prop_assert_eq!(stands != LimitStatus::Open, share >= 100);
    }
}
