//! Which cluster has which instance, and the verbs on them.

use super::{
    binaries::Programs,
    host::Host,
    instance::{Instance, SPARE_READY, Stage, check_generation, read_cluster},
    missing::{Found, version_file},
    pool, process, template, trash,
};
use crate::files::{names_in, remove_tree};
use ootheca_model::{
    ClusterId, Error, Result,
    instance::{InstancePlan, Observed, Phase, Removal},
};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};

/// How long `remove` waits for its own work before it says `Going`.
const REMOVAL_WAIT: Duration = Duration::from_millis(500);

/// What a cluster has here.
#[derive(Debug)]
enum Slot {
    /// An instance is being made or claimed for it.
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
    clusters: HashMap<ClusterId, Slot>,
    spares: Vec<Arc<Instance>>,
}

/// The state of the engine; its tasks share it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) host: Arc<Host>,
    /// Templates are made one at a time.
    pub(super) templates: tokio::sync::Mutex<()>,
    /// Wakes the keeper of the pool.
    pub(super) refill: Notify,
    table: Mutex<Table>,
    active: watch::Sender<usize>,
    asked: Mutex<Instant>,
    cleaned: AtomicBool,
}

/// Work that `close` waits for.
pub(super) struct Active(Arc<Shared>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.send_modify(|count| *count -= 1);
    }
}

enum Next {
    Look(Arc<Instance>),
    Claim(Arc<Instance>),
    Make,
    Find,
}

/// What to do for a cluster that has nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// It is new: make its data.
    Create,
    /// It was created before: look for data that was put back, and report what is missing.
    Report,
}

impl Shared {
    pub(super) fn new(host: Host) -> Self {
        Self {
            host: Arc::new(host),
            templates: tokio::sync::Mutex::default(),
            refill: Notify::new(),
            table: Mutex::default(),
            active: watch::Sender::new(0),
            asked: Mutex::new(Instant::now()),
            cleaned: AtomicBool::new(false),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what an earlier incarnation left. Waits for nothing but a missing template.
    pub(super) async fn open(self: &Arc<Self>) -> Result<()> {
        if let Some(programs) = self.host.programs.first() {
            let _one_at_a_time = self.templates.lock().await;
            template::ensure(&self.host, programs).await?;
        }
        let unfinished = self.take_over();
        let Some(guard) = self.begin() else { return Ok(()) };
        let shared = self.clone();
        tokio::spawn(async move {
            let _guard = guard;
            shared.clean(unfinished).await;
        });
        if self.host.settings.pool_size > 0 {
            tokio::spawn(pool::keep_filled(self.clone()));
        }
        Ok(())
    }

    /// Reads the folders; returns those that are of no use.
    fn take_over(self: &Arc<Self>) -> Vec<String> {
        let mut unfinished = Vec::new();
        let mut table = self.table();
        let busy = process::working_folders();
        for id in names_in(&self.host.instances()) {
            let folder = self.host.instances().join(&id);
            let mark = fs::read_to_string(folder.join(SPARE_READY)).ok();
            let owner = read_cluster(&folder);
            let (Some(mark), Some(programs)) = (mark, self.programs_of(&folder.join("data"))) else {
                // What a cluster has claimed is never thrown away, whatever is missing in it.
                if owner.is_none() {
                    unfinished.push(id);
                }
                continue;
            };
            let instance = Instance::new(&self.host, &id, &programs);
            match owner {
                Some(cluster) => {
                    if !instance.adopt() && !busy.contains(&instance.data()) {
                        instance.found_empty();
                    }
                    instance.suspend();
                    if table.clusters.insert(cluster, Slot::Claimed(instance)).is_some() {
                        tracing::error!(%cluster, instance = id, "claimed two instances");
                    }
                }
                None => {
                    let newest =
                        self.host.programs.first().is_some_and(|newest| template::name(newest) == mark);
                    if newest && table.spares.len() < self.host.settings.pool_size {
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

    /// The programs for a data folder, even if they are no longer installed.
    pub(super) fn programs_of(&self, data: &Path) -> Option<Programs> {
        let major: u32 = fs::read_to_string(version_file(data)).ok()?.trim().parse().ok()?;
        let installed = self.host.programs.iter().find(|programs| programs.major == major);
        Some(installed.cloned().unwrap_or_else(|| {
            tracing::error!(major, data = %data.display(), "the programs of this major are not installed");
            Programs { major, version: format!("PostgreSQL {major}"), folder: PathBuf::from("missing") }
        }))
    }

    async fn clean(&self, unfinished: Vec<String>) {
        for id in unfinished {
            if let Err(error) = trash::discard(&self.host, &id).await {
                tracing::warn!(instance = id, error = error.chain(), "unfinished instance not removed");
            }
        }
        trash::empty_all(&self.host).await;
        template::clear_outdated(&self.host);
        for id in names_in(&self.host.run()) {
            let known = self.host.instances().join(&id).exists()
                || self.host.templates().join(format!("new-{id}")).exists();
            if !known {
                let _ = remove_tree(&self.host.run().join(&id));
            }
        }
        self.cleaned.store(true, Ordering::Release);
    }

    /// Begins work that `close` must wait for; `None` once it has begun.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Active> {
        self.active.send_modify(|count| *count += 1);
        let guard = Active(self.clone());
        (!self.host.closing()).then_some(guard)
    }

    /// Waits until no such work is left.
    pub(super) async fn idle(&self) {
        let _ = self.active.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Whether something was asked of the engine within this time, or is being done.
    pub(super) fn asked_within(&self, time: Duration) -> bool {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.elapsed() < time
            || self.table().clusters.values().any(|slot| matches!(slot, Slot::Making { .. }))
    }

    fn asked(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Makes the instance of a cluster match its plan.
    pub(super) async fn ensure(self: &Arc<Self>, plan: &InstancePlan, absent: Absent) -> Result<Observed> {
        self.host.secret()?;
        self.asked();
        // Taken before the decision: `close` waits for what comes of it.
        let guard = self.begin();
        match self.decide(plan, absent)? {
            None => self.observe(plan.cluster),
            Some(Next::Look(instance)) => instance.ensure(plan).await,
            Some(Next::Find) => match self.find(plan.cluster).await? {
                Found::Here(instance) => instance.ensure(plan).await,
                Found::Missing(missing) => Ok(Observed::data_missing(plan.cluster, missing)),
            },
            Some(Next::Claim(spare)) => {
                self.refill.notify_one();
                let (shared, cluster) = (self.clone(), plan.cluster);
                // On its own, so that a caller who gives up leaves nothing half-done.
                let work = tokio::spawn(async move {
                    let _guard = guard;
                    shared.settle(spare, cluster).await
                });
                work.await
                    .unwrap_or_else(|error| Err(Error::internal("a claim was cut off").because(error)))?;
                self.observe(plan.cluster)
            }
            Some(Next::Make) => {
                let programs = self.host.programs(&plan.engine_major)?.clone();
                let (shared, cluster) = (self.clone(), plan.cluster);
                tokio::spawn(async move {
                    let _guard = guard;
                    shared.create(cluster, &programs).await;
                });
                self.observe(plan.cluster)
            }
        }
    }

    /// What to do for a plan; takes the slot and, if there is one, a spare.
    fn decide(&self, plan: &InstancePlan, absent: Absent) -> Result<Option<Next>> {
        let mut table = self.table();
        match table.clusters.get_mut(&plan.cluster) {
            Some(Slot::Claimed(instance)) => return Ok(Some(Next::Look(instance.clone()))),
            Some(Slot::Removing(_)) => return Err(Error::unavailable("the cluster is being removed")),
            Some(Slot::Making { plan: current, failure, .. }) => {
                check_generation(current, plan)?;
                current.clone_from(plan);
                let Some(error) = failure.take() else { return Ok(None) };
                table.clusters.remove(&plan.cluster);
                return Err(error);
            }
            None => {}
        }
        if self.host.closing() {
            return Err(Error::unavailable("the engine is closing"));
        }
        if absent == Absent::Report {
            return Ok(Some(Next::Find));
        }
        let major = self.host.programs(&plan.engine_major)?.major;
        let usable = |spare: &Arc<Instance>| spare.programs.major == major && spare.ready_pid().is_some();
        let spare = table.spares.iter().position(usable).map(|at| table.spares.remove(at));
        let slot = Slot::Making { plan: plan.clone(), cancelled: false, failure: None };
        table.clusters.insert(plan.cluster, slot);
        Ok(Some(spare.map_or(Next::Make, Next::Claim)))
    }

    /// Takes in an instance whose folder was put back since the start.
    pub(super) fn take_in(&self, cluster: ClusterId, instance: Arc<Instance>) -> Result<Arc<Instance>> {
        match self.table().clusters.entry(cluster).or_insert(Slot::Claimed(instance)) {
            Slot::Claimed(instance) => Ok(instance.clone()),
            _ => Err(Error::unavailable("the cluster is being changed")),
        }
    }

    async fn create(self: &Arc<Self>, cluster: ClusterId, programs: &Programs) {
        let result = match pool::make(self, programs).await {
            Ok(instance) => self.settle(instance, cluster).await,
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            let mut table = self.table();
            match table.clusters.get_mut(&cluster) {
                Some(Slot::Making { cancelled: true, .. }) => drop(table.clusters.remove(&cluster)),
                Some(Slot::Making { failure, .. }) => *failure = Some(error),
                _ => {}
            }
        }
        self.host.hint(Some(cluster));
    }

    /// Gives an unclaimed instance to a cluster, or throws it away.
    async fn settle(&self, instance: Arc<Instance>, cluster: ClusterId) -> Result<()> {
        let plan = match self.table().clusters.get(&cluster) {
            Some(Slot::Making { plan, cancelled: false, .. }) => Some(plan.clone()),
            _ => None,
        };
        let claimed = match plan.clone() {
            Some(plan) => instance.claim(plan).await,
            None => Err(Error::unavailable("the cluster was removed while it was made")),
        };
        let Err(error) = claimed else {
            let before = self.table().clusters.insert(cluster, Slot::Claimed(instance.clone()));
            // A plan that came while the first was being recorded.
            if let Some(Slot::Making { plan: latest, .. }) = before
                && plan.as_ref() != Some(&latest)
            {
                instance.ensure(&latest).await?;
            }
            instance.suspend();
            self.host.hint(Some(cluster));
            return Ok(());
        };
        tracing::warn!(%cluster, instance = instance.id, error = error.chain(), "instance not claimed");
        instance.stop(true).await;
        let discarded = trash::discard(&self.host, &instance.id).await;
        self.table().clusters.remove(&cluster);
        discarded?;
        Err(error)
    }

    /// What is there for a cluster.
    pub(super) fn observe(&self, cluster: ClusterId) -> Result<Observed> {
        match self.table().clusters.get(&cluster) {
            None => Ok(Observed::absent(cluster)),
            Some(Slot::Making { .. }) => Ok(Observed { phase: Phase::Starting, ..Observed::absent(cluster) }),
            Some(Slot::Claimed(instance) | Slot::Removing(instance)) => instance.observe(),
        }
    }

    /// Ends and removes what a cluster has here.
    pub(super) async fn remove(self: &Arc<Self>, cluster: ClusterId) -> Result<Removal> {
        let Some(guard) = self.begin() else { return Err(Error::unavailable("the engine is closing")) };
        let Some(instance) = self.take_for_removal(cluster) else {
            let going = self.table().clusters.contains_key(&cluster) || !self.cleaned.load(Ordering::Acquire);
            if going {
                return Ok(Removal::Going);
            }
            // What is left of an instance whose data is missing.
            if let Some(id) = self.claimed_folder(cluster).await? {
                trash::discard(&self.host, &id).await?;
            }
            return Ok(Removal::Gone);
        };
        let shared = self.clone();
        let work = tokio::spawn(async move {
            let _guard = guard;
            instance.stop(true).await;
            match trash::discard(&shared.host, &instance.id).await {
                Ok(()) => {
                    shared.table().clusters.remove(&cluster);
                    shared.host.hint(Some(cluster));
                }
                // No hint: whoever waits for the removal asks again anyway, and a hint would make that at once.
                Err(error) => {
                    tracing::warn!(%cluster, error = error.chain(), "not removed");
                    instance.revive();
                    shared.table().clusters.insert(cluster, Slot::Claimed(instance));
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
            Slot::Claimed(instance) => {
                let instance = instance.clone();
                table.clusters.insert(cluster, Slot::Removing(instance.clone()));
                Some(instance)
            }
            Slot::Making { failure: Some(_), .. } => {
                table.clusters.remove(&cluster);
                None
            }
            Slot::Making { cancelled, .. } => {
                *cancelled = true;
                None
            }
            Slot::Removing(_) => None,
        }
    }

    /// Every cluster that has something here.
    pub(super) fn list(&self) -> Vec<ClusterId> {
        let mut ids: Vec<ClusterId> = self.table().clusters.keys().copied().collect();
        ids.sort();
        ids
    }

    /// The instance of a cluster.
    pub(super) fn claimed(&self, cluster: ClusterId) -> Option<Arc<Instance>> {
        match self.table().clusters.get(&cluster) {
            Some(Slot::Claimed(instance)) => Some(instance.clone()),
            _ => None,
        }
    }

    /// All instances, spares too.
    pub(super) fn instances(&self) -> Vec<Arc<Instance>> {
        let table = self.table();
        let claimed = table.clusters.values().filter_map(|slot| match slot {
            Slot::Claimed(instance) | Slot::Removing(instance) => Some(instance),
            Slot::Making { .. } => None,
        });
        claimed.chain(&table.spares).cloned().collect()
    }

    /// Whether the pool is short of a live spare.
    pub(super) fn missing_spare(&self) -> bool {
        let table = self.table();
        let live =
            table.spares.iter().filter(|spare| matches!(spare.stage(), Stage::Starting | Stage::Ready));
        live.count() < self.host.settings.pool_size
    }

    /// Takes spares out of the pool.
    pub(super) fn take_spares(&self, mut unwanted: impl FnMut(&Instance) -> bool) -> Vec<Arc<Instance>> {
        self.table().spares.extract_if(.., |spare| unwanted(spare)).collect()
    }

    /// The spares whose server is down.
    pub(super) fn cold_spares(&self) -> Vec<Arc<Instance>> {
        self.table().spares.iter().filter(|spare| spare.stage() == Stage::Down).cloned().collect()
    }

    /// The processes of the spares that can be claimed.
    pub(super) fn ready_spares(&self) -> Vec<u32> {
        self.table().spares.iter().filter_map(|spare| spare.ready_pid()).collect()
    }

    /// Puts a started instance into the pool; `close` finds it there.
    pub(super) fn add_spare(&self, spare: Arc<Instance>) {
        self.table().spares.push(spare);
    }
}
