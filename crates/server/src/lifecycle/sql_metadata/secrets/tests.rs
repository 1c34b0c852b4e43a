use super::*;
use crate::{
    clock::SystemClock,
    context::{Context, Keys},
    documents,
    ids::fresh_id,
    lifecycle::{
        activity_tracker::ActivityGuard,
        power,
        sql_metadata::{self, Seen, SqlMetadata, cached},
    },
    metering::Metering,
    settings::Settings,
};
use async_trait::async_trait;
use ootheca_engine::{
    Admin, Capabilities, Engine, InstanceReport, Received, Rejoin, Source,
    backup::{BaseInfo, BaseWriter, ObjectRestore, WalEnd},
    simulated::SimulatedEngine,
};
use ootheca_gateway::Activity;
use ootheca_model::{
    Cluster, OrganizationId, Plan, PrincipalId,
    backup::MaskingScript,
    cluster::{
        CloudProvider, ClusterState,
        create::{self, Birth, NewCluster, NewServerless},
    },
    instance::{InstancePlan, Observed, Phase, Removal},
    login::Login,
    node::{NodeId, Quorum},
    time::Clock,
    usage::{CpuCounter, Measure},
};
use ootheca_store::{Batch, Kind, Mutation, Row};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::broadcast;

/// A simulated engine that counts administrative sessions.
struct Counted(SimulatedEngine, AtomicUsize);

#[async_trait]
impl Engine for Counted {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    async fn open(&self) -> Result<()> {
        self.0.open().await
    }
    async fn create(&self, plan: &InstancePlan) -> Result<Observed> {
        self.0.create(plan).await
    }

    async fn ensure(&self, plan: &InstancePlan) -> Result<Observed> {
        self.0.ensure(plan).await
    }
    async fn observe(&self, cluster: ClusterId) -> Result<Observed> {
        self.0.observe(cluster).await
    }
    async fn remove(&self, cluster: ClusterId) -> Result<Removal> {
        self.0.remove(cluster).await
    }
    async fn stage(
        &self,
        cluster: ClusterId,
        epoch: u64,
        source: &Source,
        masking: Option<&MaskingScript>,
    ) -> Result<()> {
        self.0.stage(cluster, epoch, source, masking).await
    }
    async fn discard(&self, cluster: ClusterId, keep_epoch: u64) -> Result<()> {
        self.0.discard(cluster, keep_epoch).await
    }
    async fn stage_node(&self, plan: &InstancePlan, node: NodeId, source: &Source) -> Result<()> {
        self.0.stage_node(plan, node, source).await
    }
    async fn remove_node(&self, plan: &InstancePlan, node: NodeId) -> Result<Removal> {
        self.0.remove_node(plan, node).await
    }
    async fn fence(&self, cluster: ClusterId, epoch: u64, node: NodeId) -> Result<()> {
        self.0.fence(cluster, epoch, node).await
    }
    async fn received(&self, cluster: ClusterId, epoch: u64) -> Result<Vec<Received>> {
        self.0.received(cluster, epoch).await
    }
    async fn start_primary(&self, plan: &InstancePlan) -> Result<Observed> {
        self.0.start_primary(plan).await
    }
    async fn promote(&self, plan: &InstancePlan, before: &[Quorum]) -> Result<()> {
        self.0.promote(plan, before).await
    }
    async fn rejoin(&self, plan: &InstancePlan, node: NodeId) -> Result<Rejoin> {
        self.0.rejoin(plan, node).await
    }
    async fn apply_quorum(&self, plan: &InstancePlan) -> Result<bool> {
        self.0.apply_quorum(plan).await
    }
    async fn restart_node(&self, plan: &InstancePlan, node: NodeId) -> Result<()> {
        self.0.restart_node(plan, node).await
    }
    async fn read_endpoint(&self, cluster: ClusterId) -> Result<PathBuf> {
        self.0.read_endpoint(cluster).await
    }
    async fn restore_objects(
        &self,
        cluster: ClusterId,
        epoch: u64,
        restore: &ObjectRestore,
        report: &(dyn Fn(f32) + Send + Sync),
    ) -> Result<()> {
        self.0.restore_objects(cluster, epoch, restore, report).await
    }
    async fn forget_restore(&self, cluster: ClusterId, id: &str) -> Result<()> {
        self.0.forget_restore(cluster, id).await
    }
    async fn copy_base(&self, cluster: ClusterId, epoch: u64, to: BaseWriter<'_>) -> Result<BaseInfo> {
        self.0.copy_base(cluster, epoch, to).await
    }
    async fn end_segment(&self, cluster: ClusterId, epoch: u64) -> Result<WalEnd> {
        self.0.end_segment(cluster, epoch).await
    }
    async fn segments(&self, cluster: ClusterId, epoch: u64) -> Result<Vec<String>> {
        self.0.segments(cluster, epoch).await
    }
    async fn read_segment(&self, cluster: ClusterId, epoch: u64, name: &str) -> Result<Vec<u8>> {
        self.0.read_segment(cluster, epoch, name).await
    }
    async fn remove_segments(&self, cluster: ClusterId, epoch: u64, last: &str) -> Result<()> {
        self.0.remove_segments(cluster, epoch, last).await
    }
    async fn list(&self) -> Result<Vec<ClusterId>> {
        self.0.list().await
    }
    fn watch(&self) -> broadcast::Receiver<ClusterId> {
        self.0.watch()
    }
    async fn admin(&self, cluster: ClusterId) -> Result<Box<dyn Admin>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.admin(cluster).await
    }
    async fn endpoint(&self, cluster: ClusterId) -> Result<PathBuf> {
        self.0.endpoint(cluster).await
    }
    async fn cpu(&self, cluster: ClusterId) -> Result<CpuCounter> {
        self.0.cpu(cluster).await
    }
    async fn measure(&self, cluster: ClusterId) -> Result<Measure> {
        self.0.measure(cluster).await
    }
    async fn report(&self) -> Result<Vec<InstanceReport>> {
        self.0.report().await
    }
    async fn close(&self, detach: bool) {
        self.0.close(detach).await;
    }
}

const PASSWORD: &str = "correct horse battery";

/// A server without listeners, and one running cluster.
struct Bench {
    lifecycle: Arc<Lifecycle>,
    engine: Arc<Counted>,
    cluster: Cluster,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let overrides = serde_json::json!({ "data_dir": folder.path() });
        let settings = Settings::load(None, &overrides).expect("settings");
        let store = ootheca_store::open(&settings.store_url()).await.expect("a store");
        let engine = Arc::new(Counted(SimulatedEngine::new(folder.path().join("s")), AtomicUsize::new(0)));
        engine.open().await.expect("open");
        let cluster = cluster(&settings);
        let clock = Arc::new(SystemClock);
        let keys = Keys::for_test();
        let context = Arc::new(Context::new(store, engine.clone(), clock, None, settings, keys, None));
        let metering = Arc::new(Metering::new(context.clone()));
        let lifecycle = Arc::new(Lifecycle::new(context, metering));
        let batch = Batch::server("test").with(documents::insert(&cluster).expect("a row"));
        lifecycle.context.store.commit(batch, lifecycle.context.now()).await.expect("written");
        let bench = Self { lifecycle, engine, cluster, _folder: folder };
        bench.ensure(Power::On, Phase::Ready).await;
        bench
    }

    async fn ensure(&self, power: Power, phase: Phase) {
        let plan = InstancePlan { power, ..self.cluster.plan_instance() };
        let mut hints = self.engine.watch();
        while self.engine.create(&plan).await.expect("ensured").phase != phase {
            let _ = timeout(Duration::from_millis(20), hints.recv()).await;
        }
    }

    /// A session as used by the suspension, or by SQL clients: it does not update the cached metadata.
    async fn admin(&self) -> Box<dyn Admin> {
        self.engine.0.admin(self.cluster.id).await.expect("a session")
    }

    async fn secret(&self, user: &str) -> Option<Secret> {
        secret(&self.lifecycle, self.cluster.id, user).await.expect("an answer")
    }

    fn looks(&self) -> usize {
        self.engine.1.load(Ordering::SeqCst)
    }

    async fn power(&self, power: Power) {
        let id = self.cluster.id.to_string();
        let before = documents::find::<Cluster>(&*self.lifecycle.context.store, &id)
            .await
            .expect("read")
            .expect("there");
        let after = Cluster { power, ..before.value.clone() };
        let batch = Batch::server("test").with(documents::update(&before.row, &after).expect("a row"));
        self.lifecycle.context.store.commit(batch, self.lifecycle.context.now()).await.expect("written");
    }

    fn report(&self, sessions: u32) {
        let cluster = self.cluster.id;
        let activity = Activity { cluster, sessions, sessions_seen: 1, sent: 0, received: 0 };
        self.lifecycle.metering.activity.note(0, &[activity], self.lifecycle.context.now());
    }
}

fn cluster(settings: &Settings) -> Cluster {
    let birth = Birth {
        id: ClusterId(fresh_id()),
        tenant: 1,
        organization: OrganizationId(fresh_id()),
        creator: PrincipalId(fresh_id()),
        now: SystemClock.now(),
    };
    let serverless = NewServerless { regions: vec!["us-central1".to_owned()], ..NewServerless::default() };
    let request = NewCluster {
        name: "some-cluster".to_owned(),
        provider: Some(CloudProvider::Gcp),
        plan: Some(Plan::Basic),
        serverless: Some(serverless),
        ..NewCluster::default()
    };
    let (cluster, _) =
        create::create(request, birth, &settings.catalog, |_| Ok("simulated".to_owned())).expect("a cluster");
    Cluster { state: ClusterState::Created, ..cluster }
}

#[tokio::test]
async fn every_login_uses_the_current_secret() {
    let bench = Bench::new().await;
    assert_eq!(bench.secret("keeper").await, None);
    bench.admin().await.create_user("keeper", PASSWORD).await.expect("made");
    let first = bench.secret("keeper").await.expect("a user that was created in SQL");
    for _ in 0..20 {
        let before = bench.secret("keeper").await;
        bench.admin().await.set_password("keeper", PASSWORD).await.expect("changed");
        let after = bench.secret("keeper").await;
        assert!(after.is_some() && after != before, "the salt is different");
    }
    assert_ne!(bench.secret("keeper").await, Some(first));
    bench.admin().await.delete_user("keeper").await.expect("dropped");
    assert_eq!(bench.secret("keeper").await, None);
}

#[tokio::test]
async fn cached_metadata_is_updated_after_a_change_only() {
    let bench = Bench::new().await;
    bench.admin().await.create_user("keeper", PASSWORD).await.expect("made");
    let first = bench.secret("keeper").await;
    let known = async || from_cache(&bench.lifecycle, bench.cluster.id, "keeper").await.expect("read");
    assert_eq!(known().await, Some(first));
    let looks = bench.looks();
    bench.secret("keeper").await;
    bench.secret("nonexistent").await;
    assert_eq!(bench.looks(), looks + 2, "one read for each login, and none for the cache");
    bench.admin().await.set_password("keeper", "another horse battery").await.expect("changed");
    let second = bench.secret("keeper").await;
    assert_eq!(known().await, Some(second));
}

#[tokio::test]
async fn a_suspended_cluster_uses_cached_metadata() {
    let bench = Bench::new().await;
    bench.admin().await.create_user("keeper", PASSWORD).await.expect("made");
    let known = bench.secret("keeper").await.expect("noted");
    bench.power(Power::Off).await;
    bench.ensure(Power::Off, Phase::Suspended).await;
    let looks = bench.looks();
    bench.report(0);
    assert_eq!(bench.secret("keeper").await, Some(known.clone()));
    assert_eq!(bench.secret("nobody").await, None);
    assert_eq!(bench.looks(), looks, "the users were not read again");
    assert_eq!(bench.engine.observe(bench.cluster.id).await.expect("seen").phase, Phase::Suspended);
    bench.power(Power::On).await;
    assert_eq!(bench.secret("keeper").await, Some(known), "not to be reached yet");
    bench.power(Power::Off).await;
    bench.ensure(Power::On, Phase::Ready).await;
    let (_held, _admin) = power::ready(&bench.lifecycle, bench.cluster.id, || {
        bench.lifecycle.context.engine.admin(bench.cluster.id)
    })
    .await
    .expect("woken");
    let row = bench
        .lifecycle
        .context
        .find::<Cluster>(&bench.cluster.id.to_string())
        .await
        .expect("read")
        .expect("there");
    assert_eq!(row.value.power, Power::On);
    let suspension = bench.lifecycle.tracker.suspension(bench.cluster.id);
    assert!(suspension.begin().await.is_none(), "it is in use");
}

#[tokio::test]
async fn metadata_of_an_earlier_version_is_used_for_logins() {
    let bench = Bench::new().await;
    let context = &bench.lifecycle.context;
    let (id, organization, now) = (bench.cluster.id, bench.cluster.organization, context.now());
    let secret = |name: &str| Secret::Scram(format!("SCRAM-SHA-256$9000:{name}$stored:server"));
    let login = |name: &str| Login { name: name.to_owned(), secret: secret(name) };
    let document = serde_json::json!({
        "organization": organization,
        "cluster": id,
        "logins": [login("a"), login("b")],
        "databases": [],
        "taken_at": now,
    });
    let row = documents::row(Kind::SqlCatalog, id.to_string(), organization, String::new(), now);
    let row = Row { parent: id.to_string(), document: document.to_string(), ..row };
    context.store.commit(Batch::server("test").with(Mutation::Insert(row)), now).await.expect("written");
    bench.power(Power::Off).await;
    let check = async |logins: [Option<Secret>; 3]| {
        for (name, expected) in ["a", "b", "c"].into_iter().zip(logins) {
            assert_eq!(bench.secret(name).await, expected, "{name}");
        }
        assert_eq!(iterations(&bench.lifecycle, id).await.expect("read"), Some(9000));
    };
    check([Some(secret("a")), Some(secret("b")), None]).await;
    let seen = Seen::Logins(vec![login("b"), login("c")]);
    sql_metadata::write(&bench.lifecycle, id, &seen).await.expect("written");
    check([None, Some(secret("b")), Some(secret("c"))]).await;
}

#[tokio::test]
async fn metadata_in_memory_follows_the_writes_of_every_server() {
    let bench = Bench::new().await;
    let (context, id) = (&bench.lifecycle.context, bench.cluster.id);
    let login = |name: &str| Login { name: name.to_owned(), secret: Secret::Absent };
    let known = async || cached(&bench.lifecycle, id).await.expect("read").expect("metadata");
    let write = async |names: &[&str]| {
        let seen = Seen::Logins(names.iter().map(|name| login(name)).collect());
        sql_metadata::write(&bench.lifecycle, id, &seen).await.expect("written");
    };
    for names in [&["a"][..], &["a", "b"], &["b"]] {
        write(names).await;
        let current = known().await;
        assert_eq!(current.value.logins, names.iter().map(|name| login(name)).collect::<Vec<_>>());
        assert!(Arc::ptr_eq(&current, &known().await), "read once");
    }
    let other = SqlMetadata { logins: vec![login("c")], ..known().await.value.clone() };
    let mutations = rows::changes(Some(&*known().await), &other, context.now()).expect("changes");
    let batch = Batch { mutations, ..Batch::server("another server") };
    context.store.commit(batch, context.now()).await.expect("written");
    assert_eq!(known().await.value, other);
    write(&["c", "d"]).await;
    assert_eq!(known().await.value.logins, [login("c"), login("d")]);
}

impl Bench {
    async fn row(&self) -> documents::Stored<Cluster> {
        let id = self.cluster.id.to_string();
        documents::find::<Cluster>(&*self.lifecycle.context.store, &id).await.expect("read").expect("there")
    }

    async fn wake(&self) -> ActivityGuard {
        let id = self.cluster.id;
        power::ready(&self.lifecycle, id, || self.lifecycle.context.engine.admin(id)).await.expect("woken").0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_concurrent_readers_write_once() {
    let bench = Arc::new(Bench::new().await);
    bench.power(Power::Off).await;
    let before = bench.row().await.row.revision;
    let callers: Vec<_> = (0..200)
        .map(|_| {
            let bench = bench.clone();
            tokio::spawn(async move { drop(bench.wake().await) })
        })
        .collect();
    for caller in callers {
        caller.await.expect("no panic");
    }
    let after = bench.row().await;
    assert_eq!((after.value.power, after.row.revision), (Power::On, before + 1));
}

#[tokio::test]
async fn a_caller_after_the_decision_waits_and_resumes_the_cluster() {
    let bench = Arc::new(Bench::new().await);
    let suspension = bench.lifecycle.tracker.suspension(bench.cluster.id);
    let decided = suspension.begin().await.expect("the cluster is not in use");
    let late = bench.clone();
    let late = tokio::spawn(async move { late.wake().await });
    while bench.lifecycle.tracker.last(bench.cluster.id).is_none() {
        tokio::task::yield_now().await;
    }
    bench.power(Power::Off).await;
    assert!(!late.is_finished(), "it waits");
    drop(decided);
    let held = late.await.expect("no panic");
    assert_eq!(bench.row().await.value.power, Power::On);
    assert!(suspension.begin().await.is_none(), "held");
    drop(held);
    assert!(suspension.begin().await.is_none(), "used a moment ago");
}
