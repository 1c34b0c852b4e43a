//! The maintenance window of a cluster. It is recorded; patches are not applied yet.

use crate::{
    api::{call::Call, decision::Decision},
    documents,
};
use ootheca_api::wire::*;
use ootheca_model::{
    Result,
    maintenance::{self, MaintenanceWindow as Model, duration},
};
use ootheca_store::Batch;
use std::sync::Arc;

/// `GET …/maintenance-window`
pub async fn get_maintenance_window(call: Arc<Call>, _path: ClusterPath) -> Result<MaintenanceWindow> {
    Ok(convert(maintenance::existing_window(&call.cluster().await?.value)?))
}

/// `PUT …/maintenance-window`
pub async fn set_maintenance_window(
    call: Arc<Call>,
    _path: ClusterPath,
    body: MaintenanceWindowRequest,
) -> Result<Decision<MaintenanceWindow>> {
    let before = call.cluster().await?;
    let (offset, length) = (body.offset_duration.as_deref(), body.window_duration.as_deref());
    let (after, window) = maintenance::set_window(&before.value, offset, length, call.context.now())?;
    let batch = Batch::by(&call.granted).with(documents::update(&before.row, &after)?);
    Ok(Decision::now(batch, convert(window)))
}

/// `DELETE …/maintenance-window`
pub async fn delete_maintenance_window(
    call: Arc<Call>,
    _path: ClusterPath,
) -> Result<Decision<MaintenanceWindow>> {
    let before = call.cluster().await?;
    let (after, window) = maintenance::delete_window(&before.value, call.context.now())?;
    let batch = Batch::by(&call.granted).with(documents::update(&before.row, &after)?);
    Ok(Decision::now(batch, convert(window)))
}

fn convert(window: Model) -> MaintenanceWindow {
    MaintenanceWindow {
        offset_duration: duration(window.offset_seconds),
        window_duration: duration(window.length_seconds),
    }
}
