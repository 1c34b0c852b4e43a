//! Clones: staged instances with the present data of another cluster.

mod crash;
mod interrupted;

use crate::{
    archive::Archive,
    fixture::{Fixture, kind},
    support::{
        Driver, Folder, gone, new_cluster, plan, processes_below, ready, ready_again, settings, signal, sql,
        suspended, until, user,
    },
};
use ootheca_engine::{
    ClusterSource, Engine, Source,
    postgres::{PostgresEngine, Settings},
};
use ootheca_model::{
    ClusterId, ErrorKind,
    backup::MaskingScript,
    instance::{InstancePlan, Phase, Power},
};
use parking_lot::Mutex;
use rustix::process::Signal;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
    },
};
use tokio_postgres::Client;

fn at_epoch(plan: &InstancePlan, epoch: u64) -> InstancePlan {
    InstancePlan { epoch, generation: plan.generation + epoch, ..plan.clone() }
}

fn off(plan: &InstancePlan) -> InstancePlan {
    InstancePlan { power: Power::Off, ..plan.clone() }
}

fn source(plan: &InstancePlan, progress: impl Fn(f32) + Send + Sync + 'static) -> Source {
    Source::Cluster(ClusterSource { cluster: plan.cluster, epoch: plan.epoch, progress: Arc::new(progress) })
}

fn source_of(plan: &InstancePlan) -> Source {
    source(plan, |_| ())
}

/// Starts a cluster to clone data into.
async fn destination(engine: &dyn Engine) -> InstancePlan {
    let plan = plan(engine, new_cluster());
    ready(engine, &plan).await;
    plan
}

/// Clones the data of a cluster, and starts the clone.
async fn cloned(engine: &dyn Engine, from: &InstancePlan) -> InstancePlan {
    let empty = destination(engine).await;
    engine.stage(empty.cluster, 1, &source_of(from), None).await.unwrap();
    let plan = at_epoch(&empty, 1);
    ready_again(engine, &plan).await;
    engine.discard(plan.cluster, 1).await.unwrap();
    plan
}

/// Starts a cluster with the user `max` and the table `t`, which contains the numbers from 1 on.
async fn with_numbers(engine: &dyn Engine, last: i64) -> InstancePlan {
    let plan = destination(engine).await;
    user(engine, plan.cluster, "max").await;
    let table = "CREATE TABLE t (n bigint, filler text); ALTER TABLE t ALTER filler SET STORAGE PLAIN";
    let session = max(engine, plan.cluster).await;
    session.batch_execute(table).await.unwrap();
    let insert = "INSERT INTO t SELECT n, repeat('x', 2000) FROM generate_series(1, $1::bigint) n";
    session.execute(insert, &[&last]).await.unwrap();
    plan
}

async fn max(engine: &dyn Engine, cluster: ClusterId) -> Client {
    sql(engine, cluster, "max", "defaultdb").await.unwrap()
}

/// How many numbers there are, and the last one.
async fn numbers(engine: &dyn Engine, plan: &InstancePlan) -> (i64, i64) {
    ready_again(engine, plan).await;
    let query = "SELECT count(*), coalesce(max(n), 0) FROM t";
    let row = max(engine, plan.cluster).await.query_one(query, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

/// The data directory of the instance with this epoch.
async fn data_of(engine: &dyn Engine, cluster: ClusterId, epoch: u64) -> PathBuf {
    let reports = engine.report().await.unwrap();
    let found = reports.into_iter().find(|report| (report.cluster, report.epoch) == (Some(cluster), epoch));
    found.unwrap().data
}

/// Waits until this is the number of instances on the disk, and no other processes run.
async fn nothing_else_is_left(folder: &Folder, engine: &dyn Engine, instances: usize) {
    let names = |name: &str| fs::read_dir(folder.engine().join(name)).map_or(0, Iterator::count);
    until("nothing else is left", || async {
        let reports = engine.report().await.unwrap();
        let is_known = |cwd: PathBuf| reports.iter().any(|report| cwd.starts_with(&report.data));
        let elsewhere = processes_below(&folder.engine()).into_iter().filter(|pid| {
            let cwd = fs::read_link(format!("/proc/{pid}/cwd"));
            cwd.is_ok_and(|cwd| !is_known(cwd))
        });
        let found = (names("instances"), names("trash"), elsewhere.count());
        (found == (instances, 0, 0)).then_some(())
    })
    .await;
}

/// Waits until no backup is taken of a running cluster: its slot ends with the session that is in backup mode.
async fn no_backup_is_left(engine: &dyn Engine, cluster: ClusterId) {
    let session = max(engine, cluster).await;
    until("no replication slot is left", || async {
        let row = session.query_one("SELECT count(*) FROM pg_replication_slots", &[]).await.unwrap();
        (row.get::<_, i64>(0) == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_clones_users_and_databases() {
    clones_users_and_databases(Fixture::new(Driver::Postgres).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_clones_users_and_databases_with_archiving() {
    clones_users_and_databases(Fixture::archiving(Driver::Postgres).await).await;
}

#[tokio::test]
async fn simulated_clones_users_and_databases() {
    clones_users_and_databases(Fixture::new(Driver::Simulated).await).await;
}

async fn add(engine: &dyn Engine, plan: &InstancePlan, name: &str) {
    user(engine, plan.cluster, name).await;
    engine.admin(plan.cluster).await.unwrap().create_database(name).await.unwrap();
}

/// Checks that the cluster has users and databases with these names, and no others.
async fn contains(engine: &dyn Engine, plan: &InstancePlan, names: &[&str]) {
    ready_again(engine, plan).await;
    let mut admin = engine.admin(plan.cluster).await.unwrap();
    assert_eq!(admin.users().await.unwrap(), names);
    let databases = admin.databases().await.unwrap().into_iter().map(|database| database.name);
    let databases: Vec<String> = databases.filter(|name| name != "defaultdb").collect();
    assert_eq!(databases, names);
}

async fn clones_users_and_databases(mut fixture: Fixture) {
    let engine = &*fixture.engine;
    let from = fixture.empty_cluster().await;
    add(engine, &from, "first").await;
    let secret = engine.secret(from.cluster, "first").await.unwrap().unwrap();
    let to = destination(engine).await;
    let progress = Arc::new(Mutex::new(Vec::new()));
    let reported = progress.clone();
    let source = source(&from, move |fraction| reported.lock().push(fraction));
    engine.stage(to.cluster, 1, &source, None).await.unwrap();
    let made = progress.lock().clone();
    assert!(made.is_sorted() && made.iter().all(|fraction| (0.0..=1.0).contains(fraction)), "{made:?}");
    assert_eq!(made.last(), Some(&1.0));
    engine.stage(to.cluster, 1, &source, None).await.unwrap();
    assert_eq!(*progress.lock(), made, "the second call returns at once");

    // Neither depends on the other.
    let to = at_epoch(&to, 1);
    contains(engine, &to, &["first"]).await;
    assert_eq!(engine.secret(to.cluster, "first").await.unwrap().unwrap(), secret);
    add(engine, &to, "second").await;
    add(engine, &from, "third").await;
    contains(engine, &to, &["first", "second"]).await;
    contains(engine, &from, &["first", "third"]).await;
    if matches!(fixture.driver, Driver::Postgres) {
        sql(engine, to.cluster, "first", "first").await.unwrap().simple_query("SELECT 1").await.unwrap();
    }
    engine.discard(to.cluster, 1).await.unwrap();
    let copy = cloned(engine, &to).await;
    gone(engine, from.cluster).await;
    gone(engine, to.cluster).await;
    fixture.restart(false).await;
    contains(&*fixture.engine, &copy, &["first", "second"]).await;
    assert_eq!(fixture.epochs().await, [1]);
    gone(&*fixture.engine, copy.cluster).await;
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_refuses_other_sources() {
    refuses_other_sources(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_refuses_other_sources() {
    refuses_other_sources(Driver::Simulated).await;
}

async fn refuses_other_sources(driver: Driver) {
    let fixture = Fixture::new(driver).await;
    let engine = &*fixture.engine;
    let (from, to) = (fixture.empty_cluster().await, fixture.empty_cluster().await);
    let refused = async |from: &InstancePlan| kind(engine.stage(to.cluster, 1, &source_of(from), None).await);
    let unknown = InstancePlan { cluster: new_cluster(), ..from.clone() };
    assert_eq!(refused(&unknown).await, ErrorKind::NotFound);
    assert_eq!(refused(&at_epoch(&from, 1)).await, ErrorKind::Stale);
    let staged = engine.stage(unknown.cluster, 1, &source_of(&from), None).await;
    assert_eq!(kind(staged), ErrorKind::Precondition, "the destination is unknown");
    engine.stage(from.cluster, 1, &Source::Empty, None).await.unwrap();
    ready_again(engine, &at_epoch(&from, 1)).await;
    assert_eq!(refused(&from).await, ErrorKind::Stale);
    gone(engine, from.cluster).await;
    assert_eq!(refused(&at_epoch(&from, 1)).await, ErrorKind::NotFound);
    assert_eq!(fixture.epochs().await, [0], "nothing is left");
    gone(engine, to.cluster).await;
    fixture.close().await;
}

/// Inserts the next numbers, each in its own transaction.
#[derive(Clone, Default)]
struct Writer {
    committed: Arc<AtomicI64>,
    stopped: Arc<AtomicBool>,
}

impl Writer {
    async fn run(&self, session: Client) {
        let insert = session.prepare("INSERT INTO t VALUES ($1, repeat('x', 2000))").await.unwrap();
        for n in 1_i64.. {
            if self.stopped.load(SeqCst) {
                return;
            }
            session.execute(&insert, &[&n]).await.unwrap();
            self.committed.store(n, SeqCst);
        }
    }

    /// Waits until some more numbers were committed. Returns the last one.
    async fn proceed(&self) -> i64 {
        let before = self.committed.load(SeqCst);
        until("more numbers", || async {
            let committed = self.committed.load(SeqCst);
            (committed > before + 50).then_some(committed)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clones_contain_what_was_committed_before() {
    for archives in [false, true] {
        let fixture = match archives {
            true => Fixture::archiving(Driver::Postgres).await,
            false => Fixture::new(Driver::Postgres).await,
        };
        let engine = &*fixture.engine;
        let from = with_numbers(engine, 0).await;
        let writer = Writer::default();
        let session = max(engine, from.cluster).await;
        let task = tokio::spawn({
            let writer = writer.clone();
            async move { writer.run(session).await }
        });
        for _ in 0..3 {
            let to = destination(engine).await;
            let before = writer.proceed().await;
            engine.stage(to.cluster, 1, &source_of(&from), None).await.unwrap();
            let expected = before..=writer.committed.load(SeqCst) + 1;
            let (count, last) = numbers(engine, &at_epoch(&to, 1)).await;
            assert_eq!(count, last, "no number is missing");
            assert!(expected.contains(&last), "{last} is not in {expected:?}");
            gone(engine, to.cluster).await;
        }
        writer.stopped.store(true, SeqCst);
        task.await.unwrap();
        no_backup_is_left(engine, from.cluster).await;
        fixture.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clones_of_restored_data_can_be_backed_up() {
    let fixture = Fixture::archiving(Driver::Postgres).await;
    let engine = &*fixture.engine;
    let old = with_numbers(engine, 3).await;
    let backup = Archive::begin(engine, &old).await.take(engine, &old).await;
    engine.stage(old.cluster, 1, &backup.source(), None).await.unwrap();
    let from = at_epoch(&old, 1);
    ready_again(engine, &from).await;
    let copy = cloned(engine, &from).await;
    let backup = Archive::begin(engine, &copy).await.take(engine, &copy).await;
    max(engine, copy.cluster).await.batch_execute("DROP TABLE t").await.unwrap();
    engine.stage(copy.cluster, 2, &backup.source(), None).await.unwrap();
    assert_eq!(numbers(engine, &at_epoch(&copy, 2)).await, (3, 3));
    fixture.close().await;
}

fn control_file(data: &Path) -> Vec<u8> {
    fs::read(data.join("global/pg_control")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_clusters_are_cloned_without_being_started() {
    let fixture = Fixture::new(Driver::Postgres).await;
    let engine = &*fixture.engine;
    let from = with_numbers(engine, 5).await;
    suspended(engine, &off(&from)).await;
    let data = data_of(engine, from.cluster, 0).await;
    let before = control_file(&data);
    let copy = cloned(engine, &off(&from)).await;
    let masked = destination(engine).await;
    let text = "DELETE FROM t WHERE n > 2".to_owned();
    let masking = MaskingScript { database: "defaultdb".to_owned(), text };
    engine.stage(masked.cluster, 1, &source_of(&from), Some(&masking)).await.unwrap();
    assert_eq!(numbers(engine, &copy).await, (5, 5));
    assert_eq!(numbers(engine, &at_epoch(&masked, 1)).await, (2, 2));

    assert_eq!(engine.observe(from.cluster).await.unwrap().phase, Phase::Suspended);
    assert!(processes_below(&data).is_empty() && control_file(&data) == before, "it was started");
    assert_eq!(numbers(engine, &from).await, (5, 5));
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crashed_clusters_are_cloned_with_their_wal() {
    let fixture = Fixture::new(Driver::Postgres).await;
    let engine = &*fixture.engine;
    let from = with_numbers(engine, 5).await;
    let data = data_of(engine, from.cluster, 0).await;
    until("killed", || async {
        let left = processes_below(&data);
        left.iter().for_each(|pid| signal(*pid, Signal::KILL));
        left.is_empty().then_some(())
    })
    .await;
    suspended(engine, &off(&from)).await;
    let before = control_file(&data);
    assert_ne!(before[16..20], 1_u32.to_ne_bytes(), "it was not shut down");
    let copy = cloned(engine, &off(&from)).await;
    assert_eq!(numbers(engine, &copy).await, (5, 5));
    assert!(control_file(&data) == before, "it was started");
    assert_eq!(numbers(engine, &from).await, (5, 5));
    fixture.close().await;
}

/// The users, kinds, and modes of everything in a folder.
fn attributes(folder: &Path) -> BTreeSet<(u32, bool, u32)> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let status = fs::symlink_metadata(&path).unwrap();
        found.insert((status.uid(), status.is_dir(), status.mode() & 0o777));
        if status.is_dir() {
            found.extend(attributes(&path));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn clones_belong_to_their_own_user() {
    let folder = Folder::new();
    let range = "1900000000-1900000009".to_owned();
    let engine = match PostgresEngine::new(Settings { uid_range: range, ..settings(&folder, 0) }) {
        Ok(engine) => engine,
        Err(error) => {
            assert!(error.message().contains("engine.uid_range: "), "{error}");
            eprintln!("skipped: {error}");
            return;
        }
    };
    engine.open().await.unwrap();
    let from = with_numbers(&engine, 1).await;
    let owner = |data: &Path| fs::metadata(data).unwrap().uid();
    let other = owner(&data_of(&engine, from.cluster, 0).await);
    for source in [from.clone(), off(&from)] {
        if source.power == Power::Off {
            suspended(&engine, &source).await;
        }
        let to = destination(&engine).await;
        engine.stage(to.cluster, 1, &source_of(&source), None).await.unwrap();
        let data = data_of(&engine, to.cluster, 1).await;
        let own = owner(&data);
        assert_ne!(own, other);
        assert_eq!(attributes(&data), BTreeSet::from([(own, false, 0o600), (own, true, 0o700)]));
        assert_eq!(numbers(&engine, &at_epoch(&to, 1)).await, (1, 1));
    }
    engine.close(false).await;
}
