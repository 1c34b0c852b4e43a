#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    ids::fresh_id,
    lifecycle::{backup::tests::World, power, reconcile::cluster},
    metering::{collector, limit_status::admission_state},
};
use ootheca_engine::Engine;
use ootheca_gateway::{Activity, AdmissionState};
use ootheca_model::{
    Plan,
    backup::{NewRestore, PointInTime, RestoreObject, RestoreOptions, create_restore},
    units::Quantities,
    usage::{Measure, SqlCounters},
};

impl World {
    /// Creates a restore of the newest backup of a recovery point. Returns its ID.
    async fn restore(&self, point: &RecoveryPoint, destination: ClusterId) -> String {
        self.restore_by(request(RestoreType::Cluster, &[]), point, destination).await
    }

    /// Creates a restore of a database of the cluster into itself. Returns its ID.
    async fn restore_database(&self, point: &RecoveryPoint, name: &str) -> String {
        self.restore_by(request(RestoreType::Database, &[name]), point, self.cluster).await
    }

    async fn restore_by(&self, request: NewRestore, point: &RecoveryPoint, destination: ClusterId) -> String {
        let now = self.lifecycle.context.now();
        let destination = self.stored(destination).await;
        let source = self.stored(point.cluster).await;
        let base: Stored<Base> = self.find(&point.base).await;
        let stored: Stored<RecoveryPoint> = self.find(&point.id.to_string()).await;
        let id = request.id.clone();
        let backup = stored.value.backups(now).next_back().unwrap();
        let (restore, locked) =
            create_restore(&destination.value, &source.value, point, &base.value, backup, None, request, now)
                .unwrap();
        let batch = Batch::server("test")
            .with(documents::touch(&stored.row))
            .with(documents::insert(&restore).unwrap())
            .with(documents::update(&destination.row, &locked).unwrap());
        self.commit(batch).await;
        id
    }

    /// A step of a cluster after this number of failed attempts. It is repeated if another change came first: while a
    /// database is restored, plans that were applied are recorded.
    pub(super) async fn step(&self, id: ClusterId, attempts: u32) -> Step {
        match cluster::step(&self.lifecycle, id, self.lease(), attempts).await {
            Err(error) if error.kind() == ErrorKind::Stale => {
                cluster::step(&self.lifecycle, id, self.lease(), attempts).await.unwrap()
            }
            step => step.unwrap(),
        }
    }

    /// Repeats the step of a cluster until it is done.
    pub(super) async fn settle(&self, id: ClusterId) -> Cluster {
        let mut attempts = 0;
        for _ in 0..50 {
            match self.step(id, attempts).await {
                Step::Done => return self.stored(id).await.value,
                Step::NotAchieved(_) => attempts += 1,
                Step::Again(_) => {}
            }
        }
        panic!("the cluster does not reach its desired state");
    }

    pub(super) async fn databases(&self, id: ClusterId) -> Vec<String> {
        let databases = self.engine.admin(id).await.unwrap().databases().await.unwrap();
        databases.into_iter().map(|database| database.name).collect()
    }

    /// The data epochs that the engine has.
    pub(super) async fn epochs(&self, id: ClusterId) -> Vec<u64> {
        let instances = self.engine.report().await.unwrap().into_iter();
        instances.filter(|instance| instance.cluster == Some(id)).map(|instance| instance.epoch).collect()
    }

    pub(super) async fn outcome(&self, restore: &str) -> (RestoreStatus, Option<i32>) {
        let restore = self.find::<Restore>(restore).await.value;
        assert!(restore.completed_at.is_some(), "{restore:?}");
        (restore.status, restore.failure.map(|failure| failure.code))
    }
}

fn request(kind: RestoreType, databases: &[&str]) -> NewRestore {
    let object = |name: &&str| RestoreObject { database: (*name).to_owned(), ..RestoreObject::default() };
    NewRestore {
        id: fresh_id().to_string(),
        job: 1,
        kind,
        objects: databases.iter().map(object).collect(),
        options: RestoreOptions::default(),
    }
}

/// An ADVANCED cluster whose backup contains the databases `kept` and `lost`. Now it contains `kept` and `later`.
async fn world_without_a_database() -> (World, RecoveryPoint) {
    let mut world = World::new().await;
    world.change(|cluster| cluster.plan = Plan::Advanced).await;
    world.add("kept").await;
    world.add("lost").await;
    let point = world.first().await;
    world.engine.admin(world.cluster).await.unwrap().drop_database("lost").await.unwrap();
    world.add("later").await;
    (world, point)
}

#[tokio::test]
async fn a_cluster_is_restored_into_itself() {
    let mut world = World::new().await;
    let id = world.cluster;
    world.add("kept").await;
    let point = world.first().await;
    world.add("dropped").await;
    let restore = world.restore(&point, id).await;
    let cluster = world.settle(id).await;
    assert_eq!(world.outcome(&restore).await, (RestoreStatus::Success, None));
    assert_eq!((cluster.state, cluster.epoch, cluster.restore), (ClusterState::Created, 1, None));
    assert_eq!(cluster.observed.generation, cluster.generation);
    assert_eq!(world.databases(id).await, ["defaultdb", "kept"]);
    assert_eq!(world.epochs(id).await, [1]);
    let metadata = sql_metadata::cached(&world.lifecycle, id).await.unwrap().unwrap();
    let names: Vec<&str> = metadata.value.databases.iter().map(|database| database.name.as_str()).collect();
    assert_eq!(names, ["defaultdb", "kept"]);
    assert_eq!(world.lifecycle.backups.progress(&restore), None);
    world.visit().await;
    let epochs: Vec<u64> = world.points().await.iter().map(|point| point.epoch).collect();
    assert_eq!(epochs, [0, 1], "the new data is backed up at once");
    // The first backup can still be restored.
    let restore = world.restore(&point, id).await;
    assert_eq!(world.settle(id).await.epoch, 2);
    assert_eq!(world.outcome(&restore).await, (RestoreStatus::Success, None));
}

#[tokio::test]
async fn changes_up_to_the_backup_are_restored() {
    let mut world = World::new().await;
    let id = world.cluster;
    world.first().await;
    world.add("kept").await;
    world.change(|cluster| cluster.plan = Plan::Standard).await;
    // The schedule changes with the plan.
    world.advance(3600).await;
    world.visit().await;
    let point = world.points().await.pop().unwrap();
    assert!(!point.last_segment.is_empty(), "{point:?}");
    world.add("dropped").await;
    world.restore(&point, id).await;
    world.settle(id).await;
    assert_eq!(world.databases(id).await, ["defaultdb", "kept"]);
}

#[tokio::test]
async fn only_an_empty_cluster_is_another_destination_and_its_metering_begins_again() {
    let mut world = World::new().await;
    world.add("kept").await;
    let point = world.first().await;
    let other = world.create("another-cluster").await;
    world.engine.admin(other).await.unwrap().create_database("precious").await.unwrap();
    let restore = world.restore(&point, other).await;
    let cluster = world.settle(other).await;
    assert_eq!(world.outcome(&restore).await, (RestoreStatus::Failed, Some(9)));
    let message = world.find::<Restore>(&restore).await.value.failure.unwrap().message;
    assert!(message.contains("the database precious"), "{message}");
    assert_eq!(
        (cluster.state, cluster.epoch, world.epochs(other).await),
        (ClusterState::Created, 0, vec![0])
    );
    world.engine.admin(other).await.unwrap().drop_database("precious").await.unwrap();
    let counters = SqlCounters { epoch: "of the source".into(), tuples_written: 1000, ..Default::default() };
    world.engine.pretend(other, Measure { sql: counters, ..Measure::default() });
    let restore = world.restore(&point, other).await;
    assert_eq!(world.settle(other).await.epoch, 1);
    assert_eq!(world.outcome(&restore).await, (RestoreStatus::Success, None));
    assert_eq!(world.databases(other).await, ["defaultdb", "kept"]);
    let meter = world.lifecycle.metering.meter(other).await.unwrap().unwrap();
    assert_eq!(meter.value.last.sql.tuples_written, 1000);
    assert_eq!(meter.value.used, Quantities::default());
}

#[tokio::test]
async fn a_damaged_backup_leaves_the_data() {
    let mut world = World::new().await;
    let id = world.cluster;
    let point = world.first().await;
    world.add("kept").await;
    let base = world.objects("base").pop().unwrap();
    let mut content = std::fs::read(&base).unwrap();
    *content.last_mut().unwrap() ^= 1;
    std::fs::write(&base, content).unwrap();
    let restore = world.restore(&point, id).await;
    let cluster = world.settle(id).await;
    assert_eq!(world.outcome(&restore).await, (RestoreStatus::Failed, Some(13)));
    assert_eq!((cluster.state, cluster.epoch), (ClusterState::Created, 0));
    assert_eq!(world.databases(id).await, ["defaultdb", "kept"]);
    assert_eq!(world.epochs(id).await, [0]);
    assert_eq!(world.lifecycle.backups.counts().not_restored, 1);
}

#[tokio::test]
async fn a_restore_is_given_up_after_several_attempts_to_read_the_backup() {
    let mut world = World::new().await;
    let point = world.first().await;
    let base = world.objects("base").pop().unwrap();
    let repository = base.ancestors().nth(5).unwrap();
    std::fs::rename(repository, repository.with_extension("away")).unwrap();
    let restore = world.restore(&point, world.cluster).await;
    let cluster = world.settle(world.cluster).await;
    assert_eq!(world.outcome(&restore).await, (RestoreStatus::Failed, Some(14)));
    assert_eq!(cluster.state, ClusterState::Created);
}

#[tokio::test]
async fn a_restore_continues_after_a_crash_between_its_commits() {
    let mut world = World::new().await;
    let id = world.cluster;
    let point = world.first().await;
    world.add("dropped").await;
    let restore = world.restore(&point, id).await;
    let mut steps = 0;
    while world.stored(id).await.value.epoch == 0 {
        world.step(id, 0).await;
        steps += 1;
        assert!(steps < 10, "the cluster does not get the restored data");
    }
    assert_eq!(world.stored(id).await.value.state, ClusterState::Locked);
    world.restart().await;
    assert_eq!(world.settle(id).await.state, ClusterState::Created);
    assert_eq!(world.outcome(&restore).await, (RestoreStatus::Success, None));
    assert_eq!(world.databases(id).await, ["defaultdb"]);
    assert_eq!(world.epochs(id).await, [1]);
}

#[tokio::test]
async fn leftovers_of_a_restore_are_not_used_by_another_one() {
    let mut world = World::new().await;
    let id = world.cluster;
    world.add("kept").await;
    let point = world.first().await;
    let left = Source::Empty;
    world.engine.stage(id, 1, &left, None).await.unwrap();
    world.restore(&point, id).await;
    world.settle(id).await;
    assert_eq!(world.databases(id).await, ["defaultdb", "kept"]);
}

#[tokio::test]
async fn the_restore_of_a_deleted_destination_fails() {
    let mut world = World::new().await;
    let id = world.cluster;
    let point = world.first().await;
    let restore = world.restore(&point, id).await;
    let now = world.lifecycle.context.now();
    world.change(|cluster| (cluster.state, cluster.deleted_at) = (ClusterState::Deleted, Some(now))).await;
    let cluster = world.settle(id).await;
    assert_eq!(world.outcome(&restore).await, (RestoreStatus::Failed, Some(10)));
    assert!(cluster.removed && cluster.restore.is_none());
    assert!(world.epochs(id).await.is_empty());
}

#[tokio::test]
async fn a_locked_cluster_admits_no_sessions_and_is_not_metered() {
    let mut world = World::new().await;
    let id = world.cluster;
    let point = world.first().await;
    world.restore(&point, id).await;
    let locked = world.stored(id).await.value;
    let state = admission_state(&world.lifecycle.metering, &locked).await.unwrap();
    let AdmissionState::Disabled(notice) = state else { panic!("{state:?}") };
    assert!(notice.message.contains("the cluster is being restored"), "{notice:?}");
    let engine = world.engine.clone();
    let used = power::ready(&world.lifecycle, id, || engine.admin(id)).await;
    let error = used.map(drop).unwrap_err();
    assert!(error.message().contains("locked"), "{error}");
    let activity = Activity { cluster: id, sessions: 0, sessions_seen: 1, sent: 10, received: 0 };
    world.lifecycle.metering.activity.note(0, &[activity], world.lifecycle.context.now());
    collector::tick(&world.lifecycle.metering).await.unwrap();
    assert!(world.lifecycle.metering.meter(id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_database_is_restored_into_a_cluster_that_stays_usable() {
    let (world, point) = world_without_a_database().await;
    let id = world.cluster;
    let restore = world.restore_database(&point, "lost").await;
    let running = world.stored(id).await.value;
    let state = admission_state(&world.lifecycle.metering, &running).await.unwrap();
    assert!(matches!(state, AdmissionState::Open), "{state:?}");
    let engine = world.engine.clone();
    power::ready(&world.lifecycle, id, || engine.admin(id)).await.unwrap();
    let cluster = world.settle(id).await;
    assert_eq!(world.outcome(&restore).await, (RestoreStatus::Success, None));
    assert_eq!((cluster.state, cluster.epoch, cluster.restore), (ClusterState::Created, 0, None));
    let expected = ["defaultdb", "kept", "later", "lost"];
    assert_eq!(world.databases(id).await, expected);
    assert_eq!(world.epochs(id).await, [0]);
    let metadata = sql_metadata::cached(&world.lifecycle, id).await.unwrap().unwrap();
    let names: Vec<&str> = metadata.value.databases.iter().map(|database| database.name.as_str()).collect();
    assert_eq!(names, expected);
    assert_eq!(world.lifecycle.backups.progress(&restore), None);
    assert_eq!(world.lifecycle.backups.counts().restored, 1);
}

#[tokio::test]
async fn a_cluster_can_be_changed_while_a_database_is_restored() {
    let (world, point) = world_without_a_database().await;
    let id = world.cluster;
    let renamed = NewRestore {
        options: RestoreOptions { new_db_name: "copy".to_owned(), ..RestoreOptions::default() },
        ..request(RestoreType::Database, &["kept"])
    };
    let restore = world.restore_by(renamed, &point, id).await;
    let running = world.stored(id).await.value.restore.unwrap();
    let work = Work::find(&world.lifecycle, id, world.lease()).await.unwrap().unwrap();
    world.change(|cluster| cluster.generation += 1).await;
    work.keep_running(&world.stored(id).await).await;
    let changed = world.stored(id).await.value;
    assert_eq!((changed.observed.generation, changed.restore), (changed.generation, Some(running)));
    let cluster = world.settle(id).await;
    assert_eq!(world.outcome(&restore).await, (RestoreStatus::Success, None));
    assert_eq!(cluster.observed.generation, cluster.generation);
    assert_eq!(world.databases(id).await, ["copy", "defaultdb", "kept", "later"]);
}

#[tokio::test]
async fn a_database_that_exists_is_not_replaced() {
    let (world, point) = world_without_a_database().await;
    let id = world.cluster;
    let both = request(RestoreType::Database, &["kept", "lost"]);
    let restore = world.restore_by(both, &point, id).await;
    let cluster = world.settle(id).await;
    assert_eq!(world.outcome(&restore).await, (RestoreStatus::Failed, Some(9)));
    let message = world.find::<Restore>(&restore).await.value.failure.unwrap().message;
    assert!(message.contains("kept"), "{message}");
    assert_eq!((cluster.state, cluster.epoch, cluster.restore), (ClusterState::Created, 0, None));
    assert_eq!(world.databases(id).await, ["defaultdb", "kept", "later"], "none of them is restored");
    assert_eq!(world.epochs(id).await, [0]);
}

#[tokio::test]
async fn a_restored_database_is_not_restored_again_after_a_crash() {
    let (mut world, point) = world_without_a_database().await;
    let id = world.cluster;
    let restore = world.restore_database(&point, "lost").await;
    let mut steps = 0;
    while !world.stored(id).await.value.restore.unwrap().added {
        world.step(id, 0).await;
        steps += 1;
        assert!(steps < 10, "the database is not restored");
    }
    world.engine.admin(id).await.unwrap().drop_database("lost").await.unwrap();
    world.restart().await;
    world.settle(id).await;
    assert_eq!(world.outcome(&restore).await, (RestoreStatus::Success, None));
    assert_eq!(world.databases(id).await, ["defaultdb", "kept", "later"]);
    assert_eq!(world.epochs(id).await, [0]);
}

#[tokio::test]
async fn a_database_that_was_restored_before_a_crash_needs_no_backup_any_more() {
    let (mut world, point) = world_without_a_database().await;
    let id = world.cluster;
    let restore = world.restore_database(&point, "lost").await;
    let work = Work::find(&world.lifecycle, id, world.lease()).await.unwrap().unwrap();
    let attempt = work.build(&work.provide().await.unwrap()).await.unwrap();
    assert!(matches!(attempt, Attempt::Built), "the database is not restored");
    assert!(!world.stored(id).await.value.restore.unwrap().added);
    let base = world.objects("base").pop().unwrap();
    let repository = base.ancestors().nth(5).unwrap();
    std::fs::rename(repository, repository.with_extension("away")).unwrap();
    world.restart().await;
    world.settle(id).await;
    assert_eq!(world.outcome(&restore).await, (RestoreStatus::Success, None));
    assert_eq!(world.databases(id).await, ["defaultdb", "kept", "later", "lost"]);
    assert_eq!(world.epochs(id).await, [0]);
}

#[tokio::test]
async fn the_restore_of_a_database_of_a_deleted_cluster_fails() {
    let (world, point) = world_without_a_database().await;
    let restore = world.restore_database(&point, "lost").await;
    let now = world.lifecycle.context.now();
    world.change(|cluster| (cluster.state, cluster.deleted_at) = (ClusterState::Deleted, Some(now))).await;
    let cluster = world.settle(world.cluster).await;
    assert_eq!(world.outcome(&restore).await, (RestoreStatus::Failed, Some(10)));
    assert!(cluster.removed && cluster.restore.is_none());
    assert!(world.epochs(world.cluster).await.is_empty());
}

#[tokio::test]
async fn a_moment_between_two_recovery_points_ends_with_its_own_segment() {
    let mut world = World::new().await;
    let point = world.first().await;
    world.restore(&point, world.cluster).await;
    let mut work = Work::find(&world.lifecycle, world.cluster, world.lease()).await.unwrap().unwrap();
    let of_backup = (point.last_segment.clone(), None);
    assert_eq!(work.end(point.clone()), of_backup);
    let time = point.as_of_time.after(Duration::from_secs(1));
    let mut end = |last: &str| {
        work.restore.value.point_in_time = Some(PointInTime { time, last_segment: last.to_owned() });
        work.end(point.clone())
    };
    assert_eq!(end(""), of_backup, "the data was the same");
    assert_eq!(end("7"), ("7".to_owned(), Some(time)));
}

#[test]
fn failures_have_a_code_and_a_deliberate_message() {
    let shown = |error: Error| {
        let RestoreFailure { code, message } = failure(&error, RestoreType::Cluster, true);
        (code, message)
    };
    let damaged = Error::internal("clusters/1/wal/2: tag mismatch");
    assert_eq!(shown(damaged), (13, "the backup is damaged or incomplete".to_owned()));
    assert_eq!(shown(Error::invalid("a", "b")).0, 13);
    assert_eq!(shown(Error::precondition("it is full")), (9, "it is full".to_owned()));
    assert_eq!(shown(Error::not_found("the backup")).0, 5);
    let (code, message) = shown(Error::unavailable("connection refused"));
    assert_eq!((code, message.contains("refused")), (14, false));
}

#[test]
fn some_databases_are_named() {
    assert_eq!(databases(&["a"]), "the database a");
    assert_eq!(databases(&["a", "b", "c"]), "the databases a, b, c");
    assert_eq!(databases(&["a", "b", "c", "d", "e"]), "the databases a, b, c, and 2 more");
}
