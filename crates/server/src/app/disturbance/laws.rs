//! Laws that hold for every change of a row, whatever the loops see.

use super::schedule::{Schedule, short};
use ootheca_model::{
    Cluster, ClusterState,
    meter::{Meter, PeriodUsage},
    units::Quantities,
};
use ootheca_store::{Kind, Row};
use serde::de::DeserializeOwned;

/// Checks a change of a row that was just committed.
pub(super) fn check(schedule: &Schedule, kind: Kind, before: Option<&Row>, after: Option<&Row>) {
    let (Some(before), Some(after)) = (before, after) else { return };
    let broken = match kind {
        Kind::Cluster => cluster(&read(before), &read(after)),
        Kind::Meter => meter(&read(before), &read(after)),
        Kind::UsageMonth | Kind::UsageHour => {
            let (before, after): (PeriodUsage, PeriodUsage) = (read(before), read(after));
            grows(&before.used, &after.used).err()
        }
        _ => None,
    };
    if let Some(law) = broken {
        schedule.violated(format!("{kind:?} {}: {law}", short(&after.id)));
    }
}

fn read<T: DeserializeOwned>(row: &Row) -> T {
    serde_json::from_str(&row.document).expect("a document that was committed")
}

fn cluster(before: &Cluster, after: &Cluster) -> Option<&'static str> {
    let ended = |cluster: &Cluster| !cluster.is_active();
    let creating = |cluster: &Cluster| cluster.state == ClusterState::Creating;
    match () {
        () if ended(before) && !ended(after) => Some("a deleted cluster came back"),
        () if ended(before) && before.observed != after.observed => {
            Some("a deleted cluster was still observed")
        }
        () if before.removed && !after.removed => Some("a removed cluster is no longer removed"),
        () if !creating(before) && creating(after) => Some("a created cluster is CREATING again"),
        () if after.generation < before.generation => Some("the generation decreased"),
        () if after.epoch < before.epoch => Some("the data epoch decreased"),
        () if after.observed.generation < before.observed.generation => {
            Some("the observed generation decreased")
        }
        () if after.observed.generation > after.generation => Some("an unknown generation was observed"),
        () => None,
    }
}

fn meter(before: &Meter, after: &Meter) -> Option<&'static str> {
    if after.last.sql.tuples_written < before.last.sql.tuples_written {
        return Some("counters that were recorded decreased");
    }
    if after.month == before.month { grows(&before.used, &after.used).err() } else { None }
}

fn grows(before: &Quantities, after: &Quantities) -> Result<(), &'static str> {
    let parts = |sum: &Quantities| [sum.egress_bytes, sum.write_batches, sum.write_requests, sum.write_bytes];
    match parts(before).into_iter().zip(parts(after)).all(|(before, after)| before <= after) {
        true => Ok(()),
        false => Err("recorded usage decreased"),
    }
}
