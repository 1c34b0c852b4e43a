//! A connection up to the first packet that asks for something: PROXY header, TLS, startup packet.

use super::{Stop, relay::linger};
use crate::{error::Refusal, tls::ALPN};
use ootheca_pg_protocol::{
    ProtocolViolation,
    proxy_header::{self, FIXED_LENGTH, Header, MAX_LENGTH},
    startup::Packet,
};
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The first byte of a client that begins with TLS.
const TLS_HANDSHAKE: u8 = 0x16;

/// A client that has said what it wants.
pub(crate) enum Client {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Client {
    /// Sends a last message.
    pub(crate) async fn refuse(self, refusal: &Refusal) {
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

/// Reads who the client is from the proxy in front of us; `None`: the proxy speaks for itself.
pub(crate) async fn source(stream: &mut TcpStream) -> Result<Option<SocketAddr>, Stop> {
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
        _ => Err(Stop::Gone("proxy_protocol")),
    }
}

/// Up to the first packet that asks for something.
pub(crate) async fn greet(tls: &TlsAcceptor, mut stream: TcpStream) -> Result<(Client, Packet), Stop> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(Stop::Gone("gone"));
    }
    let direct = first[0] == TLS_HANDSHAKE;
    if !direct {
        match negotiate(&mut stream).await? {
            Ok(Packet::SslRequest) => stream.write_all(b"S").await?,
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
async fn negotiate(stream: &mut TcpStream) -> io::Result<Result<Packet, ProtocolViolation>> {
    let packet = read_packet(stream).await?;
    if packet != Ok(Packet::GssEncRequest) {
        return Ok(packet);
    }
    stream.write_all(b"N").await?;
    read_packet(stream).await
}

async fn read_packet<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Result<Packet, ProtocolViolation>> {
    let mut word = [0; 4];
    stream.read_exact(&mut word).await?;
    let length = match Packet::body_length(word) {
        Ok(length) => length,
        Err(why) => return Ok(Err(why)),
    };
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await?;
    Ok(Packet::parse(&packet))
}
