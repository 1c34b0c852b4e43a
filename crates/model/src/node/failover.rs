//! Which node becomes the primary when the primary does not work.

use super::{Leadership, NodeId, NodeSpec, NodeStage, Quorum, has_needed_answers};
use crate::{Error, Result};
use std::cmp::Reverse;

/// A position in the WAL, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WalPosition(pub u64);

/// How far a standby has received WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    pub node: NodeId,
    pub timeline: u32,
    pub position: WalPosition,
}

impl Received {
    fn extent(&self) -> (u32, WalPosition) {
        (self.timeline, self.position)
    }
}

/// What [`decide`] decides from. The old primary must be fenced before standbys are asked how far they have received
/// WAL.
#[derive(Clone, Copy, Debug)]
pub struct FailoverFacts<'a> {
    /// The nodes of the cluster.
    pub nodes: &'a [NodeSpec],
    pub leadership: &'a Leadership,
    /// The quorum in force. Without one, commits were acknowledged without a confirmation, so no standby is promoted.
    pub quorum: Option<&'a Quorum>,
    /// The quorum that is being applied.
    pub next_quorum: Option<&'a Quorum>,
    /// The standbys that responded.
    pub received: &'a [Received],
    /// The node that accepted writes last, if it can be started in place: the primary, or the one before if it is
    /// certain that the primary was never promoted.
    pub last_primary: Option<NodeId>,
}

/// What happens when the primary does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The standby becomes the primary, in the next term.
    Promote(NodeId),
    /// Too few standbys responded. The node is started in place; in the next term if it is not the primary.
    StartPrimary(NodeId),
    /// Too few standbys responded, and the data of the primary is gone.
    QuorumLost,
}

/// Promotes the standby that has received the most WAL, if enough standbys of both quorums responded. Among equals,
/// prefers the region of the primary, then the lowest number.
pub fn decide(facts: &FailoverFacts<'_>) -> Decision {
    match (facts.candidate(), facts.last_primary) {
        (Some(standby), _) => Decision::Promote(standby),
        (None, Some(primary)) => Decision::StartPrimary(primary),
        (None, None) => Decision::QuorumLost,
    }
}

impl FailoverFacts<'_> {
    fn candidate(&self) -> Option<NodeId> {
        let responded = |node: NodeId| self.received.iter().any(|received| received.node == node);
        let mut quorums = std::iter::once(self.quorum?).chain(self.next_quorum);
        if !quorums.all(|quorum| has_needed_answers(quorum, responded)) {
            return None;
        }
        let region = |id: NodeId| self.spec(id).map(|node| node.region.as_str());
        let home = region(self.leadership.primary);
        let joined = |id: NodeId| self.spec(id).is_some_and(|node| node.stage != NodeStage::Joining);
        let rank = |of: &&Received| (of.extent(), region(of.node) == home, Reverse(of.node));
        let candidates = self.received.iter().filter(|received| joined(received.node));
        candidates.max_by_key(rank).map(|received| received.node)
    }

    fn spec(&self, id: NodeId) -> Option<&NodeSpec> {
        self.nodes.iter().find(|node| node.id == id)
    }
}

/// Checks that `node` may be promoted, given the quorums that counted before, see [`Leadership::quorum_before`].
/// Returns `Unavailable` if it or too many others did not respond, and `Precondition` if a standby of a quorum has
/// received more.
pub fn check_promotion(node: NodeId, before: &[Quorum], received: &[Received]) -> Result<()> {
    let find = |id: NodeId| received.iter().find(|standby| standby.node == id);
    let candidate = find(node).ok_or_else(|| Error::unavailable(format!("node {node} does not respond")))?;
    if !before.iter().all(|quorum| has_needed_answers(quorum, |standby| find(standby).is_some())) {
        return Err(Error::unavailable(format!("too few standbys respond to promote node {node}")));
    }
    let mut standbys = before.iter().flat_map(|quorum| &quorum.standbys).filter_map(|standby| find(*standby));
    match standbys.find(|standby| standby.extent() > candidate.extent()) {
        Some(ahead) => {
            Err(Error::precondition(format!("node {} has received more than node {node}", ahead.node)))
        }
        None => Ok(()),
    }
}
