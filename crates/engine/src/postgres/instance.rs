//! One instance: a folder, a server in it, and at most one cluster that claimed it.
//!
//! `instances/<id>/` holds `data/` (the servers' user's), `log`, `version`, and three marks of ours:
//! `spare-ready` (the copy is whole and durable), `cluster` (who claimed it), `plan.json`.

use super::{
    binaries::Programs,
    host::Host,
    meter::Control,
    missing::{incomplete, version_file},
    process::{self, LOCK_FILE, Process},
    server::{self, End, Place},
};
use crate::files::{blocking, failed, make_folder, publish_once, write_atomically};
use ootheca_model::{
    ClusterId, Error, ErrorKind, Result, Timestamp, effect,
    instance::{Condition, InstancePlan, Node, Observed, Phase, Power},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::watch;

/// The mark of a whole copy; holds the name of its template.
pub(super) const SPARE_READY: &str = "spare-ready";
pub(super) const CLUSTER: &str = "cluster";
pub(super) const PLAN: &str = "plan.json";
pub(super) const VERSION: &str = "version";

/// Where the server of an instance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Down,
    Starting,
    Ready,
    /// Ending because its power is off; it is started again if that changes meanwhile.
    Suspending,
    /// Ending for good; it is not started again.
    Stopping,
    Stopped,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) stage: Stage,
    pub(super) process: Option<Arc<Process>>,
    pub(super) cluster: Option<ClusterId>,
    pub(super) plan: Option<InstancePlan>,
    pub(super) version: String,
    pub(super) crashes: u32,
    pub(super) up_since: Option<Instant>,
    pub(super) retry_at: Option<Timestamp>,
    /// Why the CPU bound does not hold.
    pub(super) unbounded: Option<String>,
    /// Whether the processes are in a group that counts their CPU time.
    pub(super) counted: bool,
    /// Whether it is certain that no process is left.
    pub(super) empty: bool,
    /// What is missing of the data, as of the last plan; the server is not started without it.
    pub(super) missing: Option<String>,
}

impl State {
    /// Whether the server is to be down.
    pub(super) fn off(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.power == Power::Off)
    }
}

/// An instance. Every change of its state wakes those who wait for one.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) id: String,
    pub(super) programs: Programs,
    pub(super) host: Arc<Host>,
    pub(super) state: watch::Sender<State>,
    pub(super) control: Control,
    folder: PathBuf,
    work: tokio::sync::Mutex<()>,
}

impl Instance {
    /// The instance in a folder that is there, its server taken to be down.
    pub(super) fn new(host: &Arc<Host>, id: &str, programs: &Programs) -> Arc<Self> {
        let folder = host.instances().join(id);
        let version = fs::read_to_string(folder.join(VERSION)).unwrap_or_else(|_| programs.version.clone());
        let state = State {
            stage: Stage::Down,
            process: None,
            cluster: read_cluster(&folder),
            plan: read_plan(&folder),
            version,
            crashes: 0,
            up_since: None,
            retry_at: None,
            unbounded: host.cgroups.unbounded().map(str::to_owned),
            counted: false,
            empty: false,
            missing: None,
        };
        Arc::new(Self {
            id: id.to_owned(),
            programs: programs.clone(),
            host: host.clone(),
            folder,
            state: watch::Sender::new(state),
            control: Control::default(),
            work: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(super) fn sockets(&self) -> PathBuf {
        self.host.run().join(&self.id)
    }

    pub(super) fn cluster(&self) -> Option<ClusterId> {
        self.state.borrow().cluster
    }

    pub(super) fn stage(&self) -> Stage {
        self.state.borrow().stage
    }

    /// The id of the server, if it answers.
    pub(super) fn ready_pid(&self) -> Option<u32> {
        let state = self.state.borrow();
        let process = state.process.as_ref().filter(|process| process.alive())?;
        (state.stage == Stage::Ready).then_some(process.pid)
    }

    /// Takes over a server that already runs here. Quick.
    pub(super) fn adopt(self: &Arc<Self>) -> bool {
        let Some((process, lock)) = process::adopt(&self.data()) else { return false };
        let process = Arc::new(process);
        tracing::info!(instance = self.id, pid = process.pid, "server adopted");
        self.state.send_modify(|state| {
            state.stage = if lock.ready { Stage::Ready } else { Stage::Starting };
            state.process = Some(process.clone());
            state.up_since = Some(Instant::now());
        });
        tokio::spawn(self.clone().run(Some(process)));
        true
    }

    /// Starts the server if it is down and not to be off.
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

    /// Waits until the server answers, or has failed to.
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

    /// From start to end of one server.
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
                self.host.hint(self.cluster());
                process.exited().await;
            }
            Err(error) => {
                if !self.host.closing() && self.stage() != Stage::Suspending {
                    tracing::warn!(instance = self.id, error = error.chain(), "server not started");
                }
            }
        }
        self.ended().await;
    }

    async fn launch(&self, adopted: Option<Arc<Process>>) -> Result<Arc<Process>> {
        let mut process = match adopted.or_else(|| process::adopt(&self.data()).map(|(p, _)| Arc::new(p))) {
            Some(process) => process,
            None => self.spawn().await?,
        };
        loop {
            self.hold(&process).await?;
            let limit = self.host.settings.ready_timeout;
            match server::ready(&process, &self.data(), limit).await {
                Ok(()) => break,
                // Another server held the lock: a start of a killed incarnation of ours.
                Err(error) if !process.alive() => match process::adopt(&self.data()) {
                    Some((other, _)) => process = Arc::new(other),
                    None => return Err(error),
                },
                Err(error) => {
                    self.end(&process, End::AtOnce).await;
                    return Err(error);
                }
            }
        }
        // Those of an adopted server; the children of ours are born in its group.
        let children = process::children(process.pid);
        let cgroups = &self.host.cgroups;
        let _ = cgroups.add(&self.id, children.iter().copied());
        cgroups.count(&self.id, children);
        Ok(process)
    }

    /// Records the process, unless the instance is ending.
    async fn hold(&self, process: &Arc<Process>) -> Result<()> {
        let held = self.state.send_if_modified(|state| {
            let going = matches!(state.stage, Stage::Starting | Stage::Ready);
            if going {
                state.process = Some(process.clone());
            }
            going
        });
        if !held {
            let end = if self.stage() == Stage::Suspending { End::Suspended } else { End::AtOnce };
            self.end(process, end).await;
            return Err(Error::unavailable("the instance is ending"));
        }
        self.bound([process.pid]);
        Ok(())
    }

    async fn spawn(&self) -> Result<Arc<Process>> {
        let data = self.data();
        if let Some(lock) = process::lock(&data) {
            // What a crash left: children of a dead postmaster end by themselves, strangers that
            // have its old id must not keep us from starting.
            process::clear(&data, Duration::from_secs(2)).await;
            if process::lock(&data) == Some(lock) {
                let path = data.join(LOCK_FILE);
                fs::remove_file(&path).map_err(failed("remove", &path))?;
                let _ = fs::remove_dir_all(self.sockets());
            }
        }
        // What a group counted belongs to one run of the server.
        self.remove_group().await?;
        if self.stage() != Stage::Starting {
            return Err(Error::unavailable("the instance is ending"));
        }
        self.note_version()?;
        // Before the start, so that the server is bounded from its first moment.
        self.bound([]);
        let log = self.folder.join("log");
        let sockets = self.sockets();
        let place =
            Place { programs: &self.programs, data: &data, sockets: &sockets, log: &log, options: &[] };
        // Nothing comes between the start and the entry into the group, in `hold`: it counts.
        server::spawn(&self.host, &place).map(Arc::new)
    }

    fn note_version(&self) -> Result<()> {
        let version = &self.programs.version;
        let path = self.folder.join(VERSION);
        if fs::read_to_string(&path).is_ok_and(|noted| noted == *version) {
            return Ok(());
        }
        fs::write(&path, version).map_err(failed("write", &path))?;
        self.state.send_modify(|state| state.version.clone_from(version));
        Ok(())
    }

    /// Makes the CPU bound hold for the instance and these processes, or notes why it does not.
    fn bound(&self, pids: impl IntoIterator<Item = u32>) {
        let millis = self.state.borrow().plan.as_ref().and_then(|plan| plan.cpu_millis);
        let cgroups = &self.host.cgroups;
        let pids: Vec<u32> = pids.into_iter().collect();
        let result =
            cgroups.bound(&self.id, millis).and_then(|()| cgroups.add(&self.id, pids.iter().copied()));
        let counted = cgroups.count(&self.id, pids);
        if result.is_ok() && millis.is_some() {
            effect::done("CPU bound written");
        }
        self.state.send_modify(|state| {
            state.unbounded = result.err();
            state.counted = counted;
        });
    }

    /// Gives the instance to a cluster: one file that is there or not.
    pub(super) async fn claim(&self, plan: InstancePlan) -> Result<()> {
        let (folder, cluster) = (self.folder.clone(), plan.cluster);
        let claimed =
            blocking(move || publish_once(&folder, CLUSTER, cluster.to_string().as_bytes())).await?;
        if !claimed {
            return Err(Error::internal(format!("instance {} is claimed already", self.id)));
        }
        effect::done("instance claimed");
        self.state.send_modify(|state| state.cluster = Some(cluster));
        self.apply(plan).await
    }

    /// Records the plan, then makes it hold.
    async fn apply(&self, plan: InstancePlan) -> Result<()> {
        let text = serde_json::to_vec_pretty(&plan)
            .map_err(|error| Error::internal("can not write the plan").because(error))?;
        let folder = self.folder.clone();
        blocking(move || write_atomically(&folder, PLAN, &text)).await?;
        effect::done("plan written");
        self.state.send_modify(|state| state.plan = Some(plan));
        if matches!(self.stage(), Stage::Starting | Stage::Ready) {
            self.bound([]);
        }
        Ok(())
    }

    /// Makes the instance match the plan; starts the server if it is down and its pause is over.
    pub(super) async fn ensure(self: &Arc<Self>, plan: &InstancePlan) -> Result<Observed> {
        let _one_at_a_time = self.work.lock().await;
        let current = self.state.borrow().plan.clone();
        if let Some(current) = &current {
            check_generation(current, plan)?;
        }
        if plan.engine_major != self.programs.major.to_string() {
            return Err(Error::precondition(format!(
                "the data belongs to PostgreSQL {}, and can not be moved to {} yet",
                self.programs.major, plan.engine_major
            )));
        }
        if current.as_ref() != Some(plan) {
            self.apply(plan.clone()).await?;
        }
        let due = self.state.borrow().retry_at.is_none_or(|at| at <= now());
        self.suspend();
        let complete = self.check_data().await?;
        if due && complete && !self.host.closing() {
            self.start();
        }
        self.observe()
    }

    /// Whether the data is all there; of a running server it is.
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

    /// What is there.
    pub(super) fn observe(&self) -> Result<Observed> {
        let state = self.state.borrow();
        let cluster = state.cluster.ok_or_else(|| Error::internal("a spare has no cluster"))?;
        if let Some(missing) = state.missing.clone().filter(|_| state.stage == Stage::Down) {
            return Ok(Observed::data_missing(cluster, missing));
        }
        let live =
            state.stage == Stage::Ready && state.process.as_ref().is_some_and(|process| process.alive());
        let phase = match state.stage {
            Stage::Ready if live => Phase::Ready,
            Stage::Starting => Phase::Starting,
            Stage::Suspending if !state.off() => Phase::Starting,
            Stage::Down if state.off() && state.empty => Phase::Suspended,
            _ => Phase::Down,
        };
        let node =
            Node { name: "n1".to_owned(), live, pid: state.process.as_ref().map(|process| process.pid) };
        Ok(Observed {
            cluster,
            generation: state.plan.as_ref().map_or(0, |plan| plan.generation),
            phase,
            engine: state.version.clone(),
            nodes: if phase == Phase::Suspended { Vec::new() } else { vec![node] },
            conditions: conditions(&state),
            retry_at: state.retry_at.filter(|_| phase == Phase::Down),
            location: self.data().display().to_string(),
        })
    }

    /// Lets a stopped instance be used again, after a removal that failed.
    pub(super) fn revive(&self) {
        self.state.send_modify(|state| state.stage = Stage::Down);
    }

    /// Makes the folder of a new instance.
    pub(super) fn make_folder(host: &Host, id: &str) -> Result<PathBuf> {
        let folder = host.instances().join(id);
        make_folder(&folder, host.owner.passage())?;
        Ok(folder)
    }
}

/// `Stale` if `plan` is older than `current`.
pub(super) fn check_generation(current: &InstancePlan, plan: &InstancePlan) -> Result<()> {
    if plan.generation < current.generation {
        let (old, new) = (plan.generation, current.generation);
        return Err(Error::new(
            ErrorKind::Stale,
            format!("generation {old} is older than {new}, which runs"),
        ));
    }
    Ok(())
}

fn conditions(state: &State) -> Vec<Condition> {
    let mut conditions = Vec::new();
    if let Some(millis) = state.plan.as_ref().and_then(|plan| plan.cpu_millis) {
        let cpus = f64::from(millis) / 1000.0;
        let message = match &state.unbounded {
            None => format!("The server may use {cpus} vCPUs."),
            Some(reason) => format!("The bound of {cpus} vCPUs does not hold here: {reason}."),
        };
        conditions.push(Condition {
            kind: "CpuLimited".to_owned(),
            holds: state.unbounded.is_none(),
            message,
        });
    }
    if state.crashes > 0 && matches!(state.stage, Stage::Down | Stage::Starting) {
        let times = if state.crashes == 1 { "once".to_owned() } else { format!("{} times", state.crashes) };
        let message = format!("The server ended unasked {times} and is started again.");
        conditions.push(Condition { kind: "Restarting".to_owned(), holds: true, message });
    }
    conditions
}

/// Who claimed the instance in this folder.
pub(super) fn read_cluster(folder: &Path) -> Option<ClusterId> {
    fs::read_to_string(folder.join(CLUSTER)).ok()?.trim().parse().ok()
}

fn read_plan(folder: &Path) -> Option<InstancePlan> {
    serde_json::from_slice(&fs::read(folder.join(PLAN)).ok()?).ok()
}

pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
