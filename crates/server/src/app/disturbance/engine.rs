//! An engine whose effects can fail before or after they happened, and whose observations can be stale.

use super::schedule::{STALE, Schedule, TWICE, short};
use async_trait::async_trait;
use ootheca_engine::{
    Admin, Capabilities, Engine, InstanceReport, Received, Rejoin, Source,
    backup::{BaseInfo, BaseWriter, ObjectRestore, WalEnd},
    simulated::SimulatedEngine,
};
use ootheca_model::{
    Cluster, ClusterId, ClusterState, Error, Result,
    backup::MaskingScript,
    instance::{InstancePlan, Observed, Phase, Removal},
    node::{NodeId, Quorum},
    usage::{CpuCounter, Measure},
};
use ootheca_store::{Kind, Store};
use parking_lot::Mutex;
use std::{collections::HashMap, path::PathBuf, sync::Arc};
use tokio::sync::broadcast;

/// The number of failures while a cluster is created. The reconciler gives up after some more.
const CREATION_FAILURES: u32 = 3;

/// A fault that is planted into the loops, to show that a campaign finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Planted {
    /// Data is created in every state, not only in CREATING.
    CreatesInEveryState,
    /// A change is written whatever the row is now.
    IgnoresRevisions,
    /// A removal is reported although the instance is still there.
    ForgetsInstances,
    /// Usage is recorded from counters that were already recorded.
    CountsTwice,
}

/// An engine whose effects can fail before or after they happened, and whose observations can be stale.
pub(super) struct DisturbedEngine {
    pub(super) inner: Arc<SimulatedEngine>,
    /// The undisturbed store.
    store: Arc<dyn Store>,
    schedule: Arc<Schedule>,
    planted: Option<Planted>,
    observations: Mutex<HashMap<ClusterId, Vec<Observed>>>,
    lists: Mutex<Vec<Vec<ClusterId>>>,
    creation_failures: Mutex<HashMap<ClusterId, u32>>,
    measured: Mutex<HashMap<ClusterId, u64>>,
    /// Receivers that never receive a hint.
    silent: broadcast::Sender<ClusterId>,
}

impl DisturbedEngine {
    pub(super) fn new(
        inner: Arc<SimulatedEngine>,
        store: Arc<dyn Store>,
        schedule: Arc<Schedule>,
        planted: Option<Planted>,
    ) -> Self {
        Self {
            inner,
            store,
            schedule,
            planted,
            observations: Mutex::default(),
            lists: Mutex::default(),
            creation_failures: Mutex::default(),
            measured: Mutex::default(),
            silent: broadcast::channel(1).0,
        }
    }

    /// The state of a cluster as it is in the store.
    async fn state(&self, id: ClusterId) -> Option<ClusterState> {
        let row = self.store.get(Kind::Cluster, &id.to_string()).await.ok()??;
        serde_json::from_str::<Cluster>(&row.document).ok().map(|cluster| cluster.state)
    }

    /// An error instead of the effect or its response, if there is one here.
    async fn failure(&self, what: &str, id: ClusterId) -> Option<Error> {
        let error = self.schedule.failure(what, &short(id))?;
        self.may_fail(id).await.then_some(error)
    }

    async fn may_fail(&self, id: ClusterId) -> bool {
        if self.state(id).await != Some(ClusterState::Creating) {
            return true;
        }
        let mut failures = self.creation_failures.lock();
        let count = failures.entry(id).or_default();
        *count += 1;
        *count <= CREATION_FAILURES
    }

    /// Runs an effect, perhaps twice, and perhaps without its response.
    async fn effect<T, F>(&self, what: &str, id: ClusterId, act: impl Fn() -> F + Send) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        self.schedule.pause().await;
        if let Some(error) = self.failure(what, id).await {
            return Err(error);
        }
        let before = self.inner.observe(id).await?;
        let mut result = act().await;
        if self.schedule.happens(TWICE) {
            self.schedule.note(format!("{what} {}: twice", short(id)));
            result = act().await;
        }
        let after = self.inner.observe(id).await?;
        self.schedule.note(format!("{what} {}: {:?} to {:?}", short(id), before.phase, after.phase));
        self.check(what, &before, &after).await;
        if before != after {
            let mut observations = self.observations.lock();
            let earlier = observations.entry(id).or_default();
            earlier.push(before);
            if earlier.len() > 3 {
                earlier.remove(0);
            }
        }
        self.schedule.pause().await;
        match self.failure(&format!("response to {what}"), id).await {
            Some(error) => Err(error),
            None => result,
        }
    }

    /// Laws of every effect.
    async fn check(&self, what: &str, before: &Observed, after: &Observed) {
        let id = after.cluster;
        let appeared = before.phase == Phase::Absent && after.phase != Phase::Absent;
        // A cluster that is deleted while it is created is removed again.
        if appeared && matches!(self.state(id).await, Some(ClusterState::Created | ClusterState::Locked)) {
            self.schedule
                .violated(format!("{what} {}: data was created for a cluster that lost it", short(id)));
        }
        if after.phase != Phase::Absent && after.generation < before.generation {
            self.schedule.violated(format!("{what} {}: an older generation was applied", short(id)));
        }
    }

    async fn read(&self, what: &str, id: ClusterId) -> Result<()> {
        self.schedule.pause().await;
        self.schedule.failure(what, &short(id)).map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Engine for DisturbedEngine {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn open(&self) -> Result<()> {
        self.inner.open().await
    }

    async fn create(&self, plan: &InstancePlan) -> Result<Observed> {
        self.effect("create", plan.cluster, || self.inner.create(plan)).await
    }

    async fn ensure(&self, plan: &InstancePlan) -> Result<Observed> {
        let creates = self.planted == Some(Planted::CreatesInEveryState);
        let ensure = || match creates {
            true => self.inner.create(plan),
            false => self.inner.ensure(plan),
        };
        self.effect("ensure", plan.cluster, ensure).await
    }

    async fn observe(&self, cluster: ClusterId) -> Result<Observed> {
        self.read("observe", cluster).await?;
        let now = self.inner.observe(cluster).await?;
        if !self.schedule.happens(STALE) {
            return Ok(now);
        }
        let observations = self.observations.lock();
        let earlier = observations.get(&cluster).map_or(&[][..], Vec::as_slice);
        let count = u64::try_from(earlier.len()).unwrap_or(0);
        let place = usize::try_from(self.schedule.below(count)).unwrap_or(0);
        if let Some(earlier) = earlier.get(place) {
            self.schedule.note(format!("observe {}: {:?} is stale", short(cluster), earlier.phase));
        }
        Ok(earlier.get(place).cloned().unwrap_or(now))
    }

    async fn remove(&self, cluster: ClusterId) -> Result<Removal> {
        if self.planted == Some(Planted::ForgetsInstances) {
            return Ok(Removal::Gone);
        }
        self.effect("remove", cluster, || self.inner.remove(cluster)).await
    }

    async fn stage(
        &self,
        cluster: ClusterId,
        epoch: u64,
        source: &Source,
        masking: Option<&MaskingScript>,
    ) -> Result<()> {
        self.effect("stage", cluster, || self.inner.stage(cluster, epoch, source, masking)).await
    }

    async fn discard(&self, cluster: ClusterId, keep_epoch: u64) -> Result<()> {
        self.effect("discard", cluster, || self.inner.discard(cluster, keep_epoch)).await
    }

    async fn stage_node(&self, plan: &InstancePlan, node: NodeId, source: &Source) -> Result<()> {
        self.effect("stage_node", plan.cluster, || self.inner.stage_node(plan, node, source)).await
    }

    async fn remove_node(&self, plan: &InstancePlan, node: NodeId) -> Result<Removal> {
        self.effect("remove_node", plan.cluster, || self.inner.remove_node(plan, node)).await
    }

    async fn fence(&self, cluster: ClusterId, epoch: u64, node: NodeId) -> Result<()> {
        self.effect("fence", cluster, || self.inner.fence(cluster, epoch, node)).await
    }

    async fn received(&self, cluster: ClusterId, epoch: u64) -> Result<Vec<Received>> {
        self.read("received", cluster).await?;
        self.inner.received(cluster, epoch).await
    }

    async fn start_primary(&self, plan: &InstancePlan) -> Result<Observed> {
        self.effect("start_primary", plan.cluster, || self.inner.start_primary(plan)).await
    }

    async fn promote(&self, plan: &InstancePlan, before: &[Quorum]) -> Result<()> {
        self.effect("promote", plan.cluster, || self.inner.promote(plan, before)).await
    }

    async fn rejoin(&self, plan: &InstancePlan, node: NodeId) -> Result<Rejoin> {
        self.effect("rejoin", plan.cluster, || self.inner.rejoin(plan, node)).await
    }

    async fn apply_quorum(&self, plan: &InstancePlan) -> Result<bool> {
        self.effect("apply_quorum", plan.cluster, || self.inner.apply_quorum(plan)).await
    }

    async fn restart_node(&self, plan: &InstancePlan, node: NodeId) -> Result<()> {
        self.effect("restart_node", plan.cluster, || self.inner.restart_node(plan, node)).await
    }

    async fn read_endpoint(&self, cluster: ClusterId) -> Result<PathBuf> {
        self.inner.read_endpoint(cluster).await
    }

    async fn restore_objects(
        &self,
        cluster: ClusterId,
        epoch: u64,
        restore: &ObjectRestore,
        report: &(dyn Fn(f32) + Send + Sync),
    ) -> Result<()> {
        let restore_objects = || self.inner.restore_objects(cluster, epoch, restore, report);
        self.effect("restore_objects", cluster, restore_objects).await
    }

    async fn forget_restore(&self, cluster: ClusterId, id: &str) -> Result<()> {
        self.effect("forget_restore", cluster, || self.inner.forget_restore(cluster, id)).await
    }

    async fn copy_base(&self, cluster: ClusterId, epoch: u64, to: BaseWriter<'_>) -> Result<BaseInfo> {
        self.read("copy_base", cluster).await?;
        let base = self.inner.copy_base(cluster, epoch, to).await?;
        self.read("response to copy_base", cluster).await?;
        Ok(base)
    }

    async fn end_segment(&self, cluster: ClusterId, epoch: u64) -> Result<WalEnd> {
        self.effect("end_segment", cluster, || self.inner.end_segment(cluster, epoch)).await
    }

    async fn segments(&self, cluster: ClusterId, epoch: u64) -> Result<Vec<String>> {
        self.read("segments", cluster).await?;
        self.inner.segments(cluster, epoch).await
    }

    async fn read_segment(&self, cluster: ClusterId, epoch: u64, name: &str) -> Result<Vec<u8>> {
        self.read("read_segment", cluster).await?;
        self.inner.read_segment(cluster, epoch, name).await
    }

    async fn remove_segments(&self, cluster: ClusterId, epoch: u64, last: &str) -> Result<()> {
        let remove = || self.inner.remove_segments(cluster, epoch, last);
        self.effect("remove_segments", cluster, remove).await
    }

    async fn list(&self) -> Result<Vec<ClusterId>> {
        self.schedule.pause().await;
        if let Some(error) = self.schedule.failure("list", "instances") {
            return Err(error);
        }
        let now = self.inner.list().await?;
        let mut lists = self.lists.lock();
        let earlier = lists.last().filter(|earlier| **earlier != now).cloned();
        lists.push(now.clone());
        match earlier {
            Some(earlier) if self.schedule.happens(STALE) => {
                self.schedule.note("list instances: stale".to_owned());
                Ok(earlier)
            }
            _ => Ok(now),
        }
    }

    fn watch(&self) -> broadcast::Receiver<ClusterId> {
        match self.schedule.happens(STALE) {
            true => self.silent.subscribe(),
            false => self.inner.watch(),
        }
    }

    async fn admin(&self, cluster: ClusterId) -> Result<Box<dyn Admin>> {
        self.read("admin", cluster).await?;
        self.inner.admin(cluster).await
    }

    async fn endpoint(&self, cluster: ClusterId) -> Result<PathBuf> {
        self.inner.endpoint(cluster).await
    }

    /// Never stale: ticks run one after another, and each reads the counters again.
    async fn cpu(&self, cluster: ClusterId) -> Result<CpuCounter> {
        self.read("cpu", cluster).await?;
        self.inner.cpu(cluster).await
    }

    async fn measure(&self, cluster: ClusterId) -> Result<Measure> {
        self.read("measure", cluster).await?;
        let mut measure = self.inner.measure(cluster).await?;
        if self.planted == Some(Planted::CountsTwice) {
            // As if the counters started again at every measurement.
            let mut measured = self.measured.lock();
            let count = measured.entry(cluster).or_default();
            *count += 1;
            measure.sql.epoch = count.to_string();
        }
        Ok(measure)
    }

    async fn report(&self) -> Result<Vec<InstanceReport>> {
        self.inner.report().await
    }

    async fn close(&self, detach: bool) {
        self.inner.close(detach).await;
    }
}
