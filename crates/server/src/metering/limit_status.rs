//! Whether a cluster is within its limits, in the format that the gateway enforces.

use crate::metering::Metering;
use ootheca_gateway::{AdmissionState, Notice};
use ootheca_model::{
    Cluster, Result,
    limit_status::{LimitStatus, limit_status},
};

/// The sessions that the limits of `cluster` currently allow.
pub async fn admission_state(metering: &Metering, cluster: &Cluster) -> Result<AdmissionState> {
    let meter = metering.meter(cluster.id).await?;
    let status = limit_status(cluster, meter.as_ref().map(|meter| &meter.value), metering.context.now());
    let notice = || Notice { message: status.message(), hint: status.hint(cluster) };
    Ok(match status {
        LimitStatus::Open => AdmissionState::Open,
        LimitStatus::StorageLimitExceeded { .. } => AdmissionState::Throttled(notice()),
        LimitStatus::RequestUnitLimitExceeded { .. } => AdmissionState::Disabled(notice()),
    })
}
