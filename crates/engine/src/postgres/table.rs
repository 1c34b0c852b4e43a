//! The instances of each cluster, and which of them serves.

use super::{claim::Claim, instance::Instance};
use ootheca_model::{ClusterId, Error, Result, instance::InstancePlan, node::NodeId};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// The state of a cluster in this engine.
#[derive(Debug)]
pub(super) enum ClusterSlot {
    /// An instance is being created or claimed for the cluster.
    Making { plan: InstancePlan, cancelled: bool, failure: Option<Error> },
    /// The instance that serves: of several nodes, the primary.
    Claimed(Arc<Instance>),
    /// The plan names a later data epoch than that of the instance, whose server is stopped. Another instance serves
    /// once that is done and there is one of that epoch.
    Replacing { from: Arc<Instance>, plan: InstancePlan },
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

    /// The plan that is applied once there is an instance for it.
    fn pending(&self) -> Option<&InstancePlan> {
        match self {
            Self::Making { plan, .. } | Self::Replacing { plan, .. } => Some(plan),
            Self::Claimed(_) | Self::Removing(_) => None,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) clusters: HashMap<ClusterId, ClusterSlot>,
    /// The instances that do not serve their cluster, by data epoch. Of several nodes, that of the primary.
    pub(super) idle: BTreeMap<(ClusterId, u64), Arc<Instance>>,
    /// The other nodes of each epoch, whether it serves or not.
    pub(super) standbys: BTreeMap<(ClusterId, u64, NodeId), Arc<Instance>>,
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

    /// Stops the servers of all other epochs, except those of standbys, which accept no writes. Returns whether it is
    /// certain that none of their processes is left.
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

    /// Adds the instances that a previous process left. Of several nodes, the plan with the highest term says which one
    /// was the primary.
    pub(super) fn load(&mut self, found: Vec<Arc<Instance>>) {
        let mut primaries: HashMap<(ClusterId, u64), (u64, NodeId)> = HashMap::new();
        for plan in found.iter().filter_map(|instance| instance.own_plan()) {
            let named = (plan.term, plan.primary);
            let latest = primaries.entry((plan.cluster, plan.epoch)).or_insert(named);
            if latest.0 < plan.term {
                *latest = named;
            }
        }
        for instance in found {
            let Some(claim) = instance.claim() else { continue };
            let latest = primaries.get(&(claim.cluster, claim.epoch)).map(|(_, primary)| *primary);
            let id = instance.id.clone();
            let before = match claim.node {
                Some(node) if latest != Some(node) => self.add_standby(instance),
                _ => self.idle.insert((claim.cluster, claim.epoch), instance),
            };
            if before.is_some() {
                let Claim { cluster, epoch, .. } = claim;
                tracing::error!(%cluster, epoch, instance = id, "cluster has claimed two instances");
            }
        }
    }

    /// Adds an instance that is not the primary. Returns another one that was the same node.
    pub(super) fn add_standby(&mut self, instance: Arc<Instance>) -> Option<Arc<Instance>> {
        let key = standby_key(&instance)?;
        self.standbys.insert(key, instance)
    }

    /// The nodes of an epoch of the cluster besides the primary.
    pub(super) fn standbys_of(&self, cluster: ClusterId, epoch: u64) -> impl Iterator<Item = &Arc<Instance>> {
        let (first, last) = (NodeId(0), NodeId(u32::MAX));
        let nodes = self.standbys.range((cluster, epoch, first)..=(cluster, epoch, last));
        nodes.map(|(_, instance)| instance)
    }

    /// The same for all epochs.
    pub(super) fn all_standbys_of(&self, cluster: ClusterId) -> impl Iterator<Item = &Arc<Instance>> {
        let (first, last) = (NodeId(0), NodeId(u32::MAX));
        let nodes = self.standbys.range((cluster, 0, first)..=(cluster, u64::MAX, last));
        nodes.map(|(_, instance)| instance)
    }

    /// The instance that the newest plan of this epoch called the primary, whether it serves or not.
    pub(super) fn primary(&self, cluster: ClusterId, epoch: u64) -> Option<&Arc<Instance>> {
        let serving = self.serving(cluster).filter(|instance| instance.epoch() == epoch);
        serving.or_else(|| self.idle.get(&(cluster, epoch)))
    }

    /// All nodes of an epoch of the cluster, the primary first.
    pub(super) fn nodes(&self, cluster: ClusterId, epoch: u64) -> Vec<Arc<Instance>> {
        let primary = self.primary(cluster, epoch);
        primary.into_iter().chain(self.standbys_of(cluster, epoch)).cloned().collect()
    }

    /// One node of an epoch of the cluster.
    pub(super) fn node(&self, cluster: ClusterId, epoch: u64, node: NodeId) -> Option<Arc<Instance>> {
        self.nodes(cluster, epoch).into_iter().find(|instance| instance.node() == node)
    }

    /// Returns `Stale` if a node has recorded a newer plan.
    pub(super) fn check_successor(&self, plan: &InstancePlan) -> Result<()> {
        if let Some(current) = self.clusters.get(&plan.cluster).and_then(ClusterSlot::pending) {
            current.check_successor(plan)?;
        }
        let standbys = self.standbys_of(plan.cluster, plan.epoch);
        for node in self.serving(plan.cluster).into_iter().chain(standbys) {
            if let Some(current) = &node.state.borrow().plan {
                current.check_successor(plan)?;
            }
        }
        Ok(())
    }

    /// Puts the node that a plan calls the primary in the place of the former one, which becomes one of the others.
    /// Without data of this node, no instance serves the cluster any more.
    pub(super) fn lead(&mut self, wanted: &Claim) {
        let (Claim { cluster, epoch, .. }, Some(node)) = (*wanted, wanted.node) else { return };
        let former = self.primary(cluster, epoch).cloned();
        let stays = |former: &Arc<Instance>| former.claim().is_some_and(|claim| claim.can_be(wanted));
        if former.as_ref().is_some_and(stays) {
            return;
        }
        let served = self.serving(cluster).is_some_and(|instance| instance.epoch() == epoch);
        if served {
            self.clusters.remove(&cluster);
        }
        self.idle.remove(&(cluster, epoch));
        if let Some(former) = former {
            self.add_standby(former);
        }
        let Some(primary) = self.standbys.remove(&(cluster, epoch, node)) else { return };
        if served {
            primary.serve();
            self.clusters.insert(cluster, ClusterSlot::Claimed(primary));
        } else {
            self.idle.insert((cluster, epoch), primary);
        }
    }

    /// Takes all instances of the cluster out of the table.
    pub(super) fn take(&mut self, cluster: ClusterId) -> Vec<Arc<Instance>> {
        let mut instances: Vec<Arc<Instance>> = self.serving(cluster).cloned().into_iter().collect();
        self.clusters.remove(&cluster);
        instances.extend(self.idle_of(cluster).chain(self.all_standbys_of(cluster)).cloned());
        self.idle.retain(|(owner, _), _| *owner != cluster);
        self.standbys.retain(|(owner, ..), _| *owner != cluster);
        instances
    }

    /// Removes an instance that does not serve.
    pub(super) fn forget(&mut self, instance: &Arc<Instance>) {
        self.idle.retain(|_, other| !Arc::ptr_eq(other, instance));
        self.standbys.retain(|_, other| !Arc::ptr_eq(other, instance));
    }

    /// Puts an instance back that was taken. It doesn't serve until it is chosen.
    pub(super) fn put_back(&mut self, instance: Arc<Instance>) {
        let Some(claim) = instance.claim() else { return };
        if let Some(other) = self.idle.insert((claim.cluster, claim.epoch), instance) {
            self.add_standby(other);
        }
    }

    /// Every instance.
    pub(super) fn instances(&self) -> Vec<Arc<Instance>> {
        let slots = self.clusters.values().flat_map(ClusterSlot::instances);
        slots.chain(self.idle.values()).chain(self.standbys.values()).chain(&self.spares).cloned().collect()
    }

    /// Every cluster that has an instance, sorted.
    pub(super) fn clusters(&self) -> Vec<ClusterId> {
        let idle = self.idle.keys().map(|(cluster, _)| *cluster);
        let standbys = self.standbys.keys().map(|(cluster, ..)| *cluster);
        let mut ids: Vec<ClusterId> = self.clusters.keys().copied().chain(idle).chain(standbys).collect();
        ids.sort();
        ids.dedup();
        ids
    }
}

fn standby_key(instance: &Instance) -> Option<(ClusterId, u64, NodeId)> {
    let Claim { cluster, epoch, node } = instance.claim()?;
    Some((cluster, epoch, node.unwrap_or_default()))
}
