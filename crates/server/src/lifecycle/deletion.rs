//! The deletion of a cluster, by a caller or because it has expired.

use crate::documents::{self, Stored};
use ootheca_model::{Cluster, ClusterState, Error, Result, Timestamp, cluster::DeleteProtection};
use ootheca_store::{Kind, Mutation};

/// What belongs to a cluster and is deleted with it. The usage of each month is kept, because it is still billable, and so
/// are backups, until they expire.
const CHILDREN: [Kind; 6] = [
    Kind::AllowlistEntry,
    Kind::BlackoutWindow,
    Kind::SqlCatalog,
    Kind::SqlCatalogBucket,
    Kind::Meter,
    Kind::UsageHour,
];

/// The deleted cluster, and the mutations that delete it. The reconciler then removes its instances. `Precondition` while
/// it is protected from deletion.
pub(crate) fn deletion(before: &Stored<Cluster>, now: Timestamp) -> Result<(Cluster, Vec<Mutation>)> {
    if before.value.delete_protection == DeleteProtection::Enabled {
        return Err(Error::precondition("cluster has delete_protection ENABLED; disable it first"));
    }
    let after = Cluster {
        state: ClusterState::Deleted,
        deleted_at: Some(now),
        updated_at: now,
        ..before.value.clone()
    };
    let parent = after.id.to_string();
    let mut mutations = vec![documents::update(&before.row, &after)?];
    mutations.extend(CHILDREN.map(|kind| Mutation::DeleteChildren { kind, parent: parent.clone() }));
    mutations.push(Mutation::ForgetSamples { cluster: after.id });
    Ok((after, mutations))
}
