//! Quorums: how many standbys confirm a commit, and how many must respond before one of them becomes the primary.

use super::{Leadership, NodeId, NodeSpec, NodeStage, Quorum};

/// The quorum of these nodes with this primary: all other members, of which k = ⌊N / 2⌋ must confirm. `None` if there
/// are no others.
pub fn quorum_of(nodes: &[NodeSpec], primary: NodeId) -> Option<Quorum> {
    let members = nodes.iter().filter(|node| node.stage == NodeStage::Member && node.id != primary);
    let mut standbys: Vec<NodeId> = members.map(|node| node.id).collect();
    standbys.sort_unstable();
    let confirmations = u32::try_from(standbys.len().div_ceil(2)).unwrap_or(u32::MAX);
    (confirmations > 0).then_some(Quorum { standbys, confirmations })
}

/// How many standbys of a quorum must respond, so that at least one of them has each commit that was confirmed:
/// S - k + 1.
pub fn needed(quorum: &Quorum) -> usize {
    (quorum.standbys.len() + 1).saturating_sub(usize::try_from(quorum.confirmations).unwrap_or(usize::MAX))
}

/// Whether enough standbys of `quorum` are among those that responded.
pub fn has_needed_answers(quorum: &Quorum, responded: impl Fn(NodeId) -> bool) -> bool {
    quorum.standbys.iter().filter(|standby| responded(**standby)).count() >= needed(quorum)
}

impl Quorum {
    /// The quorum after a change of the primary: the old primary is a standby, and the new one is not. The old primary
    /// and k others have each commit that was confirmed before, so at least k of these standbys have it. Applied with
    /// the nodes exchanged, it returns a quorum that requires the same as the one before the change.
    #[must_use]
    pub fn with_primary(&self, from: NodeId, to: NodeId) -> Self {
        let mut standbys = self.standbys.clone();
        standbys.push(from);
        standbys.retain(|standby| *standby != to);
        standbys.sort_unstable();
        standbys.dedup();
        Self { standbys, confirmations: self.confirmations }
    }
}

impl Leadership {
    /// The quorum that counted before the change of the primary in progress, given the one in the row, which already
    /// counts for the new primary if the row names it.
    #[must_use]
    pub fn quorum_before(&self, quorum: &Quorum) -> Quorum {
        match &self.change {
            Some(change) if change.to == self.primary => quorum.with_primary(change.to, change.from),
            _ => quorum.clone(),
        }
    }
}
