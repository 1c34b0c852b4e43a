//! A server without listeners, whose loops are disturbed, and its callers, which are not.

use super::{
    engine::{DisturbedEngine, Planted},
    history::Operation,
    loops::{Loops, SCANNED},
    past::Past,
    schedule::Schedule,
    store::DisturbedStore,
};
use crate::{
    api::{
        client::Client,
        pipeline::{self, Request},
    },
    app::App,
    context::{Context, Keys},
    data_dir::DataDir,
    documents,
    identity::bootstrap,
    lifecycle::{activity_tracker::ActivityGuard, power},
    settings::Settings,
};
use axum::http::{HeaderMap, Method, header::AUTHORIZATION};
use bytes::Bytes;
use ootheca_api::router::resolve;
use ootheca_engine::{Engine, simulated::SimulatedEngine};
use ootheca_gateway::Activity;
use ootheca_model::{
    Cluster, ClusterId, Timestamp,
    instance::Phase,
    meter::MIB,
    time::Clock,
    units::REPLICAS,
    usage::{Measure, SqlCounters},
};
use ootheca_store::{Kind, Query, Store};
use serde_json::{Value, json};
use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};

/// Near the end of a month, so that some histories cross it.
const START: &str = "2100-11-27T12:00:00Z";
/// How long an instance takes to become ready.
const START_DELAY: Duration = Duration::from_millis(300);
/// The maximum number of turns until a client has a session, or a cluster is created.
pub(super) const CLIENT_TURNS: usize = 5_000;

/// Virtual time plus what the test has added.
pub(super) struct VirtualClock {
    start: Instant,
    base: Timestamp,
    ahead_seconds: AtomicI64,
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead_seconds.load(Ordering::SeqCst) * 1_000_000;
        Timestamp(self.base.after(self.start.elapsed()).0 + ahead)
    }
}

/// A cluster, and what its clients have done with it.
pub(super) struct Subject {
    pub(super) id: ClusterId,
    pub(super) name: String,
    /// The data epoch.
    pub(super) epoch: u64,
    pub(super) deleted: bool,
    /// Whether it is deleted because it expires.
    pub(super) expires: bool,
    /// The rows that were written, and the bytes that were sent.
    pub(super) used: (u64, u64),
    pub(super) stored_mib: u64,
    /// The part of the usage that a restart or the deletion may have lost.
    pub(super) lost: (u64, u64),
    /// The limits that were set, in order.
    pub(super) limits: Vec<(u64, u64)>,
}

/// A server without listeners, and its callers.
pub(super) struct World {
    pub(super) schedule: Arc<Schedule>,
    pub(super) truth: Arc<dyn Store>,
    pub(super) engine: Arc<DisturbedEngine>,
    pub(super) subjects: Vec<Subject>,
    pub(super) loops: Loops,
    pub(super) settings: Settings,
    store: Arc<DisturbedStore>,
    /// The store of the callers.
    plain: Arc<DisturbedStore>,
    clock: Arc<VirtualClock>,
    api: App,
    key: String,
    restarts: u64,
    lost: Option<ClusterId>,
    _data: DataDir,
    _folder: TempDir,
}

impl World {
    pub(super) async fn new(seed: u64, disturbed: bool, planted: Option<Planted>) -> Self {
        let folder = folder();
        let overrides = json!({
            "data_dir": folder.path(),
            "engine_kind": "simulated",
            "create_wait_seconds": 0,
        });
        let settings = Settings::load(None, &overrides).expect("settings");
        let truth = ootheca_store::open(&settings.store_url()).await.expect("a store");
        let schedule = Arc::new(Schedule::new(seed, disturbed));
        let base = START.parse().expect("a time");
        let clock = Arc::new(VirtualClock { start: Instant::now(), base, ahead_seconds: AtomicI64::new(0) });
        let data = DataDir::open(folder.path(), Duration::ZERO).await.expect("a data directory");
        let (past, stamps) = (Arc::new(Past::default()), seed.is_multiple_of(2));
        let plain = DisturbedStore::new(truth.clone(), past.clone(), schedule.clone(), stamps);
        bootstrap::prepare(&plain, &settings, &data, clock.now()).await.expect("an organization");
        let key = data.read_private("admin-api-key").expect("read").expect("a key").trim().to_owned();
        let simulated = SimulatedEngine::shared(settings.simulated_folder()).with_start_delay(START_DELAY);
        let simulated = Arc::new(simulated);
        simulated.open().await.expect("open");
        let quiet = Arc::new(Schedule::new(0, false));
        let calm = DisturbedEngine::new(simulated.clone(), truth.clone(), quiet, None);
        let plain = Arc::new(plain);
        let api = context(plain.clone(), Arc::new(calm), &clock, &settings);
        let engine = DisturbedEngine::new(simulated, truth.clone(), schedule.clone(), planted);
        let engine = Arc::new(engine);
        let mut store = DisturbedStore::new(truth.clone(), past, schedule.clone(), stamps);
        store.disturbed = Some(schedule.clone());
        store.blind = planted == Some(Planted::IgnoresRevisions);
        let store = Arc::new(store);
        let of_loops = context(store.clone(), engine.clone(), &clock, &settings);
        let loops = Loops::start(of_loops, truth.clone(), schedule.clone());
        Self {
            schedule,
            truth,
            engine,
            subjects: Vec::new(),
            loops,
            settings,
            store,
            plain,
            clock,
            api: App::new(api),
            key,
            restarts: 0,
            lost: None,
            _data: data,
            _folder: folder,
        }
    }

    /// Does what the operation says. Then the loops act for a while, or until they come to rest.
    pub(super) async fn run(&mut self, operation: &Operation) {
        self.schedule.note(format!("> {operation:?}"));
        self.perform(operation).await;
        if !self.schedule.is_on() {
            return self.settle(Duration::ZERO).await;
        }
        for _ in 0..self.schedule.below(80) {
            self.act().await;
        }
    }

    pub(super) async fn perform(&mut self, operation: &Operation) {
        let limits = |limits: Value| json!({ "serverless": { "usage_limits": limits } });
        match operation {
            Operation::Create { name, standard } => self.create(name, *standard).await,
            Operation::Limit { cluster, request_units, storage_mib } => {
                let (request_units, storage_mib) = (*request_units, *storage_mib);
                self.subjects[*cluster].limits.push((request_units, storage_mib));
                let body = limits(json!({
                    "request_unit_limit": request_units.to_string(),
                    "storage_mib_limit": storage_mib.to_string(),
                }));
                self.patch(*cluster, body).await;
            }
            Operation::Cpus { cluster, cpus } => {
                self.patch(*cluster, limits(json!({ "provisioned_virtual_cpus": cpus.to_string() }))).await;
            }
            Operation::Standard { cluster } => {
                let mut body = limits(json!({ "provisioned_virtual_cpus": "2" }));
                body["plan"] = json!("STANDARD");
                self.patch(*cluster, body).await;
            }
            Operation::Allow { cluster, octet } => {
                let path = format!("{}/networking/allowlist", self.path(*cluster));
                let ip = format!("10.{octet}.0.0");
                let body = json!({ "cidr_ip": ip, "cidr_mask": 16, "sql": true, "ui": false });
                self.call(Method::POST, &path, Some(body)).await;
            }
            Operation::Use { cluster, rows, sent_kib, grown_mib } => {
                self.session(*cluster, *rows, *sent_kib, *grown_mib).await;
            }
            Operation::Advance { seconds } => self.advance(*seconds),
            Operation::Lose { cluster } => {
                // Steps that run now could still have seen the data.
                self.loops.drain().await;
                self.lost = Some(self.subjects[*cluster].id);
                let (place, away) = self.data(*cluster);
                drop(std::fs::rename(place, away));
            }
            Operation::Restore { cluster } => {
                self.loops.drain().await;
                self.lost = None;
                let (place, away) = self.data(*cluster);
                drop(std::fs::rename(away, place));
            }
            Operation::Delete { cluster } => {
                self.call(Method::DELETE, &self.path(*cluster), None).await;
                self.subjects[*cluster].deleted = true;
                self.subjects[*cluster].lost = self.unrecorded(*cluster).await;
            }
            Operation::Clone { cluster, name } => self.clone_cluster(*cluster, name).await,
            Operation::Expire { name } => self.expire(name).await,
        }
    }

    fn path(&self, cluster: usize) -> String {
        format!("/api/v1/clusters/{}", self.subjects[cluster].id)
    }

    /// Where the data of a cluster is, and where it is while it is lost.
    fn data(&self, cluster: usize) -> (PathBuf, PathBuf) {
        let Subject { id, epoch, .. } = &self.subjects[cluster];
        let name = |suffix: &str| match epoch {
            0 => format!("{id}.{suffix}"),
            epoch => format!("{id}.{epoch}.{suffix}"),
        };
        let folder = self.settings.simulated_folder();
        (folder.join(name("json")), folder.join(name("lost")))
    }

    pub(super) async fn patch(&mut self, cluster: usize, body: Value) {
        self.call(Method::PATCH, &self.path(cluster), Some(body)).await;
    }

    /// Calls the API. Every call of a history succeeds.
    pub(super) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Bearer {}", self.key).parse().expect("a header"));
        let client = Client::of(IpAddr::from([127, 0, 0, 1]), false, method.clone(), headers);
        let found = resolve(method.as_str(), path);
        let uri = path.parse().expect("a path");
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let request = Request { method: method.clone(), uri, client: Arc::new(client), body };
        let response = pipeline::answer(&self.api.api, request, found).await;
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        if response.status != 200 {
            self.schedule.violated(format!("{method} {path}: status {}: {body}", response.status));
        }
        body
    }

    /// Advances the clock, but not the timers of the loops.
    pub(super) fn advance(&self, seconds: u64) {
        let seconds = i64::try_from(seconds).unwrap_or(0);
        self.clock.ahead_seconds.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Lets the loops of the server go on, or restarts the server.
    pub(super) async fn act(&mut self) {
        match self.schedule.below(200) {
            0 | 1 if self.schedule.is_on() => return self.restart().await,
            2 if self.schedule.is_on() => return self.take_lease().await,
            _ => {}
        }
        let known: Vec<ClusterId> = self.subjects.iter().map(|subject| subject.id).collect();
        self.loops.act(&known).await;
    }

    /// Ends the loops where they are, and starts them again without what they had in memory.
    pub(super) async fn restart(&mut self) {
        self.schedule.note("restart".to_owned());
        self.restarts += 1;
        let of_loops = context(self.store.clone(), self.engine.clone(), &self.clock, &self.settings);
        let loops = Loops::start(of_loops, self.truth.clone(), self.schedule.clone());
        std::mem::replace(&mut self.loops, loops).crash().await;
        for cluster in 0..self.subjects.len() {
            if !self.subjects[cluster].deleted {
                self.subjects[cluster].lost = self.unrecorded(cluster).await;
            }
        }
    }

    /// Pauses the server until another one acquires its lease, then ends it.
    async fn take_lease(&mut self) {
        self.schedule.note("the lease is taken".to_owned());
        self.advance(60);
        let (ttl, now) = (Duration::from_secs(15), self.clock.now());
        let lease = self.plain.lease("reconcile", "another server", None, ttl, now).await.expect("leased");
        self.plain.release(&lease.expect("an expired lease")).await.expect("released");
    }

    /// A SQL session: it waits until the cluster is ready, writes, is open for a while, and ends.
    pub(super) async fn session(&mut self, cluster: usize, rows: u64, sent_kib: u64, grown_mib: u64) {
        let id = self.subjects[cluster].id;
        let Some(guard) = self.connect(id).await else {
            return self
                .schedule
                .violated(format!("no session within {CLIENT_TURNS} turns: cluster {cluster}"));
        };
        let subject = &mut self.subjects[cluster];
        let sent = sent_kib << 10;
        subject.used = (subject.used.0 + rows, subject.used.1 + sent);
        subject.stored_mib += grown_mib;
        self.engine.inner.pretend(id, counters(subject.used.0, subject.stored_mib));
        let activity = Activity { cluster: id, sessions: 1, sessions_seen: 1, sent, received: 0 };
        self.loops.metering().activity.note(0, &[activity], self.clock.now());
        let restarts = self.restarts;
        for _ in 0..self.schedule.below(8) {
            let phase = self.engine.inner.observe(id).await.expect("observed").phase;
            if phase != Phase::Ready {
                self.schedule.violated(format!("cluster {cluster} is {phase:?} although it is in use"));
            }
            self.act().await;
            if self.restarts != restarts {
                return;
            }
        }
        self.loops.metering().activity.note(0, &[], self.clock.now());
        drop(guard);
    }

    /// Resumes a cluster as the gateway does, and repeats it as a client does.
    async fn connect(&mut self, id: ClusterId) -> Option<ActivityGuard> {
        let mut turns = 0;
        while turns < CLIENT_TURNS {
            let (lifecycle, restarts) = (self.loops.lifecycle.clone(), self.restarts);
            let task = tokio::spawn(async move {
                let session = power::ready(&lifecycle, id, || lifecycle.context.engine.admin(id)).await;
                session.map(|(guard, _)| guard)
            });
            while !task.is_finished() && self.restarts == restarts && turns < CLIENT_TURNS {
                turns += 1;
                self.act().await;
            }
            if self.restarts != restarts || !task.is_finished() {
                task.abort();
            }
            if let Ok(Ok(guard)) = task.await
                && self.restarts == restarts
            {
                return Some(guard);
            }
            turns += 1;
            self.act().await;
        }
        None
    }

    /// Runs the loops until they come to rest.
    pub(super) async fn settle(&mut self, least: Duration) {
        if !self.loops.settle(least, self.lost.is_some()).await {
            self.schedule.violated("the loops do not come to rest".to_owned());
        }
    }

    /// Ends all disturbances, uses every cluster once more, and lets the idle ones be suspended.
    pub(super) async fn finish(&mut self) {
        self.schedule.switch(false);
        self.settle(SCANNED).await;
        for cluster in 0..self.subjects.len() {
            if !self.subjects[cluster].deleted {
                self.session(cluster, 0, 0, 0).await;
            }
        }
        self.settle(SCANNED).await;
        self.advance(self.settings.scale_to_zero.idle_seconds + 10);
        self.settle(SCANNED).await;
    }

    /// The rows and bytes that are recorded.
    pub(super) async fn recorded(&self, cluster: usize) -> (u64, u64) {
        let parent = Some(self.subjects[cluster].id.to_string());
        let months = self.truth.list(&Query { parent, ..Query::all(Kind::UsageMonth) }).await.expect("read");
        let used = months.iter().map(|row| documents::read_period(row).expect("usage").used);
        used.fold((0, 0), |(rows, sent), used| {
            (rows + used.write_requests / REPLICAS, sent + used.egress_bytes)
        })
    }

    /// The cluster as it is in the store.
    pub(super) async fn stored(&self, cluster: usize) -> Cluster {
        let id = self.subjects[cluster].id.to_string();
        let found = documents::find::<Cluster>(&*self.truth, &id).await.expect("read");
        found.expect("a row").value
    }

    async fn unrecorded(&self, cluster: usize) -> (u64, u64) {
        let (used, recorded) = (self.subjects[cluster].used, self.recorded(cluster).await);
        (used.0.saturating_sub(recorded.0), used.1.saturating_sub(recorded.1))
    }
}

/// A runtime with one thread, whose time only advances when the test says so or every task waits.
pub(super) fn virtual_time() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime")
}

fn context(
    store: Arc<DisturbedStore>,
    engine: Arc<DisturbedEngine>,
    clock: &Arc<VirtualClock>,
    settings: &Settings,
) -> Context {
    Context::new(store, engine, clock.clone(), None, settings.clone(), Keys::for_test(), None)
}

/// In memory if possible, because most of a run would be waiting for the disk.
fn folder() -> TempDir {
    let memory = tempfile::Builder::new().prefix("ootheca-").tempdir_in("/dev/shm");
    memory.or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// Counters after `rows` rows, each of which costs six request units.
fn counters(rows: u64, mib: u64) -> Measure {
    let sql = SqlCounters {
        epoch: "1".to_owned(),
        transactions: rows,
        tuples_written: rows,
        wal_records: 3 * rows,
        ..SqlCounters::default()
    };
    Measure { sql, storage_bytes: mib * MIB, ..Measure::default() }
}
