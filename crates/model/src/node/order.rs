//! The order in which nodes are restarted.

use super::NodeId;
use crate::instance::{Node, NodeRole};

/// What a rolling restart does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextRestart {
    /// No node has to be restarted.
    Done,
    /// Another node is not live.
    Wait,
    /// This standby is restarted.
    Standby(NodeId),
    /// The primary is the last one: a standby takes over, and then it is restarted.
    Primary(NodeId),
}

/// The next one of the nodes in `wanted` to restart: one at a time, standbys first, the lowest number first. A standby
/// that is not live precedes the others, and a live node is restarted only while all nodes are live.
pub fn next_restart(nodes: &[Node], wanted: &[NodeId]) -> NextRestart {
    let is_primary = |node: &Node| node.role == NodeRole::Primary;
    let remaining = nodes.iter().filter(|node| wanted.contains(&node.id));
    match remaining.min_by_key(|node| (is_primary(node), node.live, node.id)) {
        None => NextRestart::Done,
        Some(node) if !is_primary(node) && !node.live => NextRestart::Standby(node.id),
        Some(_) if nodes.iter().any(|node| !node.live) => NextRestart::Wait,
        Some(node) if is_primary(node) => NextRestart::Primary(node.id),
        Some(node) => NextRestart::Standby(node.id),
    }
}
