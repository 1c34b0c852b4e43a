//! What every handler and task shares.

use crate::{
    catalog::Notes,
    clock::TestClock,
    idempotency::Turns,
    jwt,
    last_use::LastUse,
    local_link::LocalLink,
    memory::Memory,
    meter::Looks,
    metrics::Answers,
    mirror::Mirror,
    ownership::Owner,
    people::passwords::Passwords,
    power::Uses,
    rate_limit::Limiter,
    rows::{Document, Stored},
    samples,
    settings::Settings,
    traffic::Traffic,
};
use ootheca_engine::Engine;
use ootheca_model::{
    Cluster, ClusterId, Error, ErrorKind, Result, Timestamp,
    catalogue::{Catalogue, Version},
    meter::Meter,
    time::Clock,
};
use ootheca_store::{Lease, Store};
use rand::{Rng, RngExt};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::watch;
use uuid::Uuid;

/// The parts of a running server.
pub struct App {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// The hands.
    pub engine: Arc<dyn Engine>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Settings.
    pub settings: Settings,
    /// What was read and is still true.
    pub memory: Memory,
    /// All clusters, for the loops.
    pub clusters: Mirror<Cluster>,
    /// Their meters.
    pub meters: Mirror<Meter>,
    /// What the gateways report.
    pub traffic: Traffic,
    /// Who uses which cluster's server, beside the sessions of the gateways.
    pub uses: Uses,
    /// How fresh the notes of each cluster are.
    pub notes: Notes,
    /// What the meter last saw.
    pub looks: Looks,
    /// What clusters did, for charts.
    pub samples: samples::Book,
    /// The clock that users may advance, where the server was started with one.
    pub test_clock: Option<Arc<TestClock>>,
    /// Grows whenever that clock was advanced: what waits for a time looks again.
    pub clock_moved: watch::Sender<u64>,
    /// The engine of this server as the store's owner; `None` if engines share their data.
    pub owner: Option<Owner>,
    /// Why this server must end: the store was adopted by another engine.
    pub disowned: watch::Sender<Option<String>>,
    /// The reconciler's lease while this server holds it; others that act alone go by it too.
    pub lease: watch::Sender<Option<Lease>>,
    /// Signs page tokens; from it are made the keys that seal stored answers.
    pub page_key: [u8; 32],
    /// Where the gateway listens, once it does; 0 until then.
    pub sql_port: AtomicU16,
    /// What the API answered.
    pub answers: Answers,
    /// Passwords of people.
    pub passwords: Passwords,
    /// The link that the start has printed.
    pub local_link: LocalLink,
    /// When keys and sessions were last used.
    pub last_use: LastUse,
    /// The keys of other issuers, fetched.
    pub issuer_keys: jwt::Keys,
    /// Who uses which idempotency key.
    pub idempotency: Turns,
    /// How often each caller called.
    pub limiter: Limiter,
}

impl App {
    /// This moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The thing with this id, whatever its organization; from memory where that is still true.
    pub async fn find<T: Document + Sync + 'static>(&self, id: &str) -> Result<Option<Arc<Stored<T>>>> {
        self.memory.find(&*self.store, id).await
    }

    /// The active cluster with this id, whatever its organization; `NotFound` if there is none.
    pub async fn active_cluster(&self, id: ClusterId) -> Result<Arc<Stored<Cluster>>> {
        let found = self.find::<Cluster>(&id.to_string()).await?;
        found.filter(|found| found.value.is_active()).ok_or_else(|| Error::not_found("cluster"))
    }

    /// What is kept of a cluster's use; `None` while it was never used.
    pub async fn meter(&self, cluster: ClusterId) -> Result<Option<Arc<Stored<Meter>>>> {
        self.memory.find_or_none(&*self.store, &cluster.to_string()).await
    }

    /// The port of the SQL gateway in connection strings.
    pub fn sql_port(&self) -> u16 {
        let known = [self.settings.gateway.port, self.sql_port.load(Ordering::Relaxed)];
        known.into_iter().find(|port| *port != 0).unwrap_or_else(|| self.settings.sql_listen.port())
    }

    /// What can be asked for.
    pub fn catalogue(&self) -> &Catalogue {
        &self.settings.catalogue
    }

    /// The engine major that runs a catalogue version here, or why none does.
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

    /// `Precondition` for a cluster whose data is missing, which no waiting makes ready.
    pub async fn check_data(&self, cluster: ClusterId) -> Result<()> {
        let found = self.find::<Cluster>(&cluster.to_string()).await?;
        match found.is_some_and(|found| found.value.observed.is_data_missing()) {
            true => Err(Error::precondition(
                "the cluster's data is missing; the conditions of the cluster in the Cloud API say where it was",
            )),
            false => Ok(()),
        }
    }

    /// Waits, at most `limit`, while `attempt` says `Unavailable` because the cluster is starting.
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
            // A hint may be lost, so look again now and then all the same.
            let hint = async { while hints.recv().await.is_ok_and(|id| id != cluster) {} };
            let _ = tokio::time::timeout(Duration::from_millis(100), hint).await;
        }
    }
}

/// The clock of the machine.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A fresh id.
pub fn fresh_id() -> Uuid {
    let mut bytes = [0; 16];
    rand::rng().fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// A number for a routing id. Together with a name that is unique it need not be unique itself.
pub fn fresh_tenant() -> u32 {
    rand::rng().random_range(1_000..100_000)
}
