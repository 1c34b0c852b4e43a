//! Connections to the PostgreSQL servers of clusters.

use crate::registry::cancel::CancelTarget;
use ootheca_pg_protocol::{backend::PARAMETER_STATUS, message, split_at_zero};
use std::{
    io::{self, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::Instant,
};

/// A Unix socket that wakes its task when there are bytes to read, and watches for room to write only
/// after a write would have blocked.
///
/// The kernel reports room whenever the server reads from the socket. Watching for it all the time would
/// wake the task once per statement for nothing.
pub(crate) struct BackendSocket {
    // `None` only within `watch_writable`, or after it failed.
    socket: Option<AsyncFd<UnixStream>>,
    writable_watched: bool,
}

impl BackendSocket {
    /// Wraps a connected, nonblocking socket.
    pub(crate) fn new(socket: UnixStream) -> io::Result<Self> {
        let socket = watch(socket, Interest::READABLE)?;
        Ok(Self { socket: Some(socket), writable_watched: false })
    }

    pub(crate) fn into_inner(self) -> Option<UnixStream> {
        self.socket.map(AsyncFd::into_inner)
    }

    fn socket(&self) -> io::Result<&AsyncFd<UnixStream>> {
        self.socket.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Reads available bytes; 0 at the end of the stream.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let socket = self.socket()?;
        loop {
            let mut ready = ready!(socket.poll_read_ready(cx))?;
            match socket.get_ref().read(buffer) {
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Ok(count) => {
                    // A partly filled buffer means that the socket has been drained.
                    if 0 < count && count < buffer.len() {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(count));
                }
                failed => return Poll::Ready(failed),
            }
        }
    }

    /// Writes as many bytes as the socket accepts.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.socket()?.get_ref().write(bytes) {
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {}
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                written => return Poll::Ready(written),
            }
            if !self.writable_watched {
                self.watch_writable()?;
            }
            ready!(self.socket()?.poll_write_ready(cx))?.clear_ready();
        }
    }

    pub(crate) fn shutdown_write(&self) {
        let _ = self.socket().and_then(|socket| socket.get_ref().shutdown(Shutdown::Write));
    }

    fn watch_writable(&mut self) -> io::Result<()> {
        if let Some(socket) = self.socket.take() {
            let both = Interest::READABLE | Interest::WRITABLE;
            self.socket = Some(watch(socket.into_inner(), both)?);
            self.writable_watched = true;
        }
        Ok(())
    }
}

#[allow(
    deprecated,
    reason = "the replacement is unsafe, for types whose descriptor may change; that of a Unix socket does not"
)]
fn watch(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    AsyncFd::with_interest(socket, interest)
}

/// The settings that a server has reported: its ParameterStatus messages, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ParameterStatuses(Vec<u8>);

impl ParameterStatuses {
    /// Records the body of a ParameterStatus. It replaces an earlier one for the same setting.
    pub(crate) fn record(&mut self, body: &[u8]) {
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

    /// Appends the messages.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

/// A session at a server that is ready for the first query.
pub(crate) struct BackendSession {
    /// Connected and nonblocking.
    pub(crate) socket: UnixStream,
    /// When the login at the server was completed.
    pub(crate) opened: Instant,
    pub(crate) parameters: ParameterStatuses,
    /// `None` if the server sent no key for cancel requests.
    pub(crate) cancel_target: Option<CancelTarget>,
    /// NoticeResponse messages from the login.
    pub(crate) notices: Vec<u8>,
    /// Bytes that followed the first ReadyForQuery.
    pub(crate) trailing: Vec<u8>,
}
