#![allow(clippy::unwrap_used)]

use super::*;
use crate::lifecycle::backup::tests::World;
use ootheca_model::backup::{BackupConfiguration, RecoveryPoint};
use std::{fs, path::PathBuf};

const HOUR: i64 = 3600;
const URL: &str = "s3://bucket/prefix";

impl World {
    /// A cluster with backups every hour and a first one, which has changed since. Also returns the directory of the
    /// repository.
    async fn with_a_backup() -> (Self, RecoveryPoint, PathBuf) {
        let mut world = Self::new().await;
        let configuration = BackupConfiguration {
            enabled: true,
            frequency_minutes: 60,
            retention_days: 30,
            retention_changed: false,
            enabled_at: None,
        };
        world.change(|cluster| cluster.backup = Some(configuration)).await;
        let point = world.first().await;
        world.add("one").await;
        let base = world.objects("base").pop().unwrap();
        let repository = base.ancestors().find(|folder| folder.ends_with("backups")).unwrap().to_owned();
        (world, point, repository)
    }

    fn backup_failed(&self) -> Option<String> {
        let condition = self.lifecycle.backups.condition(self.cluster, Condition::BACKUP_FAILED);
        condition.map(|condition| condition.message)
    }
}

#[tokio::test]
async fn a_cluster_has_the_condition_while_its_backup_is_long_overdue() {
    let (mut world, point, repository) = World::with_a_backup().await;
    let away = repository.with_file_name("away");
    fs::rename(&repository, &away).unwrap();
    world.advance(HOUR).await;
    world.visit().await;
    world.visit().await;
    assert_eq!(world.backup_failed(), None, "it is not late enough");
    world.advance(HOUR).await;
    world.visit().await;
    let message = world.backup_failed().unwrap();
    let due = point.unchanged_until.after(Duration::from_secs(3600));
    for part in [due.to_string(), point.unchanged_until.to_string()] {
        assert!(message.contains(&part), "{message}");
    }
    assert!(!message.contains(repository.to_str().unwrap()), "{message}");

    // The next server with the lease continues.
    world.restart().await;
    world.visit().await;
    assert_eq!(world.backup_failed(), Some(message), "nothing is forgotten");
    fs::rename(&away, &repository).unwrap();
    world.restart().await;
    world.visit().await;
    assert_eq!(world.points().await.len(), 2);
    world.visit().await;
    assert_eq!(world.backup_failed(), None);
    world.restart().await;
    world.visit().await;
    assert_eq!(world.backup_failed(), None);
}

#[tokio::test]
async fn time_in_which_no_server_ran_is_no_failure() {
    let (mut world, _, repository) = World::with_a_backup().await;
    world.advance(100 * HOUR).await;
    world.restart().await;
    fs::rename(&repository, repository.with_file_name("away")).unwrap();
    // The backup is only tried after the conditions were found.
    world.visit().await;
    assert_eq!(world.backup_failed(), None);
    world.visit().await;
    assert!(world.backup_failed().is_some());
}

#[tokio::test]
async fn disabled_backups_are_not_overdue() {
    let (mut world, _, repository) = World::with_a_backup().await;
    fs::rename(&repository, repository.with_file_name("away")).unwrap();
    world.advance(3 * HOUR).await;
    world.visit().await;
    world.visit().await;
    assert!(world.backup_failed().is_some());
    world.change(|cluster| cluster.backup.as_mut().unwrap().enabled = false).await;
    world.visit().await;
    assert_eq!(world.backup_failed(), None);
}

#[tokio::test]
async fn servers_without_the_lease_show_what_the_one_with_it_has_found() {
    let world = World::new().await;
    let (context, lease, id) = (&*world.lifecycle.context, world.lease(), world.cluster);
    let leader = Conditions::default();
    leader.begin(context, &lease).await.unwrap();
    leader.set(id, Condition::BACKUP_FAILED, Some("one".to_owned()));
    leader.set(id, Condition::BACKUP_DAMAGED, Some("two".to_owned()));
    leader.save(context, &lease).await;

    let follower = Conditions::default();
    follower.reread(context).await.unwrap();
    assert_eq!(follower.get(id, Condition::BACKUP_FAILED), None, "it has the lease");
    context.lease.send_replace(None);
    follower.reread(context).await.unwrap();
    let shown = follower.shown.lock().clone();
    let kinds: Vec<&str> = shown[&id].iter().map(|condition| condition.kind.as_str()).collect();
    assert_eq!(kinds, [Condition::BACKUP_DAMAGED, Condition::BACKUP_FAILED]);
    assert_eq!(shown, *leader.shown.lock());

    leader.retain(Condition::BACKUP_DAMAGED, |_| false);
    leader.save(context, &lease).await;
    leader.set(id, Condition::BACKUP_FAILED, None);
    follower.reread(context).await.unwrap();
    assert_eq!(follower.get(id, Condition::BACKUP_DAMAGED), None);
    let left = follower.get(id, Condition::BACKUP_FAILED).unwrap();
    assert_eq!(left.message, "one", "its removal is not stored yet");
    leader.save(context, &lease).await;
    follower.reread(context).await.unwrap();
    assert!(follower.shown.lock().is_empty());
}

#[test]
fn reasons_contain_neither_addresses_nor_internal_errors() {
    let of = |kind, message: &str| reason(&Error::new(kind, message), URL);
    let of_repository = |what: &str| of(ErrorKind::Unavailable, &format!("backup repository {URL}: {what}"));
    assert_eq!(
        of_repository("could not store clusters/1/0/wal/2: no space left on the disk"),
        "the backup repository can't be used: no space left on the disk"
    );
    for other in
        ["could not store clusters/1/0/wal/2", "the directory is missing or empty", "it is encrypted: 1"]
    {
        assert_eq!(
            of_repository(other),
            "the backup repository can't be used; the log of the server has the reason"
        );
    }
    let hidden = [
        of(ErrorKind::Unavailable, "could not connect to /run/1"),
        of(ErrorKind::Internal, "cannot read /data/1: denied"),
    ];
    let refers_to_log = |reason: &String| reason.ends_with("the log of the server has the reason");
    assert!(hidden.iter().all(refers_to_log), "{hidden:?}");
    assert!(!hidden.concat().contains('/'), "{hidden:?}");
}
