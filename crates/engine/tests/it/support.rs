//! Engines in temporary folders, and checks that nothing is left of them.

use ootheca_engine::{
    Engine,
    postgres::{PostgresEngine, Settings, cluster_secret},
    simulated::SimulatedEngine,
};
use ootheca_model::{
    ClusterId,
    instance::{InstancePlan, Observed, Phase, Power, Removal},
    node::NodeId,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    future::Future,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The time limit for every wait.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const PASSWORD: &str = "correct horse ' battery";

/// A temporary folder. Dropping it fails if it is still the working directory of a process.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        // The path is short because it contains sockets, and traversable because the servers run as another
        // user.
        let name = format!("oo-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o711)).unwrap();
        Self(path.canonicalize().unwrap())
    }

    pub(crate) fn engine(&self) -> PathBuf {
        self.0.join("engine")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let left = processes_below(&self.0);
        for pid in &left {
            signal(*pid, Signal::QUIT);
        }
        if std::thread::panicking() {
            eprintln!("kept: {}", self.0.display());
            return;
        }
        assert!(left.is_empty(), "processes are left: {left:?}");
        for name in ["trash", "run"] {
            let mut names: Vec<PathBuf> = fs::read_dir(self.engine().join(name))
                .into_iter()
                .flatten()
                .flatten()
                .map(|e| e.path())
                .collect();
            names.retain(|path| name == "trash" || fs::read_dir(path).unwrap().next().is_some());
            assert!(names.is_empty(), "left behind: {names:?}");
        }
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// The live processes whose working directory is below `folder`.
pub(crate) fn processes_below(folder: &Path) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder)) && alive(*pid)
    })
    .collect()
}

/// Sends a signal to a process that an engine of the test started.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let _ = kill_process(pid.unwrap(), signal);
}

/// Whether a process is running. A zombie is not.
pub(crate) fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// A driver under test.
#[derive(Clone, Copy)]
pub(crate) enum Driver {
    Postgres,
    Simulated,
}

impl Driver {
    pub(crate) async fn open(self, folder: &Folder) -> Box<dyn Engine> {
        self.open_with(folder, settings(folder, 0)).await
    }

    /// Opens an engine whose servers archive WAL.
    pub(crate) async fn open_archiving(self, folder: &Folder) -> Box<dyn Engine> {
        self.open_with(folder, Settings { archive_wal: true, ..settings(folder, 0) }).await
    }

    async fn open_with(self, folder: &Folder, settings: Settings) -> Box<dyn Engine> {
        let engine: Box<dyn Engine> = match self {
            Self::Postgres => Box::new(PostgresEngine::new(settings).unwrap()),
            Self::Simulated => Box::new(SimulatedEngine::new(folder.engine())),
        };
        engine.open().await.unwrap();
        engine
    }
}

pub(crate) fn settings(folder: &Folder, pool_size: usize) -> Settings {
    Settings { folder: folder.engine(), pool_size, shared_buffers: "8MB".to_owned(), ..Settings::default() }
}

pub(crate) async fn postgres(folder: &Folder, pool_size: usize) -> PostgresEngine {
    let engine = PostgresEngine::new(settings(folder, pool_size)).unwrap();
    engine.open().await.unwrap();
    engine
}

pub(crate) fn new_cluster() -> ClusterId {
    ClusterId(uuid::Uuid::new_v4())
}

pub(crate) fn plan(engine: &dyn Engine, cluster: ClusterId) -> InstancePlan {
    let engine_major = engine.capabilities().majors[0].clone();
    InstancePlan {
        cluster,
        generation: 1,
        epoch: 0,
        engine_major,
        cpu_millis: None,
        power: Power::On,
        nodes: Vec::new(),
        primary: NodeId::FIRST,
        term: 0,
        quorum: None,
    }
}

/// Polls until there is a result.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < LIMIT, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Calls `create` until the instance is ready, like the reconciler.
pub(crate) async fn ready(engine: &dyn Engine, plan: &InstancePlan) -> Observed {
    until("ready", || async {
        let observed = engine.create(plan).await.unwrap();
        (observed.phase == Phase::Ready).then_some(observed)
    })
    .await
}

/// Calls `ensure` until the instance is ready, like the reconciler for a cluster that was created before.
pub(crate) async fn ready_again(engine: &dyn Engine, plan: &InstancePlan) -> Observed {
    until("ready", || async {
        let observed = engine.ensure(plan).await.unwrap();
        (observed.phase == Phase::Ready).then_some(observed)
    })
    .await
}

/// Calls `create` until the instance is suspended.
pub(crate) async fn suspended(engine: &dyn Engine, plan: &InstancePlan) -> Observed {
    until("suspended", || async {
        let observed = engine.create(plan).await.unwrap();
        (observed.phase == Phase::Suspended).then_some(observed)
    })
    .await
}

pub(crate) async fn gone(engine: &dyn Engine, cluster: ClusterId) {
    until("gone", || async { (engine.remove(cluster).await.unwrap() == Removal::Gone).then_some(()) }).await;
}

/// Opens a session of a tenant.
pub(crate) async fn sql(
    engine: &dyn Engine,
    cluster: ClusterId,
    user: &str,
    database: &str,
) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    connect(engine, cluster, (user, PASSWORD), database).await
}

/// Opens a session of the control user.
pub(crate) async fn control(
    folder: &Folder,
    engine: &dyn Engine,
    cluster: ClusterId,
    database: &str,
) -> tokio_postgres::Client {
    let secret = cluster_secret(&machine_secret(folder), cluster);
    control_login(engine, cluster, &secret, database).await.unwrap()
}

/// Logs in as the control user with this password.
pub(crate) async fn control_login(
    engine: &dyn Engine,
    cluster: ClusterId,
    secret: &str,
    database: &str,
) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    connect(engine, cluster, ("ootheca", secret), database).await
}

pub(crate) fn machine_secret(folder: &Folder) -> String {
    fs::read_to_string(folder.engine().join("control-secret")).unwrap()
}

async fn connect(
    engine: &dyn Engine,
    cluster: ClusterId,
    (user, password): (&str, &str),
    database: &str,
) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let socket = engine.endpoint(cluster).await.unwrap();
    let mut config = tokio_postgres::Config::new();
    config.host_path(socket.parent().unwrap()).user(user).password(password).dbname(database);
    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

pub(crate) async fn user(engine: &dyn Engine, cluster: ClusterId, name: &str) {
    engine.admin(cluster).await.unwrap().create_user(name, PASSWORD).await.unwrap();
}
