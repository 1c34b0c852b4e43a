#![allow(clippy::unwrap_used)]

use super::*;
use ootheca_model::{
    OrganizationId, Plan, PrincipalId,
    backup::{BackupId, CloneSource, NewClone, PointInTime, clone_into},
    cluster::{
        CloudProvider,
        create::{Birth, NewCluster, NewServerless, create},
    },
};
use std::sync::Arc;
use tempfile::TempDir;
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_796_000_000_000_000);
const HOUR: i64 = 3_600_000_000;

fn cluster(name: &str) -> Cluster {
    let birth = Birth {
        id: ClusterId(fresh_id()),
        tenant: 1,
        organization: OrganizationId(Uuid::nil()),
        creator: PrincipalId(Uuid::nil()),
        now: NOW,
    };
    let request = NewCluster {
        name: name.to_owned(),
        provider: Some(CloudProvider::Gcp),
        plan: Some(Plan::Basic),
        serverless: Some(NewServerless { regions: vec!["us-central1".to_owned()], ..Default::default() }),
        ..Default::default()
    };
    let catalog = Settings::load(None, &serde_json::json!({ "data_dir": "/nowhere" })).unwrap().catalog;
    create(request, birth, &catalog, |_| Ok("17".to_owned())).unwrap().0
}

/// A store with a cluster, and its only recovery point.
struct World {
    store: Arc<dyn Store>,
    source: Cluster,
    base: Base,
    point: RecoveryPoint,
    _folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        let store = ootheca_store::open(&url).await.unwrap();
        let source = Cluster { state: ClusterState::Created, ..cluster("some-source") };
        let base = Base {
            id: fresh_id().to_string(),
            organization: source.organization,
            cluster: source.id,
            epoch: 0,
            engine_major: "17".to_owned(),
            first_segment: String::new(),
            last_segment: String::new(),
            bytes: 0,
            stored_bytes: 0,
            created_at: NOW,
            stored_segment: String::new(),
            wal_bytes: 0,
            verified_at: None,
            damaged: false,
        };
        let point = RecoveryPoint {
            id: BackupId::new(source.id, NOW),
            organization: source.organization,
            cluster: source.id,
            epoch: 0,
            base: base.id.clone(),
            last_segment: String::new(),
            as_of_time: NOW,
            unchanged_until: Timestamp(NOW.0 + 2 * HOUR),
            frequency_minutes: 60,
            retention_days: 30,
            damaged: false,
        };
        let batch = Batch::server("test")
            .with(documents::insert(&source).unwrap())
            .with(documents::insert(&base).unwrap())
            .with(documents::insert(&point).unwrap());
        store.commit(batch, NOW).await.unwrap();
        Self { store, source, base, point, _folder: folder }
    }

    async fn find<T: documents::Document>(&self, id: impl ToString) -> Stored<T> {
        documents::find(&*self.store, &id.to_string()).await.unwrap().unwrap()
    }

    /// A clone that is being created. It has its data if `epoch` is 1.
    async fn begin_clone(&self, source: &CloneSource<'_>, epoch: u64) -> Cluster {
        let request = NewClone { id: fresh_id().to_string(), job: 1, masking: None, explicit_version: false };
        let (restore, clone) = clone_into(cluster("some-clone"), source, request, NOW).unwrap();
        let clone = Cluster { epoch, ..clone };
        let batch = Batch::server("test")
            .with(documents::insert(&clone).unwrap())
            .with(documents::insert(&restore).unwrap());
        self.store.commit(batch, NOW).await.unwrap();
        clone
    }

    /// Recovers a cluster. Returns the time of its backup, and its row.
    async fn recover(&self, cluster: &Cluster) -> (Option<Timestamp>, Cluster) {
        let stored = self.find::<Cluster>(cluster.id).await;
        let time = begin_restore(&*self.store, &stored, NOW).await.unwrap();
        (time, self.find::<Cluster>(cluster.id).await.value)
    }
}

#[tokio::test]
async fn the_creation_of_a_clone_begins_again() {
    for epoch in [0, 1] {
        let world = World::new().await;
        let backup = world.point.backups(NOW).next().unwrap();
        let moment = PointInTime { time: Timestamp(NOW.0 + 1), last_segment: "7".to_owned() };
        let past = CloneSource {
            cluster: &world.source,
            backup: Some((backup, &world.point, &world.base)),
            point_in_time: Some(moment.clone()),
        };
        let before = world.begin_clone(&past, epoch).await;
        let (time, after) = world.recover(&before).await;
        assert_eq!(time, Some(NOW));
        let running = after.restore.clone().unwrap();
        assert!(running.creates && running.epoch > 1, "the epoch of a lost clone is not used again");
        assert_eq!(after, Cluster { restore: Some(running.clone()), ..before });
        let restore: Restore = world.find(running.id).await.value;
        assert_eq!((restore.status, restore.point_in_time), (RestoreStatus::Pending, Some(moment)));
    }
}

#[tokio::test]
async fn a_clone_of_the_present_data_waits_for_that_of_its_source() {
    let world = World::new().await;
    let present = CloneSource { cluster: &world.source, backup: None, point_in_time: None };
    let before = world.begin_clone(&present, 0).await;
    let newest = Timestamp(NOW.0 + 2 * HOUR);
    let (time, after) = world.recover(&before).await;
    assert_eq!((time, after.state), (Some(newest), ClusterState::Creating));
    let (time, source) = world.recover(&world.source).await;
    assert_eq!((time, source.state), (Some(newest), ClusterState::Creating));
    assert!(!source.restore.unwrap().creates);
}

#[tokio::test]
async fn a_restore_to_a_point_in_time_is_begun_again() {
    let world = World::new().await;
    let backup = world.point.backups(NOW).nth(1).unwrap();
    let moment = Some(PointInTime { time: Timestamp(NOW.0 + HOUR + 1), last_segment: "7".to_owned() });
    let request = NewRestore {
        id: fresh_id().to_string(),
        job: 1,
        kind: RestoreType::Cluster,
        objects: Vec::new(),
        options: RestoreOptions::default(),
    };
    let World { source, point, base, .. } = &world;
    let (restore, locked) =
        create_restore(source, source, point, base, backup, moment.clone(), request, NOW).unwrap();
    let stored = world.find::<Cluster>(source.id).await;
    let batch = Batch::server("test")
        .with(documents::insert(&restore).unwrap())
        .with(documents::update(&stored.row, &locked).unwrap());
    world.store.commit(batch, NOW).await.unwrap();
    let (time, after) = world.recover(&locked).await;
    assert_eq!(time, Some(backup.as_of_time));
    let again: Restore = world.find(after.restore.unwrap().id).await.value;
    assert_eq!((again.backup, again.point_in_time), (Some(backup.id), moment));
    let ended: Restore = world.find(restore.id).await.value;
    assert_eq!(ended.status, RestoreStatus::Failed);
}

#[tokio::test]
async fn a_cluster_that_was_being_created_gets_an_epoch_without_backups() {
    let world = World::new().await;
    let before = cluster("new-cluster");
    let batch = Batch::server("test").with(documents::insert(&before).unwrap());
    world.store.commit(batch, NOW).await.unwrap();
    let (time, after) = world.recover(&before).await;
    assert_eq!(time, None);
    assert_eq!(after, Cluster { epoch: EPOCHS, ..before });
    // The recovery of a recovered cluster that does not have its data yet.
    let (_, once) = world.recover(&world.source).await;
    let (_, twice) = world.recover(&once).await;
    let running = |cluster: &Cluster| cluster.restore.as_ref().unwrap().epoch;
    assert_eq!((twice.epoch, running(&twice)), (once.epoch + EPOCHS, running(&once) + EPOCHS));
}
