//! Notices that a client closes while it waits for its server.

use std::{future::pending, io};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Waits until the client has closed; why. What it sends ahead stays in the TLS connection, and who has
/// sent something is believed to stay.
pub(crate) async fn gone(client: &mut TlsStream<TcpStream>) -> io::Error {
    let (stream, tls) = client.get_mut();
    // Nothing more is read once there is something for the server.
    while tls.wants_read() {
        if let Err(cause) = stream.readable().await {
            return cause;
        }
        match tls.read_tls(&mut Readable(stream)) {
            Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => continue,
            Err(cause) => return cause,
        }
        match tls.process_new_packets() {
            Ok(state) if state.peer_has_closed() => return io::ErrorKind::UnexpectedEof.into(),
            Ok(_) => {}
            Err(cause) => return io::Error::new(io::ErrorKind::InvalidData, cause),
        }
    }
    pending().await
}

/// Reads what is there.
struct Readable<'a>(&'a TcpStream);

impl io::Read for Readable<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}
