//! Maps clusters to instances, and implements the engine's operations on them.

use super::{
    binaries::Programs,
    claim::Claim,
    context::EngineContext,
    instance::{Instance, SPARE_READY, Stage},
    members::ClusterLocks,
    missing::{DataSearch, version_file},
    pool, process,
    table::{ClusterSlot, Table},
    template, trash,
};
use crate::files::{names_in, remove_tree};
use ootheca_model::{
    ClusterId, Error, Result,
    instance::{InstancePlan, Observed, Phase},
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};

/// The state of the engine, shared by its tasks.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) context: Arc<EngineContext>,
    /// Serializes the creation of templates.
    pub(super) templates: tokio::sync::Mutex<()>,
    /// Notifies the task that fills the pool.
    pub(super) refill: Notify,
    /// The clusters of which instances are being staged, discarded, or removed.
    pub(super) changing: watch::Sender<HashSet<ClusterId>>,
    /// Held while it is checked which server of a cluster may accept writes, and while that one is started or promoted.
    pub(super) leading: ClusterLocks,
    table: Mutex<Table>,
    active: watch::Sender<usize>,
    last_request: Mutex<Instant>,
    cleaned: AtomicBool,
}

/// Represents work that `close` waits for.
pub(super) struct WorkGuard(Arc<Shared>);

impl Drop for WorkGuard {
    fn drop(&mut self) {
        self.0.active.send_modify(|count| *count -= 1);
    }
}

enum EnsureStep {
    Look(Arc<Instance>),
    Claim(Arc<Instance>),
    Make,
    Find,
}

/// What to do for a cluster without an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhenMissing {
    /// The cluster is new: create its data.
    Create,
    /// The cluster was created before: look for restored data, and report what is missing.
    Report,
}

impl Shared {
    pub(super) fn new(context: EngineContext) -> Self {
        Self {
            context: Arc::new(context),
            templates: tokio::sync::Mutex::default(),
            refill: Notify::new(),
            changing: watch::Sender::new(HashSet::new()),
            leading: ClusterLocks::default(),
            table: Mutex::default(),
            active: watch::Sender::new(0),
            last_request: Mutex::new(Instant::now()),
            cleaned: AtomicBool::new(false),
        }
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }

    /// Adopts what a previous process left. Waits only for the creation of a missing template.
    pub(super) async fn open(self: &Arc<Self>) -> Result<()> {
        if let Some(programs) = self.context.programs.first() {
            let _one_at_a_time = self.templates.lock().await;
            template::ensure(&self.context, programs).await?;
        }
        let unfinished = self.take_over();
        let Some(guard) = self.begin() else { return Ok(()) };
        let shared = self.clone();
        tokio::spawn(async move {
            let _guard = guard;
            shared.clean(unfinished).await;
        });
        if self.context.settings.pool_size > 0 {
            tokio::spawn(pool::keep_filled(self.clone()));
        }
        Ok(())
    }

    /// Loads the instances on disk. Returns the IDs of those that cannot be used.
    fn take_over(self: &Arc<Self>) -> Vec<String> {
        let (mut unfinished, mut found) = (Vec::new(), Vec::new());
        let mut table = self.table();
        let busy = process::working_folders();
        for id in names_in(&self.context.instances()) {
            let folder = self.context.instances().join(&id);
            let mark = fs::read_to_string(folder.join(SPARE_READY)).ok();
            let claim = Claim::read(&folder);
            let (Some(mark), Some(programs)) = (mark, self.programs_of(&folder.join("data"))) else {
                // An instance that a cluster has claimed is never removed here, even if it is incomplete.
                if claim.is_none() {
                    unfinished.push(id);
                }
                continue;
            };
            let instance = Instance::new(&self.context, &id, &programs);
            match claim {
                Some(_) => {
                    if !instance.adopt() && !busy.contains(&instance.data()) {
                        instance.found_empty();
                    }
                    found.push(instance);
                }
                None => {
                    let newest =
                        self.context.programs.first().is_some_and(|newest| template::name(newest) == mark);
                    if newest && table.spares.len() < self.context.settings.pool_size {
                        instance.adopt();
                        table.spares.push(instance);
                    } else {
                        unfinished.push(id);
                    }
                }
            }
        }
        table.load(found);
        // Until the first plan. It may name a later epoch.
        for instance in table.serve_latest() {
            instance.suspend();
        }
        unfinished
    }

    /// Returns the programs for a data directory, even if they are no longer installed.
    pub(super) fn programs_of(&self, data: &Path) -> Option<Programs> {
        let major: u32 = fs::read_to_string(version_file(data)).ok()?.trim().parse().ok()?;
        let installed = self.context.programs.iter().find(|programs| programs.major == major);
        Some(installed.cloned().unwrap_or_else(|| {
            tracing::error!(major, data = %data.display(), "PostgreSQL version of the data is not installed");
            Programs { major, version: format!("PostgreSQL {major}"), folder: PathBuf::from("missing") }
        }))
    }

    async fn clean(&self, unfinished: Vec<String>) {
        for id in unfinished {
            if let Err(error) = trash::discard(&self.context, &id).await {
                tracing::warn!(instance = id, error = error.chain(), "could not remove unfinished instance");
            }
        }
        trash::empty_all(&self.context).await;
        template::clear_outdated(&self.context);
        for id in names_in(&self.context.run()) {
            let known = self.context.instances().join(&id).exists()
                || self.context.templates().join(format!("new-{id}")).exists();
            if !known {
                let _ = remove_tree(&self.context.run().join(&id));
            }
        }
        self.cleaned.store(true, Ordering::Release);
    }

    /// Registers work that `close` must wait for. Returns `None` if the engine is shutting down.
    pub(super) fn begin(self: &Arc<Self>) -> Option<WorkGuard> {
        self.active.send_modify(|count| *count += 1);
        let guard = WorkGuard(self.clone());
        (!self.context.closing()).then_some(guard)
    }

    /// Waits until no registered work is left.
    pub(super) async fn idle(&self) {
        let _ = self.active.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Whether the engine has received a request within this time, or is still creating an instance.
    pub(super) fn requested_within(&self, time: Duration) -> bool {
        let last_request = *self.last_request.lock();
        last_request.elapsed() < time
            || self.table().clusters.values().any(|slot| matches!(slot, ClusterSlot::Making { .. }))
    }

    pub(super) fn note_request(&self) {
        *self.last_request.lock() = Instant::now();
    }

    /// Makes the instance that serves match the plan.
    pub(super) async fn ensure_serving(
        self: &Arc<Self>,
        plan: &InstancePlan,
        absent: WhenMissing,
    ) -> Result<Observed> {
        // Registered before the decision, so that `close` waits for all resulting work.
        let guard = self.begin();
        let mut step = self.decide(plan, absent)?;
        if matches!(step, Some(EnsureStep::Find)) {
            if let DataSearch::Missing(missing) = self.find(Claim::of(plan)).await? {
                return Ok(Observed::data_missing(plan.cluster, missing));
            }
            step = self.decide(plan, absent)?;
        }
        match step {
            None => self.observe(plan.cluster),
            Some(EnsureStep::Look(instance)) => instance.ensure(plan).await,
            Some(EnsureStep::Find) => Err(Error::unavailable("the cluster is being changed")),
            Some(EnsureStep::Claim(spare)) => {
                self.refill.notify_one();
                let (shared, cluster) = (self.clone(), plan.cluster);
                // Spawned, so that a disconnecting caller cannot cancel it.
                let work = tokio::spawn(async move {
                    let _guard = guard;
                    shared.assign(spare, cluster).await
                });
                work.await
                    .unwrap_or_else(|error| Err(Error::internal("a claim was interrupted").because(error)))?;
                self.observe(plan.cluster)
            }
            Some(EnsureStep::Make) => {
                let programs = self.context.programs(&plan.engine_major)?.clone();
                let (shared, cluster) = (self.clone(), plan.cluster);
                tokio::spawn(async move {
                    let _guard = guard;
                    shared.create(cluster, &programs).await;
                });
                self.observe(plan.cluster)
            }
        }
    }

    /// Decides what to do for a plan. Reserves the cluster's entry and, if there is one, a spare. Returns `None` if
    /// there is nothing to do until the next hint.
    fn decide(&self, plan: &InstancePlan, absent: WhenMissing) -> Result<Option<EnsureStep>> {
        let mut table = self.table();
        let table = &mut *table;
        match table.clusters.get_mut(&plan.cluster) {
            Some(ClusterSlot::Removing(_)) => return Err(Error::unavailable("the cluster is being removed")),
            Some(ClusterSlot::Making { plan: current, failure, .. }) => {
                current.check_successor(plan)?;
                if plan.epoch > current.epoch {
                    return Err(Error::unavailable("the cluster is being created"));
                }
                current.clone_from(plan);
                let Some(error) = failure.take() else { return Ok(None) };
                table.clusters.remove(&plan.cluster);
                return Err(error);
            }
            Some(slot) => replace_if_later(slot, plan)?,
            None => {}
        }
        if table.clusters.contains_key(&plan.cluster) || table.idle_of(plan.cluster).next().is_some() {
            let changing = self.changing.borrow().contains(&plan.cluster);
            return Ok(choose(table, plan, changing));
        }
        if self.context.closing() {
            return Err(Error::unavailable("the engine is shutting down"));
        }
        // New data would not be what the standbys have.
        if absent == WhenMissing::Report || table.all_standbys_of(plan.cluster).next().is_some() {
            return Ok(Some(EnsureStep::Find));
        }
        let major = self.context.programs(&plan.engine_major)?.major;
        let usable = |spare: &Arc<Instance>| spare.programs.major == major && spare.ready_pid().is_some();
        let spare = table.spares.iter().position(usable).map(|at| table.spares.remove(at));
        let slot = ClusterSlot::Making { plan: plan.clone(), cancelled: false, failure: None };
        table.clusters.insert(plan.cluster, slot);
        Ok(Some(spare.map_or(EnsureStep::Make, EnsureStep::Claim)))
    }

    /// Registers an instance whose folder was restored after startup. It doesn't serve until it is chosen.
    pub(super) fn register(&self, claim: Claim, instance: Arc<Instance>) -> Result<()> {
        let mut table = self.table();
        match table.clusters.get(&claim.cluster) {
            Some(ClusterSlot::Making { .. } | ClusterSlot::Removing(_)) => {
                Err(Error::unavailable("the cluster is being changed"))
            }
            // Another call found it too.
            Some(ClusterSlot::Claimed(serving)) if serving.epoch() == claim.epoch => Ok(()),
            _ => {
                table.idle.entry((claim.cluster, claim.epoch)).or_insert(instance);
                Ok(())
            }
        }
    }

    async fn create(self: &Arc<Self>, cluster: ClusterId, programs: &Programs) {
        let result = match pool::make(self, programs).await {
            Ok(instance) => self.assign(instance, cluster).await,
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            let mut table = self.table();
            match table.clusters.get_mut(&cluster) {
                Some(ClusterSlot::Making { cancelled: true, .. }) => drop(table.clusters.remove(&cluster)),
                Some(ClusterSlot::Making { failure, .. }) => *failure = Some(error),
                _ => {}
            }
        }
        self.context.hint(Some(cluster));
    }

    /// Assigns an unclaimed instance to a cluster, or discards it.
    async fn assign(&self, instance: Arc<Instance>, cluster: ClusterId) -> Result<()> {
        let plan = match self.table().clusters.get(&cluster) {
            Some(ClusterSlot::Making { plan, cancelled: false, .. }) => Some(plan.clone()),
            _ => None,
        };
        let claimed = match plan.clone() {
            Some(plan) => instance.claim_for(plan).await,
            None => Err(Error::unavailable("the cluster was removed while it was created")),
        };
        let Err(error) = claimed else {
            let before = self.table().clusters.insert(cluster, ClusterSlot::Claimed(instance.clone()));
            // The plan changed while the first one was being written.
            if let Some(ClusterSlot::Making { plan: latest, .. }) = before
                && plan.as_ref() != Some(&latest)
            {
                instance.ensure(&latest).await?;
            }
            instance.suspend();
            self.context.hint(Some(cluster));
            return Ok(());
        };
        tracing::warn!(%cluster, instance = instance.id, error = error.chain(), "could not claim instance");
        instance.stop(true).await;
        let discarded = trash::discard(&self.context, &instance.id).await;
        self.table().clusters.remove(&cluster);
        discarded?;
        Err(error)
    }

    pub(super) fn observe(&self, cluster: ClusterId) -> Result<Observed> {
        let table = self.table();
        let phase = match table.clusters.get(&cluster) {
            Some(ClusterSlot::Claimed(instance) | ClusterSlot::Replacing { from: instance, .. }) => {
                return table.observe(instance);
            }
            Some(ClusterSlot::Removing(instances)) if !instances.is_empty() => return instances[0].observe(),
            Some(ClusterSlot::Making { .. }) => Phase::Starting,
            // There is data, but none that serves.
            None if table.idle_of(cluster).next().is_some() => Phase::Down,
            None if table.all_standbys_of(cluster).next().is_some() => Phase::Down,
            _ => Phase::Absent,
        };
        Ok(Observed { phase, ..Observed::absent(cluster) })
    }

    pub(super) fn list(&self) -> Vec<ClusterId> {
        self.table().clusters()
    }

    pub(super) fn claimed(&self, cluster: ClusterId) -> Option<Arc<Instance>> {
        match self.table().clusters.get(&cluster) {
            Some(ClusterSlot::Claimed(instance)) => Some(instance.clone()),
            _ => None,
        }
    }

    /// All instances, including spares.
    pub(super) fn instances(&self) -> Vec<Arc<Instance>> {
        self.table().instances()
    }

    /// Whether the remains of a previous process are removed.
    pub(super) fn is_cleaned(&self) -> bool {
        self.cleaned.load(Ordering::Acquire)
    }

    /// Whether the pool has fewer live spares than configured.
    pub(super) fn missing_spare(&self) -> bool {
        let table = self.table();
        let live =
            table.spares.iter().filter(|spare| matches!(spare.stage(), Stage::Starting | Stage::Ready));
        live.count() < self.context.settings.pool_size
    }

    /// Removes the spares that match from the pool.
    pub(super) fn take_spares(&self, mut unwanted: impl FnMut(&Instance) -> bool) -> Vec<Arc<Instance>> {
        self.table().spares.extract_if(.., |spare| unwanted(spare)).collect()
    }

    /// The spares whose server is down.
    pub(super) fn cold_spares(&self) -> Vec<Arc<Instance>> {
        self.table().spares.iter().filter(|spare| spare.stage() == Stage::Down).cloned().collect()
    }

    /// The process IDs of the spares that can be claimed.
    pub(super) fn ready_spares(&self) -> Vec<u32> {
        self.table().spares.iter().filter_map(|spare| spare.ready_pid()).collect()
    }

    /// Adds a started instance to the pool.
    pub(super) fn add_spare(&self, spare: Arc<Instance>) {
        self.table().spares.push(spare);
    }
}

/// Begins to replace the instance that serves if the plan names a later epoch than it has.
fn replace_if_later(slot: &mut ClusterSlot, plan: &InstancePlan) -> Result<()> {
    match slot {
        ClusterSlot::Replacing { plan: current, .. } => {
            current.check_successor(plan)?;
            current.clone_from(plan);
        }
        ClusterSlot::Claimed(instance) if instance.epoch() != plan.epoch => {
            let (from, epoch) = (instance.clone(), instance.epoch());
            let applied = from.state.borrow().plan.clone().unwrap_or_else(|| plan.clone());
            let current = InstancePlan { epoch, ..applied };
            current.check_successor(plan)?;
            tracing::info!(cluster = %plan.cluster, from = epoch, to = plan.epoch, "replacing data of cluster");
            *slot = ClusterSlot::Replacing { from, plan: plan.clone() };
        }
        _ => {}
    }
    Ok(())
}

/// Chooses the instance of the plan's epoch once no process of another one is left, so that there are never two
/// servers of a cluster. Waits for tasks that may discard that instance.
fn choose(table: &mut Table, plan: &InstancePlan, changing: bool) -> Option<EnsureStep> {
    let vacated = table.vacate_others(plan.cluster, plan.epoch);
    let is_there = table.idle.contains_key(&(plan.cluster, plan.epoch));
    match table.clusters.get(&plan.cluster) {
        Some(ClusterSlot::Claimed(instance)) => vacated.then(|| EnsureStep::Look(instance.clone())),
        _ if !is_there => Some(EnsureStep::Find),
        _ if vacated && !changing => table.serve(plan.cluster, plan.epoch).map(EnsureStep::Look),
        _ => None,
    }
}
