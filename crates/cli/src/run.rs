//! The verbs that serve until they are told to stop, or until another process takes their place.

use crate::connection::ADDRESS_FILE;
use ootheca_model::{Error, Result, effect};
use ootheca_server::{
    GatewayProcess, Server, Settings,
    gateway::handover::{Handover, Inherited},
};
use std::net::SocketAddr;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Something that serves.
pub(crate) trait Process: Sized {
    /// What it is started with.
    type Settings;
    /// Whether its start may wait for others; until it has started there is then nothing to stop.
    const MAY_WAIT: bool;
    async fn start(settings: Self::Settings) -> Result<Self>;
    async fn take_over(settings: Self::Settings) -> Result<Self>;
    /// Says to a person that it is ready.
    fn greet(&self);
    /// The next one that wants its place; an error if it can not go on.
    async fn successor(&mut self) -> Result<Option<Handover>>;
    /// Gives its place away; back again if the successor failed.
    async fn hand_over(self, handover: Handover) -> Result<Option<Self>>;
    async fn stop(self, hurry: watch::Receiver<bool>);
}

/// Runs it to its end.
pub(crate) fn run<P: Process>(settings: P::Settings, take_over: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::internal("can not start the runtime").because(error))?;
    runtime.block_on(serve::<P>(settings, take_over))
}

async fn serve<P: Process>(settings: P::Settings, take_over: bool) -> Result<()> {
    let mut signals = count_signals()?.subscribe();
    let start = async { if take_over { P::take_over(settings).await } else { P::start(settings).await } };
    let mut process = tokio::select! {
        process = start => process?,
        _ = signals.wait_for(|count| *count >= 1), if P::MAY_WAIT => return Ok(()),
    };
    process.greet();
    effect::arm();
    loop {
        let handover = tokio::select! {
            _ = signals.wait_for(|count| *count >= 1) => Ok(None),
            handover = process.successor() => handover,
        };
        let handover = match handover {
            Ok(Some(handover)) => handover,
            ended => {
                stop(process, signals).await;
                return ended.map(drop);
            }
        };
        let outcome = tokio::select! {
            outcome = process.hand_over(handover) => outcome,
            _ = signals.wait_for(|count| *count >= 1) => {
                eprintln!("stopping at once, while another process takes over");
                return Ok(());
            }
        };
        match outcome? {
            None => return Ok(()),
            Some(back) => process = back,
        }
    }
}

async fn stop<P: Process>(process: P, mut signals: watch::Receiver<u32>) {
    eprintln!("stopping; a second signal is faster");
    let (send, receive) = watch::channel(false);
    tokio::spawn(async move {
        let _ = signals.wait_for(|count| *count >= 2).await;
        let _ = send.send(true);
        std::future::pending::<()>().await;
    });
    process.stop(receive).await;
}

/// Counts SIGTERM and SIGINT.
fn count_signals() -> Result<watch::Sender<u32>> {
    let failed = |error| Error::internal("can not listen for signals").because(error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let count = watch::Sender::new(0);
    let sender = count.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            sender.send_modify(|count| *count += 1);
        }
    });
    Ok(count)
}

impl Process for Server {
    type Settings = Settings;
    const MAY_WAIT: bool = false;

    async fn start(settings: Settings) -> Result<Self> {
        Server::start(settings, Inherited::default()).await
    }

    async fn take_over(settings: Settings) -> Result<Self> {
        Server::take_over(settings).await
    }

    fn greet(&self) {
        let address = self.data_dir().join(ADDRESS_FILE);
        if let Err(error) = write_private(&address, &format!("http://{}\n", self.listen)) {
            eprintln!("{}: {error}; `ootheca` will not find this server by itself", address.display());
        }
        let key = self.data_dir().join("admin-api-key");
        let api = self.listen;
        eprintln!("\nOotheca is ready.");
        eprintln!("  Cloud API    http://{api}");
        if self.has_console() {
            eprintln!("  Console      http://{api}/");
        }
        match self.sql_listen {
            Some(sql) => eprintln!("  SQL gateway  {sql} (TLS)"),
            None => eprintln!("  SQL gateway  none here; start `ootheca gateway`"),
        }
        let fresh = if self.admin_key.is_some() { ", just made: keep it secret" } else { "" };
        eprintln!("  API key      in {}{fresh}", key.display());
        match self.sign_in_link() {
            Some(link) => eprintln!("\nYou come in by this link, once, within 15 minutes:\n  {link}"),
            None if self.has_console() => {
                eprintln!("\n`ootheca admin link` prints a link by which you come in.")
            }
            None => {}
        }
        eprintln!(
            "\nTry:\n  curl -H \"Authorization: Bearer $(cat {})\" http://{api}/api/v1/clusters\n",
            key.display()
        );
    }

    async fn successor(&mut self) -> Result<Option<Handover>> {
        Server::successor(self).await
    }

    async fn hand_over(self, handover: Handover) -> Result<Option<Self>> {
        Server::hand_over(self, handover).await
    }

    async fn stop(self, hurry: watch::Receiver<bool>) {
        Server::stop(self, hurry).await;
    }
}

impl Process for GatewayProcess {
    type Settings = (Settings, Option<SocketAddr>);
    const MAY_WAIT: bool = true;

    async fn start((settings, metrics): Self::Settings) -> Result<Self> {
        GatewayProcess::start(settings, metrics, Inherited::default()).await
    }

    async fn take_over((settings, metrics): Self::Settings) -> Result<Self> {
        GatewayProcess::take_over(settings, metrics).await
    }

    fn greet(&self) {
        eprintln!("\nThe gateway is ready.");
        eprintln!("  SQL gateway  {} (TLS)", self.sql_listen);
        if let Some(address) = self.metrics {
            eprintln!("  Metrics      http://{address}/metrics");
        }
    }

    async fn successor(&mut self) -> Result<Option<Handover>> {
        Ok(GatewayProcess::successor(self).await)
    }

    async fn hand_over(self, handover: Handover) -> Result<Option<Self>> {
        GatewayProcess::hand_over(self, handover).await
    }

    async fn stop(self, hurry: watch::Receiver<bool>) {
        GatewayProcess::stop(self, hurry).await;
    }
}

/// Writes a file that only its owner may read.
fn write_private(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file?.write_all(text.as_bytes())
}
