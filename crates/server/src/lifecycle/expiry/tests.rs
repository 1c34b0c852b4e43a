#![allow(clippy::unwrap_used)]

use super::*;
use crate::lifecycle::backup::tests::World;
use ootheca_model::{ClusterState, OrganizationId};
use ootheca_store::AuditQuery;
use tokio::time::timeout;
use uuid::Uuid;

const MINUTE: Duration = Duration::from_secs(60);
/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(30);

impl World {
    fn expiry(&self) -> Expiry {
        Expiry::new(self.lifecycle.clone())
    }

    /// Lets the cluster expire after a time. Returns when.
    async fn expire_after(&self, time: Duration) -> Timestamp {
        let expires_at = self.lifecycle.context.now().after(time);
        self.change(|cluster| cluster.expires_at = Some(expires_at)).await;
        expires_at
    }

    async fn protect(&self, protection: DeleteProtection) {
        self.change(|cluster| cluster.delete_protection = protection).await;
    }

    async fn state(&self) -> ClusterState {
        self.stored(self.cluster).await.value.state
    }

    /// The entries of the audit log.
    async fn audit(&self) -> Vec<AuditEntry> {
        let organization = OrganizationId(Uuid::nil());
        let query = AuditQuery { organization, starting_from: None, descending: false, limit: 100 };
        self.store().audit(&query).await.unwrap()
    }

    /// The number of clusters that were deleted because they had expired.
    fn expired(&self) -> u64 {
        self.lifecycle.expired.load(Ordering::Relaxed)
    }

    /// Runs the loop until the cluster is deleted.
    async fn run_until_deleted(&self, then: impl AsyncFnOnce()) {
        let (stop, stopped) = watch::channel(false);
        let mut rows = self.store().changes();
        let task = tokio::spawn(run(self.lifecycle.clone(), stopped));
        then().await;
        let deleted = async {
            while self.state().await != ClusterState::Deleted {
                let _ = rows.recv().await;
            }
        };
        timeout(LIMIT, deleted).await.unwrap();
        stop.send_replace(true);
        timeout(LIMIT, task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_cluster_is_deleted_when_it_expires() {
    let world = World::new().await;
    let expires_at = world.expire_after(MINUTE).await;
    // Its time has not come.
    let pause = world.expiry().visit(&world.lease()).await;
    assert_eq!((world.state().await, pause), (ClusterState::Created, LONGEST));
    world.advance(55).await;
    let pause = world.expiry().visit(&world.lease()).await;
    assert_eq!(world.state().await, ClusterState::Created);
    assert!(pause <= Duration::from_secs(5), "{pause:?}");
    world.advance(5).await;
    world.expiry().visit(&world.lease()).await;
    let cluster = world.stored(world.cluster).await.value;
    assert_eq!(cluster.state, ClusterState::Deleted);
    assert!(cluster.deleted_at.unwrap() >= expires_at);
    world.expiry().visit(&world.lease()).await;
    assert_eq!(world.expired(), 1);
    let entries = world.audit().await;
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((entry.action.as_str(), entry.source.as_str()), ("DELETE_CLUSTER", "INTERNAL"));
    assert_eq!((entry.cluster, entry.cluster_name.as_deref()), (Some(world.cluster), Some("some-cluster")));
    assert!(entry.payload.contains(&expires_at.to_string()), "{}", entry.payload);
}

#[tokio::test]
async fn a_protected_cluster_is_kept_until_the_protection_is_disabled() {
    let world = World::new().await;
    world.expire_after(MINUTE).await;
    world.protect(DeleteProtection::Enabled).await;
    world.advance(61).await;
    let mut expiry = world.expiry();
    expiry.visit(&world.lease()).await;
    assert_eq!((world.state().await, expiry.kept.len()), (ClusterState::Created, 1));
    world.protect(DeleteProtection::Disabled).await;
    expiry.visit(&world.lease()).await;
    assert_eq!((world.state().await, expiry.kept.len()), (ClusterState::Deleted, 0));
    assert_eq!(world.expired(), 1);
}

#[tokio::test]
async fn a_cluster_that_was_changed_meanwhile_is_not_deleted() {
    let world = World::new().await;
    let (expiry, lease) = (world.expiry(), world.lease());
    expiry.delete(world.cluster, &lease).await.unwrap();
    assert_eq!(world.state().await, ClusterState::Created, "it does not expire");
    world.expire_after(Duration::ZERO).await;
    world.protect(DeleteProtection::Enabled).await;
    let error = expiry.delete(world.cluster, &lease).await.unwrap_err();
    assert_eq!((error.kind(), world.state().await), (ErrorKind::Precondition, ClusterState::Created));
    let now = world.lifecycle.context.now();
    world.change(|cluster| (cluster.state, cluster.deleted_at) = (ClusterState::Deleted, Some(now))).await;
    expiry.delete(world.cluster, &lease).await.unwrap();
    assert_eq!(world.stored(world.cluster).await.value.deleted_at, Some(now));
    assert!(world.audit().await.is_empty());
    assert_eq!(world.expired(), 0);
}

#[tokio::test]
async fn only_the_server_with_the_lease_deletes() {
    let world = World::new().await;
    world.expire_after(MINUTE).await;
    world.advance(61).await;
    let outdated = world.lease();
    let (ttl, now) = (Duration::from_secs(15), world.lifecycle.context.now());
    let lease = world.store().lease("reconcile", "another server", None, ttl, now).await.unwrap();
    let pause = world.expiry().visit(&outdated).await;
    assert_eq!((world.state().await, pause), (ClusterState::Created, RETRY));
    world.expiry().visit(&lease.unwrap()).await;
    assert_eq!(world.state().await, ClusterState::Deleted);
}

#[tokio::test]
async fn the_loop_notices_that_the_test_clock_is_advanced() {
    let world = World::new().await;
    world.expire_after(60 * MINUTE).await;
    let advance = async || {
        world.advance(3601).await;
        world.lifecycle.context.clock_moved.send_modify(|moves| *moves += 1);
    };
    world.run_until_deleted(advance).await;
}

#[tokio::test]
async fn the_loop_notices_a_new_cluster_that_expires() {
    let world = World::new().await;
    let expire = async || {
        world.expire_after(Duration::from_millis(300)).await;
    };
    world.run_until_deleted(expire).await;
}
