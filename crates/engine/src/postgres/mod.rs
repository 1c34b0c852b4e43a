//! The real thing: every cluster is a PostgreSQL server of its own, on a Unix socket only.
//!
//! A cluster is a copy of a template (`template.rs`) that claims its folder with one file
//! (`instance.rs`); a pool of started copies waits to be claimed (`pool.rs`). Nothing here retries:
//! the caller's loop does.

mod admin;
mod admin_role;
mod binaries;
mod cgroup;
mod connection;
mod copy;
mod host;
mod instance;
mod meter;
mod missing;
mod object;
mod owner;
mod pool;
mod power;
mod probe;
mod process;
mod report;
mod server;
mod shared;
mod shell;
mod sql;
mod statement_error;
mod template;
mod trash;

pub use probe::{Major, Probe, probe};
pub use report::report;

use crate::files::blocking;
use crate::statement::{Ran, Statement};
use crate::{Admin, Capabilities, Engine, InstanceReport};
use async_trait::async_trait;
use futures_util::future::join_all;
use host::{Haste, Host};
use instance::Instance;
use ootheca_model::{
    ClusterId, Error, Result,
    instance::{InstancePlan, Observed, Removal},
    usage::{CpuCounter, Measure},
};
use shared::{Absent, Shared};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::broadcast;

/// How the driver works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Everything that it keeps. The path must be short: sockets live in it.
    pub folder: PathBuf,
    /// Under root: the unprivileged user of the servers; default `ootheca`.
    pub user: Option<String>,
    /// More folders to look for PostgreSQL programs in; they come first.
    pub programs: Vec<PathBuf>,
    /// Started instances that wait for a cluster.
    pub pool_size: usize,
    /// How long a server may take to become ready; recovery after a crash counts.
    pub ready_timeout: Duration,
    /// Of each server, in PostgreSQL's notation.
    pub shared_buffers: String,
    /// Of each server.
    pub max_connections: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("engine"),
            user: None,
            programs: Vec::new(),
            pool_size: 2,
            ready_timeout: Duration::from_secs(120),
            shared_buffers: "32MB".to_owned(),
            max_connections: 100,
        }
    }
}

/// The engine that runs PostgreSQL servers on this machine. One at a time may use a folder.
///
/// Dropping it leaves the servers running, as `close` with `detach` does.
#[derive(Debug)]
pub struct PostgresEngine {
    shared: Arc<Shared>,
}

impl PostgresEngine {
    /// Looks for the programs and the user. Touches no file.
    pub fn new(settings: Settings) -> Result<Self> {
        Ok(Self { shared: Arc::new(Shared::new(Host::new(settings)?)) })
    }

    /// The server processes of the spares that can be given to a cluster now.
    pub fn spares(&self) -> Vec<u32> {
        self.shared.ready_spares()
    }

    fn ready(&self, cluster: ClusterId) -> Result<Arc<Instance>> {
        self.shared
            .claimed(cluster)
            .filter(|instance| instance.ready_pid().is_some())
            .ok_or_else(|| Error::unavailable("the cluster's SQL server is not ready"))
    }
}

impl Drop for PostgresEngine {
    fn drop(&mut self) {
        self.shared.host.haste.send_if_modified(|haste| {
            let open = *haste == Haste::Open;
            if open {
                *haste = Haste::Orderly;
            }
            open
        });
    }
}

#[async_trait]
impl Engine for PostgresEngine {
    fn capabilities(&self) -> Capabilities {
        let host = &self.shared.host;
        Capabilities {
            majors: host.programs.iter().map(|programs| programs.major.to_string()).collect(),
            cpu_unbounded: host.cgroups.unbounded().map(str::to_owned),
            machine_scoped: true,
        }
    }

    async fn open(&self) -> Result<()> {
        let host = self.shared.host.clone();
        blocking(move || host.open()).await?;
        self.shared.open().await
    }

    async fn create(&self, plan: &InstancePlan) -> Result<Observed> {
        self.shared.ensure(plan, Absent::Create).await
    }

    async fn ensure(&self, plan: &InstancePlan) -> Result<Observed> {
        self.shared.ensure(plan, Absent::Report).await
    }

    async fn observe(&self, cluster: ClusterId) -> Result<Observed> {
        self.shared.observe(cluster)
    }

    async fn remove(&self, cluster: ClusterId) -> Result<Removal> {
        self.shared.remove(cluster).await
    }

    async fn list(&self) -> Result<Vec<ClusterId>> {
        Ok(self.shared.list())
    }

    fn watch(&self) -> broadcast::Receiver<ClusterId> {
        self.shared.host.hints.subscribe()
    }

    async fn admin(&self, cluster: ClusterId) -> Result<Box<dyn Admin>> {
        let instance = self.ready(cluster)?;
        let session = admin::Session::open(self.shared.host.clone(), instance.sockets()).await?;
        Ok(Box::new(session))
    }

    async fn endpoint(&self, cluster: ClusterId) -> Result<PathBuf> {
        Ok(server::socket(&self.ready(cluster)?.sockets()))
    }

    async fn run(&self, cluster: ClusterId, statement: &Statement) -> Result<Ran> {
        let sockets = self.ready(cluster)?.sockets();
        shell::run(&self.shared.host, sockets, statement).await
    }

    async fn cpu(&self, cluster: ClusterId) -> Result<CpuCounter> {
        self.ready(cluster)?.cpu()
    }

    async fn measure(&self, cluster: ClusterId) -> Result<Measure> {
        self.ready(cluster)?.measure().await
    }

    async fn report(&self) -> Result<Vec<InstanceReport>> {
        let folder = self.shared.host.settings.folder.clone();
        blocking(move || report(&folder)).await
    }

    async fn close(&self, detach: bool) {
        let host = &self.shared.host;
        host.haste.send_modify(|haste| {
            *haste = if *haste == Haste::Open { Haste::Orderly } else { Haste::Now };
        });
        self.shared.idle().await;
        if !detach {
            join_all(self.shared.instances().iter().map(|instance| instance.stop(false))).await;
        }
    }
}
