//! A connection to the API, with or without TLS.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};
use tokio_rustls::{Accept, TlsAcceptor, server::TlsStream};

/// The time that a client has to complete the TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;
const PLAIN_HTTP: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 51\r\nConnection: close\r\n\r\nthis port uses HTTPS: use an address with https://\n\n";

/// A connection to the API. The TLS handshake happens when it is first read or written, so that a slow client
/// doesn't delay the others.
pub struct Stream(State);

enum State {
    Plain(TcpStream),
    Started(TlsAcceptor, Option<TcpStream>, Pin<Box<Sleep>>),
    Handshake(Box<Accept<TcpStream>>, Pin<Box<Sleep>>),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Without TLS.
    pub fn plain(stream: TcpStream) -> Self {
        Self(State::Plain(stream))
    }

    /// With TLS.
    pub(super) fn tls(acceptor: TlsAcceptor, stream: TcpStream) -> Self {
        Self(State::Started(acceptor, Some(stream), Box::pin(sleep(HANDSHAKE_TIMEOUT))))
    }

    /// Completes the handshake, then returns the stream of the contents.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pin<&mut dyn Duplex>>> {
        loop {
            match &mut self.0 {
                State::Started(acceptor, stream, limit) => {
                    expired(limit, context)?;
                    let Some(client) = stream else { return Poll::Ready(Err(closed())) };
                    let mut first = [0];
                    let read = ready!(client.poll_peek(context, &mut ReadBuf::new(&mut first)))?;
                    if read > 0 && first[0] != TLS_HANDSHAKE {
                        return Poll::Ready(Err(refuse_plain(client)));
                    }
                    let Some(stream) = stream.take() else { return Poll::Ready(Err(closed())) };
                    let limit = std::mem::replace(limit, Box::pin(sleep(HANDSHAKE_TIMEOUT)));
                    self.0 = State::Handshake(Box::new(acceptor.accept(stream)), limit);
                }
                State::Handshake(accept, limit) => {
                    expired(limit, context)?;
                    let stream = ready!(Future::poll(Pin::new(accept), context))?;
                    self.0 = State::Tls(Box::new(stream));
                }
                State::Plain(_) | State::Tls(_) => break,
            }
        }
        match &mut self.0 {
            State::Plain(stream) => Poll::Ready(Ok(Pin::new(stream))),
            State::Tls(stream) => Poll::Ready(Ok(Pin::new(stream))),
            State::Started(..) | State::Handshake(..) => Poll::Ready(Err(closed())),
        }
    }
}

/// A stream in both directions.
trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

fn expired(limit: &mut Pin<Box<Sleep>>, context: &mut Context<'_>) -> io::Result<()> {
    match limit.as_mut().poll(context) {
        Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
        Poll::Pending => Ok(()),
    }
}

fn closed() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

/// Responds to a client that doesn't use TLS.
fn refuse_plain(client: &TcpStream) -> io::Error {
    // Closing a socket with unread data would discard the response.
    let _ = client.try_read(&mut [0; 16 * 1024]);
    let _ = client.try_write(PLAIN_HTTP.as_bytes());
    io::Error::new(io::ErrorKind::InvalidData, "the client does not use TLS")
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.get_mut().poll_open(context))?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().poll_open(context))?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.get_mut().poll_open(context))?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self(State::Plain(stream)) => Pin::new(stream).poll_flush(context),
            Self(State::Tls(stream)) => Pin::new(stream).poll_flush(context),
            // Nothing was written.
            Self(State::Started(..) | State::Handshake(..)) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self(State::Plain(stream)) => Pin::new(stream).poll_shutdown(context),
            Self(State::Tls(stream)) => Pin::new(stream).poll_shutdown(context),
            Self(State::Started(..) | State::Handshake(..)) => Poll::Ready(Ok(())),
        }
    }
}
