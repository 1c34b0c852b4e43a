//! The storage of the simulated engine: one JSON file for each cluster, mode 0600.
//!
//! Several processes can share a folder. Each of them then reads the files whenever it needs them, and locks the
//! folder for a change.

use crate::files::{failed, names_in, write_atomically};
use ootheca_model::{
    ClusterId, Error, Result, failpoint,
    instance::{InstancePlan, Phase, Power},
};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};
use tokio::time::Instant;

/// The content of a cluster's file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ClusterDocument {
    pub(super) plan: InstancePlan,
    /// SCRAM verifiers by user.
    pub(super) users: BTreeMap<String, String>,
    pub(super) databases: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub(super) struct SimulatedCluster {
    pub(super) document: ClusterDocument,
    pub(super) ready_at: Instant,
}

impl SimulatedCluster {
    pub(super) fn phase(&self) -> Phase {
        match self.document.plan.power {
            Power::Off => Phase::Suspended,
            Power::On if self.ready_at <= Instant::now() => Phase::Ready,
            Power::On => Phase::Starting,
        }
    }
}

/// All clusters. The lock is held while a file is written, which is quick and serializes the writes.
#[derive(Debug)]
pub(super) struct ClusterFiles {
    folder: PathBuf,
    /// Whether other processes use the folder too.
    shared: bool,
    clusters: Mutex<HashMap<ClusterId, SimulatedCluster>>,
}

impl ClusterFiles {
    pub(super) fn new(folder: PathBuf, shared: bool) -> Self {
        Self { folder, shared, clusters: Mutex::default() }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn is_shared(&self) -> bool {
        self.shared
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClusterId, SimulatedCluster>> {
        let mut clusters = self.clusters.lock();
        if self.shared {
            let documents = self.documents();
            clusters.retain(|cluster, _| documents.contains_key(cluster));
            for (cluster, document) in documents {
                let ready_at = clusters.get(&cluster).map_or_else(Instant::now, |known| known.ready_at);
                clusters.insert(cluster, SimulatedCluster { document, ready_at });
            }
        }
        clusters
    }

    /// The content of every file that can be read.
    fn documents(&self) -> HashMap<ClusterId, ClusterDocument> {
        let files = names_in(&self.folder).into_iter().filter(|name| name.ends_with(".json"));
        let documents = files.filter_map(|name| read_document(&self.folder.join(name)).ok());
        documents.map(|document| (document.plan.cluster, document)).collect()
    }

    /// Prevents changes by other processes until the file is dropped.
    fn exclusive(&self) -> Result<Option<File>> {
        if !self.shared {
            return Ok(None);
        }
        let path = self.folder.join("lock");
        let lock = File::create(&path).and_then(|file| file.lock().map(|()| file));
        lock.map(Some).map_err(failed("lock", &path))
    }

    pub(super) fn file(&self, cluster: ClusterId) -> PathBuf {
        self.folder.join(format!("{cluster}.json"))
    }

    /// Reads all files.
    pub(super) fn load(&self, ready_at: Instant) -> Result<()> {
        let make = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        make.map_err(failed("create folder", &self.folder))?;
        let mut clusters = self.lock();
        for entry in fs::read_dir(&self.folder).map_err(failed("read", &self.folder))? {
            let path = entry.map_err(failed("read", &self.folder))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let document = read_document(&path)?;
            clusters.insert(document.plan.cluster, SimulatedCluster { document, ready_at });
        }
        Ok(())
    }

    /// Loads the file of a cluster if it was restored. Returns whether it exists.
    pub(super) fn find(&self, cluster: ClusterId, ready_at: Instant) -> Result<bool> {
        let path = self.file(cluster);
        if !path.exists() {
            return Ok(false);
        }
        let document = read_document(&path)?;
        self.lock().entry(cluster).or_insert(SimulatedCluster { document, ready_at });
        Ok(true)
    }

    /// Records another plan. A suspended cluster that is resumed becomes ready at `ready_at`.
    pub(super) fn plan(&self, plan: InstancePlan, ready_at: Instant) -> Result<()> {
        let _exclusive = self.exclusive()?;
        let mut clusters = self.lock();
        let Some(simulated) = clusters.get_mut(&plan.cluster) else {
            return Err(Error::unavailable("the cluster is being removed"));
        };
        let wakes = simulated.document.plan.power == Power::Off && plan.power == Power::On;
        let document = ClusterDocument { plan, ..simulated.document.clone() };
        self.write(&document)?;
        simulated.document = document;
        if wakes {
            simulated.ready_at = ready_at;
        }
        Ok(())
    }

    pub(super) fn read<T>(&self, cluster: ClusterId, look: impl FnOnce(&SimulatedCluster) -> T) -> Option<T> {
        self.lock().get(&cluster).map(look)
    }

    /// Changes a cluster that is ready. Nothing changes if `change` or writing the file fails.
    pub(super) fn change(
        &self,
        cluster: ClusterId,
        change: impl FnOnce(&mut ClusterDocument) -> Result<()>,
    ) -> Result<()> {
        let _exclusive = self.exclusive()?;
        let mut clusters = self.lock();
        let simulated = clusters
            .get_mut(&cluster)
            .filter(|simulated| simulated.phase() == Phase::Ready)
            .ok_or_else(|| Error::unavailable("the cluster is not ready"))?;
        let mut document = simulated.document.clone();
        change(&mut document)?;
        self.write(&document)?;
        simulated.document = document;
        Ok(())
    }

    /// Creates a cluster that does not exist yet.
    pub(super) fn create(&self, plan: InstancePlan, ready_at: Instant) -> Result<()> {
        let _exclusive = self.exclusive()?;
        let mut clusters = self.lock();
        let databases = BTreeSet::from(["defaultdb".to_owned()]);
        let document = ClusterDocument { plan, users: BTreeMap::new(), databases };
        self.write(&document)?;
        clusters.entry(document.plan.cluster).or_insert(SimulatedCluster { document, ready_at });
        Ok(())
    }

    /// Removes a cluster. Returns whether it existed.
    pub(super) fn remove(&self, cluster: ClusterId) -> Result<bool> {
        let _exclusive = self.exclusive()?;
        let mut clusters = self.lock();
        let path = self.file(cluster);
        let file = match fs::remove_file(&path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(failed("remove", &path)(error)),
        };
        let known = clusters.remove(&cluster).is_some();
        if known {
            failpoint::reach("simulated cluster removed");
        }
        Ok(file || known)
    }

    /// The ids of all clusters, sorted.
    pub(super) fn clusters(&self) -> Vec<ClusterId> {
        let mut ids: Vec<ClusterId> = self.lock().keys().copied().collect();
        ids.sort();
        ids
    }

    fn write(&self, document: &ClusterDocument) -> Result<()> {
        let text = serde_json::to_vec_pretty(document)
            .map_err(|error| Error::internal("cannot encode a simulated cluster").because(error))?;
        write_atomically(&self.folder, &format!("{}.json", document.plan.cluster), &text)?;
        failpoint::reach("simulated cluster written");
        Ok(())
    }
}

fn read_document(path: &Path) -> Result<ClusterDocument> {
    let bytes = fs::read(path).map_err(failed("read", path))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::internal(format!("{} is corrupted", path.display())).because(error))
}
