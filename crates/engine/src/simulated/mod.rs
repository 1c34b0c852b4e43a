//! An engine without processes, for tests of tools. Users and databases are entries in a file.

mod admin;
mod state;

use crate::files::{disk_space, names_in};
use crate::{Admin, Capabilities, DiskSpace, Engine, InstanceReport};
use async_trait::async_trait;
use ootheca_model::{
    ClusterId, Error, ErrorKind, Result,
    instance::{InstancePlan, Node, Observed, Phase, Removal},
    usage::{CpuCounter, Measure},
};
use parking_lot::Mutex;
use state::{ClusterFiles, SimulatedCluster};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::broadcast, time::Instant};

/// The version that a simulated instance reports.
const ENGINE: &str = "simulated";

/// Lists the clusters that have a file in an engine's folder. The engine does not have to run.
pub fn stored(folder: &Path) -> Vec<ClusterId> {
    let id = |name: String| name.strip_suffix(".json")?.parse().ok();
    names_in(folder).into_iter().filter_map(id).collect()
}

/// An engine that stores users and databases but runs no SQL servers.
#[derive(Debug)]
pub struct SimulatedEngine {
    state: Arc<ClusterFiles>,
    start_delay: Duration,
    hints: broadcast::Sender<ClusterId>,
    pretended: Mutex<HashMap<ClusterId, Measure>>,
}

impl SimulatedEngine {
    /// Creates an engine that stores one file for each cluster in `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self::with_files(ClusterFiles::new(folder, false))
    }

    /// Creates an engine whose folder other processes use too, as if the clusters were on a network. None of them
    /// owns the clusters.
    pub fn shared(folder: PathBuf) -> Self {
        Self::with_files(ClusterFiles::new(folder, true))
    }

    fn with_files(files: ClusterFiles) -> Self {
        Self {
            state: Arc::new(files),
            start_delay: Duration::ZERO,
            hints: broadcast::channel(1024).0,
            pretended: Mutex::default(),
        }
    }

    /// Sets the measurement that a cluster returns until the next call.
    pub fn pretend(&self, cluster: ClusterId, measure: Measure) {
        self.pretended.lock().insert(cluster, measure);
    }

    /// Sets how long every instance takes to become ready.
    #[must_use]
    pub fn with_start_delay(mut self, delay: Duration) -> Self {
        self.start_delay = delay;
        self
    }

    fn observed(&self, cluster: ClusterId) -> Observed {
        let seen = |simulated: &SimulatedCluster| {
            let phase = simulated.phase();
            let node = Node { name: "n1".to_owned(), live: phase == Phase::Ready, pid: None };
            Observed {
                generation: simulated.document.plan.generation,
                phase,
                engine: ENGINE.to_owned(),
                nodes: if phase == Phase::Suspended { Vec::new() } else { vec![node] },
                location: self.state.file(cluster).display().to_string(),
                ..Observed::absent(cluster)
            }
        };
        self.state.read(cluster, seen).unwrap_or_else(|| Observed::absent(cluster))
    }

    /// Sends a hint once the instance matches its plan. Suspension takes no time.
    fn hint_when_ready(&self, cluster: ClusterId) {
        let suspended = self.observed(cluster).phase == Phase::Suspended;
        let delay = if suspended { Duration::ZERO } else { self.start_delay };
        let hints = self.hints.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let _ = hints.send(cluster);
        });
    }
}

#[async_trait]
impl Engine for SimulatedEngine {
    fn capabilities(&self) -> Capabilities {
        // There are no processes, so there is nothing to limit or to confine.
        Capabilities {
            majors: vec![ENGINE.to_owned()],
            cpu_unbounded: None,
            memory_unbounded: None,
            sandbox_incomplete: None,
            machine_scoped: !self.state.is_shared(),
        }
    }

    async fn open(&self) -> Result<()> {
        self.state.load(Instant::now() + self.start_delay)?;
        self.state.clusters().into_iter().for_each(|cluster| self.hint_when_ready(cluster));
        Ok(())
    }

    async fn create(&self, plan: &InstancePlan) -> Result<Observed> {
        if self.state.read(plan.cluster, |_| ()).is_none() {
            check_major(plan)?;
            self.state.create(plan.clone(), Instant::now() + self.start_delay)?;
            self.hint_when_ready(plan.cluster);
        }
        self.ensure(plan).await
    }

    async fn ensure(&self, plan: &InstancePlan) -> Result<Observed> {
        check_major(plan)?;
        let ready_at = Instant::now() + self.start_delay;
        if self.state.read(plan.cluster, |_| ()).is_none() && self.state.find(plan.cluster, ready_at)? {
            self.hint_when_ready(plan.cluster);
        }
        let current = self.state.read(plan.cluster, |simulated| simulated.document.plan.clone());
        match current {
            Some(current) if plan.generation < current.generation => {
                let (old, new) = (plan.generation, current.generation);
                let message = format!("generation {old} is older than the current generation {new}");
                return Err(Error::new(ErrorKind::Stale, message));
            }
            Some(current) if current == *plan => {}
            Some(current) => {
                self.state.plan(plan.clone(), ready_at)?;
                if current.power != plan.power {
                    self.hint_when_ready(plan.cluster);
                }
            }
            None => {
                let file = self.state.file(plan.cluster);
                let message = format!("the file {} is missing", file.display());
                return Ok(Observed::data_missing(plan.cluster, message));
            }
        }
        Ok(self.observed(plan.cluster))
    }

    async fn observe(&self, cluster: ClusterId) -> Result<Observed> {
        Ok(self.observed(cluster))
    }

    async fn remove(&self, cluster: ClusterId) -> Result<Removal> {
        // Receivers of a hint call `remove` again, so a hint without a change would cause an endless loop.
        if self.state.remove(cluster)? {
            let _ = self.hints.send(cluster);
        }
        Ok(Removal::Gone)
    }

    async fn list(&self) -> Result<Vec<ClusterId>> {
        Ok(self.state.clusters())
    }

    fn watch(&self) -> broadcast::Receiver<ClusterId> {
        self.hints.subscribe()
    }

    async fn admin(&self, cluster: ClusterId) -> Result<Box<dyn Admin>> {
        if self.observed(cluster).phase != Phase::Ready {
            return Err(Error::unavailable("the cluster is not ready"));
        }
        Ok(Box::new(admin::SimulatedSession::new(self.state.clone(), cluster)))
    }

    async fn endpoint(&self, _: ClusterId) -> Result<PathBuf> {
        Err(Error::precondition("the simulated engine runs no SQL servers"))
    }

    async fn cpu(&self, cluster: ClusterId) -> Result<CpuCounter> {
        self.measure(cluster).await.map(|measure| measure.cpu)
    }

    /// Returns the measurement set with `pretend`.
    async fn measure(&self, cluster: ClusterId) -> Result<Measure> {
        let pretended = self.pretended.lock();
        match self.observed(cluster).phase {
            Phase::Ready => Ok(pretended.get(&cluster).cloned().unwrap_or_default()),
            _ => Err(Error::unavailable("the cluster is not ready")),
        }
    }

    fn disk(&self) -> Option<DiskSpace> {
        disk_space(self.state.folder())
    }

    async fn report(&self) -> Result<Vec<InstanceReport>> {
        let report = |cluster: ClusterId| InstanceReport {
            instance: cluster.to_string(),
            cluster: Some(cluster),
            engine: ENGINE.to_owned(),
            pid: None,
            data: self.state.file(cluster),
        };
        Ok(self.state.clusters().into_iter().map(report).collect())
    }

    async fn close(&self, _detach: bool) {}
}

fn check_major(plan: &InstancePlan) -> Result<()> {
    if plan.engine_major == ENGINE {
        return Ok(());
    }
    let major = &plan.engine_major;
    Err(Error::precondition(format!("the simulated engine cannot run PostgreSQL {major}")))
}
