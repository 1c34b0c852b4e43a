//! The hands: the only place that starts processes or touches a cluster's data.
//!
//! An engine makes the world match an [`InstancePlan`]. Every verb may be called twice, from the
//! start again after a crash at any point, and refuses an older generation.

mod files;
pub mod postgres;
mod scram;
pub mod simulated;
pub mod statement;

use async_trait::async_trait;
use ootheca_model::{
    ClusterId, Error, ErrorKind, Result,
    instance::{InstancePlan, Observed, Removal},
    login::Login,
    usage::{CpuCounter, Measure},
};
use statement::{Ran, Statement};
use std::path::PathBuf;
use tokio::sync::broadcast;

/// What an engine can do here, found out once at start.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    /// Engine majors that can run, newest first, for example `["17", "15"]`.
    pub majors: Vec<String>,
    /// Why CPU can not be bounded here; `None` if it can.
    pub cpu_unbounded: Option<String>,
    /// Whether the data is reachable from this machine only, so that no other engine may serve the same store.
    pub machine_scoped: bool,
}

/// A database of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// Tables outside the system schemas; `None` if it could not be counted.
    pub tables: Option<i64>,
}

/// An instance as `ootheca debug` shows it.
#[derive(Clone, Debug)]
pub struct InstanceReport {
    /// The engine's own name of the instance.
    pub instance: String,
    /// The cluster that it serves; `None` for a spare.
    pub cluster: Option<ClusterId>,
    /// What really runs, for example `PostgreSQL 15.18`.
    pub engine: String,
    /// Main process, if alive.
    pub pid: Option<u32>,
    /// Where its data is.
    pub data: PathBuf,
}

/// What runs the SQL servers.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// What can be done here.
    fn capabilities(&self) -> Capabilities;

    /// Makes ready to serve: templates, adoption of what a previous incarnation left, spares (in the
    /// background). Called once, before anything else.
    async fn open(&self) -> Result<()>;

    /// As [`Engine::ensure`], for a cluster that may be new: makes its data if there is none.
    async fn create(&self, plan: &InstancePlan) -> Result<Observed>;

    /// Makes the instance match the plan. Does not wait until it is ready, or suspended if its power is
    /// off: a hint on [`Engine::watch`] says when to look again. While a server stops for a suspension
    /// its phase is `Down`. Never makes data: where it is missing the phase is `Absent`, the condition
    /// [`Condition::DATA_MISSING`](ootheca_model::instance::Condition::DATA_MISSING) says what was looked
    /// for, and a later call finds data that was put back. `Stale` for an older generation, `Precondition`
    /// for a plan that can not run here, `Unavailable` to try again, `Internal` if a person must look.
    async fn ensure(&self, plan: &InstancePlan) -> Result<Observed>;

    /// What is there.
    async fn observe(&self, cluster: ClusterId) -> Result<Observed>;

    /// Ends the processes and removes the data.
    async fn remove(&self, cluster: ClusterId) -> Result<Removal>;

    /// Every cluster that has something here.
    async fn list(&self) -> Result<Vec<ClusterId>>;

    /// Hints that an instance changed (became ready, died). May be lost.
    fn watch(&self) -> broadcast::Receiver<ClusterId>;

    /// A session with administrative rights; typed verbs only. `Unavailable` unless it is ready.
    async fn admin(&self, cluster: ClusterId) -> Result<Box<dyn Admin>>;

    /// The Unix socket on which the instance speaks the PostgreSQL protocol. `Precondition` if this
    /// engine runs no SQL servers, `Unavailable` unless it is ready.
    async fn endpoint(&self, cluster: ClusterId) -> Result<PathBuf>;

    /// Runs one statement of a tenant, in a transaction of its own, with the rights that SQL users have.
    /// `NotFound` if there is no such database, `Unimplemented` if this engine runs no SQL, `Unavailable`
    /// unless it is ready. What the server says of the statement itself is no error here.
    async fn run(&self, cluster: ClusterId, statement: &Statement) -> Result<Ran> {
        let _ = (cluster, statement);
        Err(Error::new(ErrorKind::Unimplemented, "this engine runs no SQL servers"))
    }

    /// CPU time that the instance has used, without that of the session of [`Engine::measure`] where
    /// the kernel can tell them apart. Cheap: asks the kernel, not the server. `Unavailable` unless it
    /// is ready.
    async fn cpu(&self, cluster: ClusterId) -> Result<CpuCounter>;

    /// All counters and the size of the data. Asks the server. `Unavailable` unless it is ready.
    async fn measure(&self, cluster: ClusterId) -> Result<Measure>;

    /// Everything that is there, spares too.
    async fn report(&self) -> Result<Vec<InstanceReport>>;

    /// Ends: stops every instance (`detach: false`) or leaves them running for the next start.
    /// Called again while it works (a second signal), it stops faster.
    async fn close(&self, detach: bool);
}

/// The administrative verbs inside one cluster. New names were checked by `ootheca_model::names`, and are
/// quoted all the same; others are given and returned as `ootheca_model::sql_name` shows them.
#[async_trait]
pub trait Admin: Send {
    /// Names of the SQL users, sorted byte by byte, without the engine's own roles.
    async fn users(&mut self) -> Result<Vec<String>>;
    /// SQL users that may log in, with their secrets, sorted byte by byte by name, without the
    /// engine's own roles.
    async fn logins(&mut self) -> Result<Vec<Login>>;
    /// Makes a SQL user, a member of `admin`, with this password. `Exists` if it is there.
    async fn create_user(&mut self, name: &str, password: &str) -> Result<()>;
    /// Changes the password. `NotFound` if there is no such user.
    async fn set_password(&mut self, name: &str, password: &str) -> Result<()>;
    /// Removes a user, giving what it owns to `admin`, and ends its sessions. `NotFound` if absent.
    async fn delete_user(&mut self, name: &str) -> Result<()>;
    /// Databases, sorted byte by byte by name, without the engine's own. Tables are not counted.
    async fn databases(&mut self) -> Result<Vec<Database>>;
    /// Counts the tables of one database.
    async fn count_tables(&mut self, database: &str) -> Result<Option<i64>>;
    /// Makes a database, owned by `admin`. `Exists` if it is there.
    async fn create_database(&mut self, name: &str) -> Result<()>;
    /// Renames a database. `NotFound`, `Exists`, or `Precondition` while sessions are in it.
    async fn rename_database(&mut self, name: &str, new_name: &str) -> Result<()>;
    /// Drops a database, ending the sessions in it. `NotFound` if absent.
    async fn drop_database(&mut self, name: &str) -> Result<()>;
}
