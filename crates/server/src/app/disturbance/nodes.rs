//! A cluster with three nodes that are killed, hang, and lose their data while the loops are disturbed. Nothing that was
//! acknowledged is lost, and once the disturbances end, all nodes are live again.

use super::{
    loops::SCANNED,
    world::{World, virtual_time},
};
use crate::ids;
use ootheca_engine::Engine;
use ootheca_model::{ClusterState, node::NodeId};

/// Seeds that are always tried.
const SEEDS: std::ops::Range<u64> = 1..9;
/// The number of faults in a run.
const FAULTS: usize = 6;
/// The maximum number of turns between two faults.
const TURNS: u64 = 120;

impl World {
    /// Creates a database in the first cluster. Returns its name if that was acknowledged.
    async fn write(&self, number: usize) -> Option<String> {
        let mut admin = self.engine.inner.admin(self.subjects[0].id).await.ok()?;
        let name = format!("database-{number}");
        let acknowledged = admin.create_database(&name).await.is_ok();
        self.schedule.note(format!("write {name}: acknowledged {acknowledged}"));
        acknowledged.then_some(name)
    }

    /// Lets a node of the first cluster fail. Data is lost only while all nodes are live: no quorum protects from more.
    async fn fail_node(&self) {
        let cluster = self.subjects[0].id;
        let nodes = self.engine.inner.observe(cluster).await.expect("observed").nodes;
        let chosen = usize::try_from(self.schedule.below(3)).unwrap_or(0);
        let node = nodes.get(chosen).map_or(NodeId::FIRST, |node| node.id);
        let all_live = nodes.iter().all(|node| node.live);
        let engine = &self.engine.inner;
        let fault = match self.schedule.below(4) {
            0 if all_live => {
                engine.lose(cluster, node);
                "loses its data"
            }
            1 => {
                engine.hang(cluster, node);
                "hangs"
            }
            _ => {
                engine.kill(cluster, node);
                "is killed"
            }
        };
        self.schedule.note(format!("node {node} {fault}"));
    }

    /// Checks what holds once the loops have come to rest.
    async fn check_nodes(&self, acknowledged: &[String]) {
        let law = |holds: bool, law: &str| {
            if !holds {
                self.schedule.violated(law.to_owned());
            }
        };
        let (id, cluster) = (self.subjects[0].id, self.stored(0).await);
        let observed = self.engine.inner.observe(id).await.expect("observed");
        law(cluster.state == ClusterState::Created, "the cluster is not CREATED");
        law(observed.primary == Some(cluster.leadership.primary), "the primary is not that of the row");
        law(observed.nodes.len() == 3 && observed.nodes.iter().all(|node| node.live), "a node is not live");
        law(cluster.quorum.is_some() && cluster.next_quorum.is_none(), "the quorum is not in force");
        law(cluster.leadership.change.is_none(), "the primary is still changing");
        let Ok(mut admin) = self.engine.inner.admin(id).await else {
            return law(false, "the primary accepts no session");
        };
        let databases = admin.databases().await.expect("databases");
        for name in acknowledged {
            let is_there = databases.iter().any(|database| database.name == *name);
            law(is_there, &format!("{name} was acknowledged and is lost"));
        }
        law(admin.create_database("afterwards").await.is_ok(), "the cluster confirms no change");
    }
}

/// Returns the laws that do not hold, and the trace.
fn run(seed: u64) -> (Vec<String>, Vec<String>) {
    ids::seeded::seed(seed);
    virtual_time().block_on(async {
        let mut world = World::new(seed, true, None).await;
        world.create_nodes("three-nodes").await;
        let mut acknowledged = Vec::new();
        for number in 0..FAULTS {
            acknowledged.extend(world.write(number).await);
            world.fail_node().await;
            for _ in 0..world.schedule.below(TURNS) {
                world.act().await;
            }
        }
        world.schedule.switch(false);
        world.settle(SCANNED).await;
        // A standby that failed often waits up to 30 seconds until it rejoins.
        world.settle(3 * SCANNED).await;
        world.check_nodes(&acknowledged).await;
        (world.schedule.violations(), world.schedule.trace())
    })
}

#[test]
fn acknowledged_changes_survive_faults_of_nodes_in_disturbed_loops() {
    for seed in SEEDS.chain([rand::random::<u64>() >> 16]) {
        let (violations, trace) = run(seed);
        let trace = trace.join("\n");
        assert!(violations.is_empty(), "seed {seed}:\n{trace}\n{}", violations.join("\n"));
    }
}
