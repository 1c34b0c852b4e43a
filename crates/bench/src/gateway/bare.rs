//! The lower bound: a relay on one thread that copies bytes between TLS on TCP and the socket of the SQL
//! server. It has no login, routing, or limits.

use ootheca_pg_protocol::startup::SSL_REQUEST;
use rustix::{
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    fd::OwnedFd,
};
use rustls::{
    ServerConfig, ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::{
    io::{BufRead as _, ErrorKind, Read as _, Result, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    thread,
};

/// Starts a relay with the certificate of the gateway and returns its port. It ends with the process.
pub(super) fn start(certificates: &Path, socket_folder: &str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("a free port").port();
    let socket = Path::new(socket_folder).join(".s.PGSQL.5432");
    let chain = CertificateDer::pem_file_iter(certificates.join("server.pem")).expect("a certificate");
    let chain = chain.collect::<std::result::Result<Vec<_>, _>>().expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(certificates.join("server-key.pem")).expect("a key");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    let config = Arc::new(config.expect("a certificate and its key"));
    thread::spawn(move || relay(&listener, &config, &socket));
    port
}

struct Pair {
    client: TcpStream,
    tls: ServerConnection,
    server: UnixStream,
}

fn relay(listener: &TcpListener, config: &Arc<ServerConfig>, socket: &Path) {
    let epoll = epoll::create(CreateFlags::CLOEXEC).expect("epoll");
    watch(&epoll, listener, 0);
    let mut pairs: Vec<Option<Pair>> = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        if epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None).is_err() {
            continue;
        }
        for event in &events {
            let name = event.data.u64();
            let Some(place) = name.checked_sub(1) else {
                if let Ok(pair) = accept(listener, config, socket) {
                    let place = pairs.len() as u64;
                    watch(&epoll, &pair.client, 2 * place + 1);
                    watch(&epoll, &pair.server, 2 * place + 2);
                    pairs.push(Some(pair));
                }
                continue;
            };
            let (place, from_client) = ((place / 2) as usize, place % 2 == 0);
            let Some(pair) = &mut pairs[place] else { continue };
            if !(if from_client { pair.up() } else { pair.down(&mut buffer) })
                .unwrap_or_else(|error| waits(&error))
            {
                pairs[place] = None;
            }
        }
    }
}

fn waits(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}

fn watch(epoll: &OwnedFd, source: impl rustix::fd::AsFd, name: u64) {
    epoll::add(epoll, source, EventData::new_u64(name), EventFlags::IN).expect("epoll");
}

/// Accepts the request for TLS and does the handshake.
fn accept(listener: &TcpListener, config: &Arc<ServerConfig>, socket: &Path) -> Result<Pair> {
    let (mut client, _) = listener.accept()?;
    client.set_nodelay(true)?;
    client.read_exact(&mut [0; SSL_REQUEST.len()])?;
    client.write_all(b"S")?;
    let mut tls = ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut client)?;
    }
    while tls.wants_write() {
        tls.write_tls(&mut client)?;
    }
    let server = UnixStream::connect(socket)?;
    client.set_nonblocking(true)?;
    server.set_nonblocking(true)?;
    let mut pair = Pair { client, tls, server };
    // Bytes that arrived with the end of the handshake.
    pair.pass_on()?;
    Ok(pair)
}

/// Both copy the available bytes, and return false when their side has ended. `pgbench` waits for each
/// response, so the buffers of the sockets are never full.
impl Pair {
    fn up(&mut self) -> Result<bool> {
        if self.tls.read_tls(&mut self.client)? == 0 {
            return Ok(false);
        }
        self.tls.process_new_packets().map_err(std::io::Error::other)?;
        self.pass_on()
    }

    fn pass_on(&mut self) -> Result<bool> {
        let mut reader = self.tls.reader();
        let bytes = match reader.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) => return if waits(&error) { Ok(true) } else { Err(error) },
        };
        self.server.write_all(bytes)?;
        let count = bytes.len();
        reader.consume(count);
        Ok(count > 0)
    }

    fn down(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let count = self.server.read(buffer)?;
        self.tls.writer().write_all(&buffer[..count])?;
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.client)?;
        }
        Ok(count > 0)
    }
}
