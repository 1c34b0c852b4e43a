//! Backups of PostgreSQL servers: which rows they contain, and the WAL that they archive.

use crate::{
    archive::{Archive, Backup},
    support::{
        Folder, control, new_cluster, plan, postgres, ready, ready_again, settings, sql, suspended, until,
        user,
    },
};
use ootheca_engine::{
    Engine,
    postgres::{PostgresEngine, Settings, report},
};
use ootheca_model::{
    ClusterId, ErrorKind, Result,
    instance::{InstancePlan, Power},
};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
    },
};
use tokio::{
    io::{AsyncReadExt, duplex},
    task::JoinHandle,
};

async fn archiving(folder: &Folder) -> PostgresEngine {
    let engine = PostgresEngine::new(Settings { archive_wal: true, ..settings(folder, 0) }).unwrap();
    engine.open().await.unwrap();
    engine
}

/// Starts a cluster with the user `max` and the table `t`.
async fn with_table(engine: &dyn Engine) -> InstancePlan {
    let plan = plan(engine, new_cluster());
    ready(engine, &plan).await;
    user(engine, plan.cluster, "max").await;
    execute(engine, plan.cluster, "CREATE TABLE t (writer bigint, n bigint, filler text)").await;
    plan
}

async fn execute(engine: &dyn Engine, cluster: ClusterId, statements: &str) {
    let session = sql(engine, cluster, "max", "defaultdb").await.unwrap();
    session.batch_execute(statements).await.unwrap();
}

fn off(plan: &InstancePlan) -> InstancePlan {
    InstancePlan { power: Power::Off, ..plan.clone() }
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().unwrap().kind()
}

/// Restores a backup to an epoch, switches to it, and returns for each writer the number of its rows, and the last one.
async fn restored(engine: &dyn Engine, plan: &InstancePlan, epoch: u64, backup: &Backup) -> Vec<(i64, i64)> {
    engine.stage(plan.cluster, epoch, &backup.source(), None).await.unwrap();
    let restored = InstancePlan { epoch, generation: plan.generation + epoch, ..plan.clone() };
    ready_again(engine, &restored).await;
    engine.discard(plan.cluster, epoch).await.unwrap();
    let session = sql(engine, plan.cluster, "max", "defaultdb").await.unwrap();
    let query = "SELECT count(*), max(n) FROM t GROUP BY writer ORDER BY writer";
    let rows = session.query(query, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Inserts the numbers from 1 on, each in its own transaction.
#[derive(Clone, Default)]
struct Writer {
    begun: Arc<AtomicI64>,
    committed: Arc<AtomicI64>,
    stopped: Arc<AtomicBool>,
}

impl Writer {
    fn start(&self, id: i64, session: tokio_postgres::Client) -> JoinHandle<()> {
        let this = self.clone();
        tokio::spawn(async move {
            let insert = "INSERT INTO t VALUES ($1, $2, repeat('x', 2000))";
            let insert = session.prepare(insert).await.unwrap();
            for n in 1_i64.. {
                if this.stopped.load(SeqCst) {
                    return;
                }
                this.begun.store(n, SeqCst);
                session.execute(&insert, &[&id, &n]).await.unwrap();
                this.committed.store(n, SeqCst);
            }
        })
    }

    /// Waits until some more rows were committed.
    async fn proceed(&self) {
        let before = self.committed.load(SeqCst);
        until("more rows", || async { (self.committed.load(SeqCst) > before + 50).then_some(()) }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_contain_the_rows_that_were_committed_before() {
    let folder = Folder::new();
    let engine = archiving(&folder).await;
    let plan = with_table(&engine).await;
    let writers = [(); 3].map(|()| Writer::default());
    let mut tasks = Vec::new();
    for (id, writer) in (0_i64..).zip(&writers) {
        tasks.push(writer.start(id, sql(&engine, plan.cluster, "max", "defaultdb").await.unwrap()));
    }
    let mut backups = Vec::new();
    writers[0].proceed().await;
    // The base is taken while rows are written, too.
    let mut archive = Archive::begin(&engine, &plan).await;
    for _ in 0..3 {
        let committed = writers.each_ref().map(|writer| writer.committed.load(SeqCst));
        let backup = archive.take(&engine, &plan).await;
        let begun = writers.each_ref().map(|writer| writer.begun.load(SeqCst));
        assert!(backup.changed);
        backups.push((backup, committed, begun));
        for writer in &writers {
            writer.proceed().await;
        }
    }
    for writer in &writers {
        writer.stopped.store(true, SeqCst);
    }
    for task in tasks {
        task.await.unwrap();
    }
    for (epoch, (backup, committed, begun)) in (1_u64..).zip(backups) {
        let found = restored(&engine, &plan, epoch, &backup).await;
        assert_eq!(found.len(), writers.len());
        for (writer, (count, last)) in found.into_iter().enumerate() {
            assert_eq!(count, last, "no row of writer {writer} is missing");
            let expected = committed[writer]..=begun[writer];
            assert!(expected.contains(&last), "{last} is not in {expected:?}");
        }
    }
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_of_a_suspended_cluster_is_the_start_of_later_backups() {
    let folder = Folder::new();
    let engine = archiving(&folder).await;
    let plan = with_table(&engine).await;
    execute(&engine, plan.cluster, "INSERT INTO t VALUES (0, 1)").await;
    suspended(&engine, &off(&plan)).await;
    let mut archive = Archive::begin(&engine, &off(&plan)).await;
    let first = archive.take(&engine, &off(&plan)).await;
    assert!(first.names.is_empty(), "the base is enough: {:?}", first.names);

    ready_again(&engine, &plan).await;
    execute(&engine, plan.cluster, "INSERT INTO t VALUES (0, 2)").await;
    let second = archive.take(&engine, &plan).await;
    execute(&engine, plan.cluster, "INSERT INTO t VALUES (0, 3)").await;
    suspended(&engine, &off(&plan)).await;
    let third = archive.take(&engine, &off(&plan)).await;
    ready_again(&engine, &plan).await;
    execute(&engine, plan.cluster, "INSERT INTO t VALUES (0, 4)").await;

    for (epoch, backup) in (1_u64..).zip([&first, &second, &third]) {
        let expected = i64::try_from(epoch).unwrap();
        assert_eq!(restored(&engine, &plan, epoch, backup).await, [(expected, expected)]);
    }
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn background_activity_is_not_a_change() {
    let folder = Folder::new();
    let engine = archiving(&folder).await;
    let plan = with_table(&engine).await;
    let mut archive = Archive::begin(&engine, &plan).await;
    let first = archive.take(&engine, &plan).await;
    let control = control(&folder, &engine, plan.cluster, "postgres").await;
    // Autovacuum commits transactions for a while.
    let unchanged = until("unchanged", || async {
        let end = engine.end_segment(plan.cluster, 0).await.unwrap();
        engine.remove_segments(plan.cluster, 0, &end.last_segment).await.unwrap();
        control.batch_execute("CHECKPOINT").await.unwrap();
        let again = engine.end_segment(plan.cluster, 0).await.unwrap();
        if !again.changed {
            assert_eq!(again.last_segment, end.last_segment);
        }
        (!again.changed).then_some(again.last_segment)
    })
    .await;
    assert!(unchanged >= first.last_segment);

    // A transaction that began before others ended is a change, too.
    let session = sql(&engine, plan.cluster, "max", "defaultdb").await.unwrap();
    session.batch_execute("BEGIN; INSERT INTO t VALUES (0, 1)").await.unwrap();
    execute(&engine, plan.cluster, "INSERT INTO t VALUES (0, 2)").await;
    assert!(engine.end_segment(plan.cluster, 0).await.unwrap().changed);
    session.batch_execute("COMMIT").await.unwrap();
    let end = engine.end_segment(plan.cluster, 0).await.unwrap();
    assert!(end.changed && end.last_segment > unchanged);
    drop((session, control));
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_without_archiving_are_backed_up_after_their_next_start() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = with_table(&engine).await;
    let cluster = plan.cluster;
    let mut base = Vec::<u8>::new();
    assert_eq!(kind(engine.copy_base(cluster, 0, &mut base).await), ErrorKind::Precondition);
    assert_eq!(kind(engine.end_segment(cluster, 0).await), ErrorKind::Precondition);
    assert!(engine.segments(cluster, 0).await.unwrap().is_empty());
    engine.close(true).await;
    drop(engine);

    let engine = archiving(&folder).await;
    ready_again(&engine, &plan).await;
    let error = engine.end_segment(cluster, 0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Precondition);
    assert!(error.message().contains("next start"), "{error}");
    suspended(&engine, &off(&plan)).await;
    // Nothing of its WAL was archived, and nothing has to be: the base contains everything.
    let mut archive = Archive::begin(&engine, &off(&plan)).await;
    ready_again(&engine, &plan).await;
    execute(&engine, cluster, "INSERT INTO t VALUES (0, 1)").await;
    let backup = archive.take(&engine, &plan).await;
    assert_eq!(restored(&engine, &plan, 1, &backup).await, [(1, 1)]);
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wal_that_ends_early_is_detected() {
    let folder = Folder::new();
    let engine = archiving(&folder).await;
    let plan = with_table(&engine).await;
    let cluster = plan.cluster;
    let mut archive = Archive::begin(&engine, &plan).await;
    let base_only = archive.take(&engine, &plan).await;
    execute(&engine, cluster, "INSERT INTO t VALUES (0, 1)").await;
    let whole = archive.take(&engine, &plan).await;
    let empty = |name: &str, backup: &Backup| {
        let mut damaged = backup.clone();
        damaged.segments.get_mut(name).unwrap().fill(0);
        damaged
    };
    let first = base_only.names.first().unwrap();
    let short = {
        let mut damaged = whole.clone();
        damaged.segments.get_mut(&whole.last_segment).unwrap().truncate(1000);
        damaged
    };
    let without = Backup { names: Vec::new(), ..whole.clone() };
    for (what, damaged, message) in [
        ("the last segment is empty", empty(&whole.last_segment, &whole), "ends early"),
        ("the first segment is empty", empty(first, &whole), "can't recover"),
        ("the last segment is short", short, "is damaged"),
        ("there is no segment", without, "is missing"),
    ] {
        let error = engine.stage(cluster, 1, &damaged.source(), None).await.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Internal, "{what}: {}", error.chain());
        assert!(error.message().contains(message), "{what}: {}", error.chain());
    }
    assert_eq!(restored(&engine, &plan, 1, &whole).await, [(1, 1)]);
    engine.close(false).await;
}

/// Begins a copy, and runs `change` after its first bytes were written. Returns the result of the copy.
async fn copy_during<F: Future<Output = ()>>(
    engine: &dyn Engine,
    plan: &InstancePlan,
    change: F,
) -> ErrorKind {
    let (mut to, mut from) = duplex(1000);
    let copy = async move { engine.copy_base(plan.cluster, 0, &mut to).await };
    let read = async {
        from.read_exact(&mut [0; 1000]).await.unwrap();
        change.await;
        from.read_to_end(&mut Vec::new()).await.unwrap();
    };
    kind(tokio::join!(copy, read).0)
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_neither_delay_a_start_nor_a_suspension() {
    let folder = Folder::new();
    let engine = archiving(&folder).await;
    let plan = with_table(&engine).await;
    let stop = async {
        suspended(&engine, &off(&plan)).await;
    };
    assert_eq!(copy_during(&engine, &plan, stop).await, ErrorKind::Unavailable);
    let start = async {
        ready_again(&engine, &plan).await;
    };
    assert_eq!(copy_during(&engine, &plan, start).await, ErrorKind::Unavailable);
    // Nothing is left of the backup mode.
    let mut archive = Archive::begin(&engine, &plan).await;
    assert!(archive.take(&engine, &plan).await.changed);
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_have_no_access_to_the_archived_wal() {
    let folder = Folder::new();
    let engine = archiving(&folder).await;
    let plan = with_table(&engine).await;
    let data = report(&folder.engine()).unwrap().remove(0).data;
    let spool: PathBuf = data.with_file_name("wal");
    let (status, owner) = (fs::metadata(&spool).unwrap(), fs::metadata(&data).unwrap());
    assert_eq!((status.mode() & 0o777, status.uid()), (0o700, owner.uid()));
    let max = sql(&engine, plan.cluster, "max", "defaultdb").await.unwrap();
    for statement in [
        "ALTER SYSTEM SET archive_mode = off",
        "ALTER SYSTEM SET archive_library = ''",
        "SET archive_mode = off",
        "SET archive_command = 'true'",
        "SELECT pg_switch_wal()",
        "SELECT pg_backup_start('x')",
        "SELECT pg_read_binary_file('../wal/000000010000000000000001')",
        "SELECT pg_ls_dir('../wal')",
    ] {
        let error = max.batch_execute(statement).await.expect_err(statement);
        // The permission is denied, the parameter can't be changed now, or the function has another name.
        let code = error.code().map(|code| code.code());
        assert!(matches!(code, Some("42501" | "55P02" | "42883")), "{statement}: {error:?}");
    }
    drop(max);

    // What a crash left incomplete is removed at the next start.
    let incomplete = spool.join("archtemp.000000010000000000000001.4711.1");
    suspended(&engine, &off(&plan)).await;
    let segments = engine.segments(plan.cluster, 0).await.unwrap();
    assert!(!segments.is_empty(), "the server archives when it stops");
    fs::write(&incomplete, "x").unwrap();
    assert_eq!(engine.segments(plan.cluster, 0).await.unwrap(), segments);
    ready_again(&engine, &plan).await;
    assert!(!incomplete.exists());
    assert!(engine.segments(plan.cluster, 0).await.unwrap().starts_with(&segments));
    engine.close(false).await;
}
