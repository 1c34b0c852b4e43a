//! What is counted, and when counters are reset.

use crate::support::{Folder, new_cluster, plan, postgres, ready, signal, sql, suspended, until, user};
use ootheca_engine::{Engine, postgres::PostgresEngine};
use ootheca_model::{
    ClusterId,
    instance::{InstancePlan, Power},
    usage::Measure,
};
use rustix::process::Signal;

const MIB: u64 = 1 << 20;

/// Measures. A server that was adopted just now can't be measured yet.
async fn measure(engine: &PostgresEngine, cluster: ClusterId) -> Measure {
    until("measured", || async { engine.measure(cluster).await.ok() }).await
}

/// Runs in its own session, because counters are reported at the end of a session.
async fn run(engine: &PostgresEngine, cluster: ClusterId, database: &str, statements: &str) {
    let session = sql(engine, cluster, "max", database).await.unwrap();
    session.batch_execute(statements).await.unwrap();
}

/// Measures until the condition holds, because sessions report with a delay, and storage is not counted at every
/// measurement.
async fn shows(engine: &PostgresEngine, cluster: ClusterId, wanted: impl Fn(&Measure) -> bool) -> Measure {
    until("counters", || async {
        let seen = measure(engine, cluster).await;
        wanted(&seen).then_some(seen)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_match_the_executed_statements() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    let cluster = plan.cluster;
    ready(&engine, &plan).await;
    user(&engine, cluster, "max").await;
    let empty = measure(&engine, cluster).await;
    assert!(empty.storage_bytes < MIB, "{empty:?}");
    assert!(empty.sql.wal_records < 5000 && empty.sql.transactions < 20, "the template is not counted");
    assert!(empty.cpu.micros > 0 && !empty.cpu.epoch.is_empty() && !empty.sql.epoch.is_empty());

    // A database that its owner marked as a template is counted too.
    run(&engine, cluster, "defaultdb", "CREATE DATABASE own IS_TEMPLATE true").await;
    // The full-page images must be measured first, so that they do not hide bytes of the same interval.
    let before = shows(&engine, cluster, |seen| {
        seen.sql.wal_records > empty.sql.wal_records + 500
            && seen.storage_bytes > empty.storage_bytes + 5 * MIB
    })
    .await;
    let fill = "CREATE TABLE t (n int PRIMARY KEY, s text);
                INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 5000) AS n";
    run(&engine, cluster, "own", fill).await;
    // Files are counted less often than rows.
    let full = shows(&engine, cluster, |seen| {
        seen.sql.tuples_written >= empty.sql.tuples_written + 5000
            && seen.storage_bytes > before.storage_bytes + 5 * MIB
    })
    .await;
    let grown = full.storage_bytes - before.storage_bytes;
    assert!((5 * MIB..9 * MIB).contains(&grown), "{grown}");
    let full = shows(&engine, cluster, |seen| seen.sql.wal_bytes >= before.sql.wal_bytes + 5000 * 1000).await;
    assert!(full.sql.wal_bytes < before.sql.wal_bytes + 4 * 5000 * 1000, "{full:?}");
    assert!(full.sql.wal_records >= before.sql.wal_records + 10_000);
    assert_eq!((&full.sql.epoch, &full.cpu.epoch), (&empty.sql.epoch, &empty.cpu.epoch));

    let own = sql(&engine, cluster, "max", "own").await.unwrap();
    for _ in 0..100 {
        own.query("SELECT s FROM t WHERE n = 7", &[]).await.unwrap();
    }
    own.query("SELECT count(s) FROM t", &[]).await.unwrap();
    drop(own);
    let read = shows(&engine, cluster, |seen| {
        seen.sql.transactions >= full.sql.transactions + 101
            && seen.sql.tuples_fetched >= full.sql.tuples_fetched + 100
            && seen.sql.tuples_returned >= full.sql.tuples_returned + 5000
            && seen.sql.blocks_read >= full.sql.blocks_read + 5000 / 8
    })
    .await;
    run(&engine, cluster, "own", "TRUNCATE t").await;
    shows(&engine, cluster, |seen| seen.storage_bytes + 5 * MIB <= full.storage_bytes).await;
    // The counters of a dropped database disappear.
    run(&engine, cluster, "defaultdb", "ALTER DATABASE own IS_TEMPLATE false").await;
    run(&engine, cluster, "defaultdb", "DROP DATABASE own WITH (FORCE)").await;
    let dropped = shows(&engine, cluster, |seen| seen.storage_bytes < MIB).await;
    assert!(dropped.sql.tuples_written < read.sql.tuples_written);
    assert_eq!(dropped.sql.epoch, read.sql.epoch);
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_databases_and_undelivered_notifications_count_as_storage() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    let cluster = plan.cluster;
    ready(&engine, &plan).await;
    user(&engine, cluster, "max").await;
    let empty = measure(&engine, cluster).await.storage_bytes;
    let max = sql(&engine, cluster, "max", "defaultdb").await.unwrap();
    for number in 0..5 {
        max.batch_execute(&format!("CREATE DATABASE d{number}")).await.unwrap();
    }
    let databases = shows(&engine, cluster, |seen| seen.storage_bytes >= empty + 5 * 6 * MIB).await;

    // The transaction keeps the listener from receiving anything.
    max.batch_execute("LISTEN channel").await.unwrap();
    max.batch_execute("BEGIN; SELECT 1").await.unwrap();
    let sender = sql(&engine, cluster, "max", "defaultdb").await.unwrap();
    let send = "SELECT pg_notify('channel', n || repeat('x', 7900)) FROM generate_series(1, 2000) n";
    sender.batch_execute(send).await.unwrap();
    shows(&engine, cluster, |seen| seen.storage_bytes >= databases.storage_bytes + 12 * MIB).await;
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn measurements_are_not_counted() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    ready(&engine, &plan).await;
    let first = measure(&engine, plan.cluster).await;
    let mut last = first.clone();
    for _ in 0..100 {
        last = measure(&engine, plan.cluster).await;
    }
    assert_eq!(last.sql.transactions, first.sql.transactions);
    assert_eq!(last.sql.tuples_returned, first.sql.tuples_returned);
    if engine.capabilities().cpu_unbounded.is_none() {
        // A measurement takes the server more than two milliseconds.
        assert!(last.cpu.micros < first.cpu.micros + 100_000, "{first:?} {last:?}");
    }
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cpu_time_grows_with_work_and_restarts_with_the_server() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    ready(&engine, &plan).await;
    user(&engine, plan.cluster, "max").await;
    let before = engine.cpu(plan.cluster).await.unwrap();
    let max = sql(&engine, plan.cluster, "max", "defaultdb").await.unwrap();
    let work = "SELECT count(*) FROM generate_series(1, 2000000)";
    let after = until("half a second of CPU", || async {
        max.query(work, &[]).await.unwrap();
        let now = engine.cpu(plan.cluster).await.unwrap();
        assert_eq!(now.epoch, before.epoch);
        (now.micros >= before.micros + 500_000).then_some(now)
    })
    .await;
    // Processes that have ended still count.
    drop(max);
    assert!(engine.cpu(plan.cluster).await.unwrap().micros >= after.micros);
    suspended(&engine, &InstancePlan { power: Power::Off, ..plan.clone() }).await;
    ready(&engine, &plan).await;
    let anew = engine.cpu(plan.cluster).await.unwrap();
    assert_ne!(anew.epoch, before.epoch);
    assert!(anew.micros < 500_000, "{anew:?}");
    engine.close(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_survive_suspension_and_adoption_but_not_a_crash() {
    let folder = Folder::new();
    let engine = postgres(&folder, 0).await;
    let plan = plan(&engine, new_cluster());
    let cluster = plan.cluster;
    ready(&engine, &plan).await;
    user(&engine, cluster, "max").await;
    let max = sql(&engine, cluster, "max", "defaultdb").await.unwrap();
    max.batch_execute("CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 1000)").await.unwrap();
    drop(max);
    let before = shows(&engine, cluster, |seen| seen.sql.tuples_written >= 1000).await;
    suspended(&engine, &InstancePlan { power: Power::Off, ..plan.clone() }).await;
    ready(&engine, &plan).await;
    let woken = measure(&engine, cluster).await;
    not_smaller(&before, &woken);
    engine.close(true).await;
    drop(engine);

    let engine = postgres(&folder, 0).await;
    let mut adopted = measure(&engine, cluster).await;
    adopted.sql.wal_bytes = adopted.sql.wal_bytes.max(woken.sql.wal_bytes);
    not_smaller(&woken, &adopted);
    assert_eq!(adopted.cpu.epoch, woken.cpu.epoch);
    assert!(adopted.cpu.micros >= woken.cpu.micros);
    signal(engine.observe(cluster).await.unwrap().nodes[0].pid.unwrap(), Signal::KILL);
    until("down", || async { engine.endpoint(cluster).await.is_err().then_some(()) }).await;
    ready(&engine, &plan).await;
    let crashed = measure(&engine, cluster).await;
    assert_ne!(crashed.sql.epoch, adopted.sql.epoch);
    assert_ne!(crashed.cpu.epoch, adopted.cpu.epoch);
    assert!(crashed.sql.tuples_written < 1000, "{crashed:?}");
    engine.close(false).await;
}

fn not_smaller(before: &Measure, after: &Measure) {
    assert_eq!(before.sql.epoch, after.sql.epoch);
    let all = |measure: &Measure| {
        let sql = &measure.sql;
        [
            sql.transactions,
            sql.tuples_returned,
            sql.tuples_fetched,
            sql.tuples_written,
            sql.blocks_read,
            sql.wal_records,
            sql.wal_bytes,
        ]
    };
    let smaller = all(before).iter().zip(all(after)).any(|(before, after)| *before > after);
    assert!(!smaller, "{before:?} {after:?}");
}
