//! Starting and stopping a server.

use crate::{
    app::{App, SystemClock},
    catalog::Notes,
    clock::TestClock,
    data_dir::DataDir,
    directory::StoreDirectory,
    first_start, http,
    memory::Memory,
    meter::{self, Looks},
    power::Uses,
    reconcile,
    settings::{EngineKind, Settings},
    traffic::Traffic,
};
use ootheca_engine::{Engine, postgres, simulated};
use ootheca_gateway::Gateway;
use ootheca_model::{Error, Result, time::Clock};
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// How long open requests and connections may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// A running server.
pub struct Server {
    app: Arc<App>,
    data: DataDir,
    ready: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    gateway: Gateway,
    tasks: Vec<JoinHandle<()>>,
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Where the SQL gateway listens.
    pub sql_listen: SocketAddr,
    /// Where the administrator's key was written, on the first start.
    pub admin_key: Option<PathBuf>,
}

impl Server {
    /// Starts everything; returns once it all listens.
    pub async fn start(mut settings: Settings) -> Result<Self> {
        let data = DataDir::open(&settings.data_dir)?;
        settings.data_dir = data.path().to_owned();
        let store = ootheca_store::open(&settings.store_url()).await?;
        let test_clock = match settings.test_clock {
            true => Some(Arc::new(TestClock::open(&*store).await?)),
            false => None,
        };
        let clock: Arc<dyn Clock> = match test_clock.clone() {
            Some(clock) => clock,
            None => Arc::new(SystemClock),
        };
        let admin_key = first_start::prepare(&*store, &settings, &data, clock.now()).await?;
        let page_key = first_start::page_key(&*store, clock.now()).await?;
        let engine = engine(&settings)?;
        engine.open().await?;
        if let Some(reason) = engine.capabilities().cpu_unbounded {
            tracing::warn!(reason, "the CPU of clusters can not be bounded here");
        }
        let http = TcpListener::bind(settings.listen).await.map_err(|error| {
            Error::invalid("listen", format!("can not listen on {}: {error}", settings.listen))
        })?;
        let listen = http.local_addr().map_err(|error| Error::internal("no local address").because(error))?;
        let gateway_settings = gateway_settings(&settings);
        let app = Arc::new(App {
            store,
            engine,
            uses: Uses::new(clock.now()),
            notes: Notes::default(),
            clock,
            settings,
            memory: Memory::default(),
            traffic: Traffic::default(),
            looks: Looks::default(),
            test_clock,
            clock_moved: watch::Sender::new(0),
            lease: watch::Sender::new(None),
            page_key,
            sql_port: OnceLock::new(),
        });
        let gateway = Gateway::start(gateway_settings, StoreDirectory::new(app.clone())).await?;
        let sql_listen = gateway.local_addr();
        let port = app.settings.gateway.port;
        app.sql_port.get_or_init(|| if port == 0 { sql_listen.port() } else { port });
        let (stop, stopped) = watch::channel(false);
        let ready = Arc::new(AtomicBool::new(true));
        let holder = format!("{}:{}", hostname(), data.path().display());
        let tasks = vec![
            tokio::spawn(reconcile::run(app.clone(), holder, stopped.clone())),
            tokio::spawn(meter::run(app.clone(), stopped.clone())),
            tokio::spawn(serve_http(
                http,
                http::router(app.clone(), ready.clone(), gateway.authority().to_owned()),
                stopped,
            )),
        ];
        Ok(Self { app, data, ready, stop, gateway, tasks, listen, sql_listen, admin_key })
    }

    /// The data folder.
    pub fn data_dir(&self) -> &std::path::Path {
        self.data.path()
    }

    /// Drains, then stops all that was started; with `detach` in the settings the SQL servers go on.
    /// `hurry` turns true at a second signal.
    pub async fn stop(self, mut hurry: watch::Receiver<bool>) {
        self.ready.store(false, Ordering::Relaxed);
        self.stop.send_replace(true);
        let grace = async {
            self.gateway.shutdown(GRACE).await;
            for task in self.tasks {
                let _ = tokio::time::timeout(GRACE, task).await;
            }
        };
        tokio::select! {
            () = grace => {}
            _ = hurry.wait_for(|hurry| *hurry) => {}
        }
        let (engine, detach) = (self.app.engine.clone(), self.app.settings.detach);
        let close = engine.close(detach);
        tokio::pin!(close);
        tokio::select! {
            () = &mut close => return,
            _ = hurry.wait_for(|hurry| *hurry) => {}
        }
        tokio::join!(close, engine.close(detach));
    }
}

fn engine(settings: &Settings) -> Result<Arc<dyn Engine>> {
    Ok(match settings.engine_kind {
        EngineKind::Simulated => {
            Arc::new(simulated::SimulatedEngine::new(settings.data_dir.join("simulated")))
        }
        EngineKind::Postgres => {
            let engine = &settings.engine;
            Arc::new(postgres::PostgresEngine::new(postgres::Settings {
                folder: settings.engine_folder(),
                user: Some(engine.user.clone()),
                programs: engine.programs.clone(),
                pool_size: engine.pool_size,
                shared_buffers: engine.shared_buffers.clone(),
                max_connections: engine.max_connections,
                ..postgres::Settings::default()
            })?)
        }
    })
}

fn gateway_settings(settings: &Settings) -> ootheca_gateway::Settings {
    let gateway = &settings.gateway;
    let named = [gateway.domain.clone(), gateway.host.clone()];
    ootheca_gateway::Settings {
        domains: named.into_iter().filter(|name| !name.is_empty() && name != "localhost").collect(),
        handshake_timeout: Duration::from_secs(gateway.handshake_seconds),
        max_connections: gateway.max_connections,
        threads: gateway.threads,
        ..ootheca_gateway::Settings::new(settings.sql_listen, settings.data_dir.join("certificates"))
    }
}

async fn serve_http(listener: TcpListener, router: axum::Router, mut stop: watch::Receiver<bool>) {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(stopped).await {
        tracing::error!(%error, "the API stopped");
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}
