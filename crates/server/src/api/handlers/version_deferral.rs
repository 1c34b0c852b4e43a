//! How long the patches of a cluster are deferred. This is recorded; patches are not applied yet.

use crate::{
    api::{call::Call, decision::Decision},
    documents,
};
use ootheca_api::wire::*;
use ootheca_model::{Cluster, Result, maintenance};
use ootheca_store::Batch;
use std::sync::Arc;

/// `GET …/version-deferral`
pub async fn get_cluster_version_deferral(
    call: Arc<Call>,
    _path: ClusterPath,
) -> Result<ClusterVersionDeferral> {
    Ok(convert(&call.cluster().await?.value))
}

/// `PUT …/version-deferral`
pub async fn set_cluster_version_deferral(
    call: Arc<Call>,
    _path: ClusterPath,
    body: ClusterVersionDeferralUpdate,
) -> Result<Decision<ClusterVersionDeferral>> {
    let before = call.cluster().await?;
    let after = maintenance::set_deferral(&before.value, body.deferral_policy, call.context.now())?;
    let batch = Batch::by(&call.granted).with(documents::update(&before.row, &after)?);
    Ok(Decision::now(batch, convert(&after)))
}

/// No patch is pending, because patches are not applied yet.
fn convert(cluster: &Cluster) -> ClusterVersionDeferral {
    ClusterVersionDeferral { deferral_policy: cluster.deferral_policy(), deferred_until: None }
}
