//! What the SQL gateway may ask: who a routing id is, who may connect, where the server listens.

use crate::{app::App, catalog, memory::Remembered, power, rows, standing::standing};
use async_trait::async_trait;
use ipnet::IpNet;
use ootheca_gateway::{Activity, Destination, Directory, Policy};
use ootheca_model::{AllowlistEntry, Cluster, ClusterId, Result, login::Secret};
use ootheca_store::{Kind, Query};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::broadcast;

/// The store and the engine, as the gateway sees them.
pub struct StoreDirectory {
    app: Arc<App>,
    changes: broadcast::Sender<ClusterId>,
    /// Clusters by routing id.
    routes: Remembered<Arc<Cluster>>,
    networks: Remembered<Arc<[IpNet]>>,
}

impl StoreDirectory {
    /// A directory that passes on hints from the store until it is dropped.
    pub fn new(app: Arc<App>) -> Arc<Self> {
        let (changes, _) = broadcast::channel(1024);
        let mut rows = app.store.changes();
        let sender = changes.downgrade();
        tokio::spawn(async move {
            loop {
                let hint = match rows.recv().await {
                    Ok(hint) => hint,
                    Err(broadcast::error::RecvError::Lagged(_)) => continue,
                    Err(broadcast::error::RecvError::Closed) => return,
                };
                let cluster = match hint.kind {
                    Kind::Cluster => hint.id,
                    Kind::AllowlistEntry | Kind::Meter => hint.parent,
                    _ => continue,
                };
                let Some(sender) = sender.upgrade() else { return };
                if let Ok(id) = cluster.parse() {
                    // Nobody listens while no connection is open.
                    let _ = sender.send(id);
                }
            }
        });
        let (routes, networks) = (Remembered::of(Kind::Cluster), Remembered::of(Kind::AllowlistEntry));
        Arc::new(Self { app, changes, routes, networks })
    }

    /// The networks that may connect to it.
    async fn networks(&self, cluster: ClusterId) -> Result<Arc<[IpNet]>> {
        let (store, parent) = (&*self.app.store, cluster.to_string());
        let read = async {
            let query = Query { parent: Some(parent.clone()), ..Query::all(Kind::AllowlistEntry) };
            let entries = store.list(&query).await?.into_iter().map(rows::decode::<AllowlistEntry>);
            let entries = entries.collect::<Result<Vec<_>>>()?;
            let open = entries.iter().filter(|entry| entry.value.sql).map(|entry| entry.value.net());
            Ok(Some(open.collect()))
        };
        Ok(self.networks.find(store, &parent, read).await?.unwrap_or_default())
    }

    async fn allowed(&self, cluster: &Cluster) -> Result<Policy> {
        let allow = self.networks(cluster.id).await?.to_vec();
        Ok(Policy { allow, standing: standing(&self.app, cluster).await? })
    }
}

#[async_trait]
impl Directory for StoreDirectory {
    async fn resolve(&self, routing_id: &str) -> Result<Option<Destination>> {
        let store = &*self.app.store;
        let read = async {
            let row = store.by_alias(Kind::Cluster, routing_id).await?;
            Ok(row.map(rows::decode::<Cluster>).transpose()?.map(|found| Arc::new(found.value)))
        };
        let Some(cluster) = self.routes.find(store, routing_id, read).await? else { return Ok(None) };
        let policy = self.allowed(&cluster).await?;
        let iterations = catalog::iterations(&self.app, cluster.id).await?;
        Ok(Some(Destination { cluster: cluster.id, policy, iterations }))
    }

    async fn endpoint(&self, cluster: ClusterId) -> Result<PathBuf> {
        let app = &self.app;
        power::ready(app, cluster, || app.engine.endpoint(cluster)).await.map(|(_, socket)| socket)
    }

    async fn secret(&self, cluster: ClusterId, user: &str) -> Result<Option<Secret>> {
        catalog::secret(&self.app, cluster, user).await
    }

    async fn distrust(&self, cluster: ClusterId) {
        self.app.notes.distrust(cluster);
    }

    async fn report(&self, activities: Vec<Activity>) -> Result<()> {
        self.app.traffic.note(0, &activities, self.app.now());
        Ok(())
    }

    async fn policy(&self, cluster: ClusterId) -> Result<Option<Policy>> {
        let found = self.app.find::<Cluster>(&cluster.to_string()).await?;
        match found.filter(|found| found.value.is_active()) {
            Some(found) => self.allowed(&found.value).await.map(Some),
            None => Ok(None),
        }
    }

    fn changes(&self) -> broadcast::Receiver<ClusterId> {
        self.changes.subscribe()
    }
}
