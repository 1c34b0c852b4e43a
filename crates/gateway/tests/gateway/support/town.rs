//! A directory that a test can change.

use async_trait::async_trait;
use ootheca_gateway::{Activity, Destination, Directory, Policy};
use ootheca_model::{ClusterId, Error, Result, login::Secret};
use std::{path::PathBuf, sync::Mutex};
use tokio::sync::broadcast;
use uuid::Uuid;

pub(crate) struct Town {
    cluster: ClusterId,
    socket: PathBuf,
    policy: Mutex<Option<Policy>>,
    changes: broadcast::Sender<ClusterId>,
}

impl Town {
    pub(crate) fn new(socket: PathBuf) -> Self {
        let policy = Mutex::new(Some(allow(&["0.0.0.0/0"])));
        Self { cluster: ClusterId(Uuid::from_u128(12)), socket, policy, changes: broadcast::channel(4).0 }
    }

    pub(crate) fn allow(&self, networks: &[&str]) {
        *self.policy.lock().expect("lock") = Some(allow(networks));
        let _ = self.changes.send(self.cluster);
    }

    pub(crate) fn delete(&self) {
        *self.policy.lock().expect("lock") = None;
        let _ = self.changes.send(self.cluster);
    }

    /// So many changes elsewhere that a receiver lags.
    pub(crate) fn noise(&self) {
        for number in 0..100 {
            let _ = self.changes.send(ClusterId(Uuid::from_u128(1000 + number)));
        }
    }
}

fn allow(networks: &[&str]) -> Policy {
    let allow = networks.iter().map(|network| network.parse().expect("a network")).collect();
    Policy { allow, ..Policy::default() }
}

#[async_trait]
impl Directory for Town {
    async fn resolve(&self, routing_id: &str) -> Result<Option<Destination>> {
        if routing_id == "broken-1" {
            return Err(Error::internal("the secret reason"));
        }
        let policy = self.policy.lock().expect("lock").clone();
        let policy = policy.filter(|_| routing_id == "shop-12");
        Ok(policy.map(|policy| Destination { cluster: self.cluster, policy }))
    }

    async fn secret(&self, _: ClusterId, _: &str) -> Result<Option<Secret>> {
        Ok(None)
    }

    async fn distrust(&self, _: ClusterId) {}

    async fn report(&self, _: Vec<Activity>) -> Result<()> {
        Ok(())
    }

    async fn endpoint(&self, _: ClusterId) -> Result<PathBuf> {
        Ok(self.socket.clone())
    }

    async fn policy(&self, cluster: ClusterId) -> Result<Option<Policy>> {
        assert_eq!(cluster, self.cluster, "only clusters with sessions are of interest");
        Ok(self.policy.lock().expect("lock").clone())
    }

    fn changes(&self) -> broadcast::Receiver<ClusterId> {
        self.changes.subscribe()
    }
}
