//! The listener, and what runs beside the sessions.

use crate::{
    Directory, Settings,
    error::Refusal,
    metrics::Snapshot,
    pool::Pool,
    registry::{Cut, Sessions, activity},
    session::{Shared, admission},
    tls::{Certificates, Tls},
    workers::{self, Accepted, Worker},
};
use ootheca_model::{Error, Result, throttle::Throttle};
use std::{
    io,
    net::{self, SocketAddr},
    sync::{Arc, Mutex, PoisonError, RwLock},
    thread,
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{Semaphore, watch},
    task::{AbortHandle, JoinHandle, spawn_blocking},
    time::{sleep, timeout},
};

/// Wrong logins in a row at a cluster that an address may try: people mistype.
const FREE_FAILURES: u32 = 3;
const LONGEST_DELAY: Duration = Duration::from_secs(60 * 60);
/// After the grace, how long sessions may take to say goodbye.
const GOODBYE: Duration = Duration::from_millis(1500);
/// How long the last report may take.
const LAST_REPORT: Duration = Duration::from_secs(2);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How many of those that are too many may be told so at a time, each after its TLS handshake.
const TOO_MANY: usize = 64;

/// A running gateway. Dropping it ends every session at once.
pub struct Gateway {
    address: SocketAddr,
    authority: String,
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    max_connections: u32,
    listening: Mutex<Option<Listening>>,
    beside: Vec<AbortHandle>,
    stop: watch::Sender<bool>,
    threads: Vec<thread::JoinHandle<()>>,
}

struct Listening {
    listener: net::TcpListener,
    accept: JoinHandle<()>,
}

impl Gateway {
    /// Starts listening. `directory` is called on the runtime that this is called on.
    pub async fn start(settings: Settings, directory: Arc<dyn Directory>) -> Result<Self> {
        let certificates = Certificates::open(&settings.certificates, &settings.domains)?;
        let listening = |cause| {
            Error::unavailable(format!("SQL gateway: can not listen on {}", settings.listen)).because(cause)
        };
        let (listener, accepting) = listen(&settings).await.map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let sessions = Arc::<Sessions>::default();
        let pool = Arc::new(Pool::new(settings.reuse, sessions.clone()));
        let shared = Arc::new(Shared {
            home: Handle::current(),
            tls: RwLock::new(Tls::new(&certificates)),
            handshake_timeout: settings.handshake_timeout,
            proxy_protocol: settings.proxy_protocol,
            zones: settings.domains.clone(),
            max_connections_per_cluster: settings.max_connections_per_cluster,
            sessions: sessions.clone(),
            keys: Arc::default(),
            throttle: Throttle::new(FREE_FAILURES, LONGEST_DELAY),
            pool: pool.clone(),
            metrics: Default::default(),
            mock: rand::random(),
            directory: directory.clone(),
        });
        let changes = directory.changes();
        let mut beside = vec![
            tokio::spawn(admission::enforce(directory.clone(), sessions.clone(), pool.clone(), changes)),
            tokio::spawn(activity::run(directory, sessions)),
            tokio::spawn(renew(shared.clone(), settings.clone(), certificates.leaf().to_vec())),
        ];
        if pool.is_on() {
            beside.push(tokio::spawn(pool.sweep()));
        }
        let beside = beside.into_iter().map(|task| task.abort_handle()).collect();
        let (stop, stopped) = watch::channel(false);
        let (threads, workers) = workers::start(settings.threads, stopped)?;
        let max_connections = settings.max_connections.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        let slots = Arc::new(Semaphore::new(max_connections));
        let accept = tokio::spawn(accept(accepting, shared.clone(), slots.clone(), workers));
        let (max_connections, authority) = (max_connections as u32, certificates.authority().to_owned());
        let listening = Mutex::new(Some(Listening { listener, accept }));
        Ok(Self { address, authority, shared, slots, max_connections, listening, beside, stop, threads })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The certificate that clients verify the gateway with, in PEM form.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        self.max_connections as usize - self.slots.available_permits()
    }

    /// What it has done so far.
    pub fn metrics(&self) -> Snapshot {
        self.shared.metrics.snapshot(self.shared.sessions.usage())
    }

    /// Another descriptor of the listening socket, for a process that takes over: what connects while
    /// nobody accepts waits for it.
    pub fn listener(&self) -> io::Result<net::TcpListener> {
        match &*self.listening.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(listening) => listening.listener.try_clone(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Accepts no more connections; those that are open go on. Unless another process has the listening
    /// socket, new ones are refused from here on.
    pub async fn stop_accepting(&self) {
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Listening { listener, accept }) = listening {
            accept.abort();
            // The port is free when the task is gone.
            let _ = accept.await;
            drop(listener);
        }
    }

    /// Stops. New connections are refused at once; idle sessions end at once, the others between two
    /// transactions or, at the end of `grace`, wherever they are.
    pub async fn shutdown(mut self, grace: Duration) {
        self.stop_accepting().await;
        self.shared.sessions.cut_all(Cut::Drain);
        let all_gone = || self.slots.acquire_many(self.max_connections);
        if timeout(grace, all_gone()).await.is_err() {
            self.shared.sessions.cut_all(Cut::Shutdown);
            let _ = timeout(GOODBYE, all_gone()).await;
        }
        self.beside.iter().for_each(AbortHandle::abort);
        let last = activity::report(&*self.shared.directory, &self.shared.sessions);
        match timeout(LAST_REPORT, last).await {
            Ok(Ok(())) => {}
            Ok(Err(cause)) => tracing::warn!(cause, "the last activity of clusters is not noted"),
            Err(_) => tracing::warn!("the last activity of clusters was not noted in time"),
        }
        self.stop.send_replace(true);
        let threads = std::mem::take(&mut self.threads);
        let joined = spawn_blocking(|| threads.into_iter().for_each(|thread| drop(thread.join())));
        let _ = joined.await;
        self.shared.pool.clear();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(listening) = &*self.listening.lock().unwrap_or_else(PoisonError::into_inner) {
            listening.accept.abort();
        }
        self.beside.iter().for_each(AbortHandle::abort);
        self.shared.pool.clear();
        self.stop.send_replace(true);
    }
}

/// The listening socket, twice: one to be cloned, one to accept with.
async fn listen(settings: &Settings) -> io::Result<(net::TcpListener, TcpListener)> {
    let listener = match &settings.listener {
        Some(listener) => listener.try_clone()?,
        None => TcpListener::bind(settings.listen).await?.into_std()?,
    };
    listener.set_nonblocking(true)?;
    let accepting = TcpListener::from_std(listener.try_clone()?)?;
    Ok((listener, accepting))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, slots: Arc<Semaphore>, workers: Vec<Worker>) {
    let beyond = Arc::new(Semaphore::new(TOO_MANY));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(cause) => {
                tracing::warn!(%cause, "a SQL connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (slot, too_many) = match slots.clone().try_acquire_owned() {
            Ok(slot) => (slot, false),
            Err(_) => match beyond.clone().try_acquire_owned() {
                Ok(slot) => (slot, true),
                Err(_) => {
                    refuse(&shared, stream, peer).await;
                    continue;
                }
            },
        };
        workers::hand_over(&workers, &shared, Accepted { stream, peer, slot, too_many });
    }
}

/// Some clients show an error in place of the answer to their request for TLS.
async fn refuse(shared: &Shared, mut stream: TcpStream, peer: SocketAddr) {
    let refusal = Refusal::full();
    shared.metrics.accepted();
    shared.metrics.refused(refusal.kind);
    tracing::info!(kind = refusal.kind, peer = %peer.ip(), "sql connection closed");
    let _ = timeout(ACCEPT_PAUSE, stream.write_all(&refusal.encode())).await;
}

/// Looks now and then whether the certificate has to be made again; new connections get the new one.
async fn renew(shared: Arc<Shared>, settings: Settings, mut leaf: Vec<u8>) {
    loop {
        sleep(settings.renewal).await;
        let (folder, domains) = (settings.certificates.clone(), settings.domains.clone());
        match spawn_blocking(move || Certificates::open(&folder, &domains)).await {
            Ok(Ok(certificates)) if certificates.leaf().as_ref() != leaf => {
                leaf = certificates.leaf().to_vec();
                *shared.tls.write().unwrap_or_else(PoisonError::into_inner) = Tls::new(&certificates);
                tracing::info!("the SQL gateway has a new certificate");
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::error!(cause = error.chain(), "the SQL gateway's certificate was not checked");
            }
            Err(cause) => tracing::error!(%cause, "the SQL gateway's certificate was not checked"),
        }
    }
}
