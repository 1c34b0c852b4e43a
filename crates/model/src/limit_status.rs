//! The status of a cluster's limits. It is pure and computed on each access, so an increased limit or a new
//! month takes effect immediately, even without a new measurement.

use crate::{
    Cluster, Plan, Timestamp,
    cluster::{Config, UsageLimits},
    instance::Condition,
    meter::{MIB, Meter},
    period,
    units::MICRO,
};

/// The maximum number of SQL roles of a cluster, whatever its plan. The SQL metadata of a cluster contains all of
/// them, and a change of one user reads it.
pub const MAX_ROLES: u64 = 10_000;

/// The number of SQL roles of a cluster that has too many.
pub fn too_many_roles(meter: Option<&Meter>) -> Option<u64> {
    meter.map(|meter| meter.last.roles).filter(|roles| *roles > MAX_ROLES)
}

/// The status of a cluster's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitStatus {
    /// No limit is exceeded.
    Open,
    /// The data has reached `storage_mib_limit`. One session at a time is allowed, so that data can be
    /// deleted.
    StorageLimitExceeded {
        /// The limit in MiB.
        limit: i64,
        /// The usage in MiB, rounded down.
        used: u64,
    },
    /// `request_unit_limit` is used up. Sessions are not allowed until the next month.
    RequestUnitLimitExceeded {
        /// The limit in request units.
        limit: i64,
        /// The usage in request units, rounded down.
        used: u64,
        /// The start of the next month.
        until: Timestamp,
    },
}

/// Returns the status of `cluster`. `meter` is absent if the cluster was never used. Only BASIC clusters have
/// limits.
pub fn limit_status(cluster: &Cluster, meter: Option<&Meter>, now: Timestamp) -> LimitStatus {
    let (Plan::Basic, Config::Serverless { limits, .. }, Some(meter)) =
        (cluster.plan, &cluster.config, meter)
    else {
        return LimitStatus::Open;
    };
    if let Some(limit) = limits.request_units {
        let used = meter.used_in_month(now).request_units().total();
        if reached(used, limit, MICRO) {
            let until = period::next_month(now);
            return LimitStatus::RequestUnitLimitExceeded { limit, used: used / MICRO, until };
        }
    }
    match limits.storage_mib {
        Some(limit) if reached(meter.last.storage_bytes, limit, MIB) => {
            LimitStatus::StorageLimitExceeded { limit, used: meter.last.storage_bytes / MIB }
        }
        _ => LimitStatus::Open,
    }
}

/// The limits of a cluster; none for ADVANCED.
pub fn limits(cluster: &Cluster) -> UsageLimits {
    match &cluster.config {
        Config::Serverless { limits, .. } => *limits,
        Config::Dedicated { .. } => UsageLimits::default(),
    }
}

fn reached(used: u64, limit: i64, unit: u64) -> bool {
    let limit = u128::from(u64::try_from(limit).unwrap_or(0)) * u128::from(unit);
    u128::from(used) >= limit
}

impl LimitStatus {
    /// The name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::StorageLimitExceeded { .. } => "STORAGE_LIMIT_EXCEEDED",
            Self::RequestUnitLimitExceeded { .. } => "REQUEST_UNIT_LIMIT_EXCEEDED",
        }
    }

    /// A message that names the exceeded limit; empty if there is none.
    pub fn message(&self) -> String {
        match self {
            Self::Open => String::new(),
            Self::StorageLimitExceeded { limit, used } => format!(
                "storage_mib_limit of {limit} is reached ({used} MiB are stored); only one SQL connection at a time is allowed, for deleting data"
            ),
            Self::RequestUnitLimitExceeded { limit, used, .. } => format!(
                "request_unit_limit of {limit} is reached ({used} were used this month); the cluster is disabled"
            ),
        }
    }

    /// A hint on how to resolve it; empty if no limit is exceeded.
    pub fn hint(&self, cluster: &Cluster) -> String {
        let patch = format!("with PATCH /api/v1/clusters/{}", cluster.id);
        match self {
            Self::Open => String::new(),
            Self::StorageLimitExceeded { .. } => format!(
                "Delete data (DROP or TRUNCATE tables, or DELETE rows and VACUUM FULL), or increase or remove storage_mib_limit {patch}."
            ),
            Self::RequestUnitLimitExceeded { until, .. } => {
                format!(
                    "Increase or remove request_unit_limit {patch}, or wait for the next month, which starts at {until}."
                )
            }
        }
    }

    /// The condition that `ootheca.conditions` contains if a limit is exceeded.
    pub fn condition(&self) -> Option<Condition> {
        let kind = match self {
            Self::Open => return None,
            Self::StorageLimitExceeded { .. } => "StorageLimitExceeded",
            Self::RequestUnitLimitExceeded { .. } => "RequestUnitLimitExceeded",
        };
        Some(Condition { kind: kind.to_owned(), holds: true, message: self.message() })
    }
}
