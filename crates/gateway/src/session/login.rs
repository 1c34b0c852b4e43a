//! From a startup message to a server that is ready for its user.
//!
//! The order is what protects clusters: whatever can refuse a client comes before the proof, and
//! nothing touches the server before it.

use super::{
    Record, Shared,
    admission::{self, Admitted, Entered, Request},
    backend_login, disconnect,
    routing::route,
    sasl,
};
use crate::{
    backend::Server,
    error::Refusal,
    pool::Identity,
    registry::{Live, Over},
};
use ootheca_model::{ClusterId, login::Secret};
use ootheca_pg_protocol::{
    scram::{AuthenticationError, Proof, Verifier},
    startup::StartupMessage,
};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tokio_rustls::server::TlsStream;

/// How long a person or program may take to log in; the server's own default.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);
/// When those are refused who must not learn why: longer than it takes to find out.
const HIDDEN_DELAY: Duration = Duration::from_millis(30);
/// How long server processes may take to end whose connections were let go to make room.
const MAKING_ROOM: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

const TOO_MANY_CONNECTIONS: &[u8] = b"53300";
const INVALID_PASSWORD: &[u8] = b"28P01";

/// Why nobody is logged in.
pub(crate) enum NoLogin {
    Refused(Refusal),
    Gone(io::Error),
}

impl From<Refusal> for NoLogin {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A client that is logged in, and does not know it yet.
pub(crate) struct Login {
    pub(crate) live: Live,
    pub(crate) over: Option<Over>,
    pub(crate) proof: Proof,
    pub(crate) identity: Identity,
    pub(crate) server: Server,
}

/// Lets a client log in. `binding` is the hash of our certificate.
pub(crate) async fn log_in(
    shared: &Arc<Shared>,
    client: &mut TlsStream<TcpStream>,
    mut startup: StartupMessage,
    binding: Option<&[u8]>,
    record: &mut Record,
) -> Result<Login, NoLogin> {
    let start = Instant::now();
    if startup.get("replication").is_some() {
        return Err(Refusal::replication().into());
    }
    let routing_id = route(&mut startup, client.get_ref().1.server_name(), &shared.zones)?;
    let named = startup.get("user").filter(|user| !user.is_empty()).ok_or_else(Refusal::no_user)?;
    let (user, shown) = (String::from_utf8(named.to_vec()).ok(), String::from_utf8_lossy(named).into_owned());
    let request = Arc::new(Request { routing_id, user, peer: record.peer });
    let admitted = {
        let (shared, request) = (shared.clone(), request.clone());
        async move { admission::admit(&shared, &request).await }
    };
    let admitted = match shared.at_home(admitted).await {
        Err(refusal) if refusal.is_hidden() => {
            sleep_until(start + HIDDEN_DELAY).await;
            Err(refusal)
        }
        admitted => admitted,
    }?;
    let (cluster, switch) = (admitted.live.cluster, admitted.live.switch.clone());
    record.cluster = Some(cluster);
    let attempt = Attempt { shared, cluster, user: shown, startup, request };
    let login = async {
        let (verifier, known) = attempt.verifier(admitted.secret.as_ref(), admitted.iterations)?;
        let before = attempt.startup.negotiation();
        let proof = sasl::prove(client, &verifier, binding, before);
        let proof = match timeout_at(start + LOGIN_TIMEOUT, proof).await {
            Err(_) => return Err(Refusal::login_timeout().into()),
            Ok(proof) => proof.map_err(NoLogin::Gone)?,
        };
        let proof = attempt.judge(proof, known).await?;
        tokio::select! {
            biased;
            login = attempt.connect(admitted, proof, &verifier, record) => Ok(login?),
            cause = disconnect::gone(client) => Err(NoLogin::Gone(cause)),
        }
    };
    let login = tokio::select! {
        biased;
        cut = switch.cut() => Err(Refusal::cut(cut, switch.notice()).into()),
        login = login => login,
    };
    if login.is_ok() {
        shared.metrics.logged_in(start.elapsed(), record.reused);
    }
    login
}

/// A client that may try.
struct Attempt<'a> {
    shared: &'a Arc<Shared>,
    cluster: ClusterId,
    /// The user's name, to be shown.
    user: String,
    startup: StartupMessage,
    request: Arc<Request>,
}

impl Attempt<'_> {
    /// What to check the proof against, and whether it can succeed.
    fn verifier(
        &self,
        secret: Option<&Secret>,
        iterations: Option<u32>,
    ) -> Result<(Verifier, bool), Refusal> {
        let mock = || (Verifier::mock(&self.shared.mock, self.cluster, &self.user, iterations), false);
        match secret {
            Some(Secret::Scram(text)) => Ok(Verifier::parse(text).map_or_else(
                || {
                    tracing::warn!(cluster = %self.cluster, "a user's SCRAM verifier can not be read");
                    mock()
                },
                |verifier| (verifier, true),
            )),
            Some(Secret::Other(kind)) => Err(Refusal::other_secret(&self.user, kind)),
            Some(Secret::Absent | Secret::Expired) | None => Ok(mock()),
        }
    }

    /// What a client's exchange with us comes to.
    async fn judge(&self, proof: Result<Proof, AuthenticationError>, known: bool) -> Result<Proof, Refusal> {
        let (throttle, peer) = (&self.shared.throttle, self.request.peer);
        // Again: many exchanges at once would all have begun before the first one failed.
        throttle.check(peer, self.cluster, std::time::Instant::now()).map_err(Refusal::throttled)?;
        match proof {
            Ok(proof) => {
                throttle.succeeded(peer, self.cluster);
                Ok(proof)
            }
            Err(AuthenticationError::WrongPassword) => {
                throttle.failed(peer, self.cluster, std::time::Instant::now());
                if known {
                    self.distrust().await?;
                }
                Err(Refusal::password(&self.user))
            }
            Err(AuthenticationError::Protocol(why)) => Err(Refusal::malformed(why)),
            Err(error @ (AuthenticationError::Downgrade | AuthenticationError::ChannelBinding)) => {
                Err(Refusal::binding(&error))
            }
        }
    }

    async fn distrust(&self) -> Result<(), Refusal> {
        let (directory, cluster) = (self.shared.directory.clone(), self.cluster);
        let distrust = async move {
            directory.distrust(cluster).await;
            Ok(())
        };
        self.shared.at_home(distrust).await
    }

    /// Wakes the server and gets a session there.
    async fn connect(
        &self,
        admitted: Admitted,
        proof: Proof,
        verifier: &Verifier,
        record: &mut Record,
    ) -> Result<Login, Refusal> {
        let (shared, request) = (self.shared.clone(), self.request.clone());
        let enter = async move { admission::enter(&shared, admitted, &request).await };
        let Entered { live, over, socket, wake } = self.shared.at_home(enter).await?;
        record.wake = Some(wake);
        self.shared.metrics.woke(wake);
        let mut startup = self.startup.clone();
        startup.downgrade();
        let identity = Identity { socket: socket.into(), startup: startup.encode(), key: proof.client_key };
        let kept = if over.is_none() { self.shared.pool.take(self.cluster, &identity) } else { None };
        record.reused = kept.is_some();
        let server = match kept {
            Some(server) => server,
            None => self.open(&identity, verifier).await?,
        };
        Ok(Login { live, over, proof, identity, server })
    }

    async fn open(&self, identity: &Identity, verifier: &Verifier) -> Result<Server, Refusal> {
        let open = || backend_login::log_in(&identity.socket, &identity.startup, verifier, &identity.key);
        let mut opened = open().await;
        if is_full(&opened) && self.shared.pool.evict(self.cluster) {
            let start = Instant::now();
            loop {
                opened = open().await;
                if !is_full(&opened) || start.elapsed() > MAKING_ROOM {
                    break;
                }
                sleep(LOOK_AGAIN).await;
            }
        }
        let cluster = self.cluster;
        match opened {
            Ok(server) => Ok(server),
            Err(backend_login::Failure::Refused(_, state)) if state == INVALID_PASSWORD => {
                self.distrust().await?;
                Err(Refusal::changed(&self.user))
            }
            Err(backend_login::Failure::Refused(message, _)) => Err(Refusal::server(message)),
            Err(backend_login::Failure::Unsigned) => {
                self.distrust().await?;
                tracing::warn!(%cluster, "the cluster's server does not know the user's verifier");
                Err(Refusal::changed(&self.user))
            }
            Err(backend_login::Failure::Down(cause)) => {
                tracing::warn!(%cluster, %cause, "the cluster's server does not answer");
                Err(Refusal::backend_down())
            }
            Err(backend_login::Failure::Malformed(why)) => {
                tracing::error!(%cluster, cause = %why, "the cluster's server is not understood");
                Err(Refusal::internal())
            }
        }
    }
}

/// Whether the server, or what it lets this user or database have, is full.
fn is_full(opened: &Result<Server, backend_login::Failure>) -> bool {
    matches!(opened, Err(backend_login::Failure::Refused(_, state)) if state == TOO_MANY_CONNECTIONS)
}
