//! The steps of clusters with several nodes, over the simulated engine.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    documents::Document as _,
    lifecycle::{backup::tests::World, reconcile::cluster},
};
use ootheca_model::{
    OrganizationId,
    cluster::ClusterRegion,
    node::{ChangeKind, NodeId, Operation, OperationKind, PrimaryChange, Quorum, place},
};
use ootheca_store::AuditQuery;
use std::sync::atomic::Ordering;
use uuid::Uuid;

/// More steps than any change takes.
const STEPS: usize = 60;
const DATABASE: &str = "app";

/// A cluster with several nodes.
struct Nodes {
    world: World,
    id: ClusterId,
}

fn region(name: &str, nodes: u32) -> ClusterRegion {
    ClusterRegion { name: name.to_owned(), nodes, primary: false }
}

fn quorum(standbys: &[u32], confirmations: u32) -> Option<Quorum> {
    Some(Quorum { standbys: standbys.iter().copied().map(NodeId).collect(), confirmations })
}

impl Nodes {
    /// A cluster with three nodes and a database.
    async fn create() -> Self {
        let world = World::new().await;
        let regions = vec![region("us-east1", 3)];
        let placed = place(&regions, &[], 0);
        let (nodes, last_node) = (placed.nodes, placed.last_node);
        let cluster = Cluster { regions, nodes, last_node, ..world.draft("several-nodes") };
        world.commit(Batch::server("test").with(documents::insert(&cluster).unwrap())).await;
        let created = Self { world, id: cluster.id };
        created.settle().await;
        created.world.engine.admin(created.id).await.unwrap().create_database(DATABASE).await.unwrap();
        created
    }

    async fn cluster(&self) -> Cluster {
        self.world.stored(self.id).await.value
    }

    async fn step(&self) -> Step {
        cluster::step(&self.world.lifecycle, self.id, self.world.lease(), 0).await.unwrap()
    }

    /// Repeats the step until nothing is left to do. Then all nodes are live.
    async fn settle(&self) -> Cluster {
        for _ in 0..STEPS {
            if matches!(self.step().await, Step::Done) {
                let (cluster, observed) = (self.cluster().await, self.observed().await);
                assert!(are_settled(&cluster, &observed), "{cluster:#?} {observed:#?}");
                return cluster;
            }
        }
        panic!("not settled: {:#?} {:#?}", self.cluster().await, self.observed().await);
    }

    async fn observed(&self) -> Observed {
        self.world.engine.observe(self.id).await.unwrap()
    }

    fn kill(&self, node: u32) {
        self.world.engine.kill(self.id, NodeId(node));
    }

    /// Asserts that the database is still there.
    async fn check_data(&self) {
        let mut admin = self.world.engine.admin(self.id).await.unwrap();
        let databases = admin.databases().await.unwrap();
        assert!(databases.iter().any(|database| database.name == DATABASE), "{databases:?}");
    }

    /// The payloads of the entries without a caller.
    async fn audit(&self) -> Vec<String> {
        let organization = OrganizationId(Uuid::nil());
        let query = AuditQuery { organization, starting_from: None, descending: false, limit: 100 };
        let entries = self.world.store().audit(&query).await.unwrap();
        let internal = entries.into_iter().filter(|entry| entry.source == "INTERNAL");
        internal.map(|entry| format!("{} {}", entry.action, entry.payload)).collect()
    }

    fn failovers(&self) -> u64 {
        self.world.lifecycle.failovers.load(Ordering::Relaxed)
    }

    fn has_lost_quorum(cluster: &Cluster) -> bool {
        cluster.observed.conditions.iter().any(|condition| condition.kind == Condition::QUORUM_LOST)
    }

    /// Changes the regions, as a PATCH does.
    async fn scale(&self, regions: Vec<ClusterRegion>) -> Cluster {
        let started_at = self.world.lifecycle.context.now();
        let change = |cluster: &mut Cluster| {
            let placed = place(&regions, &cluster.members(), cluster.last_node);
            (cluster.nodes, cluster.last_node) = (placed.nodes, placed.last_node);
            (cluster.regions, cluster.state) = (regions, ClusterState::Locked);
            cluster.operation = Some(Operation { kind: OperationKind::Scale, started_at, failure: None });
            cluster.generation += 1;
        };
        self.world.change_of(self.id, change).await;
        self.settle().await
    }

    fn numbers(cluster: &Cluster) -> Vec<u32> {
        cluster.nodes.iter().map(|node| node.id.0).collect()
    }
}

#[tokio::test]
async fn a_new_cluster_is_created_once_its_quorum_is_in_force() {
    let nodes = Nodes::create().await;
    let cluster = nodes.cluster().await;
    assert_eq!((cluster.state, &cluster.next_quorum), (ClusterState::Created, &None));
    assert_eq!(cluster.quorum, quorum(&[2, 3], 1));
    assert!(cluster.nodes.iter().all(|node| node.stage == NodeStage::Member), "{:?}", cluster.nodes);
    assert_eq!(nodes.observed().await.primary, Some(NodeId(1)));
    assert_eq!((nodes.failovers(), nodes.audit().await), (0, Vec::new()));
}

#[tokio::test]
async fn a_killed_primary_is_replaced_and_rejoins() {
    let nodes = Nodes::create().await;
    let generation = nodes.cluster().await.generation;
    nodes.kill(1);
    let cluster = nodes.settle().await;
    assert_eq!(cluster.leadership, Leadership { primary: NodeId(2), term: 1, change: None });
    assert_eq!((cluster.quorum, cluster.next_quorum), (quorum(&[1, 3], 1), None));
    assert_eq!((cluster.state, cluster.generation), (ClusterState::Created, generation));
    assert_eq!(nodes.observed().await.primary, Some(NodeId(2)));
    nodes.check_data().await;
    assert_eq!(nodes.failovers(), 1);
    assert_eq!(nodes.audit().await, [r#"UPDATE_CLUSTER {"previous_primary":"n1","primary":"n2","term":1}"#]);
}

#[tokio::test]
async fn a_primary_that_hangs_is_replaced() {
    let nodes = Nodes::create().await;
    nodes.world.engine.hang(nodes.id, NodeId(1));
    assert_eq!(nodes.settle().await.leadership.primary, NodeId(2));
    nodes.check_data().await;
}

#[tokio::test]
async fn a_primary_is_named_before_it_is_promoted() {
    let mut nodes = Nodes::create().await;
    nodes.kill(1);
    nodes.step().await;
    let cluster = nodes.cluster().await;
    assert_eq!((cluster.leadership.primary, cluster.leadership.term), (NodeId(2), 1));
    assert!(cluster.leadership.change.is_some());
    assert_eq!(nodes.observed().await.primary, None, "nothing was promoted yet");
    // After a crash, the next server goes on from the row.
    nodes.world.restart().await;
    assert_eq!(nodes.settle().await.leadership.primary, NodeId(2));
    nodes.check_data().await;
    assert_eq!(nodes.audit().await.len(), 1);
}

#[tokio::test]
async fn a_killed_standby_rejoins() {
    let nodes = Nodes::create().await;
    nodes.kill(3);
    let cluster = nodes.settle().await;
    assert_eq!((cluster.leadership.primary, nodes.failovers()), (NodeId(1), 0));
}

#[tokio::test]
async fn the_primary_is_started_in_place_if_too_few_standbys_respond() {
    let nodes = Nodes::create().await;
    nodes.kill(1);
    nodes.kill(3);
    let cluster = nodes.settle().await;
    assert_eq!(cluster.leadership, Leadership { primary: NodeId(1), term: 0, change: None });
    assert_eq!(cluster.quorum, quorum(&[2, 3], 1));
    nodes.check_data().await;
    assert_eq!((nodes.failovers(), nodes.audit().await), (0, Vec::new()));
}

#[tokio::test]
async fn all_nodes_that_were_stopped_start_without_a_failover() {
    let nodes = Nodes::create().await;
    for node in [1, 2, 3] {
        nodes.kill(node);
    }
    assert_eq!(nodes.settle().await.leadership.primary, NodeId(1));
    assert_eq!(nodes.failovers(), 0);
}

#[tokio::test]
async fn the_old_primary_is_named_again_if_the_new_one_cannot_be_promoted() {
    let nodes = Nodes::create().await;
    nodes.kill(1);
    nodes.step().await;
    assert_eq!(nodes.cluster().await.leadership.primary, NodeId(2));
    nodes.world.engine.hang(nodes.id, NodeId(3));
    let cluster = nodes.settle().await;
    assert_eq!(cluster.leadership, Leadership { primary: NodeId(1), term: 2, change: None });
    assert_eq!(cluster.quorum, quorum(&[2, 3], 1));
    nodes.check_data().await;
    assert_eq!((nodes.failovers(), nodes.audit().await.len()), (0, 2));
}

#[tokio::test]
async fn a_lost_primary_is_not_replaced_until_enough_standbys_respond() {
    let nodes = Nodes::create().await;
    nodes.kill(3);
    nodes.world.engine.lose(nodes.id, NodeId(1));
    nodes.step().await;
    let cluster = nodes.cluster().await;
    assert_eq!((cluster.leadership.primary, cluster.leadership.term), (NodeId(1), 0));
    assert!(Nodes::has_lost_quorum(&cluster), "{:?}", cluster.observed.conditions);
    // The step has started the other standby.
    let cluster = nodes.settle().await;
    assert_eq!(cluster.leadership.primary, NodeId(2));
    assert!(!Nodes::has_lost_quorum(&cluster), "{:?}", cluster.observed.conditions);
    nodes.check_data().await;
}

#[tokio::test]
async fn a_node_without_data_gets_a_copy_of_the_primary() {
    let nodes = Nodes::create().await;
    nodes.world.engine.lose(nodes.id, NodeId(2));
    nodes.settle().await;
    nodes.kill(1);
    assert_eq!(nodes.settle().await.leadership.primary, NodeId(2));
    nodes.check_data().await;
}

#[tokio::test]
async fn nodes_are_added_and_removed() {
    let nodes = Nodes::create().await;
    let cluster = nodes.scale(vec![region("us-east1", 4)]).await;
    assert_eq!((cluster.state, &cluster.operation), (ClusterState::Created, &None));
    assert_eq!(cluster.quorum, quorum(&[2, 3, 4], 2));
    let cluster = nodes.scale(vec![region("us-east1", 3)]).await;
    assert_eq!((cluster.state, &cluster.operation), (ClusterState::Created, &None));
    assert_eq!((Nodes::numbers(&cluster), cluster.last_node), (vec![1, 2, 3], 4));
    assert_eq!(cluster.quorum, quorum(&[2, 3], 1));
    nodes.check_data().await;
}

#[tokio::test]
async fn a_cluster_moves_to_another_region() {
    let nodes = Nodes::create().await;
    let cluster = nodes.scale(vec![region("us-west1", 3)]).await;
    assert_eq!((cluster.state, Nodes::numbers(&cluster)), (ClusterState::Created, vec![4, 5, 6]));
    assert_eq!(cluster.leadership.primary, NodeId(4));
    assert_eq!(cluster.quorum, quorum(&[5, 6], 1));
    nodes.check_data().await;
}

#[tokio::test]
async fn a_primary_that_is_killed_while_nodes_are_added_is_replaced() {
    let nodes = Nodes::create().await;
    let started_at = nodes.world.lifecycle.context.now();
    let join = |cluster: &mut Cluster| {
        let placed = place(&[region("us-east1", 5)], &cluster.members(), cluster.last_node);
        (cluster.nodes, cluster.last_node) = (placed.nodes, placed.last_node);
        cluster.operation = Some(Operation { kind: OperationKind::Scale, started_at, failure: None });
        (cluster.state, cluster.generation) = (ClusterState::Locked, cluster.generation + 1);
    };
    nodes.world.change_of(nodes.id, join).await;
    for _ in 0..STEPS {
        if nodes.cluster().await.next_quorum.is_some() {
            break;
        }
        nodes.step().await;
    }
    assert_eq!(nodes.cluster().await.next_quorum, quorum(&[2, 3, 4, 5], 2));
    nodes.kill(1);
    let cluster = nodes.settle().await;
    assert_eq!(cluster.leadership.primary, NodeId(2));
    assert_eq!(cluster.quorum, quorum(&[1, 3, 4, 5], 2));
    nodes.check_data().await;
}

#[tokio::test]
async fn a_row_is_due_until_a_change_of_its_nodes_is_complete() {
    let nodes = Nodes::create().await;
    let (settled, now) = (nodes.cluster().await, nodes.world.lifecycle.context.now());
    assert_eq!(settled.columns().due_at, None);
    let with_fourth = |stage| {
        let mut cluster = settled.clone();
        cluster.nodes.push(NodeSpec { id: NodeId(4), stage, ..settled.nodes[0].clone() });
        cluster
    };
    let (from, to) = (NodeId(1), NodeId(2));
    let change = Some(PrimaryChange { from, to, kind: ChangeKind::Failover, begun_at: now });
    let leadership = Leadership { change, ..settled.leadership.clone() };
    let failure = Some("the disk is full".to_owned());
    let operation = Some(Operation { kind: OperationKind::Scale, started_at: now, failure });
    let changing = [
        with_fourth(NodeStage::Joining),
        with_fourth(NodeStage::Member),
        with_fourth(NodeStage::Leaving),
        Cluster { next_quorum: quorum(&[2], 1), ..settled.clone() },
        Cluster { leadership, ..settled.clone() },
        Cluster { operation, ..settled.clone() },
    ];
    for cluster in changing {
        assert!(cluster.columns().due_at.is_some_and(|due| due <= now), "{cluster:#?}");
    }
}

#[tokio::test]
async fn with_other_data_all_nodes_but_the_primary_join_again() {
    let nodes = Nodes::create().await;
    nodes.kill(1);
    let cluster = with_other_data(nodes.settle().await);
    assert_eq!(cluster.leadership, Leadership { primary: NodeId(2), term: 2, change: None });
    assert_eq!((cluster.quorum, cluster.next_quorum), (None, None));
    let stages: Vec<NodeStage> = cluster.nodes.iter().map(|node| node.stage).collect();
    assert_eq!(stages, [NodeStage::Joining, NodeStage::Member, NodeStage::Joining]);
}
