//! A gateway process's end of the control socket: pending requests and reconnecting.

use crate::gateway::control::protocol::{
    ClientHello, NumberedRequest, Request, Response, Role, ServerHello, ServerMessage, VERSION, broken,
    encode, receive, send,
};
use ootheca_model::{ClusterId, Error, Result};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::{UnixStream, unix::OwnedWriteHalf},
    sync::{Notify, mpsc, oneshot, watch},
    time::{Instant, sleep, timeout},
};

/// How long to wait for a control plane that restarts or is taken over.
const RESTART: Duration = Duration::from_secs(3);
/// How long to wait if the control plane has been away for longer.
const ATTEMPT: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long to wait for the handshake, and for the response to a port.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const QUEUE: usize = 1024;

/// An event of the connection to the control plane.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// The connection was established again: anything can have changed.
    Connected,
    /// This cluster changed; `None` if any cluster can have changed.
    Changed(Option<ClusterId>),
}

#[derive(Default)]
struct State {
    outgoing: Option<mpsc::Sender<NumberedRequest>>,
    waiting: HashMap<u64, oneshot::Sender<Result<Response>>>,
    next: u64,
}

/// A connection to the control plane that is established again whenever it breaks.
pub(super) struct Link {
    socket: PathBuf,
    source: u64,
    port: AtomicU16,
    /// Requests an immediate attempt to connect.
    attempt: Notify,
    state: Mutex<State>,
    /// Since when it is connected (`Ok`) or disconnected.
    connected: watch::Sender<std::result::Result<Instant, Instant>>,
}

impl Link {
    pub(super) fn new(socket: PathBuf, source: u64) -> Arc<Self> {
        Arc::new(Self {
            socket,
            source,
            port: AtomicU16::new(0),
            attempt: Notify::new(),
            state: Mutex::default(),
            connected: watch::channel(Err(Instant::now())).0,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Sends the port of the gateway, now and in every later handshake.
    pub(super) async fn listens_at(&self, port: u16) {
        self.port.store(port, Ordering::Relaxed);
        let _ = self.request(Request::Port { port }, HANDSHAKE_TIMEOUT).await;
    }

    /// Waits until it is connected.
    pub(super) async fn connected(&self) {
        // The sender is in `self`, so it is not closed.
        let _ = self.connected.subscribe().wait_for(std::result::Result::is_ok).await;
    }

    /// Whether it is connected, or connects again within the time of a restart.
    pub(super) async fn back_soon(&self) -> bool {
        let deadline = match *self.connected.borrow() {
            Ok(_) => return true,
            Err(since) => (since + RESTART).max(Instant::now() + ATTEMPT),
        };
        self.attempt.notify_one();
        tokio::time::timeout_at(deadline, self.connected()).await.is_ok()
    }

    /// Sends a request; `None` if there is no response in time.
    pub(super) async fn request(&self, request: Request, limit: Duration) -> Option<Result<Response>> {
        let (sender, receiver) = oneshot::channel();
        let (outgoing, numbered) = {
            let mut state = self.lock();
            let outgoing = state.outgoing.clone()?;
            state.next += 1;
            let id = state.next;
            state.waiting.insert(id, sender);
            (outgoing, NumberedRequest { id, request })
        };
        let id = numbered.id;
        let exchange = async {
            outgoing.send(numbered).await.ok()?;
            receiver.await.ok()
        };
        let response = timeout(limit, exchange).await;
        if response.is_err() {
            self.lock().waiting.remove(&id);
        }
        response.ok().flatten()
    }

    /// Connects repeatedly and passes on events until the receiver is dropped.
    pub(super) async fn run(self: Arc<Self>, events: mpsc::UnboundedSender<Event>) {
        let (mut pause, mut said) = (FIRST_PAUSE, false);
        while !events.is_closed() {
            match self.connect().await {
                Ok(stream) => {
                    tracing::info!("connected to the control plane");
                    let ended = self.serve_connection(stream, &events).await;
                    self.close();
                    let error = ended.err().map(|error| error.chain());
                    tracing::warn!(error, "connection to the control plane lost; serving known clusters");
                    (pause, said) = (FIRST_PAUSE, false);
                }
                // Most often the control plane restarts, so the first failed attempts are not logged.
                Err(error) if pause >= LONGEST_PAUSE && !said => {
                    let socket = self.socket.display();
                    tracing::warn!(%socket, error = error.chain(), "control plane not reachable");
                    said = true;
                }
                Err(_) => {}
            }
            sleep(FIRST_PAUSE).await;
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = self.attempt.notified() => {}
            }
        }
    }

    async fn connect(&self) -> Result<BufReader<UnixStream>> {
        let handshake = async {
            let stream = UnixStream::connect(&self.socket).await.map_err(broken)?;
            let mut stream = BufReader::new(stream);
            let role = Role::Gateway { source: self.source, port: self.port.load(Ordering::Relaxed) };
            send(stream.get_mut(), &ClientHello { ootheca: VERSION, role }).await?;
            match receive::<_, ServerHello>(&mut stream).await? {
                Some(hello) => hello.check().map(|_| stream),
                None => Err(Error::unavailable("control socket: the other process closed the connection")),
            }
        };
        let late = |_| Error::unavailable("control socket: the other process does not respond");
        timeout(HANDSHAKE_TIMEOUT, handshake).await.map_err(late)?
    }

    async fn serve_connection(
        &self,
        stream: BufReader<UnixStream>,
        events: &mpsc::UnboundedSender<Event>,
    ) -> Result<()> {
        let (reader, writer) = stream.into_inner().into_split();
        let (outgoing, requests) = mpsc::channel(QUEUE);
        self.lock().outgoing = Some(outgoing);
        let _ = self.connected.send_replace(Ok(Instant::now()));
        let _ = events.send(Event::Connected);
        let mut reader = BufReader::new(reader);
        let read = async {
            while let Some(message) = receive::<_, ServerMessage>(&mut reader).await? {
                match message {
                    ServerMessage::Changed(cluster) => {
                        let _ = events.send(Event::Changed(cluster));
                    }
                    ServerMessage::Response { id, result } => {
                        let waiting = self.lock().waiting.remove(&id);
                        if let Some(waiting) = waiting {
                            let _ = waiting.send(result.map_err(Error::from));
                        }
                    }
                }
            }
            Ok(())
        };
        tokio::select! {
            result = read => result,
            result = write_requests(writer, requests) => result,
        }
    }

    fn close(&self) {
        let mut state = self.lock();
        state.outgoing = None;
        state.waiting.clear();
        let _ = self.connected.send_replace(Err(Instant::now()));
    }

    /// The path of the control plane's socket.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }
}

async fn write_requests(
    mut writer: OwnedWriteHalf,
    mut requests: mpsc::Receiver<NumberedRequest>,
) -> Result<()> {
    while let Some(request) = requests.recv().await {
        writer.write_all(&encode(&request)?).await.map_err(broken)?;
    }
    Ok(())
}
