//! The engine that runs PostgreSQL. Each cluster is its own PostgreSQL server, which listens on a Unix socket
//! only.
//!
//! A cluster is a copy of a template (`template.rs`) that claims its folder with one file (`instance.rs`). A
//! pool of started copies is kept ready to be claimed (`pool.rs`). A cluster can have further instances with
//! other data epochs, of which one serves (`table.rs`), and several nodes (`members.rs`, `nodes/`). Nothing in this
//! module retries; the caller's loop does.

mod admin;
mod admin_role;
mod backup;
mod binaries;
mod cgroup;
mod claim;
mod connection;
mod context;
mod control_secret;
mod control_session;
mod copy;
mod deadline;
mod instance;
mod liveness;
mod log;
mod logins;
mod masking;
mod members;
mod meter;
mod missing;
mod nodes;
mod object;
mod observe;
mod owner;
mod owners;
mod plans;
mod pool;
mod power;
mod privileges;
mod probe;
mod process;
mod removal;
mod replication;
mod replication_user;
mod report;
mod sandbox;
mod server;
mod shared;
mod shared_memory;
mod shell;
mod sql;
mod staging;
mod statement_error;
mod storage;
mod table;
mod table_counts;
mod template;
mod trash;
mod uid_range;

pub use control_secret::cluster_secret;
pub use probe::{Major, Probe, SandboxProbe, probe};
pub use report::report;

use crate::backup::{BaseInfo, BaseWriter, ObjectRestore, WalEnd};
use crate::files::{blocking, disk_space};
use crate::statement::{QueryOutput, Statement};
use crate::{Admin, Capabilities, DiskSpace, Engine, InstanceReport, Received, Rejoin, Source};
use async_trait::async_trait;
use claim::Claim;
use context::{EngineContext, Shutdown};
use deadline::{BoundedSession, within_deadline};
use futures_util::future::join_all;
use instance::Instance;
use ootheca_model::{
    ClusterId, Result,
    backup::MaskingScript,
    instance::{InstancePlan, Observed, Removal},
    login::Secret,
    node::{NodeId, Quorum},
    usage::{CpuCounter, Measure},
};
use shared::{Shared, WhenMissing};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::broadcast;

#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder for everything that the engine stores. Its path must be short, because it contains sockets.
    pub folder: PathBuf,
    /// The unprivileged user of the servers if this process runs as root. The default is `ootheca`.
    pub user: Option<String>,
    /// Under root, the user IDs of which each instance gets its own, for example `1900000000-1900065535`. If it
    /// is empty, all servers run as `user`.
    pub uid_range: String,
    /// The program that starts each server in a sandbox, see [`crate::launcher`]; `None` starts them without a
    /// sandbox.
    pub launcher: Option<PathBuf>,
    /// Whether clusters can't have several nodes where their servers could connect to those of other clusters.
    pub sandbox_strict: bool,
    /// Additional paths that servers can read and execute in their sandbox.
    pub sandbox_paths: Vec<PathBuf>,
    /// Additional folders to search for PostgreSQL programs, before the standard ones.
    pub programs: Vec<PathBuf>,
    /// The number of started instances that wait for a cluster.
    pub pool_size: usize,
    /// The time limit for a server to become ready, including recovery after a crash.
    pub ready_timeout: Duration,
    /// `shared_buffers` of each server, in PostgreSQL's notation.
    pub shared_buffers: String,
    /// `max_connections` of each server.
    pub max_connections: u32,
    /// The memory that each instance can use, in percent of the memory of the machine.
    pub memory_percent: u32,
    /// Whether servers archive their WAL for backups. Applies to servers that are started from then on.
    pub archive_wal: bool,
    /// What copies of data leave free on the disk, in bytes.
    pub disk_reserve_bytes: u64,
    /// The time limit for the SQL that runs on restored data before it serves.
    pub masking_timeout: Duration,
    /// The maximum number of nodes of a cluster.
    pub max_nodes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("engine"),
            user: None,
            uid_range: String::new(),
            launcher: None,
            sandbox_strict: false,
            sandbox_paths: Vec::new(),
            programs: Vec::new(),
            pool_size: 2,
            ready_timeout: Duration::from_secs(120),
            shared_buffers: "32MB".to_owned(),
            max_connections: 100,
            memory_percent: 50,
            archive_wal: false,
            disk_reserve_bytes: 0,
            masking_timeout: Duration::from_secs(600),
            max_nodes: 9,
        }
    }
}

/// The engine that runs PostgreSQL servers on this machine. Only one engine at a time may use a folder.
///
/// Dropping it leaves the servers running, as `close` with `detach` does.
#[derive(Debug)]
pub struct PostgresEngine {
    shared: Arc<Shared>,
}

impl PostgresEngine {
    /// Finds the programs and the user, and begins to check the sandbox; `open` returns the result. Does not access
    /// the engine's folder.
    pub fn new(settings: Settings) -> Result<Self> {
        Ok(Self { shared: Arc::new(Shared::new(EngineContext::new(settings)?)) })
    }

    /// The process IDs of the spares that can be claimed.
    pub fn spares(&self) -> Vec<u32> {
        self.shared.ready_spares()
    }

    fn ready(&self, cluster: ClusterId) -> Result<Arc<Instance>> {
        self.shared
            .claimed(cluster)
            .filter(|instance| instance.ready_pid().is_some() && instance.is_primary())
            .ok_or_else(server::not_ready)
    }
}

impl Drop for PostgresEngine {
    fn drop(&mut self) {
        self.shared.context.shutdown.send_if_modified(|shutdown| {
            let open = *shutdown == Shutdown::NotRequested;
            if open {
                *shutdown = Shutdown::Fast;
            }
            open
        });
    }
}

#[async_trait]
impl Engine for PostgresEngine {
    fn capabilities(&self) -> Capabilities {
        let context = &self.shared.context;
        Capabilities {
            majors: context.programs.iter().map(|programs| programs.major.to_string()).collect(),
            cpu_unbounded: context.cgroups.unavailable().map(str::to_owned),
            memory_unbounded: context.cgroups.bounds_unavailable().map(str::to_owned),
            sandbox_incomplete: context
                .sandbox
                .as_ref()
                .and_then(|sandbox| sandbox.enforcement()?.missing())
                .map(str::to_owned),
            machine_scoped: true,
            nodes_unavailable: context.nodes_unavailable(),
            max_nodes: context.settings.max_nodes,
        }
    }

    async fn open(&self) -> Result<()> {
        let context = self.shared.context.clone();
        blocking(move || context.open()).await?;
        self.shared.open().await
    }

    async fn create(&self, plan: &InstancePlan) -> Result<Observed> {
        self.shared.ensure(plan, WhenMissing::Create).await
    }

    async fn ensure(&self, plan: &InstancePlan) -> Result<Observed> {
        self.shared.ensure(plan, WhenMissing::Report).await
    }

    async fn observe(&self, cluster: ClusterId) -> Result<Observed> {
        self.shared.observe(cluster)
    }

    async fn remove(&self, cluster: ClusterId) -> Result<Removal> {
        self.shared.remove(cluster).await
    }

    async fn stage(
        &self,
        cluster: ClusterId,
        epoch: u64,
        source: &Source,
        masking: Option<&MaskingScript>,
    ) -> Result<()> {
        self.shared.stage(Claim::alone(cluster, epoch), source, masking).await
    }

    async fn discard(&self, cluster: ClusterId, keep_epoch: u64) -> Result<()> {
        self.shared.discard(Claim::alone(cluster, keep_epoch)).await
    }

    async fn stage_node(&self, plan: &InstancePlan, node: NodeId, source: &Source) -> Result<()> {
        nodes::seed::stage_node(&self.shared, plan, node, source).await
    }

    async fn remove_node(&self, plan: &InstancePlan, node: NodeId) -> Result<Removal> {
        nodes::standby::remove_node(&self.shared, plan, node).await
    }

    async fn fence(&self, cluster: ClusterId, epoch: u64, node: NodeId) -> Result<()> {
        nodes::fence::fence(&self.shared, cluster, epoch, node).await
    }

    async fn received(&self, cluster: ClusterId, epoch: u64) -> Result<Vec<Received>> {
        nodes::promote::received(&self.shared, cluster, epoch).await
    }

    async fn start_primary(&self, plan: &InstancePlan) -> Result<Observed> {
        nodes::promote::start_primary(&self.shared, plan).await
    }

    async fn promote(&self, plan: &InstancePlan, before: &[Quorum]) -> Result<()> {
        nodes::promote::promote(&self.shared, plan, before).await
    }

    async fn rejoin(&self, plan: &InstancePlan, node: NodeId) -> Result<Rejoin> {
        nodes::rejoin::rejoin(&self.shared, plan, node).await
    }

    async fn apply_quorum(&self, plan: &InstancePlan) -> Result<bool> {
        nodes::quorum::apply_quorum(&self.shared, plan).await
    }

    async fn restart_node(&self, plan: &InstancePlan, node: NodeId) -> Result<()> {
        nodes::standby::restart_node(&self.shared, plan, node).await
    }

    async fn read_endpoint(&self, cluster: ClusterId) -> Result<PathBuf> {
        nodes::standby::read_endpoint(&self.shared, cluster).await
    }

    async fn restore_objects(
        &self,
        cluster: ClusterId,
        epoch: u64,
        restore: &ObjectRestore,
        report: &(dyn Fn(f32) + Send + Sync),
    ) -> Result<()> {
        self.shared.restore_objects(Claim::alone(cluster, epoch), restore, report).await
    }

    async fn forget_restore(&self, cluster: ClusterId, id: &str) -> Result<()> {
        self.shared.forget_restore(cluster, id).await
    }

    async fn copy_base(&self, cluster: ClusterId, epoch: u64, to: BaseWriter<'_>) -> Result<BaseInfo> {
        self.shared.serving_epoch(Claim::alone(cluster, epoch))?.copy_base(to).await
    }

    async fn end_segment(&self, cluster: ClusterId, epoch: u64) -> Result<WalEnd> {
        self.shared.serving_epoch(Claim::alone(cluster, epoch))?.end_segment().await
    }

    async fn segments(&self, cluster: ClusterId, epoch: u64) -> Result<Vec<String>> {
        self.shared.serving_epoch(Claim::alone(cluster, epoch))?.segments().await
    }

    async fn read_segment(&self, cluster: ClusterId, epoch: u64, name: &str) -> Result<Vec<u8>> {
        self.shared.serving_epoch(Claim::alone(cluster, epoch))?.read_segment(name).await
    }

    async fn remove_segments(&self, cluster: ClusterId, epoch: u64, last: &str) -> Result<()> {
        self.shared.serving_epoch(Claim::alone(cluster, epoch))?.remove_segments(last).await
    }

    async fn list(&self) -> Result<Vec<ClusterId>> {
        Ok(self.shared.list())
    }

    fn watch(&self) -> broadcast::Receiver<ClusterId> {
        self.shared.context.hints.subscribe()
    }

    async fn admin(&self, cluster: ClusterId) -> Result<Box<dyn Admin>> {
        let instance = self.ready(cluster)?;
        let session = admin::AdminSession::open(instance).await?;
        Ok(Box::new(BoundedSession::new(session)))
    }

    async fn secret(&self, cluster: ClusterId, user: &str) -> Result<Option<Secret>> {
        self.ready(cluster)?.secret(user).await
    }

    async fn endpoint(&self, cluster: ClusterId) -> Result<PathBuf> {
        Ok(server::socket(&self.ready(cluster)?.sockets()))
    }

    async fn run(&self, cluster: ClusterId, statement: &Statement) -> Result<QueryOutput> {
        let sockets = self.ready(cluster)?.sockets();
        shell::run(&self.shared.context, sockets, statement).await
    }

    async fn cpu(&self, cluster: ClusterId) -> Result<CpuCounter> {
        self.ready(cluster)?.cpu()
    }

    async fn measure(&self, cluster: ClusterId) -> Result<Measure> {
        within_deadline(self.ready(cluster)?.measure()).await
    }

    fn disk(&self) -> Option<DiskSpace> {
        disk_space(&self.shared.context.settings.folder)
    }

    async fn report(&self) -> Result<Vec<InstanceReport>> {
        let folder = self.shared.context.settings.folder.clone();
        blocking(move || report(&folder)).await
    }

    async fn close(&self, detach: bool) {
        let context = &self.shared.context;
        context.shutdown.send_modify(|shutdown| {
            *shutdown =
                if *shutdown == Shutdown::NotRequested { Shutdown::Fast } else { Shutdown::Immediate };
        });
        self.shared.idle().await;
        if !detach {
            join_all(self.shared.instances().iter().map(|instance| instance.stop(false))).await;
        }
    }
}
