//! Copies the control store to the repository, so that `ootheca recover` can begin with it.
//!
//! A copy is taken after each change, but not more often than every five minutes, and only once there are backups. It is
//! taken after recovery points are committed, so the newest copy leads to them.

use crate::{
    lifecycle::{Lifecycle, backoff},
    private_files,
};
use ootheca_backups::Repository;
use ootheca_model::{Error, Result, Timestamp};
use ootheca_store::{Kind, Query};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{
    fs,
    sync::watch,
    time::{Instant, sleep_until},
};

/// The shortest time between two copies.
const INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Copies take at most this part of the time, however large the store is.
const PART: u32 = 20;
/// When to try again after a failure, and when to look for the first backup again.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// How often to check whether a copy is due.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// The copy in the data directory, until it is stored.
const FILE: &str = "control-copy.db";

/// The loop of the server that holds the lease. Ends when `stop` is true.
pub async fn run(lifecycle: Arc<Lifecycle>, mut stop: watch::Receiver<bool>) {
    if !lifecycle.context.settings.backups.enabled {
        return;
    }
    let mut changes = lifecycle.context.store.changes();
    let mut leases = lifecycle.context.lease.subscribe();
    let mut clock = lifecycle.context.clock_moved.subscribe();
    let mut copies = Copies::new(lifecycle);
    loop {
        let holds_lease = leases.borrow_and_update().is_some();
        let work = async {
            if holds_lease {
                copies.visit().await;
            }
            tokio::select! {
                // A hint that was lost may have been about a change.
                _ = changes.recv() => copies.changed = true,
                _ = clock.changed() => {}
                _ = leases.changed() => {}
                () = sleep_until(Instant::now() + CHECK_INTERVAL) => {}
            }
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = work => {}
        }
    }
}

/// What is known about the copies.
struct Copies {
    lifecycle: Arc<Lifecycle>,
    /// Whether the store may have changed since the last copy.
    changed: bool,
    /// No copy is taken before.
    not_before: Timestamp,
    retry_at: Instant,
    /// The number of failures since the last success.
    failures: u32,
}

impl Copies {
    fn new(lifecycle: Arc<Lifecycle>) -> Self {
        let not_before = Timestamp(i64::MIN);
        Self { lifecycle, changed: true, not_before, retry_at: Instant::now(), failures: 0 }
    }

    /// Takes a copy if it is time for one. A failure is reported once.
    async fn visit(&mut self) {
        let now = self.lifecycle.context.now();
        if !self.changed || now < self.not_before || Instant::now() < self.retry_at {
            return;
        }
        match self.turn(now).await {
            Ok(()) => {
                self.retry_at = Instant::now() + RETRY;
                if std::mem::take(&mut self.failures) > 0 {
                    tracing::info!("the control store is copied to the backup repository again");
                }
            }
            Err(error) => {
                self.changed = true;
                self.failures = self.failures.saturating_add(1);
                self.retry_at = Instant::now() + backoff::pause(self.failures, RETRY, LONGEST_RETRY);
                if self.failures == 3 {
                    tracing::warn!(
                        error = error.chain(),
                        "control store not copied to the backup repository"
                    );
                }
            }
        }
    }

    async fn turn(&mut self, now: Timestamp) -> Result<()> {
        let context = &self.lifecycle.context;
        // Without backups, there is nothing to recover, and the repository may not exist yet.
        let backups = Query { limit: 1, ..Query::all(Kind::BackupBase) };
        if context.store.list(&backups).await?.is_empty() {
            return Ok(());
        }
        let repository = self.lifecycle.backups.repository(context).await?;
        let last = repository.control_copies().await?.last().copied();
        // If the clock was set back, the last copy seems to be later.
        let due = last.filter(|last| *last <= now).map(|last| last.after(INTERVAL));
        if let Some(due) = due.filter(|due| *due > now) {
            self.not_before = due;
            return Ok(());
        }
        let time = last.map_or(now, |last| now.max(last.after(Duration::from_millis(1))));
        self.changed = false;
        let began = Instant::now();
        let file = context.settings.data_dir.join(FILE);
        let stored = store(&self.lifecycle, &repository, &file, time).await;
        // The next copy replaces the file if it is not removed.
        let _ = fs::remove_file(&file).await;
        stored?;
        self.not_before = now.after(INTERVAL.max(began.elapsed() * PART));
        repository.remove_outdated_control_copies().await
    }
}

async fn store(lifecycle: &Lifecycle, repository: &Repository, file: &Path, time: Timestamp) -> Result<()> {
    let settings = &lifecycle.context.settings;
    let files = private_files::row(&settings.data_dir, time)?;
    ootheca_store::copy(&settings.store_url(), file, vec![files]).await?;
    let content = fs::File::open(file).await;
    let content = content.map_err(|error| Error::unavailable("could not read the copy").because(error))?;
    repository.put_control_copy(time, content).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        documents::{self, Stored},
        ids::fresh_id,
        lifecycle::backup::tests::World,
        recovery::recover,
        settings::Settings,
    };
    use ootheca_model::{
        Cluster, ClusterState, Organization, OrganizationId,
        backup::{
            Base, NewRestore, RecoveryPoint, Restore, RestoreOptions, RestoreStatus, RestoreType,
            create_restore,
        },
    };
    use ootheca_store::{Batch, Store};
    use uuid::Uuid;

    /// Takes a copy if it is time for one. Returns the times of all copies.
    async fn visit(copies: &mut Copies) -> Vec<Timestamp> {
        copies.retry_at = Instant::now();
        copies.visit().await;
        assert_eq!(copies.failures, 0);
        let lifecycle = &copies.lifecycle;
        let repository = lifecycle.backups.repository(&lifecycle.context).await.unwrap();
        repository.control_copies().await.unwrap()
    }

    #[tokio::test]
    async fn copies_begin_with_the_first_backup_and_follow_changes() {
        let mut world = World::new().await;
        let mut copies = Copies::new(world.lifecycle.clone());
        assert!(visit(&mut copies).await.is_empty(), "no backup");
        let point = world.first().await;
        let first = visit(&mut copies).await;
        assert_eq!(first.len(), 1);
        assert!(first[0] >= point.as_of_time);
        world.advance(1000).await;
        assert_eq!(visit(&mut copies).await, first, "unchanged");
        copies.changed = true;
        assert_eq!(visit(&mut copies).await.len(), 2);
        copies.changed = true;
        world.advance(200).await;
        assert_eq!(visit(&mut copies).await.len(), 2, "too early");
        let mut restarted = Copies::new(world.lifecycle.clone());
        assert_eq!(visit(&mut restarted).await.len(), 2, "too early for another server");
        world.advance(100).await;
        assert_eq!(visit(&mut copies).await.len(), 3);
        let left = std::fs::exists(world.lifecycle.context.settings.data_dir.join(FILE));
        assert!(!left.unwrap());
    }

    #[tokio::test]
    async fn a_failed_copy_is_repeated() {
        let mut world = World::new().await;
        let mut copies = Copies::new(world.lifecycle.clone());
        world.first().await;
        let folder = world.lifecycle.context.settings.data_dir.join("backups");
        let elsewhere = folder.with_extension("away");
        std::fs::rename(&folder, &elsewhere).unwrap();
        copies.visit().await;
        assert_eq!((copies.failures, copies.changed), (1, true));
        std::fs::rename(&elsewhere, &folder).unwrap();
        assert_eq!(visit(&mut copies).await.len(), 1);
    }

    /// Copies the control store, and recovers it into another directory. Returns the recovered store.
    async fn recovered(world: &World, folder: &Path) -> Arc<dyn Store> {
        let context = &world.lifecycle.context;
        let id = OrganizationId(Uuid::nil());
        let (name, label) = ("Example".to_owned(), "example".to_owned());
        let organization = Organization { id, name, label, created_at: context.now() };
        world.commit(Batch::server("test").with(documents::insert(&organization).unwrap())).await;
        visit(&mut Copies::new(world.lifecycle.clone())).await;
        let mut settings = Settings { data_dir: folder.to_owned(), ..context.settings.clone() };
        settings.backups.url = context.settings.backups_url();
        recover(settings, &context.recovery_key.reveal(), None).await.unwrap();
        let path = folder.join("store.db");
        ootheca_store::open(&format!("sqlite:{}", path.display())).await.unwrap()
    }

    /// The cluster, and the restore that it gets.
    async fn restored(store: &dyn Store, world: &World) -> (Cluster, Restore) {
        let cluster =
            documents::find::<Cluster>(store, &world.cluster.to_string()).await.unwrap().unwrap().value;
        let id = cluster.restore.clone().unwrap().id;
        (cluster, documents::find::<Restore>(store, &id).await.unwrap().unwrap().value)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_recovered_cluster_gets_its_newest_backup() {
        let mut world = World::new().await;
        world.first().await;
        world.add("later").await;
        world.advance(24 * 3600).await;
        world.visit().await;
        let newest = world.points().await.pop().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = recovered(&world, folder.path()).await;
        let (cluster, restore) = restored(&*store, &world).await;
        assert_eq!((cluster.state, cluster.epoch), (ClusterState::Creating, 1000));
        assert_eq!((restore.status, restore.recovery_point), (RestoreStatus::Pending, Some(newest.id)));
        assert_eq!(cluster.restore.unwrap().epoch, 1001, "the epoch of a later restore is not used again");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_recovered_cluster_gets_the_backup_that_was_being_restored() {
        let mut world = World::new().await;
        let first = world.first().await;
        world.add("later").await;
        world.advance(24 * 3600).await;
        world.visit().await;
        let base: Stored<Base> = world.find(&first.base).await;
        let point: Stored<RecoveryPoint> = world.find(&first.id.to_string()).await;
        let stored = world.stored(world.cluster).await;
        let request = NewRestore {
            id: fresh_id().to_string(),
            job: 1,
            kind: RestoreType::Cluster,
            objects: Vec::new(),
            options: RestoreOptions::default(),
        };
        let (cluster, now) = (&stored.value, world.lifecycle.context.now());
        let backup = point.value.backups(now).next_back().unwrap();
        let (running, locked) =
            create_restore(cluster, cluster, &point.value, &base.value, backup, None, request, now).unwrap();
        let batch = Batch::server("test").with(documents::insert(&running).unwrap());
        world.commit(batch.with(documents::update(&stored.row, &locked).unwrap())).await;

        let folder = tempfile::tempdir().unwrap();
        let store = recovered(&world, folder.path()).await;
        let (_, restore) = restored(&*store, &world).await;
        assert_ne!(restore.id, running.id);
        assert_eq!((restore.status, restore.recovery_point), (RestoreStatus::Pending, Some(first.id)));
        let ended = documents::find::<Restore>(&*store, &running.id).await.unwrap().unwrap().value;
        assert_eq!((ended.status, ended.failure.unwrap().code), (RestoreStatus::Failed, 10));
    }
}
