//! The engine of a history: servers that have a log instead of WAL.

use crate::{decider::Row, random::Random};
use ootheca_model::{
    Error, Result,
    instance::InstancePlan,
    node::{NodeId, Quorum, Received, WalPosition, check_promotion},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
};

/// A timeline, and the number of a commit; 0 where a timeline begins.
type Record = (u32, u32);

#[derive(Default)]
struct Server {
    /// Empty if its data is lost.
    log: Vec<Record>,
    up: bool,
    hangs: bool,
    /// Whether it was the primary and has not rejoined since.
    deposed: bool,
}

impl Server {
    fn stop(&mut self) {
        (self.up, self.hangs) = (false, false);
    }

    fn extent(&self) -> (u32, usize) {
        (self.log.last().map_or(0, |record| record.0), self.log.len())
    }
}

pub(crate) struct Engine {
    servers: BTreeMap<NodeId, Server>,
    /// The last plan. Older ones are refused.
    plan: InstancePlan,
    /// The server that was last promoted or started as the primary, and its term.
    leader: NodeId,
    term: u64,
    /// The quorum that confirms the commits of the leader.
    setting: Option<Quorum>,
    /// What must be confirmed before the setting is in force.
    barrier: Option<usize>,
    /// The positions of commits of the leader that are not acknowledged yet.
    pending: Vec<usize>,
    commits: u32,
    /// The node that accepted writes in each term.
    writers: BTreeMap<u64, NodeId>,
    checks: bool,
    pub(crate) acknowledged: Vec<Record>,
    pub(crate) violation: Option<String>,
    pub(crate) promoted: usize,
    pub(crate) started: usize,
    pub(crate) refused: usize,
}

impl Engine {
    pub(crate) fn new(row: &Row, checks: bool) -> Self {
        let server = || Server { log: vec![(1, 0)], up: true, ..Server::default() };
        Self {
            servers: row.nodes.iter().map(|node| (node.id, server())).collect(),
            plan: row.plan(),
            leader: NodeId::FIRST,
            term: 0,
            setting: Some(row.quorum.clone()),
            barrier: None,
            pending: Vec::new(),
            commits: 0,
            writers: BTreeMap::new(),
            checks,
            acknowledged: Vec::new(),
            violation: None,
            promoted: 0,
            started: 0,
            refused: 0,
        }
    }

    pub(crate) fn is_leader(&self, id: NodeId) -> bool {
        id == self.leader
    }

    pub(crate) fn accepts_writes(&self) -> bool {
        self.servers.get(&self.leader).is_some_and(|server| server.up && !server.hangs)
    }

    /// Whether it is a standby that responds.
    pub(crate) fn is_standby(&self, id: NodeId) -> bool {
        let responds =
            |server: &Server| !server.log.is_empty() && server.up && !server.hangs && !server.deposed;
        id != self.leader && self.servers.get(&id).is_some_and(responds)
    }

    /// Whether it is a standby that has not diverged from the leader.
    pub(crate) fn streams(&self, id: NodeId) -> bool {
        self.is_standby(id) && self.is_prefix(id)
    }

    fn log(&self, id: NodeId) -> &[Record] {
        self.servers.get(&id).map(|server| server.log.as_slice()).unwrap_or_default()
    }

    fn is_prefix(&self, id: NodeId) -> bool {
        let (own, leader) = (self.log(id), self.log(self.leader));
        own.last().is_some_and(|last| leader.get(own.len() - 1) == Some(last))
    }

    fn pick(&self, random: &mut Random) -> NodeId {
        let chosen = random.below(self.servers.len());
        self.servers.keys().nth(chosen).copied().unwrap_or_default()
    }

    /// Whether enough standbys have the log of the leader up to a position.
    fn is_confirmed(&self, position: usize) -> bool {
        let Some(quorum) = &self.setting else { return true };
        let has = |id: &&NodeId| self.streams(**id) && self.log(**id).len() >= position;
        quorum.standbys.iter().filter(has).count() >= quorum.confirmations as usize
    }

    pub(crate) fn write(&mut self) {
        if !self.accepts_writes() {
            return;
        }
        let writer = *self.writers.entry(self.term).or_insert(self.leader);
        if writer != self.leader {
            let (leader, term) = (self.leader, self.term);
            self.violation = Some(format!("{writer} and {leader} accept writes in term {term}"));
        }
        self.commits += 1;
        if let Some(server) = self.servers.get_mut(&self.leader) {
            let (timeline, _) = server.extent();
            server.log.push((timeline, self.commits));
            self.pending.push(server.log.len());
        }
    }

    /// Lets some standby receive up to three records.
    pub(crate) fn replicate(&mut self, random: &mut Random) {
        let id = self.pick(random);
        if !self.accepts_writes() || !self.streams(id) {
            return;
        }
        let count = 1 + random.below(3);
        let missing = self.log(self.leader)[self.log(id).len()..].iter().take(count);
        let records: Vec<Record> = missing.copied().collect();
        if let Some(server) = self.servers.get_mut(&id) {
            server.log.extend(records);
        }
    }

    pub(crate) fn acknowledge(&mut self) {
        if !self.accepts_writes() {
            return;
        }
        let pending = std::mem::take(&mut self.pending);
        for position in pending {
            if self.is_confirmed(position) {
                let record = self.log(self.leader)[position - 1];
                self.acknowledged.push(record);
            } else {
                self.pending.push(position);
            }
        }
    }

    /// A node dies, hangs, comes back, or loses its data, or the primary dies with the standbys that have received the
    /// most.
    pub(crate) fn fault(&mut self, random: &mut Random) {
        let id = self.pick(random);
        let fault = random.below(16);
        if (4..6).contains(&fault) {
            return self.stop_most_advanced();
        }
        let startable = id != self.leader;
        let Some(server) = self.servers.get_mut(&id) else { return };
        match fault {
            0..4 => server.stop(),
            6..8 => server.hangs = server.up,
            8..15 if server.hangs => server.hangs = false,
            8..15 => server.up |= startable && !server.deposed && !server.log.is_empty(),
            _ => *server = Server::default(),
        }
    }

    fn stop_most_advanced(&mut self) {
        let standbys = self.servers.iter().filter(|(id, _)| self.is_standby(**id));
        let mut standbys: Vec<_> = standbys.map(|(id, server)| Reverse((server.extent(), *id))).collect();
        standbys.sort_unstable();
        standbys.truncate(self.setting.as_ref().map_or(0, |quorum| quorum.confirmations as usize));
        self.stop(self.leader);
        for Reverse((_, id)) in standbys {
            self.stop(id);
        }
    }

    pub(crate) fn stop(&mut self, id: NodeId) {
        if let Some(server) = self.servers.get_mut(&id) {
            server.stop();
        }
    }

    fn record(&mut self, plan: &InstancePlan) -> Result<()> {
        self.plan.check_successor(plan)?;
        self.plan = plan.clone();
        Ok(())
    }

    /// How far standbys have received. Some answers are lost.
    pub(crate) fn received(&self, random: &mut Random) -> Vec<Received> {
        let mut received = Vec::new();
        for (id, server) in &self.servers {
            if self.is_standby(*id) && random.below(8) > 0 {
                let (timeline, length) = server.extent();
                received.push(Received { node: *id, timeline, position: WalPosition(length as u64) });
            }
        }
        received
    }

    pub(crate) fn start_primary(&mut self, plan: &InstancePlan) -> Result<()> {
        self.record(plan)?;
        let runs = self.accepts_writes() && self.term == plan.term;
        match self.servers.get_mut(&plan.primary) {
            Some(server) if plan.primary == self.leader && !server.log.is_empty() => {
                if !runs {
                    (server.up, server.hangs) = (true, false);
                    self.started += 1;
                    self.lead(plan);
                }
                Ok(())
            }
            _ => Err(Error::precondition("no data of a primary")),
        }
    }

    pub(crate) fn promote(
        &mut self,
        plan: &InstancePlan,
        before: &[Quorum],
        random: &mut Random,
    ) -> Result<()> {
        let candidate = plan.primary;
        if candidate == self.leader {
            return self.start_primary(plan);
        }
        self.record(plan)?;
        self.stop(self.leader);
        let received = self.received(random);
        if self.checks {
            check_promotion(candidate, before, &received).inspect_err(|_| self.refused += 1)?;
        } else if !self.is_standby(candidate) {
            return Err(Error::unavailable("no standby"));
        }
        if let Some(former) = self.servers.get_mut(&self.leader) {
            former.deposed = true;
        }
        let highest = self.servers.values().map(|server| server.extent().0).max().unwrap_or(0);
        if let Some(server) = self.servers.get_mut(&candidate) {
            server.log.push((highest + 1, 0));
        }
        self.promoted += 1;
        self.lead(plan);
        Ok(())
    }

    /// The primary of the plan accepts writes from now on. It must have every acknowledged commit.
    fn lead(&mut self, plan: &InstancePlan) {
        (self.leader, self.term) = (plan.primary, plan.term);
        self.setting.clone_from(&plan.quorum);
        self.barrier = None;
        self.pending.clear();
        let log: HashSet<Record> = self.log(self.leader).iter().copied().collect();
        if let Some(lost) = self.acknowledged.iter().find(|record| !log.contains(*record)) {
            let (leader, term) = (self.leader, self.term);
            self.violation = Some(format!("{leader} leads term {term} without commit {lost:?}"));
        }
    }

    pub(crate) fn apply_quorum(&mut self, plan: &InstancePlan) -> Result<bool> {
        self.record(plan)?;
        if plan.primary != self.leader || !self.accepts_writes() {
            return Ok(false);
        }
        if self.setting != plan.quorum {
            self.setting.clone_from(&plan.quorum);
            self.barrier = None;
        }
        let written = self.log(self.leader).len();
        let barrier = *self.barrier.get_or_insert(written);
        Ok(self.is_confirmed(barrier))
    }

    /// Makes a node a standby: as it is, or with a copy of the leader if it has diverged or has no data.
    pub(crate) fn rejoin(&mut self, plan: &InstancePlan, id: NodeId) -> Result<()> {
        self.record(plan)?;
        if id == self.leader || !self.accepts_writes() {
            return Err(Error::unavailable("no primary"));
        }
        let log = if self.is_prefix(id) { self.log(id) } else { self.log(self.leader) };
        let server = Server { log: log.to_vec(), up: true, ..Server::default() };
        self.servers.insert(id, server);
        Ok(())
    }

    pub(crate) fn remove_node(&mut self, plan: &InstancePlan, id: NodeId) -> Result<()> {
        self.record(plan)?;
        if id == self.leader || id == plan.primary {
            return Err(Error::precondition("the primary"));
        }
        self.servers.remove(&id);
        Ok(())
    }
}
