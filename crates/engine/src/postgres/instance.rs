//! An instance is a folder with a server in it. At most one cluster has claimed it.
//!
//! `instances/<id>/` contains `data/` and `wal/` (the spool of archived WAL), which the servers' user owns, `log`,
//! `version`, and marker files: `spare-ready` (the copy is complete and durable), `cluster` and `epoch` (the claim,
//! see `claim.rs`), and `plan.json`.

use super::{
    backup::LastSegment,
    binaries::Programs,
    claim::Claim,
    context::EngineContext,
    deadline::within_deadline,
    logins::LoginReader,
    meter::Meter,
    missing::{incomplete, version_file},
    privileges,
    process::{self, LOCK_FILE, Process},
    server::{self, LaunchSpec, StopMode},
    shared_memory,
    table_counts::TableCounts,
};
use crate::files::{blocking, failed, make_folder, write_atomically};
use ootheca_durable::failpoint;
use ootheca_model::{
    ClusterId, Error, Result,
    instance::{InstancePlan, Observed, Power},
};
use std::{
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
}

impl InstanceState {
    /// Whether the server should not run, because the plan says so or because the instance is idle.
    pub(super) fn off(&self) -> bool {
        self.idle || self.plan.as_ref().is_some_and(|plan| plan.power == Power::Off)
    }
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
    /// Held while the data is copied for another cluster.
    pub(super) copies: Semaphore,
    pub(super) folder: PathBuf,
    work: tokio::sync::Mutex<()>,
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

    pub(super) fn cluster(&self) -> Option<ClusterId> {
        self.state.borrow().claim.map(|claim| claim.cluster)
    }

    /// The data epoch of the instance; 0 for a spare.
    pub(super) fn epoch(&self) -> u64 {
        self.state.borrow().claim.map_or(0, |claim| claim.epoch)
    }

    /// Whether a plan has named the epoch of the instance before.
    pub(super) fn has_served(&self) -> bool {
        let state = self.state.borrow();
        state.plan.as_ref().is_some_and(|plan| Some(Claim::of(plan)) == state.claim)
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

    /// Starts the server if it is down and its power is on.
    pub(super) fn start(self: &Arc<Self>) {
        let begun = self.state.send_if_modified(|state| {
            let wanted = state.stage == Stage::Down && !state.off();
            if wanted {
                state.stage = Stage::Starting;
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
        // Without them, the cluster works as before. They are applied at the next start.
        let (data, sockets) = (self.data(), self.sockets());
        if let Err(error) = within_deadline(privileges::upgrade(&self.context, &data, &sockets)).await {
            tracing::warn!(instance = self.id, error = error.chain(), "could not upgrade privileges");
        }
        // The children of an adopted server. Children of a server that was just started are already in its
        // group.
        let children = process::children(process.pid);
        let cgroups = &self.context.cgroups;
        let _ = cgroups.add(&self.id, children.iter().copied());
        let _ = cgroups.set_bounds(&self.id, self.context.bounds, &children);
        cgroups.count(&self.id, children);
        Ok(process)
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
            options: &[],
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

    /// Applies the CPU limit to the instance and these processes, or records why it is not enforced.
    fn limit_cpu(&self, pids: impl IntoIterator<Item = u32>) {
        let millis = self.state.borrow().plan.as_ref().and_then(|plan| plan.cpu_millis);
        let cgroups = &self.context.cgroups;
        let pids: Vec<u32> = pids.into_iter().collect();
        let result = cgroups
            .set_cpu_limit(&self.id, millis)
            .and_then(|()| cgroups.add(&self.id, pids.iter().copied()));
        let counted = cgroups.count(&self.id, pids.iter().copied());
        if let Err(reason) = cgroups.set_bounds(&self.id, self.context.bounds, &pids) {
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

    /// Assigns the instance to a cluster by creating one file, which is atomic.
    pub(super) async fn claim(&self, plan: InstancePlan) -> Result<()> {
        let (folder, claim) = (self.folder.clone(), Claim::of(&plan));
        if !blocking(move || claim.publish(&folder)).await? {
            return Err(Error::internal(format!("instance {} is already claimed", self.id)));
        }
        failpoint::reach("instance claimed");
        self.state.send_modify(|state| state.claim = Some(claim));
        self.apply(plan).await
    }

    /// Writes the plan to disk, then applies it.
    async fn apply(&self, plan: InstancePlan) -> Result<()> {
        let text = serde_json::to_vec_pretty(&plan)
            .map_err(|error| Error::internal("cannot encode the plan").because(error))?;
        let folder = self.folder.clone();
        blocking(move || write_atomically(&folder, PLAN, &text)).await?;
        failpoint::reach("plan written");
        self.state.send_modify(|state| state.plan = Some(plan));
        if matches!(self.stage(), Stage::Starting | Stage::Ready) {
            self.limit_cpu([]);
        }
        Ok(())
    }

    /// Makes the instance match the plan. Starts the server if it is down and the delay after a crash has
    /// passed.
    pub(super) async fn ensure(self: &Arc<Self>, plan: &InstancePlan) -> Result<Observed> {
        let _one_at_a_time = self.work.lock().await;
        let current = self.state.borrow().plan.clone();
        if let Some(current) = &current {
            current.check_successor(plan)?;
        }
        if plan.engine_major != self.programs.major.to_string() {
            return Err(Error::precondition(format!(
                "the data belongs to PostgreSQL {} and cannot be upgraded to {}",
                self.programs.major, plan.engine_major
            )));
        }
        if current.as_ref() != Some(plan) {
            self.apply(plan.clone()).await?;
        }
        let due = self.state.borrow().retry_at.is_none_or(|at| at <= Instant::now());
        self.suspend();
        let complete = self.check_data().await?;
        if due && complete && !self.context.closing() {
            self.start();
        }
        self.observe()
    }

    /// Whether the data is complete. The data of a running server is not checked.
    async fn check_data(&self) -> Result<bool> {
        if self.stage() != Stage::Down {
            return Ok(true);
        }
        let data = self.data();
        let missing =
            blocking(move || Ok((!version_file(&data).exists()).then(|| incomplete(&data)))).await?;
        let complete = missing.is_none();
        self.state.send_if_modified(|state| {
            let changed = state.missing != missing;
            state.missing = missing;
            changed
        });
        Ok(complete)
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
