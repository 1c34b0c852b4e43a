//! Backups over the SQLite store and the simulated engine, in a repository in a directory.

#![allow(clippy::unwrap_used)]

use super::{
    reader::{Progress, RepositoryReader},
    retention,
    schedule::Schedule,
};
use crate::{
    clock::TestClock,
    context::{Context, Keys},
    documents::{self, Document, Stored},
    lifecycle::Lifecycle,
    metering::Metering,
    settings::Settings,
};
use ootheca_engine::{Engine, backup::BackupReader, simulated::SimulatedEngine};
use ootheca_model::{
    Cluster, ClusterId, ClusterState, OrganizationId, Plan, PrincipalId, Timestamp,
    backup::{BackupConfiguration, Base, RecoveryPoint},
    cluster::{
        CloudProvider,
        create::{Birth, NewCluster, NewServerless, create},
    },
    instance::{Phase, Power},
    time::Clock,
};
use ootheca_store::{Batch, Lease, Query, Store};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use uuid::Uuid;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A server without listeners, with one BASIC cluster.
pub(in crate::lifecycle) struct World {
    pub(in crate::lifecycle) lifecycle: Arc<Lifecycle>,
    pub(in crate::lifecycle) engine: Arc<SimulatedEngine>,
    pub(in crate::lifecycle) cluster: ClusterId,
    pub(super) schedule: Schedule,
    clock: Arc<TestClock>,
    folder: TempDir,
}

impl World {
    pub(in crate::lifecycle) async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = ootheca_store::open(&settings(folder.path()).store_url()).await.unwrap();
        let clock = Arc::new(TestClock::open(&*store).await.unwrap());
        let (lifecycle, engine) = start(folder.path(), store, &clock).await;
        let schedule = Schedule::new(lifecycle.clone());
        let cluster = ClusterId(Uuid::from_u128(0));
        let mut world = Self { lifecycle, engine, cluster, schedule, clock, folder };
        world.cluster = world.create("some-cluster").await;
        world
    }

    /// A cluster with backups every hour.
    async fn hourly() -> Self {
        let world = Self::new().await;
        world.configure(true, 60, 30).await;
        world
    }

    /// Ends the server where it is, and starts it again.
    pub(in crate::lifecycle) async fn restart(&mut self) {
        let store = self.lifecycle.context.store.clone();
        (self.lifecycle, self.engine) = start(self.folder.path(), store, &self.clock).await;
        self.schedule = Schedule::new(self.lifecycle.clone());
    }

    pub(in crate::lifecycle) fn store(&self) -> &dyn Store {
        &*self.lifecycle.context.store
    }

    pub(in crate::lifecycle) fn lease(&self) -> Lease {
        self.lifecycle.context.lease.borrow().clone().unwrap()
    }

    /// A cluster in state CREATING that is not stored yet.
    pub(in crate::lifecycle) fn draft(&self, name: &str) -> Cluster {
        let serverless = NewServerless { regions: vec!["us-central1".into()], ..Default::default() };
        let request = NewCluster {
            name: name.into(),
            provider: Some(CloudProvider::Gcp),
            plan: Some(Plan::Basic),
            serverless: Some(serverless),
            ..Default::default()
        };
        let birth = Birth {
            id: ClusterId(crate::ids::fresh_id()),
            tenant: 1234,
            organization: OrganizationId(Uuid::nil()),
            creator: PrincipalId(Uuid::nil()),
            now: self.lifecycle.context.now(),
        };
        let catalog = self.lifecycle.context.catalog();
        create(request, birth, catalog, |_| Ok("simulated".into())).unwrap().0
    }

    /// Creates a cluster that is ready.
    pub(in crate::lifecycle) async fn create(&self, name: &str) -> ClusterId {
        let cluster = Cluster { state: ClusterState::Created, ..self.draft(name) };
        self.engine.create(&cluster.plan_instance()).await.unwrap();
        self.commit(Batch::server("test").with(documents::insert(&cluster).unwrap())).await;
        cluster.id
    }

    pub(in crate::lifecycle) async fn commit(&self, batch: Batch) {
        self.store().commit(batch, self.lifecycle.context.now()).await.unwrap();
    }

    pub(in crate::lifecycle) async fn find<T: Document>(&self, id: &str) -> Stored<T> {
        documents::find(self.store(), id).await.unwrap().unwrap()
    }

    pub(in crate::lifecycle) async fn stored(&self, id: ClusterId) -> Stored<Cluster> {
        self.find(&id.to_string()).await
    }

    pub(in crate::lifecycle) async fn change(&self, change: impl FnOnce(&mut Cluster)) {
        self.change_of(self.cluster, change).await;
    }

    pub(in crate::lifecycle) async fn change_of(&self, id: ClusterId, change: impl FnOnce(&mut Cluster)) {
        let mut stored = self.stored(id).await;
        change(&mut stored.value);
        self.commit(Batch::server("test").with(documents::update(&stored.row, &stored.value).unwrap())).await;
    }

    async fn configure(&self, enabled: bool, frequency_minutes: u16, retention_days: u16) {
        let configuration = BackupConfiguration {
            enabled,
            frequency_minutes,
            retention_days,
            ..BackupConfiguration::default_of(Plan::Standard)
        };
        let now = self.lifecycle.context.now();
        self.change(|cluster| (cluster.backup, cluster.updated_at) = (Some(configuration), now)).await;
    }

    /// Adds data.
    pub(in crate::lifecycle) async fn add(&self, database: &str) {
        let mut admin = self.engine.admin(self.cluster).await.unwrap();
        admin.create_database(database).await.unwrap();
    }

    pub(in crate::lifecycle) async fn advance(&self, seconds: i64) {
        self.clock.advance(self.store(), seconds).await.unwrap();
    }

    /// Takes the backups that are due.
    pub(in crate::lifecycle) async fn visit(&mut self) {
        self.schedule.visit().await;
        while let Some(done) = self.schedule.backups.join_next_with_id().await {
            self.schedule.finish(done);
        }
    }

    /// Takes the first backup.
    pub(in crate::lifecycle) async fn first(&mut self) -> RecoveryPoint {
        self.advance(10).await;
        self.visit().await;
        self.points().await.pop().unwrap()
    }

    async fn list<T: Document>(&self) -> Vec<Stored<T>> {
        let rows = self.store().list(&Query::all(T::KIND)).await.unwrap();
        rows.into_iter().map(|row| documents::decode(row).unwrap()).collect()
    }

    /// Takes backups until there is a second base. Returns the first and the last recovery point.
    async fn two_bases(&mut self) -> (RecoveryPoint, RecoveryPoint) {
        let first = self.first().await;
        self.add("one").await;
        self.advance(HOUR).await;
        self.visit().await;
        self.add("two").await;
        self.advance(DAY).await;
        self.visit().await;
        let last = self.points().await.pop().unwrap();
        assert_ne!(first.base, last.base);
        (first, last)
    }

    /// All recovery points, oldest first.
    pub(in crate::lifecycle) async fn points(&self) -> Vec<RecoveryPoint> {
        self.list::<RecoveryPoint>().await.into_iter().map(|stored| stored.value).collect()
    }

    /// The paths of all objects of a kind.
    pub(in crate::lifecycle) fn objects(&self, kind: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(&self.folder.path().join("backups/clusters"), kind, &mut found);
        found.sort();
        found
    }

    async fn remove_expired(&self) {
        retention::turn(&self.lifecycle, &self.lease()).await;
    }
}

fn settings(folder: &Path) -> Settings {
    let overrides = serde_json::json!({ "data_dir": folder, "engine_kind": "simulated" });
    Settings::load(None, &overrides).unwrap()
}

async fn start(
    folder: &Path,
    store: Arc<dyn Store>,
    clock: &Arc<TestClock>,
) -> (Arc<Lifecycle>, Arc<SimulatedEngine>) {
    let engine = Arc::new(SimulatedEngine::new(folder.join("simulated")));
    engine.open().await.unwrap();
    let lease = store.lease("reconcile", "test", None, Duration::from_secs(15), clock.now()).await.unwrap();
    let (test_clock, keys) = (Some(clock.clone()), Keys::for_test());
    let context =
        Context::new(store, engine.clone(), clock.clone(), test_clock, settings(folder), keys, None);
    context.lease.send_replace(lease);
    let context = Arc::new(context);
    let metering = Arc::new(Metering::new(context.clone()));
    (Arc::new(Lifecycle::new(context, metering)), engine)
}

fn collect(folder: &Path, kind: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, kind, found);
        } else if folder.ends_with(kind) {
            found.push(path);
        }
    }
}

#[tokio::test]
async fn the_first_backup_is_taken_ten_seconds_after_the_creation() {
    let mut world = World::new().await;
    world.visit().await;
    assert!(world.points().await.is_empty());
    let created = world.stored(world.cluster).await.value.created_at;
    let point = world.first().await;
    assert!(point.as_of_time >= created.after(Duration::from_secs(9)), "{point:?}");
    assert_eq!((point.unchanged_until, point.frequency_minutes), (point.as_of_time, 1440));
    assert_eq!((world.objects("base").len(), world.objects("wal").len()), (1, 0));
    world.visit().await;
    assert_eq!(world.points().await.len(), 1);
    let counts = world.lifecycle.backups.counts();
    assert_eq!((counts.stored, counts.failed), (1, 0));
    assert!(counts.stored_bytes > 0);
}

#[tokio::test]
async fn unchanged_data_extends_the_newest_recovery_point_and_changes_add_one() {
    let mut world = World::hourly().await;
    let first = world.first().await;
    world.advance(HOUR).await;
    world.visit().await;
    let points = world.points().await;
    assert_eq!(points.len(), 1);
    assert!(points[0].unchanged_until >= first.as_of_time.after(Duration::from_secs(3600)), "{points:?}");
    assert_eq!(points[0].backups(world.lifecycle.context.now()).count(), 2);
    world.add("one").await;
    world.advance(3 * HOUR).await;
    world.visit().await;
    let points = world.points().await;
    assert_eq!(points.len(), 2, "missed times are not made up for");
    assert_eq!(points[1].base, first.base);
    assert!(points[1].last_segment > first.last_segment, "{points:?}");
    assert!(points[1].as_of_time > points[0].unchanged_until);
    assert_eq!((world.objects("base").len(), world.objects("wal").len()), (1, 1));
    let left = world.engine.segments(world.cluster, 0).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    let counts = world.lifecycle.backups.counts();
    assert_eq!((counts.stored, counts.unchanged), (2, 1));
}

#[tokio::test]
async fn changed_data_gets_a_new_base_after_a_day() {
    let mut world = World::hourly().await;
    let first = world.first().await;
    world.advance(DAY).await;
    world.visit().await;
    assert_eq!(world.objects("base").len(), 1, "unchanged");
    world.add("one").await;
    world.advance(HOUR).await;
    world.visit().await;
    let points = world.points().await;
    assert_ne!(points[1].base, first.base);
    assert_eq!(world.objects("base").len(), 2);
}

#[tokio::test]
async fn a_new_base_does_not_interrupt_the_wal_of_the_previous_one() {
    let mut world = World::hourly().await;
    let (first, last) = world.two_bases().await;
    let repository = world.lifecycle.backups.repository(&world.lifecycle.context).await.unwrap();
    let base = world.find::<Base>(&first.base).await.value;
    let moment = Some(last.as_of_time);
    let progress = Progress::default();
    let reader =
        RepositoryReader::open(repository, base, &last.last_segment, moment, progress).await.unwrap();
    assert_eq!((reader.segments().len(), reader.target_time()), (2, moment));
}

#[tokio::test]
async fn failed_attempts_to_store_wal_leave_no_bases() {
    let mut world = World::hourly().await;
    let first = world.first().await;
    world.add("one").await;
    world.advance(DAY).await;
    let base = world.objects("base").pop().unwrap();
    let blocked = base.parent().unwrap().with_file_name("wal");
    // A file where the directory of the WAL has to be.
    std::fs::write(&blocked, "").unwrap();
    for _ in 0..3 {
        world.schedule.retry_all();
        world.visit().await;
    }
    assert_eq!((world.objects("base"), world.points().await.len()), (vec![base], 1));
    std::fs::remove_file(&blocked).unwrap();
    world.schedule.retry_all();
    world.visit().await;
    let points = world.points().await;
    assert_ne!(points[1].base, first.base);
    assert_eq!((world.objects("base").len(), world.objects("wal").len()), (2, 1));
}

#[tokio::test]
async fn bases_that_wait_to_be_copied_do_not_delay_other_backups() {
    let mut world = World::hourly().await;
    world.first().await;
    world.add("one").await;
    for name in ["another-cluster", "third-cluster"] {
        world.create(name).await;
    }
    let lifecycle = world.lifecycle.clone();
    let mut copies = Vec::new();
    for _ in 0..super::COPIED_AT_ONCE {
        copies.push(lifecycle.backups.begin_copy().await.unwrap());
    }
    world.advance(HOUR).await;
    world.schedule.visit().await;
    let done = world.schedule.backups.join_next_with_id().await.unwrap();
    world.schedule.finish(done);
    let points = world.points().await;
    assert_eq!(points.len(), 2);
    assert!(points.iter().all(|point| point.cluster == world.cluster), "{points:?}");
    drop(copies);
    world.visit().await;
    assert_eq!(world.points().await.len(), 4);
}

#[tokio::test]
async fn disabled_backups_are_not_taken_and_a_changed_schedule_takes_one_at_once() {
    let mut world = World::new().await;
    world.configure(false, 60, 30).await;
    world.advance(DAY).await;
    world.visit().await;
    assert!(world.points().await.is_empty());
    world.configure(true, 60, 30).await;
    world.visit().await;
    assert_eq!(world.points().await.len(), 1);
    world.configure(true, 5, 30).await;
    world.visit().await;
    world.visit().await;
    let schedules: Vec<u16> = world.points().await.iter().map(|point| point.frequency_minutes).collect();
    assert_eq!(schedules, [60, 5]);
}

#[tokio::test]
async fn backups_of_a_suspended_cluster_are_extended_without_resuming_it() {
    let mut world = World::new().await;
    let first = world.first().await;
    world.change(|cluster| cluster.power = Power::Off).await;
    let suspended = world.stored(world.cluster).await.value;
    world.engine.ensure(&suspended.plan_instance()).await.unwrap();
    world.advance(2 * DAY).await;
    world.visit().await;
    let points = world.points().await;
    assert_eq!(points.len(), 1);
    assert!(points[0].unchanged_until > first.as_of_time.after(Duration::from_secs(2 * 86_400 - 60)));
    assert_eq!(world.lifecycle.backups.counts().unchanged, 1);
    assert_eq!(world.engine.observe(world.cluster).await.unwrap().phase, Phase::Suspended);
    // A restore of it was created.
    let stored: Stored<RecoveryPoint> = world.find(&first.id.to_string()).await;
    world.commit(Batch::server("test").with(documents::touch(&stored.row))).await;
    world.advance(DAY).await;
    world.visit().await;
    assert_eq!(world.points().await, points, "another change came first");
    world.visit().await;
    assert!(world.points().await[0].unchanged_until > points[0].unchanged_until);
}

#[tokio::test]
async fn a_backup_of_a_suspended_cluster_that_has_changed_is_taken() {
    let mut world = World::new().await;
    world.first().await;
    world.add("one").await;
    world.change(|cluster| cluster.power = Power::Off).await;
    let suspended = world.stored(world.cluster).await.value;
    world.engine.ensure(&suspended.plan_instance()).await.unwrap();
    world.advance(DAY).await;
    world.visit().await;
    assert_eq!(world.points().await.len(), 2);
    assert_eq!(world.engine.observe(world.cluster).await.unwrap().phase, Phase::Suspended);
}

#[tokio::test]
async fn retention_removes_rows_and_objects_also_of_deleted_clusters() {
    let mut world = World::new().await;
    world.configure(true, 60, 2).await;
    let (_, last) = world.two_bases().await;
    assert_eq!((world.objects("base").len(), world.objects("wal").len()), (2, 2));
    world.advance(DAY).await;
    world.remove_expired().await;
    assert_eq!(world.points().await, std::slice::from_ref(&last));
    let bases: Vec<String> = world.list::<Base>().await.into_iter().map(|base| base.value.id).collect();
    assert_eq!(bases, std::slice::from_ref(&last.base));
    // WAL is removed up to the segment with which the base ends.
    assert_eq!((world.objects("base").len(), world.objects("wal").len()), (1, 1));
    let now = world.lifecycle.context.now();
    world.change(|cluster| (cluster.state, cluster.deleted_at) = (ClusterState::Deleted, Some(now))).await;
    world.visit().await;
    assert_eq!(world.points().await.len(), 1, "backups of a deleted cluster are kept");
    world.advance(DAY).await;
    world.remove_expired().await;
    assert!(world.points().await.is_empty());
    assert!(world.list::<Base>().await.is_empty());
    assert_eq!((world.objects("base").len(), world.objects("wal").len()), (0, 0));
}

#[tokio::test]
async fn an_expired_base_that_is_still_the_newest_is_replaced() {
    let mut world = World::hourly().await;
    let first = world.first().await;
    world.configure(false, 60, 30).await;
    world.advance(31 * DAY).await;
    world.remove_expired().await;
    assert!(world.points().await.is_empty() && world.objects("base").is_empty());
    world.configure(true, 60, 30).await;
    world.visit().await;
    // What was known is outdated if it was not read again.
    world.schedule.retry_all();
    world.visit().await;
    let points = world.points().await;
    assert_eq!(points.len(), 1);
    assert_ne!(points[0].base, first.base);
}

#[tokio::test]
async fn nothing_is_committed_after_the_lease_is_lost() {
    let mut world = World::new().await;
    world.visit().await;
    world.advance(60).await;
    let (ttl, now) = (Duration::from_secs(15), world.lifecycle.context.now());
    let lease = world.store().lease("reconcile", "another server", None, ttl, now).await.unwrap();
    world.visit().await;
    assert!(world.points().await.is_empty());
    assert_eq!(world.list::<Base>().await.len(), 0);
    world.lifecycle.context.lease.send_replace(lease);
    world.visit().await;
    assert_eq!(world.points().await.len(), 1);
}

#[tokio::test]
async fn a_backup_fails_while_the_repository_is_away_and_succeeds_later() {
    let mut world = World::hourly().await;
    world.first().await;
    world.add("one").await;
    let (place, away) = (world.folder.path().join("backups"), world.folder.path().join("away"));
    std::fs::rename(&place, &away).unwrap();
    world.advance(HOUR).await;
    for _ in 0..4 {
        world.schedule.retry_all();
        world.visit().await;
    }
    assert_eq!(world.points().await.len(), 1);
    assert!(world.lifecycle.backups.counts().failed > 0);
    let overdue = world.lifecycle.backups.overdue(world.lifecycle.context.now());
    assert!(overdue < Duration::from_secs(600), "{overdue:?}");
    std::fs::rename(&away, &place).unwrap();
    world.schedule.retry_all();
    world.visit().await;
    assert_eq!(world.points().await.len(), 2, "the change is not lost");
}

#[tokio::test]
async fn a_restart_continues_the_base() {
    let mut world = World::hourly().await;
    let first = world.first().await;
    world.add("one").await;
    world.restart().await;
    world.advance(HOUR).await;
    world.visit().await;
    let points = world.points().await;
    assert_eq!((points.len(), &points[1].base), (2, &first.base));
}

#[tokio::test]
async fn a_restore_interrupts_a_backup_and_excludes_others() {
    let backups = super::Backups::default();
    let id = ClusterId(Uuid::from_u128(1));
    let mut backup = backups.begin_backup(id).unwrap();
    assert!(backups.begin_backup(id).is_none(), "there is one");
    assert!(backups.begin_backup(ClusterId(Uuid::from_u128(2))).is_some());
    let interrupted = async {
        backup.interrupted().await;
        drop(backup);
    };
    let (restore, ()) = tokio::join!(backups.begin_restore(id), interrupted);
    assert!(backups.begin_backup(id).is_none());
    drop(restore);
    assert!(backups.begin_backup(id).is_some());
}

#[test]
fn few_restores_build_data_at_the_same_time() {
    let backups = super::Backups::default();
    let mut all: Vec<_> = (0..super::STAGED_AT_ONCE).map(|_| backups.begin_staging().unwrap()).collect();
    assert!(backups.begin_staging().is_none());
    all.pop();
    assert!(backups.begin_staging().is_some());
}

#[test]
fn the_most_overdue_backup_counts() {
    let backups = super::Backups::default();
    assert_eq!(backups.overdue(Timestamp(5_000_000)), Duration::ZERO);
    *backups.next_due.lock() = Some(Timestamp(3_000_000));
    assert_eq!(backups.overdue(Timestamp(5_000_000)), Duration::from_secs(2));
    assert_eq!(backups.overdue(Timestamp(2_000_000)), Duration::ZERO);
}
