//! The state of a cluster whose creation failed.

use ootheca_model::{Cluster, ClusterState, Timestamp, cluster::ObservedCluster, instance::Condition};

/// The cluster after its creation has failed for good. Everything that was made for it is removed. `reason` is a sentence
/// for the user.
pub(super) fn failed(cluster: &Cluster, reason: String, now: Timestamp) -> Cluster {
    let condition = Condition { kind: "CreationFailed".to_owned(), holds: true, message: reason };
    Cluster {
        state: ClusterState::CreationFailed,
        restore: None,
        updated_at: now,
        observed: ObservedCluster { conditions: vec![condition], ..cluster.observed.clone() },
        ..cluster.clone()
    }
}
