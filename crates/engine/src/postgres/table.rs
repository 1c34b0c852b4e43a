//! The instances of each cluster, and which of them serves.

use super::instance::Instance;
use ootheca_model::{ClusterId, Error, instance::InstancePlan};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// The state of a cluster in this engine.
#[derive(Debug)]
pub(super) enum ClusterSlot {
    /// An instance is being created or claimed for the cluster.
    Making {
        plan: InstancePlan,
        cancelled: bool,
        failure: Option<Error>,
    },
    Claimed(Arc<Instance>),
    /// The plan names a later data epoch than that of the instance, whose server is stopped. Another instance serves
    /// once that is done and there is one of that epoch.
    Replacing {
        from: Arc<Instance>,
        plan: InstancePlan,
    },
    /// All instances of the cluster.
    Removing(Vec<Arc<Instance>>),
}

impl ClusterSlot {
    fn instances(&self) -> &[Arc<Instance>] {
        match self {
            Self::Making { .. } => &[],
            Self::Claimed(instance) | Self::Replacing { from: instance, .. } => {
                std::slice::from_ref(instance)
            }
            Self::Removing(instances) => instances,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) clusters: HashMap<ClusterId, ClusterSlot>,
    /// The instances that do not serve their cluster, by data epoch.
    pub(super) idle: BTreeMap<(ClusterId, u64), Arc<Instance>>,
    pub(super) spares: Vec<Arc<Instance>>,
}

impl Table {
    /// The instance that serves the cluster, or that did until a plan named a later epoch.
    pub(super) fn serving(&self, cluster: ClusterId) -> Option<&Arc<Instance>> {
        match self.clusters.get(&cluster)? {
            ClusterSlot::Claimed(instance) | ClusterSlot::Replacing { from: instance, .. } => Some(instance),
            ClusterSlot::Making { .. } | ClusterSlot::Removing(_) => None,
        }
    }

    /// The instances of the cluster that do not serve.
    pub(super) fn idle_of(&self, cluster: ClusterId) -> impl Iterator<Item = &Arc<Instance>> {
        self.idle.range((cluster, 0)..=(cluster, u64::MAX)).map(|(_, instance)| instance)
    }

    /// Stops the servers of all other epochs. Returns whether it is certain that none of their processes is left.
    pub(super) fn vacate_others(&self, cluster: ClusterId, epoch: u64) -> bool {
        let mut empty = true;
        for instance in self.serving(cluster).into_iter().chain(self.idle_of(cluster)) {
            empty &= instance.epoch() == epoch || instance.vacate();
        }
        empty
    }

    /// Chooses the instance that serves the cluster. Returns `None` if there is none of this epoch.
    pub(super) fn serve(&mut self, cluster: ClusterId, epoch: u64) -> Option<Arc<Instance>> {
        let instance = self.idle.remove(&(cluster, epoch))?;
        if let Some(from) = self.serving(cluster).cloned() {
            self.idle.insert((cluster, from.epoch()), from);
        }
        instance.serve();
        self.clusters.insert(cluster, ClusterSlot::Claimed(instance.clone()));
        Some(instance)
    }

    /// Chooses for each cluster the instance that served last. Returns all of them.
    pub(super) fn serve_latest(&mut self) -> Vec<Arc<Instance>> {
        let served = self.idle.iter().filter(|(_, instance)| instance.has_served());
        // The keys are sorted, so the highest epoch of each cluster replaces the others.
        let latest: HashMap<ClusterId, u64> = served.map(|(key, _)| *key).collect();
        latest.into_iter().filter_map(|(cluster, epoch)| self.serve(cluster, epoch)).collect()
    }

    /// Takes all instances of the cluster out of the table.
    pub(super) fn take(&mut self, cluster: ClusterId) -> Vec<Arc<Instance>> {
        let mut instances: Vec<Arc<Instance>> = self.serving(cluster).cloned().into_iter().collect();
        self.clusters.remove(&cluster);
        instances.extend(self.idle_of(cluster).cloned());
        self.idle.retain(|(owner, _), _| *owner != cluster);
        instances
    }

    /// Every instance.
    pub(super) fn instances(&self) -> Vec<Arc<Instance>> {
        let slots = self.clusters.values().flat_map(ClusterSlot::instances);
        slots.chain(self.idle.values()).chain(&self.spares).cloned().collect()
    }

    /// Every cluster that has an instance, sorted.
    pub(super) fn clusters(&self) -> Vec<ClusterId> {
        let idle = self.idle.keys().map(|(cluster, _)| *cluster);
        let mut ids: Vec<ClusterId> = self.clusters.keys().copied().chain(idle).collect();
        ids.sort();
        ids.dedup();
        ids
    }
}
