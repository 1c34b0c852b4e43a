//! Tests of the nodes of ADVANCED clusters: how many a cluster can have, and how they are added and removed.

#![allow(clippy::unwrap_used)]

use ootheca_model::{
    Cluster, ClusterId, ClusterState, ErrorKind, OrganizationId, Plan, PrincipalId, Result, Timestamp,
    catalog::{Catalog, Region, Version},
    cluster::{
        CloudProvider, ClusterStatus, ReleaseType, SupportStatus,
        create::{Birth, MachineSpec, NewCluster, NewDedicated, check_capacity, create},
        patch::{ClusterPatch, PatchDedicated, patch},
    },
    node::{NodeId, NodeStage},
};
use std::collections::BTreeMap;
use uuid::Uuid;

const LATER: Timestamp = Timestamp(2_000_000);

fn catalog() -> Catalog {
    let region = |provider, name: &str| Region {
        provider,
        name: name.into(),
        location: String::new(),
        serverless: false,
    };
    Catalog {
        default_version: "v25.4".into(),
        versions: vec![Version {
            version: "v25.4".into(),
            full_version: "v25.4.1".into(),
            release_type: ReleaseType::Regular,
            support_status: SupportStatus::Supported,
            support_end: Timestamp(0),
            allowed_upgrades: Vec::new(),
            postgres: "newest".into(),
        }],
        regions: vec![
            region(CloudProvider::Gcp, "us-east1"),
            region(CloudProvider::Gcp, "us-west2"),
            region(CloudProvider::Azure, "eastus"),
        ],
    }
}

fn advanced(provider: CloudProvider, region_nodes: &[(&str, i64)]) -> Result<Cluster> {
    let block = NewDedicated {
        region_nodes: region_nodes.iter().map(|(name, nodes)| ((*name).to_owned(), *nodes)).collect(),
        machine: MachineSpec { virtual_cpus: Some(4), machine_type: None },
        ..Default::default()
    };
    let request = NewCluster {
        name: "demo-adv".into(),
        provider: Some(provider),
        plan: Some(Plan::Advanced),
        dedicated: Some(block),
        ..Default::default()
    };
    let birth = Birth {
        id: ClusterId(Uuid::nil()),
        tenant: 123,
        organization: OrganizationId(Uuid::nil()),
        creator: PrincipalId(Uuid::nil()),
        now: Timestamp(1_000_000),
    };
    create(request, birth, &catalog(), |_| Ok("15".into())).map(|(cluster, _)| cluster)
}

/// A cluster whose nodes are all members.
fn running(region_nodes: &[(&str, i64)]) -> Cluster {
    settled(advanced(CloudProvider::Gcp, region_nodes).unwrap())
}

/// The cluster once its operation is complete.
fn settled(mut cluster: Cluster) -> Cluster {
    cluster.state = ClusterState::Created;
    cluster.operation = None;
    cluster.observed.generation = cluster.generation;
    cluster.nodes.retain(|node| node.stage != NodeStage::Leaving);
    cluster.nodes.iter_mut().for_each(|node| node.stage = NodeStage::Member);
    cluster
}

fn wanted(region_nodes: &[(&str, i64)]) -> ClusterPatch {
    let region_nodes = region_nodes.iter().map(|(name, nodes)| ((*name).to_owned(), *nodes)).collect();
    let block = PatchDedicated { region_nodes: Some(region_nodes), ..Default::default() };
    ClusterPatch { dedicated: Some(block), ..Default::default() }
}

fn scale(cluster: &Cluster, region_nodes: &[(&str, i64)]) -> Result<Cluster> {
    patch(cluster, &wanted(region_nodes), &catalog(), LATER)
}

fn with_stage(cluster: &Cluster, stage: NodeStage) -> Vec<u32> {
    cluster.nodes.iter().filter(|node| node.stage == stage).map(|node| node.id.0).collect()
}

#[test]
fn a_cluster_has_one_node_or_at_least_three_in_each_region() {
    for nodes in [&[("us-east1", 1)][..], &[("us-east1", 3)][..], &[("us-east1", 3), ("us-west2", 4)][..]] {
        advanced(CloudProvider::Gcp, nodes).unwrap();
    }
    advanced(CloudProvider::Azure, &[("eastus", 3)]).unwrap();
    for (provider, nodes) in [
        (CloudProvider::Gcp, &[][..]),
        (CloudProvider::Gcp, &[("us-east1", 0)][..]),
        (CloudProvider::Gcp, &[("us-east1", -1)][..]),
        (CloudProvider::Gcp, &[("us-east1", 2)][..]),
        (CloudProvider::Gcp, &[("us-east1", 1), ("us-west2", 1)][..]),
        (CloudProvider::Gcp, &[("us-east1", 3), ("us-west2", 2)][..]),
        (CloudProvider::Gcp, &[("atlantis1", 3)][..]),
        (CloudProvider::Azure, &[("eastus", 1)][..]),
    ] {
        let refused = advanced(provider, nodes).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{nodes:?}: {refused}");
        assert!(refused.message().contains("dedicated.region_nodes"), "{nodes:?}: {refused}");
    }
}

#[test]
fn a_new_cluster_begins_with_its_primary_and_joining_standbys() {
    let one = advanced(CloudProvider::Gcp, &[("us-east1", 1)]).unwrap();
    assert!(one.nodes.is_empty() && one.plan_instance().nodes.is_empty());
    let three = advanced(CloudProvider::Gcp, &[("us-east1", 3)]).unwrap();
    assert_eq!(with_stage(&three, NodeStage::Member), [1]);
    assert_eq!(with_stage(&three, NodeStage::Joining), [2, 3]);
    assert_eq!((three.last_node, three.leadership.primary), (3, NodeId::FIRST));
    assert_eq!(three.plan_instance().nodes.len(), 3);
}

#[test]
fn scaling_locks_the_cluster_until_it_is_complete() {
    let before = running(&[("us-east1", 1)]);
    let after = scale(&before, &[("us-east1", 3)]).unwrap();
    assert_eq!((after.state, after.operation_status()), (ClusterState::Locked, ClusterStatus::ScaleRunning));
    assert_eq!((after.generation, after.updated_at), (before.generation + 1, LATER));
    assert_eq!(with_stage(&after, NodeStage::Member), [1]);
    assert_eq!(with_stage(&after, NodeStage::Joining), [2, 3]);
    after.check_unlocked().unwrap();

    // The same request again is a no-op, any other number of nodes or machine is refused.
    assert_eq!(scale(&after, &[("us-east1", 3)]).unwrap(), after);
    let message = scale(&after, &[("us-east1", 4)]).unwrap_err().message().to_owned();
    assert!(message.contains("locked while its nodes are changed"), "{message}");
    let machine = Some(MachineSpec { virtual_cpus: Some(8), machine_type: None });
    let block = PatchDedicated { machine, ..Default::default() };
    let resize = ClusterPatch { dedicated: Some(block), ..Default::default() };
    patch(&after, &resize, &catalog(), LATER).unwrap_err();
    let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let labels = ClusterPatch { labels: Some(labels), ..Default::default() };
    patch(&after, &labels, &catalog(), LATER).unwrap();
}

#[test]
fn numbers_of_nodes_are_never_used_again() {
    let three = running(&[("us-east1", 3)]);
    let four = settled(scale(&three, &[("us-east1", 4)]).unwrap());
    let leaving = scale(&four, &[("us-east1", 3)]).unwrap();
    assert_eq!(with_stage(&leaving, NodeStage::Leaving), [4]);
    let again = scale(&settled(leaving), &[("us-east1", 4)]).unwrap();
    assert_eq!(with_stage(&again, NodeStage::Joining), [5]);
}

#[test]
fn the_primary_stays_if_another_node_of_its_region_can_leave() {
    let mut four = running(&[("us-east1", 4)]);
    four.leadership.primary = NodeId(4);
    let leaving = scale(&four, &[("us-east1", 3)]).unwrap();
    assert_eq!(with_stage(&leaving, NodeStage::Leaving), [1], "the other node of its zone");
}

#[test]
fn regions_are_added_and_removed() {
    let one = running(&[("us-east1", 3)]);
    let two = scale(&one, &[("us-east1", 3), ("us-west2", 3)]).unwrap();
    assert_eq!(with_stage(&two, NodeStage::Joining), [4, 5, 6]);
    let back = scale(&settled(two), &[("us-east1", 3)]).unwrap();
    assert_eq!(with_stage(&back, NodeStage::Leaving), [4, 5, 6]);
    assert_eq!(back.regions, one.regions);
}

#[test]
fn several_nodes_cannot_become_one_and_the_only_node_cannot_move() {
    let refused = scale(&running(&[("us-east1", 3)]), &[("us-east1", 1)]).unwrap_err();
    assert!(refused.message().contains("can't be decreased to 1 node"), "{refused}");
    let refused = scale(&running(&[("us-east1", 1)]), &[("us-west2", 1)]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unimplemented, "{refused}");
}

#[test]
fn the_same_request_repeats_an_operation_that_has_failed() {
    let mut failed = scale(&running(&[("us-east1", 1)]), &[("us-east1", 3)]).unwrap();
    failed.state = ClusterState::Created;
    failed.observed.generation = failed.generation;
    if let Some(operation) = &mut failed.operation {
        operation.failure = Some("no disk space".into());
    }
    assert_eq!(failed.operation_status(), ClusterStatus::ScaleFailed);
    let again = scale(&failed, &[("us-east1", 3)]).unwrap();
    assert_eq!((again.state, again.operation_status()), (ClusterState::Locked, ClusterStatus::ScaleRunning));
    assert_eq!(again.nodes, failed.nodes);
}

#[test]
fn a_machine_limits_the_number_of_nodes() {
    let [one, three, four] = [1, 3, 4].map(|nodes| running(&[("us-east1", nodes)]));
    check_capacity(Some(&one), &three, 3, None).unwrap();
    check_capacity(None, &one, 0, Some("no sandbox")).unwrap();
    check_capacity(Some(&four), &three, 1, Some("no sandbox")).unwrap();
    let refused = check_capacity(Some(&three), &four, 3, None).unwrap_err();
    assert!(refused.message().contains("at most 3 nodes are supported on this machine"), "{refused}");
    let refused = check_capacity(None, &three, 9, Some("no sandbox")).unwrap_err();
    assert!(refused.message().contains("no sandbox"), "{refused}");
}
