//! The usage and the limits of a cluster in the format of the API.

use crate::metering::Metering;
use ootheca_api::wire::{Extension, Int64, RequestUnits, Usage};
use ootheca_model::{
    Cluster, Plan,
    cluster::UsageLimits,
    instance::{Condition, Power},
    limit_status::{MAX_ROLES, limit_status, limits, too_many_roles},
    meter::{MIB, Meter, percent},
    period,
    units::{self, MICRO},
};

/// The extensions of this server for `cluster`, with the usage in `meter`.
pub fn extension(metering: &Metering, cluster: &Cluster, meter: Option<&Meter>) -> Extension {
    let status = limit_status(cluster, meter, metering.context.now());
    let mut conditions = cluster.observed.conditions.clone();
    conditions.extend(status.condition());
    conditions.extend(metering.context.disk.condition());
    let of_backups = metering.context.backup_conditions.lock().get(&cluster.id).cloned();
    conditions.extend(of_backups.into_iter().flatten());
    conditions.extend(backups_disabled(metering, cluster));
    conditions.extend(too_many_roles(meter).map(|roles| Condition {
        kind: "RoleLimitExceeded".to_owned(),
        holds: true,
        message: format!(
            "The cluster has {roles} SQL roles, and the maximum is {MAX_ROLES}. Drop some of them."
        ),
    }));
    Extension {
        engine: cluster.observed.engine.clone(),
        conditions,
        limit_status: status.name().to_owned(),
        standing: status.name().to_owned(),
        suspended: cluster.is_active() && cluster.power == Power::Off,
        usage: usage(metering, cluster, meter),
    }
}

/// The condition of a cluster that would get backups if the settings did not turn them off.
fn backups_disabled(metering: &Metering, cluster: &Cluster) -> Option<Condition> {
    let expected = cluster.is_active() && cluster.backup_configuration().enabled;
    (expected && !metering.context.settings.backups.enabled).then(|| Condition {
        kind: Condition::BACKUPS_DISABLED.to_owned(),
        holds: true,
        message: "The operator has turned off backups on this server (backups.enabled). No new backups of \
                  this cluster are taken. Existing ones can be restored until they expire."
            .to_owned(),
    })
}

fn usage(metering: &Metering, cluster: &Cluster, meter: Option<&Meter>) -> Usage {
    let now = metering.context.now();
    let used = meter.map(|meter| meter.used_in_month(now)).unwrap_or_default().request_units();
    let storage = meter.map_or(0, |meter| meter.last.storage_bytes);
    let limits = if cluster.plan == Plan::Basic { limits(cluster) } else { UsageLimits::default() };
    let share = |used, limit: Option<i64>, unit| {
        limit.map(|limit| Int64(i64::try_from(percent(used, limit, unit)).unwrap_or(i64::MAX)))
    };
    Usage {
        month: period::month(now),
        request_units: request_units(&used),
        request_unit_limit_percent: share(used.total(), limits.request_units, MICRO),
        storage_mib: ratio(storage, MIB),
        storage_mib_limit_percent: share(storage, limits.storage_mib, MIB),
        virtual_cpus: f64::from(metering.cpu_samples.cpu_millis(cluster.id)) / 1000.0,
        connections: i32::try_from(metering.activity.sessions(cluster.id)).unwrap_or(i32::MAX),
    }
}

fn request_units(used: &units::RequestUnits) -> RequestUnits {
    RequestUnits {
        total: ratio(used.total(), MICRO),
        cpu: ratio(used.cpu, MICRO),
        egress: ratio(used.egress, MICRO),
        read_batches: ratio(used.read_batches, MICRO),
        read_requests: ratio(used.read_requests, MICRO),
        read_bytes: ratio(used.read_bytes, MICRO),
        write_batches: ratio(used.write_batches, MICRO),
        write_requests: ratio(used.write_requests, MICRO),
        write_bytes: ratio(used.write_bytes, MICRO),
    }
}

/// The amount in units of `unit`, rounded to three decimal places.
fn ratio(amount: u64, unit: u64) -> f64 {
    let thousandths = u128::from(amount) * 1000 / u128::from(unit);
    thousandths as f64 / 1000.0
}
