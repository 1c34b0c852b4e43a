//! How a cluster stands with its limits. Pure, and asked anew each time: a raised limit or a new month
//! holds at once, whether anything was measured since or not.

use crate::{
    Cluster, Plan, Timestamp,
    cluster::{Config, UsageLimits},
    instance::Condition,
    meter::{MIB, Meter},
    period,
    units::MICRO,
};

/// How a cluster stands with its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Within them.
    Open,
    /// Its data has reached `storage_mib_limit`: one session at a time, for deleting.
    StorageLimitExceeded {
        /// Mebibytes.
        limit: i64,
        /// Mebibytes, rounded down.
        used: u64,
    },
    /// It has used up `request_unit_limit`: no session until the next month.
    RequestUnitLimitExceeded {
        /// Request units.
        limit: i64,
        /// Request units, rounded down.
        used: u64,
        /// When the next month starts.
        until: Timestamp,
    },
}

/// How `cluster` stands; `meter` is absent while it was never used. Only BASIC is limited.
pub fn standing(cluster: &Cluster, meter: Option<&Meter>, now: Timestamp) -> Standing {
    let (Plan::Basic, Config::Serverless { limits, .. }, Some(meter)) =
        (cluster.plan, &cluster.config, meter)
    else {
        return Standing::Open;
    };
    if let Some(limit) = limits.request_units {
        let used = meter.used_in_month(now).request_units().total();
        if reached(used, limit, MICRO) {
            let until = period::next_month(now);
            return Standing::RequestUnitLimitExceeded { limit, used: used / MICRO, until };
        }
    }
    match limits.storage_mib {
        Some(limit) if reached(meter.last.storage_bytes, limit, MIB) => {
            Standing::StorageLimitExceeded { limit, used: meter.last.storage_bytes / MIB }
        }
        _ => Standing::Open,
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

impl Standing {
    /// The word on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::StorageLimitExceeded { .. } => "STORAGE_LIMIT_EXCEEDED",
            Self::RequestUnitLimitExceeded { .. } => "REQUEST_UNIT_LIMIT_EXCEEDED",
        }
    }

    /// What is the matter, naming the limit; empty while nothing is.
    pub fn message(&self) -> String {
        match self {
            Self::Open => String::new(),
            Self::StorageLimitExceeded { limit, used } => format!(
                "storage_mib_limit of {limit} is reached ({used} MiB are stored): one SQL connection at a time is admitted, for deleting data"
            ),
            Self::RequestUnitLimitExceeded { limit, used, .. } => format!(
                "request_unit_limit of {limit} is reached ({used} were used this month): the cluster is disabled"
            ),
        }
    }

    /// What to do about it; empty while there is nothing to do.
    pub fn hint(&self, cluster: &Cluster) -> String {
        let patch = format!("with PATCH /api/v1/clusters/{}", cluster.id);
        match self {
            Self::Open => String::new(),
            Self::StorageLimitExceeded { .. } => format!(
                "Delete data (DROP or TRUNCATE tables, or DELETE rows and VACUUM FULL), or raise or remove storage_mib_limit {patch}."
            ),
            Self::RequestUnitLimitExceeded { until, .. } => {
                format!(
                    "Raise or remove request_unit_limit {patch}, or wait for the next month, which starts at {until}."
                )
            }
        }
    }

    /// The condition that `ootheca.conditions` shows, unless all is well.
    pub fn condition(&self) -> Option<Condition> {
        let kind = match self {
            Self::Open => return None,
            Self::StorageLimitExceeded { .. } => "StorageLimitExceeded",
            Self::RequestUnitLimitExceeded { .. } => "RequestUnitLimitExceeded",
        };
        Some(Condition { kind: kind.to_owned(), holds: true, message: self.message() })
    }
}
