//! `ootheca gateway`: a SQL gateway in a separate process, for a server without an embedded one.

use crate::{
    data_dir::{self, DataDir},
    descriptors,
    gateway::{
        control::{self, remote::RemoteDirectory},
        embedded::EmbeddedGateway,
        handover::{self, Handover, HandoverServer, Inherited, Listening, RELEASE, SETTLE, Successor},
    },
    http::{listener, metrics},
    settings::Settings,
};
use ootheca_durable::failpoint;
use ootheca_model::{Error, Result};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// A running gateway process.
pub struct GatewayProcess {
    settings: Settings,
    metrics_listen: Option<SocketAddr>,
    data: DataDir,
    embedded: Arc<EmbeddedGateway>,
    handover_server: Arc<HandoverServer>,
    successors: mpsc::Receiver<Handover>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    /// The address for SQL clients.
    pub sql_listen: SocketAddr,
    /// The address of its metrics, if they are enabled.
    pub metrics: Option<SocketAddr>,
}

impl GatewayProcess {
    /// Waits for the control plane, then starts. With `metrics_listen`, its metrics are served over HTTP.
    pub async fn start(
        settings: Settings,
        metrics_listen: Option<SocketAddr>,
        inherited: Inherited,
    ) -> Result<Self> {
        let directory = connect(&settings).await?;
        Self::start_with(settings, metrics_listen, directory, inherited, Duration::ZERO).await
    }

    /// Takes over from a running gateway process if there is one, otherwise starts.
    pub async fn take_over(settings: Settings, metrics_listen: Option<SocketAddr>) -> Result<Self> {
        let data = data_dir::absolute(&settings.data_dir)?;
        let Some(mut successor) = Successor::connect(&control::gateway_socket(&data)).await? else {
            tracing::info!("no gateway process to take over from");
            let directory = connect(&settings).await?;
            return Self::start_with(settings, metrics_listen, directory, Inherited::default(), RELEASE)
                .await;
        };
        let directory = connect(&settings).await?;
        successor.take_over().await?;
        let inherited = std::mem::take(&mut successor.inherited);
        let process = Self::start_with(settings, metrics_listen, directory, inherited, RELEASE).await?;
        successor.ready().await;
        Ok(process)
    }

    async fn start_with(
        mut settings: Settings,
        metrics_listen: Option<SocketAddr>,
        directory: Arc<RemoteDirectory>,
        mut inherited: Inherited,
        wait: Duration,
    ) -> Result<Self> {
        descriptors::raise_limit();
        let data = DataDir::open_for_gateway(&settings.data_dir, wait).await?;
        settings.data_dir = data.path().to_owned();
        let embedded = EmbeddedGateway::start(&settings, directory.clone(), &mut inherited).await?;
        let sql_listen = embedded.address();
        directory.listens_at(sql_listen.port()).await;
        let mut listening = vec![embedded.listening()?];
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Vec::new();
        let mut metrics = None;
        if let Some(address) = metrics_listen {
            let (socket, listener) = listener::listen(address, inherited.take("metrics")).await?;
            metrics = socket.local_addr().ok();
            listening.push(Listening { name: "metrics", socket });
            let (embedded, stopped) = (embedded.clone(), stopped.clone());
            let settings = settings.clone();
            tasks.push(tokio::spawn(async move {
                metrics::serve(listener, settings, embedded, stopped).await;
            }));
        }
        let (handover_server, successors) = HandoverServer::new(listening);
        let socket = control::listen(&control::gateway_socket(data.path()))?;
        tasks.push(tokio::spawn(handover::serve(socket, handover_server.clone(), stopped)));
        Ok(Self {
            settings,
            metrics_listen,
            data,
            embedded,
            handover_server,
            successors,
            stop,
            tasks,
            sql_listen,
            metrics,
        })
    }

    /// The next process that wants to take over from this one.
    pub async fn successor(&mut self) -> Option<Handover> {
        self.successors.recv().await
    }

    /// Takes over what can change while the gateway runs: the log filter, which belongs to the process.
    pub fn reload(&mut self, _settings: &Settings) {}

    /// Drains and stops.
    pub async fn stop(self, mut hurry: watch::Receiver<bool>) {
        self.handover_server.close();
        self.stop.send_replace(true);
        tokio::select! {
            () = self.embedded.shutdown(self.settings.drain()) => {}
            _ = hurry.wait_for(|hurry| *hurry) => {}
        }
        for task in &self.tasks {
            task.abort();
        }
    }

    /// Hands over to a successor, then drains. If the successor fails, starts again on its own sockets.
    pub async fn hand_over(self, handover: Handover) -> Result<Option<Self>> {
        tracing::info!("handing over to another gateway process");
        self.embedded.stop_accepting().await;
        failpoint::reach("stopped accepting for a successor");
        self.stop.send_replace(true);
        tokio::time::sleep(SETTLE).await;
        let copies = Inherited::copies(&self.handover_server.listening())
            .map_err(|error| Error::internal("take-over: could not keep the sockets").because(error))?;
        drop(self.data);
        let outcome = handover.ready().await;
        let grace = self.settings.drain();
        match outcome {
            Ok(()) => {
                failpoint::reach("successor ready");
                drop(copies);
                self.handover_server.close();
                self.embedded.shutdown(grace).await;
                Ok(None)
            }
            Err(error) => {
                tracing::error!(error = error.chain(), "successor failed; this gateway process continues");
                let embedded = self.embedded;
                tokio::spawn(async move { embedded.shutdown(grace).await });
                Self::start(self.settings, self.metrics_listen, copies).await.map(Some)
            }
        }
    }
}

/// Connects to the control plane and waits for it: it creates the certificates and knows the clusters.
async fn connect(settings: &Settings) -> Result<Arc<RemoteDirectory>> {
    let socket = control::control_socket(&data_dir::absolute(&settings.data_dir)?);
    let directory = RemoteDirectory::new(socket.clone());
    let mut waiting = tokio::time::interval(Duration::from_secs(10));
    waiting.tick().await;
    loop {
        tokio::select! {
            () = directory.connected() => return Ok(directory),
            _ = waiting.tick() => tracing::warn!(
                socket = %socket.display(),
                "waiting for the control plane: start it with `ootheca serve --no-gateway`"
            ),
        }
    }
}
