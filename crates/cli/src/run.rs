//! Runs the server and gateway processes until they are stopped or replaced by a successor.

use crate::{
    connection::{ADDRESS_FILE, CA_FILE},
    failure, runtime,
    signals::{Request, Signals},
    terminal::notice,
};
use ootheca_durable::{failpoint, file};
use ootheca_model::Result;
use ootheca_server::{
    GatewayProcess, Server, Settings,
    gateway::handover::{Handover, Inherited},
    logging,
};
use std::net::SocketAddr;
use tokio::sync::watch;

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
    /// Takes over what can change while the process runs.
    fn reload(&mut self, settings: &Settings);
    /// Hands over to the successor. Returns the process if the successor failed to start.
    async fn hand_over(self, handover: Handover) -> Result<Option<Self>>;
    /// Stops. Once `immediate` is true, sessions and requests are no longer drained.
    async fn stop(self, immediate: watch::Receiver<bool>);
}

/// Runs a process until it ends.
pub(crate) fn run<P: Process>(
    settings: P::Settings,
    take_over: bool,
    mut reloader: Reloader<'_>,
) -> failure::Result<()> {
    let served = runtime::multi_thread()?.block_on(serve::<P>(settings, take_over, &mut reloader));
    Ok(served?)
}

/// Reads the settings again.
pub(crate) struct Reloader<'a> {
    /// The settings in effect.
    pub(crate) current: Settings,
    /// Reads all sources.
    pub(crate) load: &'a dyn Fn() -> failure::Result<Settings>,
}

impl Reloader<'_> {
    /// Applies what can change while the process runs. Without valid settings, everything stays as it is.
    fn reload(&mut self, process: &mut impl Process) {
        let new = match (self.load)() {
            Ok(new) => new,
            Err(failure) => {
                tracing::error!(
                    error = failure.message,
                    "settings not reloaded; the previous ones stay in effect"
                );
                return;
            }
        };
        let reload = self.current.reload(&new);
        if let Err(error) = logging::set_filter(&self.current.log) {
            tracing::error!(error = error.chain(), "log filter not changed");
        }
        process.reload(&self.current);
        tracing::info!(changed = reload.changed.join(", "), "settings reloaded");
        if !reload.kept.is_empty() {
            let settings = reload.kept.join(", ");
            tracing::warn!(settings, "these settings changed, but only take effect after a restart");
        }
    }
}

async fn serve<P: Process>(
    settings: P::Settings,
    take_over: bool,
    reloader: &mut Reloader<'_>,
) -> Result<()> {
    let mut signals = Signals::install()?;
    let start = async { if take_over { P::take_over(settings).await } else { P::start(settings).await } };
    let mut process = tokio::select! {
        process = start => process?,
        () = signals.stop(), if P::START_IS_INTERRUPTIBLE => return Ok(()),
    };
    process.announce();
    failpoint::arm();
    loop {
        let handover = loop {
            tokio::select! {
                request = signals.next() => match request {
                    Request::Stop => break Ok(None),
                    Request::Reload => {}
                },
                handover = process.successor() => break handover,
            }
            reloader.reload(&mut process);
        };
        let handover = match handover {
            Ok(Some(handover)) => handover,
            ended => {
                notice("stopping; send the signal again to stop immediately");
                process.stop(signals.immediate()).await;
                return ended.map(drop);
            }
        };
        let outcome = tokio::select! {
            outcome = process.hand_over(handover) => outcome,
            () = signals.stop() => {
                notice("stopping immediately during a takeover");
                return Ok(());
            }
        };
        match outcome? {
            None => return Ok(()),
            Some(back) => process = back,
        }
    }
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
        let text = format!("{}\n", self.base_url());
        if let Err(error) = file::replace(&address, text.as_bytes(), 0o600) {
            let file = address.display();
            notice(format!("could not write {file}, so other commands won't find this server: {error}"));
        }
        if let Err(error) = publish_authority(self) {
            notice(format!("could not write {CA_FILE}, so other commands won't trust this server: {error}"));
        }
        notice(startup_message(self));
    }

    async fn successor(&mut self) -> Result<Option<Handover>> {
        Server::successor(self).await
    }

    fn reload(&mut self, settings: &Settings) {
        Server::reload(self, settings);
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
        let mut text = format!("\nThe SQL gateway is ready.\n  SQL gateway  {} (TLS)", self.sql_listen);
        if let Some(address) = self.metrics {
            text.push_str(&format!("\n  Metrics      http://{address}/metrics"));
        }
        notice(text);
    }

    async fn successor(&mut self) -> Result<Option<Handover>> {
        Ok(GatewayProcess::successor(self).await)
    }

    fn reload(&mut self, settings: &Settings) {
        GatewayProcess::reload(self, settings);
    }

    async fn hand_over(self, handover: Handover) -> Result<Option<Self>> {
        GatewayProcess::hand_over(self, handover).await
    }

    async fn stop(self, immediate: watch::Receiver<bool>) {
        GatewayProcess::stop(self, immediate).await;
    }
}

fn startup_message(server: &Server) -> String {
    let api = server.base_url();
    let mut lines = vec![String::new(), "Ootheca is ready.".to_owned(), format!("  Cloud API    {api}")];
    if server.has_console() {
        lines.push(format!("  Console      {api}/"));
    }
    lines.push(match server.sql_listen {
        Some(sql) => format!("  SQL gateway  {sql} (TLS)"),
        None => "  SQL gateway  not in this process; run `ootheca gateway`".to_owned(),
    });
    let file = server.data_dir().join("admin-api-key");
    let (path, created) = (file.display(), server.admin_key.is_some());
    let token = match file.exists() {
        true => {
            let created = if created { " (created now; keep it secret)" } else { "" };
            lines.push(format!("  API key      {path}{created}"));
            format!("$(cat {path})")
        }
        // Another server has created the organization in this store.
        false => "$OOTHECA_API_KEY".to_owned(),
    };
    match server.sign_in_link() {
        Some(link) => lines.extend([
            String::new(),
            "Sign in to the console with this one-time link, valid for 15 minutes:".to_owned(),
            format!("  {link}"),
        ]),
        None if server.has_console() => lines.extend([
            String::new(),
            "To sign in to the console, print a one-time link with `ootheca admin link`.".to_owned(),
        ]),
        None => {}
    }
    let authority = server.own_authority();
    let authority = authority.map(|_| format!("--cacert {} ", server.data_dir().join(CA_FILE).display()));
    let authority = authority.unwrap_or_default();
    lines.extend([
        String::new(),
        "Try:".to_owned(),
        format!("  curl {authority}-H \"Authorization: Bearer {token}\" {api}/api/v1/clusters"),
        String::new(),
    ]);
    lines.join("\n")
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
