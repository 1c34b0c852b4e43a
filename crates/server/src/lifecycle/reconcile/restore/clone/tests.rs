#![allow(clippy::unwrap_used)]

use super::*;
use crate::{ids::fresh_id, lifecycle::backup::tests::World};
use ootheca_engine::Engine;
use ootheca_model::{
    ClusterId,
    backup::{Base, CloneSource, MaskingScript, NewClone, RecoveryPoint, Restore, clone_into},
    units::Quantities,
    usage::{Measure, SqlCounters},
};
use ootheca_store::Batch;

impl World {
    /// Creates a clone of the newest backup of a recovery point, or of the present data of the cluster. Returns its ID
    /// and that of the restore.
    async fn clone_cluster(
        &self,
        point: Option<&RecoveryPoint>,
        masking: Option<MaskingScript>,
    ) -> (ClusterId, String) {
        let now = self.lifecycle.context.now();
        let source = self.stored(self.cluster).await.value;
        let base = match point {
            Some(point) => Some(self.find::<Base>(&point.base).await.value),
            None => None,
        };
        let found = point.zip(base.as_ref());
        let backup = found.map(|(point, base)| (point.backups(now).next_back().unwrap(), point, base));
        let data = CloneSource { cluster: &source, backup, point_in_time: None };
        let request = NewClone { id: fresh_id().to_string(), job: 1, masking, explicit_version: false };
        let (restore, clone) = clone_into(self.draft("some-clone"), &data, request, now).unwrap();
        let batch = Batch::server("test").with(documents::insert(&clone).unwrap());
        self.commit(batch.with(documents::insert(&restore).unwrap())).await;
        (clone.id, restore.id)
    }

    /// Deletes a cluster, without removing its instance.
    async fn delete(&self, id: ClusterId) {
        let now = self.lifecycle.context.now();
        let delete = |cluster: &mut Cluster| {
            (cluster.state, cluster.deleted_at) = (ClusterState::Deleted, Some(now));
        };
        self.change_of(id, delete).await;
    }

    /// Checks that a creation has failed with this code, and that nothing is left of it. Returns the reason.
    async fn failed(&self, id: ClusterId, restore: &str, code: i32) -> String {
        let cluster = self.settle(id).await;
        assert_eq!(self.outcome(restore).await, (RestoreStatus::Failed, Some(code)));
        assert_eq!((cluster.state, cluster.restore), (ClusterState::CreationFailed, None));
        assert!(cluster.removed);
        assert!(self.epochs(id).await.is_empty());
        let [condition] = &cluster.observed.conditions[..] else { panic!("{:?}", cluster.observed) };
        assert_eq!((condition.kind.as_str(), condition.holds), ("CreationFailed", true));
        let failure = self.find::<Restore>(restore).await.value.failure.unwrap();
        assert_eq!(failure.message, condition.message);
        failure.message
    }
}

#[tokio::test]
async fn a_clone_begins_with_the_present_data_of_its_source() {
    let world = World::new().await;
    world.add("kept").await;
    let (id, restore) = world.clone_cluster(None, None).await;
    let clone = world.settle(id).await;
    assert_eq!(world.outcome(&restore).await, (RestoreStatus::Success, None));
    assert_eq!((clone.state, clone.epoch, clone.restore), (ClusterState::Created, 1, None));
    assert_eq!(clone.observed.generation, clone.generation);
    assert_eq!(world.epochs(id).await, [1]);
    world.add("later").await;
    assert_eq!(world.databases(id).await, ["defaultdb", "kept"]);
    assert_eq!(world.lifecycle.backups.progress(&restore), None);
    assert_eq!(world.lifecycle.backups.counts().restored, 1);
}

#[tokio::test]
async fn a_suspended_source_stays_suspended() {
    let world = World::new().await;
    world.add("kept").await;
    world.change(|cluster| cluster.power = Power::Off).await;
    let suspended = world.stored(world.cluster).await.value;
    world.engine.ensure(&suspended.plan_instance()).await.unwrap();
    let (id, _) = world.clone_cluster(None, None).await;
    assert_eq!(world.settle(id).await.state, ClusterState::Created);
    assert_eq!(world.databases(id).await, ["defaultdb", "kept"]);
    assert_eq!(world.engine.observe(world.cluster).await.unwrap().phase, Phase::Suspended);
}

#[tokio::test]
async fn a_clone_of_a_backup_does_not_need_its_source() {
    let mut world = World::new().await;
    world.add("kept").await;
    let point = world.first().await;
    world.add("later").await;
    let (id, restore) = world.clone_cluster(Some(&point), None).await;
    world.delete(world.cluster).await;
    assert_eq!(world.settle(id).await.state, ClusterState::Created);
    assert_eq!(world.outcome(&restore).await, (RestoreStatus::Success, None));
    assert_eq!(world.databases(id).await, ["defaultdb", "kept"]);
}

#[tokio::test]
async fn usage_of_the_source_is_not_that_of_a_clone() {
    let world = World::new().await;
    let (id, _) = world.clone_cluster(None, None).await;
    let counters = SqlCounters { epoch: "of the source".into(), tuples_written: 1000, ..Default::default() };
    world.engine.pretend(id, Measure { sql: counters, ..Measure::default() });
    world.settle(id).await;
    let meter = world.lifecycle.metering.meter(id).await.unwrap().unwrap();
    assert_eq!((meter.value.last.sql.tuples_written, meter.value.used), (1000, Quantities::default()));
}

#[tokio::test]
async fn a_clone_without_its_source_is_not_created() {
    let world = World::new().await;
    let (id, restore) = world.clone_cluster(None, None).await;
    world.delete(world.cluster).await;
    assert_eq!(world.failed(id, &restore, 5).await, "the source cluster was deleted");
    assert_eq!(world.lifecycle.backups.counts().not_restored, 1);
}

#[tokio::test]
async fn a_clone_is_given_up_after_several_attempts_to_copy_its_source() {
    let world = World::new().await;
    let (id, restore) = world.clone_cluster(None, None).await;
    world.engine.remove(world.cluster).await.unwrap();
    let reason = world.failed(id, &restore, 14).await;
    assert!(reason.contains("the source cluster could not be copied"), "{reason}");
}

#[tokio::test]
async fn a_clone_of_a_damaged_backup_is_not_created() {
    let mut world = World::new().await;
    let point = world.first().await;
    let base = world.objects("base").pop().unwrap();
    let mut content = std::fs::read(&base).unwrap();
    *content.last_mut().unwrap() ^= 1;
    std::fs::write(&base, content).unwrap();
    let (id, restore) = world.clone_cluster(Some(&point), None).await;
    assert_eq!(world.failed(id, &restore, 13).await, "the backup is damaged or incomplete");
}

#[tokio::test]
async fn a_masking_script_that_cannot_run_ends_the_creation_and_is_not_kept() {
    let world = World::new().await;
    let script = MaskingScript { database: "defaultdb".to_owned(), text: "DELETE FROM users".to_owned() };
    let (id, restore) = world.clone_cluster(None, Some(script)).await;
    assert!(world.find::<Restore>(&restore).await.value.masking.is_some());
    let reason = world.failed(id, &restore, 12).await;
    assert!(reason.contains("runs no SQL servers"), "{reason}");
    assert_eq!(world.find::<Restore>(&restore).await.value.masking, None);
}

#[tokio::test]
async fn a_clone_waits_without_serving_while_its_source_is_being_restored() {
    let world = World::new().await;
    world.add("kept").await;
    let (id, _) = world.clone_cluster(None, None).await;
    world.change(|cluster| cluster.state = ClusterState::Locked).await;
    assert!(matches!(world.step(id, 0).await, Step::Again(after) if after == CHECK_INTERVAL));
    assert_eq!(world.stored(id).await.value.state, ClusterState::Creating);
    assert_eq!(world.engine.observe(id).await.unwrap().phase, Phase::Suspended);
    world.change(|cluster| cluster.state = ClusterState::Created).await;
    assert_eq!(world.settle(id).await.state, ClusterState::Created);
    assert_eq!(world.databases(id).await, ["defaultdb", "kept"]);
}

#[tokio::test]
async fn a_clone_that_is_deleted_meanwhile_is_removed() {
    let world = World::new().await;
    let (id, restore) = world.clone_cluster(None, None).await;
    world.step(id, 0).await;
    assert_eq!(world.stored(id).await.value.state, ClusterState::Creating);
    world.delete(id).await;
    let clone = world.settle(id).await;
    assert_eq!(world.outcome(&restore).await, (RestoreStatus::Failed, Some(10)));
    assert!(clone.removed && clone.restore.is_none());
    assert!(world.epochs(id).await.is_empty());
}

#[tokio::test]
async fn a_clone_continues_after_a_crash_between_its_effects() {
    for effects in 0..3 {
        let mut world = World::new().await;
        world.add("kept").await;
        let (id, restore) = world.clone_cluster(None, None).await;
        let clone = world.stored(id).await.value;
        if effects > 0 {
            let stopped = InstancePlan { power: Power::Off, ..clone.plan_instance() };
            world.engine.create(&stopped).await.unwrap();
        }
        if effects > 1 {
            world.step(id, 0).await;
            assert_eq!(world.stored(id).await.value.epoch, 1, "it has the data, which does not serve yet");
        }
        world.restart().await;
        assert_eq!(world.settle(id).await.state, ClusterState::Created);
        assert_eq!(world.outcome(&restore).await, (RestoreStatus::Success, None));
        assert_eq!(world.databases(id).await, ["defaultdb", "kept"]);
        assert_eq!(world.epochs(id).await, [1]);
    }
}

#[tokio::test]
async fn an_attempt_that_is_late_does_not_change_what_is_decided() {
    for attempt in [Attempt::Built, Attempt::Failed(Error::internal("the data could not be read"))] {
        let world = World::new().await;
        let (id, restore) = world.clone_cluster(None, None).await;
        let late = Work::find(&world.lifecycle, id, world.lease()).await.unwrap().unwrap();
        world.step(id, 0).await;
        let decided = world.stored(id).await.value;
        assert_eq!(decided.epoch, 1);
        late.act_on(attempt, &Observed::absent(id), 0).await.unwrap();
        assert_eq!(world.stored(id).await.value, decided);
        assert_eq!(world.settle(id).await.state, ClusterState::Created);
        assert_eq!(world.outcome(&restore).await, (RestoreStatus::Success, None));
    }
}
