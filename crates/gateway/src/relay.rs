//! Copies between a client's TLS connection and the server's socket.
//!
//! Follows the server's messages until login is done, and after that looks at nothing but the last
//! bytes that went to the client: whether they end a statement tells if a text may still be put in.
//!
//! One task, one poll for both directions, and no buffers of its own: bytes from the client wait in
//! the TLS connection, bytes from the server are read only when all earlier ones are on their way.

use crate::{
    backend::Backend,
    login::Login,
    sessions::{Cut, Switch},
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
    time::{Instant, Sleep, sleep_until, timeout},
};

const CHUNK: usize = 32 * 1024;
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
const READY: [u8; 5] = *b"Z\0\0\0\x05";

thread_local! {
    /// Every session of a thread reads into the same place: none keeps bytes there between polls.
    static SCRATCH: RefCell<(Vec<u8>, Vec<u8>)> = RefCell::new((vec![0; CHUNK], Vec::new()));
}

/// How a session ended.
#[derive(Debug)]
pub(crate) enum End {
    /// One side closed.
    Closed,
    /// The login did not end in time.
    LoginTimeout,
    /// This side ended it.
    Cut(Cut),
    /// A connection broke, or somebody broke the protocol.
    Failed(io::Error),
}

/// A session from its startup message on.
pub(crate) struct Relay {
    client: TcpStream,
    tls: ServerConnection,
    server: Backend,
    switch: Arc<Switch>,
    login: Login,
    deadline: Option<Pin<Box<Sleep>>>,
    /// The client will send nothing more, or the server takes nothing more.
    up_ended: bool,
    idle: Idle,
    /// Bytes to the server.
    pub(crate) up: u64,
    /// Bytes to the client.
    pub(crate) down: u64,
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
    /// The server has got the startup message and nothing else was read or written.
    pub(crate) fn new(
        (client, tls): (TcpStream, ServerConnection),
        server: Backend,
        switch: Arc<Switch>,
        login: Login,
        deadline: Instant,
    ) -> Self {
        let deadline = Some(Box::pin(sleep_until(deadline)));
        let (up_ended, idle, up, down) = (false, Idle::No, 0, 0);
        Self { client, tls, server, switch, login, deadline, up_ended, idle, up, down }
    }

    /// Copies until the end. What is left to say can be said with [`Relay::close`].
    pub(crate) async fn run(&mut self) -> End {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Whether the server refused the login.
    pub(crate) fn refused(&self) -> bool {
        self.login.refused && !self.login.done
    }

    /// Ends the running statement, if there may be one.
    pub(crate) async fn cancel(&self) -> io::Result<()> {
        match &self.login.handed_out {
            Some(handed) if self.idle == Idle::No => handed.target.cancel().await,
            _ => Ok(()),
        }
    }

    /// Closes, with a last message where the client can understand one.
    pub(crate) async fn close(mut self, message: Option<Vec<u8>>) {
        drop(self.server);
        let clear = if self.login.done { self.idle != Idle::No } else { self.login.between_messages() };
        if let Some(message) = message.filter(|_| clear) {
            let _ = self.tls.writer().write_all(&message);
        }
        self.tls.send_close_notify();
        let flush = poll_fn(|cx| flush(&mut self.tls, &mut self.client, cx));
        if matches!(timeout(CLOSE_TIMEOUT, flush).await, Ok(Ok(()))) {
            linger(self.client).await;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let cut = self.switch.poll(cx);
        if let Some(cut) = cut.filter(|cut| *cut != Cut::Drain) {
            return Poll::Ready(End::Cut(cut));
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(End::LoginTimeout);
        }
        if let Poll::Ready(Err(cause)) = self.poll_up(cx) {
            return Poll::Ready(End::Failed(cause));
        }
        match self.poll_down(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(End::Closed),
            Poll::Ready(Err(cause)) => Poll::Ready(End::Failed(cause)),
            Poll::Pending if cut.is_some() && self.idle == Idle::Yes => Poll::Ready(End::Cut(Cut::Drain)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// From client to server. Ready only with an error, or when nothing more can come.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.up_ended {
            let mut reader = self.tls.reader();
            match reader.fill_buf() {
                Ok([]) => self.end_up(),
                Ok(bytes) => match ready!(self.server.poll_write(cx, bytes)) {
                    Ok(count) => {
                        reader.consume(count);
                        self.up += count as u64;
                        self.idle = Idle::No;
                    }
                    // What the server said last is still to be read.
                    Err(_) => self.end_up(),
                },
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => ready!(self.poll_receive(cx))?,
                Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => self.end_up(),
                Err(cause) => return Poll::Ready(Err(cause)),
            }
        }
        Poll::Ready(Ok(()))
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
                if !self.login.done {
                    rewritten.clear();
                    let fed = self.login.feed(bytes, rewritten);
                    fed.map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why.0))?;
                    bytes = rewritten;
                    if self.login.done {
                        self.deadline = None;
                    }
                }
                self.idle = idle(bytes);
                self.down += bytes.len() as u64;
                self.tls.writer().write_all(bytes)?;
            }
        })
    }
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
