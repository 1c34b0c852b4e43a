//! The row of a history, and servers that decide from a copy of it.

use crate::{engine::Engine, random::Random};
use ootheca_model::{
    ClusterId, ErrorKind, Timestamp,
    instance::{InstancePlan, Power},
    node::{
        ChangeKind, Decision, FailoverFacts, Leadership, NodeId, NodeSpec, NodeStage, PrimaryChange, Quorum,
        Received, quorum_of,
    },
};
use uuid::Uuid;

/// What the row of a cluster contains about its nodes.
#[derive(Clone)]
pub(crate) struct Row {
    version: u64,
    generation: u64,
    pub(crate) nodes: Vec<NodeSpec>,
    last_node: u32,
    leadership: Leadership,
    pub(crate) quorum: Quorum,
    next_quorum: Option<Quorum>,
}

fn node(number: u32, stage: NodeStage) -> NodeSpec {
    NodeSpec { id: NodeId(number), region: String::new(), zone: String::new(), stage }
}

impl Row {
    /// Three nodes, or five, or five of which three are in the quorum and the others are about to be.
    pub(crate) fn new(random: &mut Random) -> Self {
        let kind = random.below(3);
        let last_node = if kind == 0 { 3 } else { 5 };
        let nodes: Vec<NodeSpec> = (1..=last_node).map(|number| node(number, NodeStage::Member)).collect();
        let settled = if kind == 1 { &nodes[..] } else { &nodes[..3] };
        Self {
            version: 0,
            generation: 1,
            quorum: quorum_of(settled, NodeId::FIRST).unwrap(),
            next_quorum: quorum_of(&nodes, NodeId::FIRST).filter(|_| kind == 2),
            nodes,
            last_node,
            leadership: Leadership::default(),
        }
    }

    pub(crate) fn plan(&self) -> InstancePlan {
        InstancePlan {
            cluster: ClusterId(Uuid::nil()),
            generation: self.generation,
            epoch: 0,
            engine_major: String::new(),
            cpu_millis: None,
            power: Power::On,
            nodes: Vec::new(),
            primary: self.leadership.primary,
            term: self.leadership.term,
            quorum: Some(self.next_quorum.as_ref().unwrap_or(&self.quorum).clone()),
        }
    }

    fn quorums(&self) -> Quorums {
        Quorums { current: self.quorum.clone(), next: self.next_quorum.clone() }
    }

    /// Adds two nodes, or removes one or two, unless a change is in progress.
    pub(crate) fn scale(&mut self, random: &mut Random) {
        let changes = self.nodes.iter().any(|node| node.stage != NodeStage::Member);
        if self.next_quorum.is_some() || self.leadership.change.is_some() || changes {
            return;
        }
        if self.nodes.len() <= 5 && random.below(2) == 0 {
            self.nodes.extend((1..=2).map(|more| node(self.last_node + more, NodeStage::Joining)));
            self.last_node += 2;
        } else if self.nodes.len() >= 4 {
            let primary = self.leadership.primary;
            let mut others: Vec<_> = self.nodes.iter_mut().filter(|node| node.id != primary).collect();
            for _ in 0..=random.below(2) {
                let leaving = random.below(others.len());
                others[leaving].stage = NodeStage::Leaving;
            }
        } else {
            return;
        }
        self.generation += 1;
        self.version += 1;
    }

    /// Replaces the row, unless it has changed since `new` was read.
    fn commit(&mut self, new: Row) {
        if new.version == self.version {
            *self = Self { version: new.version + 1, ..new };
        }
    }
}

/// The quorums that count.
struct Quorums {
    current: Quorum,
    next: Option<Quorum>,
}

impl Quorums {
    fn map(&self, change: impl Fn(&Quorum) -> Quorum) -> Self {
        Self { current: change(&self.current), next: self.next.as_ref().map(change) }
    }
}

/// What a decider does next.
enum Stage {
    Read,
    Act,
    /// Ask the standbys how far they are, after `from` has stopped working.
    Ask {
        from: NodeId,
        quorums: Quorums,
    },
    Decide {
        from: NodeId,
        quorums: Quorums,
        received: Vec<Received>,
    },
    Commit(Row),
}

pub(crate) struct Decider {
    /// As it was read. It may be old.
    row: Row,
    stage: Stage,
    decide: fn(&FailoverFacts<'_>) -> Decision,
    /// How many changes of the quorum it has begun.
    pub(crate) quorums: usize,
}

impl Decider {
    pub(crate) fn new(row: &Row, decide: fn(&FailoverFacts<'_>) -> Decision) -> Self {
        Self { row: row.clone(), stage: Stage::Read, decide, quorums: 0 }
    }

    /// Has one effect. Before it, the decider may die, and begins again.
    pub(crate) fn step(&mut self, row: &mut Row, engine: &mut Engine, random: &mut Random) {
        let stage = std::mem::replace(&mut self.stage, Stage::Read);
        let stage = if random.below(12) == 0 { Stage::Read } else { stage };
        self.stage = match stage {
            Stage::Read => {
                self.row = row.clone();
                Stage::Act
            }
            Stage::Act => self.act(engine, random),
            Stage::Ask { from, quorums } => {
                Stage::Decide { from, quorums, received: engine.received(random) }
            }
            Stage::Decide { from, quorums, received } => self.decide(engine, from, &quorums, &received),
            Stage::Commit(new) => {
                row.commit(new);
                Stage::Read
            }
        };
    }

    fn act(&mut self, engine: &mut Engine, random: &mut Random) -> Stage {
        let primary = self.row.leadership.primary;
        if let Some(change) = self.row.leadership.change.clone() {
            return self.complete_change(&change, engine, random);
        }
        if !engine.is_leader(primary) || !engine.accepts_writes() {
            if engine.is_leader(primary) {
                engine.stop(primary);
            }
            return Stage::Ask { from: primary, quorums: self.row.quorums() };
        }
        if let Some(next) = &self.row.next_quorum
            && engine.apply_quorum(&self.row.plan()).unwrap_or(false)
        {
            return Stage::Commit(Row { quorum: next.clone(), next_quorum: None, ..self.row.clone() });
        }
        self.change_nodes(engine, random)
    }

    fn complete_change(&self, change: &PrimaryChange, engine: &mut Engine, random: &mut Random) -> Stage {
        let leadership = &self.row.leadership;
        let quorums = self.row.quorums();
        let before = quorums.map(|quorum| leadership.quorum_before(quorum));
        let list: Vec<Quorum> = std::iter::once(&before.current).chain(&before.next).cloned().collect();
        match engine.promote(&self.row.plan(), &list, random) {
            Ok(()) => {
                let leadership = Leadership { change: None, ..leadership.clone() };
                Stage::Commit(Row { leadership, ..self.row.clone() })
            }
            Err(error) if error.kind() == ErrorKind::Stale => Stage::Read,
            // It was never promoted.
            Err(_) if engine.is_standby(leadership.primary) => {
                Stage::Ask { from: change.from, quorums: before }
            }
            Err(_) => Stage::Ask { from: leadership.primary, quorums },
        }
    }

    fn decide(&self, engine: &mut Engine, from: NodeId, quorums: &Quorums, received: &[Received]) -> Stage {
        let leadership = &self.row.leadership;
        let primary = leadership.primary;
        let decision = (self.decide)(&FailoverFacts {
            nodes: &self.row.nodes,
            leadership,
            quorum: Some(&quorums.current),
            next_quorum: quorums.next.as_ref(),
            received,
            last_primary: Some(from),
        });
        match decision {
            Decision::Promote(to) if to != primary => {
                let kind = ChangeKind::Failover;
                let change = PrimaryChange { from, to, kind, begun_at: Timestamp(0) };
                self.lead(to, Some(change), &quorums.map(|quorum| quorum.with_primary(from, to)))
            }
            Decision::StartPrimary(node) if node != primary => self.lead(node, None, quorums),
            Decision::StartPrimary(_) => {
                let _ = engine.start_primary(&self.row.plan());
                Stage::Read
            }
            Decision::Promote(_) | Decision::QuorumLost => Stage::Read,
        }
    }

    fn lead(&self, primary: NodeId, change: Option<PrimaryChange>, quorums: &Quorums) -> Stage {
        Stage::Commit(Row {
            leadership: Leadership { primary, term: self.row.leadership.term + 1, change },
            quorum: quorums.current.clone(),
            next_quorum: quorums.next.clone(),
            ..self.row.clone()
        })
    }

    /// Removes a node, lets one rejoin, or begins a change of the quorum.
    fn change_nodes(&mut self, engine: &mut Engine, random: &mut Random) -> Stage {
        let row = &self.row;
        let (primary, generation) = (row.leadership.primary, row.generation + 1);
        let counts = |id: NodeId| {
            let mut quorums = std::iter::once(&row.quorum).chain(&row.next_quorum);
            quorums.any(|quorum| quorum.standbys.contains(&id))
        };
        let mut others = row.nodes.iter().filter(|node| node.id != primary);
        if let Some(gone) = others.find(|node| node.stage == NodeStage::Leaving && !counts(node.id)) {
            if engine.remove_node(&row.plan(), gone.id).is_err() {
                return Stage::Read;
            }
            let nodes = row.nodes.iter().filter(|node| node.id != gone.id).cloned().collect();
            return Stage::Commit(Row { nodes, generation, ..row.clone() });
        }
        let others = row.nodes.iter().filter(|node| node.id != primary);
        let down: Vec<NodeId> = others.map(|node| node.id).filter(|id| !engine.streams(*id)).collect();
        if !down.is_empty() && random.below(3) > 0 {
            let _ = engine.rejoin(&row.plan(), down[random.below(down.len())]);
            return Stage::Read;
        }
        let mut nodes = row.nodes.clone();
        let joining = |node: &&NodeSpec| node.stage == NodeStage::Joining;
        if row.nodes.iter().filter(joining).all(|node| engine.is_standby(node.id)) {
            let joining = nodes.iter_mut().filter(|node| node.stage == NodeStage::Joining);
            joining.for_each(|node| node.stage = NodeStage::Member);
        }
        let wanted = quorum_of(&nodes, primary).filter(|wanted| *wanted != row.quorum);
        if row.next_quorum.is_some() || wanted.is_none() {
            return Stage::Read;
        }
        self.quorums += 1;
        Stage::Commit(Row { nodes, next_quorum: wanted, generation, ..row.clone() })
    }
}
