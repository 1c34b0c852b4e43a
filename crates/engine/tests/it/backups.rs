//! Backups, and the data that is restored from them.

mod full_disk;

use crate::{
    archive::{Archive, Backup},
    fixture::{Fixture, kind},
    support::{
        Driver, Folder, LIMIT, gone, new_cluster, plan, ready, ready_again, sql, suspended, until, user,
    },
};
use ootheca_engine::{Engine, simulated::SimulatedEngine};
use ootheca_model::{
    ClusterId, ErrorKind, Result,
    instance::{InstancePlan, Phase, Power},
    login::Secret,
};
use std::{fs, sync::Arc, time::Instant};

impl Fixture {
    /// Starts a cluster that contains `first`.
    async fn cluster(&self) -> InstancePlan {
        let plan = self.empty_cluster().await;
        self.add(plan.cluster, "first").await;
        plan
    }

    /// Creates a SQL user and a database of the same name.
    async fn add(&self, cluster: ClusterId, name: &str) {
        user(&*self.engine, cluster, name).await;
        self.engine.admin(cluster).await.unwrap().create_database(name).await.unwrap();
    }

    /// Checks that the cluster contains what was added under these names, and nothing else.
    async fn contains(&self, plan: &InstancePlan, names: &[&str]) {
        ready_again(&*self.engine, plan).await;
        let mut admin = self.engine.admin(plan.cluster).await.unwrap();
        assert_eq!(admin.users().await.unwrap(), names);
        let mut databases: Vec<String> =
            admin.databases().await.unwrap().into_iter().map(|database| database.name).collect();
        databases.retain(|name| name != "defaultdb");
        assert_eq!(databases, names);
    }

    async fn secret(&self, plan: &InstancePlan) -> Secret {
        self.engine.secret(plan.cluster, "first").await.unwrap().unwrap()
    }

    async fn stage(&self, cluster: ClusterId, epoch: u64, backup: &Backup) -> Result<()> {
        self.engine.stage(cluster, epoch, &backup.source(), None).await
    }

    /// Waits until this is the number of instances on the disk.
    async fn instances_on_disk(&self, number: usize) {
        let names = |folder: &str| -> Vec<String> {
            let entries = fs::read_dir(self.folder.engine().join(folder)).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
        };
        until("nothing else is on the disk", || async {
            let mut found = match self.driver {
                Driver::Postgres => [names("instances"), names("trash")].concat(),
                Driver::Simulated => names(""),
            };
            // The segments of the simulated engine are beside the file of their instance.
            for name in &mut found {
                name.truncate(name.rfind('.').unwrap_or(name.len()));
            }
            found.sort();
            found.dedup();
            (found.len() == number).then_some(())
        })
        .await;
    }
}

fn at_epoch(plan: &InstancePlan, epoch: u64) -> InstancePlan {
    InstancePlan { epoch, generation: plan.generation + epoch, ..plan.clone() }
}

/// Takes backups until nothing has changed since the previous one. A server also writes WAL of its own for a while.
async fn until_unchanged(archive: &mut Archive, engine: &dyn Engine, plan: &InstancePlan) {
    let begun = Instant::now();
    while archive.take(engine, plan).await.changed {
        assert!(begun.elapsed() < LIMIT, "not in time: unchanged");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_restores_each_backup() {
    restores_each_backup(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_restores_each_backup() {
    restores_each_backup(Driver::Simulated).await;
}

async fn restores_each_backup(driver: Driver) {
    let fixture = Fixture::archiving(driver).await;
    let engine = &*fixture.engine;
    let old = fixture.cluster().await;
    let cluster = old.cluster;
    let secret = fixture.secret(&old).await;
    let mut archive = Archive::begin(engine, &old).await;
    let first = archive.take(engine, &old).await;
    assert!(first.changed, "the first call");
    until_unchanged(&mut archive, engine, &old).await;
    fixture.add(cluster, "second").await;
    let second = archive.take(engine, &old).await;
    assert!(second.changed && second.last_segment > first.last_segment);
    until_unchanged(&mut archive, engine, &old).await;
    archive.renew_base(engine, &old).await;
    fixture.add(cluster, "third").await;
    let third = archive.take(engine, &old).await;
    assert!(third.changed && third.last_segment > second.last_segment);
    engine.admin(cluster).await.unwrap().set_password("first", "another password").await.unwrap();
    fixture.add(cluster, "zeta").await;

    let expected = ["first", "second", "third"];
    for (epoch, backup) in (1_u64..).zip([first, second, third]) {
        for _ in 0..2 {
            fixture.stage(cluster, epoch, &backup).await.unwrap();
            assert_eq!(*backup.bases_read.lock(), 1, "the second call returns at once");
        }
        let progress = backup.progress.lock().clone();
        assert!(progress.is_sorted() && progress.iter().all(|fraction| (0.0..=1.0).contains(fraction)));
        let restored = at_epoch(&old, epoch);
        fixture.contains(&restored, &expected[..usize::try_from(epoch).unwrap()]).await;
        assert_eq!(fixture.secret(&restored).await, secret);
        if matches!(driver, Driver::Postgres) {
            let client = sql(engine, cluster, "first", "first").await.unwrap();
            client.simple_query("SELECT 1").await.unwrap();
        }
        engine.discard(cluster, epoch).await.unwrap();
        assert_eq!(fixture.epochs().await, [epoch]);
    }
    backs_up_restored_data(&fixture, &at_epoch(&old, 3)).await;
    gone(engine, cluster).await;
    fixture.instances_on_disk(0).await;
    fixture.close().await;
}

/// The backups of a new epoch are independent of those of the old one.
async fn backs_up_restored_data(fixture: &Fixture, plan: &InstancePlan) {
    let mut archive = Archive::begin(&*fixture.engine, plan).await;
    fixture.add(plan.cluster, "seventh").await;
    let backup = archive.take(&*fixture.engine, plan).await;
    assert!(backup.changed);
    fixture.stage(plan.cluster, 4, &backup).await.unwrap();
    let restored = InstancePlan { epoch: 4, generation: plan.generation + 1, ..plan.clone() };
    fixture.contains(&restored, &["first", "second", "seventh", "third"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_backs_up_a_suspended_cluster() {
    backs_up_a_suspended_cluster(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_backs_up_a_suspended_cluster() {
    backs_up_a_suspended_cluster(Driver::Simulated).await;
}

async fn backs_up_a_suspended_cluster(driver: Driver) {
    let mut fixture = Fixture::archiving(driver).await;
    let on = fixture.cluster().await;
    let cluster = on.cluster;
    let off = InstancePlan { power: Power::Off, ..on.clone() };
    suspended(&*fixture.engine, &off).await;
    let mut archive = Archive::begin(&*fixture.engine, &off).await;
    let first = archive.take(&*fixture.engine, &off).await;
    until_unchanged(&mut archive, &*fixture.engine, &off).await;
    assert_eq!(fixture.engine.observe(cluster).await.unwrap().phase, Phase::Suspended, "nothing starts it");

    // What the server wrote until it stopped is ready, also after a restart of the engine.
    ready_again(&*fixture.engine, &on).await;
    fixture.add(cluster, "second").await;
    suspended(&*fixture.engine, &off).await;
    fixture.restart(false).await;
    suspended(&*fixture.engine, &off).await;
    let second = archive.take(&*fixture.engine, &off).await;
    assert!(second.changed && second.last_segment > first.last_segment);

    fixture.stage(cluster, 1, &first).await.unwrap();
    suspended(&*fixture.engine, &at_epoch(&off, 1)).await;
    fixture.contains(&at_epoch(&on, 1), &["first"]).await;
    fixture.stage(cluster, 2, &second).await.unwrap();
    fixture.contains(&at_epoch(&on, 2), &["first", "second"]).await;
    fixture.engine.discard(cluster, 2).await.unwrap();
    fixture.instances_on_disk(1).await;
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_segments_until_they_are_removed() {
    keeps_segments_until_they_are_removed(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_keeps_segments_until_they_are_removed() {
    keeps_segments_until_they_are_removed(Driver::Simulated).await;
}

async fn keeps_segments_until_they_are_removed(driver: Driver) {
    let mut fixture = Fixture::archiving(driver).await;
    let plan = fixture.cluster().await;
    let cluster = plan.cluster;
    for (name, detach) in [("second", true), ("third", false)] {
        fixture.add(cluster, name).await;
        let end = fixture.engine.end_segment(cluster, 0).await.unwrap();
        assert!(end.changed);
        let ready = fixture.engine.segments(cluster, 0).await.unwrap();
        assert!(ready.is_sorted() && ready.last() == Some(&end.last_segment), "{ready:?}, {end:?}");
        let content = fixture.engine.read_segment(cluster, 0, &end.last_segment).await.unwrap();
        for other in ["../first", "no segment", ""] {
            fixture.engine.read_segment(cluster, 0, other).await.unwrap_err();
        }

        fixture.restart(detach).await;
        ready_again(&*fixture.engine, &plan).await;
        let restarted = fixture.engine.end_segment(cluster, 0).await.unwrap();
        assert!(restarted.changed, "the first call after a start");
        assert!(restarted.last_segment >= end.last_segment);
        let kept = fixture.engine.segments(cluster, 0).await.unwrap();
        assert!(kept.starts_with(&ready), "{ready:?}, {kept:?}");
        assert_eq!(fixture.engine.read_segment(cluster, 0, &end.last_segment).await.unwrap(), content);

        for _ in 0..2 {
            fixture.engine.remove_segments(cluster, 0, &restarted.last_segment).await.unwrap();
            let left = fixture.engine.segments(cluster, 0).await.unwrap();
            assert!(left.iter().all(|name| *name > restarted.last_segment), "{left:?}");
        }
        fixture.restart(detach).await;
        ready_again(&*fixture.engine, &plan).await;
        let removed = fixture.engine.end_segment(cluster, 0).await.unwrap();
        assert!(removed.last_segment >= restarted.last_segment, "the position is kept");
    }
    gone(&*fixture.engine, cluster).await;
    fixture.instances_on_disk(0).await;
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_refuses_damaged_backups() {
    refuses_damaged_backups(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_refuses_damaged_backups() {
    refuses_damaged_backups(Driver::Simulated).await;
}

async fn refuses_damaged_backups(driver: Driver) {
    let fixture = Fixture::archiving(driver).await;
    let engine = &*fixture.engine;
    let plan = fixture.cluster().await;
    let cluster = plan.cluster;
    let mut archive = Archive::begin(engine, &plan).await;
    archive.take(engine, &plan).await;
    fixture.add(cluster, "second").await;
    archive.take(engine, &plan).await;
    fixture.add(cluster, "third").await;
    let whole = archive.take(engine, &plan).await;
    fixture.add(cluster, "zeta").await;

    let half = Backup { base: Arc::from(&whole.base[..whole.base.len() / 2]), ..whole.clone() };
    let unreadable = Backup { is_base_damaged: true, ..half.clone() };
    let other_major = Backup { engine_major: "3".to_owned(), ..whole.clone() };
    let mut without_segment = whole.clone();
    without_segment.segments.remove(&whole.last_segment).unwrap();
    let mut damaged = vec![
        ("a base that is cut short", half, ErrorKind::Internal),
        ("a base that cannot be read", unreadable, ErrorKind::Internal),
        ("a missing segment", without_segment, ErrorKind::Internal),
        ("another major version", other_major, ErrorKind::Precondition),
    ];
    // A segment of the simulated engine contains everything, so it does not need those before it.
    if matches!(driver, Driver::Postgres) {
        let mut gap = whole.clone();
        assert!(gap.names.len() > 2, "{:?}", gap.names);
        gap.names.remove(1);
        damaged.push(("a gap in the segments", gap, ErrorKind::Internal));
    }
    for (what, backup, expected) in damaged {
        let error = fixture.stage(cluster, 1, &backup).await.expect_err(what);
        assert_eq!(error.kind(), expected, "{what}: {}", error.chain());
        assert_eq!(fixture.epochs().await, [0], "{what}");
        fixture.instances_on_disk(1).await;
        fixture.contains(&plan, &["first", "second", "third", "zeta"]).await;
    }
    fixture.stage(cluster, 1, &whole).await.unwrap();
    fixture.contains(&at_epoch(&plan, 1), &["first", "second", "third"]).await;
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_backs_up_only_the_epoch_that_serves() {
    backs_up_only_the_epoch_that_serves(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_backs_up_only_the_epoch_that_serves() {
    backs_up_only_the_epoch_that_serves(Driver::Simulated).await;
}

async fn backs_up_only_the_epoch_that_serves(driver: Driver) {
    let fixture = Fixture::archiving(driver).await;
    let engine = &*fixture.engine;
    let old = fixture.cluster().await;
    let cluster = old.cluster;
    let mut archive = Archive::begin(engine, &old).await;
    let backup = archive.take(engine, &old).await;
    fixture.stage(cluster, 2, &backup).await.unwrap();
    for epoch in [1, 2, 3] {
        assert_eq!(errors(engine, cluster, epoch).await, [ErrorKind::Stale; 5], "epoch {epoch}");
    }
    fixture.contains(&at_epoch(&old, 2), &["first"]).await;
    for epoch in [0, 1, 3] {
        assert_eq!(errors(engine, cluster, epoch).await, [ErrorKind::Stale; 5], "epoch {epoch}");
    }
    for epoch in [1, 2] {
        assert_eq!(kind(fixture.stage(cluster, epoch, &backup).await), ErrorKind::Stale);
    }
    assert_eq!(kind(fixture.stage(new_cluster(), 1, &backup).await), ErrorKind::Precondition);
    fixture.close().await;
}

/// The errors of everything that reads an epoch for backups.
async fn errors(engine: &dyn Engine, cluster: ClusterId, epoch: u64) -> Vec<ErrorKind> {
    let (name, mut base) = ("000000010000000000000001", Vec::<u8>::new());
    vec![
        kind(engine.copy_base(cluster, epoch, &mut base).await),
        kind(engine.end_segment(cluster, epoch).await),
        kind(engine.segments(cluster, epoch).await),
        kind(engine.read_segment(cluster, epoch, name).await),
        kind(engine.remove_segments(cluster, epoch, name).await),
    ]
}

#[tokio::test]
async fn simulated_backups_are_unavailable_during_a_start() {
    let folder = Folder::new();
    let engine = SimulatedEngine::new(folder.engine()).with_start_delay(LIMIT);
    engine.open().await.unwrap();
    let plan = plan(&engine, new_cluster());
    assert_eq!(engine.create(&plan).await.unwrap().phase, Phase::Starting);
    assert_eq!(errors(&engine, plan.cluster, 0).await, [ErrorKind::Unavailable; 5]);
    assert_eq!(errors(&engine, plan.cluster, 1).await, [ErrorKind::Stale; 5]);
    assert_eq!(errors(&engine, new_cluster(), 0).await, [ErrorKind::Unavailable; 5]);
    engine.close(false).await;
}

#[tokio::test]
async fn simulated_engines_share_segments() {
    let folder = Folder::new();
    let engines = [(); 2].map(|()| SimulatedEngine::shared(folder.engine()));
    let [a, b] = &engines;
    a.open().await.unwrap();
    b.open().await.unwrap();
    let old = plan(a, new_cluster());
    let cluster = old.cluster;
    ready(a, &old).await;
    user(a, cluster, "first").await;
    let mut archive = Archive::begin(b, &old).await;
    archive.take(b, &old).await;
    assert!(!archive.take(b, &old).await.changed);
    assert!(a.segments(cluster, 0).await.unwrap().is_empty());

    user(a, cluster, "second").await;
    assert!(a.end_segment(cluster, 0).await.unwrap().changed);
    let backup = archive.take(b, &old).await;
    assert!(backup.changed, "although the other engine ended the segment");
    user(b, cluster, "third").await;
    b.stage(cluster, 1, &backup.source(), None).await.unwrap();
    let new = at_epoch(&old, 1);
    ready_again(a, &new).await;
    assert_eq!(a.admin(cluster).await.unwrap().users().await.unwrap(), ["first", "second"]);
    assert_eq!(errors(b, cluster, 0).await, [ErrorKind::Stale; 5]);

    // Segments of both epochs that were never removed.
    user(a, cluster, "fourth").await;
    assert!(b.end_segment(cluster, 1).await.unwrap().changed);
    gone(b, cluster).await;
    let left = fs::read_dir(folder.engine()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["lock"]);
}
