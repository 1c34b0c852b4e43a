//! The requirements for clusters with several nodes.

use crate::support::{Driver, Folder, PASSWORD, gone, new_cluster, plan, ready, until};
use ootheca_engine::{Engine, Progress, Received, Rejoin, Source};
use ootheca_model::{
    ErrorKind, Result,
    instance::{InstancePlan, NodePlan, NodeRole, Observed, Power, Removal},
    node::{NodeId, Quorum},
};
use std::sync::Arc;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

#[tokio::test(flavor = "multi_thread")]
async fn postgres_fails_over_within_a_quorum() {
    fails_over_within_a_quorum(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_fails_over_within_a_quorum() {
    fails_over_within_a_quorum(Driver::Simulated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_refuses_a_promotion_without_enough_standbys() {
    refuses_a_promotion_without_enough_standbys(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_refuses_a_promotion_without_enough_standbys() {
    refuses_a_promotion_without_enough_standbys(Driver::Simulated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_adds_and_removes_a_node() {
    adds_and_removes_a_node(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_adds_and_removes_a_node() {
    adds_and_removes_a_node(Driver::Simulated).await;
}

fn with_nodes(plan: &InstancePlan, nodes: &[NodeId]) -> InstancePlan {
    let node = |id: &NodeId| NodePlan { id: *id, cpu_millis: None, memory_mib: None, power: Power::On };
    InstancePlan { generation: plan.generation + 1, nodes: nodes.iter().map(node).collect(), ..plan.clone() }
}

fn quorum(standbys: &[NodeId]) -> Quorum {
    Quorum { standbys: standbys.to_vec(), confirmations: 1 }
}

/// The plan after a failover to `primary`, with the other nodes as standbys.
fn led_by(plan: &InstancePlan, primary: NodeId) -> InstancePlan {
    let others: Vec<NodeId> = plan.nodes.iter().map(|node| node.id).filter(|id| *id != primary).collect();
    InstancePlan { primary, term: plan.term + 1, quorum: Some(quorum(&others)), ..plan.clone() }
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("an error").kind()
}

/// Calls `rejoin` until the node streams, like the reconciler.
async fn joined(engine: &dyn Engine, plan: &InstancePlan, node: NodeId) {
    until("the node streams", || async {
        match engine.rejoin(plan, node).await {
            Ok(Rejoin::Streaming) => return Some(()),
            Ok(Rejoin::Started) => {}
            Ok(Rejoin::NeedsReseed) => {
                engine.remove_node(plan, node).await.unwrap();
                engine.stage_node(plan, node, &Source::Primary(silent())).await.unwrap();
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
        None
    })
    .await;
}

fn silent() -> Progress {
    Progress(Arc::new(|_| {}))
}

async fn all_live(engine: &dyn Engine, plan: &InstancePlan) -> Observed {
    until("all nodes are live", || async {
        let observed = engine.observe(plan.cluster).await.unwrap();
        let live = observed.nodes.iter().filter(|node| node.live).count();
        (live == plan.nodes.len()).then_some(observed)
    })
    .await
}

async fn in_force(engine: &dyn Engine, plan: &InstancePlan) {
    until("the quorum is in force", || async {
        match engine.apply_quorum(plan).await {
            Ok(in_force) => in_force.then_some(()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                None
            }
        }
    })
    .await;
}

/// A cluster with three nodes, of which n1 is the primary. Its quorum is in force.
async fn three_nodes(engine: &dyn Engine) -> InstancePlan {
    let new = with_nodes(&plan(engine, new_cluster()), &[N1, N2, N3]);
    ready(engine, &new).await;
    for standby in [N2, N3] {
        joined(engine, &new, standby).await;
    }
    let generation = new.generation + 1;
    let confirmed = InstancePlan { generation, quorum: Some(quorum(&[N2, N3])), ..new };
    in_force(engine, &confirmed).await;
    confirmed
}

async fn received(engine: &dyn Engine, plan: &InstancePlan, count: usize) -> Vec<Received> {
    until("the standbys respond", || async {
        let received = engine.received(plan.cluster, plan.epoch).await.unwrap();
        (received.len() == count).then_some(received)
    })
    .await
}

async fn users(engine: &dyn Engine, plan: &InstancePlan) -> Vec<String> {
    engine.admin(plan.cluster).await.unwrap().users().await.unwrap()
}

async fn fails_over_within_a_quorum(driver: Driver) {
    let folder = Folder::new();
    let engine = driver.open(&folder).await;
    let engine = &*engine;
    let first = three_nodes(engine).await;
    let observed = all_live(engine, &first).await;
    assert_eq!((observed.primary, observed.term), (Some(N1), 0));
    let roles: Vec<NodeRole> = observed.nodes.iter().map(|node| node.role).collect();
    assert_eq!(roles, [NodeRole::Primary, NodeRole::Standby, NodeRole::Standby]);
    engine.admin(first.cluster).await.unwrap().create_user("maxroach", PASSWORD).await.unwrap();
    assert_eq!(kind(engine.remove_node(&first, N1).await), ErrorKind::Precondition);

    for _ in 0..2 {
        engine.fence(first.cluster, first.epoch, N1).await.unwrap();
    }
    let standbys = received(engine, &first, 2).await;
    let candidate = standbys.iter().max_by_key(|standby| (standby.timeline, standby.position)).unwrap().node;
    let second = led_by(&first, candidate);
    for _ in 0..2 {
        engine.promote(&second, &[quorum(&[N2, N3])]).await.unwrap();
    }
    assert_eq!(engine.observe(first.cluster).await.unwrap().primary, Some(candidate));
    assert_eq!(users(engine, &second).await, ["maxroach"], "what was confirmed is there");
    assert_eq!(kind(engine.ensure(&first).await), ErrorKind::Stale, "an older term");
    assert_eq!(kind(engine.promote(&first, &[quorum(&[N2, N3])]).await), ErrorKind::Stale);

    for node in [N1, N2, N3].into_iter().filter(|node| *node != candidate) {
        joined(engine, &second, node).await;
    }
    in_force(engine, &second).await;
    engine.admin(first.cluster).await.unwrap().create_user("zoe", PASSWORD).await.unwrap();
    let observed = all_live(engine, &second).await;
    assert_eq!((observed.primary, observed.term), (Some(candidate), 1));
    assert_eq!(users(engine, &second).await, ["maxroach", "zoe"]);
    gone(engine, first.cluster).await;
    engine.close(false).await;
}

async fn refuses_a_promotion_without_enough_standbys(driver: Driver) {
    let folder = Folder::new();
    let engine = driver.open(&folder).await;
    let engine = &*engine;
    let first = three_nodes(engine).await;
    for node in [N3, N1] {
        engine.fence(first.cluster, first.epoch, node).await.unwrap();
    }
    received(engine, &first, 1).await;
    let second = led_by(&first, N2);
    let before = [quorum(&[N2, N3])];
    assert_eq!(kind(engine.promote(&second, &before).await), ErrorKind::Unavailable);
    assert_eq!(kind(engine.start_primary(&second).await), ErrorKind::Precondition, "n2 is a standby");
    assert_eq!(kind(engine.admin(first.cluster).await), ErrorKind::Unavailable);
    // The old primary goes on instead, in the next term.
    let third = led_by(&second, N1);
    engine.start_primary(&third).await.unwrap();
    until("n1 accepts writes", || async {
        let observed = engine.observe(first.cluster).await.unwrap();
        (observed.primary == Some(N1)).then_some(())
    })
    .await;
    for standby in [N2, N3] {
        joined(engine, &third, standby).await;
    }
    in_force(engine, &third).await;
    engine.admin(first.cluster).await.unwrap().create_user("maxroach", PASSWORD).await.unwrap();
    gone(engine, first.cluster).await;
    engine.close(false).await;
}

async fn adds_and_removes_a_node(driver: Driver) {
    let folder = Folder::new();
    let engine = driver.open(&folder).await;
    let engine = &*engine;
    let one = plan(engine, new_cluster());
    ready(engine, &one).await;
    engine.admin(one.cluster).await.unwrap().create_user("maxroach", PASSWORD).await.unwrap();
    assert_eq!(kind(engine.read_endpoint(one.cluster).await), ErrorKind::Precondition);

    let two = with_nodes(&one, &[N1, N2]);
    until("n1 is ready with the new plan", || async {
        let observed = engine.ensure(&two).await.unwrap();
        (observed.primary == Some(N1)).then_some(())
    })
    .await;
    for _ in 0..2 {
        engine.stage_node(&two, N2, &Source::Primary(silent())).await.unwrap();
    }
    joined(engine, &two, N2).await;
    all_live(engine, &two).await;
    let confirmed = InstancePlan { generation: two.generation + 1, quorum: Some(quorum(&[N2])), ..two };
    in_force(engine, &confirmed).await;
    engine.admin(one.cluster).await.unwrap().create_user("zoe", PASSWORD).await.unwrap();

    let alone = InstancePlan { generation: confirmed.generation + 1, quorum: None, ..confirmed.clone() };
    in_force(engine, &alone).await;
    until("n2 is removed", || async {
        (engine.remove_node(&alone, N2).await.unwrap() == Removal::Gone).then_some(())
    })
    .await;
    assert_eq!(engine.remove_node(&alone, N2).await.unwrap(), Removal::Gone, "twice");
    assert_eq!(kind(engine.stage_node(&confirmed, N2, &Source::Primary(silent())).await), ErrorKind::Stale);
    assert_eq!(users(engine, &alone).await, ["maxroach", "zoe"]);
    gone(engine, one.cluster).await;
    engine.close(false).await;
}
