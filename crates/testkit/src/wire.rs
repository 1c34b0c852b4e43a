//! A client that sends and receives single messages of the PostgreSQL protocol.

use ootheca_pg_protocol::{
    backend::{
        self, AUTHENTICATION, AuthenticationRequest, BACKEND_KEY_DATA, DATA_ROW, ERROR_RESPONSE,
        READY_FOR_QUERY,
    },
    frontend::{put_query, sasl_initial_response, sasl_response},
    message::{self, HEADER_LENGTH, Header},
    scram::{ChannelBinding, PasswordExchange, SCRAM_SHA_256, SCRAM_SHA_256_PLUS},
    startup::{SSL_REQUEST, StartupMessage},
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

/// The time that the server has to answer.
const LIMIT: Duration = Duration::from_secs(60);

/// The parameters of a connection.
#[derive(Clone)]
pub struct Wire {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    server_name: String,
    parameters: Vec<(String, String)>,
    password: String,
    binding: bool,
}

/// A message from the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The type byte.
    pub tag: u8,
    /// What follows the header.
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
        String::from_utf8_lossy(backend::field(&self.body, kind).unwrap_or_default()).into_owned()
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

    /// Sets the TLS server name.
    #[must_use]
    pub fn server_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.server_name);
        self
    }

    /// Sets a startup parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.parameters.retain(|(known, _)| known != name);
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        password.clone_into(&mut self.password);
        self
    }

    /// Uses channel binding.
    #[must_use]
    pub fn binding(mut self) -> Self {
        self.binding = true;
        self
    }

    /// A TCP connection.
    pub fn tcp(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(stream)
    }

    /// A connection with TLS, before any startup message.
    pub fn tls(&self) -> io::Result<Conversation> {
        let mut stream = self.tcp()?;
        stream.write_all(&SSL_REQUEST)?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        if answer != *b"S" {
            return Err(io::Error::other("no TLS"));
        }
        self.secured(stream, &[])
    }

    /// A connection that starts TLS without a request, with these ALPN protocols.
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

    /// Opens a session, or returns the ErrorResponse.
    pub fn connect(&self) -> Login {
        self.login(self.tls()?)
    }

    /// Logs in over a connection.
    pub fn login(&self, mut conversation: Conversation) -> Login {
        Ok(self.authenticate_over(&mut conversation)?.map(|()| conversation))
    }

    /// Logs in over a connection, which stays open if the login is refused.
    pub fn authenticate_over(&self, conversation: &mut Conversation) -> io::Result<Result<(), Message>> {
        self.start(conversation)?;
        let mut scram = None;
        loop {
            let message = conversation.read()?;
            match message.tag {
                ERROR_RESPONSE => return Ok(Err(message)),
                AUTHENTICATION => self.authenticate(conversation, &message.body, &mut scram)?,
                BACKEND_KEY_DATA => conversation.key = message.body,
                READY_FOR_QUERY => return Ok(Ok(())),
                _ => {}
            }
        }
    }

    /// Sends the startup message.
    pub fn start(&self, conversation: &mut Conversation) -> io::Result<()> {
        conversation.startup(&self.parameters)
    }

    fn authenticate(
        &self,
        conversation: &mut Conversation,
        body: &[u8],
        scram: &mut Option<PasswordExchange>,
    ) -> io::Result<()> {
        let request = AuthenticationRequest::parse(body).ok_or(io::ErrorKind::InvalidData)?;
        match (request, scram.as_mut()) {
            (AuthenticationRequest::Ok, _) => Ok(()),
            (AuthenticationRequest::Sasl(offered), _) => {
                let binding = match self.binding {
                    true => ChannelBinding::tls_server_end_point(conversation.certificate_hash()),
                    false => ChannelBinding::unsupported(),
                };
                let mechanism = if self.binding { SCRAM_SHA_256_PLUS } else { SCRAM_SHA_256 };
                if !offered.split(|byte| *byte == 0).any(|offered| offered == mechanism.as_bytes()) {
                    return Err(io::Error::other(format!("{mechanism} is not offered")));
                }
                let new = PasswordExchange::new(self.password.as_bytes(), binding);
                let first = sasl_initial_response(mechanism, new.message());
                *scram = Some(new);
                conversation.raw(&sasl_response(&first))
            }
            (AuthenticationRequest::SaslContinue(challenge), Some(scram)) => {
                scram.update(challenge)?;
                conversation.raw(&sasl_response(scram.message()))
            }
            (AuthenticationRequest::SaslFinal(last), Some(scram)) => scram.finish(last),
            (other, _) => Err(io::Error::other(format!("unexpected authentication request: {other:?}"))),
        }
    }
}

/// A connection with TLS.
pub struct Conversation {
    /// The body of BackendKeyData, after login.
    pub key: Vec<u8>,
    stream: StreamOwned<ClientConnection, TcpStream>,
}

/// A session, or the ErrorResponse that refused it. The outer error means that the connection failed.
pub type Login = io::Result<Result<Conversation, Message>>;

impl Conversation {
    /// Sends a startup message.
    pub fn startup(&mut self, parameters: &[(String, String)]) -> io::Result<()> {
        let parameters = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.raw(&StartupMessage::new(parameters).map_err(io::Error::other)?.encode())
    }

    /// The TCP connection.
    pub fn socket(&self) -> &TcpStream {
        &self.stream.sock
    }

    pub fn send(&mut self, tag: u8, body: &[u8]) -> io::Result<()> {
        self.raw(&message::encode(tag, body))
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Reads the next message.
    pub fn read(&mut self) -> io::Result<Message> {
        let mut header = [0; HEADER_LENGTH];
        self.stream.read_exact(&mut header)?;
        let Header { kind, body_length } = Header::parse(header, usize::MAX).map_err(io::Error::other)?;
        let mut body = vec![0; body_length];
        self.stream.read_exact(&mut body)?;
        Ok(Message { tag: kind, body })
    }

    /// Reads messages up to and including ReadyForQuery or a fatal error.
    pub fn answer(&mut self) -> io::Result<Vec<Message>> {
        let mut messages = Vec::new();
        loop {
            let message = self.read()?;
            let fatal = message.tag == ERROR_RESPONSE && message.field(b'S') == "FATAL";
            let last = fatal || message.tag == READY_FOR_QUERY;
            messages.push(message);
            if last {
                return Ok(messages);
            }
        }
    }

    /// Announces that this client sends nothing more.
    pub fn close_notify(&mut self) -> io::Result<()> {
        self.stream.conn.send_close_notify();
        self.stream.flush()
    }

    /// Reads to the end of the connection. Fails if it ends without close_notify.
    pub fn end(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// Runs a simple query. Returns the messages of its response.
    pub fn query(&mut self, sql: &str) -> io::Result<Vec<Message>> {
        let mut query = Vec::new();
        put_query(&mut query, sql).map_err(io::Error::other)?;
        self.raw(&query)?;
        self.answer()
    }

    /// Returns the first column of the first row of a query.
    pub fn value(&mut self, sql: &str) -> Option<String> {
        let messages = self.query(sql).ok()?;
        let row = messages.into_iter().find(|message| message.tag == DATA_ROW)?;
        String::from_utf8(backend::row_values(&row.body).next()??.to_vec()).ok()
    }

    /// The channel binding of the server's certificate, which is signed with SHA-256. Independent of the
    /// gateway's code, which it tests.
    fn certificate_hash(&self) -> Vec<u8> {
        let certificates = self.stream.conn.peer_certificates().unwrap_or_default();
        certificates.first().map(|certificate| Sha256::digest(certificate).to_vec()).unwrap_or_default()
    }
}
