//! The TLS handshake of a connection to the API.

use std::{io, time::Duration};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// The time that a client has to complete the handshake.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The first byte of a handshake.
const HANDSHAKE: u8 = 0x16;
const PLAIN_HTTP: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 51\r\nConnection: close\r\n\r\nthis port uses HTTPS: use an address with https://\n\n";

/// Completes the handshake. A client that uses plain HTTP gets an explanation.
pub(super) async fn run(acceptor: TlsAcceptor, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let handshake = async {
        let mut first = [0];
        if stream.peek(&mut first).await? > 0 && first[0] != HANDSHAKE {
            refuse_plain(&stream);
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the client does not use TLS"));
        }
        acceptor.accept(stream).await
    };
    timeout(TIMEOUT, handshake).await?
}

fn refuse_plain(client: &TcpStream) {
    // Closing a socket with unread data would discard the response.
    let _ = client.try_read(&mut [0; 16 * 1024]);
    let _ = client.try_write(PLAIN_HTTP.as_bytes());
}
