//! The PostgreSQL protocol, spoken message by message: for what no driver does.

use postgres_protocol::authentication::sasl::{
    ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use sha2::{Digest as _, Sha256};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

/// Longest that an answer may take.
const LIMIT: Duration = Duration::from_secs(60);
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// How to connect.
#[derive(Clone)]
pub struct Wire {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    server_name: String,
    parameters: Vec<(String, String)>,
    password: String,
    binding: bool,
}

/// A message of the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its kind.
    pub tag: u8,
    /// What follows the length.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", char::from(self.tag), String::from_utf8_lossy(&self.body))
    }
}

impl Message {
    /// A field of an ErrorResponse, such as `b'C'` for its SQLSTATE.
    pub fn field(&self, kind: u8) -> String {
        let fields = self.body.split(|byte| *byte == 0);
        let found = fields.filter(|field| field.first() == Some(&kind)).map(|field| &field[1..]).next();
        String::from_utf8_lossy(found.unwrap_or_default()).into_owned()
    }
}

impl Wire {
    /// A client of the gateway at `address` that trusts this certificate (PEM).
    pub fn new(address: SocketAddr, authority: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(authority.as_bytes()).expect("a certificate"))
            .expect("a root");
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("versions");
        let tls = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let (server_name, password) = ("localhost".to_owned(), String::new());
        Self { address, tls, server_name, parameters: Vec::new(), password, binding: false }
    }

    /// The name in TLS.
    #[must_use]
    pub fn server_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.server_name);
        self
    }

    /// A startup parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.parameters.retain(|(known, _)| known != name);
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        password.clone_into(&mut self.password);
        self
    }

    /// Binds the proof to the TLS connection.
    #[must_use]
    pub fn binding(mut self) -> Self {
        self.binding = true;
        self
    }

    /// A bare connection.
    pub fn tcp(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(stream)
    }

    /// A connection with TLS, before any startup message.
    pub fn tls(&self) -> io::Result<Conversation> {
        let mut stream = self.tcp()?;
        stream.write_all(&TLS_REQUEST)?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        if answer != *b"S" {
            return Err(io::Error::other("no TLS"));
        }
        self.secured(stream, &[])
    }

    /// A connection that begins with TLS, naming these protocols.
    pub fn direct(&self, protocols: &[&str]) -> io::Result<Conversation> {
        self.secured(self.tcp()?, protocols)
    }

    fn secured(&self, stream: TcpStream, protocols: &[&str]) -> io::Result<Conversation> {
        let mut config = (*self.tls).clone();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(self.server_name.clone()).map_err(io::Error::other)?;
        let tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(tls, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Conversation { key: Vec::new(), stream })
    }

    /// A session, or the refusal.
    pub fn connect(&self) -> io::Result<Result<Conversation, Message>> {
        self.login(self.tls()?)
    }

    /// Logs in over a connection.
    pub fn login(&self, mut conversation: Conversation) -> io::Result<Result<Conversation, Message>> {
        conversation.startup(&self.parameters)?;
        let mut scram = None;
        loop {
            let message = conversation.read()?;
            match message.tag {
                b'E' => return Ok(Err(message)),
                b'R' => self.authenticate(&mut conversation, &message.body, &mut scram)?,
                b'K' => conversation.key = message.body,
                b'Z' => return Ok(Ok(conversation)),
                _ => {}
            }
        }
    }

    fn authenticate(
        &self,
        conversation: &mut Conversation,
        body: &[u8],
        scram: &mut Option<ScramSha256>,
    ) -> io::Result<()> {
        let (kind, data) = body.split_first_chunk::<4>().ok_or(io::ErrorKind::InvalidData)?;
        match (u32::from_be_bytes(*kind), scram.as_mut()) {
            (0, _) => Ok(()),
            (10, _) => {
                let binding = match self.binding {
                    true => ChannelBinding::tls_server_end_point(conversation.certificate_hash()),
                    false => ChannelBinding::unsupported(),
                };
                let mechanism = if self.binding { SCRAM_SHA_256_PLUS } else { SCRAM_SHA_256 };
                if !data.split(|byte| *byte == 0).any(|offered| offered == mechanism.as_bytes()) {
                    return Err(io::Error::other(format!("{mechanism} is not offered")));
                }
                let new = ScramSha256::new(self.password.as_bytes(), binding);
                let length = u32::try_from(new.message().len()).unwrap_or_default().to_be_bytes();
                let first = [mechanism.as_bytes(), &[0], &length, new.message()].concat();
                *scram = Some(new);
                conversation.send(b'p', &first)
            }
            (11, Some(scram)) => {
                scram.update(data)?;
                conversation.send(b'p', scram.message())
            }
            (12, Some(scram)) => scram.finish(data),
            (other, _) => Err(io::Error::other(format!("authentication request {other}"))),
        }
    }
}

/// A connection with TLS.
pub struct Conversation {
    /// Process id and secret for cancel requests, once logged in.
    pub key: Vec<u8>,
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Conversation {
    /// Sends a startup message.
    pub fn startup(&mut self, parameters: &[(String, String)]) -> io::Result<()> {
        let mut body = vec![0, 3, 0, 0];
        for (name, value) in parameters {
            body.extend([name.as_bytes(), &[0], value.as_bytes(), &[0]].concat());
        }
        body.push(0);
        let length = u32::try_from(body.len() + 4).unwrap_or_default().to_be_bytes();
        self.raw(&[&length, body.as_slice()].concat())
    }

    /// The connection below.
    pub fn socket(&self) -> &TcpStream {
        &self.stream.sock
    }

    /// Sends a message.
    pub fn send(&mut self, tag: u8, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 4).unwrap_or_default().to_be_bytes();
        self.raw(&[&[tag], &length[..], body].concat())
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// The next message.
    pub fn read(&mut self) -> io::Result<Message> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length.saturating_sub(4)];
        self.stream.read_exact(&mut body)?;
        Ok(Message { tag: head[0], body })
    }

    /// Messages up to ReadyForQuery, or up to a fatal error, which is the last one then.
    pub fn answer(&mut self) -> io::Result<Vec<Message>> {
        let mut messages = Vec::new();
        loop {
            let message = self.read()?;
            let last = message.tag == b'Z' || (message.tag == b'E' && message.field(b'S') == "FATAL");
            messages.push(message);
            if last {
                return Ok(messages);
            }
        }
    }

    /// Runs a simple query; the messages of its answer.
    pub fn query(&mut self, sql: &str) -> io::Result<Vec<Message>> {
        self.send(b'Q', &[sql.as_bytes(), &[0]].concat())?;
        self.answer()
    }

    /// The first column of the first row of a query.
    pub fn value(&mut self, sql: &str) -> Option<String> {
        let messages = self.query(sql).ok()?;
        let row = messages.into_iter().find(|message| message.tag == b'D')?;
        let length = u32::from_be_bytes(row.body.get(2..6)?.try_into().ok()?) as usize;
        String::from_utf8(row.body.get(6..6 + length)?.to_vec()).ok()
    }

    /// What a certificate is bound by: the hash of it.
    fn certificate_hash(&self) -> Vec<u8> {
        let certificates = self.stream.conn.peer_certificates().unwrap_or_default();
        certificates.first().map(|certificate| Sha256::digest(certificate).to_vec()).unwrap_or_default()
    }
}
