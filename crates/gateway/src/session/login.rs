//! Login: from the startup message to a server session for the user.
//!
//! The order protects clusters: no client reaches the server before it has authenticated, and
//! whatever can reject the client without its password does so earlier.

use super::{
    ConnectionLog, Shared,
    admission::{self, ActivatedSession, AdmissionRequest, AdmittedClient},
    backend_login::{self, BackendLoginError},
    disconnect::wait_for_disconnect,
    routing::route,
    sasl::{self, ClientProof},
};
use crate::{
    backend::BackendSession,
    error::ClientError,
    pool::{self, PoolKey},
    registry::{Registration, StorageLimit},
    unauthenticated::PendingConnection,
};
use ootheca_model::{ClusterId, attempts::Attempt, login::Secret, sql_name};
use ootheca_pg_protocol::{
    scram::{AuthenticationError, ClientKey, Proof, Verifier},
    startup::StartupMessage,
};
use std::{io, path::Path, sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tokio_rustls::server::TlsStream;

/// The time that a client has to authenticate; the default of PostgreSQL's `authentication_timeout`.
const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(60);
/// The time after which errors that hide their reason are sent: longer than it takes to find the reason.
const HIDDEN_REASON_DELAY: Duration = Duration::from_millis(30);
/// How long to retry at a full server after pooled connections were closed: its processes take a moment
/// to exit.
const FULL_SERVER_TIMEOUT: Duration = Duration::from_secs(1);
const FULL_SERVER_RETRY: Duration = Duration::from_millis(5);
/// If a login takes longer, its secret is read again before it gets a pooled connection.
const RECENT: Duration = Duration::from_millis(100);
/// How long a login waits for a server that recovers; as long as for one that is resumed.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(15);
const RECOVERY_RETRY: Duration = Duration::from_millis(50);

const TOO_MANY_CONNECTIONS: &[u8] = b"53300";
const INVALID_PASSWORD: &[u8] = b"28P01";
const CANNOT_CONNECT_NOW: &[u8] = b"57P03";
const ADMIN_SHUTDOWN: &[u8] = b"57P01";

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    #[error("the client is rejected")]
    Rejected(ClientError),
    #[error(transparent)]
    Disconnected(#[from] io::Error),
}

impl From<ClientError> for LoginError {
    fn from(error: ClientError) -> Self {
        Self::Rejected(error)
    }
}

/// A successful login, before the client receives the result.
pub(crate) struct CompletedLogin {
    pub(crate) registration: Registration,
    pub(crate) storage_limit: Option<StorageLimit>,
    pub(crate) permit: OwnedSemaphorePermit,
    pub(crate) proof: Proof,
    pub(crate) pool_key: PoolKey,
    pub(crate) backend: BackendSession,
}

/// Logs a client in. `channel_binding` is that of the gateway's certificate.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    client: &mut TlsStream<TcpStream>,
    mut startup: StartupMessage,
    channel_binding: Option<&[u8]>,
    pending: &PendingConnection,
    log: &mut ConnectionLog,
) -> Result<CompletedLogin, LoginError> {
    let start = Instant::now();
    if startup.get("replication").is_some() {
        return Err(ClientError::replication().into());
    }
    let routing_id = route(&mut startup, client.get_ref().1.server_name(), &shared.domains)?;
    let user = startup.get("user").filter(|user| !user.is_empty()).ok_or_else(ClientError::no_user)?;
    let user = sql_name::show(user);
    let request = Arc::new(AdmissionRequest { routing_id, user: user.clone(), client: log.client });
    let admitted = admit(shared, &request, start).await?;
    let (cluster, handle) = (admitted.registration.cluster, admitted.registration.handle.clone());
    log.cluster = Some(cluster);
    let attempt = LoginAttempt { shared, cluster, user, startup, request, start };
    let login = async {
        let verifier = attempt.verifier(admitted.secret.as_ref(), admitted.iterations)?;
        let negotiation = attempt.startup.negotiation();
        let deadline = start + AUTHENTICATION_TIMEOUT;
        let proof = sasl::authenticate(client, &verifier, channel_binding, negotiation);
        let proof = timeout_at(deadline, proof).await.map_err(|_| ClientError::login_timeout())??;
        let proof = proof.map_err(authentication_error)?;
        let verify_and_connect = async {
            let proof = attempt.verify(&proof, &verifier, deadline).await?;
            pending.authenticated();
            attempt.connect(admitted, proof, &verifier, log).await
        };
        tokio::select! {
            biased;
            login = verify_and_connect => Ok(login?),
            cause = wait_for_disconnect(client) => Err(LoginError::Disconnected(cause)),
        }
    };
    let login = tokio::select! {
        biased;
        reason = handle.terminated() => Err(ClientError::terminated(reason, handle.notice()).into()),
        login = login => login,
    };
    if login.is_ok() {
        shared.metrics.logged_in(start.elapsed(), log.pooled);
    }
    login
}

async fn admit(
    shared: &Arc<Shared>,
    request: &Arc<AdmissionRequest>,
    start: Instant,
) -> Result<AdmittedClient, ClientError> {
    let (directory, moved) = (shared.clone(), request.clone());
    let admitted = shared.on_main_runtime(async move { admission::admit(&directory, &moved).await }).await;
    if admitted.as_ref().is_err_and(ClientError::hides_reason) {
        sleep_until(start + HIDDEN_REASON_DELAY).await;
    }
    admitted
}

/// The login of an admitted client.
struct LoginAttempt<'a> {
    shared: &'a Arc<Shared>,
    cluster: ClusterId,
    /// The user name, for messages.
    user: String,
    startup: StartupMessage,
    request: Arc<AdmissionRequest>,
    /// The secret was read after this time.
    start: Instant,
}

impl LoginAttempt<'_> {
    /// The verifier for the client's proof. If the user cannot log in, no password matches it.
    fn verifier(&self, secret: Option<&Secret>, iterations: Option<u32>) -> Result<Verifier, ClientError> {
        let mock = || Verifier::mock(&self.shared.mock_secret, self.cluster, &self.user, iterations);
        match secret {
            Some(Secret::Scram(text)) => Ok(Verifier::parse(text).unwrap_or_else(|| {
                tracing::warn!(cluster = %self.cluster, "invalid SCRAM verifier");
                mock()
            })),
            Some(Secret::Other(kind)) => Err(ClientError::unsupported_password(&self.user, kind)),
            Some(Secret::Absent | Secret::Expired) | None => Ok(mock()),
        }
    }

    /// Verifies the client's proof when it is its turn. The error for a wrong password is delayed after several
    /// of them.
    async fn verify(
        &self,
        proof: &ClientProof,
        verifier: &Verifier,
        deadline: Instant,
    ) -> Result<Proof, ClientError> {
        let place = self.place(deadline).await?;
        match proof.verify(verifier) {
            Ok(proof) => {
                place.succeed();
                Ok(proof)
            }
            Err(AuthenticationError::WrongPassword) => {
                sleep(place.fail(Instant::now().into_std())).await;
                Err(ClientError::wrong_password(&self.user))
            }
            Err(error) => Err(authentication_error(error)),
        }
    }

    /// Waits for a place to verify a password.
    async fn place(&self, deadline: Instant) -> Result<Attempt<'_>, ClientError> {
        let (client, subject) = (self.request.client, (self.cluster, &self.user));
        loop {
            let now = Instant::now();
            match self.shared.attempts.start(client, &subject, now.into_std()) {
                Ok(place) => return Ok(place),
                Err(wait) if now + wait > deadline => {
                    return Err(ClientError::login_throttled(&self.user, wait));
                }
                Err(wait) => sleep(wait).await,
            }
        }
    }

    async fn invalidate_secrets(&self) -> Result<(), ClientError> {
        let (directory, cluster) = (self.shared.directory.clone(), self.cluster);
        let invalidate = async move {
            directory.invalidate(cluster).await;
            Ok(())
        };
        self.shared.on_main_runtime(invalidate).await
    }

    /// Wakes the server, and takes a pooled session or logs in.
    async fn connect(
        &self,
        admitted: AdmittedClient,
        proof: Proof,
        verifier: &Verifier,
        log: &mut ConnectionLog,
    ) -> Result<CompletedLogin, ClientError> {
        let permit = self.shared.sessions.clone().try_acquire_owned();
        let permit = permit.map_err(|_| ClientError::too_many_connections())?;
        let secret = admitted.secret.clone();
        let (shared, request) = (self.shared.clone(), self.request.clone());
        let mut startup = self.startup.clone();
        startup.downgrade();
        let (startup, client_key) = (startup.encode(), proof.client_key);
        let activate = async move { admission::activate(&shared, admitted, &request).await };
        let (activated, pooled) =
            tokio::join!(self.shared.on_main_runtime(activate), self.pooled(&startup, &client_key, secret));
        let ActivatedSession { registration, storage_limit, socket, wake } = activated?;
        log.wake = Some(wake);
        self.shared.metrics.woke(wake);
        // A storage guard must see a session from its start, so throttled clusters do not use the pool.
        let pooled = pooled.filter(|(path, _)| **path == *socket && storage_limit.is_none());
        let mut pool_key = PoolKey { socket: socket.into(), startup, client_key };
        log.pooled = pooled.is_some();
        let backend = match pooled {
            Some((_, backend)) => backend,
            None => self.log_in(&mut pool_key, verifier).await?,
        };
        Ok(CompletedLogin { registration, storage_limit, permit, proof, pool_key, backend })
    }

    /// A connection from the pool, with the path of its socket. The server does not authenticate the user again, so the
    /// secret must not have changed since it was read.
    async fn pooled(
        &self,
        startup: &[u8],
        client_key: &ClientKey,
        secret: Option<Secret>,
    ) -> Option<(Arc<Path>, BackendSession)> {
        let (socket, backend) = self.shared.pool.take(self.cluster, startup, client_key)?;
        if !self.is_current(secret).await {
            return None;
        }
        Some((socket, pool::admits(backend).await?))
    }

    /// Whether the user still has this secret, as far as it was not read just now.
    async fn is_current(&self, secret: Option<Secret>) -> bool {
        if self.start.elapsed() < RECENT {
            return true;
        }
        let (shared, request, cluster) = (self.shared.clone(), self.request.clone(), self.cluster);
        let read = async move { Ok(shared.directory.secret(cluster, &request.user).await) };
        match self.shared.on_main_runtime(read).await {
            Ok(Ok(current)) => current == secret,
            Ok(Err(error)) => {
                tracing::debug!(%cluster, cause = error.chain(), "pooled connection not used");
                false
            }
            Err(_) => false,
        }
    }

    /// Logs in at the server. Waits while it recovers or is started again. If it is full, closes the cluster's
    /// pooled connections and retries.
    async fn log_in(&self, key: &mut PoolKey, verifier: &Verifier) -> Result<BackendSession, ClientError> {
        let start = Instant::now();
        let mut result = backend_login::log_in(key, verifier).await;
        let recovers = !lacks_socket(&result);
        while recovers && is_recovering(&result) && start.elapsed() < RECOVERY_TIMEOUT {
            sleep(RECOVERY_RETRY).await;
            // After a failover, the server that is started again is a standby.
            if let Some(socket) = self.current_socket().await {
                key.socket = socket;
            }
            result = backend_login::log_in(key, verifier).await;
        }
        if is_full(&result) && self.shared.pool.evict(self.cluster) {
            let start = Instant::now();
            loop {
                result = backend_login::log_in(key, verifier).await;
                if !is_full(&result) || start.elapsed() > FULL_SERVER_TIMEOUT {
                    break;
                }
                sleep(FULL_SERVER_RETRY).await;
            }
        }
        match result {
            Ok(session) => Ok(session),
            Err(error) => Err(self.backend_error(error).await),
        }
    }

    /// The socket of the server that accepts writes now; `None` if there is none in time.
    async fn current_socket(&self) -> Option<Arc<Path>> {
        let (shared, cluster) = (self.shared.clone(), self.cluster);
        let find = async move { Ok(shared.directory.endpoint(cluster).await) };
        Some(self.shared.on_main_runtime(find).await.ok()?.ok()?.into())
    }

    async fn backend_error(&self, error: BackendLoginError) -> ClientError {
        let cluster = self.cluster;
        match error {
            BackendLoginError::Rejected { sqlstate, .. } if sqlstate == INVALID_PASSWORD => {
                self.password_changed().await
            }
            BackendLoginError::Rejected { message, .. } => ClientError::from_server(message),
            BackendLoginError::WrongSignature => {
                tracing::warn!(%cluster, "the server has a different SCRAM verifier");
                self.password_changed().await
            }
            BackendLoginError::Unreachable(cause) => {
                tracing::warn!(%cluster, %cause, "server not reachable");
                ClientError::backend_down()
            }
            BackendLoginError::Protocol(cause) => {
                tracing::error!(%cluster, %cause, "protocol violation by the server");
                ClientError::internal()
            }
        }
    }

    async fn password_changed(&self) -> ClientError {
        match self.invalidate_secrets().await {
            Ok(()) => ClientError::password_changed(&self.user),
            Err(error) => error,
        }
    }
}

/// The error of an exchange in which the password was not verified.
fn authentication_error(error: AuthenticationError) -> ClientError {
    match error {
        AuthenticationError::Protocol(error) => ClientError::protocol_violation(&error),
        error => ClientError::channel_binding(&error),
    }
}

/// Whether the server, or a limit of the user or the database, admits no more connections.
fn is_full(result: &Result<BackendSession, BackendLoginError>) -> bool {
    is_rejected(result, TOO_MANY_CONNECTIONS)
}

/// Whether the server recovers, or has stopped and is started again. Its processes end logins once it is killed.
fn is_recovering(result: &Result<BackendSession, BackendLoginError>) -> bool {
    is_rejected(result, CANNOT_CONNECT_NOW)
        || is_rejected(result, ADMIN_SHUTDOWN)
        || matches!(result, Err(BackendLoginError::Unreachable(_)))
}

/// Whether no server was started where the directory says.
fn lacks_socket(result: &Result<BackendSession, BackendLoginError>) -> bool {
    let is_missing = |cause: &io::Error| cause.kind() == io::ErrorKind::NotFound;
    matches!(result, Err(BackendLoginError::Unreachable(cause)) if is_missing(cause))
}

fn is_rejected(result: &Result<BackendSession, BackendLoginError>, expected: &[u8]) -> bool {
    matches!(result, Err(BackendLoginError::Rejected { sqlstate, .. }) if sqlstate == expected)
}
