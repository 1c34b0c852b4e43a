//! A proxy in front of an S3 server, which does to requests what a test asks for.

use crate::backups::bucket;
use ootheca_testkit::{Engine, ServerBuilder, s3::S3Server};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{self, JoinHandle},
    time::Duration,
};

/// What the proxy does to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Passes them on.
    None,
    /// Passes them on after this time.
    Delay(Duration),
    /// Responds with this status to what would store an object.
    Refuse(u16),
    /// Stores only the first half of an object whose path contains this, and reports success.
    Truncate(&'static str),
    /// Stores an object whose path contains this with another byte in the middle, and reports success.
    Flip(&'static str),
    /// Passes requests for an object whose path contains this on when there is another fault.
    Hold(&'static str),
}

impl Fault {
    fn affects(self, request: &Request) -> bool {
        match self {
            Self::None => false,
            Self::Delay(_) => true,
            Self::Refuse(_) => matches!(request.method.as_str(), "PUT" | "POST"),
            Self::Truncate(part) | Self::Flip(part) => request.method == "PUT" && request.path.contains(part),
            Self::Hold(part) => request.path.contains(part),
        }
    }
}

/// An S3 server behind a proxy. It must outlive the servers that use it.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
    _bucket: S3Server,
}

struct Shared {
    /// The address of the S3 server.
    server: String,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    fault: Fault,
    /// The number of requests that the fault has affected.
    affected: usize,
    closed: bool,
}

impl Proxy {
    pub(crate) fn start() -> Self {
        let bucket = S3Server::start();
        let server = bucket.endpoint().trim_start_matches("http://").to_owned();
        let state = Mutex::new(State { fault: Fault::None, affected: 0, closed: false });
        let shared = Arc::new(Shared { server, state, changed: Condvar::new() });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let accepting = Some(thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        }));
        Self { shared, address, accepting, _bucket: bucket }
    }

    /// A server that takes backups, with the test clock, whose repository is behind the proxy.
    pub(crate) fn builder(&self, engine: Engine) -> ServerBuilder {
        bucket::builder(&format!("http://{}", self.address), engine)
    }

    /// Replaces the fault.
    pub(crate) fn set(&self, fault: Fault) {
        let mut state = self.shared.lock();
        (state.fault, state.affected) = (fault, 0);
        self.shared.changed.notify_all();
    }

    /// The number of requests that the fault has affected.
    pub(crate) fn affected(&self) -> usize {
        self.shared.lock().affected
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        // Lets `accept` notice it.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// The fault that affects a request. Waits while it is held.
    fn fault_of(&self, request: &Request) -> Fault {
        let mut state = self.lock();
        let mut is_counted = false;
        loop {
            let fault = state.fault;
            if !fault.affects(request) {
                return Fault::None;
            }
            if !is_counted {
                state.affected += 1;
                is_counted = true;
            }
            if state.closed || !matches!(fault, Fault::Hold(_)) {
                return fault;
            }
            state = self.changed.wait(state).expect("no panic");
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.lock().closed {
            return;
        }
        let (Ok(client), shared) = (client, shared.clone()) else { continue };
        thread::spawn(move || {
            // A client that is gone, or a server that stops, ends the connection.
            let _ = serve(client, &shared);
        });
    }
}

/// Passes on one request, and closes the connection.
fn serve(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    let Some(mut request) = Request::read(client.try_clone()?)? else { return Ok(()) };
    match shared.fault_of(&request) {
        Fault::None | Fault::Hold(_) => {}
        Fault::Delay(time) => thread::sleep(time),
        Fault::Refuse(status) => {
            let head = format!("HTTP/1.1 {status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            return client.write_all(head.as_bytes());
        }
        Fault::Truncate(_) => request.body.truncate(request.body.len() / 2),
        Fault::Flip(_) => {
            let middle = request.body.len() / 2;
            request.body.get_mut(middle).into_iter().for_each(|byte| *byte ^= 1);
        }
    }
    client.write_all(&request.send(&shared.server)?)
}

/// A request with the whole body.
struct Request {
    method: String,
    path: String,
    /// The header lines that are passed on.
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Request {
    /// Reads a request; `None` if there is none.
    fn read(client: TcpStream) -> io::Result<Option<Self>> {
        let mut reader = BufReader::new(client);
        let first = read_line(&mut reader)?;
        let mut words = first.split(' ').map(str::to_owned);
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
        let (mut headers, mut length) = (Vec::new(), 0);
        loop {
            let line = read_line(&mut reader)?;
            let Some((name, value)) = line.split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
                "connection" => {}
                _ => headers.push(line),
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Some(Self { method, path, headers, body }))
    }

    /// Sends the request to a server. Returns its whole response.
    fn send(&self, server: &str) -> io::Result<Vec<u8>> {
        let Self { method, path, headers, body } = self;
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        for line in headers {
            head.push_str(&format!("{line}\r\n"));
        }
        head.push_str(&format!("Connection: close\r\nContent-Length: {}\r\n\r\n", body.len()));
        let mut stream = TcpStream::connect(server)?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        // After the first line, so that the client does not use the connection again.
        let first = answer.iter().position(|byte| *byte == b'\n').map_or(answer.len(), |end| end + 1);
        let rest = answer.split_off(first);
        answer.extend_from_slice(b"Connection: close\r\n");
        answer.extend(rest);
        Ok(answer)
    }
}

/// Reads a line without its end.
fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    line.truncate(line.trim_end().len());
    Ok(line)
}
