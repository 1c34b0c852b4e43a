//! The storage of the simulated engine: one JSON file for each cluster and data epoch, mode 0600. Beside it is a folder
//! with WAL segments, if there are any.
//!
//! Several processes can share a folder. Each of them then reads the files whenever it needs them, and locks the
//! folder for a change.

use super::{
    changes::{ChangeClock, DataChange},
    nodes::Nodes,
};
use crate::files::{failed, names_in, remove_tree, write_atomically};
use ootheca_durable::failpoint;
use ootheca_model::{
    ClusterId, Error, ErrorKind, Result, Timestamp,
    instance::{InstancePlan, Phase, Power},
    time::Clock,
};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::time::Instant;

/// The number of changes after which a WAL segment ends by itself.
const MAX_RECENT: usize = 1000;

/// What users create in a cluster, and what its backups contain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ClusterData {
    /// SCRAM verifiers by user.
    pub(super) users: BTreeMap<String, String>,
    pub(super) databases: BTreeSet<String>,
}

impl ClusterData {
    /// The data of a new cluster.
    pub(super) fn new() -> Self {
        Self { users: BTreeMap::new(), databases: BTreeSet::from(["defaultdb".to_owned()]) }
    }
}

/// The content of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ClusterDocument {
    /// Its epoch is that of the data.
    pub(super) plan: InstancePlan,
    /// Whether no plan has named the epoch yet.
    #[serde(default)]
    pub(super) staged: bool,
    /// The number of changes of the data.
    #[serde(default)]
    pub(super) changes: u64,
    /// The number of changes that the last WAL segment contains; 0 if there is none.
    #[serde(default)]
    pub(super) archived: u64,
    /// The changes since the last WAL segment, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) recent: Vec<DataChange>,
    /// The restores of objects that were completed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) restored: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Nodes::is_initial")]
    pub(super) nodes: Nodes,
    #[serde(flatten)]
    pub(super) data: ClusterData,
}

impl ClusterDocument {
    fn new(plan: InstancePlan, staged: bool, data: ClusterData) -> Self {
        let mut document = Self {
            plan,
            staged,
            changes: 0,
            archived: 0,
            recent: Vec::new(),
            restored: BTreeSet::new(),
            nodes: Nodes::default(),
            data,
        };
        if !staged {
            document.add_planned_nodes();
        }
        document
    }

    fn key(&self) -> (ClusterId, u64) {
        (self.plan.cluster, self.plan.epoch)
    }
}

/// What serves a cluster.
#[derive(Clone, Debug)]
pub(super) struct SimulatedCluster {
    pub(super) document: ClusterDocument,
    pub(super) ready_at: Instant,
    /// The last plan, if there is no data of its epoch. Nothing serves until there is.
    pub(super) missing: Option<InstancePlan>,
    /// The number of changes when this engine last ended a WAL segment.
    pub(super) ended: Option<u64>,
}

impl SimulatedCluster {
    fn new(document: ClusterDocument, ready_at: Instant) -> Self {
        Self { document, ready_at, missing: None, ended: None }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.document.plan.power {
            _ if self.missing.is_some() => Phase::Down,
            Power::Off => Phase::Suspended,
            Power::On if !self.document.nodes.accepts_writes() => Phase::Down,
            Power::On if self.ready_at <= Instant::now() => Phase::Ready,
            Power::On => Phase::Starting,
        }
    }

    pub(super) fn last_plan(&self) -> &InstancePlan {
        self.missing.as_ref().unwrap_or(&self.document.plan)
    }
}

#[derive(Debug, Default)]
pub(super) struct Clusters {
    pub(super) serving: HashMap<ClusterId, SimulatedCluster>,
    /// Data that is staged or was replaced.
    pub(super) idle: BTreeMap<(ClusterId, u64), ClusterDocument>,
}

impl Clusters {
    /// For each cluster, the highest epoch that a plan has named serves.
    fn of(documents: Vec<ClusterDocument>, ready_at: Instant) -> Self {
        let idle: BTreeMap<_, _> = documents.into_iter().map(|document| (document.key(), document)).collect();
        let named = idle.values().filter(|document| !document.staged);
        let latest: HashMap<ClusterId, u64> = named.map(ClusterDocument::key).collect();
        let mut clusters = Self { serving: HashMap::new(), idle };
        for key in latest {
            if let Some(document) = clusters.idle.remove(&key) {
                clusters.serve(document, ready_at);
            }
        }
        clusters
    }

    fn serve(&mut self, document: ClusterDocument, ready_at: Instant) {
        let simulated = SimulatedCluster::new(document, ready_at);
        let before = self.serving.insert(simulated.document.plan.cluster, simulated);
        if let Some(SimulatedCluster { document, .. }) = before {
            self.idle.insert(document.key(), document);
        }
    }

    /// The epochs of the cluster that do not serve.
    fn idle_of(&self, cluster: ClusterId) -> Vec<u64> {
        self.idle.range((cluster, 0)..=(cluster, u64::MAX)).map(|((_, epoch), _)| *epoch).collect()
    }

    /// The plan of staged data; `None` if there is data of this epoch.
    fn plan_to_stage(&self, cluster: ClusterId, epoch: u64) -> Result<Option<InstancePlan>> {
        let Some(simulated) = self.serving.get(&cluster) else {
            return Err(Error::precondition("the cluster has no instance"));
        };
        let last = simulated.last_plan().epoch;
        if epoch <= last {
            let message = format!("epoch {epoch} is not later than the current epoch {last}");
            return Err(Error::new(ErrorKind::Stale, message));
        }
        let plan = || InstancePlan { epoch, ..simulated.document.plan.clone() };
        Ok((!self.idle.contains_key(&(cluster, epoch))).then(plan))
    }
}

/// The result of applying a plan.
pub(super) enum Applied {
    Unchanged,
    /// The instance is or becomes ready or suspended.
    Changed,
    /// There is no data of the plan's epoch.
    Missing,
}

/// All clusters. The lock is held while a file is written, which is quick and serializes the writes.
#[derive(Debug)]
pub(super) struct ClusterFiles {
    folder: PathBuf,
    /// Whether other processes use the folder too.
    shared: bool,
    clusters: Mutex<Clusters>,
    clock: Mutex<ChangeClock>,
}

impl ClusterFiles {
    pub(super) fn new(folder: PathBuf, shared: bool) -> Self {
        Self { folder, shared, clusters: Mutex::default(), clock: Mutex::default() }
    }

    pub(super) fn set_clock(&self, clock: Arc<dyn Clock>) {
        *self.clock.lock() = ChangeClock(clock);
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.lock().0.now()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn is_shared(&self) -> bool {
        self.shared
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Clusters> {
        let mut clusters = self.clusters.lock();
        if self.shared {
            let mut stored = Clusters::of(self.documents(), Instant::now());
            for (cluster, simulated) in &mut stored.serving {
                let known = clusters.serving.get(cluster);
                if let Some(known) = known.filter(|known| known.document.key() == simulated.document.key()) {
                    simulated.ready_at = known.ready_at;
                    simulated.missing.clone_from(&known.missing);
                    simulated.ended = known.ended;
                }
            }
            *clusters = stored;
        }
        clusters
    }

    /// The content of every file that can be read.
    fn documents(&self) -> Vec<ClusterDocument> {
        let files = names_in(&self.folder).into_iter().filter(|name| name.ends_with(".json"));
        files.filter_map(|name| read_document(&self.folder.join(name)).ok()).collect()
    }

    /// Prevents changes by other processes until the file is dropped.
    pub(super) fn exclusive(&self) -> Result<Option<File>> {
        if !self.shared {
            return Ok(None);
        }
        let path = self.folder.join("lock");
        let lock = File::create(&path).and_then(|file| file.lock().map(|()| file));
        lock.map(Some).map_err(failed("lock", &path))
    }

    pub(super) fn file(&self, cluster: ClusterId, epoch: u64) -> PathBuf {
        self.folder.join(file_name(cluster, epoch))
    }

    /// Reads all files.
    pub(super) fn load(&self, ready_at: Instant) -> Result<()> {
        let make = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        make.map_err(failed("create folder", &self.folder))?;
        let mut clusters = self.lock();
        let mut documents = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed("read", &self.folder))? {
            let path = entry.map_err(failed("read", &self.folder))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            documents.push(read_document(&path)?);
        }
        *clusters = Clusters::of(documents, ready_at);
        Ok(())
    }

    /// Lets the data of the plan's epoch serve, and records the plan. What is resumed or begins to serve becomes ready
    /// at `ready_at`.
    pub(super) fn apply(&self, plan: &InstancePlan, ready_at: Instant) -> Result<Applied> {
        let is_current = |simulated: &SimulatedCluster| {
            let document = &simulated.document;
            simulated.missing.is_none() && document.plan == *plan && document.matches_plan()
        };
        // Without the lock of the folder, because most plans change nothing.
        if self.read(plan.cluster, is_current) == Some(true) {
            return Ok(Applied::Unchanged);
        }
        let _exclusive = self.exclusive()?;
        let mut clusters = self.lock();
        if let Some(simulated) = clusters.serving.get_mut(&plan.cluster) {
            simulated.last_plan().check_successor(plan)?;
            if simulated.document.plan.epoch == plan.epoch {
                return self.record(simulated, plan, ready_at);
            }
        }
        let key = (plan.cluster, plan.epoch);
        let path = self.file(plan.cluster, plan.epoch);
        let document = match clusters.idle.get(&key) {
            Some(document) => Some(document.clone()),
            // It may have been restored.
            None if path.exists() => Some(read_document(&path)?),
            None => None,
        };
        let Some(document) = document else {
            if let Some(simulated) = clusters.serving.get_mut(&plan.cluster) {
                simulated.missing = Some(plan.clone());
            }
            return Ok(Applied::Missing);
        };
        if document.staged {
            let nodes = Nodes::of(plan.primary);
            let document = ClusterDocument { plan: plan.clone(), staged: false, nodes, ..document };
            self.write(&document)?;
            clusters.idle.remove(&key);
            clusters.serve(document, ready_at);
            return Ok(Applied::Changed);
        }
        document.plan.check_successor(plan)?;
        clusters.idle.remove(&key);
        clusters.serve(document, ready_at);
        if let Some(simulated) = clusters.serving.get_mut(&plan.cluster) {
            self.record(simulated, plan, ready_at)?;
        }
        Ok(Applied::Changed)
    }

    /// Records a plan of the epoch that serves.
    fn record(
        &self,
        simulated: &mut SimulatedCluster,
        plan: &InstancePlan,
        ready_at: Instant,
    ) -> Result<Applied> {
        let before = simulated.document.plan.power;
        let accepted = simulated.document.nodes.accepts_writes();
        if simulated.document.plan == *plan && simulated.document.matches_plan() {
            return Ok(Applied::Unchanged);
        }
        let mut document = ClusterDocument { plan: plan.clone(), ..simulated.document.clone() };
        let changed = document.match_plan();
        self.write(&document)?;
        simulated.document = document;
        let started = !accepted && simulated.document.nodes.accepts_writes();
        if started || (before, plan.power) == (Power::Off, Power::On) {
            simulated.ready_at = ready_at;
        }
        Ok(if before == plan.power && !changed { Applied::Unchanged } else { Applied::Changed })
    }

    pub(super) fn read<T>(&self, cluster: ClusterId, look: impl FnOnce(&SimulatedCluster) -> T) -> Option<T> {
        self.lock().serving.get(&cluster).map(look)
    }

    /// Changes a cluster that is ready. Nothing changes if `change` or writing the file fails. The primary keeps a change
    /// that too few standbys have confirmed, which fails.
    pub(super) fn change(
        &self,
        cluster: ClusterId,
        change: impl FnOnce(&mut ClusterData) -> Result<()>,
    ) -> Result<()> {
        let _exclusive = self.exclusive()?;
        let mut clusters = self.lock();
        let simulated = clusters
            .serving
            .get_mut(&cluster)
            .filter(|simulated| simulated.phase() == Phase::Ready)
            .ok_or_else(|| Error::unavailable("the cluster is not ready"))?;
        if simulated.document.recent.len() >= MAX_RECENT {
            self.archive(simulated)?;
        }
        let mut document = simulated.document.clone();
        document.change(self.now(), change)?;
        self.write(&document)?;
        simulated.document = document;
        simulated.document.confirmed()
    }

    /// Whether the cluster has data.
    pub(super) fn contains(&self, cluster: ClusterId) -> bool {
        let clusters = self.lock();
        clusters.serving.contains_key(&cluster) || !clusters.idle_of(cluster).is_empty()
    }

    /// Creates a cluster that does not exist yet.
    pub(super) fn create(&self, plan: InstancePlan, ready_at: Instant) -> Result<()> {
        let _exclusive = self.exclusive()?;
        let mut clusters = self.lock();
        let document = ClusterDocument::new(plan, false, ClusterData::new());
        self.write(&document)?;
        let simulated = SimulatedCluster::new(document, ready_at);
        clusters.serving.entry(simulated.document.plan.cluster).or_insert(simulated);
        Ok(())
    }

    /// Whether there is data of this epoch, which must be later than that of the last plan.
    pub(super) fn is_staged(&self, cluster: ClusterId, epoch: u64) -> Result<bool> {
        self.lock().plan_to_stage(cluster, epoch).map(|plan| plan.is_none())
    }

    /// Stores data of a later epoch, unless there is some.
    pub(super) fn stage(&self, cluster: ClusterId, epoch: u64, data: ClusterData) -> Result<()> {
        let _exclusive = self.exclusive()?;
        let mut clusters = self.lock();
        let Some(plan) = clusters.plan_to_stage(cluster, epoch)? else { return Ok(()) };
        let document = ClusterDocument::new(plan, true, data);
        self.write(&document)?;
        clusters.idle.insert(document.key(), document);
        Ok(())
    }

    /// Removes all other epochs than the one that serves.
    pub(super) fn discard(&self, cluster: ClusterId, keep_epoch: u64) -> Result<()> {
        let _exclusive = self.exclusive()?;
        let mut clusters = self.lock();
        let last = clusters.serving.get(&cluster).filter(|simulated| simulated.missing.is_none());
        if last.is_none_or(|simulated| simulated.document.plan.epoch != keep_epoch) {
            let message = format!("the cluster is not served with data epoch {keep_epoch}");
            return Err(Error::unavailable(message));
        }
        for epoch in clusters.idle_of(cluster) {
            self.delete(cluster, epoch)?;
            clusters.idle.remove(&(cluster, epoch));
        }
        Ok(())
    }

    /// Removes a cluster. Returns whether it existed.
    pub(super) fn remove(&self, cluster: ClusterId) -> Result<bool> {
        let _exclusive = self.exclusive()?;
        let mut clusters = self.lock();
        let serving = clusters.serving.get(&cluster).map(|simulated| simulated.document.plan.epoch);
        let mut epochs = clusters.idle_of(cluster);
        // That of a cluster that is not known may have been restored.
        epochs.push(serving.unwrap_or(0));
        let mut existed = serving.is_some();
        for epoch in epochs {
            existed |= self.delete(cluster, epoch)?;
            clusters.idle.remove(&(cluster, epoch));
        }
        clusters.serving.remove(&cluster);
        Ok(existed)
    }

    /// Deletes a file and its WAL segments. Returns whether the file existed.
    fn delete(&self, cluster: ClusterId, epoch: u64) -> Result<bool> {
        let path = self.file(cluster, epoch);
        let segments = self.segments_folder(cluster, epoch);
        if segments.exists() {
            // They come first, because nothing leads to them without the file.
            remove_tree(&segments)?;
            failpoint::reach("simulated segments removed");
        }
        match fs::remove_file(&path) {
            Ok(()) => {
                failpoint::reach("simulated cluster removed");
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("remove", &path)(error)),
        }
    }

    /// The IDs of all clusters, sorted.
    pub(super) fn clusters(&self) -> Vec<ClusterId> {
        let mut ids: Vec<ClusterId> = self.epochs().into_iter().map(|(cluster, _)| cluster).collect();
        ids.dedup();
        ids
    }

    /// Every cluster with each of its epochs, sorted.
    pub(super) fn epochs(&self) -> Vec<(ClusterId, u64)> {
        let clusters = self.lock();
        let serving = clusters.serving.values().map(|simulated| simulated.document.key());
        let mut epochs: Vec<(ClusterId, u64)> = serving.chain(clusters.idle.keys().copied()).collect();
        epochs.sort_unstable();
        epochs
    }

    pub(super) fn write(&self, document: &ClusterDocument) -> Result<()> {
        let text = serde_json::to_vec_pretty(document)
            .map_err(|error| Error::internal("cannot encode a simulated cluster").because(error))?;
        write_atomically(&self.folder, &file_name(document.plan.cluster, document.plan.epoch), &text)?;
        failpoint::reach("simulated cluster written");
        Ok(())
    }
}

/// The name of a file. Without an epoch it is 0.
pub(super) fn file_name(cluster: ClusterId, epoch: u64) -> String {
    match epoch {
        0 => format!("{cluster}.json"),
        epoch => format!("{cluster}.{epoch}.json"),
    }
}

fn read_document(path: &Path) -> Result<ClusterDocument> {
    let bytes = fs::read(path).map_err(failed("read", path))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::internal(format!("{} is corrupted", path.display())).because(error))
}
