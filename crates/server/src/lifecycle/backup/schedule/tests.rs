#![allow(clippy::unwrap_used)]

use super::*;
use crate::lifecycle::backup::{COPIED_AT_ONCE, tests::World};
use tokio::{task::yield_now, time::timeout};

const DAY: i64 = 24 * 3600;
/// Longer than the delay after which a BASIC cluster has the condition.
const TWO_DAYS: Duration = Duration::from_secs(2 * 24 * 3600);

fn backup_failed(world: &World, cluster: ClusterId) -> Option<String> {
    let condition = world.lifecycle.backups.condition(cluster, Condition::BACKUP_FAILED);
    condition.map(|condition| condition.message)
}

/// Advances the clock by which delays of running backups are measured.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

async fn all_wait(schedule: &Schedule) {
    let waiting = async {
        while schedule.running.values().any(|running| running.work.elapsed().is_some()) {
            yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), waiting).await.unwrap();
}

#[tokio::test]
async fn waiting_for_backups_of_other_clusters_is_no_failure() {
    let mut world = World::new().await;
    world.first().await;
    world.add("one").await;
    let mut clusters = vec![world.cluster];
    for number in 0..AT_ONCE {
        clusters.push(world.create(&format!("other-{number}")).await);
    }
    let lifecycle = world.lifecycle.clone();
    let mut copies = Vec::new();
    for _ in 0..COPIED_AT_ONCE {
        copies.push(lifecycle.backups.begin_copy().await.unwrap());
    }
    world.advance(4 * DAY).await;
    world.schedule.visit().await;
    assert_eq!(world.schedule.running.len(), AT_ONCE);
    assert!(world.schedule.work_of(world.cluster).is_none(), "it waits for one of the others to end");
    all_wait(&world.schedule).await;
    pass(TWO_DAYS).await;
    world.schedule.visit().await;
    for cluster in clusters {
        assert_eq!(backup_failed(&world, cluster), None);
    }
    drop(copies);
    world.visit().await;
    world.visit().await;
    assert_eq!(world.points().await.len(), 2 + AT_ONCE);
}

#[tokio::test]
async fn a_backup_that_does_not_end_is_a_failure() {
    let mut world = World::new().await;
    world.first().await;
    world.advance(3 * DAY).await;
    world.schedule.visit().await;
    pass(TWO_DAYS).await;
    world.schedule.visit().await;
    let message = backup_failed(&world, world.cluster).unwrap();
    assert!(message.contains("it is still being taken"), "{message}");
    world.visit().await;
    world.visit().await;
    assert_eq!(backup_failed(&world, world.cluster), None);
}
