//! Relays bytes between a client's TLS connection and a server's socket after login.
//!
//! The relay inspects only the headers of messages to the client, and the last bytes that it sends. An
//! error can be sent between two messages. Whether the last bytes end a statement decides if a statement
//! must be canceled, and if the server connection can be reused when the client disconnects. Only the
//! messages of guarded sessions are interpreted.
//!
//! Terminate is held back if the server is idle and a read returns exactly its bytes. If they are part of
//! another message after all, more bytes follow, and the relay forwards everything.
//!
//! A session is one task that polls both directions, without buffers of its own: bytes from the client
//! stay in the TLS connection until the server accepts them, and bytes from the server are read only after
//! all earlier ones have been sent.

use super::{boundary::StreamPosition, cancellation::cancellation, disconnect::linger};
use crate::{
    backend::BackendSocket,
    registry::{SessionHandle, Termination},
    storage_guard::StorageGuard,
};
use ootheca_pg_protocol::{
    ProtocolViolation, backend::READY_FOR_QUERY, frontend::TERMINATE, message::HEADER_LENGTH,
};
use rustls::ServerConnection;
use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, BufRead as _, Write as _},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead as _, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep, timeout},
};

const CHUNK: usize = 32 * 1024;
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Most clients disconnect right after Terminate. One that is still connected after this time waits for
/// the server to close the connection.
const TERMINATE_DELAY: Duration = Duration::from_millis(100);
/// The time that a client has to send its first statement, when the gateway shuts down right after its login.
const FIRST_STATEMENT: Duration = Duration::from_secs(2);
/// The time that a canceled statement has to end.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(500);
const READY_HEADER: [u8; HEADER_LENGTH] = [READY_FOR_QUERY, 0, 0, 0, 5];

thread_local! {
    /// Shared by all sessions of a thread, because none keeps bytes here between polls: the bytes that were
    /// read, and the output of the storage guard.
    static BUFFERS: RefCell<(Vec<u8>, Vec<u8>)> = RefCell::new((vec![0; CHUNK], Vec::new()));
}

/// How a session ended.
#[derive(Debug)]
pub(crate) enum RelayEnd {
    /// The client or the server closed its connection.
    Closed,
    /// The client disconnected while the server was idle outside of a transaction.
    Released,
    /// The gateway terminated the session.
    Terminated(Termination),
    /// A connection failed, or a message was malformed.
    Failed(io::Error),
}

/// How the direction from the client to the server ended.
enum InboundEnd {
    /// The client sends nothing more, or the server accepts nothing more.
    Closed,
    /// The server connection can be reused.
    Released,
}

/// A session after login.
pub(crate) struct Relay {
    client: TcpStream,
    tls: ServerConnection,
    server: BackendSocket,
    handle: Arc<SessionHandle>,
    inbound_closed: bool,
    /// The last bytes from the client ended like a Terminate.
    terminated: bool,
    activity: ServerActivity,
    /// The position in the messages to the client.
    position: StreamPosition,
    guarded: Option<Box<GuardedInbound>>,
    /// Whether the server connection may be reused after the session.
    releasable: bool,
    /// Runs while a Terminate is held back.
    held_terminate: Option<Pin<Box<Sleep>>>,
    /// Runs while a session that has not sent anything is drained.
    first_statement: Option<Pin<Box<Sleep>>>,
    /// The gateway has canceled the statement. The client receives the reason in place of the error for
    /// the cancellation.
    canceled: bool,
    /// Bytes received from the client.
    pub(crate) received: u64,
    /// Bytes sent to the client.
    pub(crate) sent: u64,
}

/// A storage guard, and the bytes for the server that have passed it.
struct GuardedInbound {
    guard: StorageGuard,
    passed: Vec<u8>,
    written: usize,
}

impl GuardedInbound {
    fn poll_write(&mut self, server: &mut BackendSocket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.passed.len() {
            self.written += ready!(server.poll_write(cx, &self.passed[self.written..]))?;
        }
        self.passed.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

/// What the server does, according to the last bytes sent to the client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ServerActivity {
    /// A statement may be running.
    Busy,
    /// A statement has ended within a transaction.
    IdleInTransaction,
    /// A statement has ended outside of a transaction.
    Idle,
}

impl Relay {
    /// A relay that first sends to the client what the TLS connection contains: `messages`. If `releasable`, an idle
    /// server connection stays open when the client disconnects, for [`Relay::into_parts`].
    pub(crate) fn new(
        (client, mut tls): (TcpStream, ServerConnection),
        server: BackendSocket,
        handle: Arc<SessionHandle>,
        messages: &[u8],
        guard: Option<StorageGuard>,
        releasable: bool,
    ) -> Self {
        if guard.is_some() {
            // The guard may release more bytes at once than it receives.
            tls.set_buffer_limit(None);
        }
        let mut position = StreamPosition::default();
        position.advance(messages);
        let guarded = guard.map(|guard| Box::new(GuardedInbound { guard, passed: Vec::new(), written: 0 }));
        Self {
            client,
            tls,
            server,
            handle,
            inbound_closed: false,
            terminated: false,
            activity: server_activity(messages),
            position,
            guarded,
            releasable,
            held_terminate: None,
            first_statement: None,
            canceled: false,
            received: 0,
            sent: 0,
        }
    }

    /// Relays until the session ends. The connections stay open until [`Relay::close`] or
    /// [`Relay::into_parts`].
    pub(crate) async fn run(&mut self) -> RelayEnd {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Whether a statement may be running.
    pub(crate) fn is_busy(&self) -> bool {
        self.activity == ServerActivity::Busy
    }

    /// Whether the server has closed the connection although the client has not asked for it.
    pub(crate) fn is_interrupted(&self) -> bool {
        !self.inbound_closed && !self.terminated
    }

    /// Relays the rest of a statement that the gateway has canceled, so that the server does not report
    /// the cancellation after the reason.
    pub(crate) async fn drain_canceled_statement(&mut self) {
        self.canceled = true;
        let drained = poll_fn(|cx| match self.poll_outbound(cx) {
            Poll::Pending if self.is_busy() => Poll::Pending,
            _ => Poll::Ready(()),
        });
        let _ = timeout(CANCEL_TIMEOUT, drained).await;
    }

    /// Closes both connections. Sends a last message if the client can receive one.
    pub(crate) async fn close(self, message: Option<Vec<u8>>) {
        let message = message.filter(|_| self.position.is_between_messages());
        let (server, client) = self.into_parts();
        drop(server);
        client.close(message).await;
    }

    /// The connections to the server and to the client.
    pub(crate) fn into_parts(self) -> (BackendSocket, ClosingClient) {
        (self.server, ClosingClient { client: self.client, tls: self.tls })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<RelayEnd> {
        let termination = self.handle.poll_termination(cx);
        if let Some(reason) = termination.filter(|reason| *reason != Termination::Drain) {
            return Poll::Ready(RelayEnd::Terminated(reason));
        }
        match self.poll_inbound(cx) {
            Poll::Ready(Ok(InboundEnd::Closed)) | Poll::Pending => {}
            Poll::Ready(Ok(InboundEnd::Released)) => return Poll::Ready(RelayEnd::Released),
            Poll::Ready(Err(cause)) => return Poll::Ready(RelayEnd::Failed(cause)),
        }
        match self.poll_outbound(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(RelayEnd::Closed),
            Poll::Ready(Err(cause)) => Poll::Ready(RelayEnd::Failed(cause)),
            Poll::Pending
                if termination.is_some()
                    && self.activity == ServerActivity::Idle
                    && self.poll_first_statement(cx).is_ready() =>
            {
                Poll::Ready(RelayEnd::Terminated(Termination::Drain))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Ready once the client has sent something since its login, or has had enough time for it.
    fn poll_first_statement(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.received > 0 {
            return Poll::Ready(());
        }
        self.first_statement.get_or_insert_with(|| Box::pin(sleep(FIRST_STATEMENT))).as_mut().poll(cx)
    }

    /// Relays from the client to the server. Ready when that direction has ended.
    fn poll_inbound(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<InboundEnd>> {
        if let Some(delay) = &mut self.held_terminate
            && delay.as_mut().poll(cx).is_ready()
        {
            ready!(self.poll_forward_terminate(cx));
        }
        while !self.inbound_closed {
            if let Some(guarded) = &mut self.guarded
                && ready!(guarded.poll_write(&mut self.server, cx)).is_err()
            {
                self.close_inbound();
                continue;
            }
            let mut reader = self.tls.reader();
            match reader.fill_buf() {
                Ok([]) => match ready!(self.poll_client_closed(cx)) {
                    InboundEnd::Closed => self.close_inbound(),
                    InboundEnd::Released => return Poll::Ready(Ok(InboundEnd::Released)),
                },
                Ok(bytes) if self.held_terminate.is_some() => {
                    debug_assert!(!bytes.is_empty());
                    ready!(self.poll_forward_terminate(cx));
                }
                Ok(TERMINATE) if self.releasable && self.activity == ServerActivity::Idle => {
                    reader.consume(TERMINATE.len());
                    let mut delay = Box::pin(sleep(TERMINATE_DELAY));
                    // Registers the task to be woken.
                    let _ = delay.as_mut().poll(cx);
                    self.held_terminate = Some(delay);
                }
                Ok(bytes) => {
                    let taken = match &mut self.guarded {
                        Some(guarded) => {
                            guarded.guard.inbound(bytes, &mut guarded.passed).map(|()| bytes.len())
                        }
                        None => Ok(match ready!(self.server.poll_write(cx, bytes)) {
                            Ok(count) => count,
                            // The server's last messages have yet to be read.
                            Err(_) => {
                                self.close_inbound();
                                continue;
                            }
                        }),
                    };
                    let count = taken.map_err(invalid)?;
                    self.terminated = bytes[..count].ends_with(TERMINATE);
                    reader.consume(count);
                    self.received += count as u64;
                    self.handle.set_received(self.received);
                    self.activity = ServerActivity::Busy;
                }
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => ready!(self.poll_receive(cx))?,
                Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
                    match ready!(self.poll_client_closed(cx)) {
                        InboundEnd::Closed => self.close_inbound(),
                        InboundEnd::Released => return Poll::Ready(Ok(InboundEnd::Released)),
                    }
                }
                Err(cause) => return Poll::Ready(Err(cause)),
            }
        }
        Poll::Ready(Ok(InboundEnd::Closed))
    }

    /// Handles the end of the client's stream. Releases an idle server connection.
    fn poll_client_closed(&mut self, cx: &mut Context<'_>) -> Poll<InboundEnd> {
        if self.releasable && self.activity == ServerActivity::Idle {
            return Poll::Ready(InboundEnd::Released);
        }
        if self.held_terminate.is_some() {
            ready!(self.poll_forward_terminate(cx));
        }
        Poll::Ready(InboundEnd::Closed)
    }

    /// Forwards the bytes that were held back.
    fn poll_forward_terminate(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // The socket accepts all of five bytes or none.
        match ready!(self.server.poll_write(cx, TERMINATE)) {
            Ok(count) if count == TERMINATE.len() => {}
            _ => self.close_inbound(),
        }
        self.held_terminate = None;
        self.terminated = true;
        self.activity = ServerActivity::Busy;
        self.received += TERMINATE.len() as u64;
        self.handle.set_received(self.received);
        Poll::Ready(())
    }

    fn close_inbound(&mut self) {
        self.inbound_closed = true;
        self.server.shutdown_write();
    }

    /// Receives and decrypts bytes of the client.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut io = PollIo { stream: &mut self.client, cx };
        match self.tls.read_tls(&mut io) {
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            read => read?,
        };
        if let Err(cause) = self.tls.process_new_packets() {
            let _ = flush(&mut self.tls, &mut self.client, cx);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, cause)));
        }
        Poll::Ready(Ok(()))
    }

    /// Relays from the server to the client. Ready when the server has closed the connection.
    fn poll_outbound(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        BUFFERS.with_borrow_mut(|(buffer, rewritten)| {
            loop {
                ready!(flush(&mut self.tls, &mut self.client, cx))?;
                let count = match ready!(self.server.poll_read(cx, buffer)) {
                    // The server has ended without reading everything that the client had sent.
                    Err(cause) if cause.kind() == io::ErrorKind::ConnectionReset => 0,
                    read => read?,
                };
                let mut bytes = &buffer[..count];
                if bytes.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let canceled = if self.canceled { cancellation(bytes) } else { None };
                bytes = &bytes[..canceled.unwrap_or(count)];
                if let Some(guarded) = &mut self.guarded {
                    rewritten.clear();
                    guarded.guard.outbound(bytes, rewritten).map_err(invalid)?;
                    bytes = rewritten;
                }
                self.activity = match canceled {
                    Some(_) => ServerActivity::Idle,
                    None => server_activity(bytes),
                };
                self.position.advance(bytes);
                self.sent += bytes.len() as u64;
                self.handle.set_sent(self.sent);
                self.tls.writer().write_all(bytes)?;
            }
        })
    }
}

fn invalid(error: ProtocolViolation) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn server_activity(bytes: &[u8]) -> ServerActivity {
    match bytes.split_last() {
        Some((b'I', before)) if before.ends_with(&READY_HEADER) => ServerActivity::Idle,
        Some((b'T' | b'E', before)) if before.ends_with(&READY_HEADER) => ServerActivity::IdleInTransaction,
        _ => ServerActivity::Busy,
    }
}

/// Sends the bytes that the TLS connection has encrypted.
fn flush(tls: &mut ServerConnection, client: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    while tls.wants_write() {
        match tls.write_tls(&mut PollIo { stream: client, cx }) {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(cause) => return Poll::Ready(Err(cause)),
        }
    }
    Poll::Ready(Ok(()))
}

/// The client's connection after the session.
pub(crate) struct ClosingClient {
    client: TcpStream,
    tls: ServerConnection,
}

impl ClosingClient {
    /// Sends a last message, and closes the connection.
    pub(crate) async fn close(mut self, message: Option<Vec<u8>>) {
        if let Some(message) = message {
            let _ = self.tls.writer().write_all(&message);
        }
        self.tls.send_close_notify();
        let flush = poll_fn(|cx| flush(&mut self.tls, &mut self.client, cx));
        if matches!(timeout(CLOSE_TIMEOUT, flush).await, Ok(Ok(()))) {
            linger(self.client).await;
        }
    }
}

/// Adapts a stream to the TLS library: returns `WouldBlock`, and wakes the task later.
struct PollIo<'a, 'b, 'c> {
    stream: &'a mut TcpStream,
    cx: &'b mut Context<'c>,
}

fn now<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl io::Read for PollIo<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        now(Pin::new(&mut *self.stream).poll_read(self.cx, &mut buffer))?;
        Ok(buffer.filled().len())
    }
}

impl io::Write for PollIo<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        now(Pin::new(&mut *self.stream).poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, bytes: &[io::IoSlice<'_>]) -> io::Result<usize> {
        now(Pin::new(&mut *self.stream).poll_write_vectored(self.cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
