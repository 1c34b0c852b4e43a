//! How a cluster stands with its limits, as the gateway is told.

use crate::app::App;
use ootheca_gateway::{Notice, Standing};
use ootheca_model::{Cluster, Result, standing};

/// How `cluster` stands at this moment.
pub async fn standing(app: &App, cluster: &Cluster) -> Result<Standing> {
    let meter = app.meter(cluster.id).await?;
    let standing = standing::standing(cluster, meter.as_ref().map(|meter| &meter.value), app.now());
    let notice = || Notice { message: standing.message(), hint: standing.hint(cluster) };
    Ok(match standing {
        standing::Standing::Open => Standing::Open,
        standing::Standing::StorageLimitExceeded { .. } => Standing::Throttled(notice()),
        standing::Standing::RequestUnitLimitExceeded { .. } => Standing::Disabled(notice()),
    })
}
