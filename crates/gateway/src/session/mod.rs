//! One connection from accept to close.

pub(crate) mod admission;
mod backend_login;
mod disconnect;
mod handshake;
mod keepalive;
mod login;
mod relay;
pub(crate) mod routing;
mod sasl;

use crate::{
    Directory,
    backend::{Backend, Parameters, Server},
    error::Refusal,
    metrics::Metrics,
    pool::{Identity, Left, Pool},
    registry::{
        Live, Sessions,
        cancel::{HandedOut, Keys},
    },
    storage_guard::Guard,
    tls::Tls,
};
use handshake::{Client, greet, source};
use login::{Login, NoLogin, log_in};
use ootheca_model::{ClusterId, throttle::Throttle};
use ootheca_pg_protocol::{
    ProtocolViolation,
    backend::{BACKEND_KEY_DATA, READY_FOR_QUERY},
    message,
    startup::{CancelKey, Packet},
};
use relay::{End, Relay};
use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_rustls::server::TlsStream;

/// What every connection shares.
pub(crate) struct Shared {
    pub(crate) directory: Arc<dyn Directory>,
    /// The runtime that the directory lives on.
    pub(crate) home: Handle,
    pub(crate) tls: RwLock<Tls>,
    pub(crate) handshake_timeout: Duration,
    pub(crate) proxy_protocol: bool,
    /// The names right below each lead to clusters.
    pub(crate) zones: Vec<String>,
    pub(crate) max_connections_per_cluster: usize,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) throttle: Throttle<ClusterId>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) metrics: Metrics,
    /// What the verifiers of users who are none are derived from.
    pub(crate) mock: [u8; 32],
}

impl Shared {
    /// Runs something where the directory lives, for as long as somebody waits for it.
    pub(crate) async fn at_home<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let mut task = AbortOnDrop(self.home.spawn(work));
        (&mut task.0).await.unwrap_or_else(|cause| {
            tracing::error!(%cause, "the directory failed");
            Err(Refusal::internal())
        })
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is known of a connection for its line in the log.
pub(crate) struct Record {
    pub(crate) peer: IpAddr,
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) wake: Option<Duration>,
    pub(crate) reused: bool,
    up: u64,
    down: u64,
}

/// Serves a connection until it is closed, and says in one line what it was. A connection too many is
/// told so, as soon as it can understand it.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, too_many: bool) {
    let start = Instant::now();
    let mut record = Record { peer: peer.ip(), cluster: None, wake: None, reused: false, up: 0, down: 0 };
    let _ = stream.set_nodelay(true);
    if let Err(cause) = keepalive::switch_on(&stream) {
        tracing::debug!(%cause, "a connection without keepalive");
    }
    shared.metrics.accepted();
    let kind = match Box::pin(open(&shared, stream, too_many, &mut record)).await {
        Ok(Opened::Session(session)) => {
            let kind = session.run(&shared, &mut record).await;
            shared.metrics.closed(kind);
            kind
        }
        Ok(Opened::Canceled) => "cancel",
        Err(Stop::Refused(client, refusal)) => {
            shared.metrics.refused(refusal.kind);
            Box::pin(client.refuse(&refusal)).await;
            refusal.kind
        }
        Err(Stop::Gone(kind)) => {
            shared.metrics.closed(kind);
            kind
        }
    };
    let Record { peer, cluster, wake, reused, up, down } = record;
    let (milliseconds, wake_ms) = (start.elapsed().as_millis(), wake.map(|wake| wake.as_millis()));
    let cluster = cluster.map(tracing::field::display);
    tracing::info!(kind, cluster, %peer, up, down, milliseconds, wake_ms, reused, "sql connection closed");
}

enum Opened {
    Session(Box<Session>),
    Canceled,
}

/// Why a connection did not become a session.
pub(crate) enum Stop {
    /// The client is told.
    Refused(Client, Refusal),
    /// Nobody is there to be told.
    Gone(&'static str),
}

impl From<io::Error> for Stop {
    fn from(cause: io::Error) -> Self {
        tracing::debug!(%cause, "a connection broke before it was a session");
        Self::Gone("gone")
    }
}

async fn open(
    shared: &Arc<Shared>,
    mut stream: TcpStream,
    too_many: bool,
    record: &mut Record,
) -> Result<Opened, Stop> {
    let tls = shared.tls.read().unwrap_or_else(PoisonError::into_inner).clone();
    let greeted = timeout(shared.handshake_timeout, async {
        if shared.proxy_protocol
            && let Some(peer) = source(&mut stream).await?
        {
            record.peer = peer.ip();
        }
        greet(&tls.acceptor, stream).await
    });
    let (client, packet) = greeted.await.unwrap_or(Err(Stop::Gone("handshake_timeout")))?;
    let (mut client, startup) = match (client, packet) {
        (client, Packet::CancelRequest(key)) => {
            cancel(shared, &key).await;
            drop(client);
            return Ok(Opened::Canceled);
        }
        (client, _) if too_many => return Err(Stop::Refused(client, Refusal::full())),
        (Client::Tls(client), Packet::StartupMessage(startup)) => (client, startup),
        (client @ Client::Plain(_), _) => return Err(Stop::Refused(client, Refusal::plaintext())),
        (client, _) => {
            let why = ProtocolViolation::new("TLS is already on");
            return Err(Stop::Refused(client, Refusal::malformed(why)));
        }
    };
    match log_in(shared, &mut client, startup, tls.channel_binding.as_deref(), record).await {
        Ok(login) => Ok(Opened::Session(Box::new(Session::begin(login, shared, *client)?))),
        Err(NoLogin::Refused(refusal)) => Err(Stop::Refused(Client::Tls(client), refusal)),
        Err(NoLogin::Gone(cause)) => Err(cause.into()),
    }
}

async fn cancel(shared: &Shared, key: &CancelKey) {
    match shared.keys.find(key) {
        None => tracing::debug!("a cancel request with an unknown key"),
        Some(target) => match target.cancel().await {
            Ok(()) => shared.metrics.canceled(),
            Err(cause) => tracing::warn!(%cause, "a cancel request could not be passed on"),
        },
    }
}

/// A session, from when its client is logged in.
struct Session {
    relay: Relay,
    live: Live,
    identity: Identity,
    parameters: Parameters,
    handed_out: Option<HandedOut>,
}

impl Session {
    /// Tells the client that it is logged in, with all that the server has said.
    fn begin(login: Login, shared: &Shared, client: TlsStream<TcpStream>) -> io::Result<Self> {
        let Login { live, over, proof, identity, server } = login;
        let Server { socket, parameters, target, notices, rest } = server;
        let handed_out = target.map(|target| shared.keys.hand_out(target));
        let mut greeting = Vec::with_capacity(1024);
        sasl::put_end(&mut greeting, &proof);
        parameters.put(&mut greeting);
        greeting.extend_from_slice(&notices);
        if let Some(HandedOut { key, .. }) = &handed_out {
            message::put(&mut greeting, BACKEND_KEY_DATA, &key.body());
        }
        message::put(&mut greeting, READY_FOR_QUERY, b"I");
        greeting.extend_from_slice(&rest);
        let leaves = over.is_none() && shared.pool.is_on() && handed_out.is_some();
        let guard = over.map(|(notice, over)| Guard::new(&notice, over));
        let (server, switch) = (Backend::new(socket)?, live.switch.clone());
        let relay = Relay::new(client.into_inner(), server, switch, &greeting, guard, leaves)?;
        Ok(Self { relay, live, identity, parameters, handed_out })
    }

    /// Copies until the end; the answer is the kind of end.
    async fn run(mut self: Box<Self>, shared: &Arc<Shared>, record: &mut Record) -> &'static str {
        let end = self.relay.run().await;
        (record.up, record.down) = (self.relay.up, self.relay.down);
        let refusal = match end {
            End::Left => {
                self.leave(shared.pool.clone()).await;
                return "session";
            }
            End::Closed => {
                self.relay.close(None).await;
                return "session";
            }
            End::Failed(cause) => {
                tracing::debug!(%cause, "a session broke");
                self.relay.close(None).await;
                return "broken";
            }
            End::Cut(cut) => Refusal::cut(cut, self.live.switch.notice()),
        };
        if let Some(handed_out) = self.handed_out.as_ref().filter(|_| self.relay.is_busy()) {
            let _ = handed_out.target.cancel().await;
            self.relay.settle().await;
        }
        self.relay.close(Some(refusal.encode())).await;
        refusal.kind
    }

    /// Leaves the server connection for another session.
    async fn leave(self, pool: Arc<Pool>) {
        let Self { relay, live, identity, parameters, handed_out } = self;
        let (server, client) = relay.part();
        if let Some(handed_out) = handed_out {
            let (cluster, target) = (live.cluster, handed_out.target.clone());
            // From here on nobody finds the key.
            drop(handed_out);
            let left = Left { cluster, identity, server, parameters, target };
            tokio::spawn(async move { left.offer(&pool).await });
        }
        drop(live);
        client.close(None).await;
    }
}
