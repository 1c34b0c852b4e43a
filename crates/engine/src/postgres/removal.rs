//! Removes the instances of a cluster: all of them, or those of other data epochs.

use super::{
    claim::Claim,
    instance::Instance,
    shared::Shared,
    table::{ClusterSlot, Table},
    trash,
};
use ootheca_model::{ClusterId, Error, Result, instance::Removal};
use std::{sync::Arc, time::Duration};

/// How long `remove` waits for the removal before it returns `Going`.
const REMOVAL_WAIT: Duration = Duration::from_millis(500);

/// Keeps other changes of the instances of a cluster waiting.
pub(super) struct ChangeGuard {
    shared: Arc<Shared>,
    cluster: ClusterId,
}

impl Drop for ChangeGuard {
    fn drop(&mut self) {
        self.shared.changing.send_modify(|changing| {
            changing.remove(&self.cluster);
        });
    }
}

impl Shared {
    /// Waits until no other task stages, discards, or removes instances of the cluster.
    pub(super) async fn begin_change(self: &Arc<Self>, cluster: ClusterId) -> ChangeGuard {
        let mut changing = self.changing.subscribe();
        while !self.changing.send_if_modified(|changing| changing.insert(cluster)) {
            // The sender lives as long as `self`, so this never fails.
            let _ = changing.wait_for(|changing| !changing.contains(&cluster)).await;
        }
        ChangeGuard { shared: self.clone(), cluster }
    }

    /// Stops and removes all instances of a cluster.
    pub(super) async fn remove(self: &Arc<Self>, cluster: ClusterId) -> Result<Removal> {
        let Some(guard) = self.begin() else { return Err(Error::unavailable("the engine is shutting down")) };
        let Some(instances) = self.take_for_removal(cluster) else {
            let going = self.table().clusters.contains_key(&cluster) || !self.is_cleaned();
            if going {
                return Ok(Removal::Going);
            }
            // The remains of instances whose data is missing.
            self.discard_folders(cluster, None).await?;
            return Ok(Removal::Gone);
        };
        let shared = self.clone();
        let work = tokio::spawn(async move {
            let _guard = guard;
            let _alone = shared.begin_change(cluster).await;
            shared.remove_all(cluster, instances).await;
        });
        let _ = tokio::time::timeout(REMOVAL_WAIT, work).await;
        let left = self.table().clusters.contains_key(&cluster);
        Ok(if left { Removal::Going } else { Removal::Gone })
    }

    fn take_for_removal(&self, cluster: ClusterId) -> Option<Vec<Arc<Instance>>> {
        let mut table = self.table();
        match table.clusters.get_mut(&cluster) {
            Some(ClusterSlot::Making { failure: None, cancelled, .. }) => {
                *cancelled = true;
                return None;
            }
            Some(ClusterSlot::Removing(_)) => return None,
            _ => {}
        }
        let instances = table.take(cluster);
        if instances.is_empty() {
            return None;
        }
        table.clusters.insert(cluster, ClusterSlot::Removing(instances.clone()));
        Some(instances)
    }

    async fn remove_all(&self, cluster: ClusterId, instances: Vec<Arc<Instance>>) {
        // Only a cluster that had several epochs or nodes can have claimed folders that are not in the table.
        let several = instances.len() > 1 || instances[0].epoch() > 0 || instances[0].has_several_nodes();
        let mut left = Vec::new();
        let mut result = Ok(());
        for instance in instances {
            if let Err(error) = self.discard_instance(&instance).await {
                left.push(instance);
                result = Err(error);
            }
        }
        if several && result.is_ok() {
            result = self.discard_folders(cluster, None).await;
        }
        let mut table = self.table();
        table.clusters.remove(&cluster);
        for instance in left {
            table.put_back(instance);
        }
        drop(table);
        match result {
            Ok(()) => self.context.hint(Some(cluster)),
            // No hint: the caller retries the removal anyway, and a hint would make it do so immediately.
            Err(error) => {
                tracing::warn!(%cluster, error = error.chain(), "could not remove instance");
            }
        }
    }

    /// Removes the instances of all other epochs than the one that serves, with all their nodes.
    pub(super) async fn discard(self: &Arc<Self>, kept: Claim) -> Result<()> {
        self.context.secret()?;
        let Some(guard) = self.begin() else { return Err(Error::unavailable("the engine is shutting down")) };
        let shared = self.clone();
        // Spawned, so that a disconnecting caller cannot cancel it.
        let work = tokio::spawn(async move {
            let _guard = guard;
            let _alone = shared.begin_change(kept.cluster).await;
            let unwanted = others(&shared.table(), kept)?;
            for instance in &unwanted {
                shared.discard_instance(instance).await?;
                shared.table().forget(instance);
            }
            shared.discard_folders(kept.cluster, Some(kept.epoch)).await
        });
        work.await.unwrap_or_else(|error| Err(Error::internal("a removal was interrupted").because(error)))
    }

    /// Stops an instance and removes its data.
    pub(super) async fn discard_instance(&self, instance: &Instance) -> Result<()> {
        instance.stop(true).await;
        let discarded = trash::discard(&self.context, &instance.id).await;
        if discarded.is_err() {
            instance.revive();
        }
        discarded
    }

    /// Removes what is on disk of a cluster, except one epoch.
    pub(super) async fn discard_folders(&self, cluster: ClusterId, kept: Option<u64>) -> Result<()> {
        for (id, claim) in self.claimed_folders(cluster).await? {
            if Some(claim.epoch) != kept {
                trash::discard(&self.context, &id).await?;
            }
        }
        Ok(())
    }
}

/// The instances of other epochs. `Unavailable` unless the instance of the kept epoch serves: otherwise the only data
/// could be removed.
fn others(table: &Table, kept: Claim) -> Result<Vec<Arc<Instance>>> {
    match table.clusters.get(&kept.cluster) {
        Some(ClusterSlot::Claimed(serving)) if serving.epoch() == kept.epoch => {
            let standbys = table.all_standbys_of(kept.cluster);
            let old = standbys.filter(|instance| instance.epoch() != kept.epoch);
            Ok(table.idle_of(kept.cluster).chain(old).cloned().collect())
        }
        _ => Err(Error::unavailable(format!("the cluster is not served with data epoch {}", kept.epoch))),
    }
}
