//! A new process takes over from a running one without refusing a connection.
//!
//! It has two steps, so that a successor that fails has no effect:
//!
//! 1. The successor connects to the socket of the running process and gets copies of the listening descriptors. The
//!    running process continues as before. The successor prepares what it can.
//! 2. The successor sends `yield`. The running process stops accepting (new connections wait in the backlog), finishes
//!    open requests, releases everything that only one process can hold, and sends `yielded`. The successor starts on
//!    the descriptors and sends `ready`; then the old process drains its sessions and exits.
//!
//! The old process keeps its descriptors until `ready`. If the successor ends before that, the old one starts
//! again on them (see [`Handover::ready`]). If the old process ends at any stage, the successor starts as after a
//! crash, on the descriptors that it has.

use crate::gateway::control::{
    self,
    protocol::{self, ClientHello, Role, ServerHello, VERSION, broken, read_hello, receive, send},
};
use ootheca_durable::failpoint;
use ootheca_model::{Error, ErrorKind as Kind, Result};
use parking_lot::Mutex;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use std::{
    io::{self, ErrorKind, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::TcpListener,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{BufReader, Interest},
    net::{UnixListener, UnixStream},
    sync::{mpsc, watch},
    time::timeout,
};

/// The maximum number of descriptors in a handover.
const MOST: usize = 8;
/// How long each side waits for the other in the second step.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a successor waits for the data directory if the other process ends instead of yielding.
pub const RELEASE: Duration = Duration::from_secs(60);

/// The time between accepting the last connection and closing connections that have not sent a request.
pub const SETTLE: Duration = Duration::from_millis(300);

/// The messages of the second step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Yield,
    Yielded,
    Ready,
    /// Another successor came first.
    Refused,
}

/// A named listening socket.
#[derive(Clone)]
pub struct Listening {
    /// `http` or `sql`.
    pub name: &'static str,
    /// The socket.
    pub socket: Arc<TcpListener>,
}

/// Listening sockets that were inherited from another process.
#[derive(Default)]
pub struct Inherited(Vec<(String, TcpListener)>);

impl Inherited {
    /// Removes and returns a socket.
    pub fn take(&mut self, name: &str) -> Option<TcpListener> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Copies of sockets of this process, to start again in the same process.
    pub fn copies(listening: &[Listening]) -> io::Result<Self> {
        let copies = listening.iter().map(|one| Ok((one.name.to_owned(), one.socket.try_clone()?)));
        copies.collect::<io::Result<_>>().map(Self)
    }
}

/// Gives successors the sockets of the running process.
pub struct HandoverServer {
    listening: Mutex<Vec<Listening>>,
    asked: mpsc::Sender<Handover>,
}

impl HandoverServer {
    /// Gives out these sockets. The receiver gets each successor that requests the second step.
    pub fn new(listening: Vec<Listening>) -> (Arc<Self>, mpsc::Receiver<Handover>) {
        let (asked, asking) = mpsc::channel(1);
        (Arc::new(Self { listening: Mutex::new(listening), asked }), asking)
    }

    /// The sockets that are given out.
    pub fn listening(&self) -> Vec<Listening> {
        self.listening.lock().clone()
    }

    /// Closes its copies of the sockets, so that new clients are refused instead of waiting.
    pub fn close(&self) {
        self.listening.lock().clear();
    }

    /// Runs the first step with a successor that has sent its greeting.
    pub async fn admit(&self, mut stream: UnixStream) -> Result<()> {
        let listening = self.listening();
        let listeners = listening.iter().map(|one| one.name.to_owned()).collect();
        let welcome = protocol::encode(&ServerHello { listeners, ..ServerHello::new() })?;
        let sockets: Vec<BorrowedFd<'_>> = listening.iter().map(|one| one.socket.as_fd()).collect();
        send_descriptors(&stream, &welcome, &sockets).await.map_err(broken)?;
        failpoint::reach("sockets given to the successor");
        match receive::<_, Step>(&mut BufReader::new(&mut stream)).await? {
            Some(Step::Yield) => {}
            Some(_) => return Err(Error::invalid("take-over", "unexpected message from the successor")),
            None => return Ok(()),
        }
        let Err(mpsc::error::TrySendError::Full(refused)) = self.asked.try_send(Handover { stream }) else {
            // If the process ends already, the successor receives the end of the connection.
            return Ok(());
        };
        let mut stream = refused.stream;
        send(&mut stream, &Step::Refused).await?;
        Err(Error::unavailable("take-over: another successor is already taking over"))
    }
}

/// A successor that waits for the second step.
pub struct Handover {
    stream: UnixStream,
}

impl Handover {
    /// Reports that everything is released, and waits until the successor serves. Returns an error if the
    /// successor has ended or does not respond.
    pub async fn ready(mut self) -> Result<()> {
        failpoint::reach("everything released for the successor");
        send(&mut self.stream, &Step::Yielded).await?;
        failpoint::reach("successor told to start");
        let step = timeout(PATIENCE, receive::<_, Step>(&mut BufReader::new(&mut self.stream))).await;
        match step {
            Ok(Ok(Some(Step::Ready))) => Ok(()),
            Ok(Ok(_)) => Err(Error::unavailable("take-over: the successor ended before it was ready")),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::unavailable("take-over: the successor was not ready in time")),
        }
    }
}

/// Serves a socket for successors only, until `stop` is true.
pub async fn serve(
    listener: UnixListener,
    handover_server: Arc<HandoverServer>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let stream = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            stream = control::accept(&listener) => stream,
        };
        let handover_server = handover_server.clone();
        tokio::spawn(async move {
            let greeted = async {
                let mut stream = BufReader::new(stream);
                match read_hello(&mut stream).await? {
                    Some(Role::Successor) => handover_server.admit(stream.into_inner()).await,
                    Some(_) => send(stream.get_mut(), &ServerHello::refusal("this is a gateway")).await,
                    None => Ok(()),
                }
            };
            if let Err(error) = greeted.await {
                tracing::warn!(error = error.chain(), "handover: connection ended");
            }
        });
    }
}

/// This process as the successor of another one.
pub struct Successor {
    stream: UnixStream,
    /// The sockets of the other process.
    pub inherited: Inherited,
}

impl Successor {
    /// Runs the first step; `None` if there is no process to take over from, or if it ends.
    pub async fn connect(socket: &Path) -> Result<Option<Self>> {
        let mut stream = match UnixStream::connect(socket).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(error) => {
                let message = format!("take-over: could not connect to {}", socket.display());
                return Err(Error::unavailable(message).because(error));
            }
        };
        let receive = async {
            send(&mut stream, &ClientHello { ootheca: VERSION, role: Role::Successor }).await?;
            receive_descriptors(&stream).await.map_err(broken)
        };
        let late = |_| Error::unavailable("take-over: the running process does not respond");
        let (line, descriptors) = match timeout(PATIENCE, receive).await.map_err(late)? {
            Err(error) if error.kind() == Kind::Unavailable => {
                tracing::warn!(
                    error = error.chain(),
                    "take-over: the running process ended; starting without it"
                );
                return Ok(None);
            }
            received => received?,
        };
        let welcome = protocol::parse::<ServerHello>(&line)?.check()?;
        if welcome.listeners.len() != descriptors.len() {
            return Err(Error::internal("take-over: descriptors are missing"));
        }
        let sockets = descriptors.into_iter().map(TcpListener::from);
        let inherited = Inherited(welcome.listeners.into_iter().zip(sockets).collect());
        Ok(Some(Self { stream, inherited }))
    }

    /// Runs the second step. Returns when the other process has released everything, or has closed the
    /// connection because it ends.
    pub async fn take_over(&mut self) -> Result<()> {
        let yielded = async {
            send(&mut self.stream, &Step::Yield).await?;
            receive::<_, Step>(&mut BufReader::new(&mut self.stream)).await
        };
        let late = |_| Error::unavailable("take-over: the running process did not yield in time");
        match timeout(PATIENCE, yielded).await.map_err(late)? {
            Ok(Some(Step::Yielded)) => Ok(()),
            Ok(Some(Step::Refused)) => Err(Error::unavailable(
                "take-over: another process is already taking over; try again when it is ready",
            )),
            Ok(Some(_)) => Err(Error::invalid("take-over", "unexpected message from the running process")),
            Ok(None) => {
                tracing::warn!("take-over: the running process ended; starting on its sockets");
                Ok(())
            }
            Err(error) if error.kind() == Kind::Unavailable => {
                tracing::warn!(
                    error = error.chain(),
                    "take-over: the running process ended; starting on its sockets"
                );
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Reports that this process serves now. The other process can have ended.
    pub async fn ready(mut self) {
        if let Err(error) = send(&mut self.stream, &Step::Ready).await {
            tracing::warn!(
                error = error.chain(),
                "take-over: the previous process ended before it had drained"
            );
        }
    }
}

async fn send_descriptors(stream: &UnixStream, line: &[u8], sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut sent = 0;
    while sent < line.len() {
        // The descriptors are sent with the first byte.
        let sockets = if sent == 0 { sockets } else { &[] };
        sent += stream.async_io(Interest::WRITABLE, || send_some(stream, &line[sent..], sockets)).await?;
    }
    Ok(())
}

fn send_some(stream: &UnixStream, bytes: &[u8], sockets: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::other("too many descriptors"));
    }
    Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

/// Receives a line and the descriptors that were sent with it.
async fn receive_descriptors(stream: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let (mut line, mut descriptors) = (Vec::new(), Vec::new());
    while line.last() != Some(&b'\n') {
        let receive = || receive_some(stream, &mut line, &mut descriptors);
        if stream.async_io(Interest::READABLE, receive).await? == 0 || line.len() > 4096 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((line, descriptors))
}

fn receive_some(
    stream: &UnixStream,
    line: &mut Vec<u8>,
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut bytes = [0; 1024];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(&mut bytes)];
    let length = recvmsg(stream, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(sockets) = message {
            descriptors.extend(sockets);
        }
    }
    line.extend_from_slice(&bytes[..length]);
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn running(socket: &Path) -> (mpsc::Receiver<Handover>, watch::Sender<bool>, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let socket_of_it = Arc::new(listener.try_clone().expect("a copy"));
        let (handover_server, asking) =
            HandoverServer::new(vec![Listening { name: "http", socket: socket_of_it }]);
        let (stop, stopped) = watch::channel(false);
        let listening = control::listen(socket).expect("a socket");
        tokio::spawn(serve(listening, handover_server, stopped));
        (asking, stop, listener)
    }

    fn socket() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("gateway.sock");
        (folder, path)
    }

    #[tokio::test]
    async fn descriptors_are_handed_over_in_two_steps() {
        let (_folder, path) = socket();
        assert!(Successor::connect(&path).await.expect("no error").is_none(), "no process listens");
        let (mut asking, _stop, listener) = running(&path).await;
        let mut successor = Successor::connect(&path).await.expect("no error").expect("a running process");
        let socket = successor.inherited.take("http").expect("the socket");
        assert_eq!(socket.local_addr().ok(), listener.local_addr().ok());
        assert!(successor.inherited.take("http").is_none() && asking.try_recv().is_err());
        let taking = tokio::spawn(async move {
            successor.take_over().await.expect("it yields");
            successor.ready().await;
        });
        asking.recv().await.expect("a handover").ready().await.expect("it is ready");
        taking.await.expect("it took over");
    }

    #[tokio::test]
    async fn a_failed_successor_is_detected() {
        let (_folder, path) = socket();
        let (mut asking, _stop, _listener) = running(&path).await;
        let mut successor = Successor::connect(&path).await.expect("no error").expect("a running process");
        let taking = tokio::spawn(async move { successor.take_over().await });
        let error = asking.recv().await.expect("a handover").ready().await.expect_err("it failed");
        assert!(error.message().contains("take-over") || error.message().contains("broke"), "{error}");
        taking.await.expect("it ran").expect("it had yielded");
    }

    #[tokio::test]
    async fn a_second_successor_is_refused() {
        let (_folder, path) = socket();
        let (mut asking, _stop, _listener) = running(&path).await;
        let connect = async || Successor::connect(&path).await.expect("no error").expect("a running process");
        let (mut first, mut second) = (connect().await, connect().await);
        let taking = tokio::spawn(async move { first.take_over().await });
        while asking.is_empty() {
            tokio::task::yield_now().await;
        }
        let error = second.take_over().await.expect_err("refused");
        assert!(error.message().contains("already taking over"), "{error}");
        drop(asking.recv().await.expect("a handover"));
        taking.await.expect("it ran").expect("a process that ends is no error");
    }

    #[tokio::test]
    async fn another_version_gets_a_message() {
        let (_folder, path) = socket();
        let (_asking, _stop, _listener) = running(&path).await;
        let mut stream = UnixStream::connect(&path).await.expect("a connection");
        let hello = serde_json::json!({ "ootheca": VERSION + 1, "role": { "someone": "new" } });
        send(&mut stream, &hello).await.expect("sent");
        let welcome = receive::<_, ServerHello>(&mut BufReader::new(stream)).await.expect("a line");
        let error = welcome.expect("an answer").check().expect_err("refused");
        assert!(error.message().contains("version"), "{error}");
    }
}
