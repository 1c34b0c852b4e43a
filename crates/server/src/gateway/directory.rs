//! The requests of the SQL gateway: the cluster of a routing ID, its allowlist and limits, and the socket of
//! its SQL server.

use crate::{
    cache::QueryCache,
    documents,
    lifecycle::{Lifecycle, power, sql_metadata::secrets},
    metering::limit_status::admission_state,
};
use async_trait::async_trait;
use ipnet::IpNet;
use ootheca_gateway::{Activity, Destination, Directory, Policy};
use ootheca_model::{
    AllowlistEntry, Cluster, ClusterId, Result,
    disk::DiskPressure,
    limit_status::{self as model, LimitStatus},
    login::Secret,
};
use ootheca_store::{Changed, Kind, Query};
use std::{collections::HashMap, path::PathBuf, sync::Arc};
use tokio::sync::broadcast;

/// The directory of this server, which reads the store and the engine.
pub struct StoreDirectory {
    lifecycle: Arc<Lifecycle>,
    changes: broadcast::Sender<ClusterId>,
    /// Clusters by routing ID.
    routes: QueryCache<Arc<Cluster>>,
    networks: QueryCache<Arc<[IpNet]>>,
}

impl StoreDirectory {
    /// A directory that passes on hints of the store until it is dropped.
    pub fn new(lifecycle: Arc<Lifecycle>) -> Arc<Self> {
        let (changes, _) = broadcast::channel(1024);
        let rows = lifecycle.context.store.changes();
        tokio::spawn(pass_on(lifecycle.clone(), rows, changes.downgrade()));
        let full = lifecycle.context.disk.pressure() == DiskPressure::Full;
        tokio::spawn(pass_on_full_disk(lifecycle.clone(), full, changes.downgrade()));
        let (routes, networks) = (QueryCache::of(Kind::Cluster), QueryCache::of(Kind::AllowlistEntry));
        Arc::new(Self { lifecycle, changes, routes, networks })
    }

    /// The networks that are allowed to connect to the cluster.
    async fn networks(&self, cluster: ClusterId) -> Result<Arc<[IpNet]>> {
        let (store, parent) = (&*self.lifecycle.context.store, cluster.to_string());
        let read = async {
            let query = Query { parent: Some(parent.clone()), ..Query::all(Kind::AllowlistEntry) };
            let entries = store.list(&query).await?.into_iter().map(documents::decode::<AllowlistEntry>);
            let entries = entries.collect::<Result<Vec<_>>>()?;
            let open = entries.iter().filter(|entry| entry.value.sql).map(|entry| entry.value.net());
            Ok(Some(open.collect()))
        };
        Ok(self.networks.find(store, &parent, read).await?.unwrap_or_default())
    }

    async fn allowed(&self, cluster: &Cluster) -> Result<Policy> {
        let allow = self.networks(cluster.id).await?.to_vec();
        Ok(Policy { allow, admission: admission_state(&self.lifecycle.metering, cluster).await? })
    }
}

/// Passes on the changes that the gateway has to know. A meter changes every few seconds while a cluster is
/// in use, and each hint makes the gateway drop the connections that it keeps ready. So a change of a meter
/// is only passed on if it changes the limit status.
async fn pass_on(
    lifecycle: Arc<Lifecycle>,
    mut rows: broadcast::Receiver<Changed>,
    sender: broadcast::WeakSender<ClusterId>,
) {
    let mut told: HashMap<ClusterId, (LimitStatus, bool)> = HashMap::new();
    loop {
        let hint = match rows.recv().await {
            Ok(hint) => hint,
            Err(broadcast::error::RecvError::Lagged(_)) => {
                told.clear();
                let Some(sender) = sender.upgrade() else { return };
                // Any cluster can have changed.
                all_clusters(&lifecycle).await.into_iter().for_each(|id| drop(sender.send(id)));
                continue;
            }
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let cluster = match hint.kind {
            Kind::Cluster => &hint.id,
            Kind::AllowlistEntry | Kind::Meter => &hint.parent,
            _ => continue,
        };
        let Ok(id) = cluster.parse() else { continue };
        let now = match hint.kind {
            Kind::AllowlistEntry => None,
            Kind::Meter => shown_limit_status(&lifecycle, id).await,
            // The limits may have changed: the next change of the meter is passed on in any case.
            _ => {
                told.remove(&id);
                None
            }
        };
        if let Some(now) = now
            && told.insert(id, now) == Some(now)
        {
            continue;
        }
        let Some(sender) = sender.upgrade() else { return };
        // There is no receiver while no connection is open.
        let _ = sender.send(id);
    }
}

/// When the disk is full, or no longer full, the policy of every cluster changes.
async fn pass_on_full_disk(
    lifecycle: Arc<Lifecycle>,
    mut full: bool,
    sender: broadcast::WeakSender<ClusterId>,
) {
    loop {
        lifecycle.context.disk.full_changed(&mut full).await;
        let clusters = all_clusters(&lifecycle).await;
        let Some(sender) = sender.upgrade() else { return };
        clusters.into_iter().for_each(|id| drop(sender.send(id)));
    }
}

async fn all_clusters(lifecycle: &Lifecycle) -> Vec<ClusterId> {
    let rows = lifecycle.context.store.list(&Query::active(Kind::Cluster)).await.unwrap_or_else(|error| {
        tracing::warn!(error = error.chain(), "changes missed, and clusters could not be read");
        Vec::new()
    });
    rows.iter().filter_map(|row| row.id.parse().ok()).collect()
}

/// The limit status without the values that grow continuously, and whether there are too many SQL roles; `None` if
/// it is not known.
async fn shown_limit_status(lifecycle: &Lifecycle, id: ClusterId) -> Option<(LimitStatus, bool)> {
    let cluster = lifecycle.context.find::<Cluster>(&id.to_string()).await.ok()??;
    let meter = lifecycle.metering.meter(id).await.ok()?;
    let mut status = model::limit_status(
        &cluster.value,
        meter.as_ref().map(|meter| &meter.value),
        lifecycle.context.now(),
    );
    match &mut status {
        LimitStatus::Open => {}
        LimitStatus::StorageLimitExceeded { used, .. }
        | LimitStatus::RequestUnitLimitExceeded { used, .. } => {
            *used = 0;
        }
    }
    Some((status, model::too_many_roles(meter.as_ref().map(|meter| &meter.value)).is_some()))
}

#[async_trait]
impl Directory for StoreDirectory {
    async fn resolve(&self, routing_id: &str) -> Result<Option<Destination>> {
        let store = &*self.lifecycle.context.store;
        let read = async {
            let row = store.by_alias(Kind::Cluster, routing_id).await?;
            Ok(row.map(documents::decode::<Cluster>).transpose()?.map(|found| Arc::new(found.value)))
        };
        let Some(cluster) = self.routes.find(store, routing_id, read).await? else { return Ok(None) };
        let policy = self.allowed(&cluster).await?;
        let iterations = secrets::iterations(&self.lifecycle, cluster.id).await?;
        Ok(Some(Destination { cluster: cluster.id, policy, iterations }))
    }

    async fn endpoint(&self, cluster: ClusterId) -> Result<PathBuf> {
        let lifecycle = &self.lifecycle;
        power::ready(lifecycle, cluster, || lifecycle.context.engine.endpoint(cluster))
            .await
            .map(|(_, socket)| socket)
    }

    async fn secret(&self, cluster: ClusterId, user: &str) -> Result<Option<Secret>> {
        secrets::secret(&self.lifecycle, cluster, user).await
    }

    async fn invalidate(&self, _: ClusterId) {
        // Every login reads its secret again.
    }

    async fn report(&self, activities: Vec<Activity>) -> Result<()> {
        self.lifecycle.metering.activity.note(0, &activities, self.lifecycle.context.now());
        Ok(())
    }

    async fn policy(&self, cluster: ClusterId) -> Result<Option<Policy>> {
        let found = self.lifecycle.context.find::<Cluster>(&cluster.to_string()).await?;
        match found.filter(|found| found.value.is_active()) {
            Some(found) => self.allowed(&found.value).await.map(Some),
            None => Ok(None),
        }
    }

    fn changes(&self) -> broadcast::Receiver<ClusterId> {
        self.changes.subscribe()
    }
}
