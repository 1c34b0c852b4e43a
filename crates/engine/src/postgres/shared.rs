//! Maps clusters to instances, and implements the engine's operations on them.

use super::{
    binaries::Programs,
    context::EngineContext,
    instance::{Instance, SPARE_READY, Stage, check_generation, read_cluster},
    missing::{DataSearch, version_file},
    pool, process, template, trash,
};
use crate::files::{names_in, remove_tree};
use ootheca_model::{
    ClusterId, Error, Result,
    instance::{InstancePlan, Observed, Phase, Removal},
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};

/// How long `remove` waits for the removal before it returns `Going`.
const REMOVAL_WAIT: Duration = Duration::from_millis(500);

/// The state of a cluster in this engine.
#[derive(Debug)]
enum ClusterSlot {
    /// An instance is being created or claimed for the cluster.
    Making {
        plan: InstancePlan,
        cancelled: bool,
        failure: Option<Error>,
    },
    Claimed(Arc<Instance>),
    Removing(Arc<Instance>),
}

#[derive(Debug, Default)]
struct Table {
    clusters: HashMap<ClusterId, ClusterSlot>,
    spares: Vec<Arc<Instance>>,
}

/// The state of the engine, shared by its tasks.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) context: Arc<EngineContext>,
    /// Serializes the creation of templates.
    pub(super) templates: tokio::sync::Mutex<()>,
    /// Notifies the task that fills the pool.
    pub(super) refill: Notify,
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
            table: Mutex::default(),
            active: watch::Sender::new(0),
            last_request: Mutex::new(Instant::now()),
            cleaned: AtomicBool::new(false),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
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

    /// Loads the instances on disk. Returns the ids of those that cannot be used.
    fn take_over(self: &Arc<Self>) -> Vec<String> {
        let mut unfinished = Vec::new();
        let mut table = self.table();
        let busy = process::working_folders();
        for id in names_in(&self.context.instances()) {
            let folder = self.context.instances().join(&id);
            let mark = fs::read_to_string(folder.join(SPARE_READY)).ok();
            let owner = read_cluster(&folder);
            let (Some(mark), Some(programs)) = (mark, self.programs_of(&folder.join("data"))) else {
                // An instance that a cluster has claimed is never removed here, even if it is incomplete.
                if owner.is_none() {
                    unfinished.push(id);
                }
                continue;
            };
            let instance = Instance::new(&self.context, &id, &programs);
            match owner {
                Some(cluster) => {
                    if !instance.adopt() && !busy.contains(&instance.data()) {
                        instance.found_empty();
                    }
                    instance.suspend();
                    if table.clusters.insert(cluster, ClusterSlot::Claimed(instance)).is_some() {
                        tracing::error!(%cluster, instance = id, "cluster has claimed two instances");
                    }
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
        unfinished
    }

    /// Returns the programs for a data folder, even if they are no longer installed.
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

    fn note_request(&self) {
        *self.last_request.lock() = Instant::now();
    }

    pub(super) async fn ensure(
        self: &Arc<Self>,
        plan: &InstancePlan,
        absent: WhenMissing,
    ) -> Result<Observed> {
        self.context.secret()?;
        self.note_request();
        // Registered before the decision, so that `close` waits for all resulting work.
        let guard = self.begin();
        match self.decide(plan, absent)? {
            None => self.observe(plan.cluster),
            Some(EnsureStep::Look(instance)) => instance.ensure(plan).await,
            Some(EnsureStep::Find) => match self.find(plan.cluster).await? {
                DataSearch::Found(instance) => instance.ensure(plan).await,
                DataSearch::Missing(missing) => Ok(Observed::data_missing(plan.cluster, missing)),
            },
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

    /// Decides what to do for a plan. Reserves the cluster's entry and, if there is one, a spare.
    fn decide(&self, plan: &InstancePlan, absent: WhenMissing) -> Result<Option<EnsureStep>> {
        let mut table = self.table();
        match table.clusters.get_mut(&plan.cluster) {
            Some(ClusterSlot::Claimed(instance)) => return Ok(Some(EnsureStep::Look(instance.clone()))),
            Some(ClusterSlot::Removing(_)) => return Err(Error::unavailable("the cluster is being removed")),
            Some(ClusterSlot::Making { plan: current, failure, .. }) => {
                check_generation(current, plan)?;
                current.clone_from(plan);
                let Some(error) = failure.take() else { return Ok(None) };
                table.clusters.remove(&plan.cluster);
                return Err(error);
            }
            None => {}
        }
        if self.context.closing() {
            return Err(Error::unavailable("the engine is shutting down"));
        }
        if absent == WhenMissing::Report {
            return Ok(Some(EnsureStep::Find));
        }
        let major = self.context.programs(&plan.engine_major)?.major;
        let usable = |spare: &Arc<Instance>| spare.programs.major == major && spare.ready_pid().is_some();
        let spare = table.spares.iter().position(usable).map(|at| table.spares.remove(at));
        let slot = ClusterSlot::Making { plan: plan.clone(), cancelled: false, failure: None };
        table.clusters.insert(plan.cluster, slot);
        Ok(Some(spare.map_or(EnsureStep::Make, EnsureStep::Claim)))
    }

    /// Registers an instance whose folder was restored after startup.
    pub(super) fn register(&self, cluster: ClusterId, instance: Arc<Instance>) -> Result<Arc<Instance>> {
        match self.table().clusters.entry(cluster).or_insert(ClusterSlot::Claimed(instance)) {
            ClusterSlot::Claimed(instance) => Ok(instance.clone()),
            _ => Err(Error::unavailable("the cluster is being changed")),
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
            Some(plan) => instance.claim(plan).await,
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
        match self.table().clusters.get(&cluster) {
            None => Ok(Observed::absent(cluster)),
            Some(ClusterSlot::Making { .. }) => {
                Ok(Observed { phase: Phase::Starting, ..Observed::absent(cluster) })
            }
            Some(ClusterSlot::Claimed(instance) | ClusterSlot::Removing(instance)) => instance.observe(),
        }
    }

    /// Stops and removes the instance of a cluster.
    pub(super) async fn remove(self: &Arc<Self>, cluster: ClusterId) -> Result<Removal> {
        let Some(guard) = self.begin() else { return Err(Error::unavailable("the engine is shutting down")) };
        let Some(instance) = self.take_for_removal(cluster) else {
            let going = self.table().clusters.contains_key(&cluster) || !self.cleaned.load(Ordering::Acquire);
            if going {
                return Ok(Removal::Going);
            }
            // The remains of an instance whose data is missing.
            if let Some(id) = self.claimed_folder(cluster).await? {
                trash::discard(&self.context, &id).await?;
            }
            return Ok(Removal::Gone);
        };
        let shared = self.clone();
        let work = tokio::spawn(async move {
            let _guard = guard;
            instance.stop(true).await;
            match trash::discard(&shared.context, &instance.id).await {
                Ok(()) => {
                    shared.table().clusters.remove(&cluster);
                    shared.context.hint(Some(cluster));
                }
                // No hint: the caller retries the removal anyway, and a hint would make it do so immediately.
                Err(error) => {
                    tracing::warn!(%cluster, error = error.chain(), "could not remove instance");
                    instance.revive();
                    shared.table().clusters.insert(cluster, ClusterSlot::Claimed(instance));
                }
            }
        });
        let _ = tokio::time::timeout(REMOVAL_WAIT, work).await;
        let left = self.table().clusters.contains_key(&cluster);
        Ok(if left { Removal::Going } else { Removal::Gone })
    }

    fn take_for_removal(&self, cluster: ClusterId) -> Option<Arc<Instance>> {
        let mut table = self.table();
        match table.clusters.get_mut(&cluster)? {
            ClusterSlot::Claimed(instance) => {
                let instance = instance.clone();
                table.clusters.insert(cluster, ClusterSlot::Removing(instance.clone()));
                Some(instance)
            }
            ClusterSlot::Making { failure: Some(_), .. } => {
                table.clusters.remove(&cluster);
                None
            }
            ClusterSlot::Making { cancelled, .. } => {
                *cancelled = true;
                None
            }
            ClusterSlot::Removing(_) => None,
        }
    }

    pub(super) fn list(&self) -> Vec<ClusterId> {
        let mut ids: Vec<ClusterId> = self.table().clusters.keys().copied().collect();
        ids.sort();
        ids
    }

    pub(super) fn claimed(&self, cluster: ClusterId) -> Option<Arc<Instance>> {
        match self.table().clusters.get(&cluster) {
            Some(ClusterSlot::Claimed(instance)) => Some(instance.clone()),
            _ => None,
        }
    }

    /// All instances, including spares.
    pub(super) fn instances(&self) -> Vec<Arc<Instance>> {
        let table = self.table();
        let claimed = table.clusters.values().filter_map(|slot| match slot {
            ClusterSlot::Claimed(instance) | ClusterSlot::Removing(instance) => Some(instance),
            ClusterSlot::Making { .. } => None,
        });
        claimed.chain(&table.spares).cloned().collect()
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

    /// The process ids of the spares that can be claimed.
    pub(super) fn ready_spares(&self) -> Vec<u32> {
        self.table().spares.iter().filter_map(|spare| spare.ready_pid()).collect()
    }

    /// Adds a started instance to the pool.
    pub(super) fn add_spare(&self, spare: Arc<Instance>) {
        self.table().spares.push(spare);
    }
}
