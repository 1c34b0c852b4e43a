//! Which nodes a cluster has, and in which zones.

use super::{NodeId, NodeSpec, NodeStage};
use crate::cluster::ClusterRegion;

/// The number of zones of a region.
pub const ZONES: usize = 3;

/// The nodes of a cluster, and the highest number that was ever used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Sorted by number.
    pub nodes: Vec<NodeSpec>,
    pub last_node: u32,
}

/// The name of a zone, from 0, as the provider would write it: `us-east-1a` (AWS), `us-east1-a`, `eastus-a`.
pub fn zone_of(region: &str, index: usize) -> String {
    let letter = ["a", "b", "c"][index % ZONES];
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let numbered = region.rsplit_once('-').is_some_and(|(_, end)| is_number(end));
    let dash = if numbered { "" } else { "-" };
    format!("{region}{dash}{letter}")
}

/// The nodes that an ADVANCED cluster with these regions has, given those that it has now. Nodes that remain don't
/// change. New ones join in the zones with the fewest nodes, and surplus ones leave the zones with the most nodes, the
/// highest number first. The first node of a new cluster is a member at once, because it is the primary.
pub fn place(regions: &[ClusterRegion], nodes: &[NodeSpec], last_node: u32) -> Placement {
    let highest = nodes.iter().map(|node| node.id.0).max().unwrap_or(0);
    let mut placed = Placement { nodes: nodes.to_vec(), last_node: last_node.max(highest) };
    for node in &mut placed.nodes {
        if !regions.iter().any(|region| region.name == node.region) {
            node.stage = NodeStage::Leaving;
        }
    }
    for region in regions {
        let wanted = usize::try_from(region.nodes).unwrap_or(usize::MAX);
        while placed.staying(&region.name) > wanted {
            placed.remove_one(&region.name);
        }
        while placed.staying(&region.name) < wanted {
            placed.add_one(&region.name);
        }
    }
    placed.nodes.sort_by_key(|node| node.id);
    placed
}

impl Placement {
    fn staying(&self, region: &str) -> usize {
        self.nodes.iter().filter(|node| node.stays_in(region)).count()
    }

    fn in_zone(&self, region: &str, zone: &str) -> usize {
        self.nodes.iter().filter(|node| node.stays_in(region) && node.zone == zone).count()
    }

    fn add_one(&mut self, region: &str) {
        let zones = (0..ZONES).map(|index| zone_of(region, index));
        let Some(zone) = zones.min_by_key(|zone| self.in_zone(region, zone)) else { return };
        let stage = if self.nodes.is_empty() { NodeStage::Member } else { NodeStage::Joining };
        self.last_node += 1;
        self.nodes.push(NodeSpec { id: NodeId(self.last_node), region: region.to_owned(), zone, stage });
    }

    fn remove_one(&mut self, region: &str) {
        let staying = self.nodes.iter().filter(|node| node.stays_in(region));
        let surplus = staying.max_by_key(|node| (self.in_zone(region, &node.zone), node.id));
        let Some(id) = surplus.map(|node| node.id) else { return };
        if let Some(node) = self.nodes.iter_mut().find(|node| node.id == id) {
            node.stage = NodeStage::Leaving;
        }
    }
}

impl NodeSpec {
    fn stays_in(&self, region: &str) -> bool {
        self.region == region && self.stage != NodeStage::Leaving
    }
}
