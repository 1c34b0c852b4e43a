//! The signals that a long-running process handles. None of them ends it without stopping what it has started.

use ootheca_model::{Error, Result};
use std::io::IsTerminal;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// The number of requests to stop after which the process no longer drains.
const IMMEDIATELY: u32 = 2;

/// What the process has to do.
pub(crate) enum Request {
    Stop,
    Reload,
}

/// The signals that have arrived.
pub(crate) struct Signals {
    /// The number of requests to stop.
    stops: watch::Receiver<u32>,
    reloads: watch::Receiver<()>,
}

impl Signals {
    /// Installs the handlers.
    pub(crate) fn install() -> Result<Self> {
        let (stop, stops) = watch::channel(0);
        let (reload, reloads) = watch::channel(());
        let mut handlers = Handlers::install()?;
        tokio::spawn(async move {
            loop {
                match handlers.next().await {
                    Action::Stop => stop.send_modify(|count| *count += 1),
                    Action::StopImmediately => stop.send_modify(|count| *count += IMMEDIATELY),
                    Action::Reload => reload.send_modify(|()| {}),
                    Action::Ignore(name) => tracing::info!(signal = name, "signal ignored"),
                }
            }
        });
        Ok(Self { stops, reloads })
    }

    /// Waits until the process has to stop.
    pub(crate) async fn stop(&mut self) {
        let _ = self.stops.wait_for(|count| *count >= 1).await;
    }

    /// Waits until the process has to stop or to read its settings again.
    pub(crate) async fn next(&mut self) -> Request {
        tokio::select! {
            biased;
            _ = self.stops.wait_for(|count| *count >= 1) => Request::Stop,
            _ = self.reloads.changed() => Request::Reload,
        }
    }

    /// Becomes true once the process has to stop without draining.
    pub(crate) fn immediate(&self) -> watch::Receiver<bool> {
        let (send, receive) = watch::channel(false);
        let mut stops = self.stops.clone();
        tokio::spawn(async move {
            let _ = stops.wait_for(|count| *count >= IMMEDIATELY).await;
            let _ = send.send(true);
            std::future::pending::<()>().await;
        });
        receive
    }
}

/// What a signal asks for.
enum Action {
    Stop,
    StopImmediately,
    Reload,
    Ignore(&'static str),
}

struct Handlers {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    user_1: Signal,
    user_2: Signal,
    /// Whether the process was started in a terminal.
    has_terminal: bool,
}

impl Handlers {
    fn install() -> Result<Self> {
        let handler = |kind| {
            signal(kind)
                .map_err(|error| Error::internal("could not install the signal handlers").because(error))
        };
        Ok(Self {
            terminate: handler(SignalKind::terminate())?,
            interrupt: handler(SignalKind::interrupt())?,
            quit: handler(SignalKind::quit())?,
            hangup: handler(SignalKind::hangup())?,
            user_1: handler(SignalKind::user_defined1())?,
            user_2: handler(SignalKind::user_defined2())?,
            has_terminal: std::io::stdin().is_terminal(),
        })
    }

    async fn next(&mut self) -> Action {
        tokio::select! {
            _ = self.terminate.recv() => Action::Stop,
            _ = self.interrupt.recv() => Action::Stop,
            _ = self.quit.recv() => Action::StopImmediately,
            // A terminal that was closed sends this signal too.
            _ = self.hangup.recv() => match self.has_terminal && !std::io::stdin().is_terminal() {
                true => Action::Stop,
                false => Action::Reload,
            },
            _ = self.user_1.recv() => Action::Ignore("SIGUSR1"),
            _ = self.user_2.recv() => Action::Ignore("SIGUSR2"),
        }
    }
}
