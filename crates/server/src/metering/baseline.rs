//! The counters of a cluster whose data is replaced by a backup. Those of the restored data were recorded when the
//! backup was taken, or belong to another cluster, so they are where the metering begins again.

use crate::{
    documents,
    metering::{Metering, ledger::PATIENCE},
};
use ootheca_model::{Cluster, ClusterId, Error, Result, meter::Meter, units::Quantities};
use ootheca_store::Mutation;
use tokio::time::timeout;

/// Makes the record of a measurement that has already begun stale. It has to be committed with the change of the
/// cluster that replaces the data; nothing is measured until [`rebase`].
pub async fn invalidate(metering: &Metering, cluster: ClusterId) -> Result<Option<Mutation>> {
    Ok(metering.meter(cluster).await?.map(|meter| documents::touch(&meter.row)))
}

/// The change that marks the current counters as recorded. It has to be committed with the change of the cluster that
/// ends the restore. `Unavailable` unless the cluster is ready.
pub async fn rebase(metering: &Metering, cluster: &Cluster) -> Result<Mutation> {
    let (context, now) = (&metering.context, metering.context.now());
    let late = |_| Error::unavailable("the SQL server does not respond");
    let measure = timeout(PATIENCE, context.engine.measure(cluster.id)).await.map_err(late)??;
    let stored = metering.meter(cluster.id).await?;
    let fresh = || Meter::new(cluster.id, cluster.organization, now);
    let mut meter = stored.as_ref().map_or_else(fresh, |stored| stored.value.clone());
    meter.record_usage(measure, Quantities::default(), now);
    match stored {
        Some(stored) => documents::update(&stored.row, &meter),
        None => documents::insert(&meter),
    }
}
