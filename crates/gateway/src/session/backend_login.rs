//! Login at a cluster's server, as a user whose client key is known.

use crate::{
    backend::{BackendSession, ParameterStatuses},
    pool::PoolKey,
    registry::cancel::CancelTarget,
};
use ootheca_pg_protocol::{
    ProtocolViolation,
    backend::{
        AUTHENTICATION, AuthenticationRequest, BACKEND_KEY_DATA, ERROR_RESPONSE, NOTICE_RESPONSE,
        PARAMETER_STATUS, READY_FOR_QUERY, SQLSTATE, field,
    },
    frontend::sasl_response,
    message::{self, Frame, HEADER_LENGTH},
    scram::{Digest, KeyExchange, Verifier},
    startup::CancelKey,
};
use std::{io, path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::{Instant, sleep, timeout},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_RETRY: Duration = Duration::from_millis(5);
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);
/// The maximum number of bytes before the server is ready.
const MAX_LENGTH: usize = 32 * 1024;

/// Why the login failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendLoginError {
    /// The server does not answer, or closes the connection.
    #[error(transparent)]
    Unreachable(#[from] io::Error),
    /// The server rejects the login.
    #[error("the server rejects the login")]
    Rejected {
        /// The ErrorResponse, for the client.
        message: Vec<u8>,
        sqlstate: Vec<u8>,
    },
    /// The server violates the protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolViolation),
    /// The server has a different verifier.
    #[error("the server's signature does not match the verifier")]
    WrongSignature,
}

/// Logs in.
pub(crate) async fn log_in(key: &PoolKey, verifier: &Verifier) -> Result<BackendSession, BackendLoginError> {
    let timed_out = || io::Error::from(io::ErrorKind::TimedOut);
    let connected = timeout(CONNECT_TIMEOUT, connect(&key.socket)).await;
    let mut stream = connected.unwrap_or_else(|_| Err(timed_out()))?;
    stream.write_all(&key.startup).await?;
    let connection = Connection { stream, bytes: Vec::with_capacity(2048), read: 0 };
    let login = authenticate(connection, key, verifier);
    timeout(LOGIN_TIMEOUT, login).await.unwrap_or_else(|_| Err(timed_out().into()))
}

/// Connects, and retries while the server's queue is full.
async fn connect(socket: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(socket).await {
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => sleep(CONNECT_RETRY).await,
            connected => return connected,
        }
    }
}

struct Connection {
    stream: UnixStream,
    bytes: Vec<u8>,
    /// The number of bytes that have been processed.
    read: usize,
}

impl Connection {
    async fn next(&mut self) -> Result<Frame<'_>, BackendLoginError> {
        loop {
            let (start, end) = match message::first(&self.bytes[self.read..], MAX_LENGTH)? {
                Some(frame) => (self.read, self.read + frame.length()),
                None if self.bytes.len() > MAX_LENGTH => {
                    return Err(ProtocolViolation::new("the server sends too much before it is ready").into());
                }
                None => {
                    if self.stream.read_buf(&mut self.bytes).await? == 0 {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                    continue;
                }
            };
            self.read = end;
            return Ok(Frame { kind: self.bytes[start], body: &self.bytes[start + HEADER_LENGTH..end] });
        }
    }

    async fn respond(&mut self, body: &[u8]) -> io::Result<()> {
        self.stream.write_all(&sasl_response(body)).await
    }
}

/// The state of the server's authentication.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ServerProof {
    None,
    /// The server must send this signature.
    Expected(Digest),
    Verified,
}

async fn authenticate(
    mut connection: Connection,
    key: &PoolKey,
    verifier: &Verifier,
) -> Result<BackendSession, BackendLoginError> {
    let exchange = KeyExchange::new(verifier, &key.client_key);
    let mut server_proof = ServerProof::None;
    let (mut parameters, mut notices) = (ParameterStatuses::default(), Vec::new());
    let mut cancel_target = None;
    loop {
        let Frame { kind, body } = connection.next().await?;
        let verified = server_proof == ServerProof::Verified;
        match kind {
            AUTHENTICATION => match (AuthenticationRequest::parse(body), server_proof) {
                (Some(AuthenticationRequest::Ok), ServerProof::Verified) => {}
                (Some(AuthenticationRequest::Sasl(_)), _) => {
                    connection.respond(&exchange.initial_response()).await?;
                }
                (Some(AuthenticationRequest::SaslContinue(challenge)), ServerProof::None) => {
                    let (response, signature) = exchange.respond(challenge)?;
                    server_proof = ServerProof::Expected(signature);
                    connection.respond(response.as_bytes()).await?;
                }
                (Some(AuthenticationRequest::SaslFinal(last)), ServerProof::Expected(signature))
                    if KeyExchange::is_signed(last, &signature) =>
                {
                    server_proof = ServerProof::Verified;
                }
                (Some(AuthenticationRequest::SaslFinal(_)), _) => {
                    return Err(BackendLoginError::WrongSignature);
                }
                _ => return Err(unsupported()),
            },
            ERROR_RESPONSE => {
                let sqlstate = field(body, SQLSTATE).unwrap_or_default().to_vec();
                return Err(BackendLoginError::Rejected { message: message::encode(kind, body), sqlstate });
            }
            NOTICE_RESPONSE => message::put(&mut notices, kind, body),
            PARAMETER_STATUS => parameters.record(body),
            BACKEND_KEY_DATA if verified => {
                cancel_target = Some(CancelTarget::new(key.socket.clone(), CancelKey::parse(body)?));
            }
            READY_FOR_QUERY if verified => {
                let trailing = connection.bytes.split_off(connection.read);
                let socket = connection.stream.into_std()?;
                let opened = Instant::now();
                return Ok(BackendSession { socket, opened, parameters, cancel_target, notices, trailing });
            }
            _ => return Err(unsupported()),
        }
    }
}

fn unsupported() -> BackendLoginError {
    ProtocolViolation::new("the server does not request SCRAM-SHA-256").into()
}
