#![allow(clippy::unwrap_used)]

use super::*;
use crate::lifecycle::backup::tests::World;
use ootheca_model::backup::BackupConfiguration;
use std::{fs, time::SystemTime};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

impl World {
    /// A cluster with backups every hour, three of which share a base and need 0, 1, and 2 WAL segments.
    async fn with_chain() -> Self {
        let mut world = Self::new().await;
        let configuration = BackupConfiguration {
            enabled: true,
            frequency_minutes: 60,
            retention_days: 30,
            retention_changed: false,
            enabled_at: None,
        };
        world.change(|cluster| cluster.backup = Some(configuration)).await;
        world.first().await;
        for name in ["one", "two"] {
            world.add(name).await;
            world.advance(HOUR).await;
            world.visit().await;
        }
        assert_eq!((world.objects("base").len(), world.objects("wal").len()), (1, 2));
        world
    }

    async fn verify_after_a_week(&self) {
        self.advance(WEEK).await;
        turn(&self.lifecycle, &self.lease()).await;
    }

    async fn damaged(&self) -> Vec<bool> {
        self.points().await.iter().map(|point| point.damaged).collect()
    }

    fn condition(&self) -> Option<Condition> {
        self.lifecycle.backups.condition(self.cluster, Condition::BACKUP_DAMAGED)
    }
}

#[tokio::test]
async fn everything_is_verified_once_a_week() {
    let world = World::with_chain().await;
    let base = world.points().await[0].base.clone();
    let intact = || world.lifecycle.backups.counts().intact;
    turn(&world.lifecycle, &world.lease()).await;
    assert_eq!(intact(), 0, "not due yet");
    for count in 1..3 {
        world.verify_after_a_week().await;
        turn(&world.lifecycle, &world.lease()).await;
        assert_eq!(intact(), count);
    }
    let verified: Stored<Base> = world.find(&base).await;
    assert!(verified.value.verified_at.is_some() && !verified.value.damaged, "{verified:?}");
    assert_eq!((verified.row.ended_at, world.damaged().await), (None, vec![false; 3]));
}

#[tokio::test]
async fn a_damaged_base_affects_all_of_its_recovery_points_and_is_replaced_at_once() {
    let mut world = World::with_chain().await;
    fs::write(&world.objects("base")[0], "damaged").unwrap();
    world.verify_after_a_week().await;
    assert_eq!(world.damaged().await, [true; 3]);
    assert_eq!(world.lifecycle.backups.counts().damaged, 1);
    let points = world.points().await;
    let message = world.condition().unwrap().message;
    for time in [points[0].as_of_time, points[2].unchanged_until] {
        assert!(message.contains(&time.to_string()), "{message}");
    }
    world.restart().await;
    turn(&world.lifecycle, &world.lease()).await;
    assert_eq!(world.condition().unwrap().message, message, "after a restart");
    world.visit().await;
    assert_eq!(world.damaged().await, [true, true, true, false]);
    let newest = world.points().await.pop().unwrap();
    assert_ne!(newest.base, points[0].base);
}

#[tokio::test]
async fn the_condition_holds_until_the_damaged_backups_have_expired() {
    let mut world = World::with_chain().await;
    fs::write(&world.objects("base")[0], "damaged").unwrap();
    world.verify_after_a_week().await;
    let condition = world.condition();
    assert!(condition.is_some());
    world.visit().await;
    assert_eq!(world.damaged().await, [true, true, true, false]);
    assert_eq!(world.condition(), condition, "after a new backup");
    world.verify_after_a_week().await;
    assert_eq!(world.condition(), condition, "after the next verification");
    world.advance(17 * DAY).await;
    retention::turn(&world.lifecycle, &world.lease()).await;
    assert_eq!(world.damaged().await, [false]);
    turn(&world.lifecycle, &world.lease()).await;
    assert_eq!(world.condition(), None);
}

#[tokio::test]
async fn missing_wal_affects_the_recovery_points_that_need_it_until_it_is_back() {
    let world = World::with_chain().await;
    let segment = world.objects("wal").pop().unwrap();
    let content = fs::read(&segment).unwrap();
    fs::remove_file(&segment).unwrap();
    world.verify_after_a_week().await;
    assert_eq!(world.damaged().await, [false, false, true]);
    assert!(world.condition().is_some());
    fs::write(&segment, content).unwrap();
    world.verify_after_a_week().await;
    assert_eq!(world.damaged().await, [false; 3]);
    assert_eq!(world.condition(), None);
}

#[tokio::test]
async fn damaged_wal_affects_the_recovery_points_from_there_on() {
    let world = World::with_chain().await;
    fs::write(&world.objects("wal")[0], "").unwrap();
    world.verify_after_a_week().await;
    assert_eq!(world.damaged().await, [false, true, true]);
}

#[tokio::test]
async fn damage_of_an_older_base_sets_the_condition() {
    let mut world = World::with_chain().await;
    world.add("three").await;
    let old = world.objects("base").pop().unwrap();
    world.advance(WEEK).await;
    world.visit().await;
    assert_eq!(world.objects("base").len(), 2);
    fs::remove_file(old).unwrap();
    turn(&world.lifecycle, &world.lease()).await;
    assert_eq!(world.damaged().await, [true, true, true, false]);
    let (points, message) = (world.points().await, world.condition().unwrap().message);
    for time in [points[0].as_of_time, points[2].unchanged_until] {
        assert!(message.contains(&time.to_string()), "{message}");
    }
}

#[tokio::test]
async fn the_base_of_an_interrupted_backup_is_removed_although_the_cluster_does_not_change() {
    let world = World::with_chain().await;
    let bases = world.objects("base");
    let orphan = bases[0].with_file_name(crate::ids::fresh_id().to_string());
    fs::copy(&bases[0], &orphan).unwrap();
    let changed = SystemTime::now() - Duration::from_secs(2 * 86_400);
    fs::File::open(&orphan).unwrap().set_modified(changed).unwrap();
    world.verify_after_a_week().await;
    assert_eq!((world.objects("base"), world.lifecycle.backups.counts().intact), (bases, 1));
}

#[tokio::test]
async fn damaged_wal_between_two_bases_ends_the_chain_of_the_first_one() {
    let mut world = World::with_chain().await;
    world.add("three").await;
    world.advance(WEEK).await;
    world.visit().await;
    assert_eq!((world.objects("base").len(), world.objects("wal").len()), (2, 3));
    let first = world.points().await[0].base.clone();
    let is_ended = async |world: &World| world.find::<Base>(&first).await.row.ended_at.is_some();
    turn(&world.lifecycle, &world.lease()).await;
    assert!(!is_ended(&world).await, "it is intact");
    fs::remove_file(world.objects("wal").pop().unwrap()).unwrap();
    world.verify_after_a_week().await;
    assert!(is_ended(&world).await);
    assert_eq!(world.damaged().await, [false; 4], "no backup needs it");
    assert_eq!(world.condition(), None);
}

#[tokio::test]
async fn a_repository_that_is_away_is_not_damaged() {
    let world = World::with_chain().await;
    let base = world.objects("base").pop().unwrap();
    let repository = base.ancestors().find(|folder| folder.ends_with("backups")).unwrap();
    let away = repository.with_file_name("away");
    fs::rename(repository, &away).unwrap();
    world.verify_after_a_week().await;
    let counts = world.lifecycle.backups.counts();
    assert_eq!((counts.intact, counts.damaged, counts.not_verified), (0, 0, 1));
    fs::rename(&away, repository).unwrap();
    turn(&world.lifecycle, &world.lease()).await;
    assert_eq!((world.lifecycle.backups.counts().intact, world.damaged().await), (1, vec![false; 3]));
}

#[tokio::test]
async fn nothing_is_recorded_after_the_lease_is_lost() {
    let world = World::with_chain().await;
    let lost = world.lease();
    fs::write(&world.objects("base")[0], "damaged").unwrap();
    world.advance(WEEK).await;
    let (ttl, now) = (Duration::from_secs(15), world.lifecycle.context.now());
    world.store().lease("reconcile", "another server", None, ttl, now).await.unwrap().unwrap();
    turn(&world.lifecycle, &lost).await;
    assert_eq!((world.damaged().await, world.condition()), (vec![false; 3], None));
}
