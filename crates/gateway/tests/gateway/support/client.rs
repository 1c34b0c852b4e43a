//! Clients: psql, a driver, and single messages.

use super::{PASSWORD, USER, program};
use ootheca_pg_protocol::{
    backend::{AUTHENTICATION, AuthenticationRequest, ERROR_RESPONSE, READY_FOR_QUERY},
    frontend::{sasl_initial_response, sasl_response},
    message::{self, HEADER_LENGTH, Header},
    scram::{ChannelBinding, PasswordExchange, SCRAM_SHA_256, SCRAM_SHA_256_PLUS},
    startup::{SSL_REQUEST, StartupMessage},
};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    time_provider::{DefaultTimeProvider, TimeProvider},
};
use std::{io, net::SocketAddr, path::PathBuf, process::Stdio, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};
use tokio_postgres::{Client, Config, NoTls, config::SslMode};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Sends bytes. A TLS connection keeps what its socket does not accept immediately until it is flushed.
pub(crate) async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    stream.write_all(bytes).await.expect("sent");
    stream.flush().await.expect("sent");
}

/// A call of psql with connection parameters.
pub(crate) struct Psql {
    parameters: Vec<(String, String)>,
    password: String,
}

impl Psql {
    pub(crate) fn new(address: SocketAddr, ca: PathBuf) -> Self {
        let port = address.port().to_string();
        let ca = ca.display().to_string();
        let new = Self { parameters: Vec::new(), password: PASSWORD.into() };
        new.with("host", "localhost")
            .with("hostaddr", &address.ip().to_string())
            .with("port", &port)
            .with("user", USER)
            .with("dbname", "defaultdb")
            .with("sslmode", "verify-full")
            .with("sslrootcert", &ca)
            .with("connect_timeout", "20")
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.parameters.retain(|(key, _)| key != name);
        self.parameters.push((name.into(), value.into()));
        self
    }

    pub(crate) fn cluster(self, routing_id: &str) -> Self {
        self.with("options", &format!("--cluster={routing_id}"))
    }

    pub(crate) fn password(mut self, password: &str) -> Self {
        self.password = password.into();
        self
    }

    pub(crate) fn command(&self) -> Command {
        let quote = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
        let pairs = self.parameters.iter().map(|(name, value)| format!("{name}='{}'", quote(value)));
        let mut command = Command::new(program("psql"));
        command.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &pairs.collect::<Vec<_>>().join(" ")]);
        command.env("PGPASSWORD", &self.password).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command. Returns its output, or the error.
    pub(crate) async fn run(&self, text: &str) -> Result<String, String> {
        let output = self.command().args(["-c", text]).output().await.expect("psql");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// The error of a call that must fail to connect.
    pub(crate) async fn fails(&self) -> String {
        self.run("SELECT 1").await.expect_err("refused")
    }
}

/// Connections without psql.
pub(crate) struct Raw {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Raw {
    pub(crate) fn new(address: SocketAddr, ca: &str) -> Self {
        Self::at(address, ca, Arc::new(DefaultTimeProvider))
    }

    /// A client with its own clock.
    pub(crate) fn at(address: SocketAddr, ca: &str, clock: Arc<dyn TimeProvider>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("a certificate")).expect("a root");
        let config = ClientConfig::builder_with_details(Arc::new(aws_lc_rs::default_provider()), clock);
        let config = config.with_safe_default_protocol_versions().expect("versions");
        Self { address, config: Arc::new(config.with_root_certificates(roots).with_no_client_auth()) }
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    /// Requests TLS.
    pub(crate) async fn tls(&self, server_name: &'static str) -> TlsStream<TcpStream> {
        let stream = self.tcp().await;
        self.tls_over(stream, server_name).await
    }

    /// The same, or why the client refuses the certificate.
    pub(crate) async fn try_tls(&self, server_name: &'static str) -> io::Result<TlsStream<TcpStream>> {
        let mut stream = self.tcp().await;
        stream.write_all(&SSL_REQUEST).await?;
        assert_eq!(stream.read_u8().await?, b'S');
        // A client that resumes a TLS session doesn't look at the certificate.
        let mut config = (*self.config).clone();
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(server_name).expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Requests TLS on an open connection.
    pub(crate) async fn tls_over(
        &self,
        mut stream: TcpStream,
        server_name: &'static str,
    ) -> TlsStream<TcpStream> {
        send(&mut stream, &SSL_REQUEST).await;
        assert_eq!(stream.read_u8().await.expect("an answer"), b'S');
        let name = ServerName::try_from(server_name).expect("a name");
        TlsConnector::from(self.config.clone()).connect(name, stream).await.expect("TLS")
    }

    /// Starts TLS without a request.
    pub(crate) async fn direct(&self, alpn: &[&str]) -> io::Result<TlsStream<TcpStream>> {
        let mut config = (*self.config).clone();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(self.address).await?).await
    }

    /// A session through the gateway.
    pub(crate) async fn session(&self) -> Client {
        self.session_of(|_| ()).await.expect("a session")
    }

    /// A session with other parameters.
    pub(crate) async fn session_of(
        &self,
        change: impl FnOnce(&mut Config),
    ) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config.user(USER).password(PASSWORD).dbname("defaultdb").options("--cluster=shop-12");
        config.ssl_mode(SslMode::Disable);
        change(&mut config);
        let stream = self.tls("localhost").await;
        let (client, connection) = config.connect_raw(stream, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// A PROXY header with this source.
pub(crate) fn proxy_header(source: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend([&source[..], &[127, 0, 0, 1], &[0x11, 0x11, 0x22, 0x22]].concat());
    header
}

/// Encodes a startup message.
pub(crate) fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    StartupMessage::new(parameters.iter().copied()).expect("valid parameters").encode()
}

/// Authenticates with a password. Returns all messages after authentication, up to ReadyForQuery or an
/// error.
pub(crate) async fn log_in(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), password: &str) -> Vec<u8> {
    let exchange = PasswordExchange::new(password.as_bytes(), ChannelBinding::unsupported());
    authenticate(stream, SCRAM_SHA_256, exchange).await
}

/// The same, bound to the hash of a certificate.
pub(crate) async fn log_in_bound(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    password: &str,
    hash: Vec<u8>,
) -> Vec<u8> {
    let binding = ChannelBinding::tls_server_end_point(hash);
    authenticate(stream, SCRAM_SHA_256_PLUS, PasswordExchange::new(password.as_bytes(), binding)).await
}

async fn authenticate(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    mechanism: &str,
    mut exchange: PasswordExchange,
) -> Vec<u8> {
    let mut received = Vec::new();
    loop {
        let (kind, body) = read_message(stream).await;
        match AuthenticationRequest::parse(&body).filter(|_| kind == AUTHENTICATION) {
            Some(AuthenticationRequest::Sasl(_)) => {
                respond(stream, &sasl_initial_response(mechanism, exchange.message())).await;
            }
            Some(AuthenticationRequest::SaslContinue(challenge)) => {
                exchange.update(challenge).expect("a valid challenge");
                respond(stream, exchange.message()).await;
            }
            Some(AuthenticationRequest::SaslFinal(last)) => {
                exchange.finish(last).expect("the signature of the server");
            }
            _ => message::put(&mut received, kind, &body),
        }
        if matches!(kind, READY_FOR_QUERY | ERROR_RESPONSE) {
            return received;
        }
    }
}

async fn respond(stream: &mut (impl AsyncWrite + Unpin), body: &[u8]) {
    send(stream, &sasl_response(body)).await;
}

/// Reads a message: its type and its body.
pub(crate) async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> (u8, Vec<u8>) {
    let mut header = [0; HEADER_LENGTH];
    stream.read_exact(&mut header).await.expect("a message");
    let Header { kind, body_length } = Header::parse(header, usize::MAX).expect("a valid header");
    let mut body = vec![0; body_length];
    stream.read_exact(&mut body).await.expect("a whole message");
    (kind, body)
}

/// Reads to the end of the stream.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("a clean end");
    String::from_utf8_lossy(&bytes).into_owned()
}
