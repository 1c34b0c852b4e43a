//! A gateway in front of one server, to measure it: `gateway <socket> <listen> <certificate folder>`
//! and, if wanted, the number of threads. The cluster is called `bench-1` and everybody may connect.

use async_trait::async_trait;
use ootheca_gateway::{Destination, Directory, Gateway, Policy, Settings};
use ootheca_model::{ClusterId, Result};
use std::{env, error::Error, path::PathBuf, sync::Arc};
use tokio::sync::broadcast;

struct One {
    cluster: ClusterId,
    socket: PathBuf,
    changes: broadcast::Sender<ClusterId>,
}

impl One {
    fn policy(&self) -> Policy {
        Policy { allow: vec![ipnet::Ipv4Net::default().into()] }
    }
}

#[async_trait]
impl Directory for One {
    async fn resolve(&self, routing_id: &str) -> Result<Option<Destination>> {
        let found = Destination { cluster: self.cluster, policy: self.policy() };
        Ok((routing_id == "bench-1").then_some(found))
    }

    async fn endpoint(&self, _: ClusterId) -> Result<PathBuf> {
        Ok(self.socket.clone())
    }

    async fn policy(&self, _: ClusterId) -> Result<Option<Policy>> {
        Ok(Some(self.policy()))
    }

    fn changes(&self) -> broadcast::Receiver<ClusterId> {
        self.changes.subscribe()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: gateway <socket> <listen> <certificate folder>");
    let (socket, listen, folder) = (next()?, next()?, next()?);
    let directory = One {
        cluster: ClusterId(uuid::Uuid::from_u128(1)),
        socket: socket.into(),
        changes: broadcast::channel(1).0,
    };
    let mut settings = Settings::new(listen.parse()?, folder);
    settings.threads = next().map_or(Ok(0), |threads| threads.parse())?;
    let gateway = Gateway::start(settings, Arc::new(directory)).await?;
    println!("listening on {}", gateway.local_addr());
    std::future::pending().await
}
