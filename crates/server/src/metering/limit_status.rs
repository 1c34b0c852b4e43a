//! Whether a cluster is within its limits, in the format that the gateway enforces.

use crate::metering::Metering;
use ootheca_gateway::{AdmissionState, Notice};
use ootheca_model::{Cluster, Result, standing};

/// The current limit status of `cluster`.
pub async fn standing(metering: &Metering, cluster: &Cluster) -> Result<AdmissionState> {
    let meter = metering.meter(cluster.id).await?;
    let standing =
        standing::standing(cluster, meter.as_ref().map(|meter| &meter.value), metering.context.now());
    let notice = || Notice { message: standing.message(), hint: standing.hint(cluster) };
    Ok(match standing {
        standing::Standing::Open => AdmissionState::Open,
        standing::Standing::StorageLimitExceeded { .. } => AdmissionState::Throttled(notice()),
        standing::Standing::RequestUnitLimitExceeded { .. } => AdmissionState::Disabled(notice()),
    })
}
