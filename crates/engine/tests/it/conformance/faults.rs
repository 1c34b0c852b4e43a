//! Faults of nodes in the simulated engine.

use crate::support::{Folder, new_cluster, plan};
use ootheca_engine::{Engine, Rejoin, Source, simulated::SimulatedEngine};
use ootheca_model::{
    ErrorKind, Result,
    instance::{Condition, InstancePlan, NodePlan, Phase, Power},
    node::{NodeId, Quorum},
};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

/// An engine with a cluster of three nodes. One of two standbys must confirm.
async fn three_nodes(folder: &Folder) -> (SimulatedEngine, InstancePlan) {
    let engine = opened(folder).await;
    let node = |id| NodePlan { id, cpu_millis: None, memory_mib: None, power: Power::On };
    let nodes = [N1, N2, N3].map(node).to_vec();
    let plan = InstancePlan { nodes, quorum: Some(of_two()), ..plan(&engine, new_cluster()) };
    engine.create(&plan).await.unwrap();
    assert!(engine.apply_quorum(&plan).await.unwrap());
    (engine, plan)
}

async fn opened(folder: &Folder) -> SimulatedEngine {
    let engine = SimulatedEngine::new(folder.engine());
    engine.open().await.unwrap();
    engine
}

fn of_two() -> Quorum {
    Quorum { standbys: vec![N2, N3], confirmations: 1 }
}

fn led_by(plan: &InstancePlan, primary: NodeId, standbys: [NodeId; 2]) -> InstancePlan {
    let quorum = Some(Quorum { standbys: standbys.to_vec(), confirmations: 1 });
    InstancePlan { primary, term: plan.term + 1, quorum, ..plan.clone() }
}

async fn create(engine: &SimulatedEngine, plan: &InstancePlan, name: &str) -> Result<()> {
    engine.admin(plan.cluster).await?.create_database(name).await
}

async fn databases(engine: &SimulatedEngine, plan: &InstancePlan) -> Vec<String> {
    let databases = engine.admin(plan.cluster).await.unwrap().databases().await.unwrap();
    databases.into_iter().map(|database| database.name).collect()
}

#[tokio::test]
async fn a_change_that_no_standby_has_confirmed_fails_and_is_lost_in_a_failover() {
    let folder = Folder::new();
    let (engine, plan) = three_nodes(&folder).await;
    create(&engine, &plan, "confirmed").await.unwrap();
    engine.kill(plan.cluster, N2);
    create(&engine, &plan, "by_n3").await.unwrap();
    engine.kill(plan.cluster, N3);
    let refused = create(&engine, &plan, "alone").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    engine.kill(plan.cluster, N1);
    for standby in [N2, N3] {
        engine.restart_node(&plan, standby).await.unwrap();
    }

    let behind = led_by(&plan, N2, [N1, N3]);
    assert_eq!(engine.promote(&behind, &[of_two()]).await.unwrap_err().kind(), ErrorKind::Precondition);
    let next = led_by(&behind, N3, [N1, N2]);
    engine.promote(&next, &[of_two()]).await.unwrap();
    assert_eq!(databases(&engine, &next).await, ["by_n3", "confirmed", "defaultdb"]);
    assert_eq!(engine.rejoin(&next, N1).await.unwrap(), Rejoin::Started);
    assert_eq!(engine.rejoin(&next, N1).await.unwrap(), Rejoin::Streaming);
    create(&engine, &next, "afterwards").await.unwrap();
}

#[tokio::test]
async fn a_hanging_primary_is_down_until_it_is_replaced() {
    let folder = Folder::new();
    let (engine, plan) = three_nodes(&folder).await;
    engine.hang(plan.cluster, N1);
    let observed = engine.ensure(&plan).await.unwrap();
    assert_eq!((observed.phase, observed.primary), (Phase::Down, None));
    assert_eq!(observed.conditions[0].kind, Condition::NOT_RESPONDING);
    engine.fence(plan.cluster, 0, N1).await.unwrap();
    assert_eq!(engine.received(plan.cluster, 0).await.unwrap().len(), 2);
    let next = led_by(&plan, N2, [N1, N3]);
    engine.promote(&next, &[of_two()]).await.unwrap();
    let observed = engine.observe(plan.cluster).await.unwrap();
    assert_eq!((observed.phase, observed.primary), (Phase::Ready, Some(N2)));
}

#[tokio::test]
async fn a_node_that_lost_its_data_is_built_anew() {
    let folder = Folder::new();
    let (engine, plan) = three_nodes(&folder).await;
    create(&engine, &plan, "orders").await.unwrap();
    engine.lose(plan.cluster, N1);
    assert_eq!(engine.start_primary(&plan).await.unwrap_err().kind(), ErrorKind::Precondition);
    let next = led_by(&plan, N2, [N1, N3]);
    engine.promote(&next, &[of_two()]).await.unwrap();
    assert_eq!(engine.rejoin(&next, N1).await.unwrap(), Rejoin::NeedsReseed);
    engine.stage_node(&next, N1, &Source::Empty).await.unwrap();
    engine.rejoin(&next, N1).await.unwrap();
    assert_eq!(engine.rejoin(&next, N1).await.unwrap(), Rejoin::Streaming);
    assert_eq!(databases(&engine, &next).await, ["defaultdb", "orders"]);
}

#[tokio::test]
async fn nodes_are_as_before_after_a_restart_of_the_engine() {
    let folder = Folder::new();
    let (engine, plan) = three_nodes(&folder).await;
    engine.kill(plan.cluster, N1);
    let next = led_by(&plan, N3, [N1, N2]);
    engine.promote(&next, &[of_two()]).await.unwrap();
    let before = engine.observe(plan.cluster).await.unwrap();
    drop(engine);
    let engine = opened(&folder).await;
    assert_eq!(engine.observe(plan.cluster).await.unwrap(), before);
    assert_eq!(engine.ensure(&plan).await.unwrap_err().kind(), ErrorKind::Stale);
}
