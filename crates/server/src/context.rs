//! What all parts of the server use: the store, the engine, the clock, the settings, and the caches.
//!
//! It imports no part, so that each part can take a `&Context`.

use crate::{
    cache::Cache,
    clock::TestClock,
    disk::Disk,
    documents::{Document, Stored},
    informer::Informer,
    ownership::Owner,
    settings::Settings,
};
use ootheca_backups::RecoveryKey;
use ootheca_engine::Engine;
use ootheca_model::{
    Cluster, ClusterId, Error, ErrorKind, Result, Timestamp,
    catalog::{Catalog, Version},
    instance::Condition,
    time::Clock,
};
use ootheca_store::{Lease, Store};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// The conditions of clusters about their backups, in the order of their kinds. Clusters without any are omitted.
pub type BackupConditions = BTreeMap<ClusterId, Vec<Condition>>;

/// The keys of the installation, which the store contains.
pub struct Keys {
    /// Signs page tokens. The keys that encrypt stored responses are derived from it.
    pub page: [u8; 32],
    /// Encrypts backups.
    pub recovery: RecoveryKey,
}

#[cfg(test)]
impl Keys {
    /// Keys for a test.
    pub(crate) fn for_test() -> Self {
        Self { page: [0; 32], recovery: RecoveryKey::from_bytes([0; 32]) }
    }
}

/// What all parts of the server use.
pub struct Context {
    /// Persistent state.
    pub store: Arc<dyn Store>,
    /// Runs the clusters.
    pub engine: Arc<dyn Engine>,
    /// The clock for all times.
    pub clock: Arc<dyn Clock>,
    /// The same clock, if it is a test clock.
    pub test_clock: Option<Arc<TestClock>>,
    /// Changes whenever the test clock is advanced, to wake up tasks that wait for a time.
    pub clock_moved: watch::Sender<u64>,
    /// The settings of this server.
    pub settings: Settings,
    /// Documents that were read and are still current.
    pub cache: Cache,
    /// The free space on the disk of the engine.
    pub disk: Arc<Disk>,
    /// The conditions of clusters about their backups.
    pub backup_conditions: Arc<Mutex<BackupConditions>>,
    /// All clusters, for the loops.
    pub clusters: Informer<Cluster>,
    /// The lease of the reconciler while this server holds it. Other loops that must only run on one server
    /// use it too.
    pub lease: watch::Sender<Option<Lease>>,
    /// Signs page tokens. The keys that encrypt stored responses are derived from it.
    pub page_key: [u8; 32],
    /// Encrypts backups.
    pub recovery_key: RecoveryKey,
    /// The port on which the gateway listens; 0 before that.
    pub sql_port: AtomicU16,
    /// The engine of this server as the owner of the store; `None` if engines share their data.
    pub owner: Option<Owner>,
    /// Whether the API drains: streams end.
    pub draining: watch::Sender<bool>,
    /// Why this server must stop: another engine has adopted the store.
    pub disowned: watch::Sender<Option<String>>,
}

impl Context {
    /// A context with nothing cached, no lease and no gateway yet. `test_clock` is the same clock as `clock`.
    pub fn new(
        store: Arc<dyn Store>,
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        test_clock: Option<Arc<TestClock>>,
        settings: Settings,
        keys: Keys,
        owner: Option<Owner>,
    ) -> Self {
        let disk = Arc::new(Disk::new(&*engine, settings.engine.disk_reserve_mib));
        Self {
            disk,
            store,
            engine,
            clock,
            test_clock,
            clock_moved: watch::Sender::new(0),
            settings,
            cache: Cache::default(),
            backup_conditions: Arc::default(),
            clusters: Informer::default(),
            lease: watch::Sender::new(None),
            page_key: keys.page,
            recovery_key: keys.recovery,
            sql_port: AtomicU16::new(0),
            owner,
            draining: watch::Sender::new(false),
            disowned: watch::Sender::new(None),
        }
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The document with this ID, in any organization, from the cache if it is current.
    pub async fn find<T: Document + Sync + 'static>(&self, id: &str) -> Result<Option<Arc<Stored<T>>>> {
        self.cache.find(&*self.store, id).await
    }

    /// The active cluster with this ID, in any organization; `NotFound` if there is none.
    pub async fn active_cluster(&self, id: ClusterId) -> Result<Arc<Stored<Cluster>>> {
        let found = self.find::<Cluster>(&id.to_string()).await?;
        found.filter(|found| found.value.is_active()).ok_or_else(|| Error::not_found("cluster"))
    }

    /// The port of the SQL gateway in connection strings.
    pub fn sql_port(&self) -> u16 {
        let known = [self.settings.gateway.port, self.sql_port.load(Ordering::Relaxed)];
        known.into_iter().find(|port| *port != 0).unwrap_or_else(|| self.settings.sql_listen.port())
    }

    /// The available plans, regions, and versions.
    pub fn catalog(&self) -> &Catalog {
        &self.settings.catalog
    }

    /// The engine version that runs a version of the catalog, or the reason why none does.
    pub fn engine_major(&self, version: &Version) -> Result<String> {
        let installed = self.engine.capabilities().majors;
        let found = match version.postgres.as_str() {
            "newest" => installed.first(),
            major => installed.iter().find(|name| *name == major),
        };
        found.cloned().ok_or_else(|| {
            let needs = &version.postgres;
            Error::precondition(format!(
                "cockroach_version: {} needs PostgreSQL {needs} here, installed are: {}",
                version.version,
                if installed.is_empty() { "none".to_owned() } else { installed.join(", ") }
            ))
        })
    }

    /// Returns `Precondition` for a cluster whose data is missing: waiting does not help.
    pub async fn check_data(&self, cluster: ClusterId) -> Result<()> {
        let found = self.find::<Cluster>(&cluster.to_string()).await?;
        match found.is_some_and(|found| found.value.observed.is_data_missing()) {
            true => Err(Error::precondition(
                "the cluster's data is missing; the conditions of the cluster in the API contain its last location",
            )),
            false => Ok(()),
        }
    }

    /// Repeats `attempt` while it returns `Unavailable` because the cluster is starting, for at most `limit`.
    pub async fn when_ready<T, F, A>(&self, cluster: ClusterId, limit: Duration, attempt: A) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
        A: Fn() -> F + Send,
    {
        let deadline = tokio::time::Instant::now() + limit;
        let mut hints = self.engine.watch();
        loop {
            match attempt().await {
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    self.check_data(cluster).await?;
                    if tokio::time::Instant::now() >= deadline {
                        return Err(error);
                    }
                }
                result => return result,
            }
            // Hints can be lost, so the wait has a limit too.
            let hint = async { while hints.recv().await.is_ok_and(|id| id != cluster) {} };
            let _ = tokio::time::timeout(Duration::from_millis(100), hint).await;
        }
    }
}
