//! A connection from accept to close: handshake, routing, admission, login, and relay.

pub(crate) mod admission;
mod backend_login;
mod boundary;
mod cancellation;
mod disconnect;
mod handshake;
mod keepalive;
mod login;
mod relay;
pub(crate) mod routing;
mod sasl;

use crate::{
    Directory,
    backend::{BackendSession, BackendSocket, ParameterStatuses},
    error::ClientError,
    metrics::Metrics,
    pool::{Pool, PoolKey, Released},
    registry::{
        Registration, Registry, Termination,
        cancel::{CancelKeys, IssuedKey},
    },
    storage_guard::StorageGuard,
    tls::Certificates,
    unauthenticated::{PendingConnection, Unauthenticated},
};
use handshake::{ClientStream, Opened, limit, read_proxy_header};
use login::{CompletedLogin, LoginError};
use ootheca_model::{ClusterId, attempts::Attempts};
use ootheca_pg_protocol::{
    ProtocolViolation,
    backend::{BACKEND_KEY_DATA, READY_FOR_QUERY},
    message,
    startup::{CancelKey, Packet},
};
use parking_lot::RwLock;
use relay::{Relay, RelayEnd};
use std::{
    future::Future,
    io::{self, Write as _},
    net::{IpAddr, SocketAddr},
    result,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_rustls::server::TlsStream;

/// What a client sent, or the error `E` that it gets. The outer error means that the connection failed.
type FromClient<T, E = ProtocolViolation> = io::Result<result::Result<T, E>>;

/// How long to wait for the policy of a cluster whose server has closed a session.
const POLICY_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait for a server that does not process the cancel request of a terminated session.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(500);

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) directory: Arc<dyn Directory>,
    /// The runtime that calls the directory.
    pub(crate) main_runtime: Handle,
    pub(crate) certificates: RwLock<Arc<Certificates>>,
    pub(crate) handshake_timeout: Duration,
    pub(crate) proxy_protocol: bool,
    /// Names directly below a domain identify clusters.
    pub(crate) domains: Vec<String>,
    pub(crate) max_connections_per_cluster: usize,
    pub(crate) registry: Arc<Registry>,
    pub(crate) cancel_keys: Arc<CancelKeys>,
    /// Recent attempts to log in, by address, cluster, and user.
    pub(crate) attempts: Attempts,
    /// One permit for every session.
    pub(crate) sessions: Arc<Semaphore>,
    pub(crate) unauthenticated: Arc<Unauthenticated>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) metrics: Metrics,
    /// The secret from which the verifiers of nonexistent users are derived.
    pub(crate) mock_secret: [u8; 32],
}

impl Shared {
    /// Runs a future on the main runtime. Dropping the returned future aborts it.
    pub(crate) async fn on_main_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ClientError>> + Send + 'static,
    ) -> Result<T, ClientError> {
        let mut task = AbortOnDrop(self.main_runtime.spawn(work));
        (&mut task.0).await.unwrap_or_else(|cause| {
            tracing::error!(%cause, "directory call failed");
            Err(ClientError::internal())
        })
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The fields of a connection's log message.
pub(crate) struct ConnectionLog {
    client: IpAddr,
    cluster: Option<ClusterId>,
    wake: Option<Duration>,
    pooled: bool,
    received: u64,
    sent: u64,
}

impl ConnectionLog {
    fn new(client: IpAddr) -> Self {
        Self { client, cluster: None, wake: None, pooled: false, received: 0, sent: 0 }
    }

    fn write(self, kind: &'static str, duration: Duration) {
        let Self { client, cluster, wake, pooled, received, sent } = self;
        let (duration_ms, wake_ms) = (duration.as_millis(), wake.map(|wake| wake.as_millis()));
        tracing::info!(
            kind,
            cluster = cluster.map(tracing::field::display),
            peer = %client,
            received,
            sent,
            duration_ms,
            wake_ms,
            pooled,
            "SQL connection closed"
        );
    }
}

/// Serves a connection until it is closed, and logs it.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let start = Instant::now();
    let mut log = ConnectionLog::new(peer.ip());
    let _ = stream.set_nodelay(true);
    if let Err(cause) = keepalive::enable(&stream) {
        tracing::debug!(%cause, "TCP keepalive not enabled");
    }
    shared.metrics.accepted();
    let pending = shared.unauthenticated.enter((!shared.proxy_protocol).then_some(peer.ip()));
    let kind = match Box::pin(open(&shared, stream, pending, &mut log)).await {
        Ok(Opening::Session(session)) => {
            let kind = session.run(&shared, &mut log).await;
            shared.metrics.closed(kind);
            kind
        }
        Ok(Opening::CancelRequest) => "cancel",
        Err(OpenError::Rejected(client, error)) => {
            shared.metrics.refused(error.kind);
            Box::pin(client.reject(&error)).await;
            error.kind
        }
        Err(OpenError::Closed(client, kind)) => {
            shared.metrics.closed(kind);
            Box::pin(client.close()).await;
            kind
        }
        Err(OpenError::Disconnected(kind)) => {
            shared.metrics.closed(kind);
            kind
        }
    };
    log.write(kind, start.elapsed());
}

/// What a connection turned out to be.
enum Opening {
    Session(Box<ProxySession>),
    CancelRequest,
}

/// Why a connection did not become a session.
pub(crate) enum OpenError {
    /// The client receives an error.
    Rejected(ClientStream, ClientError),
    /// The connection is closed without an error; the reason for logs and metrics.
    Closed(ClientStream, &'static str),
    /// The connection is lost, or it has not reached TLS; the reason for logs and metrics.
    Disconnected(&'static str),
}

impl OpenError {
    /// The client has ended its side of a TLS connection, or the connection failed.
    pub(crate) fn gone(client: Box<TlsStream<TcpStream>>, cause: &io::Error) -> Self {
        tracing::debug!(%cause, "connection lost before the session began");
        Self::Closed(ClientStream::Tls(client), "gone")
    }
}

impl From<io::Error> for OpenError {
    fn from(cause: io::Error) -> Self {
        tracing::debug!(%cause, "connection lost before the session began");
        Self::Disconnected("gone")
    }
}

async fn open(
    shared: &Arc<Shared>,
    mut stream: TcpStream,
    mut pending: PendingConnection,
    log: &mut ConnectionLog,
) -> Result<Opening, OpenError> {
    let certificates = shared.certificates.read().clone();
    let deadline = Instant::now() + shared.handshake_timeout;
    if shared.proxy_protocol {
        let source = limit(read_proxy_header(&mut stream), deadline, &pending).await;
        let source = source.map_err(OpenError::Disconnected)??;
        log.client = source.map_or(log.client, |source| source.ip());
        pending.identify(log.client);
    }
    let Opened { client, packet, presented } =
        handshake::run(&certificates, stream, deadline, &pending).await?;
    let (mut client, startup) = match (client, packet) {
        (client, Packet::CancelRequest(key)) => {
            cancel(shared, &key).await;
            Box::pin(client.close()).await;
            return Ok(Opening::CancelRequest);
        }
        (client, _) if shared.sessions.available_permits() == 0 => {
            return Err(OpenError::Rejected(client, ClientError::too_many_connections()));
        }
        (ClientStream::Tls(client), Packet::StartupMessage(startup)) => (client, startup),
        (client @ ClientStream::Plain(_), _) => {
            return Err(OpenError::Rejected(client, ClientError::plaintext()));
        }
        (client, _) => {
            let error = ProtocolViolation::new("the connection uses TLS already");
            return Err(OpenError::Rejected(client, ClientError::protocol_violation(&error)));
        }
    };
    let channel_binding = presented.as_ref().and_then(|presented| presented.channel_binding.as_deref());
    let login = login::run(shared, &mut client, startup, channel_binding, &pending, log);
    let login = tokio::select! {
        biased;
        login = login => login,
        error = pending.evicted() => Err(error.into()),
    };
    match login {
        Ok(login) => match ProxySession::start(login, shared, client) {
            Ok(session) => Ok(Opening::Session(Box::new(session))),
            Err((client, cause)) => Err(OpenError::gone(client, &cause)),
        },
        Err(LoginError::Rejected(error)) => Err(OpenError::Rejected(ClientStream::Tls(client), error)),
        Err(LoginError::Disconnected(cause)) => Err(OpenError::gone(client, &cause)),
    }
}

async fn cancel(shared: &Shared, key: &CancelKey) {
    match shared.cancel_keys.find(key) {
        None => tracing::debug!("cancel request with an unknown key"),
        Some(target) => match target.cancel().await {
            Ok(()) => shared.metrics.canceled(),
            Err(cause) => tracing::warn!(%cause, "cancel request not forwarded"),
        },
    }
}

/// A session after login.
struct ProxySession {
    relay: Relay,
    registration: Registration,
    pool_key: PoolKey,
    opened: Instant,
    parameters: ParameterStatuses,
    issued_key: Option<IssuedKey>,
    _permit: OwnedSemaphorePermit,
}

impl ProxySession {
    /// Completes the client's login, with what the server has sent. Returns the client if that fails.
    fn start(
        login: CompletedLogin,
        shared: &Shared,
        mut client: Box<TlsStream<TcpStream>>,
    ) -> Result<Self, (Box<TlsStream<TcpStream>>, io::Error)> {
        let CompletedLogin { registration, storage_limit, permit, proof, pool_key, backend } = login;
        let BackendSession { socket, opened, parameters, cancel_target, notices, trailing } = backend;
        let issued_key = cancel_target.map(|target| shared.cancel_keys.issue(target));
        let mut messages = Vec::with_capacity(1024);
        sasl::put_success(&mut messages, &proof);
        parameters.put(&mut messages);
        messages.extend_from_slice(&notices);
        if let Some(IssuedKey { key, .. }) = &issued_key {
            message::put(&mut messages, BACKEND_KEY_DATA, &key.body());
        }
        message::put(&mut messages, READY_FOR_QUERY, b"I");
        messages.extend_from_slice(&trailing);
        let releasable = storage_limit.is_none() && shared.pool.is_enabled() && issued_key.is_some();
        let guard = storage_limit.map(|limit| StorageGuard::new(&limit.notice, limit.exceeded));
        let sent = BackendSocket::new(socket).and_then(|server| {
            client.get_mut().1.writer().write_all(&messages)?;
            Ok(server)
        });
        let server = match sent {
            Ok(server) => server,
            Err(cause) => return Err((client, cause)),
        };
        let handle = registration.handle.clone();
        let relay = Relay::new(client.into_inner(), server, handle, &messages, guard, releasable);
        Ok(Self { relay, registration, pool_key, opened, parameters, issued_key, _permit: permit })
    }

    /// Relays until the session ends. Returns the reason for logs and metrics.
    async fn run(mut self: Box<Self>, shared: &Arc<Shared>, log: &mut ConnectionLog) -> &'static str {
        let end = self.relay.run().await;
        (log.received, log.sent) = (self.relay.received, self.relay.sent);
        let error = match end {
            RelayEnd::Released => {
                self.release(shared.pool.clone()).await;
                return "session";
            }
            RelayEnd::Closed => match self.interruption(shared).await {
                Some(error) => error,
                None => {
                    self.relay.close(None).await;
                    return "session";
                }
            },
            RelayEnd::Failed(cause) => {
                tracing::debug!(%cause, "session failed");
                self.relay.close(None).await;
                return "broken";
            }
            RelayEnd::Terminated(reason) => {
                ClientError::terminated(reason, self.registration.handle.notice())
            }
        };
        if let Some(issued_key) = self.issued_key.as_ref().filter(|_| self.relay.is_busy()) {
            let _ = timeout(CANCEL_TIMEOUT, issued_key.target.cancel()).await;
            self.relay.drain_canceled_statement().await;
        }
        self.relay.close(Some(error.encode())).await;
        error.kind
    }

    /// The error for a client whose session was ended by the server because the cluster was deleted. The
    /// server can stop before the gateway has received the change.
    async fn interruption(&self, shared: &Shared) -> Option<ClientError> {
        if !self.relay.is_interrupted() {
            return None;
        }
        let (directory, cluster) = (shared.directory.clone(), self.registration.cluster);
        let policy = shared.on_main_runtime(async move { Ok(directory.policy(cluster).await) });
        match timeout(POLICY_TIMEOUT, policy).await {
            Ok(Ok(Ok(None))) => Some(ClientError::terminated(Termination::Deleted, None)),
            _ => None,
        }
    }

    /// Returns the server connection to the pool, and closes the client's.
    async fn release(self, pool: Arc<Pool>) {
        let Self { relay, registration, pool_key, opened, parameters, issued_key, _permit } = self;
        let (socket, client) = relay.into_parts();
        if let Some(issued_key) = issued_key {
            let (cluster, cancel_target) = (registration.cluster, issued_key.target.clone());
            // Invalidates the key.
            drop(issued_key);
            let released = Released { cluster, key: pool_key, socket, opened, parameters, cancel_target };
            tokio::spawn(async move { released.return_to(&pool).await });
        }
        drop(registration);
        client.close(None).await;
    }
}
