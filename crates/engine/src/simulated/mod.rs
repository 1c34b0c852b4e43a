//! An engine without processes, for tests of tools. Users and databases are entries in a file.

mod admin;
mod backup;
mod changes;
mod members;
mod nodes;
mod objects;
mod state;

use crate::backup::{BaseInfo, BaseWriter, ObjectRestore, WalEnd};
use crate::files::{disk_space, names_in};
use crate::{Admin, Capabilities, DiskSpace, Engine, InstanceReport, Received, Rejoin, Source};
use async_trait::async_trait;
use ootheca_model::{
    ClusterId, Error, ErrorKind, Result,
    backup::MaskingScript,
    instance::{Condition, InstancePlan, Observed, Phase, Removal},
    node::{NodeId, Quorum},
    time::Clock,
    usage::{CpuCounter, Measure},
};
use parking_lot::Mutex;
use state::{Applied, ClusterData, ClusterDocument, ClusterFiles, SimulatedCluster, file_name};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{io::AsyncWriteExt, sync::broadcast, time::Instant};

/// The version that a simulated instance reports.
const ENGINE: &str = "simulated";
/// The maximum number of nodes of a cluster: the default of `engine.max_nodes`.
const MAX_NODES: u32 = 9;

/// Lists the clusters that have a file in an engine's folder. The engine does not have to run.
pub fn stored(folder: &Path) -> Vec<ClusterId> {
    let id = |name: String| name.strip_suffix(".json")?.split('.').next()?.parse().ok();
    let mut ids: Vec<ClusterId> = names_in(folder).into_iter().filter_map(id).collect();
    ids.sort();
    ids.dedup();
    ids
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
    /// Creates an engine that stores one file for each cluster and data epoch in `folder`.
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

    /// Ends the server of a node, as if its process were killed.
    pub fn kill(&self, cluster: ClusterId, node: NodeId) {
        self.fault(cluster, |document| document.stop_node(node, false));
    }

    /// Lets the server of a node run without responding. A primary with a quorum hangs until it is fenced.
    pub fn hang(&self, cluster: ClusterId, node: NodeId) {
        self.fault(cluster, |document| document.stop_node(node, true));
    }

    /// Removes the data of a node.
    pub fn lose(&self, cluster: ClusterId, node: NodeId) {
        self.fault(cluster, |document| document.lose_node(node));
    }

    /// A fault in a cluster that does not exist has no effect.
    fn fault(&self, cluster: ClusterId, fault: impl FnOnce(&mut ClusterDocument)) {
        if self.state.fault(cluster, fault).is_ok() {
            let _ = self.hints.send(cluster);
        }
    }

    fn observed(&self, cluster: ClusterId) -> Observed {
        let seen = |simulated: &SimulatedCluster| {
            let (phase, document) = (simulated.phase(), &simulated.document);
            let ready = phase == Phase::Ready;
            let hangs = phase == Phase::Down && document.nodes.primary_hangs();
            Observed {
                generation: document.plan.generation,
                phase,
                engine: ENGINE.to_owned(),
                nodes: if phase == Phase::Suspended { Vec::new() } else { document.observed_nodes(ready) },
                primary: document.nodes.leader().filter(|_| ready),
                term: document.plan.term,
                conditions: hangs.then(not_responding).into_iter().collect(),
                location: self.state.file(cluster, document.plan.epoch).display().to_string(),
                ..Observed::absent(cluster)
            }
        };
        let phase = || if self.state.contains(cluster) { Phase::Down } else { Phase::Absent };
        let unserved = || Observed { phase: phase(), ..Observed::absent(cluster) };
        self.state.read(cluster, seen).unwrap_or_else(unserved)
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
            nodes_unavailable: None,
            max_nodes: MAX_NODES,
        }
    }

    async fn open(&self) -> Result<()> {
        self.state.load(Instant::now() + self.start_delay)?;
        self.state.clusters().into_iter().for_each(|cluster| self.hint_when_ready(cluster));
        Ok(())
    }

    /// The default is the clock of the machine.
    fn set_clock(&self, clock: Arc<dyn Clock>) {
        self.state.set_clock(clock);
    }

    async fn create(&self, plan: &InstancePlan) -> Result<Observed> {
        if !self.state.contains(plan.cluster) {
            check_major(&plan.engine_major)?;
            self.state.create(plan.clone(), Instant::now() + self.start_delay)?;
            self.hint_when_ready(plan.cluster);
        }
        self.ensure(plan).await
    }

    async fn ensure(&self, plan: &InstancePlan) -> Result<Observed> {
        check_major(&plan.engine_major)?;
        match self.state.apply(plan, Instant::now() + self.start_delay)? {
            Applied::Unchanged => {}
            Applied::Changed => self.hint_when_ready(plan.cluster),
            Applied::Missing => {
                let file = self.state.file(plan.cluster, plan.epoch);
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

    async fn stage(
        &self,
        cluster: ClusterId,
        epoch: u64,
        source: &Source,
        masking: Option<&MaskingScript>,
    ) -> Result<()> {
        if self.state.is_staged(cluster, epoch)? {
            return Ok(());
        }
        if masking.is_some() {
            return Err(Error::new(ErrorKind::Unimplemented, "this engine runs no SQL servers"));
        }
        let data = match source {
            Source::Empty => ClusterData::new(),
            Source::Backup(reader) => {
                check_major(reader.engine_major())?;
                backup::read(&**reader).await?
            }
            Source::Cluster(from) => {
                let data = self.state.present(from)?;
                (from.progress)(1.0);
                data
            }
            Source::Primary(_) => return Err(Error::internal("a primary is not a source of staged data")),
        };
        self.state.stage(cluster, epoch, data)
    }

    async fn discard(&self, cluster: ClusterId, keep_epoch: u64) -> Result<()> {
        self.state.discard(cluster, keep_epoch)
    }

    async fn stage_node(&self, plan: &InstancePlan, node: NodeId, source: &Source) -> Result<()> {
        self.state.stage_node(plan, node)?;
        if let Source::Primary(progress) = source {
            (progress.0)(1.0);
        }
        Ok(())
    }

    async fn remove_node(&self, plan: &InstancePlan, node: NodeId) -> Result<Removal> {
        self.state.remove_node(plan, node)?;
        Ok(Removal::Gone)
    }

    async fn fence(&self, cluster: ClusterId, epoch: u64, node: NodeId) -> Result<()> {
        if self.state.fence(cluster, epoch, node)? {
            let _ = self.hints.send(cluster);
        }
        Ok(())
    }

    async fn received(&self, cluster: ClusterId, epoch: u64) -> Result<Vec<Received>> {
        self.state.received(cluster, epoch)
    }

    async fn start_primary(&self, plan: &InstancePlan) -> Result<Observed> {
        if self.state.start_primary(plan, Instant::now() + self.start_delay)? {
            self.hint_when_ready(plan.cluster);
        }
        Ok(self.observed(plan.cluster))
    }

    async fn promote(&self, plan: &InstancePlan, before: &[Quorum]) -> Result<()> {
        if self.state.promote(plan, before)? {
            let _ = self.hints.send(plan.cluster);
        }
        Ok(())
    }

    async fn rejoin(&self, plan: &InstancePlan, node: NodeId) -> Result<Rejoin> {
        let rejoined = self.state.rejoin(plan, node)?;
        if rejoined == Rejoin::Started {
            let _ = self.hints.send(plan.cluster);
        }
        Ok(rejoined)
    }

    async fn apply_quorum(&self, plan: &InstancePlan) -> Result<bool> {
        self.state.apply_quorum(plan)
    }

    async fn restart_node(&self, plan: &InstancePlan, node: NodeId) -> Result<()> {
        self.state.restart_node(plan, node)?;
        let _ = self.hints.send(plan.cluster);
        Ok(())
    }

    async fn read_endpoint(&self, _: ClusterId) -> Result<PathBuf> {
        Err(Error::precondition("the simulated engine runs no SQL servers"))
    }

    async fn restore_objects(
        &self,
        cluster: ClusterId,
        epoch: u64,
        restore: &ObjectRestore,
        report: &(dyn Fn(f32) + Send + Sync),
    ) -> Result<()> {
        self.state.restore_objects(cluster, epoch, restore)?;
        report(1.0);
        Ok(())
    }

    async fn forget_restore(&self, cluster: ClusterId, id: &str) -> Result<()> {
        self.state.forget_restore(cluster, id)
    }

    async fn copy_base(&self, cluster: ClusterId, epoch: u64, to: BaseWriter<'_>) -> Result<BaseInfo> {
        let base = self.state.base(cluster, epoch)?;
        to.write_all(&base)
            .await
            .map_err(|error| Error::unavailable("could not write the base").because(error))?;
        Ok(BaseInfo {
            engine_major: ENGINE.to_owned(),
            first_segment: String::new(),
            last_segment: String::new(),
            bytes: base.len() as u64,
        })
    }

    async fn end_segment(&self, cluster: ClusterId, epoch: u64) -> Result<WalEnd> {
        self.state.end_segment(cluster, epoch)
    }

    async fn segments(&self, cluster: ClusterId, epoch: u64) -> Result<Vec<String>> {
        self.state.segments(cluster, epoch)
    }

    async fn read_segment(&self, cluster: ClusterId, epoch: u64, name: &str) -> Result<Vec<u8>> {
        self.state.read_segment(cluster, epoch, name)
    }

    async fn remove_segments(&self, cluster: ClusterId, epoch: u64, last: &str) -> Result<()> {
        self.state.remove_segments(cluster, epoch, last)
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
        let report = |(cluster, epoch): (ClusterId, u64)| InstanceReport {
            instance: file_name(cluster, epoch).trim_end_matches(".json").to_owned(),
            cluster: Some(cluster),
            epoch,
            engine: ENGINE.to_owned(),
            pid: None,
            data: self.state.file(cluster, epoch),
        };
        Ok(self.state.epochs().into_iter().map(report).collect())
    }

    async fn close(&self, _detach: bool) {}
}

fn not_responding() -> Condition {
    let message = "The server does not respond.".to_owned();
    Condition { kind: Condition::NOT_RESPONDING.to_owned(), holds: true, message }
}

fn check_major(major: &str) -> Result<()> {
    if major == ENGINE {
        return Ok(());
    }
    Err(Error::precondition(format!("the simulated engine cannot run PostgreSQL {major}")))
}
