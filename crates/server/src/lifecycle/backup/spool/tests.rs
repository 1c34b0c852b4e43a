#![allow(clippy::unwrap_used)]

use super::*;
use crate::lifecycle::backup::tests::World;
use ootheca_engine::Engine;
use ootheca_model::backup::BackupConfiguration;
use std::fs;

const HOUR: i64 = 3600;
/// More segments than a base can be followed by.
const MANY: usize = 70;

impl World {
    async fn schedule_backups(&self, enabled: bool) {
        let configuration = BackupConfiguration {
            enabled,
            frequency_minutes: 60,
            retention_days: 30,
            retention_changed: false,
            enabled_at: None,
        };
        self.change(|cluster| cluster.backup = Some(configuration)).await;
    }

    /// Lets many segments wait, and returns how many are left after a turn.
    async fn trim_many(&self) -> usize {
        for number in 0..MANY {
            self.add(&format!("database-{number}")).await;
            self.engine.end_segment(self.cluster, 0).await.unwrap();
        }
        trim(&self.lifecycle, &self.lease()).await.unwrap();
        self.engine.segments(self.cluster, 0).await.unwrap().len()
    }

    /// Visits until the failure of an attempt that finds that what it knew is outdated was repeated.
    async fn visit_twice(&mut self) {
        for _ in 0..2 {
            self.schedule.retry_all();
            self.visit().await;
        }
    }
}

#[tokio::test]
async fn much_waiting_wal_is_stored_ahead_of_the_next_backup() {
    let mut world = World::new().await;
    world.schedule_backups(true).await;
    let first = world.first().await;
    assert_eq!(world.trim_many().await, 0);
    assert_eq!((world.objects("wal").len(), world.points().await.len()), (MANY, 1));
    for is_restarted in [false, true] {
        if is_restarted {
            // What was stored is not forgotten.
            world.restart().await;
        }
        world.advance(HOUR).await;
        world.visit_twice().await;
    }
    let points = world.points().await;
    assert!(points.iter().all(|point| point.base == first.base), "the WAL is without a gap");
    assert!(points[1].last_segment > first.last_segment);
    assert_eq!(world.objects("wal").len(), MANY, "nothing was written since");
}

#[tokio::test]
async fn too_much_waiting_wal_is_removed_while_backups_are_disabled() {
    let mut world = World::new().await;
    world.schedule_backups(true).await;
    let first = world.first().await;
    world.schedule_backups(false).await;
    assert_eq!(world.trim_many().await, 0);
    assert_eq!(world.objects("wal").len(), 0);
    world.schedule_backups(true).await;
    world.advance(HOUR).await;
    world.visit_twice().await;
    let points = world.points().await;
    assert_eq!(points.len(), 2);
    assert_ne!(points[1].base, first.base);
}

#[tokio::test]
async fn too_much_waiting_wal_is_removed_while_the_repository_is_away() {
    let mut world = World::new().await;
    world.schedule_backups(true).await;
    let first = world.first().await;
    let base = world.objects("base").pop().unwrap();
    let repository = base.ancestors().find(|folder| folder.ends_with("backups")).unwrap().to_owned();
    let away = repository.with_file_name("away");
    fs::rename(&repository, &away).unwrap();
    world.restart().await;
    assert_eq!(world.trim_many().await, 0);
    fs::rename(&away, &repository).unwrap();
    world.restart().await;
    world.advance(HOUR).await;
    world.visit_twice().await;
    let points = world.points().await;
    assert_eq!(points.len(), 2);
    assert_ne!(points[1].base, first.base);
}
