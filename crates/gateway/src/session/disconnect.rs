//! Detecting that a client disconnects, and closing connections.

use std::{future::pending, io, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::server::TlsStream;

const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits until the client disconnects; returns why. Bytes that the client sends ahead stay in the TLS
/// connection; once there are any, nothing more is read and this waits forever.
pub(crate) async fn wait_for_disconnect(client: &mut TlsStream<TcpStream>) -> io::Error {
    let (stream, tls) = client.get_mut();
    // False once decrypted bytes are available.
    while tls.wants_read() {
        if let Err(cause) = stream.readable().await {
            return cause;
        }
        match tls.read_tls(&mut AvailableBytes(stream)) {
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

/// Reads without waiting.
struct AvailableBytes<'a>(&'a TcpStream);

impl io::Read for AvailableBytes<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

/// Closes a connection once the client has closed it or a timeout has passed. If the connection were
/// closed while the client still sends, the kernel would send a reset, which discards what was sent last.
pub(crate) async fn linger(mut stream: TcpStream) {
    let rest = async {
        stream.shutdown().await?;
        let mut rest = [0; 512];
        while stream.read(&mut rest).await? != 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(LINGER_TIMEOUT, rest).await;
}
