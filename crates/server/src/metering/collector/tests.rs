//! The meter with a real store, and an engine whose measurements the test sets.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    clock::TestClock,
    context::{Context, Keys},
    documents,
    gateway::directory::StoreDirectory,
    lifecycle::Lifecycle,
    metering::usage,
    settings::Settings,
};
use ootheca_engine::{DiskSpace, Engine, simulated::SimulatedEngine};
use ootheca_gateway::{Activity, AdmissionState, Directory};
use ootheca_model::{
    ClusterState, OrganizationId, Plan, PrincipalId, Timestamp,
    cluster::{
        CloudProvider, Config, UsageLimits,
        create::{Birth, NewCluster, NewServerless, create},
    },
    instance::Power,
    meter::{MIB, PeriodUsage},
    time::Clock,
    units::MICRO,
    usage::{CpuCounter, Measure, SqlCounters},
};
use ootheca_store::{AuditQuery, Batch, Kind, Mutation, Query};
use tempfile::TempDir;
use uuid::Uuid;

/// A server without listeners, with one BASIC cluster.
struct World {
    lifecycle: Arc<Lifecycle>,
    engine: Arc<SimulatedEngine>,
    clock: Arc<TestClock>,
    cluster: ClusterId,
    _folder: TempDir,
}

impl World {
    async fn new(limits: UsageLimits) -> Self {
        let folder = TempDir::new().unwrap();
        let overrides = serde_json::json!({ "data_dir": folder.path(), "engine_kind": "simulated" });
        let settings = Settings::load(None, &overrides).unwrap();
        let store = ootheca_store::open(&settings.store_url()).await.unwrap();
        let engine = Arc::new(SimulatedEngine::new(folder.path().join("simulated")));
        engine.open().await.unwrap();
        let clock = Arc::new(TestClock::open(&*store).await.unwrap());
        let lease = store.lease("reconcile", "test", None, Duration::from_secs(15), clock.now()).await;
        let test_clock = Some(clock.clone());
        let keys = Keys::for_test();
        let context = Context::new(store, engine.clone(), clock.clone(), test_clock, settings, keys, None);
        context.lease.send_replace(lease.unwrap());
        let context = Arc::new(context);
        let metering = Arc::new(Metering::new(context.clone()));
        let lifecycle = Arc::new(Lifecycle::new(context, metering));
        let cluster = made(&lifecycle.context, limits);
        lifecycle.context.engine.create(&cluster.plan_instance()).await.unwrap();
        let batch = Batch::server("test").with(documents::insert(&cluster).unwrap());
        lifecycle.context.store.commit(batch, lifecycle.context.now()).await.unwrap();
        Self { lifecycle, engine, clock, cluster: cluster.id, _folder: folder }
    }

    /// Sets the clock.
    async fn at(&self, text: &str) {
        let target: Timestamp = text.parse().unwrap();
        let seconds = target.since(self.clock.now()).as_secs() + 1;
        self.clock.advance(&*self.lifecycle.context.store, i64::try_from(seconds).unwrap()).await.unwrap();
    }

    /// Reports a session that has ended, and its bytes.
    fn session(&self, sent: u64) {
        let activity = Activity { cluster: self.cluster, sessions: 0, sessions_seen: 1, sent, received: 0 };
        self.lifecycle.metering.activity.note(0, &[activity], self.lifecycle.context.now());
    }

    /// Sets the total number of written rows, six request units each, and the size of the data; then runs a
    /// tick.
    async fn wrote(&self, rows: u64, mib: u64) {
        self.engine.pretend(self.cluster, counters(rows, mib));
        self.session(0);
        tick(&self.lifecycle.metering).await.unwrap();
    }

    async fn shown(&self) -> ootheca_api::wire::Extension {
        let cluster =
            self.lifecycle.context.find::<Cluster>(&self.cluster.to_string()).await.unwrap().unwrap();
        let meter = self.lifecycle.metering.meter(cluster.value.id).await.unwrap();
        usage::extension(&self.lifecycle.metering, &cluster.value, meter.as_ref().map(|meter| &meter.value))
    }

    async fn periods(&self, kind: Kind) -> Vec<PeriodUsage> {
        let rows = self.lifecycle.context.store.list(&Query::all(kind)).await.unwrap();
        rows.iter().map(|row| documents::read_period(row).unwrap()).collect()
    }

    /// Thresholds in the audit log, oldest first.
    async fn told(&self) -> Vec<String> {
        let query = AuditQuery {
            organization: OrganizationId(Uuid::nil()),
            starting_from: None,
            descending: false,
            limit: 100,
        };
        let entries = self.lifecycle.context.store.audit(&query).await.unwrap();
        assert!(
            entries.iter().all(|entry| entry.source == "INTERNAL" && entry.cluster == Some(self.cluster))
        );
        let told = entries.iter().map(|entry| {
            let payload: serde_json::Value = serde_json::from_str(&entry.payload).unwrap();
            format!("{} {}", payload["limit"].as_str().unwrap(), payload["threshold_percent"])
        });
        told.collect()
    }

    async fn change(&self, change: impl Fn(&mut Cluster)) {
        let mut stored: Stored<Cluster> =
            documents::find(&*self.lifecycle.context.store, &self.cluster.to_string())
                .await
                .unwrap()
                .unwrap();
        change(&mut stored.value);
        let batch = Batch::server("test").with(documents::update(&stored.row, &stored.value).unwrap());
        self.lifecycle.context.store.commit(batch, self.lifecycle.context.now()).await.unwrap();
    }
}

fn made(context: &Context, limits: UsageLimits) -> Cluster {
    let request = NewCluster {
        name: "some-cluster".into(),
        provider: Some(CloudProvider::Gcp),
        plan: Some(Plan::Basic),
        serverless: Some(NewServerless { regions: vec!["us-central1".into()], limits, ..Default::default() }),
        ..Default::default()
    };
    let birth = Birth {
        id: ClusterId(Uuid::from_u128(7)),
        tenant: 1234,
        organization: OrganizationId(Uuid::nil()),
        creator: PrincipalId(Uuid::nil()),
        now: context.now(),
    };
    let (mut cluster, _) = create(request, birth, context.catalog(), |_| Ok("simulated".into())).unwrap();
    cluster.state = ClusterState::Created;
    cluster
}

fn counters(rows: u64, mib: u64) -> Measure {
    let sql = SqlCounters {
        epoch: "1".into(),
        transactions: rows,
        tuples_written: rows,
        wal_records: 3 * rows,
        ..SqlCounters::default()
    };
    Measure { sql, storage_bytes: mib * MIB, ..Measure::default() }
}

const LIMITS: UsageLimits =
    UsageLimits { request_units: Some(100), storage_mib: Some(10), virtual_cpus: None };

#[tokio::test]
async fn months_and_hours_are_recorded_once() {
    let world = World::new(UsageLimits::default()).await;
    world.at("2100-11-30T23:10:00Z").await;
    world.wrote(5, 1).await;
    world.wrote(5, 1).await;
    world.wrote(7, 1).await;
    assert_eq!(world.shown().await.usage.request_units.total, 42.0);
    world.at("2100-12-01T00:00:00Z").await;
    assert_eq!(world.shown().await.usage.request_units.total, 0.0, "without a tick");
    world.wrote(8, 1).await;
    let shown = world.shown().await.usage;
    assert_eq!((shown.month.as_str(), shown.request_units.total), ("2100-12", 6.0));
    let told = |periods: Vec<PeriodUsage>| -> Vec<(String, u64)> {
        periods.into_iter().map(|usage| (usage.period, usage.used.request_units().total() / MICRO)).collect()
    };
    let months = told(world.periods(Kind::UsageMonth).await);
    assert_eq!(months, [("2100-11".to_owned(), 42), ("2100-12".to_owned(), 6)]);
    let hours = told(world.periods(Kind::UsageHour).await);
    assert_eq!(hours, [("2100-11-30T23".to_owned(), 42), ("2100-12-01T00".to_owned(), 6)]);
    world.at("2101-03-01T00:00:00Z").await;
    world.wrote(9, 1).await;
    assert_eq!(world.periods(Kind::UsageHour).await.len(), 1, "old hours are gone");
    assert_eq!(world.periods(Kind::UsageMonth).await.len(), 3, "months stay");
}

#[tokio::test]
async fn no_usage_is_recorded_without_a_session() {
    let world = World::new(UsageLimits::default()).await;
    world.wrote(1, 1).await;
    let cpu = |micros| Measure { cpu: CpuCounter { epoch: "1".into(), micros }, ..counters(1, 1) };
    let mut hints = world.lifecycle.context.store.changes();
    for micros in [3_000_000, 6_000_000, 9_000_000] {
        world.engine.pretend(world.cluster, cpu(micros));
        tick(&world.lifecycle.metering).await.unwrap();
    }
    assert_eq!(world.shown().await.usage.request_units.total, 6.0);
    assert!(hints.try_recv().is_err(), "nothing was written");
    world.session(1024);
    tick(&world.lifecycle.metering).await.unwrap();
    let used = world.shown().await.usage.request_units;
    assert_eq!(used.egress, 1.0);
    assert!(!world.lifecycle.metering.activity.used().contains(&world.cluster), "all is booked");
}

#[tokio::test]
async fn usage_that_could_not_be_recorded_is_recorded_later() {
    let world = World::new(UsageLimits::default()).await;
    world.wrote(1, 1).await;
    let lease = world.lifecycle.context.lease.borrow().clone().unwrap();
    world.lifecycle.context.lease.send_replace(Some(Lease { fence: lease.fence + 1, ..lease.clone() }));
    world.engine.pretend(world.cluster, counters(2, 1));
    world.session(2048);
    tick(&world.lifecycle.metering).await.unwrap();
    assert_eq!(world.shown().await.usage.request_units.total, 6.0, "the lease is another's");
    world.lifecycle.context.lease.send_replace(Some(lease));
    tick(&world.lifecycle.metering).await.unwrap();
    assert_eq!(world.shown().await.usage.request_units.total, 14.0);
    world.lifecycle.context.lease.send_replace(None);
    world.wrote(9, 1).await;
    assert_eq!(world.shown().await.usage.request_units.total, 14.0, "without a lease");
}

#[tokio::test]
async fn the_request_unit_limit_disables_until_the_month_ends() {
    let world = World::new(LIMITS).await;
    let directory = StoreDirectory::new(world.lifecycle.clone());
    let mut hints = directory.changes();
    world.at("2100-11-24T13:00:00Z").await;
    world.wrote(9, 1).await;
    assert_eq!(world.told().await, ["request_unit_limit 50"]);
    world.wrote(17, 1).await;
    let state = directory.policy(world.cluster).await.unwrap().unwrap().admission;
    let AdmissionState::Disabled(notice) = state else { panic!("{state:?}") };
    assert!(notice.message.contains("request_unit_limit of 100"), "{notice:?}");
    assert!(notice.hint.contains("2100-12-01T00:00:00"), "{notice:?}");
    assert_eq!(hints.recv().await.unwrap(), world.cluster);
    let all = ["request_unit_limit 50", "request_unit_limit 75", "request_unit_limit 100"];
    assert_eq!(world.told().await, all);
    let shown = world.shown().await;
    assert_eq!(
        (shown.limit_status.as_str(), shown.usage.request_unit_limit_percent.unwrap().0),
        ("REQUEST_UNIT_LIMIT_EXCEEDED", 102)
    );
    assert!(shown.conditions.iter().any(|condition| condition.kind == "RequestUnitLimitExceeded"));
    while hints.try_recv().is_ok() {}
    world.at("2100-12-01T00:00:00Z").await;
    let state = directory.policy(world.cluster).await.unwrap().unwrap().admission;
    assert_eq!(state, AdmissionState::Open, "without a tick");
    tick(&world.lifecycle.metering).await.unwrap();
    let hint = tokio::time::timeout(Duration::from_secs(10), hints.recv()).await;
    assert_eq!(hint.unwrap().unwrap(), world.cluster, "gateways that remember are told");
    assert_eq!(world.told().await, all, "nothing new");
}

#[tokio::test]
async fn gateways_are_notified_only_when_the_limit_status_changes() {
    let world = World::new(LIMITS).await;
    let directory = StoreDirectory::new(world.lifecycle.clone());
    let mut hints = directory.changes();
    world.wrote(1, 1).await;
    assert_eq!(hints.recv().await.unwrap(), world.cluster, "what was not known is told");
    for rows in 2..6 {
        world.wrote(rows, 1).await;
    }
    world.wrote(17, 1).await;
    assert_eq!(hints.recv().await.unwrap(), world.cluster, "disabled");
    world.wrote(18, 1).await;
    world.change(|cluster| cluster.name = "another".into()).await;
    assert_eq!(hints.recv().await.unwrap(), world.cluster, "the cluster");
    world.wrote(19, 1).await;
    assert_eq!(hints.recv().await.unwrap(), world.cluster, "its limits may be others now");
    world.wrote(20, 1).await;
    world.change(|cluster| cluster.name = "the last".into()).await;
    assert_eq!(hints.recv().await.unwrap(), world.cluster, "in order: nothing of the meter came before");
    assert!(hints.try_recv().is_err());
}

#[tokio::test]
async fn an_increased_limit_applies_immediately() {
    let world = World::new(LIMITS).await;
    world.wrote(20, 1).await;
    assert_eq!(world.shown().await.limit_status, "REQUEST_UNIT_LIMIT_EXCEEDED");
    world
        .change(|cluster| {
            if let Config::Serverless { limits, .. } = &mut cluster.config {
                limits.request_units = Some(1000);
            }
        })
        .await;
    assert_eq!(world.shown().await.limit_status, "OPEN");
}

#[tokio::test]
async fn the_storage_limit_throttles_until_data_is_deleted() {
    let world = World::new(LIMITS).await;
    let directory = StoreDirectory::new(world.lifecycle.clone());
    world.wrote(0, 11).await;
    let state = directory.policy(world.cluster).await.unwrap().unwrap().admission;
    assert!(
        matches!(&state, AdmissionState::Throttled(notice) if notice.hint.contains("VACUUM")),
        "{state:?}"
    );
    assert_eq!(world.told().await.len(), 3);
    world.engine.pretend(world.cluster, counters(0, 2));
    tick(&world.lifecycle.metering).await.unwrap();
    assert_eq!(world.shown().await.limit_status, "OPEN", "seen without a session");
    world.wrote(0, 12).await;
    assert_eq!(world.told().await.len(), 6, "told again");
}

#[tokio::test]
async fn a_suspended_cluster_is_not_queried() {
    let world = World::new(LIMITS).await;
    world.wrote(1, 1).await;
    world.change(|cluster| cluster.power = Power::Off).await;
    world.wrote(5, 1).await;
    let shown = world.shown().await;
    assert!(shown.suspended);
    assert_eq!(shown.usage.request_units.total, 6.0);
    world.change(|cluster| cluster.power = Power::On).await;
    tick(&world.lifecycle.metering).await.unwrap();
    assert_eq!(world.shown().await.usage.request_units.total, 30.0, "its counters survive");
}

#[tokio::test]
async fn the_test_clock_only_advances_and_survives_a_restart() {
    let world = World::new(LIMITS).await;
    world.at("2100-01-01T00:00:00Z").await;
    let again = TestClock::open(&*world.lifecycle.context.store).await.unwrap();
    assert!(again.now() >= "2100-01-01T00:00:00Z".parse().unwrap());
    let unused = Mutation::Touch { kind: Kind::Cluster, id: world.cluster.to_string(), revision: 1 };
    let fenced =
        Batch { fence: world.lifecycle.context.lease.borrow().clone(), ..Batch::server("test").with(unused) };
    world
        .lifecycle
        .context
        .store
        .commit(fenced, world.lifecycle.context.now())
        .await
        .expect("the lease survives");
}

#[tokio::test]
async fn gateways_are_notified_when_the_disk_is_full_and_when_it_no_longer_is() {
    let world = World::new(UsageLimits::default()).await;
    let directory = StoreDirectory::new(world.lifecycle.clone());
    let mut changes = directory.changes();
    for (free_mib, throttled) in [(255, true), (319, true), (320, false)] {
        let space = DiskSpace { path: "/data".into(), free_bytes: free_mib * MIB };
        let before = matches!(state(&directory, &world).await, AdmissionState::Throttled(_));
        world.lifecycle.context.disk.read(&space);
        if throttled != before {
            assert_eq!(changes.recv().await.unwrap(), world.cluster, "{free_mib}");
        }
        let after = state(&directory, &world).await;
        assert_eq!(matches!(after, AdmissionState::Throttled(_)), throttled, "{free_mib}: {after:?}");
    }
    let shown = world.shown().await;
    assert!(shown.conditions.iter().any(|condition| condition.message.contains("almost full")));
}

async fn state(directory: &StoreDirectory, world: &World) -> AdmissionState {
    directory.policy(world.cluster).await.unwrap().unwrap().admission
}
