//! Whether a cluster is within its limits, in the format that the gateway enforces.

use crate::metering::Metering;
use ootheca_gateway::{AdmissionState, Notice};
use ootheca_model::{
    Cluster, Result,
    disk::DiskPressure,
    limit_status::{LimitStatus, MAX_ROLES, limit_status, too_many_roles},
};

const DISK_FULL: &str =
    "the disk of the server is full; only one SQL connection at a time is allowed, for deleting data";
const DISK_FULL_HINT: &str =
    "Delete data (DROP or TRUNCATE tables), or ask the operator of the server to add space.";

const RESTORED: &str = "the cluster is being restored from a backup";
const RESTORED_HINT: &str = "Connect again when the restore is complete.";

/// The sessions that the free space and the limits of `cluster` currently allow. There are none while a backup
/// replaces its data.
pub async fn admission_state(metering: &Metering, cluster: &Cluster) -> Result<AdmissionState> {
    if cluster.is_being_replaced() {
        let (message, hint) = (RESTORED.to_owned(), RESTORED_HINT.to_owned());
        return Ok(AdmissionState::Disabled(Notice { message, hint }));
    }
    let meter = metering.meter(cluster.id).await?;
    let status = limit_status(cluster, meter.as_ref().map(|meter| &meter.value), metering.context.now());
    let notice = || Notice { message: status.message(), hint: status.hint(cluster) };
    Ok(match status {
        LimitStatus::Open if metering.context.disk.pressure() == DiskPressure::Full => {
            AdmissionState::Throttled(Notice {
                message: DISK_FULL.to_owned(),
                hint: DISK_FULL_HINT.to_owned(),
            })
        }
        LimitStatus::Open => match too_many_roles(meter.as_ref().map(|meter| &meter.value)) {
            Some(roles) => AdmissionState::Throttled(Notice {
                message: format!(
                    "the cluster has {roles} SQL roles, and the maximum is {MAX_ROLES}; only one SQL connection at a time is allowed, for dropping roles"
                ),
                hint: "Drop roles (DROP ROLE), or delete SQL users through the API.".to_owned(),
            }),
            None => AdmissionState::Open,
        },
        LimitStatus::StorageLimitExceeded { .. } => AdmissionState::Throttled(notice()),
        LimitStatus::RequestUnitLimitExceeded { .. } => AdmissionState::Disabled(notice()),
    })
}
