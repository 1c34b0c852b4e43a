//! Runs the clusters. Only this crate starts processes or accesses the data of a cluster.
//!
//! An engine makes the running instances match an [`InstancePlan`]. Every method can be called again,
//! including after a crash at any point, and rejects an older epoch or generation.

pub mod backup;
mod files;
pub mod launcher;
mod node;
pub mod postgres;
mod scram;
pub mod simulated;
pub mod statement;

pub use node::{Progress, Received, Rejoin, WalPosition};

use async_trait::async_trait;
use backup::{BackupReader, BaseInfo, BaseWriter, ObjectRestore, WalEnd};
use ootheca_model::{
    ClusterId, Error, ErrorKind, Result,
    backup::MaskingScript,
    instance::{InstancePlan, Observed, Removal},
    login::{Login, Secret},
    node::{NodeId, Quorum},
    time::Clock,
    usage::{CpuCounter, Measure},
};
use statement::{QueryOutput, Statement};
use std::{fmt, path::PathBuf, sync::Arc};
use tokio::sync::broadcast;

/// The capabilities of an engine, detected once at startup.
#[derive(Clone, Debug, Default)]
pub struct Capabilities {
    /// PostgreSQL major versions that can run, newest first, for example `["17", "15"]`.
    pub majors: Vec<String>,
    /// The reason why CPU cannot be limited on this machine; `None` if it can.
    pub cpu_unbounded: Option<String>,
    /// The same for memory and the number of processes.
    pub memory_unbounded: Option<String>,
    /// What a sandbox does not limit on this machine, and why; `None` if it is complete or not used.
    pub sandbox_incomplete: Option<String>,
    /// Whether the data is reachable from this machine only, so that no other engine may serve the same
    /// store.
    pub machine_scoped: bool,
    /// The reason why a cluster cannot have several nodes on this machine; `None` if it can.
    pub nodes_unavailable: Option<String>,
    /// The maximum number of nodes of a cluster.
    pub max_nodes: u32,
}

/// A database of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    pub name: String,
    /// The number of tables outside the system schemas; `None` if they could not be counted.
    pub tables: Option<i64>,
}

/// An instance as `ootheca debug` shows it.
#[derive(Clone, Debug)]
pub struct InstanceReport {
    /// The engine's name of the instance.
    pub instance: String,
    /// The cluster that the instance belongs to; `None` for a spare.
    pub cluster: Option<ClusterId>,
    /// The data epoch of the instance; 0 for a spare.
    pub epoch: u64,
    /// The version that is running, for example `PostgreSQL 15.18`.
    pub engine: String,
    /// The process ID of the main process, if it is running.
    pub pid: Option<u32>,
    /// The path of the data.
    pub data: PathBuf,
}

/// The free space on the disk with the data of all instances.
#[derive(Clone, Debug)]
pub struct DiskSpace {
    /// The path of the data.
    pub path: PathBuf,
    /// What the instances can still write, in bytes.
    pub free_bytes: u64,
}

/// What a staged instance contains.
#[derive(Clone, Debug)]
pub enum Source {
    /// The same as a new cluster.
    Empty,
    /// What a backup contains, or contained at a moment before its end.
    Backup(Arc<dyn BackupReader>),
    /// The present data of another cluster.
    Cluster(ClusterSource),
    /// The primary of the same cluster; the copy can go on as its standby. Only for [`Engine::stage_node`].
    Primary(Progress),
}

/// The present data of another cluster, whether its server runs or not.
#[derive(Clone)]
pub struct ClusterSource {
    pub cluster: ClusterId,
    /// The data epoch that must serve it.
    pub epoch: u64,
    /// Is told the progress of the copy, from 0 to 1.
    pub progress: Arc<dyn Fn(f32) + Send + Sync>,
}

impl fmt::Debug for ClusterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, epoch, progress: _ } = self;
        f.debug_struct("ClusterSource")
            .field("cluster", cluster)
            .field("epoch", epoch)
            .finish_non_exhaustive()
    }
}

/// Runs the SQL servers of clusters.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    fn capabilities(&self) -> Capabilities;

    /// Prepares the engine: creates templates, adopts instances that are still running, and starts spares in
    /// the background. Called once, before any other method.
    async fn open(&self) -> Result<()>;

    /// Sets the clock that tells the times of changes, which restores to a moment depend on. Only for simulations: servers
    /// use the clock of the machine.
    fn set_clock(&self, clock: Arc<dyn Clock>) {
        let _ = clock;
    }

    /// Like [`Engine::ensure`], but creates the data of the primary and of its standbys if there is none. For clusters
    /// that may be new.
    async fn create(&self, plan: &InstancePlan) -> Result<Observed>;

    /// Makes the instance match the plan. Does not wait until the instance is ready, or suspended if its
    /// power is off: a hint on [`Engine::watch`] says when to call it again. While a server stops for a
    /// suspension its phase is `Down`. Never creates data. If the data is missing, the phase is `Absent`, the
    /// condition [`Condition::DATA_MISSING`](ootheca_model::instance::Condition::DATA_MISSING) says what was
    /// looked for, and a later call finds data that was restored.
    ///
    /// The instance that serves is the one with the data epoch of the plan, see [`Engine::stage`]. If another one
    /// served before, its server is stopped completely first, and the phase is `Down` until then. If there is no
    /// instance with this epoch, the data is missing: an older one never serves in its place.
    ///
    /// Starts the standbys of the plan, stops nodes whose power is off, and fences a primary that is not that of the
    /// plan. With a quorum, it never starts the primary, see [`Engine::start_primary`]. It never promotes.
    ///
    /// Returns `Stale` for an older epoch or generation, `Precondition` for a plan that cannot run on this machine,
    /// `Unavailable` if the call should be repeated, and `Internal` if an operator must intervene.
    async fn ensure(&self, plan: &InstancePlan) -> Result<Observed>;

    /// Returns the current state of an instance.
    async fn observe(&self, cluster: ClusterId) -> Result<Observed>;

    /// Stops the processes and removes the data of all epochs.
    async fn remove(&self, cluster: ClusterId) -> Result<Removal>;

    /// Builds a staged instance: the complete and durable data of a later epoch, whose server does not run. It serves
    /// once a plan names its epoch. Returns when it is complete, or at once if it already is; after a crash, an
    /// incomplete one is built anew.
    ///
    /// `masking` runs on the data before it is complete, with the rights that SQL users have. If it fails, so does the
    /// staging. Its session is the only one until then.
    ///
    /// Returns `Stale` if the epoch is not later than that of the last plan, `Precondition` if the cluster has no
    /// instance, if this machine cannot run the data, or if `masking` fails, and `Internal` if the source is incomplete
    /// or damaged. If the source is another cluster, returns `NotFound` if it has no instance, `Stale` if another epoch
    /// serves it, and `Unavailable` while its server starts or stops. `Unimplemented` if there is a script and this
    /// engine does not run SQL.
    async fn stage(
        &self,
        cluster: ClusterId,
        epoch: u64,
        source: &Source,
        masking: Option<&MaskingScript>,
    ) -> Result<()>;

    /// Removes the instances of all other epochs, including staged ones and all their nodes. Returns when nothing is left
    /// of them.
    /// `Unavailable` unless the instance of `keep_epoch` is the one that serves, so that the only data of a cluster
    /// is never removed.
    async fn discard(&self, cluster: ClusterId, keep_epoch: u64) -> Result<()>;

    /// Builds a standby of the plan's epoch beside the other nodes, and claims it last; its server does not run.
    /// [`Source::Empty`] is a cold copy of the template, for new clusters. Returns at once if it is complete.
    ///
    /// Returns `Stale` for an older plan, `Unavailable` unless the primary is ready, `Precondition` without disk space,
    /// and `Internal` for damaged data.
    async fn stage_node(&self, plan: &InstancePlan, node: NodeId, source: &Source) -> Result<()>;

    /// Stops a node and removes its data. `Precondition` for the primary.
    async fn remove_node(&self, plan: &InstancePlan, node: NodeId) -> Result<Removal>;

    /// Kills every process in the data directory of a node with SIGKILL. Returns when none is left. Can be repeated.
    async fn fence(&self, cluster: ClusterId, epoch: u64, node: NodeId) -> Result<()>;

    /// How far each standby has received WAL. Asks all at once; those that don't respond in 500 ms are missing.
    async fn received(&self, cluster: ClusterId, epoch: u64) -> Result<Vec<Received>>;

    /// Starts the server of `plan.primary` in place, without waiting. `Precondition` if it has no data of a primary.
    async fn start_primary(&self, plan: &InstancePlan) -> Result<Observed>;

    /// Makes `plan.primary` the primary. Returns once it accepts writes. Records the plan at every node first, so that
    /// older terms are `Stale`; fences whatever is no standby; checks the law of promotion against the quorums of
    /// `before`; then promotes. Can be repeated. `Unavailable` if too few standbys respond, `Precondition` if another
    /// one has received more.
    async fn promote(&self, plan: &InstancePlan, before: &[Quorum]) -> Result<()>;

    /// Starts a node as a standby of the primary, and rewinds it if it has diverged. Complete WAL that only a former
    /// primary has is moved to the spool of the primary before that.
    async fn rejoin(&self, plan: &InstancePlan, node: NodeId) -> Result<Rejoin>;

    /// Applies `plan.quorum`. Returns whether it is in force, and enough of its standbys have flushed what was written
    /// until then. Does not wait.
    async fn apply_quorum(&self, plan: &InstancePlan) -> Result<bool>;

    /// Restarts a standby with the newest installed minor version and the plan's memory.
    async fn restart_node(&self, plan: &InstancePlan, node: NodeId) -> Result<()>;

    /// The Unix socket of a standby that streams, in turn. `Precondition` with one node, `Unavailable` if none streams.
    async fn read_endpoint(&self, cluster: ClusterId) -> Result<PathBuf>;

    /// Copies databases or tables of the staged instance of `epoch` into the instance that serves, which must be ready. All
    /// of them appear at once, or none. `report` is told the progress, from 0 to 1. Returns at once if the restore was
    /// completed before, even if nothing is staged any more. After an error, the staged instance is only of use to the same
    /// restore.
    ///
    /// Returns `Precondition` if something is missing in the backup, exists in the destination, or depends on what is not
    /// restored, `Unavailable` if the call should be repeated, and `Internal` if the backup is damaged.
    async fn restore_objects(
        &self,
        cluster: ClusterId,
        epoch: u64,
        restore: &ObjectRestore,
        report: &(dyn Fn(f32) + Send + Sync),
    ) -> Result<()>;

    /// Removes what an interrupted or completed restore has left besides the restored objects, such as temporary
    /// databases. A completed one is no longer recognized then. `Unavailable` unless the instance is ready.
    async fn forget_restore(&self, cluster: ClusterId, id: &str) -> Result<()>;

    /// Writes a base: a copy of the data of the instance that serves, whether its server runs or not. If it runs, the copy
    /// is consistent only together with the WAL segments that the result names. The copy never starts or stops a server,
    /// and does not delay a suspension for long.
    ///
    /// Returns `Stale` if another epoch than `epoch` serves, and `Unavailable` if the call should be repeated, for example
    /// because the server starts or stops.
    async fn copy_base(&self, cluster: ClusterId, epoch: u64, to: BaseWriter<'_>) -> Result<BaseInfo>;

    /// Ends the current WAL segment, if it contains changes, and waits until it is ready to be stored. A server that
    /// does not run is not started. Errors are those of [`Engine::copy_base`].
    async fn end_segment(&self, cluster: ClusterId, epoch: u64) -> Result<WalEnd>;

    /// The names of the WAL segments that are ready to be stored, in order. They are kept until they are removed, also
    /// if the server stops. Cheap. Errors are those of [`Engine::copy_base`].
    async fn segments(&self, cluster: ClusterId, epoch: u64) -> Result<Vec<String>>;

    /// The content of a segment that is ready.
    async fn read_segment(&self, cluster: ClusterId, epoch: u64, name: &str) -> Result<Vec<u8>>;

    /// Removes the segments up to and including this one.
    async fn remove_segments(&self, cluster: ClusterId, epoch: u64, last: &str) -> Result<()>;

    /// Lists every cluster that has an instance or data in this engine.
    async fn list(&self) -> Result<Vec<ClusterId>>;

    /// Subscribes to hints that an instance changed: a server became ready or stopped, a standby began or stopped to
    /// stream, or a promotion is complete. Hints may be lost.
    fn watch(&self) -> broadcast::Receiver<ClusterId>;

    /// Opens a session with administrative rights. `Unavailable` unless the instance is ready.
    async fn admin(&self, cluster: ClusterId) -> Result<Box<dyn Admin>>;

    /// The secret of a SQL user that can log in, as the server has it now; `None` for any other name. Fast enough for
    /// every login. `Unavailable` unless the instance is ready and responds within a few seconds.
    async fn secret(&self, cluster: ClusterId, user: &str) -> Result<Option<Secret>> {
        let logins = self.admin(cluster).await?.logins().await?;
        Ok(logins.into_iter().find(|login| login.name == user).map(|login| login.secret))
    }

    /// The Unix socket on which the primary speaks the PostgreSQL protocol. `Precondition` if this engine
    /// runs no SQL servers, `Unavailable` unless the instance is ready. With several nodes also until a plan of this run
    /// has named the primary.
    async fn endpoint(&self, cluster: ClusterId) -> Result<PathBuf>;

    /// Runs one statement of a tenant in its own transaction, with the rights that SQL users have. `NotFound`
    /// if the database does not exist, `Unimplemented` if this engine does not run SQL, `Unavailable` unless
    /// the instance is ready. An error that the server reports for the statement itself is part of the
    /// output.
    async fn run(&self, cluster: ClusterId, statement: &Statement) -> Result<QueryOutput> {
        let _ = (cluster, statement);
        Err(Error::new(ErrorKind::Unimplemented, "this engine runs no SQL servers"))
    }

    /// CPU time that the instance has used, without that of the session of [`Engine::measure`] if the kernel
    /// can tell them apart. Cheap, because it asks the kernel and not the server. `Unavailable` unless the
    /// instance is ready.
    async fn cpu(&self, cluster: ClusterId) -> Result<CpuCounter>;

    /// All counters, read from the server, and the storage that the cluster uses. `Unavailable` unless the instance is
    /// ready.
    async fn measure(&self, cluster: ClusterId) -> Result<Measure>;

    /// The free space on the disk with the data; `None` if it is unknown. Cheap.
    fn disk(&self) -> Option<DiskSpace> {
        None
    }

    /// Reports every instance, including spares.
    async fn report(&self) -> Result<Vec<InstanceReport>>;

    /// Shuts down. Stops every instance, or leaves the instances running for the next start if `detach` is
    /// true. A second call while the first is in progress, as after a second signal, stops faster.
    async fn close(&self, detach: bool);
}

/// The administrative operations inside one cluster. New names were validated by `ootheca_model::names`, and
/// are quoted nevertheless. Other names are passed and returned in the form of `ootheca_model::sql_name`.
#[async_trait]
pub trait Admin: Send {
    /// Names of the SQL users, sorted bytewise, without the engine's own roles.
    async fn users(&mut self) -> Result<Vec<String>>;
    /// SQL users that can log in, with their secrets, sorted bytewise by name, without the engine's own
    /// roles.
    async fn logins(&mut self) -> Result<Vec<Login>>;
    /// Creates a SQL user that is a member of `admin`. `Exists` if the name is taken.
    async fn create_user(&mut self, name: &str, password: &str) -> Result<()>;
    /// Changes the password of a user. `NotFound` if the user does not exist.
    async fn set_password(&mut self, name: &str, password: &str) -> Result<()>;
    /// Drops a user, reassigns what it owns to `admin`, and ends its sessions. `NotFound` if absent.
    async fn delete_user(&mut self, name: &str) -> Result<()>;
    /// Databases, sorted bytewise by name, without the engine's own. Tables are not counted.
    async fn databases(&mut self) -> Result<Vec<Database>>;
    /// The number of tables in each of the databases; `None` if it is absent or cannot be counted.
    async fn count_tables(&mut self, databases: &[String]) -> Result<Vec<Option<i64>>>;
    /// Whether SQL users have created no schemas, tables, views, sequences, functions, types, extensions, or large
    /// objects in a database. `NotFound` if it is absent.
    async fn is_empty(&mut self, database: &str) -> Result<bool>;
    /// Creates a database that is owned by `admin`. `Exists` if the name is taken.
    async fn create_database(&mut self, name: &str) -> Result<()>;
    /// Renames a database. Returns `NotFound`, `Exists`, or `Precondition` while the database has sessions.
    async fn rename_database(&mut self, name: &str, new_name: &str) -> Result<()>;
    /// Drops a database and ends its sessions. `NotFound` if absent.
    async fn drop_database(&mut self, name: &str) -> Result<()>;
}
