//! Restores to moments before the end of a backup: they contain exactly what was committed by then.

use crate::{
    archive::{Archive, Backup},
    epochs_crash::nothing_else_is_left,
    fixture::Fixture,
    support::{Driver, Folder, new_cluster, plan, ready, ready_again, sql, suspended, user},
};
use ootheca_engine::{Engine, simulated::SimulatedEngine};
use ootheca_model::{
    ErrorKind, Timestamp,
    instance::{InstancePlan, Power},
    time::Clock,
};
use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio_postgres::Client;

/// The clock of the server, in microseconds.
const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

/// A cluster with the table `t`.
struct Bench {
    fixture: Fixture,
    plan: InstancePlan,
}

impl Bench {
    async fn new() -> Self {
        let fixture = Fixture::archiving(Driver::Postgres).await;
        let plan = fixture.empty_cluster().await;
        user(&*fixture.engine, plan.cluster, "max").await;
        let bench = Self { fixture, plan };
        bench.session().await.batch_execute("CREATE TABLE t (n bigint)").await.unwrap();
        bench
    }

    fn engine(&self) -> &dyn Engine {
        &*self.fixture.engine
    }

    async fn session(&self) -> Client {
        sql(self.engine(), self.plan.cluster, "max", "defaultdb").await.unwrap()
    }

    async fn writer(&self) -> Writer {
        let session = self.session().await;
        let row = session.query_one("SELECT coalesce(max(n), 0) FROM t", &[]).await.unwrap();
        Writer { last: row.get(0), session }
    }

    async fn begin_archive(&self) -> Archive {
        Archive::begin(self.engine(), &self.plan).await
    }

    async fn take(&self, archive: &mut Archive) -> Backup {
        archive.take(self.engine(), &self.plan).await
    }

    /// Replaces the data with that of a backup. Returns its rows.
    async fn restore(&mut self, backup: &Backup) -> Vec<i64> {
        let epoch = self.plan.epoch + 1;
        self.engine().stage(self.plan.cluster, epoch, &backup.source(), None).await.unwrap();
        self.plan = InstancePlan { epoch, generation: self.plan.generation + 1, ..self.plan.clone() };
        ready_again(self.engine(), &self.plan).await;
        self.engine().discard(self.plan.cluster, epoch).await.unwrap();
        self.nothing_is_left_of_the_recovery().await;
        let rows = self.session().await.query("SELECT n FROM t ORDER BY n", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The WAL of another timeline would be archived as if it belonged to the data.
    async fn nothing_is_left_of_the_recovery(&self) {
        let data = self.engine().report().await.unwrap().remove(0).data;
        for name in ["standby.signal", "promote"] {
            assert!(!data.join(name).exists(), "{name}");
        }
        let names = fs::read_dir(data.join("pg_wal")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let segments = names.filter(|name| name.len() == 24);
        let timelines: BTreeSet<String> = segments.map(|name| name[..8].to_owned()).collect();
        assert_eq!(timelines.len(), 1, "{timelines:?}");
    }
}

/// Inserts the next numbers into `t`, each in its own transaction.
struct Writer {
    session: Client,
    last: i64,
}

impl Writer {
    /// Returns the moment after the insertion, and the number.
    async fn write(&mut self) -> (Timestamp, i64) {
        self.last += 1;
        self.session.execute("INSERT INTO t VALUES ($1)", &[&self.last]).await.unwrap();
        (self.moment().await, self.last)
    }

    /// A moment that is not before anything that was committed so far, and before everything that follows.
    async fn moment(&self) -> Timestamp {
        let moment = self.clock().await;
        while self.clock().await <= moment {}
        moment
    }

    async fn clock(&self) -> Timestamp {
        Timestamp(self.session.query_one(CLOCK, &[]).await.unwrap().get(0))
    }
}

fn up_to(last: i64) -> Vec<i64> {
    (1..=last).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn restores_contain_what_was_committed_by_the_moment() {
    let mut bench = Bench::new().await;
    let mut writer = bench.writer().await;
    writer.write().await;
    let open = bench.session().await;
    open.batch_execute("BEGIN; INSERT INTO t VALUES (-1)").await.unwrap();
    let mut archive = bench.begin_archive().await;
    let mut moments = vec![(writer.moment().await, 1), writer.write().await];
    bench.take(&mut archive).await;
    moments.extend([writer.write().await, writer.write().await]);
    open.batch_execute("COMMIT").await.unwrap();
    let (end, last) = writer.write().await;
    let backup = bench.take(&mut archive).await;
    drop((writer, open));

    for (moment, last) in moments {
        assert_eq!(bench.restore(&backup.at(moment)).await, up_to(last));
    }
    let everything: Vec<i64> = [-1].into_iter().chain(1..=last).collect();
    // The WAL contains nothing that was committed after these moments.
    for moment in [end, end.after(Duration::from_secs(3600))] {
        assert_eq!(bench.restore(&backup.at(moment)).await, everything);
    }
    assert_eq!(bench.restore(&backup).await, everything, "without a moment");
    bench.fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_data_is_backed_up_and_has_moments() {
    let mut bench = Bench::new().await;
    let mut previous = "00000001".to_owned();
    for round in 0..3 {
        let mut writer = bench.writer().await;
        let mut archive = bench.begin_archive().await;
        let (moment, last) = writer.write().await;
        writer.write().await;
        let (cluster, epoch) = (bench.plan.cluster, bench.plan.epoch);
        bench.engine().end_segment(cluster, epoch).await.unwrap();
        let ready = bench.engine().segments(cluster, epoch).await.unwrap();
        let timeline = ready.last().unwrap()[..8].to_owned();
        assert!(ready.iter().all(|name| name.starts_with(&timeline)), "{ready:?}");
        assert_eq!(timeline > previous, round > 0, "a restore to a moment begins a timeline");
        previous = timeline;
        let backup = bench.take(&mut archive).await;
        drop(writer);
        assert_eq!(bench.restore(&backup).await, up_to(last + 1));
        assert_eq!(bench.restore(&backup.at(moment)).await, up_to(last));
    }
    bench.fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moments_can_follow_a_base_of_a_suspended_cluster() {
    let mut bench = Bench::new().await;
    bench.writer().await.write().await;
    let off = InstancePlan { power: Power::Off, ..bench.plan.clone() };
    suspended(bench.engine(), &off).await;
    let mut archive = Archive::begin(bench.engine(), &off).await;
    let base_only = archive.take(bench.engine(), &off).await;
    assert!(base_only.names.is_empty(), "{:?}", base_only.names);
    ready_again(bench.engine(), &bench.plan).await;
    let mut writer = bench.writer().await;
    let mut moments = vec![(writer.moment().await, 1)];
    for _ in 0..3 {
        moments.push(writer.write().await);
    }
    let backup = bench.take(&mut archive).await;
    drop(writer);
    let end = moments.last().unwrap().0;
    for (moment, last) in moments {
        assert_eq!(bench.restore(&backup.at(moment)).await, up_to(last));
    }
    assert_eq!(bench.restore(&base_only.at(end)).await, up_to(1), "there is no WAL");
    bench.fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_before_the_end_of_the_base_is_refused() {
    let mut bench = Bench::new().await;
    let mut writer = bench.writer().await;
    let early = writer.moment().await;
    let stopped = Arc::new(AtomicBool::new(false));
    let rows = tokio::spawn({
        let stopped = stopped.clone();
        async move {
            while !stopped.load(SeqCst) {
                writer.write().await;
            }
            writer.last
        }
    });
    let mut archive = bench.begin_archive().await;
    stopped.store(true, SeqCst);
    let last = rows.await.unwrap();
    let backup = bench.take(&mut archive).await;
    let source = backup.at(early).source();
    let error = bench.engine().stage(bench.plan.cluster, 1, &source, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Precondition, "{}", error.chain());
    assert!(error.message().starts_with("point_in_time: "), "{error}");
    nothing_else_is_left(Driver::Postgres, &bench.fixture.folder, bench.engine(), &bench.plan).await;
    assert_eq!(bench.restore(&backup).await, up_to(last));
    bench.fixture.close().await;
}

/// A clock that is set.
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(SeqCst))
    }
}

#[tokio::test]
async fn simulated_restores_contain_the_changes_until_the_moment() {
    let folder = Folder::new();
    let clock = Arc::new(SetClock(AtomicI64::new(0)));
    let engine = SimulatedEngine::new(folder.engine());
    engine.set_clock(clock.clone());
    engine.open().await.unwrap();
    let old = plan(&engine, new_cluster());
    ready(&engine, &old).await;
    let names = ["a", "b", "c", "d"];
    let mut archive = Archive::begin(&engine, &old).await;
    for (time, name) in (1..).zip(names) {
        clock.0.store(time, SeqCst);
        user(&engine, old.cluster, name).await;
        match name {
            "a" => archive.renew_base(&engine, &old).await,
            "b" => drop(archive.take(&engine, &old).await),
            _ => {}
        }
    }
    let backup = archive.take(&engine, &old).await;
    assert_eq!(backup.names.len(), 2, "{:?}", backup.names);
    for time in 1..=5_u32 {
        let epoch = u64::from(time);
        let source = backup.at(Timestamp(time.into())).source();
        engine.stage(old.cluster, epoch, &source, None).await.unwrap();
        let restored = InstancePlan { epoch, generation: old.generation + epoch, ..old.clone() };
        ready_again(&engine, &restored).await;
        let users = engine.admin(old.cluster).await.unwrap().users().await.unwrap();
        assert_eq!(users, names[..names.len().min(time as usize)], "at {time}");
    }
    engine.close(false).await;
}
