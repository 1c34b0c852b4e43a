//! How a cluster stands with its limits, as the gateway is told.

use crate::app::App;
use ootheca_gateway::{AdmissionState, Notice};
use ootheca_model::{Cluster, Result, standing};

/// How `cluster` stands at this moment.
pub async fn standing(app: &App, cluster: &Cluster) -> Result<AdmissionState> {
    let meter = app.meter(cluster.id).await?;
    let standing = standing::standing(cluster, meter.as_ref().map(|meter| &meter.value), app.now());
    let notice = || Notice { message: standing.message(), hint: standing.hint(cluster) };
    Ok(match standing {
        standing::Standing::Open => AdmissionState::Open,
        standing::Standing::StorageLimitExceeded { .. } => AdmissionState::Throttled(notice()),
        standing::Standing::RequestUnitLimitExceeded { .. } => AdmissionState::Disabled(notice()),
    })
}
