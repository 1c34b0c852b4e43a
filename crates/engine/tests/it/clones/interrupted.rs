//! What changes while data is copied.

use super::{
    at_epoch, data_of, destination, max, no_backup_is_left, nothing_else_is_left, numbers, off, source,
    source_of, with_numbers,
};
use crate::{
    fixture::{Fixture, kind},
    support::{Driver, LIMIT, gone, processes_below, ready_again, signal, suspended, until},
};
use ootheca_engine::Engine;
use ootheca_model::{
    ErrorKind, Result,
    instance::{InstancePlan, Removal},
};
use parking_lot::Mutex;
use rustix::process::Signal;
use std::sync::{Arc, mpsc};
use tokio::{sync::Notify, time::timeout};

/// Keeps the copy waiting until it is dropped.
type Pause = mpsc::Sender<()>;

/// Clones the data of a cluster, and runs `change` once the copy has begun. Returns the result of the clone.
async fn clone_during(
    engine: &dyn Engine,
    from: &InstancePlan,
    to: &InstancePlan,
    change: impl AsyncFnOnce(Pause),
) -> Result<()> {
    let (pause, ended) = mpsc::channel();
    let (begun, ended) = (Arc::new(Notify::new()), Mutex::new(ended));
    let source = source(from, {
        let begun = begun.clone();
        move |_| {
            begun.notify_one();
            // An error means that the pause has ended.
            let _ = ended.lock().recv();
        }
    });
    let change = async {
        timeout(LIMIT, begun.notified()).await.unwrap();
        change(pause).await;
    };
    tokio::join!(engine.stage(to.cluster, 1, &source, None), change).0
}

/// Checks that nothing is left of an interrupted clone, and that it can be repeated.
async fn can_be_repeated(fixture: &Fixture, from: &InstancePlan, to: &InstancePlan) {
    let engine = &*fixture.engine;
    nothing_else_is_left(&fixture.folder, engine, 2).await;
    ready_again(engine, from).await;
    no_backup_is_left(engine, from.cluster).await;
    engine.stage(to.cluster, 1, &source_of(from), None).await.unwrap();
    assert_eq!(numbers(engine, &at_epoch(to, 1)).await, (5, 5));
    no_backup_is_left(engine, from.cluster).await;
    gone(engine, to.cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_does_not_delay_a_suspension() {
    let fixture = Fixture::new(Driver::Postgres).await;
    let engine = &*fixture.engine;
    let (from, to) = (with_numbers(engine, 5).await, destination(engine).await);
    let cloned = clone_during(engine, &from, &to, async |_pause| {
        suspended(engine, &off(&from)).await;
    })
    .await;
    assert_eq!(kind(cloned), ErrorKind::Unavailable);
    can_be_repeated(&fixture, &from, &to).await;
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_does_not_delay_a_start() {
    let fixture = Fixture::new(Driver::Postgres).await;
    let engine = &*fixture.engine;
    let (from, to) = (with_numbers(engine, 5).await, destination(engine).await);
    suspended(engine, &off(&from)).await;
    let cloned = clone_during(engine, &off(&from), &to, async |_pause| {
        ready_again(engine, &from).await;
    })
    .await;
    assert_eq!(kind(cloned), ErrorKind::Unavailable);
    can_be_repeated(&fixture, &from, &to).await;
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_crashes_during_a_copy_interrupts_it() {
    let fixture = Fixture::new(Driver::Postgres).await;
    let engine = &*fixture.engine;
    let (from, to) = (with_numbers(engine, 5).await, destination(engine).await);
    let data = data_of(engine, from.cluster, 0).await;
    let cloned = clone_during(engine, &from, &to, async |_pause| {
        until("killed", || async {
            let left = processes_below(&data);
            left.iter().for_each(|pid| signal(*pid, Signal::KILL));
            left.is_empty().then_some(())
        })
        .await;
    })
    .await;
    assert_eq!(kind(cloned), ErrorKind::Unavailable);
    can_be_repeated(&fixture, &from, &to).await;
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_can_be_removed_during_a_copy() {
    let fixture = Fixture::new(Driver::Postgres).await;
    let engine = &*fixture.engine;
    for is_suspended in [false, true] {
        let (from, to) = (with_numbers(engine, 5).await, destination(engine).await);
        if is_suspended {
            suspended(engine, &off(&from)).await;
        }
        let cloned = clone_during(engine, &from, &to, async |_pause| gone(engine, from.cluster).await);
        assert_eq!(kind(cloned.await), ErrorKind::Unavailable);
        nothing_else_is_left(&fixture.folder, engine, 1).await;
        let again = engine.stage(to.cluster, 1, &source_of(&from), None).await;
        assert_eq!(kind(again), ErrorKind::NotFound);
        gone(engine, to.cluster).await;
    }
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_destination_can_be_removed_during_a_copy() {
    let fixture = Fixture::new(Driver::Postgres).await;
    let engine = &*fixture.engine;
    let (from, to) = (with_numbers(engine, 5).await, destination(engine).await);
    let cloned = clone_during(engine, &from, &to, async |_pause| {
        assert_eq!(engine.remove(to.cluster).await.unwrap(), Removal::Going, "it waits for the copy");
    })
    .await;
    assert_eq!(kind(cloned), ErrorKind::Unavailable);
    gone(engine, to.cluster).await;
    nothing_else_is_left(&fixture.folder, engine, 1).await;
    no_backup_is_left(engine, from.cluster).await;
    assert_eq!(numbers(engine, &from).await, (5, 5));
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_closes_interrupts_a_copy() {
    let mut fixture = Fixture::new(Driver::Postgres).await;
    let engine = &*fixture.engine;
    let (from, to) = (with_numbers(engine, 5).await, destination(engine).await);
    let cloned = clone_during(engine, &from, &to, async |pause| {
        // The first begins to close before the second is polled.
        tokio::join!(engine.close(true), async { drop(pause) });
    })
    .await;
    assert_eq!(kind(cloned), ErrorKind::Unavailable);
    fixture.restart(true).await;
    ready_again(&*fixture.engine, &to).await;
    can_be_repeated(&fixture, &from, &to).await;
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_keeps_little_wal_for_a_long_copy() {
    let fixture = Fixture::new(Driver::Postgres).await;
    let engine = &*fixture.engine;
    let (from, to) = (with_numbers(engine, 0).await, destination(engine).await);
    let session = max(engine, from.cluster).await;
    let kept = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint FROM pg_replication_slots";
    let insert = "INSERT INTO t SELECT n, repeat('x', 2000) FROM generate_series(1, 12000) n";
    let cloned = clone_during(engine, &from, &to, async |_pause| {
        // In total more than a server keeps.
        for _ in 0..4 {
            session.batch_execute(insert).await.unwrap();
            until("the WAL is copied", || async {
                let row = session.query_one(kept, &[]).await.unwrap();
                (row.get::<_, i64>(0) < 4 << 20).then_some(())
            })
            .await;
        }
    })
    .await;
    cloned.unwrap();
    assert_eq!(numbers(engine, &at_epoch(&to, 1)).await, (48_000, 12_000));
    no_backup_is_left(engine, from.cluster).await;
    fixture.close().await;
}
