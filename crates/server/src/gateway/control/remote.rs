//! The directory of a gateway process: sends requests to the server, and uses cached responses while the
//! server is not reachable.
//!
//! While the server is reachable, every request is sent to it, so no result is outdated. Otherwise cached
//! responses are used for known clusters. When the server is reachable again, all cached requests are
//! repeated and all clusters are announced as changed, so that sessions that are no longer allowed end.

use crate::gateway::control::{
    cache::DirectoryCache,
    link::{Event, Link},
    protocol::{Request, Response},
};
use async_trait::async_trait;
use ootheca_gateway::{Activity, Destination, Directory, Policy};
use ootheca_model::{ClusterId, Error, ErrorKind, Result, login::Secret};
use parking_lot::{Mutex, MutexGuard};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::UnixStream,
    sync::{broadcast, mpsc},
    task::JoinSet,
    time::timeout,
};

/// How long to wait for a response of the control plane.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for requests that can start a SQL server.
const WAKE_TIMEOUT: Duration = Duration::from_secs(40);
/// How long to wait until the socket of a SQL server accepts.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often to check whether the directory was dropped.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The number of cached requests that are repeated at the same time.
const MAX_CONCURRENT: usize = 64;

/// The directory of a control plane in another process.
pub struct RemoteDirectory {
    link: Arc<Link>,
    known: Arc<Mutex<DirectoryCache>>,
    changes: broadcast::Sender<ClusterId>,
}

impl RemoteDirectory {
    /// Connects to the control plane at `socket`, and reconnects when the connection breaks, until it is
    /// dropped.
    pub fn new(socket: PathBuf) -> Arc<Self> {
        let link = Link::new(socket, rand::random_range(1..u64::MAX));
        let (changes, _) = broadcast::channel(1024);
        // The receiver is as fast as the control plane, so the channel stays short.
        let (events, received) = mpsc::unbounded_channel();
        let known = Arc::<Mutex<DirectoryCache>>::default();
        let refresher = Refresher { link: link.clone(), known: known.clone(), changes: changes.downgrade() };
        tokio::spawn(link.clone().run(events));
        tokio::spawn(refresher.run(received));
        Arc::new(Self { link, known, changes })
    }

    /// Waits until the control plane is connected.
    pub async fn connected(&self) {
        self.link.connected().await;
    }

    /// Sends the port for SQL clients to the control plane.
    pub async fn listens_at(&self, port: u16) {
        self.link.listens_at(port).await;
    }

    fn known(&self) -> MutexGuard<'_, DirectoryCache> {
        lock(&self.known)
    }

    async fn request(&self, request: Request, limit: Duration) -> Result<Response> {
        let unavailable = match self.request_server(&request, limit).await {
            Some(Err(error)) if error.kind() == ErrorKind::Unavailable => Some(error),
            Some(response) => return response,
            None => None,
        };
        let cached = self.known().get(&request);
        match cached {
            Some(Response::Endpoint(socket)) if !accepts(&socket).await => {}
            Some(response) => return Ok(response),
            None => {}
        }
        if let Some(error) = unavailable {
            return Err(error);
        }
        // A control plane that is restarting is worth a short wait.
        let again = match self.link.back_soon().await {
            true => self.request_server(&request, limit).await,
            false => None,
        };
        again.unwrap_or_else(|| Err(self.unreachable()))
    }

    /// The response of the control plane, if there is one.
    async fn request_server(&self, request: &Request, limit: Duration) -> Option<Result<Response>> {
        let result = self.link.request(request.clone(), limit).await?;
        if let Ok(response) = &result {
            self.known().insert(request, response);
        }
        Some(result)
    }

    fn unreachable(&self) -> Error {
        let socket = self.link.socket().display();
        Error::unavailable(format!(
            "the control plane is not reachable, and the gateway has no cached response; is `ootheca serve` running? ({socket})"
        ))
    }
}

fn lock(known: &Mutex<DirectoryCache>) -> MutexGuard<'_, DirectoryCache> {
    known.lock()
}

/// Whether a server accepts connections. The file alone can be left from a server that has crashed.
async fn accepts(socket: &Path) -> bool {
    matches!(timeout(ACCEPT_TIMEOUT, UnixStream::connect(socket)).await, Ok(Ok(_)))
}

fn unexpected<T>(_: Response) -> Result<T> {
    Err(Error::internal("control socket: the response belongs to another request"))
}

#[async_trait]
impl Directory for RemoteDirectory {
    async fn resolve(&self, routing_id: &str) -> Result<Option<Destination>> {
        match self.request(Request::Resolve { routing_id: routing_id.to_owned() }, RESPONSE_TIMEOUT).await? {
            Response::Destination(found) => Ok(found),
            other => unexpected(other),
        }
    }

    async fn secret(&self, cluster: ClusterId, user: &str) -> Result<Option<Secret>> {
        match self.request(Request::Secret { cluster, user: user.to_owned() }, RESPONSE_TIMEOUT).await? {
            Response::Secret(found) => Ok(found),
            other => unexpected(other),
        }
    }

    async fn invalidate(&self, cluster: ClusterId) {
        self.known().invalidate(cluster);
        let _ = self.link.request(Request::Invalidate { cluster }, RESPONSE_TIMEOUT).await;
    }

    async fn endpoint(&self, cluster: ClusterId) -> Result<PathBuf> {
        match self.request(Request::Endpoint { cluster }, WAKE_TIMEOUT).await? {
            Response::Endpoint(found) => Ok(found),
            other => unexpected(other),
        }
    }

    async fn policy(&self, cluster: ClusterId) -> Result<Option<Policy>> {
        match self.request(Request::Policy { cluster }, RESPONSE_TIMEOUT).await? {
            Response::Policy(found) => Ok(found),
            other => unexpected(other),
        }
    }

    async fn report(&self, activities: Vec<Activity>) -> Result<()> {
        self.known().live(&activities);
        let result = self.link.request(Request::Report { activities }, RESPONSE_TIMEOUT).await;
        result.unwrap_or_else(|| Err(self.unreachable())).map(|_| ())
    }

    fn changes(&self) -> broadcast::Receiver<ClusterId> {
        self.changes.subscribe()
    }
}

/// Passes on changes, after the cached responses for them were requested again.
struct Refresher {
    link: Arc<Link>,
    known: Arc<Mutex<DirectoryCache>>,
    changes: broadcast::WeakSender<ClusterId>,
}

impl Refresher {
    /// Ends when the directory is dropped, and drops the link.
    async fn run(self, mut events: mpsc::UnboundedReceiver<Event>) {
        let mut poll = tokio::time::interval(POLL_INTERVAL);
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                _ = poll.tick() => {
                    if self.changes.strong_count() == 0 {
                        return;
                    }
                    continue;
                }
            };
            match event {
                None => return,
                Some(Event::Changed(Some(cluster))) => self.announce(vec![cluster]).await,
                Some(Event::Changed(None) | Event::Connected) => {
                    let clusters = lock(&self.known).clusters();
                    self.announce(clusters).await;
                }
            }
        }
    }

    async fn announce(&self, clusters: Vec<ClusterId>) {
        for some in clusters.chunks(MAX_CONCURRENT) {
            let mut tasks: JoinSet<()> = some.iter().map(|cluster| self.refresh(*cluster)).collect();
            while tasks.join_next().await.is_some() {}
            let Some(changes) = self.changes.upgrade() else { return };
            for cluster in some {
                // There is no receiver while no connection is open.
                let _ = changes.send(*cluster);
            }
        }
    }

    fn refresh(&self, cluster: ClusterId) -> impl Future<Output = ()> + Send + use<> {
        let (link, known) = (self.link.clone(), self.known.clone());
        async move {
            let request = Request::Policy { cluster };
            // Without a response the entry is kept: the next connection sends the request again.
            if let Some(Ok(response)) = link.request(request.clone(), RESPONSE_TIMEOUT).await {
                lock(&known).insert(&request, &response);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::control::{
        self,
        protocol::{ClientHello, NumberedRequest, ServerHello, ServerMessage, receive, send},
    };
    use tokio::{io::BufReader, net::UnixListener};

    fn id(number: u128) -> ClusterId {
        ClusterId(uuid::Uuid::from_u128(number))
    }

    fn destination(routing_id: &str) -> Option<Destination> {
        let number = routing_id.rsplit_once('-')?.1.parse().ok()?;
        Some(Destination { cluster: id(number), policy: Policy::default(), iterations: None })
    }

    /// A control plane that responds to `together` requests at a time, the last one first.
    async fn control_plane(listener: &UnixListener, together: usize) {
        let mut stream = BufReader::new(control::accept(listener).await);
        receive::<_, ClientHello>(&mut stream).await.expect("a line").expect("a handshake");
        send(stream.get_mut(), &ServerHello::new()).await.expect("sent");
        let mut responses = Vec::new();
        while let Ok(Some(NumberedRequest { id, request })) = receive(&mut stream).await {
            let response = match request {
                Request::Resolve { routing_id } => Response::Destination(destination(&routing_id)),
                Request::Policy { .. } => Response::Policy(None),
                _ => Response::Done,
            };
            responses.push(ServerMessage::Response { id, result: Ok(response) });
            while responses.len() >= together
                && let Some(message) = responses.pop()
            {
                send(stream.get_mut(), &message).await.expect("sent");
                if responses.is_empty() {
                    break;
                }
            }
        }
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        (folder, path)
    }

    #[tokio::test]
    async fn the_cache_survives_the_control_plane_and_is_refreshed_after() {
        let (_folder, path) = place();
        let listener = control::listen(&path).expect("a socket");
        let directory = RemoteDirectory::new(path.clone());
        let serving = tokio::spawn(async move { control_plane(&listener, 1).await });
        directory.connected().await;
        assert_eq!(directory.resolve("known-1").await.expect("a response"), destination("known-1"));
        serving.abort();
        let _ = serving.await;
        assert_eq!(directory.resolve("known-1").await.expect("a cached response"), destination("known-1"));
        let error = directory.resolve("unknown-2").await.expect_err("an unknown cluster");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().contains("control plane"), "{error}");
        assert!(directory.report(Vec::new()).await.is_err(), "the gateway keeps its report");
        // The new control plane reports that the cluster was deleted.
        let mut changes = directory.changes();
        let listener = control::listen(&path).expect("a socket");
        let serving = tokio::spawn(async move { control_plane(&listener, 1).await });
        assert_eq!(changes.recv().await.ok(), Some(id(1)));
        assert_eq!(directory.policy(id(1)).await.expect("a response"), None);
        serving.abort();
    }

    #[tokio::test]
    async fn requests_are_concurrent() {
        let (_folder, path) = place();
        let listener = control::listen(&path).expect("a socket");
        let directory = RemoteDirectory::new(path);
        let serving = tokio::spawn(async move { control_plane(&listener, 50).await });
        directory.connected().await;
        let mut requests = JoinSet::new();
        for number in 0..50 {
            let directory = directory.clone();
            requests.spawn(async move {
                let name = format!("cluster-{number}");
                assert_eq!(directory.resolve(&name).await.expect("a response"), destination(&name));
            });
        }
        while let Some(done) = requests.join_next().await {
            done.expect("each request got its own response");
        }
        serving.abort();
    }

    #[tokio::test]
    async fn a_socket_without_a_server_is_not_an_endpoint() {
        let (folder, _) = place();
        let path = folder.path().join("server.sock");
        let listener = control::listen(&path).expect("a socket");
        assert!(accepts(&path).await);
        drop(listener);
        assert!(path.exists() && !accepts(&path).await);
    }
}
