//! The connection to a cluster's server.

use crate::registry::cancel::Target;
use ootheca_pg_protocol::{backend::PARAMETER_STATUS, message, split_at_zero};
use std::{
    io::{self, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    task::{Context, Poll, ready},
};
use tokio::io::{Interest, unix::AsyncFd};

/// A Unix socket that wakes its task for bytes to read, and for room to write only once that has
/// been missed.
///
/// The kernel reports room each time the server takes something from the socket: with a watch on
/// that, every statement would wake the task once for nothing.
pub(crate) struct Backend {
    // `None` only within `watch_room`, or after it failed.
    socket: Option<AsyncFd<UnixStream>>,
    room_watched: bool,
}

impl Backend {
    /// Takes a connected socket that does not block.
    pub(crate) fn new(socket: UnixStream) -> io::Result<Self> {
        let socket = watch(socket, Interest::READABLE)?;
        Ok(Self { socket: Some(socket), room_watched: false })
    }

    /// Gives the socket back.
    pub(crate) fn into_inner(self) -> Option<UnixStream> {
        self.socket.map(AsyncFd::into_inner)
    }

    fn socket(&self) -> io::Result<&AsyncFd<UnixStream>> {
        self.socket.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Reads what is there; 0 at the end.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let socket = self.socket()?;
        loop {
            let mut ready = ready!(socket.poll_read_ready(cx))?;
            match socket.get_ref().read(buffer) {
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Ok(count) => {
                    // Less than there is room for is all that there was.
                    if 0 < count && count < buffer.len() {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(count));
                }
                failed => return Poll::Ready(failed),
            }
        }
    }

    /// Writes as much as there is room for.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.socket()?.get_ref().write(bytes) {
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {}
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                written => return Poll::Ready(written),
            }
            if !self.room_watched {
                self.watch_room()?;
            }
            ready!(self.socket()?.poll_write_ready(cx))?.clear_ready();
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn end(&self) {
        let _ = self.socket().and_then(|socket| socket.get_ref().shutdown(Shutdown::Write));
    }

    fn watch_room(&mut self) -> io::Result<()> {
        if let Some(socket) = self.socket.take() {
            let both = Interest::READABLE | Interest::WRITABLE;
            self.socket = Some(watch(socket.into_inner(), both)?);
            self.room_watched = true;
        }
        Ok(())
    }
}

#[allow(
    deprecated,
    reason = "its successor is unsafe for types that may lie about their descriptor; this one does not"
)]
fn watch(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    AsyncFd::with_interest(socket, interest)
}

/// What the server has said of its settings: ParameterStatus messages, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters(Vec<u8>);

impl Parameters {
    /// Takes the body of a ParameterStatus.
    pub(crate) fn note(&mut self, body: &[u8]) {
        let (name, _) = split_at_zero(body);
        let (mut at, mut found) = (0, None);
        while let Ok(Some(known)) = message::first(&self.0[at..], usize::MAX) {
            let end = at + known.length();
            if split_at_zero(known.body).0 == name {
                found = Some(at..end);
            }
            at = end;
        }
        let range = found.unwrap_or(at..at);
        self.0.splice(range, message::encode(PARAMETER_STATUS, body));
    }

    /// Says it all again.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

/// A server that is ready for the first statement.
pub(crate) struct Server {
    /// The connection; does not block.
    pub(crate) socket: UnixStream,
    /// Its settings.
    pub(crate) parameters: Parameters,
    /// What a cancel request must name.
    pub(crate) target: Option<Target>,
    /// Notices, word for word.
    pub(crate) notices: Vec<u8>,
    /// What came after it was ready.
    pub(crate) rest: Vec<u8>,
}
