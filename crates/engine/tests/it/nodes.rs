//! Clusters with several nodes, in real servers.

use crate::{
    fixture::kind,
    support::{
        Folder, LIMIT, PASSWORD, control, gone, machine_secret, new_cluster, plan, postgres, processes_below,
        ready, signal, sql, until, user,
    },
};
use ootheca_engine::{
    Engine, Progress, Rejoin, Source,
    postgres::{PostgresEngine, cluster_secret},
};
use ootheca_model::{
    ErrorKind,
    instance::{InstancePlan, NodePlan, Power, Removal},
    node::{NodeId, Quorum},
};
use rustix::process::Signal;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

/// A cluster with the nodes n1 to n3, of which n1 is the primary. One standby must confirm each commit.
struct Nodes {
    engine: PostgresEngine,
    folder: Folder,
    plan: InstancePlan,
}

impl Nodes {
    async fn new() -> Self {
        let folder = Folder::new();
        let engine = postgres(&folder, 0).await;
        let node = |id| NodePlan { id, cpu_millis: None, memory_mib: None, power: Power::On };
        let nodes = [N1, N2, N3].map(node).to_vec();
        let plan = InstancePlan { nodes, ..plan(&engine, new_cluster()) };
        ready(&engine, &plan).await;
        let quorum = Some(quorum([N2, N3]));
        let plan = InstancePlan { generation: plan.generation + 1, quorum, ..plan };
        let nodes = Self { engine, folder, plan };
        nodes.complete().await;
        user(&nodes.engine, nodes.plan.cluster, "max").await;
        nodes.max().await.batch_execute("CREATE TABLE t (n int PRIMARY KEY)").await.unwrap();
        for standby in [N2, N3] {
            let session = nodes.session(standby).await;
            until("the table is there", || async { session.query("SELECT n FROM t", &[]).await.ok() }).await;
        }
        nodes
    }

    /// Waits until all standbys stream and the quorum is in force.
    async fn complete(&self) {
        for node in self.standbys() {
            self.join(node).await;
        }
        self.apply_quorum().await;
        until("all nodes are live", || async {
            let observed = self.engine.observe(self.plan.cluster).await.unwrap();
            (observed.nodes.len() == 3 && observed.nodes.iter().all(|node| node.live)).then_some(())
        })
        .await;
    }

    async fn apply_quorum(&self) {
        until("the quorum is in force", || async {
            self.engine.apply_quorum(&self.plan).await.is_ok_and(|in_force| in_force).then_some(())
        })
        .await;
    }

    fn standbys(&self) -> Vec<NodeId> {
        self.plan.nodes.iter().map(|node| node.id).filter(|node| *node != self.plan.primary).collect()
    }

    /// Calls `rejoin` until the node streams. Returns whether its data had to be built anew.
    async fn join(&self, node: NodeId) -> bool {
        let is_new = AtomicBool::new(false);
        until("the node streams", || async {
            match self.engine.rejoin(&self.plan, node).await {
                Ok(Rejoin::Streaming) => return Some(()),
                Ok(Rejoin::Started) => {}
                Ok(Rejoin::NeedsReseed) => {
                    assert!(!is_new.swap(true, SeqCst), "built anew in vain");
                    self.engine.remove_node(&self.plan, node).await.unwrap();
                    let source = Source::Primary(Progress(Arc::new(|_| {})));
                    self.engine.stage_node(&self.plan, node, &source).await.unwrap();
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            }
            None
        })
        .await;
        is_new.into_inner()
    }

    /// Names the node the primary in the next term.
    fn name(&mut self, primary: NodeId) {
        self.plan.primary = primary;
        self.plan.term += 1;
        self.plan.quorum = Some(quorum(self.standbys()));
    }

    async fn fence(&self, node: NodeId) {
        self.engine.fence(self.plan.cluster, 0, node).await.unwrap();
    }

    /// Starts the standbys that are down, and waits until `count` of them respond.
    async fn start_standbys(&self, count: usize) {
        until("the standbys respond", || async {
            self.engine.ensure(&self.plan).await.ok()?;
            let received = self.engine.received(self.plan.cluster, 0).await.unwrap();
            (received.len() == count).then_some(())
        })
        .await;
    }

    fn instance(&self, node: NodeId) -> PathBuf {
        let instances = fs::read_dir(self.folder.engine().join("instances")).unwrap();
        let name = format!("0 {node}");
        let mut found = instances
            .map(|instance| instance.unwrap().path())
            .filter(|instance| fs::read_to_string(instance.join("epoch")).is_ok_and(|epoch| epoch == name));
        let instance = found.next().unwrap();
        assert_eq!(found.next(), None, "{node} has one instance");
        instance
    }

    fn wal(&self, node: NodeId) -> PathBuf {
        self.instance(node).join("data/pg_wal")
    }

    /// A session of a tenant in the primary.
    async fn max(&self) -> Client {
        sql(&self.engine, self.plan.cluster, "max", "defaultdb").await.unwrap()
    }

    /// A session of the control user in a node.
    async fn session(&self, node: NodeId) -> Client {
        let sockets = self.folder.engine().join("run").join(self.instance(node).file_name().unwrap());
        let secret = cluster_secret(&machine_secret(&self.folder), self.plan.cluster);
        connect(&sockets, "ootheca", &secret).await
    }

    /// Inserts a row that no standby confirms.
    async fn insert_alone(&self, n: i32) {
        let statement = format!("SET synchronous_commit = local; INSERT INTO t VALUES ({n})");
        self.max().await.batch_execute(&statement).await.unwrap();
    }

    /// Waits until a standby has the same rows as the primary.
    async fn same_rows(&self, node: NodeId) {
        let (expected, session) = (rows(&self.max().await).await, self.session(node).await);
        until("the standby has the rows", || async { (rows(&session).await == expected).then_some(()) })
            .await;
    }

    async fn close(self) {
        gone(&self.engine, self.plan.cluster).await;
        self.engine.close(false).await;
    }
}

fn quorum(standbys: impl Into<Vec<NodeId>>) -> Quorum {
    Quorum { standbys: standbys.into(), confirmations: 1 }
}

async fn connect(sockets: &Path, user: &str, password: &str) -> Client {
    let mut config = tokio_postgres::Config::new();
    config.host_path(sockets).user(user).password(password).dbname("defaultdb");
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn rows(session: &Client) -> Vec<i32> {
    let rows = session.query("SELECT n FROM t ORDER BY n", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_the_primary_appear_on_its_standbys() {
    let nodes = Nodes::new().await;
    nodes.max().await.batch_execute("INSERT INTO t VALUES (1), (2)").await.unwrap();
    for standby in [N2, N3] {
        nodes.same_rows(standby).await;
    }
    let mut sockets = BTreeSet::new();
    for _ in 0..2 {
        let socket = nodes.engine.read_endpoint(nodes.plan.cluster).await.unwrap();
        let session = connect(socket.parent().unwrap(), "max", PASSWORD).await;
        assert_eq!(rows(&session).await, [1, 2]);
        session.batch_execute("INSERT INTO t VALUES (3)").await.unwrap_err();
        sockets.insert(socket);
    }
    assert_eq!(sockets.len(), 2, "each standby in turn");
    nodes.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_waits_until_a_standby_has_confirmed_it() {
    let nodes = Nodes::new().await;
    for standby in [N2, N3] {
        nodes.fence(standby).await;
    }
    let session = nodes.max().await;
    let commit = tokio::spawn(async move { session.batch_execute("INSERT INTO t VALUES (1)").await });
    let control = control(&nodes.folder, &nodes.engine, nodes.plan.cluster, "postgres").await;
    until("the commit waits", || async {
        let waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        (!control.query(waiting, &[]).await.unwrap().is_empty()).then_some(())
    })
    .await;
    assert!(!commit.is_finished());
    assert!(!nodes.engine.apply_quorum(&nodes.plan).await.unwrap(), "no standby has flushed anything");
    nodes.join(N3).await;
    timeout(LIMIT, commit).await.unwrap().unwrap().unwrap();
    nodes.join(N2).await;
    nodes.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_rows_survive_a_failover_and_the_old_primary_is_rewound() {
    let mut nodes = Nodes::new().await;
    let session = nodes.max().await;
    for n in 1..=50 {
        session.batch_execute(&format!("INSERT INTO t VALUES ({n})")).await.unwrap();
    }
    for standby in [N2, N3] {
        nodes.fence(standby).await;
    }
    nodes.insert_alone(1000).await;
    let (instance, data) = (nodes.instance(N1), nodes.instance(N1).join("data"));
    until("the primary is killed", || async {
        let left = processes_below(&data);
        left.iter().for_each(|pid| signal(*pid, Signal::KILL));
        left.is_empty().then_some(())
    })
    .await;
    nodes.fence(N1).await;
    nodes.start_standbys(2).await;
    assert!(processes_below(&data).is_empty(), "a primary with a quorum is not started");

    let received = nodes.engine.received(nodes.plan.cluster, 0).await.unwrap();
    let first = received.iter().max_by_key(|standby| (standby.timeline, standby.position)).unwrap().node;
    nodes.name(first);
    nodes.engine.promote(&nodes.plan, &[quorum([N2, N3])]).await.unwrap();
    assert_eq!(rows(&nodes.max().await).await, (1..=50).collect::<Vec<i32>>());
    assert!(!nodes.join(N1).await, "a rewind is enough");
    assert_eq!(nodes.instance(N1), instance);
    nodes.complete().await;
    nodes.max().await.batch_execute("INSERT INTO t VALUES (51)").await.unwrap();
    for standby in nodes.standbys() {
        nodes.same_rows(standby).await;
    }
    nodes.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_lacks_commits_is_not_promoted() {
    let mut nodes = Nodes::new().await;
    nodes.fence(N3).await;
    nodes.max().await.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
    nodes.fence(N1).await;
    let before = [quorum([N2, N3])];
    nodes.name(N2);
    let refused = nodes.engine.promote(&nodes.plan, &before).await;
    assert_eq!(kind(refused), ErrorKind::Unavailable, "one of two standbys responds");
    nodes.start_standbys(2).await;
    nodes.name(N3);
    let refused = nodes.engine.promote(&nodes.plan, &before).await;
    assert_eq!(kind(refused), ErrorKind::Precondition, "n2 has received more");
    assert_eq!(kind(nodes.engine.start_primary(&nodes.plan).await), ErrorKind::Precondition, "a standby");

    nodes.name(N2);
    nodes.engine.promote(&nodes.plan, &before).await.unwrap();
    assert_eq!(rows(&nodes.max().await).await, [1]);
    assert!(!nodes.join(N3).await, "it goes on as it is");
    nodes.complete().await;
    nodes.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_primary_is_started_again_at_once() {
    let mut nodes = Nodes::new().await;
    // Several times: the exit of its server must never count as a crash.
    for _ in 0..5 {
        nodes.fence(N1).await;
        nodes.name(N1);
        let observed = nodes.engine.start_primary(&nodes.plan).await.unwrap();
        assert_eq!(observed.retry_after, None, "{observed:?}");
        until("n1 accepts writes", || async {
            let observed = nodes.engine.observe(nodes.plan.cluster).await.unwrap();
            (observed.primary == Some(N1)).then_some(())
        })
        .await;
    }
    nodes.complete().await;
    nodes.max().await.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
    nodes.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_that_was_given_up_is_not_used_again() {
    let mut nodes = Nodes::new().await;
    for node in [N1, N3] {
        nodes.fence(node).await;
    }
    nodes.name(N2);
    nodes.engine.promote(&nodes.plan, &[]).await.unwrap();
    nodes.insert_alone(1000).await;
    assert!(nodes.wal(N2).join("00000002.history").exists());
    nodes.fence(N2).await;

    nodes.name(N3);
    nodes.start_standbys(1).await;
    nodes.engine.promote(&nodes.plan, &[]).await.unwrap();
    assert!(nodes.wal(N3).join("00000003.history").exists());
    for node in [N1, N2] {
        assert!(!nodes.join(node).await, "{node} is rewound");
    }
    nodes.complete().await;
    nodes.max().await.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(rows(&nodes.max().await).await, [1], "nothing of the timeline that was given up");
    for node in [N1, N2] {
        nodes.same_rows(node).await;
    }
    nodes.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_rewind_was_interrupted_is_built_anew() {
    let nodes = Nodes::new().await;
    nodes.max().await.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
    nodes.fence(N3).await;
    let before = nodes.instance(N3);
    fs::write(before.join("rewinding"), "").unwrap();
    nodes.engine.ensure(&nodes.plan).await.unwrap();
    assert!(processes_below(&before).is_empty(), "it is not started");
    assert!(nodes.join(N3).await);
    assert_ne!(nodes.instance(N3), before);
    nodes.complete().await;
    nodes.same_rows(N3).await;
    nodes.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_removed_node() {
    let mut nodes = Nodes::new().await;
    assert_eq!(kind(nodes.engine.remove_node(&nodes.plan, N1).await), ErrorKind::Precondition);
    nodes.plan.generation += 1;
    nodes.plan.quorum = Some(quorum([N2]));
    nodes.apply_quorum().await;
    nodes.engine.restart_node(&nodes.plan, N2).await.unwrap();
    assert!(!nodes.join(N2).await);
    let instance = nodes.instance(N3);
    assert_eq!(nodes.engine.remove_node(&nodes.plan, N3).await.unwrap(), Removal::Gone);
    assert!(!instance.exists() && processes_below(&instance).is_empty());
    assert_eq!(nodes.engine.report().await.unwrap().len(), 2);
    let control = control(&nodes.folder, &nodes.engine, nodes.plan.cluster, "postgres").await;
    let slots = control.query("SELECT slot_name::text FROM pg_replication_slots", &[]).await.unwrap();
    assert_eq!(slots.iter().map(|row| row.get(0)).collect::<Vec<String>>(), ["n2"]);
    nodes.max().await.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
    nodes.close().await;
}
