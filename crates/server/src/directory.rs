//! What the SQL gateway may ask: who a routing id is, who may connect, where the server listens.

use crate::{
    app::App,
    catalog, power,
    rows::{self, find},
    standing::standing,
};
use async_trait::async_trait;
use ootheca_gateway::{Activity, Destination, Directory, Policy};
use ootheca_model::{AllowlistEntry, Cluster, ClusterId, Result, login::Secret};
use ootheca_store::{Kind, Query};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::broadcast;

/// The store and the engine, as the gateway sees them.
pub struct StoreDirectory {
    app: Arc<App>,
    changes: broadcast::Sender<ClusterId>,
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
        Arc::new(Self { app, changes })
    }

    async fn allowed(&self, cluster: &Cluster) -> Result<Policy> {
        let query = Query { parent: Some(cluster.id.to_string()), ..Query::all(Kind::AllowlistEntry) };
        let entries = self.app.store.list(&query).await?.into_iter().map(rows::decode::<AllowlistEntry>);
        let mut allow = Vec::new();
        for entry in entries {
            let entry = entry?.value;
            if entry.sql {
                allow.push(entry.net());
            }
        }
        Ok(Policy { allow, standing: standing(&self.app, cluster).await? })
    }
}

#[async_trait]
impl Directory for StoreDirectory {
    async fn resolve(&self, routing_id: &str) -> Result<Option<Destination>> {
        let Some(row) = self.app.store.by_alias(Kind::Cluster, routing_id).await? else { return Ok(None) };
        let cluster = rows::decode::<Cluster>(row)?.value;
        Ok(Some(Destination { cluster: cluster.id, policy: self.allowed(&cluster).await? }))
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
        let found = find::<Cluster>(&*self.app.store, &cluster.to_string()).await?;
        match found.filter(|found| found.value.is_active()) {
            Some(found) => self.allowed(&found.value).await.map(Some),
            None => Ok(None),
        }
    }

    fn changes(&self) -> broadcast::Receiver<ClusterId> {
        self.changes.subscribe()
    }
}
