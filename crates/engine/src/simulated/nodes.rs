//! The nodes of a simulated cluster: positions of changes instead of WAL. Node 1 of a cluster without any other node has
//! no entry until a fault changes it.

use super::state::{ClusterData, ClusterDocument};
use crate::{Received, Rejoin, WalPosition};
use ootheca_model::{
    Error, Result,
    instance::{InstancePlan, Node, NodeRole, Power},
    node::{NodeId, Quorum, check_promotion},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SimulatedNode {
    /// The number of changes that it has received.
    position: u64,
    timeline: u32,
    /// Whether its server runs.
    up: bool,
    /// Whether its server runs but does not respond.
    #[serde(default, skip_serializing_if = "is_false")]
    hangs: bool,
    /// Whether it receives the changes of the primary.
    #[serde(default, skip_serializing_if = "is_false")]
    streams: bool,
    /// Whether it was the primary and has not rejoined since.
    #[serde(default, skip_serializing_if = "is_false")]
    deposed: bool,
    /// What it contains, unless it is the primary or streams from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<ClusterData>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl SimulatedNode {
    fn primary(position: u64) -> Self {
        Self { position, timeline: 1, up: true, hangs: false, streams: false, deposed: false, data: None }
    }

    fn responds(&self) -> bool {
        self.up && !self.hangs
    }

    /// Whether it is a standby that responds.
    fn answers(&self) -> bool {
        self.responds() && !self.deposed
    }

    /// Ends the stream. `data` is that of the primary.
    fn stop_streaming(&mut self, data: &ClusterData) {
        if self.streams {
            self.streams = false;
            self.data = Some(data.clone());
        }
    }
}

/// The nodes of a cluster.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Nodes {
    /// The node whose data is that of a primary, whether it runs or not.
    primary: NodeId,
    /// The quorum in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quorum: Option<Quorum>,
    nodes: BTreeMap<NodeId, SimulatedNode>,
}

impl Nodes {
    /// Only a primary.
    pub(super) fn of(primary: NodeId) -> Self {
        Self { primary, ..Self::default() }
    }

    /// Whether there is nothing to store.
    pub(super) fn is_initial(&self) -> bool {
        self.is_empty() && self.primary.is_first() && self.quorum.is_none()
    }

    fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether the primary responds.
    pub(super) fn accepts_writes(&self) -> bool {
        self.is_empty() || self.nodes.get(&self.primary).is_some_and(SimulatedNode::responds)
    }

    pub(super) fn primary_hangs(&self) -> bool {
        self.nodes.get(&self.primary).is_some_and(|node| node.up && node.hangs)
    }

    /// The node that accepts writes.
    pub(super) fn leader(&self) -> Option<NodeId> {
        self.accepts_writes().then_some(self.primary)
    }

    /// Whether the standbys confirm everything that the primary has.
    fn confirms(&self, quorum: Option<&Quorum>) -> bool {
        let Some(quorum) = quorum else { return true };
        let streams = |id: &&NodeId| self.nodes.get(*id).is_some_and(|node| node.streams);
        let confirmations = quorum.standbys.iter().filter(streams).count();
        u32::try_from(confirmations).unwrap_or(u32::MAX) >= quorum.confirmations
    }
}

/// The nodes of a plan. Without any, there is the first one only.
fn planned(plan: &InstancePlan) -> Vec<(NodeId, Power)> {
    match plan.nodes.is_empty() {
        true => vec![(NodeId::default(), plan.power)],
        false => plan.nodes.iter().map(|node| (node.id, node.power)).collect(),
    }
}

impl ClusterDocument {
    /// Adds the nodes of a new cluster.
    pub(super) fn add_planned_nodes(&mut self) {
        self.nodes.primary = self.plan.primary;
        if self.plan.nodes.len() < 2 {
            return;
        }
        for (id, _) in planned(&self.plan) {
            if id != self.plan.primary {
                self.add_node(id);
                self.follow(id);
            }
        }
    }

    /// Gives the primary an entry.
    fn keep_nodes(&mut self) {
        if self.nodes.is_empty() {
            self.nodes.nodes.insert(self.nodes.primary, SimulatedNode::primary(self.changes));
        }
    }

    /// Adds a copy of the primary whose server does not run.
    pub(super) fn add_node(&mut self, id: NodeId) {
        self.keep_nodes();
        let data = Some(self.data.clone());
        let timeline = self.timeline();
        let added = SimulatedNode { timeline, up: false, data, ..SimulatedNode::primary(self.changes) };
        self.nodes.nodes.entry(id).or_insert(added);
    }

    fn timeline(&self) -> u32 {
        self.nodes.nodes.get(&self.nodes.primary).map_or(1, |node| node.timeline)
    }

    /// Stops a node. Standbys of a primary that stops receive nothing more.
    pub(super) fn stop_node(&mut self, id: NodeId, hangs: bool) {
        self.keep_nodes();
        if id == self.nodes.primary {
            self.nodes.nodes.values_mut().for_each(|node| node.stop_streaming(&self.data));
        }
        if let Some(node) = self.nodes.nodes.get_mut(&id) {
            node.stop_streaming(&self.data);
            node.hangs = hangs && node.up;
            node.up = node.hangs;
        }
    }

    /// Removes a node with its data.
    pub(super) fn lose_node(&mut self, id: NodeId) {
        self.stop_node(id, false);
        self.nodes.nodes.remove(&id);
    }

    /// Lets a node with data stream from the primary. Returns whether it did not before.
    pub(super) fn follow(&mut self, id: NodeId) -> bool {
        let (position, timeline) = (self.changes, self.timeline());
        if id == self.nodes.primary || !self.nodes.accepts_writes() {
            return false;
        }
        let Some(node) = self.nodes.nodes.get_mut(&id).filter(|node| !node.streams) else { return false };
        *node = SimulatedNode { streams: true, timeline, ..SimulatedNode::primary(position) };
        true
    }

    /// Lets those standbys stream again that need no new connection: their timeline is that of the primary.
    fn reconnect(&mut self) {
        let timeline = self.timeline();
        let waiting = self.nodes.nodes.iter().filter(|(_, node)| node.answers() && node.timeline == timeline);
        for id in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.follow(id);
        }
    }

    /// Starts the primary, unless it runs.
    fn start(&mut self) -> bool {
        let primary = self.nodes.primary;
        let stopped = self.nodes.nodes.get_mut(&primary).filter(|node| !node.responds());
        let Some(node) = stopped else { return false };
        (node.up, node.hangs) = (true, false);
        self.reconnect();
        true
    }

    /// Starts the primary of the plan. Returns whether it did not run before.
    pub(super) fn start_primary(&mut self) -> Result<bool> {
        let primary = self.plan.primary;
        let has_data = self.nodes.is_empty() || self.nodes.nodes.contains_key(&primary);
        if primary != self.nodes.primary || !has_data {
            return Err(Error::precondition(format!("node {primary} has no data of a primary")));
        }
        Ok(self.start())
    }

    /// Whether `ensure` would start or stop nothing.
    pub(super) fn matches_plan(&self) -> bool {
        (self.nodes.is_empty() && self.plan.nodes.len() < 2) || !self.clone().match_plan()
    }

    /// What `ensure` does besides recording the plan. Returns whether a server was started or stopped.
    pub(super) fn match_plan(&mut self) -> bool {
        let mut changed = false;
        let primary = self.nodes.primary;
        if self.nodes.is_empty() && self.plan.nodes.len() < 2 {
            return false;
        }
        self.keep_nodes();
        let planned = planned(&self.plan);
        let is_on = |id: NodeId| planned.iter().any(|(planned, power)| *planned == id && *power == Power::On);
        if self.runs(primary) && (primary != self.plan.primary || !is_on(primary)) {
            self.stop_node(primary, false);
            changed = true;
        }
        if self.plan.quorum.is_none() && primary == self.plan.primary && is_on(primary) {
            changed |= self.start();
        }
        for (id, power) in &planned {
            if *id == primary {
                continue;
            }
            match power {
                Power::Off if self.runs(*id) => self.stop_node(*id, false),
                Power::On if self.starts(*id) => {}
                _ => continue,
            }
            changed = true;
        }
        changed
    }

    pub(super) fn runs(&self, id: NodeId) -> bool {
        match self.nodes.nodes.get(&id) {
            Some(node) => node.up,
            None => self.nodes.is_empty() && id == self.nodes.primary,
        }
    }

    /// Starts a standby that does not respond. It streams if it needs no new connection.
    fn starts(&mut self, id: NodeId) -> bool {
        let stopped = self.nodes.nodes.get_mut(&id).filter(|node| !node.responds() && !node.deposed);
        let Some(node) = stopped else { return false };
        (node.up, node.hangs) = (true, false);
        self.reconnect();
        true
    }

    /// Advances the primary and every standby that streams.
    pub(super) fn replicate(&mut self) {
        for (id, node) in &mut self.nodes.nodes {
            if *id == self.nodes.primary || node.streams {
                node.position = self.changes;
            }
        }
    }

    /// Returns `Unavailable` unless the quorum in force confirms the last change. The primary keeps the change.
    pub(super) fn confirmed(&self) -> Result<()> {
        match self.nodes.confirms(self.nodes.quorum.as_ref()) {
            true => Ok(()),
            false => Err(Error::unavailable("too few standbys have confirmed the change")),
        }
    }

    pub(super) fn apply_quorum(&mut self) -> bool {
        self.nodes.quorum.clone_from(&self.plan.quorum);
        self.nodes.accepts_writes() && self.nodes.confirms(self.nodes.quorum.as_ref())
    }

    pub(super) fn received(&self) -> Vec<Received> {
        let nodes = self.nodes.nodes.iter();
        let standbys = nodes.filter(|(id, node)| **id != self.nodes.primary && node.answers());
        let received = standbys.map(|(id, node)| Received {
            node: *id,
            timeline: node.timeline,
            position: WalPosition(node.position),
        });
        received.collect()
    }

    /// Fences the former primary, and makes the node of the plan the primary.
    pub(super) fn promote(&mut self, before: &[Quorum]) -> Result<()> {
        let (former, candidate) = (self.nodes.primary, self.plan.primary);
        if candidate == former {
            self.start_primary()?;
            return Ok(());
        }
        self.stop_node(former, false);
        check_promotion(candidate, before, &self.received())?;
        let highest = self.nodes.nodes.values().map(|node| node.timeline).max().unwrap_or(1);
        if let Some(node) = self.nodes.nodes.get_mut(&former) {
            (node.data, node.deposed) = (Some(self.data.clone()), true);
        }
        let Some(node) = self.nodes.nodes.get_mut(&candidate) else { return Ok(()) };
        node.timeline = highest + 1;
        if let Some(data) = node.data.take() {
            self.data = data;
        }
        let lost = self.changes.saturating_sub(node.position);
        if lost > 0 {
            let kept = self.recent.len().saturating_sub(usize::try_from(lost).unwrap_or(usize::MAX));
            self.recent.truncate(kept);
            // A number never stands for two changes, because it is the name of a WAL segment.
            self.changes += 1;
        }
        self.nodes.primary = candidate;
        self.nodes.quorum.clone_from(&self.plan.quorum);
        self.replicate();
        Ok(())
    }

    /// `Unavailable` while no primary accepts writes.
    pub(super) fn rejoin(&mut self, id: NodeId) -> Result<Rejoin> {
        if id == self.nodes.primary {
            return Err(Error::precondition(format!("node {id} is the primary")));
        }
        if !self.nodes.accepts_writes() {
            return Err(Error::unavailable("the primary is not ready"));
        }
        Ok(match self.nodes.nodes.get(&id) {
            None => Rejoin::NeedsReseed,
            Some(node) if node.streams => Rejoin::Streaming,
            Some(_) => {
                self.follow(id);
                Rejoin::Started
            }
        })
    }

    /// Restarts a standby.
    pub(super) fn restart_node(&mut self, id: NodeId) -> Result<()> {
        if id == self.nodes.primary {
            return Err(Error::precondition(format!("node {id} is the primary")));
        }
        let node = self.nodes.nodes.get_mut(&id).filter(|node| !node.deposed);
        let node = node.ok_or_else(|| Error::precondition(format!("node {id} is not a standby")))?;
        (node.up, node.hangs) = (true, false);
        self.reconnect();
        Ok(())
    }

    /// Whether a node is the primary, by its data or by the plan.
    pub(super) fn is_primary(&self, id: NodeId) -> bool {
        id == self.nodes.primary || id == self.plan.primary
    }

    pub(super) fn has_node(&self, id: NodeId) -> bool {
        self.nodes.nodes.contains_key(&id) || (self.nodes.is_empty() && id == self.nodes.primary)
    }

    /// The nodes of the plan. `ready` is whether the primary is.
    pub(super) fn observed_nodes(&self, ready: bool) -> Vec<Node> {
        let ids = planned(&self.plan).into_iter().filter(|(_, power)| *power == Power::On);
        ids.map(|(id, _)| self.observed_node(id, ready)).collect()
    }

    fn observed_node(&self, id: NodeId, ready: bool) -> Node {
        let is_primary = id == self.nodes.primary;
        let standby = self.nodes.nodes.get(&id).filter(|node| !is_primary && node.up && !node.deposed);
        let role = match standby {
            Some(_) => NodeRole::Standby,
            None if is_primary && self.runs(id) => NodeRole::Primary,
            None => NodeRole::None,
        };
        let answering = standby.filter(|node| node.answers());
        Node {
            id,
            name: id.to_string(),
            role,
            live: ready && (is_primary || standby.is_some_and(|node| node.streams)),
            lag_bytes: answering.map(|node| self.changes.saturating_sub(node.position)),
            version: super::ENGINE.to_owned(),
            pid: None,
        }
    }
}
