//! The listener and the threads that serve its connections.

use crate::{
    Certificates, Directory, Snapshot, admission,
    refusal::Refusal,
    session::{Shared, serve},
    sessions::Cut,
};
use ootheca_model::{Error, Result};
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    runtime::{Builder, Handle},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{AbortHandle, JoinHandle},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

/// After the grace, how long sessions may take to say goodbye.
const GOODBYE: Duration = Duration::from_millis(1500);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a gateway needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The folder of [`Certificates`].
    pub certificates: PathBuf,
    /// Zones of the gateway: the names right below each lead to clusters.
    pub domains: Vec<String>,
    /// How long a client may take until its startup message is there.
    pub handshake_timeout: Duration,
    /// The most connections at a time.
    pub max_connections: usize,
    /// Threads that serve connections; 0 is one a core.
    pub threads: usize,
    /// A socket that listens already, to start on instead of `listen`.
    pub listener: Option<Arc<std::net::TcpListener>>,
}

impl Settings {
    /// The defaults, with certificates in `certificates`.
    pub fn new(listen: SocketAddr, certificates: impl Into<PathBuf>) -> Self {
        let certificates = certificates.into();
        let (handshake_timeout, max_connections) = (Duration::from_secs(10), 10_000);
        Self {
            listen,
            certificates,
            domains: Vec::new(),
            handshake_timeout,
            max_connections,
            threads: 0,
            listener: None,
        }
    }
}

/// A running gateway. Dropping it ends every session at once.
pub struct Gateway {
    address: SocketAddr,
    certificates: Certificates,
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    max_connections: u32,
    accept: Mutex<Option<JoinHandle<()>>>,
    listener: Option<std::net::TcpListener>,
    enforce: AbortHandle,
    stop: watch::Sender<bool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Gateway {
    /// Starts listening. `directory` is called on the runtime that this is called on.
    pub async fn start(settings: Settings, directory: Arc<dyn Directory>) -> Result<Self> {
        let certificates = Certificates::open(&settings.certificates, &settings.domains)?;
        let listening = |cause| {
            Error::unavailable(format!("SQL gateway: can not listen on {}", settings.listen)).because(cause)
        };
        let listener = match &settings.listener {
            Some(listener) => listener.try_clone().map_err(listening)?,
            None => {
                TcpListener::bind(settings.listen).await.and_then(TcpListener::into_std).map_err(listening)?
            }
        };
        listener.set_nonblocking(true).map_err(listening)?;
        let kept = listener.try_clone().map_err(listening)?;
        let listener = TcpListener::from_std(listener).map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let shared = Arc::new(Shared {
            home: Handle::current(),
            tls: TlsAcceptor::from(certificates.config()),
            handshake_timeout: settings.handshake_timeout,
            sessions: Arc::default(),
            keys: Arc::default(),
            directory,
        });
        let changes = shared.directory.changes();
        let enforce = admission::enforce(shared.directory.clone(), shared.sessions.clone(), changes);
        let enforce = tokio::spawn(enforce).abort_handle();
        let (stop, stopped) = watch::channel(false);
        let (threads, workers) = start_threads(settings.threads, stopped)?;
        let max_connections = settings.max_connections.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        let slots = Arc::new(Semaphore::new(max_connections));
        let accept = Mutex::new(Some(tokio::spawn(accept(listener, shared.clone(), slots.clone(), workers))));
        let max_connections = max_connections as u32;
        let listener = Some(kept);
        Ok(Self {
            address,
            certificates,
            shared,
            slots,
            max_connections,
            accept,
            listener,
            enforce,
            stop,
            threads,
        })
    }

    /// The listening socket, for a process that takes over.
    pub fn listener(&self) -> std::io::Result<std::net::TcpListener> {
        let listener = self.listener.as_ref().ok_or(std::io::ErrorKind::NotConnected)?;
        listener.try_clone()
    }

    /// Accepts no more connections; those that are open go on. Unless another process has the listening
    /// socket, new ones are refused from here on.
    pub async fn stop_accepting(&self) {
        let accept = self.accept.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(accept) = accept {
            accept.abort();
            let _ = accept.await;
        }
    }

    /// What it has done so far.
    pub fn metrics(&self) -> Snapshot {
        Snapshot::default()
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The certificate that clients verify the gateway with, in PEM form.
    pub fn authority(&self) -> &str {
        self.certificates.authority()
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        self.max_connections as usize - self.slots.available_permits()
    }

    /// Stops. New connections are refused at once; idle sessions end at once, the others between two
    /// transactions or, at the end of `grace`, wherever they are.
    pub async fn shutdown(mut self, grace: Duration) {
        self.stop_accepting().await;
        // The port is free when every descriptor of it is closed.
        self.listener = None;
        self.shared.sessions.cut_all(Cut::Drain);
        let all_gone = || self.slots.acquire_many(self.max_connections);
        if timeout(grace, all_gone()).await.is_err() {
            self.shared.sessions.cut_all(Cut::Shutdown);
            let _ = timeout(GOODBYE, all_gone()).await;
        }
        self.enforce.abort();
        self.stop.send_replace(true);
        let threads = std::mem::take(&mut self.threads);
        let joined =
            tokio::task::spawn_blocking(|| threads.into_iter().for_each(|thread| drop(thread.join())));
        let _ = joined.await;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(accept) = &*self.accept.lock().unwrap_or_else(PoisonError::into_inner) {
            accept.abort();
        }
        self.enforce.abort();
        self.stop.send_replace(true);
    }
}

/// One thread of the gateway, and how many connections it has.
#[derive(Clone)]
struct Worker {
    runtime: Handle,
    load: Arc<AtomicUsize>,
}

fn start_threads(
    count: usize,
    stopped: watch::Receiver<bool>,
) -> Result<(Vec<thread::JoinHandle<()>>, Vec<Worker>)> {
    let count = match count {
        0 => thread::available_parallelism().map_or(1, usize::from),
        count => count,
    };
    let failed = |cause| Error::internal("SQL gateway: can not start its threads").because(cause);
    let (mut threads, mut workers) = (Vec::new(), Vec::new());
    for number in 0..count {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        workers.push(Worker { runtime: runtime.handle().clone(), load: Arc::default() });
        let mut stopped = stopped.clone();
        let run = move || {
            // An error says that the gateway itself is gone.
            let _ = runtime.block_on(stopped.wait_for(|stop| *stop));
        };
        let thread = thread::Builder::new().name(format!("gateway-{number}")).spawn(run).map_err(failed)?;
        threads.push(thread);
    }
    Ok((threads, workers))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, slots: Arc<Semaphore>, workers: Vec<Worker>) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(cause) => {
                tracing::warn!(%cause, "a SQL connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            refuse(stream, peer).await;
            continue;
        };
        let least = workers.iter().min_by_key(|worker| worker.load.load(Ordering::Relaxed));
        if let (Some(worker), Ok(stream)) = (least, stream.into_std()) {
            hand_over(worker, shared.clone(), stream, peer, slot);
        }
    }
}

fn hand_over(
    worker: &Worker,
    shared: Arc<Shared>,
    stream: std::net::TcpStream,
    peer: SocketAddr,
    slot: OwnedSemaphorePermit,
) {
    let load = Load::add(&worker.load);
    worker.runtime.spawn(async move {
        match TcpStream::from_std(stream) {
            Ok(stream) => serve(shared, stream, peer).await,
            Err(cause) => tracing::warn!(%cause, "a SQL connection could not be served"),
        }
        drop((load, slot));
    });
}

/// Counts a connection for as long as it is there.
struct Load(Arc<AtomicUsize>);

impl Load {
    fn add(load: &Arc<AtomicUsize>) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        Self(load.clone())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Clients read an error in place of the answer to their request for TLS.
async fn refuse(mut stream: TcpStream, peer: SocketAddr) {
    let refusal = Refusal::full();
    tracing::info!(kind = refusal.kind, peer = %peer.ip(), "sql connection closed");
    let _ = timeout(ACCEPT_PAUSE, stream.write_all(&refusal.encode())).await;
}
