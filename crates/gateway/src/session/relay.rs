//! Copies between a client's TLS connection and the server's socket.
//!
//! Begins when login is done, and looks at nothing but the last bytes that went to the client: whether
//! they end a statement tells if a text may still be put in, and if the server connection is free when
//! the client closes. Only a guarded session is read.
//!
//! A client's Terminate is held back: bytes that are nothing but that, while nothing is going on. Were
//! they the middle of something after all, more would follow, and all would be passed on.
//!
//! One task, one poll for both directions, and no buffers of its own: bytes from the client wait in
//! the TLS connection, bytes from the server are read only when all earlier ones are on their way.

use crate::{
    backend::Backend,
    registry::{Cut, Switch},
    storage_guard::Guard,
};
use ootheca_pg_protocol::{
    ProtocolViolation,
    backend::{ERROR_RESPONSE, READY_FOR_QUERY, SQLSTATE, field},
    frontend::TERMINATE,
    message,
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
    io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep, timeout},
};

const CHUNK: usize = 32 * 1024;
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// A client that says goodbye closes; if it has not so soon after, it waits for the server.
const GOODBYE: Duration = Duration::from_millis(100);
/// How long a canceled statement may take to end.
const SETTLE_TIMEOUT: Duration = Duration::from_millis(500);
const READY: [u8; 5] = [READY_FOR_QUERY, 0, 0, 0, 5];
const QUERY_CANCELED: &[u8] = b"57014";

thread_local! {
    /// Every session of a thread reads into the same place: none keeps bytes there between polls.
    static SCRATCH: RefCell<(Vec<u8>, Vec<u8>)> = RefCell::new((vec![0; CHUNK], Vec::new()));
}

/// How a session ended.
#[derive(Debug)]
pub(crate) enum End {
    /// One side closed.
    Closed,
    /// The client is gone, and the server is idle outside of any transaction.
    Left,
    /// This side ended it.
    Cut(Cut),
    /// A connection broke, or somebody broke the protocol.
    Failed(io::Error),
}

/// How the way from the client ended.
enum Up {
    /// For good, or as far as the server takes anything.
    Ended,
    /// The server connection is free.
    Left,
}

/// A session from when the server is ready.
pub(crate) struct Relay {
    client: TcpStream,
    tls: ServerConnection,
    server: Backend,
    switch: Arc<Switch>,
    /// The client will send nothing more, or the server takes nothing more.
    up_ended: bool,
    idle: Idle,
    /// The session reads along, where the cluster is throttled.
    guarded: Option<Box<Guarded>>,
    /// Whether the server connection may outlive the session.
    leaves: bool,
    goodbye: Option<Pin<Box<Sleep>>>,
    /// This side has canceled the statement: that it was canceled is not told, but why.
    canceled: bool,
    /// Bytes to the server.
    pub(crate) up: u64,
    /// Bytes to the client.
    pub(crate) down: u64,
}

/// A guard, and what it let through.
struct Guarded {
    guard: Guard,
    up: Vec<u8>,
    written: usize,
}

impl Guarded {
    /// Writes what was let through.
    fn poll_write(&mut self, server: &mut Backend, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.up.len() {
            self.written += ready!(server.poll_write(cx, &self.up[self.written..]))?;
        }
        self.up.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

/// What the last bytes to the client say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Idle {
    /// They are in the middle of something, as far as can be told.
    No,
    /// A statement ended, inside a transaction.
    InTransaction,
    /// A statement ended, outside of any transaction.
    Yes,
}

impl Relay {
    /// The server is ready, and says so in `greeting`, which goes to the client first. With `leaves`, a
    /// server connection that is idle at the end is kept for [`Relay::part`].
    pub(crate) fn new(
        (client, mut tls): (TcpStream, ServerConnection),
        server: Backend,
        switch: Arc<Switch>,
        greeting: &[u8],
        guard: Option<Guard>,
        leaves: bool,
    ) -> io::Result<Self> {
        if guard.is_some() {
            // A guard may let more through at once than came in.
            tls.set_buffer_limit(None);
        }
        tls.writer().write_all(greeting)?;
        let guarded = guard.map(|guard| Box::new(Guarded { guard, up: Vec::new(), written: 0 }));
        let (idle, up_ended, goodbye, canceled) = (idle(greeting), false, None, false);
        let (up, down) = (0, 0);
        Ok(Self { client, tls, server, switch, up_ended, idle, guarded, leaves, goodbye, canceled, up, down })
    }

    /// Copies until the end. What is left to say can be said with [`Relay::close`].
    pub(crate) async fn run(&mut self) -> End {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Whether a statement may be running.
    pub(crate) fn is_busy(&self) -> bool {
        self.idle == Idle::No
    }

    /// Passes on what the server says until its statement, which this side has canceled, has ended: only
    /// then can the client understand a last message.
    pub(crate) async fn settle(&mut self) {
        self.canceled = true;
        let settled = poll_fn(|cx| match self.poll_down(cx) {
            Poll::Pending if self.is_busy() => Poll::Pending,
            _ => Poll::Ready(()),
        });
        let _ = timeout(SETTLE_TIMEOUT, settled).await;
    }

    /// Closes, with a last message where the client can understand one.
    pub(crate) async fn close(self, message: Option<Vec<u8>>) {
        let message = message.filter(|_| !self.is_busy());
        let (server, client) = self.part();
        drop(server);
        client.close(message).await;
    }

    /// Both sides.
    pub(crate) fn part(self) -> (Backend, Leaving) {
        (self.server, Leaving { client: self.client, tls: self.tls })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let cut = self.switch.poll(cx);
        if let Some(cut) = cut.filter(|cut| *cut != Cut::Drain) {
            return Poll::Ready(End::Cut(cut));
        }
        match self.poll_up(cx) {
            Poll::Ready(Ok(Up::Ended)) | Poll::Pending => {}
            Poll::Ready(Ok(Up::Left)) => return Poll::Ready(End::Left),
            Poll::Ready(Err(cause)) => return Poll::Ready(End::Failed(cause)),
        }
        match self.poll_down(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(End::Closed),
            Poll::Ready(Err(cause)) => Poll::Ready(End::Failed(cause)),
            Poll::Pending if cut.is_some() && self.idle == Idle::Yes => Poll::Ready(End::Cut(Cut::Drain)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// From client to server. Ready only with an error, or when nothing more can come.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Up>> {
        if let Some(goodbye) = &mut self.goodbye
            && goodbye.as_mut().poll(cx).is_ready()
        {
            ready!(self.poll_release(cx));
        }
        while !self.up_ended {
            if let Some(guarded) = &mut self.guarded
                && ready!(guarded.poll_write(&mut self.server, cx)).is_err()
            {
                self.end_up();
                continue;
            }
            let mut reader = self.tls.reader();
            match reader.fill_buf() {
                Ok([]) => match ready!(self.poll_farewell(cx)) {
                    Up::Ended => self.end_up(),
                    Up::Left => return Poll::Ready(Ok(Up::Left)),
                },
                Ok(bytes) if self.goodbye.is_some() => {
                    debug_assert!(!bytes.is_empty());
                    ready!(self.poll_release(cx));
                }
                Ok(TERMINATE) if self.leaves && self.idle == Idle::Yes => {
                    reader.consume(TERMINATE.len());
                    let mut goodbye = Box::pin(sleep(GOODBYE));
                    // Only who has asked is woken.
                    let _ = goodbye.as_mut().poll(cx);
                    self.goodbye = Some(goodbye);
                }
                Ok(bytes) => {
                    let taken = match &mut self.guarded {
                        Some(guarded) => guarded.guard.up(bytes, &mut guarded.up).map(|()| bytes.len()),
                        None => Ok(match ready!(self.server.poll_write(cx, bytes)) {
                            Ok(count) => count,
                            // What the server said last is still to be read.
                            Err(_) => {
                                self.end_up();
                                continue;
                            }
                        }),
                    };
                    let count = taken.map_err(invalid)?;
                    reader.consume(count);
                    self.up += count as u64;
                    self.switch.received(self.up);
                    self.idle = Idle::No;
                }
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => ready!(self.poll_receive(cx))?,
                Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
                    match ready!(self.poll_farewell(cx)) {
                        Up::Ended => self.end_up(),
                        Up::Left => return Poll::Ready(Ok(Up::Left)),
                    }
                }
                Err(cause) => return Poll::Ready(Err(cause)),
            }
        }
        Poll::Ready(Ok(Up::Ended))
    }

    /// The client has closed. If nothing is going on, its server connection is free.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<Up> {
        if self.leaves && self.idle == Idle::Yes {
            return Poll::Ready(Up::Left);
        }
        if self.goodbye.is_some() {
            ready!(self.poll_release(cx));
        }
        Poll::Ready(Up::Ended)
    }

    /// Passes on the end that was held back: it was none, or the client waits for the server's.
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A piece of five bytes is never written: there is room for all or for none.
        match ready!(self.server.poll_write(cx, TERMINATE)) {
            Ok(count) if count == TERMINATE.len() => {}
            _ => self.end_up(),
        }
        self.goodbye = None;
        self.idle = Idle::No;
        self.up += TERMINATE.len() as u64;
        self.switch.received(self.up);
        Poll::Ready(())
    }

    fn end_up(&mut self) {
        self.up_ended = true;
        self.server.end();
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut io = Blocking { stream: &mut self.client, cx };
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

    /// From server to client. Ready when the server is done, or with an error.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        SCRATCH.with_borrow_mut(|(scratch, rewritten)| {
            loop {
                ready!(flush(&mut self.tls, &mut self.client, cx))?;
                let count = ready!(self.server.poll_read(cx, scratch))?;
                let mut bytes = &scratch[..count];
                if bytes.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let canceled = if self.canceled { cancellation(bytes) } else { None };
                bytes = &bytes[..canceled.unwrap_or(count)];
                if let Some(guarded) = &mut self.guarded {
                    rewritten.clear();
                    guarded.guard.down(bytes, rewritten).map_err(invalid)?;
                    bytes = rewritten;
                }
                self.idle = if canceled.is_some() { Idle::Yes } else { idle(bytes) };
                self.down += bytes.len() as u64;
                self.switch.sent(self.down);
                self.tls.writer().write_all(bytes)?;
            }
        })
    }
}

fn invalid(why: ProtocolViolation) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Where whole messages end with the error of a canceled statement, and with its end if that is there:
/// there the client stands between two messages.
fn cancellation(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut found) = (0, None);
    while at < bytes.len() {
        let frame = message::first(&bytes[at..], CHUNK).ok()??;
        match frame.kind {
            ERROR_RESPONSE if field(frame.body, SQLSTATE) == Some(QUERY_CANCELED) => found = Some(at),
            READY_FOR_QUERY => found = found.or(Some(at)),
            _ => found = None,
        }
        at += frame.length();
    }
    found
}

fn idle(bytes: &[u8]) -> Idle {
    match bytes.split_last() {
        Some((b'I', before)) if before.ends_with(&READY) => Idle::Yes,
        Some((b'T' | b'E', before)) if before.ends_with(&READY) => Idle::InTransaction,
        _ => Idle::No,
    }
}

/// Sends what the TLS connection has ready.
fn flush(tls: &mut ServerConnection, client: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    while tls.wants_write() {
        match tls.write_tls(&mut Blocking { stream: client, cx }) {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(cause) => return Poll::Ready(Err(cause)),
        }
    }
    Poll::Ready(Ok(()))
}

/// The client's side of a session that is over.
pub(crate) struct Leaving {
    client: TcpStream,
    tls: ServerConnection,
}

impl Leaving {
    /// Closes, with a last message if there is one.
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

/// Closes a connection so that what was sent last arrives: a client that is still sending would
/// otherwise get a reset that throws it away.
pub(crate) async fn linger(mut stream: TcpStream) {
    let rest = async {
        stream.shutdown().await?;
        let mut rest = [0; 512];
        while stream.read(&mut rest).await? != 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(CLOSE_TIMEOUT, rest).await;
}

/// A stream as the TLS library wants it: one that answers `WouldBlock` and wakes the task later.
struct Blocking<'a, 'b, 'c> {
    stream: &'a mut TcpStream,
    cx: &'b mut Context<'c>,
}

fn now<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl io::Read for Blocking<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        now(Pin::new(&mut *self.stream).poll_read(self.cx, &mut buffer))?;
        Ok(buffer.filled().len())
    }
}

impl io::Write for Blocking<'_, '_, '_> {
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
