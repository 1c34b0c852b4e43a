//! Starts and stops a server, and hands over to its successor.

use crate::{
    app::App,
    clock::{SystemClock, TestClock},
    context::{Context, Keys},
    data_dir::{self, DataDir},
    descriptors,
    gateway::{
        control::{self, server::Control},
        directory::StoreDirectory,
        embedded::{self, EmbeddedGateway},
        handover::{Handover, HandoverServer, Inherited, Listening, RELEASE, SETTLE, Successor},
    },
    http::{listener, routes::Routes, tls::Tls},
    identity::bootstrap,
    ownership::Owner,
    settings::{EngineKind, RateLimitSettings, Settings, hostname},
};
use ootheca_durable::failpoint;
use ootheca_engine::{Engine, postgres, simulated};
use ootheca_gateway::Authority;
use ootheca_model::{Error, Result, time::Clock};
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

/// A running server.
pub struct Server {
    app: App,
    data: DataDir,
    ready: Arc<AtomicBool>,
    embedded: Option<Arc<EmbeddedGateway>>,
    handover_server: Arc<HandoverServer>,
    successors: mpsc::Receiver<Handover>,
    /// The rate limit in effect, which a reload can change.
    rate_limit: RateLimitSettings,
    switches: Switches,
    http: JoinHandle<()>,
    tls: Option<Arc<Tls>>,
    tasks: Vec<JoinHandle<()>>,
    /// The address of the API.
    pub listen: SocketAddr,
    /// The address of the SQL gateway, if it is in this process.
    pub sql_listen: Option<SocketAddr>,
    /// The path of the administrator's key, on the first start.
    pub admin_key: Option<PathBuf>,
}

/// Switches that turn off parts of the server, one after the other.
struct Switches {
    /// Whether the API accepts connections.
    open: watch::Sender<bool>,
    stop_tasks: watch::Sender<bool>,
}

impl Server {
    /// Starts everything, on inherited sockets if there are any. Returns when all sockets listen.
    pub async fn start(mut settings: Settings, inherited: Inherited) -> Result<Self> {
        settings.data_dir = data_dir::absolute(&settings.data_dir)?;
        let engine = engine(&settings)?;
        Self::start_with(settings, engine, inherited, Duration::ZERO).await
    }

    /// Takes over from a running server of the data directory if there is one, otherwise starts.
    pub async fn take_over(mut settings: Settings) -> Result<Self> {
        settings.data_dir = data_dir::absolute(&settings.data_dir)?;
        let Some(mut successor) = Successor::connect(&control::control_socket(&settings.data_dir)).await?
        else {
            tracing::info!("no server to take over from");
            let engine = engine(&settings)?;
            return Self::start_with(settings, engine, Inherited::default(), RELEASE).await;
        };
        // Run checks without side effects before asking the other process to yield.
        let engine = engine(&settings)?;
        Tls::open(&settings)?;
        successor.take_over().await?;
        let inherited = std::mem::take(&mut successor.inherited);
        let server = Self::start_with(settings, engine, inherited, RELEASE).await?;
        successor.ready().await;
        Ok(server)
    }

    async fn start_with(
        mut settings: Settings,
        engine: Arc<dyn Engine>,
        mut inherited: Inherited,
        wait: Duration,
    ) -> Result<Self> {
        descriptors::raise_limit();
        let data = DataDir::open(&settings.data_dir, wait).await?;
        settings.data_dir = data.path().to_owned();
        let tls = Tls::open(&settings)?;
        let (mut context, admin_key) = open(settings, engine, &data).await?;
        let (socket, listener) = listener::listen(context.settings.listen, inherited.take("http")).await?;
        let listen =
            socket.local_addr().map_err(|error| Error::internal("no local address").because(error))?;
        // If the port was chosen by the system, links must contain it.
        context.settings.listen = listen;
        let mut listening = vec![Listening { name: "http", socket }];
        let app = App::new(context);
        let context = &app.context;
        let directory = StoreDirectory::new(app.lifecycle.clone());
        let embedded = match context.settings.gateway.enabled {
            true => Some(EmbeddedGateway::start(&context.settings, directory.clone(), &mut inherited).await?),
            false => None,
        };
        if let Some(embedded) = &embedded {
            context.sql_port.store(embedded.address().port(), Ordering::Relaxed);
            listening.push(embedded.listening()?);
        }
        let authority = authority(&context.settings, embedded.as_deref())?;
        let ready = Arc::new(AtomicBool::new(true));
        let (handover_server, successors) = HandoverServer::new(listening);
        let settings = context.settings.clone();
        let (open, opened) = watch::channel(true);
        let draining = context.draining.subscribe();
        let (stop_tasks, stopped) = watch::channel(false);
        let routes = Routes::new(app.api.clone(), ready.clone(), authority, tls.clone(), embedded.clone());
        let control = Control {
            context: context.clone(),
            metering: app.metering.clone(),
            directory,
            handover_server: handover_server.clone(),
        };
        let control_socket = control::listen(&control::control_socket(data.path()))?;
        let holder = format!("{}:{}", hostname(), data.path().display());
        let mut tasks = app.spawn(holder, &stopped);
        if let Some(tls) = tls.clone() {
            tasks.push(tokio::spawn(tls.run(stopped.clone())));
        }
        tasks.push(tokio::spawn(control::server::serve(control, control_socket, stopped)));
        Ok(Self {
            http: tokio::spawn(listener::serve(
                listener,
                tls.clone(),
                Arc::new(routes),
                settings,
                opened,
                draining,
            )),
            tls,
            tasks,
            sql_listen: embedded.as_ref().map(|embedded| embedded.address()),
            switches: Switches { open, stop_tasks },
            rate_limit: app.context.settings.rate_limit.clone(),
            app,
            data,
            ready,
            embedded,
            handover_server,
            successors,
            listen,
            admin_key,
        })
    }

    /// The path of the data directory.
    pub fn data_dir(&self) -> &std::path::Path {
        self.data.path()
    }

    /// A one-time sign-in link for the terminal of this machine. `None` if there is no console, or if the
    /// server is reachable from other machines, because printed output may be stored.
    pub fn sign_in_link(&self) -> Option<String> {
        let here = self.listen.ip().is_loopback() && self.app.context.settings.console.enabled;
        here.then(|| {
            let token = self.app.identity.sign_in_link.fresh(self.app.context.now());
            format!("{}/link#{token}", self.base_url())
        })
    }

    /// The URL of the API and the console on this machine, such as `http://127.0.0.1:8080`.
    pub fn base_url(&self) -> String {
        self.app.context.settings.listen_url()
    }

    /// The file with the certificate authority that clients of the API need, if it is our own.
    pub fn own_authority(&self) -> Option<PathBuf> {
        let own = self.app.context.settings.tls.self_signed;
        own.then(|| self.data.path().join("certificates/ca.pem"))
    }

    /// Whether the console is enabled.
    pub fn has_console(&self) -> bool {
        self.app.context.settings.console.enabled
    }

    /// The next process that wants to take over from this one. Returns an error if this server cannot
    /// continue.
    pub async fn successor(&mut self) -> Result<Option<Handover>> {
        let mut disowned = self.app.context.disowned.subscribe();
        tokio::select! {
            handover = self.successors.recv() => Ok(handover),
            Ok(reason) = disowned.wait_for(Option::is_some) => {
                Err(Error::precondition(reason.clone().unwrap_or_default()))
            }
        }
    }

    /// Takes over what can change while the server runs: settings, and the certificate of the API. If the
    /// certificate can't be read, the previous one remains in use.
    pub fn reload(&mut self, settings: &Settings) {
        if let Some(Err(error)) = self.tls.as_ref().map(|tls| tls.reload()) {
            tracing::error!(error = error.chain(), "certificate of the API not read");
        }
        self.rate_limit.clone_from(&settings.rate_limit);
        self.app.identity.limiter.configure(&self.rate_limit, self.app.context.settings.engine_kind);
    }

    /// Drains, then stops everything that was started. With `detach` in the settings, the SQL servers keep
    /// running. `hurry` is true after a second signal.
    pub async fn stop(self, mut hurry: watch::Receiver<bool>) {
        let grace = self.app.context.settings.drain();
        self.ready.store(false, Ordering::Relaxed);
        self.handover_server.close();
        self.app.context.draining.send_replace(true);
        self.switches.stop_tasks.send_replace(true);
        let drain = async {
            if let Some(embedded) = &self.embedded {
                embedded.shutdown(grace).await;
            }
            for task in self.tasks.into_iter().chain([self.http]) {
                let _ = timeout(grace, task).await;
            }
        };
        tokio::select! {
            () = drain => {}
            _ = hurry.wait_for(|hurry| *hurry) => {}
        }
        let (engine, detach) = (self.app.context.engine.clone(), self.app.context.settings.detach);
        let close = engine.close(detach);
        tokio::pin!(close);
        tokio::select! {
            () = &mut close => {}
            _ = hurry.wait_for(|hurry| *hurry) => drop(tokio::join!(close, engine.close(detach))),
        }
        if let Err(error) = self.app.context.store.close().await {
            tracing::warn!(error = error.chain(), "store not closed cleanly");
        }
    }

    /// Hands over to a successor, which adopts the SQL servers, then drains the sessions. If the successor
    /// fails, starts again on its own sockets.
    pub async fn hand_over(self, handover: Handover) -> Result<Option<Self>> {
        tracing::info!("handing over to another server");
        let grace = self.app.context.settings.drain();
        self.switches.open.send_replace(false);
        if let Some(embedded) = &self.embedded {
            embedded.stop_accepting().await;
        }
        failpoint::reach("stopped accepting for a successor");
        // By then, connections that were accepted last have sent their requests.
        sleep(SETTLE).await;
        self.app.context.draining.send_replace(true);
        // Changes in memory and in the store must not come from two servers, so requests end first.
        let _ = timeout(grace, self.http).await;
        failpoint::reach("requests ended for a successor");
        self.switches.stop_tasks.send_replace(true);
        for task in self.tasks {
            let _ = timeout(grace, task).await;
        }
        self.app.context.engine.close(true).await;
        let copies = Inherited::copies(&self.handover_server.listening())
            .map_err(|error| Error::internal("take-over: could not keep the sockets").because(error))?;
        drop(self.data);
        match handover.ready().await {
            Ok(()) => {
                failpoint::reach("successor ready");
                drop(copies);
                self.handover_server.close();
                if let Some(embedded) = self.embedded {
                    embedded.shutdown(grace).await;
                }
                Ok(None)
            }
            Err(error) => {
                tracing::error!(error = error.chain(), "successor failed; this server continues");
                if let Some(embedded) = self.embedded {
                    tokio::spawn(async move { embedded.shutdown(grace).await });
                }
                let settings = Settings { rate_limit: self.rate_limit, ..self.app.context.settings.clone() };
                Self::start(settings, copies).await.map(Some)
            }
        }
    }
}

/// Opens the store and the engine, and creates what an empty store needs. Also returns the path of the
/// administrator's key if it was written, on the first start.
async fn open(
    mut settings: Settings,
    engine: Arc<dyn Engine>,
    data: &DataDir,
) -> Result<(Context, Option<PathBuf>)> {
    let store = bootstrap::open_store(&settings).await?;
    let test_clock = match settings.test_clock {
        true => Some(Arc::new(TestClock::open(&*store).await?)),
        false => None,
    };
    let clock: Arc<dyn Clock> = match test_clock.clone() {
        Some(clock) => clock,
        None => Arc::new(SystemClock),
    };
    engine.set_clock(clock.clone());
    let owner = match engine.capabilities().machine_scoped {
        true => Some(Owner::of(data, hostname())?),
        false => None,
    };
    if let Some(owner) = &owner {
        owner.claim(&*store, std::mem::take(&mut settings.adopt_store), clock.now()).await?;
    }
    let admin_key = bootstrap::prepare(&*store, &settings, data, clock.now()).await?;
    let page = bootstrap::page_key(&*store, clock.now()).await?;
    let recovery = bootstrap::recovery_key(&*store, clock.now()).await?;
    engine.open().await?;
    let capabilities = engine.capabilities();
    if let Some(reason) = capabilities.cpu_unbounded {
        tracing::warn!(reason, "CPU limits are not available on this machine");
    }
    if let Some(reason) = capabilities.memory_unbounded {
        tracing::warn!(reason, "limits of memory and processes are not available on this machine");
    }
    if let Some(reason) = capabilities.sandbox_incomplete {
        tracing::warn!(reason, "the sandbox of SQL servers is incomplete on this machine");
    }
    let keys = Keys { page, recovery };
    let context = Context::new(store, engine, clock, test_clock, settings, keys, owner);
    Ok((context, admin_key))
}

/// The certificate authority that SQL clients trust. It is created here if the gateway is another process.
fn authority(settings: &Settings, embedded: Option<&EmbeddedGateway>) -> Result<String> {
    if let Some(embedded) = embedded {
        return Ok(embedded.authority().to_owned());
    }
    let folder = embedded::gateway_settings(settings).certificates;
    Ok(Authority::open(&folder, SystemTime::now())?.pem().to_owned())
}

fn engine(settings: &Settings) -> Result<Arc<dyn Engine>> {
    Ok(match settings.engine_kind {
        EngineKind::Simulated => {
            let (folder, shared) = (settings.simulated_folder(), &settings.engine.simulated_dir);
            Arc::new(match shared.as_os_str().is_empty() {
                true => simulated::SimulatedEngine::new(folder),
                false => simulated::SimulatedEngine::shared(folder),
            })
        }
        EngineKind::Postgres => {
            let folder = settings.engine_folder();
            Arc::new(postgres::PostgresEngine::new(settings.postgres(folder))?)
        }
    })
}
