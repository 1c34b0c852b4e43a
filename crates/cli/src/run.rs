//! Runs the server and gateway processes until they are stopped or replaced by a successor.

use crate::{
    connection::{ADDRESS_FILE, CA_FILE},
    failure, runtime,
};
use ootheca_model::{Error, Result, failpoint};
use ootheca_server::{
    GatewayProcess, Server, Settings,
    gateway::handover::{Handover, Inherited},
};
use std::net::SocketAddr;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// A long-running process.
pub(crate) trait Process: Sized {
    /// What the process is started with.
    type Settings;
    /// Whether a signal can interrupt `start`. Only true if there is nothing to stop before it returns.
    const START_IS_INTERRUPTIBLE: bool;
    async fn start(settings: Self::Settings) -> Result<Self>;
    async fn take_over(settings: Self::Settings) -> Result<Self>;
    /// Prints the startup message.
    fn announce(&self);
    /// Waits for a process that wants to take over. An error means that this process can't go on.
    async fn successor(&mut self) -> Result<Option<Handover>>;
    /// Hands over to the successor. Returns the process if the successor failed to start.
    async fn hand_over(self, handover: Handover) -> Result<Option<Self>>;
    /// Stops. Once `immediate` is true, sessions and requests are no longer drained.
    async fn stop(self, immediate: watch::Receiver<bool>);
}

/// Runs a process until it ends.
pub(crate) fn run<P: Process>(settings: P::Settings, take_over: bool) -> failure::Result<()> {
    Ok(runtime::multi_thread()?.block_on(serve::<P>(settings, take_over))?)
}

async fn serve<P: Process>(settings: P::Settings, take_over: bool) -> Result<()> {
    let mut signals = count_signals()?.subscribe();
    let start = async { if take_over { P::take_over(settings).await } else { P::start(settings).await } };
    let mut process = tokio::select! {
        process = start => process?,
        _ = signals.wait_for(|count| *count >= 1), if P::START_IS_INTERRUPTIBLE => return Ok(()),
    };
    process.announce();
    failpoint::arm();
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
                eprintln!("stopping immediately during a takeover");
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
    eprintln!("stopping; send the signal again to stop immediately");
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
    let failed = |error| Error::internal("could not install the signal handlers").because(error);
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
    const START_IS_INTERRUPTIBLE: bool = false;

    async fn start(settings: Settings) -> Result<Self> {
        Server::start(settings, Inherited::default()).await
    }

    async fn take_over(settings: Settings) -> Result<Self> {
        Server::take_over(settings).await
    }

    fn announce(&self) {
        let address = self.data_dir().join(ADDRESS_FILE);
        if let Err(error) = write_private(&address, &format!("{}\n", self.base_url())) {
            let file = address.display();
            eprintln!("could not write {file}, so other commands won't find this server: {error}");
        }
        if let Err(error) = publish_authority(self) {
            eprintln!("could not write {CA_FILE}, so other commands won't trust this server: {error}");
        }
        let key = self.data_dir().join("admin-api-key");
        let api = self.base_url();
        eprintln!("\nOotheca is ready.");
        eprintln!("  Cloud API    {api}");
        if self.has_console() {
            eprintln!("  Console      {api}/");
        }
        match self.sql_listen {
            Some(sql) => eprintln!("  SQL gateway  {sql} (TLS)"),
            None => eprintln!("  SQL gateway  not in this process; run `ootheca gateway`"),
        }
        let created = if self.admin_key.is_some() { " (created now; keep it secret)" } else { "" };
        eprintln!("  API key      {}{created}", key.display());
        let authority = self.own_authority();
        let authority = authority.map(|_| format!("--cacert {} ", self.data_dir().join(CA_FILE).display()));
        let authority = authority.unwrap_or_default();
        match self.sign_in_link() {
            Some(link) => {
                eprintln!("\nSign in to the console with this one-time link, valid for 15 minutes:\n  {link}")
            }
            None if self.has_console() => {
                eprintln!("\nTo sign in to the console, print a one-time link with `ootheca admin link`.")
            }
            None => {}
        }
        eprintln!(
            "\nTry:\n  curl {authority}-H \"Authorization: Bearer $(cat {})\" {api}/api/v1/clusters\n",
            key.display()
        );
    }

    async fn successor(&mut self) -> Result<Option<Handover>> {
        Server::successor(self).await
    }

    async fn hand_over(self, handover: Handover) -> Result<Option<Self>> {
        Server::hand_over(self, handover).await
    }

    async fn stop(self, immediate: watch::Receiver<bool>) {
        Server::stop(self, immediate).await;
    }
}

impl Process for GatewayProcess {
    type Settings = (Settings, Option<SocketAddr>);
    const START_IS_INTERRUPTIBLE: bool = true;

    async fn start((settings, metrics): Self::Settings) -> Result<Self> {
        GatewayProcess::start(settings, metrics, Inherited::default()).await
    }

    async fn take_over((settings, metrics): Self::Settings) -> Result<Self> {
        GatewayProcess::take_over(settings, metrics).await
    }

    fn announce(&self) {
        eprintln!("\nThe SQL gateway is ready.");
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

    async fn stop(self, immediate: watch::Receiver<bool>) {
        GatewayProcess::stop(self, immediate).await;
    }
}

/// Stores the certificate authority of the API for other commands, or removes one that is no longer needed.
fn publish_authority(server: &Server) -> std::io::Result<()> {
    let file = server.data_dir().join(CA_FILE);
    match server.own_authority() {
        Some(authority) => std::fs::copy(authority, file).map(drop),
        None => match std::fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

/// Writes a file that only its owner can read.
fn write_private(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file?.write_all(text.as_bytes())
}
