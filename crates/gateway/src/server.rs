//! The listener, and the tasks that run beside the sessions.

use crate::{
    Directory, Settings,
    error::ClientError,
    metrics::Snapshot,
    pool::Pool,
    registry::{Registry, Termination, activity},
    session::{Shared, admission},
    tls::{Certificates, authority::RENEW_BEFORE},
    unauthenticated::Unauthenticated,
    workers::{self, AcceptedConnection, Worker},
};
use ootheca_model::{Error, Result, Timestamp, attempts::Attempts};
use parking_lot::{Mutex, RwLock};
use std::{
    io,
    net::{self, SocketAddr},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{Semaphore, watch},
    task::{AbortHandle, JoinHandle, spawn_blocking},
    time::{sleep, timeout},
};

/// The number of wrong passwords in a row that are not delayed.
const UNDELAYED_FAILURES: u32 = 3;
/// The time that sessions have to send their last message after the grace period.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(1500);
const LAST_REPORT_TIMEOUT: Duration = Duration::from_secs(2);
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
const REJECT_TIMEOUT: Duration = Duration::from_millis(50);
/// The number of connections beyond the other limits: evicted ones that are being closed, and cancel requests.
const CLOSING_CONNECTIONS: usize = 256;
/// How often a certificate authority that expires soon is reported.
const WARN_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// A running gateway. Dropping it terminates all sessions immediately.
pub struct Gateway {
    address: SocketAddr,
    authority: String,
    shared: Arc<Shared>,
    /// One for every open connection.
    permits: Arc<Semaphore>,
    max_open: u32,
    listening: Mutex<Option<Listening>>,
    background: Vec<AbortHandle>,
    stop: watch::Sender<bool>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
}

struct Listening {
    listener: net::TcpListener,
    accept: JoinHandle<()>,
}

impl Gateway {
    /// Starts listening. The current runtime becomes the one that calls `directory`.
    pub async fn start(settings: Settings, directory: Arc<dyn Directory>) -> Result<Self> {
        let certificates = Arc::new(open_certificates(&settings)?);
        let failed = |cause| {
            Error::unavailable(format!("SQL gateway: cannot listen on {}", settings.listen)).because(cause)
        };
        let (listener, acceptor) = listen(&settings).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let authority = certificates.authority().pem().to_owned();
        let shared = Arc::new(share(&settings, certificates, directory));
        let (stop, stopped) = watch::channel(false);
        let (threads, workers) = workers::start(settings.threads, stopped)?;
        let max_open = settings.max_connections.saturating_add(settings.max_unauthenticated);
        let max_open = u32::try_from(max_open.saturating_add(CLOSING_CONNECTIONS)).unwrap_or(u32::MAX);
        let permits = Arc::new(semaphore(max_open as usize));
        let background = spawn_background_tasks(&shared, settings);
        let accept = tokio::spawn(accept(acceptor, shared.clone(), permits.clone(), workers));
        let listening = Mutex::new(Some(Listening { listener, accept }));
        Ok(Self {
            address,
            authority,
            shared,
            permits,
            max_open,
            listening,
            background,
            stop,
            threads: Mutex::new(threads),
        })
    }

    /// The address of the listening socket.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The certificate that clients verify the gateway with, in PEM form.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        self.max_open as usize - self.permits.available_permits()
    }

    /// The current values of all metrics.
    pub fn metrics(&self) -> Snapshot {
        let certificates = self.shared.certificates.read().clone();
        let certificate_expiry =
            [("sql", certificates.shared().expires()), ("authority", certificates.authority().expires())];
        Snapshot {
            certificate_expiry: certificate_expiry.into(),
            ..self.shared.metrics.snapshot(self.shared.registry.usage())
        }
    }

    /// Duplicates the listening socket, for a process that takes over. Connections that arrive while no
    /// process accepts wait in the socket's backlog.
    pub fn listener(&self) -> io::Result<net::TcpListener> {
        match &*self.listening.lock() {
            Some(listening) => listening.listener.try_clone(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Stops accepting connections; open ones continue. Unless another process has the listening socket,
    /// new connections are refused from now on.
    pub async fn stop_accepting(&self) {
        let listening = self.listening.lock().take();
        if let Some(Listening { listener, accept }) = listening {
            accept.abort();
            // The task owns a duplicate of the socket.
            let _ = accept.await;
            drop(listener);
        }
    }

    /// Shuts down. Refuses new connections and terminates idle sessions immediately, other sessions
    /// between two transactions, and the remaining ones after the `grace` period.
    pub async fn shutdown(&self, grace: Duration) {
        self.stop_accepting().await;
        self.shared.registry.terminate_all(Termination::Drain);
        let all_closed = || self.permits.acquire_many(self.max_open);
        if timeout(grace, all_closed()).await.is_err() {
            self.shared.registry.terminate_all(Termination::Shutdown);
            self.shared.unauthenticated.close();
            let _ = timeout(CLOSE_TIMEOUT, all_closed()).await;
        }
        self.background.iter().for_each(AbortHandle::abort);
        let report = activity::report(&*self.shared.directory, &self.shared.registry);
        match timeout(LAST_REPORT_TIMEOUT, report).await {
            Ok(Ok(())) => {}
            Ok(Err(cause)) => tracing::warn!(cause, "last activity report failed"),
            Err(_) => tracing::warn!("last activity report timed out"),
        }
        self.stop.send_replace(true);
        let threads = std::mem::take(&mut *self.threads.lock());
        let joined = spawn_blocking(|| threads.into_iter().for_each(|thread| drop(thread.join())));
        let _ = joined.await;
        self.shared.pool.clear();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(listening) = &*self.listening.lock() {
            listening.accept.abort();
        }
        self.background.iter().for_each(AbortHandle::abort);
        self.shared.pool.clear();
        self.stop.send_replace(true);
    }
}

fn semaphore(permits: usize) -> Semaphore {
    Semaphore::new(permits.min(Semaphore::MAX_PERMITS))
}

fn share(settings: &Settings, certificates: Arc<Certificates>, directory: Arc<dyn Directory>) -> Shared {
    let registry = Arc::<Registry>::default();
    Shared {
        directory,
        main_runtime: Handle::current(),
        certificates: RwLock::new(certificates),
        handshake_timeout: settings.handshake_timeout,
        proxy_protocol: settings.proxy_protocol,
        domains: settings.domains.clone(),
        max_connections_per_cluster: settings.max_connections_per_cluster,
        sessions: Arc::new(semaphore(settings.max_connections)),
        unauthenticated: Arc::new(Unauthenticated::new(
            settings.max_unauthenticated,
            settings.max_unauthenticated_per_address,
        )),
        pool: Arc::new(Pool::new(settings.pool_idle, settings.pool_lifetime, registry.clone())),
        registry,
        cancel_keys: Arc::default(),
        attempts: Attempts::new(UNDELAYED_FAILURES),
        metrics: Default::default(),
        mock_secret: rand::random(),
    }
}

fn spawn_background_tasks(shared: &Arc<Shared>, settings: Settings) -> Vec<AbortHandle> {
    let Shared { directory, registry, pool, .. } = &**shared;
    let changes = directory.changes();
    let enforce = admission::enforce(directory.clone(), registry.clone(), pool.clone(), changes);
    let mut tasks = vec![
        tokio::spawn(enforce),
        tokio::spawn(activity::run(directory.clone(), registry.clone())),
        tokio::spawn(renew_certificates(shared.clone(), settings)),
    ];
    if pool.is_enabled() {
        tasks.push(tokio::spawn(pool.clone().sweep()));
    }
    tasks.into_iter().map(|task| task.abort_handle()).collect()
}

/// The listening socket, and a duplicate of it to accept with.
async fn listen(settings: &Settings) -> io::Result<(net::TcpListener, TcpListener)> {
    let listener = match &settings.listener {
        Some(listener) => listener.try_clone()?,
        None => TcpListener::bind(settings.listen).await?.into_std()?,
    };
    listener.set_nonblocking(true)?;
    let acceptor = TcpListener::from_std(listener.try_clone()?)?;
    Ok((listener, acceptor))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, permits: Arc<Semaphore>, workers: Vec<Worker>) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(cause) => {
                tracing::warn!(%cause, "SQL connection not accepted");
                sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        match permits.clone().try_acquire_owned() {
            Ok(permit) => workers::assign(&workers, &shared, AcceptedConnection { stream, peer, permit }),
            Err(_) => reject(&shared, stream, peer).await,
        }
    }
}

/// Sends an error without a handshake. Some clients display it when they receive it in place of the answer
/// to their request for TLS.
async fn reject(shared: &Shared, mut stream: TcpStream, peer: SocketAddr) {
    let error = ClientError::too_many_connections();
    shared.metrics.accepted();
    shared.metrics.refused(error.kind);
    tracing::info!(kind = error.kind, peer = %peer.ip(), "SQL connection closed");
    let _ = timeout(REJECT_TIMEOUT, stream.write_all(&error.encode())).await;
}

fn open_certificates(settings: &Settings) -> Result<Certificates> {
    let certificates = Certificates::open(&settings.certificates, &settings.domains, settings.now)?;
    warn_before_expiry(certificates.authority().expires(), (settings.now)());
    Ok(certificates)
}

fn warn_before_expiry(expires: SystemTime, now: SystemTime) {
    if expires < now + RENEW_BEFORE {
        tracing::warn!(
            expires = %Timestamp::from(expires),
            "the certificate authority expires soon; to create a new one, stop the server, remove ca.pem and ca-key.pem from the directory `certificates`, and give clients the new certificate"
        );
    }
}

/// Renews the certificates when they are due, and warns when the authority expires soon. New connections use
/// the new ones. Never returns.
async fn renew_certificates(shared: Arc<Shared>, settings: Settings) {
    let clock = settings.now;
    let mut failing = false;
    let mut warned = clock();
    loop {
        sleep(settings.renewal).await;
        let settings = settings.clone();
        let open = move || Certificates::open(&settings.certificates, &settings.domains, settings.now);
        let opened = spawn_blocking(open).await.map_err(|cause| cause.to_string());
        match opened.and_then(|opened| opened.map_err(|error| error.chain())) {
            Ok(opened) => {
                failing = false;
                if opened.shared().leaf() != shared.certificates.read().shared().leaf() {
                    *shared.certificates.write() = Arc::new(opened);
                    tracing::info!("certificate of the SQL gateway renewed");
                }
            }
            Err(cause) if !failing => {
                failing = true;
                tracing::error!(
                    cause,
                    "certificate of the SQL gateway not checked; it is still used until it expires"
                );
            }
            Err(_) => {}
        }
        let now = clock();
        // Not recent either if the clock was set back since.
        let recent = now.duration_since(warned).is_ok_and(|since| since < WARN_INTERVAL);
        if !recent {
            warned = now;
            warn_before_expiry(shared.certificates.read().authority().expires(), now);
        }
    }
}
