//! A session at a cluster's server, as a user whose client key is known.

use crate::{
    backend::{Parameters, Server},
    registry::cancel::Target,
};
use ootheca_pg_protocol::{
    ProtocolViolation,
    backend::{
        AUTHENTICATION, AuthenticationRequest, BACKEND_KEY_DATA, ERROR_RESPONSE, NOTICE_RESPONSE,
        PARAMETER_STATUS, READY_FOR_QUERY, SQLSTATE, field,
    },
    frontend::sasl_response,
    message::{self, Frame, HEADER_LENGTH},
    scram::{ClientKey, KeyExchange, Verifier},
    startup::CancelKey,
};
use std::{io, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::{sleep, timeout},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);
/// The most that a server may say before it is ready.
const MOST: usize = 32 * 1024;

/// Why there is no session.
pub(crate) enum Failure {
    /// The server does not answer, or breaks off.
    Down(io::Error),
    /// It says no, in a message for the client; with the SQLSTATE.
    Refused(Vec<u8>, Vec<u8>),
    /// It says something that makes no sense.
    Malformed(ProtocolViolation),
    /// It does not know the verifier's other half.
    Unsigned,
}

impl From<io::Error> for Failure {
    fn from(cause: io::Error) -> Self {
        Self::Down(cause)
    }
}

impl From<ProtocolViolation> for Failure {
    fn from(why: ProtocolViolation) -> Self {
        Self::Malformed(why)
    }
}

/// Logs in with an encoded startup message.
pub(crate) async fn log_in(
    socket: &Arc<Path>,
    startup: &[u8],
    verifier: &Verifier,
    key: &ClientKey,
) -> Result<Server, Failure> {
    let late = |_| Err(io::ErrorKind::TimedOut.into());
    let stream = timeout(CONNECT_TIMEOUT, reach(socket)).await.unwrap_or_else(late)?;
    let mut conversation = Conversation { stream, bytes: Vec::with_capacity(2048), read: 0 };
    conversation.stream.write_all(startup).await?;
    let talk = talk(conversation, socket, verifier, key);
    timeout(LOGIN_TIMEOUT, talk)
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

/// Connects, waiting while the server's queue is full.
async fn reach(socket: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(socket).await {
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => sleep(Duration::from_millis(5)).await,
            connected => return connected,
        }
    }
}

struct Conversation {
    stream: UnixStream,
    bytes: Vec<u8>,
    read: usize,
}

impl Conversation {
    async fn next(&mut self) -> Result<Frame<'_>, Failure> {
        loop {
            let (start, end) = match message::first(&self.bytes[self.read..], MOST)? {
                Some(frame) => (self.read, self.read + frame.length()),
                None if self.bytes.len() > MOST => return Err(ProtocolViolation::new("too long").into()),
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

async fn talk(
    mut with: Conversation,
    socket: &Arc<Path>,
    verifier: &Verifier,
    key: &ClientKey,
) -> Result<Server, Failure> {
    let exchange = KeyExchange::new(verifier, key);
    let (mut signature, mut signed) = (None, false);
    let (mut parameters, mut notices, mut target) = (Parameters::default(), Vec::new(), None);
    loop {
        let Frame { kind, body } = with.next().await?;
        match kind {
            AUTHENTICATION => match AuthenticationRequest::parse(body) {
                Some(AuthenticationRequest::Ok) if signed => {}
                Some(AuthenticationRequest::Sasl(_)) => {
                    with.respond(&exchange.initial_response()).await?;
                }
                Some(AuthenticationRequest::SaslContinue(challenge)) if signature.is_none() => {
                    let (answer, expected) = exchange.respond(challenge)?;
                    signature = Some(expected);
                    with.respond(answer.as_bytes()).await?;
                }
                Some(AuthenticationRequest::SaslFinal(last)) => {
                    signed = signature.is_some_and(|signature| KeyExchange::is_signed(last, &signature));
                    if !signed {
                        return Err(Failure::Unsigned);
                    }
                }
                _ => return Err(unsupported()),
            },
            ERROR_RESPONSE => {
                let state = field(body, SQLSTATE).unwrap_or_default().to_vec();
                return Err(Failure::Refused(message::encode(kind, body), state));
            }
            NOTICE_RESPONSE => message::put(&mut notices, kind, body),
            PARAMETER_STATUS => parameters.note(body),
            BACKEND_KEY_DATA if signed => {
                target = Some(Target::new(socket.clone(), CancelKey::parse(body)?));
            }
            READY_FOR_QUERY if signed => {
                let rest = with.bytes.split_off(with.read);
                let socket = with.stream.into_std()?;
                return Ok(Server { socket, parameters, target, notices, rest });
            }
            _ => return Err(unsupported()),
        }
    }
}

fn unsupported() -> Failure {
    ProtocolViolation::new("the server does not ask for SCRAM-SHA-256").into()
}
