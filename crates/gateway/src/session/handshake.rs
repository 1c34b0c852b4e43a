//! The handshake: PROXY header, TLS, and the opening packet.

use super::{FromClient, OpenError, disconnect::linger};
use crate::{
    error::ClientError,
    tls::{ALPN, Certificates, Presented},
    unauthenticated::PendingConnection,
};
use ootheca_pg_protocol::{
    ProtocolViolation,
    proxy_header::{self, FIXED_LENGTH, Header, MAX_LENGTH},
    startup::Packet,
};
use rustls::server::Acceptor;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

const TIMEOUT: &str = "handshake_timeout";
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// The stream of a client that has sent its opening packet.
pub(crate) enum ClientStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl ClientStream {
    /// Sends an error, and closes the connection.
    pub(crate) async fn reject(self, error: &ClientError) {
        self.end(&error.encode()).await;
    }

    /// Closes the connection.
    pub(crate) async fn close(self) {
        self.end(&[]).await;
    }

    async fn end(self, message: &[u8]) {
        let send = async {
            match self {
                ClientStream::Plain(mut stream) => stream.write_all(message).await.map(|()| stream),
                ClientStream::Tls(mut stream) => {
                    stream.write_all(message).await?;
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

/// Runs a part of the handshake. Returns the reason for logs and metrics if the deadline passes or the connection is
/// evicted.
pub(super) async fn limit<T>(
    work: impl Future<Output = T>,
    deadline: Instant,
    pending: &PendingConnection,
) -> Result<T, &'static str> {
    tokio::select! {
        biased;
        done = timeout_at(deadline, work) => done.map_err(|_| TIMEOUT),
        error = pending.evicted() => Err(error.kind),
    }
}

/// Reads the client's address from the PROXY header; `None` if the proxy opened the connection itself.
pub(crate) async fn read_proxy_header(stream: &mut TcpStream) -> Result<Option<SocketAddr>, OpenError> {
    let mut fixed = [0; FIXED_LENGTH];
    stream.read_exact(&mut fixed).await?;
    let mut bytes = fixed.to_vec();
    let mut parsed = proxy_header::parse(&bytes);
    if parsed == Ok(None) {
        bytes.resize(proxy_header::stated_length(&fixed).min(MAX_LENGTH), 0);
        stream.read_exact(&mut bytes[FIXED_LENGTH..]).await?;
        parsed = proxy_header::parse(&bytes);
    }
    match parsed {
        Ok(Some(Header { length, source })) if length == bytes.len() => Ok(source),
        _ => Err(OpenError::Disconnected("proxy_protocol")),
    }
}

/// A client that has sent its opening packet.
pub(crate) struct Opened {
    pub(crate) client: ClientStream,
    pub(crate) packet: Packet,
    /// The certificate that the client got; `None` without TLS.
    pub(crate) presented: Option<Arc<Presented>>,
}

/// Reads the opening packet, after TLS if the client requests it.
pub(crate) async fn run(
    certificates: &Certificates,
    stream: TcpStream,
    deadline: Instant,
    pending: &PendingConnection,
) -> Result<Opened, OpenError> {
    let negotiated = limit(negotiate(certificates, stream), deadline, pending).await;
    let (mut stream, presented) = match negotiated.map_err(OpenError::Disconnected)?? {
        Negotiated::Plain(stream, packet) => {
            return Ok(Opened { client: ClientStream::Plain(stream), packet, presented: None });
        }
        Negotiated::Tls(stream, presented) => (stream, Some(presented)),
    };
    match limit(read_packet(&mut stream), deadline, pending).await {
        Ok(Ok(Ok(packet))) => Ok(Opened { client: ClientStream::Tls(stream), packet, presented }),
        Ok(Ok(Err(error))) => Err(rejected(ClientStream::Tls(stream), &error)),
        Ok(Err(cause)) => Err(OpenError::gone(stream, &cause)),
        Err(kind) => Err(OpenError::Closed(ClientStream::Tls(stream), kind)),
    }
}

/// How a client continues.
enum Negotiated {
    /// Without TLS.
    Plain(TcpStream, Packet),
    /// With TLS, and the certificate that it got.
    Tls(Box<TlsStream<TcpStream>>, Arc<Presented>),
}

async fn negotiate(certificates: &Certificates, mut stream: TcpStream) -> Result<Negotiated, OpenError> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(OpenError::Disconnected("gone"));
    }
    let direct = first[0] == TLS_HANDSHAKE;
    if !direct {
        match read_plain_packet(&mut stream).await? {
            Ok(Packet::SslRequest) => stream.write_all(b"S").await?,
            Ok(packet) => return Ok(Negotiated::Plain(stream, packet)),
            Err(error) => return Err(rejected(ClientStream::Plain(stream), &error)),
        }
    }
    let failed = |cause| {
        tracing::debug!(%cause, "TLS handshake failed");
        OpenError::Disconnected("tls")
    };
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(failed)?;
    let presented = certificates.select(hello.client_hello().server_name());
    let stream = Box::new(hello.into_stream(presented.config.clone()).await.map_err(failed)?);
    if direct && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
        return Err(OpenError::Rejected(ClientStream::Tls(stream), ClientError::no_alpn()));
    }
    Ok(Negotiated::Tls(stream, presented))
}

fn rejected(client: ClientStream, error: &ProtocolViolation) -> OpenError {
    OpenError::Rejected(client, ClientError::protocol_violation(error))
}

/// Reads a packet outside of TLS. Declines one request for GSSAPI encryption.
async fn read_plain_packet(stream: &mut TcpStream) -> FromClient<Packet> {
    let packet = read_packet(stream).await?;
    if packet != Ok(Packet::GssEncRequest) {
        return Ok(packet);
    }
    stream.write_all(b"N").await?;
    read_packet(stream).await
}

async fn read_packet<S: AsyncRead + Unpin>(stream: &mut S) -> FromClient<Packet> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = match Packet::body_length(length) {
        Ok(length) => length,
        Err(error) => return Ok(Err(error)),
    };
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await?;
    Ok(Packet::parse(&packet))
}
