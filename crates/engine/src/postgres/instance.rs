//! An instance is a folder with a server in it. At most one cluster has claimed it.
//!
//! `instances/<id>/` contains `data/` and `wal/` (the spool of archived WAL), which the servers' user owns, `log`,
//! `version`, and marker files: `spare-ready` (the copy is complete and durable), `cluster` and `epoch` (the claim,
//! see `claim.rs`), `plan.json`, and `rewinding` (a node is being rewound).

use super::{
    backup::LastSegment,
    binaries::Programs,
    cgroup::Bounds,
    claim::Claim,
    context::EngineContext,
    control_secret,
    deadline::within_deadline,
    logins::LoginReader,
    meter::Meter,
    privileges,
    process::{self, LOCK_FILE, Process},
    replication::Replication,
    server::{self, LaunchSpec, StopMode},
    shared_memory,
    table_counts::TableCounts,
};
use crate::files::{failed, make_folder};
use ootheca_durable::failpoint;
use ootheca_model::{ClusterId, Error, Result, instance::InstancePlan, node::NodeId};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, watch};

/// How many copies of the data for other clusters are made at the same time: each needs a connection and a replication
/// slot.
const COPIES: usize = 4;

/// Marks a complete copy. Contains the name of its template.
pub(super) const SPARE_READY: &str = "spare-ready";
pub(super) const PLAN: &str = "plan.json";
pub(super) const VERSION: &str = "version";
/// A file of the data directory of a standby, which PostgreSQL removes when it is promoted.
pub(super) const STANDBY_SIGNAL: &str = "standby.signal";
/// Marks an instance whose data is being rewound. Until it is removed, the data is incomplete.
pub(super) const REWINDING: &str = "rewinding";
/// Settings of the servers of a cluster with several nodes.
const NODE_OPTIONS: &[&str] =
    &["max_wal_senders=16", "max_replication_slots=24", "wal_retrieve_retry_interval=100ms"];

/// The lifecycle stage of an instance's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Down,
    Starting,
    Ready,
    /// Stopping because its power is off. It is started again if the power is switched on in the meantime.
    Suspending,
    /// Stopping permanently. It is not started again.
    Stopping,
    Stopped,
}

#[derive(Debug)]
pub(super) struct InstanceState {
    pub(super) stage: Stage,
    pub(super) process: Option<Arc<Process>>,
    pub(super) claim: Option<Claim>,
    /// Whether the instance does not serve its cluster: another one does, or no plan has named its epoch yet. Its
    /// server is not started.
    pub(super) idle: bool,
    pub(super) plan: Option<InstancePlan>,
    pub(super) version: String,
    pub(super) crashes: u32,
    pub(super) up_since: Option<Instant>,
    /// The time of the next start attempt after a crash. Not affected by changes of the clock.
    pub(super) retry_at: Option<Instant>,
    /// The reason why the CPU limit is not enforced.
    pub(super) unbounded: Option<String>,
    /// Whether the processes are in a group that counts their CPU time; `None` until that is known.
    pub(super) counted: Option<bool>,
    /// Whether it is certain that no process is left.
    pub(super) empty: bool,
    /// What is missing of the data, as of the last plan. The server is not started without it.
    pub(super) missing: Option<String>,
    /// Whether the server is killed because it does not respond.
    pub(super) unresponsive: bool,
    /// Whether a plan of this run has called the instance the primary.
    pub(super) leads: bool,
    /// Whether the server is being promoted, and is not known to accept writes yet.
    pub(super) promoting: bool,
    /// Of a primary: the standbys that stream from it, and by how many bytes they lag.
    pub(super) streaming: BTreeMap<NodeId, u64>,
}

/// An instance. Every change of its state notifies the subscribers of `state`.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) id: String,
    pub(super) programs: Programs,
    pub(super) context: Arc<EngineContext>,
    pub(super) state: watch::Sender<InstanceState>,
    pub(super) meter: Meter,
    pub(super) logins: LoginReader,
    pub(super) table_counts: TableCounts,
    pub(super) last_segment: LastSegment,
    pub(super) replication: Replication,
    /// Held while the data is copied for another cluster.
    pub(super) copies: Semaphore,
    pub(super) folder: PathBuf,
    /// Held while a plan is applied.
    pub(super) work: tokio::sync::Mutex<()>,
}

impl Instance {
    /// Loads the instance from an existing folder. Its server is assumed to be down. If it is claimed, it is idle
    /// until it is chosen to serve.
    pub(super) fn new(context: &Arc<EngineContext>, id: &str, programs: &Programs) -> Arc<Self> {
        let folder = context.instances().join(id);
        let version = fs::read_to_string(folder.join(VERSION)).unwrap_or_else(|_| programs.version.clone());
        let claim = Claim::read(&folder);
        let state = InstanceState {
            stage: Stage::Down,
            process: None,
            claim,
            idle: claim.is_some(),
            plan: read_plan(&folder),
            version,
            crashes: 0,
            up_since: None,
            retry_at: None,
            unbounded: context.cgroups.unavailable().map(str::to_owned),
            counted: None,
            empty: false,
            missing: None,
            unresponsive: false,
            leads: false,
            promoting: false,
            streaming: BTreeMap::new(),
        };
        Arc::new(Self {
            id: id.to_owned(),
            programs: programs.clone(),
            context: context.clone(),
            folder,
            state: watch::Sender::new(state),
            meter: Meter::default(),
            logins: LoginReader::default(),
            table_counts: TableCounts::default(),
            last_segment: LastSegment::default(),
            replication: Replication::default(),
            copies: Semaphore::new(COPIES),
            work: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The folder where the server archives its WAL.
    pub(super) fn spool(&self) -> PathBuf {
        self.folder.join("wal")
    }

    pub(super) fn sockets(&self) -> PathBuf {
        self.context.run().join(&self.id)
    }

    pub(super) fn claim(&self) -> Option<Claim> {
        self.state.borrow().claim
    }

    pub(super) fn cluster(&self) -> Option<ClusterId> {
        self.claim().map(|claim| claim.cluster)
    }

    /// The data epoch of the instance; 0 for a spare.
    pub(super) fn epoch(&self) -> u64 {
        self.claim().map_or(0, |claim| claim.epoch)
    }

    /// The last plan, if it named the epoch of the instance.
    pub(super) fn own_plan(&self) -> Option<InstancePlan> {
        let state = self.state.borrow();
        let claim = state.claim?;
        let own = |plan: &&InstancePlan| (plan.cluster, plan.epoch) == (claim.cluster, claim.epoch);
        state.plan.as_ref().filter(own).cloned()
    }

    /// Whether a plan has named the epoch of the instance before.
    pub(super) fn has_served(&self) -> bool {
        self.own_plan().is_some()
    }

    pub(super) fn stage(&self) -> Stage {
        self.state.borrow().stage
    }

    /// The process ID of the server, if it accepts connections.
    pub(super) fn ready_pid(&self) -> Option<u32> {
        let state = self.state.borrow();
        let process = state.process.as_ref().filter(|process| process.alive())?;
        (state.stage == Stage::Ready && !state.unresponsive).then_some(process.pid)
    }

    /// Adopts a server that is already running. Does not block for long.
    pub(super) fn adopt(self: &Arc<Self>) -> bool {
        let Some((process, lock)) = process::adopt(&self.data()) else { return false };
        let process = Arc::new(process);
        tracing::info!(instance = self.id, pid = process.pid, "adopted running server");
        self.state.send_modify(|state| {
            state.stage = if lock.ready { Stage::Ready } else { Stage::Starting };
            state.process = Some(process.clone());
            state.up_since = Some(Instant::now());
        });
        tokio::spawn(self.clone().run(Some(process)));
        true
    }

    /// Starts the server if it is down and its power is on. The primary of a quorum is not started: a standby may be
    /// about to be promoted.
    pub(super) fn start(self: &Arc<Self>) {
        if self.starts_by_itself() {
            self.start_now();
        }
    }

    fn starts_by_itself(&self) -> bool {
        if !self.has_several_nodes() {
            return true;
        }
        let leads_alone = |plan: &InstancePlan| plan.primary == self.node() && plan.quorum.is_none();
        let complete = !self.folder.join(REWINDING).exists();
        complete && (self.is_standby() || self.own_plan().as_ref().is_some_and(leads_alone))
    }

    /// Starts the server if it is down and its power is on, also that of the primary of a quorum.
    pub(super) fn start_now(self: &Arc<Self>) {
        let begun = self.state.send_if_modified(|state| {
            let wanted = state.stage == Stage::Down && !state.off();
            if wanted {
                (state.stage, state.promoting) = (Stage::Starting, false);
                state.empty = false;
            }
            wanted
        });
        if begun {
            tokio::spawn(self.clone().run(None));
        }
    }

    /// Waits until the server accepts connections or has failed to start.
    pub(super) async fn started(&self) -> Result<()> {
        let mut states = self.state.subscribe();
        let stage = match states.wait_for(|state| state.stage != Stage::Starting).await {
            Ok(state) => state.stage,
            Err(_) => Stage::Stopped,
        };
        match stage {
            Stage::Ready => Ok(()),
            _ => Err(Error::unavailable("the server did not start; see its log")),
        }
    }

    /// Runs one server from its start until it ends.
    async fn run(self: Arc<Self>, adopted: Option<Arc<Process>>) {
        match self.launch(adopted).await {
            Ok(process) => {
                self.state.send_modify(|state| {
                    if state.stage == Stage::Starting {
                        state.stage = Stage::Ready;
                        state.up_since = Some(Instant::now());
                        state.retry_at = None;
                    }
                });
                self.context.hint(self.cluster());
                tokio::select! {
                    () = process.exited() => {}
                    () = self.limit_log() => {}
                    () = self.observe_standbys() => {}
                    () = self.stops_responding(&process) => self.kill_unresponsive(&process).await,
                }
            }
            Err(error) => {
                if !self.context.closing() && self.stage() != Stage::Suspending {
                    tracing::warn!(instance = self.id, error = error.chain(), "could not start server");
                }
            }
        }
        self.handle_exit().await;
    }

    async fn launch(&self, adopted: Option<Arc<Process>>) -> Result<Arc<Process>> {
        let mut process = match adopted.or_else(|| process::adopt(&self.data()).map(|(p, _)| Arc::new(p))) {
            Some(process) => process,
            None => self.spawn().await?,
        };
        loop {
            self.record_process(&process).await?;
            let limit = self.context.settings.ready_timeout;
            match server::ready(&process, &self.data(), limit).await {
                Ok(()) => break,
                // Another server held the lock, which a previous process of this engine had started.
                Err(error) if !process.alive() => match process::adopt(&self.data()) {
                    Some((other, _)) => process = Arc::new(other),
                    None => return Err(error),
                },
                Err(error) => {
                    self.stop_process(&process, StopMode::Immediate).await;
                    return Err(error);
                }
            }
        }
        // A standby gets them from its primary.
        if !self.is_standby() {
            self.upgrade_data().await;
        }
        // The children of an adopted server. Children of a server that was just started are already in its
        // group.
        let children = process::children(process.pid);
        let cgroups = &self.context.cgroups;
        let _ = cgroups.add(&self.id, children.iter().copied());
        let _ = cgroups.set_bounds(&self.id, self.bounds(), &children);
        cgroups.count(&self.id, children);
        Ok(process)
    }

    /// Brings the data of an earlier version up to date. Without that, the cluster works as before. The next start
    /// repeats it.
    async fn upgrade_data(&self) {
        if let Err(error) = within_deadline(control_secret::upgrade(self)).await {
            tracing::warn!(instance = self.id, error = error.chain(), "could not change control password");
        }
        let (data, sockets) = (self.data(), self.sockets());
        if let Err(error) = within_deadline(privileges::upgrade(&self.context, &data, &sockets)).await {
            tracing::warn!(instance = self.id, error = error.chain(), "could not upgrade privileges");
        }
    }

    /// Records the process, unless the instance is stopping.
    async fn record_process(&self, process: &Arc<Process>) -> Result<()> {
        let recorded = self.state.send_if_modified(|state| {
            let active = matches!(state.stage, Stage::Starting | Stage::Ready);
            if active {
                state.process = Some(process.clone());
            }
            active
        });
        if !recorded {
            let mode =
                if self.stage() == Stage::Suspending { StopMode::Suspend } else { StopMode::Immediate };
            self.stop_process(process, mode).await;
            return Err(Error::unavailable("the instance is stopping"));
        }
        self.limit_cpu([process.pid]);
        Ok(())
    }

    async fn spawn(&self) -> Result<Arc<Process>> {
        let data = self.data();
        if let Some(lock) = process::lock(&data) {
            // Left by a crash: children of a dead postmaster end by themselves, and an unrelated process that
            // reuses its ID must not prevent a start.
            process::clear(&data, Duration::from_secs(2)).await;
            if process::lock(&data) == Some(lock) {
                shared_memory::free(&data);
                let path = data.join(LOCK_FILE);
                fs::remove_file(&path).map_err(failed("remove", &path))?;
                let _ = fs::remove_dir_all(self.sockets());
            }
        }
        let owner = self.take_ownership().await?;
        // The counters of a group belong to one run of the server.
        self.remove_group().await?;
        if self.stage() != Stage::Starting {
            return Err(Error::unavailable("the instance is stopping"));
        }
        self.record_version()?;
        // Before the start, so that the limit applies from the beginning.
        self.limit_cpu([]);
        let log = self.log();
        let sockets = self.sockets();
        let spool = self.spool();
        let spec = LaunchSpec {
            programs: &self.programs,
            owner: &owner,
            data: &data,
            sockets: &sockets,
            log: &log,
            spool: self.context.settings.archive_wal.then_some(spool.as_path()),
            connect: self.has_several_nodes(),
            options: if self.has_several_nodes() { NODE_OPTIONS } else { &[] },
        };
        // The time before the process enters the group, in `record_process`, is neither limited nor counted,
        // so nothing else happens in between.
        server::spawn(&self.context, &spec).map(Arc::new)
    }

    fn record_version(&self) -> Result<()> {
        let version = &self.programs.version;
        let path = self.folder.join(VERSION);
        if fs::read_to_string(&path).is_ok_and(|recorded| recorded == *version) {
            return Ok(());
        }
        fs::write(&path, version).map_err(failed("write", &path))?;
        self.state.send_modify(|state| state.version.clone_from(version));
        Ok(())
    }

    /// The limits besides CPU: a node can use less memory than the others of this machine.
    fn bounds(&self) -> Bounds {
        let machine = self.context.bounds;
        let memory_mib = self.state.borrow().node_plan().and_then(|node| node.memory_mib);
        let memory_bytes = memory_mib.map_or(machine.memory_bytes, |mib| u64::from(mib) << 20);
        Bounds { memory_bytes: memory_bytes.min(machine.memory_bytes), ..machine }
    }

    /// Applies the CPU limit to the instance and these processes, or records why it is not enforced.
    pub(super) fn limit_cpu(&self, pids: impl IntoIterator<Item = u32>) {
        let millis = self.state.borrow().cpu_millis();
        let cgroups = &self.context.cgroups;
        let pids: Vec<u32> = pids.into_iter().collect();
        let result = cgroups
            .set_cpu_limit(&self.id, millis)
            .and_then(|()| cgroups.add(&self.id, pids.iter().copied()));
        let counted = cgroups.count(&self.id, pids.iter().copied());
        if let Err(reason) = cgroups.set_bounds(&self.id, self.bounds(), &pids) {
            tracing::debug!(instance = self.id, reason, "memory and processes are not limited");
        }
        if result.is_ok() && millis.is_some() {
            failpoint::reach("CPU bound written");
        }
        self.state.send_modify(|state| {
            state.unbounded = result.err();
            state.counted = Some(counted);
        });
    }

    /// Makes a stopped instance usable again after its removal failed.
    pub(super) fn revive(&self) {
        self.state.send_modify(|state| state.stage = Stage::Down);
    }

    pub(super) fn make_folder(context: &EngineContext, id: &str) -> Result<PathBuf> {
        let folder = context.instances().join(id);
        make_folder(&folder, context.owner.traversal_mode())?;
        Ok(folder)
    }
}

fn read_plan(folder: &Path) -> Option<InstancePlan> {
    serde_json::from_slice(&fs::read(folder.join(PLAN)).ok()?).ok()
}
