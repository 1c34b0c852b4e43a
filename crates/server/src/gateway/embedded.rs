//! The SQL gateway in the process of the server or in a gateway process.

use crate::{
    descriptors,
    gateway::handover::{Inherited, Listening},
    settings::Settings,
};
use ootheca_gateway::{Directory, Gateway, Snapshot};
use ootheca_model::{Error, Result};
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// A running gateway, until it is shut down.
pub struct EmbeddedGateway {
    gateway: Gateway,
}

impl EmbeddedGateway {
    /// Starts the gateway, on an inherited socket if there is one.
    pub async fn start(
        settings: &Settings,
        directory: Arc<dyn Directory>,
        inherited: &mut Inherited,
    ) -> Result<Arc<Self>> {
        let listener = inherited.take("sql").map(Arc::new);
        let settings = ootheca_gateway::Settings { listener, ..gateway_settings(settings) };
        Ok(Arc::new(Self { gateway: Gateway::start(settings, directory).await? }))
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.gateway.local_addr()
    }

    /// The certificate authority that clients trust, in PEM.
    pub fn authority(&self) -> &str {
        self.gateway.authority()
    }

    /// Its socket, for a successor.
    pub fn listening(&self) -> Result<Listening> {
        let failed = |error| Error::internal("could not share the SQL socket").because(error);
        let socket = self.gateway.listener().map_err(failed)?;
        Ok(Listening { name: "sql", socket: Arc::new(socket) })
    }

    /// Its metrics, and the number of open connections.
    pub fn figures(&self) -> (Snapshot, usize) {
        (self.gateway.metrics(), self.gateway.connections())
    }

    /// Stops accepting. New connections wait for a successor in the backlog.
    pub async fn stop_accepting(&self) {
        self.gateway.stop_accepting().await;
    }

    /// Closes the socket, then drains the sessions.
    pub async fn shutdown(&self, grace: Duration) {
        self.gateway.shutdown(grace).await;
    }
}

/// Connections of a SQL server that the gateway leaves for administrative sessions.
const RESERVED: usize = 10;

/// The settings of the gateway.
pub fn gateway_settings(settings: &Settings) -> ootheca_gateway::Settings {
    let gateway = &settings.gateway;
    let (asked, servers) = (gateway.max_connections_per_cluster, settings.engine.max_connections as usize);
    let named = [gateway.domain.clone(), gateway.host.clone()];
    let (max_connections, max_unauthenticated) =
        descriptors::sql_connections(gateway.max_connections, gateway.max_unauthenticated_connections);
    ootheca_gateway::Settings {
        domains: named.into_iter().filter(|name| !name.is_empty() && name != "localhost").collect(),
        handshake_timeout: Duration::from_secs(gateway.handshake_seconds),
        max_connections,
        max_unauthenticated,
        max_unauthenticated_per_address: gateway.max_unauthenticated_connections_per_address,
        max_connections_per_cluster: asked.min(servers.saturating_sub(RESERVED).max(1)),
        pool_idle: Duration::from_secs(gateway.pool_idle_seconds),
        pool_lifetime: Duration::from_secs(gateway.pool_lifetime_seconds),
        proxy_protocol: gateway.proxy_protocol,
        threads: gateway.threads,
        ..ootheca_gateway::Settings::new(settings.sql_listen, settings.data_dir.join("certificates"))
    }
}
