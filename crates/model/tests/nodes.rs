//! Property tests of the decisions about nodes: placement, quorums, failover, and the order of restarts.

#![allow(clippy::unwrap_used)]

use ootheca_model::{
    ErrorKind,
    cluster::ClusterRegion,
    instance::{Node, NodeRole},
    node::{
        Decision, FailoverFacts, Leadership, NextRestart, NodeId, NodeSpec, NodeStage, Quorum, Received,
        WalPosition, ZONES, check_promotion, decide, has_needed_answers, needed, next_restart, place,
        quorum_of, zone_of,
    },
};
use proptest::prelude::*;

const REGIONS: [&str; 3] = ["us-east1", "us-east-1", "eastus"];
const MAX_NODES: u32 = 9;

fn ids() -> Vec<NodeId> {
    (1..=MAX_NODES).map(NodeId).collect()
}

fn any_id() -> impl Strategy<Value = NodeId> {
    (1..=MAX_NODES).prop_map(NodeId)
}

fn any_stage() -> impl Strategy<Value = NodeStage> {
    prop::sample::select(&[NodeStage::Joining, NodeStage::Member, NodeStage::Leaving][..])
}

/// Numbers of nodes by region, of which at least one is not 0.
fn any_regions() -> impl Strategy<Value = Vec<ClusterRegion>> {
    let count = || prop_oneof![Just(0u32), 3u32..=7];
    let region = |(name, nodes): (&str, u32)| ClusterRegion { name: name.to_owned(), nodes, primary: false };
    [count(), count(), count()].prop_filter_map("no node", move |counts| {
        let all = REGIONS.into_iter().zip(counts).filter(|(_, nodes)| *nodes > 0);
        let regions: Vec<ClusterRegion> = all.map(region).collect();
        (!regions.is_empty()).then_some(regions)
    })
}

fn any_nodes() -> impl Strategy<Value = Vec<NodeSpec>> {
    let node = (any_stage(), prop::sample::select(&REGIONS[..]));
    prop::collection::vec(node, MAX_NODES as usize).prop_map(|nodes| {
        let spec = |(id, (stage, region)): (NodeId, (NodeStage, &str))| {
            let (region, zone) = (region.to_owned(), zone_of(region, 0));
            NodeSpec { id, region, zone, stage }
        };
        ids().into_iter().zip(nodes).map(spec).collect::<Vec<_>>()
    })
}

/// A quorum of some standbys, with any number of confirmations.
fn any_quorum() -> impl Strategy<Value = Quorum> {
    let standbys = prop::sample::subsequence(ids(), 1..=MAX_NODES as usize);
    (standbys, any::<prop::sample::Index>()).prop_map(|(standbys, confirmations)| {
        let confirmations = 1 + confirmations.index(standbys.len()) as u32;
        Quorum { standbys, confirmations }
    })
}

/// A quorum with k of its standbys.
fn confirmed() -> impl Strategy<Value = (Quorum, Vec<NodeId>)> {
    any_quorum().prop_flat_map(|quorum| {
        let count = quorum.confirmations as usize;
        let confirming = prop::sample::subsequence(quorum.standbys.clone(), count);
        (Just(quorum), confirming)
    })
}

fn any_received() -> impl Strategy<Value = Vec<Received>> {
    let extents = prop::collection::vec((1u32..3, 0u64..3), MAX_NODES as usize);
    (prop::sample::subsequence(ids(), 0..=MAX_NODES as usize), extents).prop_map(|(nodes, extents)| {
        let received = |(node, (timeline, position))| {
            let position = WalPosition(position);
            Received { node, timeline, position }
        };
        nodes.into_iter().zip(extents).map(received).collect::<Vec<_>>()
    })
}

/// Completes what was begun: new nodes have joined, and surplus ones are gone.
fn settle(nodes: &mut Vec<NodeSpec>) {
    nodes.retain(|node| node.stage != NodeStage::Leaving);
    nodes.iter_mut().for_each(|node| node.stage = NodeStage::Member);
}

fn in_zones(nodes: &[NodeSpec], region: &str) -> Vec<usize> {
    let stays = |node: &&NodeSpec| node.region == region && node.stage != NodeStage::Leaving;
    let count = |zone: String| nodes.iter().filter(stays).filter(|node| node.zone == zone).count();
    (0..ZONES).map(|index| count(zone_of(region, index))).collect()
}

proptest! {
    #[test]
    fn nodes_are_placed_evenly_and_existing_ones_stay(changes in prop::collection::vec(any_regions(), 1..5)) {
        let (mut nodes, mut last) = (Vec::<NodeSpec>::new(), 0);
        for regions in changes {
            let placed = place(&regions, &nodes, last);
            for region in &regions {
                let zones = in_zones(&placed.nodes, &region.name);
                prop_assert_eq!(zones.iter().sum::<usize>(), region.nodes as usize);
                prop_assert!(zones.iter().max().unwrap() - zones.iter().min().unwrap() <= 1, "{:?}", zones);
            }
            let staying = placed.nodes.iter().filter(|node| node.stage != NodeStage::Leaving);
            let wanted = regions.iter().map(|region| region.nodes as usize).sum::<usize>();
            prop_assert_eq!(staying.count(), wanted);
            for (before, after) in nodes.iter().zip(&placed.nodes) {
                let leaves = NodeSpec { stage: NodeStage::Leaving, ..before.clone() };
                prop_assert!(after == before || *after == leaves);
            }
            let numbers: Vec<u32> = placed.nodes[nodes.len()..].iter().map(|node| node.id.0).collect();
            let unused: Vec<u32> = (last + 1..=placed.last_node).collect();
            prop_assert_eq!(numbers, unused);
            prop_assert_eq!(&place(&regions, &placed.nodes, placed.last_node), &placed);
            (nodes, last) = (placed.nodes, placed.last_node);
            settle(&mut nodes);
        }
    }

    #[test]
    fn half_of_the_members_confirm_in_addition_to_the_primary(nodes in any_nodes(), primary in any_id()) {
        let is_member = |node: &&NodeSpec| node.stage == NodeStage::Member && node.id != primary;
        let standbys: Vec<NodeId> = nodes.iter().filter(is_member).map(|node| node.id).collect();
        match quorum_of(&nodes, primary) {
            Some(quorum) => {
                prop_assert_eq!(quorum.confirmations as usize, standbys.len().div_ceil(2));
                prop_assert_eq!(quorum.standbys, standbys);
            }
            None => prop_assert!(standbys.is_empty()),
        }
    }

    /// Fewer are not enough: k + needed - 1 = S.
    #[test]
    fn a_set_that_may_decide_intersects_every_set_that_has_confirmed(
        (quorum, confirming) in confirmed(),
        responded in prop::sample::subsequence(ids(), 0..=MAX_NODES as usize),
    ) {
        if has_needed_answers(&quorum, |node| responded.contains(&node)) {
            prop_assert!(confirming.iter().any(|node| responded.contains(node)));
        }
        prop_assert_eq!(needed(&quorum) + quorum.confirmations as usize, quorum.standbys.len() + 1);
    }

    /// Whatever the primary was and will be, each commit that was confirmed before counts as confirmed in the later
    /// quorums.
    #[test]
    fn changes_of_the_primary_keep_the_confirmations(
        (quorum, mut holders) in confirmed(),
        changes in prop::collection::vec((1..=MAX_NODES + 1).prop_map(NodeId), 0..6),
    ) {
        let (mut primary, mut current) = (NodeId(MAX_NODES + 1), quorum);
        holders.push(primary);
        for next in changes {
            if next == primary {
                continue;
            }
            let after = current.with_primary(primary, next);
            prop_assert!(!after.standbys.contains(&next) && after.standbys.is_sorted());
            if current.standbys.contains(&next) {
                prop_assert_eq!(&after.with_primary(next, primary), &current);
            }
            (primary, current) = (next, after);
            let confirmations = current.standbys.iter().filter(|node| holders.contains(node)).count();
            prop_assert!(confirmations >= current.confirmations as usize);
        }
    }

    #[test]
    fn the_most_advanced_standby_is_promoted_only_with_the_answers_of_both_quorums(
        mut nodes in any_nodes(),
        (primary, last_primary) in (any_id(), prop::option::of(any_id())),
        (quorum, next_quorum) in (prop::option::of(any_quorum()), prop::option::of(any_quorum())),
        received in any_received(),
    ) {
        let quorums: Vec<Quorum> = quorum.iter().chain(&next_quorum).cloned().collect();
        let counts = |id: NodeId| quorums.iter().any(|quorum| quorum.standbys.contains(&id));
        for node in nodes.iter_mut().filter(|node| counts(node.id) && node.stage == NodeStage::Joining) {
            node.stage = NodeStage::Member;
        }
        let responded = |id: NodeId| received.iter().any(|standby| standby.node == id);
        let enough = quorums.iter().all(|quorum| has_needed_answers(quorum, responded));
        let may_decide = quorum.is_some() && enough;
        let decision = decide(&FailoverFacts {
            nodes: &nodes,
            leadership: &Leadership { primary, ..Leadership::default() },
            quorum: quorum.as_ref(),
            next_quorum: next_quorum.as_ref(),
            received: &received,
            last_primary,
        });
        let spec = |id: NodeId| nodes.iter().find(|node| node.id == id).unwrap();
        match decision {
            Decision::Promote(chosen) => {
                prop_assert!(may_decide);
                check_promotion(chosen, &quorums, &received).unwrap();
                let rank = |standby: &Received| (standby.timeline, standby.position);
                let best = received.iter().find(|standby| standby.node == chosen).unwrap();
                let is_near = |id: NodeId| spec(id).region == spec(primary).region;
                for other in received.iter().filter(|other| spec(other.node).stage != NodeStage::Joining) {
                    prop_assert!(rank(other) <= rank(best));
                    if rank(other) == rank(best) && other.node != chosen {
                        let (near, other_near) = (is_near(chosen), is_near(other.node));
                        prop_assert!((near && !other_near) || (near == other_near && chosen < other.node));
                    }
                }
            }
            Decision::StartPrimary(node) => prop_assert!(!may_decide && last_primary == Some(node)),
            Decision::QuorumLost => prop_assert!(!may_decide && last_primary.is_none()),
        }
    }

    #[test]
    fn nodes_are_restarted_one_at_a_time_and_the_primary_last(
        count in 1u32..=MAX_NODES,
        wanted in prop::sample::subsequence(ids(), 0..=MAX_NODES as usize),
        first in any_id(),
    ) {
        let role = |id: u32| if id == first.0 { NodeRole::Primary } else { NodeRole::Standby };
        let mut nodes: Vec<Node> = (1..=count).map(|id| node(id, role(id))).collect();
        let mut wanted: Vec<NodeId> = wanted.into_iter().filter(|id| id.0 <= count).collect();
        loop {
            let next = next_restart(&nodes, &wanted);
            let id = match next {
                NextRestart::Standby(id) => id,
                NextRestart::Primary(id) => {
                    prop_assert!(id == first && wanted == [first]);
                    nodes.iter_mut().for_each(|node| node.role = NodeRole::Standby);
                    continue;
                }
                NextRestart::Wait => panic!("all nodes are live"),
                NextRestart::Done => break,
            };
            let position = nodes.iter().position(|node| node.id == id).unwrap();
            prop_assert!(nodes[position].role == NodeRole::Standby && wanted.contains(&id));
            nodes[position].live = false;
            prop_assert_eq!(next_restart(&nodes, &wanted), next, "nothing else is restarted meanwhile");
            nodes[position].live = true;
            wanted.retain(|wanted| *wanted != id);
        }
        prop_assert!(wanted.is_empty());
    }
}

fn node(id: u32, role: NodeRole) -> Node {
    let id = NodeId(id);
    let name = id.to_string();
    Node { id, name, role, live: true, lag_bytes: None, version: String::new(), pid: None }
}

#[test]
fn no_live_node_is_restarted_while_another_one_is_not_live() {
    let mut nodes = vec![node(1, NodeRole::Primary), node(2, NodeRole::Standby), node(3, NodeRole::Standby)];
    nodes[1].live = false;
    assert_eq!(next_restart(&nodes, &[NodeId(1), NodeId(3)]), NextRestart::Wait);
    assert_eq!(next_restart(&nodes, &[NodeId(1)]), NextRestart::Wait);
    assert_eq!(next_restart(&nodes, &[NodeId(2), NodeId(3)]), NextRestart::Standby(NodeId(2)));
    assert_eq!(next_restart(&nodes, &[]), NextRestart::Done);
}

#[test]
fn a_promotion_against_the_law_is_refused() {
    let quorum = |standbys: &[u32], confirmations| Quorum {
        standbys: standbys.iter().copied().map(NodeId).collect(),
        confirmations,
    };
    let at = |node, timeline, position| {
        let (node, position) = (NodeId(node), WalPosition(position));
        Received { node, timeline, position }
    };
    let before = [quorum(&[2, 3], 1), quorum(&[2, 3, 4, 5], 2)];
    let refused =
        |node, received: &[Received]| check_promotion(NodeId(node), &before, received).unwrap_err().kind();
    let all = [at(2, 1, 9), at(3, 2, 5), at(4, 2, 5)];
    check_promotion(NodeId(3), &before, &all).unwrap();
    check_promotion(NodeId(4), &before, &all).unwrap();
    assert_eq!(refused(2, &all), ErrorKind::Precondition, "a later timeline is more");
    assert_eq!(refused(5, &all), ErrorKind::Unavailable, "the node itself does not respond");
    assert_eq!(refused(3, &all[..2]), ErrorKind::Unavailable, "the next quorum counts too");
    assert_eq!(refused(4, &all[1..]), ErrorKind::Unavailable, "the quorum in force counts too");
}

#[test]
fn a_quorum_of_three_nodes_needs_one_confirmation_and_of_five_two() {
    let region = |nodes| ClusterRegion { name: "us-east1".to_owned(), nodes, primary: false };
    for (nodes, confirmations, wanted) in [(3, 1, 2), (4, 2, 2), (5, 2, 3), (9, 4, 5)] {
        let mut placed = place(&[region(nodes)], &[], 0).nodes;
        let stages: Vec<NodeStage> = placed.iter().skip(1).map(|node| node.stage).collect();
        assert_eq!(placed[0].stage, NodeStage::Member, "the primary");
        assert!(stages.iter().all(|stage| *stage == NodeStage::Joining), "{stages:?}");
        settle(&mut placed);
        let quorum = quorum_of(&placed, NodeId::FIRST).unwrap();
        assert_eq!((quorum.confirmations, needed(&quorum)), (confirmations, wanted), "{nodes} nodes");
    }
}

#[test]
fn zones_are_named_like_those_of_the_provider() {
    let names = REGIONS.map(|region| zone_of(region, 1));
    assert_eq!(names, ["us-east1-b", "us-east-1b", "eastus-b"]);
}
