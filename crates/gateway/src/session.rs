//! One connection from accept to close.

use crate::{
    ALPN,
    admission::{self, Request},
    backend::Backend,
    cancel::Keys,
    login::Login,
    refusal::Refusal,
    relay::{End, Relay, linger},
    route::route,
    sessions::{Cut, Live, Sessions},
    startup::{self, Key, Malformed, Packet, Startup},
};
use rustls::ServerConnection;
use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    runtime::Handle,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long a person or program may take to log in; the server's own default.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The first byte of a client that begins with TLS.
const TLS_HANDSHAKE: u8 = 0x16;

/// What every connection shares.
pub(crate) struct Shared {
    pub(crate) directory: Arc<dyn crate::Directory>,
    /// The runtime that the directory lives on.
    pub(crate) home: Handle,
    pub(crate) tls: TlsAcceptor,
    pub(crate) handshake_timeout: Duration,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) keys: Arc<Keys>,
}

/// Serves a connection until it is closed, and says in one line what it was.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let start = Instant::now();
    let (mut cluster, mut up, mut down) = (None, 0, 0);
    let _ = stream.set_nodelay(true);
    let kind = match Box::pin(open(&shared, stream, peer)).await {
        Ok(Opened::Session(live, relay)) => {
            cluster = Some(live.cluster);
            let mut relay = *relay;
            let end = relay.run().await;
            (up, down) = (relay.up, relay.down);
            finish(relay, end).await
        }
        Ok(Opened::Canceled) => "cancel",
        Err(Stop::Refused(client, refusal)) => {
            Box::pin(client.refuse(&refusal)).await;
            refusal.kind
        }
        Err(Stop::Gone(kind)) => kind,
    };
    let (milliseconds, cluster) = (start.elapsed().as_millis(), cluster.map(tracing::field::display));
    tracing::info!(kind, cluster, peer = %peer.ip(), up, down, milliseconds, "sql connection closed");
}

async fn finish(relay: Relay, end: End) -> &'static str {
    let refused = relay.refused();
    let refusal = match end {
        End::Closed => {
            relay.close(None).await;
            return if refused { "login_refused" } else { "session" };
        }
        End::Failed(cause) => {
            tracing::debug!(%cause, "a session broke");
            relay.close(None).await;
            return "broken";
        }
        End::LoginTimeout => Refusal::login_timeout(),
        End::Cut(Cut::Drain | Cut::Shutdown) => Refusal::shutdown(),
        End::Cut(Cut::Policy) => Refusal::no_longer_allowed(),
        End::Cut(Cut::Deleted) => Refusal::deleted(),
    };
    let _ = relay.cancel().await;
    relay.close(Some(refusal.encode())).await;
    refusal.kind
}

enum Opened {
    Session(Live, Box<Relay>),
    Canceled,
}

enum Stop {
    Refused(Client, Refusal),
    Gone(&'static str),
}

impl From<io::Error> for Stop {
    fn from(cause: io::Error) -> Self {
        tracing::debug!(%cause, "a connection broke before it was a session");
        Self::Gone("gone")
    }
}

enum Client {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Client {
    async fn refuse(self, refusal: &Refusal) {
        let message = refusal.encode();
        let send = async {
            match self {
                Client::Plain(mut stream) => stream.write_all(&message).await.map(|()| stream),
                Client::Tls(mut stream) => {
                    stream.write_all(&message).await?;
                    stream.get_mut().1.send_close_notify();
                    stream.flush().await.map(|()| stream.into_inner().0)
                }
            }
        };
        if let Ok(Ok(stream)) = timeout(CLOSE_TIMEOUT, send).await {
            linger(stream).await;
        }
    }
}

async fn open(shared: &Shared, stream: TcpStream, peer: SocketAddr) -> Result<Opened, Stop> {
    let greeted = timeout(shared.handshake_timeout, greet(&shared.tls, stream)).await;
    let (client, packet) = greeted.unwrap_or(Err(Stop::Gone("handshake_timeout")))?;
    let (mut client, mut startup) = match (client, packet) {
        (client, Packet::Cancel(key)) => {
            cancel(shared, &key).await;
            drop(client);
            return Ok(Opened::Canceled);
        }
        (Client::Tls(client), Packet::Startup(startup)) => (client, startup),
        (client @ Client::Plain(_), _) => return Err(Stop::Refused(client, Refusal::plaintext())),
        (client, _) => {
            let why = Malformed("TLS is already on".into());
            return Err(Stop::Refused(client, Refusal::malformed(why)));
        }
    };
    let deadline = Instant::now() + LOGIN_TIMEOUT;
    match connect(shared, &mut startup, client.get_ref().1.server_name(), peer).await {
        Ok((live, server, socket)) => {
            client.flush().await?;
            let login = Login::new(shared.keys.clone(), socket);
            let parts: (TcpStream, ServerConnection) = client.into_inner();
            let relay = Relay::new(parts, server, live.switch.clone(), login, deadline);
            Ok(Opened::Session(live, Box::new(relay)))
        }
        Err(refusal) => Err(Stop::Refused(Client::Tls(client), refusal)),
    }
}

/// Up to the first packet that asks for something.
async fn greet(tls: &TlsAcceptor, mut stream: TcpStream) -> Result<(Client, Packet), Stop> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(Stop::Gone("gone"));
    }
    let direct = first[0] == TLS_HANDSHAKE;
    if !direct {
        match negotiate(&mut stream).await? {
            Ok(Packet::Tls) => stream.write_all(b"S").await?,
            Ok(packet) => return Ok((Client::Plain(stream), packet)),
            Err(why) => return Err(Stop::Refused(Client::Plain(stream), Refusal::malformed(why))),
        }
    }
    let mut stream = Box::new(tls.accept(stream).await.map_err(|cause| {
        tracing::debug!(%cause, "no TLS with a client");
        Stop::Gone("tls")
    })?);
    if direct && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
        return Err(Stop::Refused(Client::Tls(stream), Refusal::no_alpn()));
    }
    match read_packet(&mut stream).await? {
        Ok(packet) => Ok((Client::Tls(stream), packet)),
        Err(why) => Err(Stop::Refused(Client::Tls(stream), Refusal::malformed(why))),
    }
}

/// The first packet of a client that does not begin with TLS. GSSAPI is declined, once.
async fn negotiate(stream: &mut TcpStream) -> io::Result<Result<Packet, Malformed>> {
    let packet = read_packet(stream).await?;
    if packet != Ok(Packet::Gss) {
        return Ok(packet);
    }
    stream.write_all(b"N").await?;
    read_packet(stream).await
}

async fn read_packet<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Result<Packet, Malformed>> {
    let mut word = [0; 4];
    stream.read_exact(&mut word).await?;
    let length = match startup::body_length(word) {
        Ok(length) => length,
        Err(why) => return Ok(Err(why)),
    };
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await?;
    Ok(startup::parse(&packet))
}

async fn cancel(shared: &Shared, key: &Key) {
    match shared.keys.find(key) {
        None => tracing::debug!("a cancel request with an unknown key"),
        Some(target) => {
            if let Err(cause) = target.cancel().await {
                tracing::warn!(%cause, "a cancel request could not be passed on");
            }
        }
    }
}

/// From a startup message to a server that has got it.
async fn connect(
    shared: &Shared,
    startup: &mut Startup,
    server_name: Option<&str>,
    peer: SocketAddr,
) -> Result<(Live, Backend, Arc<Path>), Refusal> {
    if startup.get("replication").is_some() {
        return Err(Refusal::replication());
    }
    let routing_id = route(startup, server_name)?;
    let user = String::from_utf8_lossy(startup.get("user").unwrap_or_default()).into_owned();
    let request = Request { routing_id, user, peer: peer.ip() };
    let (directory, sessions) = (shared.directory.clone(), shared.sessions.clone());
    let admitted =
        shared.home.spawn(async move { admission::admit(directory.as_ref(), &sessions, &request).await });
    let (live, socket) = admitted.await.unwrap_or_else(|cause| {
        tracing::error!(%cause, "the directory failed");
        Err(Refusal::internal())
    })?;
    let reach = async {
        let mut server = reach(&socket).await?;
        server.write_all(&startup.encode()).await?;
        Backend::new(server)
    };
    let reached =
        timeout(CONNECT_TIMEOUT, reach).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    match reached {
        Ok(server) => Ok((live, server, socket.into())),
        Err(cause) => {
            tracing::warn!(cluster = %live.cluster, %cause, "the cluster's server does not answer");
            Err(Refusal::backend_down())
        }
    }
}

/// Connects, waiting while the server's queue is full.
async fn reach(socket: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(socket).await {
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => sleep(Duration::from_millis(5)).await,
            connected => return connected,
        }
    }
}
