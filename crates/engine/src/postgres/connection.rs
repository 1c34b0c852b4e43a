//! A session with all values as text and a limit for the length of messages.
//!
//! The driver `tokio_postgres` would request values in binary form and would read a message of a gigabyte
//! into memory, and it cannot name a database whose name is not UTF-8.

use super::server::CONNECT_TIMEOUT;
use crate::statement::Refused;
use ootheca_pg_protocol::{
    ProtocolViolation,
    backend::{
        AUTHENTICATION, AuthenticationRequest, BACKEND_KEY_DATA, DATA_ROW, ERROR_RESPONSE, HINT, MESSAGE,
        NOTICE_RESPONSE, PARAMETER_STATUS, READY_FOR_QUERY, SQLSTATE, field, row_values,
    },
    frontend::{TERMINATE, put_query, sasl_initial_response, sasl_response},
    message::{HEADER_LENGTH, Header},
    scram::{ChannelBinding, PasswordExchange, SCRAM_SHA_256},
    startup::StartupMessage,
};
use std::{fmt, io, path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy, sink},
    net::UnixStream,
    time::timeout,
};

/// The bodies of longer messages are skipped.
const LONGEST: usize = 1 << 20;
/// The longest field of an error or a notice, in bytes; the rest is cut off.
const LONGEST_TEXT: usize = 8 << 10;
/// The time that the server has to end a session.
const END: Duration = Duration::from_secs(1);

/// A message from the server.
pub(super) struct BackendMessage {
    pub(super) kind: u8,
    /// Empty if the body was skipped.
    pub(super) body: Vec<u8>,
    /// The length of the body, even if it was skipped.
    pub(super) length: usize,
}

impl BackendMessage {
    pub(super) fn is_skipped(&self) -> bool {
        self.body.len() < self.length
    }

    /// The fields of an error or a notice.
    pub(super) fn refusal(&self) -> Refused {
        if self.is_skipped() {
            let message = "the server's message is too long to display".to_owned();
            return Refused { sqlstate: "54000".to_owned(), message, ..Refused::default() };
        }
        Refused {
            sqlstate: self.field(SQLSTATE).unwrap_or_default(),
            message: self.field(MESSAGE).unwrap_or_default(),
            detail: self.field(b'D'),
            hint: self.field(HINT),
            position: self.field(b'P').and_then(|text| text.parse().ok()),
        }
    }

    pub(super) fn field(&self, wanted: u8) -> Option<String> {
        let value = field(&self.body, wanted)?;
        Some(String::from_utf8_lossy(&value[..value.len().min(LONGEST_TEXT)]).into_owned())
    }
}

/// Why a request failed.
#[derive(Debug)]
pub(super) enum ConnectionError {
    /// The server returned an error.
    Refused(Refused),
    /// The connection failed, or the server violated the protocol.
    Broken(io::Error),
}

impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => write!(f, "{} (SQLSTATE {})", refused.message, refused.sqlstate),
            Self::Broken(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConnectionError {}

impl From<ProtocolViolation> for ConnectionError {
    fn from(error: ProtocolViolation) -> Self {
        Self::Broken(io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

pub(super) type Result<T> = std::result::Result<T, ConnectionError>;

/// A session that is ready for a request.
pub(super) struct Connection {
    stream: BufReader<UnixStream>,
    /// The process ID of the server session.
    pub(super) process: i32,
}

impl Connection {
    /// Connects and logs in with SCRAM-SHA-256, within [`CONNECT_TIMEOUT`]. `parameters` are those of the
    /// startup message.
    pub(super) async fn open(socket: &Path, parameters: &[(&str, &[u8])], password: &str) -> Result<Self> {
        let opened = timeout(CONNECT_TIMEOUT, Self::open_unbounded(socket, parameters, password)).await;
        opened.unwrap_or_else(|late| Err(io::Error::from(late).into()))
    }

    async fn open_unbounded(socket: &Path, parameters: &[(&str, &[u8])], password: &str) -> Result<Self> {
        let stream = BufReader::new(UnixStream::connect(socket).await?);
        let mut this = Self { stream, process: 0 };
        this.send(&StartupMessage::new(parameters.iter().copied())?.encode()).await?;
        this.log_in(password).await?;
        Ok(this)
    }

    async fn log_in(&mut self, password: &str) -> Result<()> {
        let mut scram = PasswordExchange::new(password.as_bytes(), ChannelBinding::unsupported());
        let mut proven = false;
        loop {
            let message = self.next().await?;
            match message.kind {
                AUTHENTICATION => match AuthenticationRequest::parse(&message.body) {
                    Some(AuthenticationRequest::Ok) if proven => {}
                    Some(AuthenticationRequest::Sasl(_)) => {
                        let first = sasl_initial_response(SCRAM_SHA_256, scram.message());
                        self.send(&sasl_response(&first)).await?;
                    }
                    Some(AuthenticationRequest::SaslContinue(challenge)) => {
                        scram.update(challenge)?;
                        self.send(&sasl_response(scram.message())).await?;
                    }
                    Some(AuthenticationRequest::SaslFinal(last)) => {
                        scram.finish(last)?;
                        proven = true;
                    }
                    _ => return Err(unexpected(message.kind)),
                },
                ERROR_RESPONSE => return Err(ConnectionError::Refused(message.refusal())),
                BACKEND_KEY_DATA => {
                    let pid = message.body.first_chunk::<4>().ok_or_else(|| unexpected(message.kind))?;
                    self.process = i32::from_be_bytes(*pid);
                }
                READY_FOR_QUERY if proven => return Ok(()),
                PARAMETER_STATUS | NOTICE_RESPONSE => {}
                kind => return Err(unexpected(kind)),
            }
        }
    }

    pub(super) async fn send(&mut self, messages: &[u8]) -> Result<()> {
        Ok(self.stream.get_mut().write_all(messages).await?)
    }

    /// Reads the next message.
    pub(super) async fn next(&mut self) -> Result<BackendMessage> {
        let mut header = [0; HEADER_LENGTH];
        self.stream.read_exact(&mut header).await?;
        let Header { kind, body_length: length } = Header::parse(header, usize::MAX)?;
        let mut body = Vec::new();
        if length <= LONGEST {
            body.resize(length, 0);
            self.stream.read_exact(&mut body).await?;
        } else {
            let passed = copy(&mut (&mut self.stream).take(length as u64), &mut sink()).await?;
            if passed < length as u64 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        Ok(BackendMessage { kind, body, length })
    }

    /// Runs statements of the engine itself. Returns the values of all rows.
    pub(super) async fn simple(&mut self, text: &str) -> Result<Vec<Vec<Option<String>>>> {
        let mut query = Vec::new();
        put_query(&mut query, text)?;
        self.send(&query).await?;
        let (mut rows, mut refused) = (Vec::new(), None);
        loop {
            let message = self.next().await?;
            match message.kind {
                DATA_ROW => rows.push(values(&message.body)),
                ERROR_RESPONSE => refused = Some(message.refusal()),
                READY_FOR_QUERY => {
                    return refused.map_or(Ok(rows), |refused| Err(ConnectionError::Refused(refused)));
                }
                _ => {}
            }
        }
    }

    /// Ends the session, and waits for a limited time until the server has closed it.
    pub(super) async fn close(mut self) {
        let end = async {
            self.send(TERMINATE).await?;
            copy(&mut self.stream, &mut sink()).await?;
            Ok::<(), ConnectionError>(())
        };
        let _ = timeout(END, end).await;
    }
}

pub(super) fn unexpected(kind: u8) -> ConnectionError {
    let text = format!("unexpected message of type {:?}", char::from(kind));
    ConnectionError::Broken(io::Error::other(text))
}

/// The values of a row, as text.
pub(super) fn values(body: &[u8]) -> Vec<Option<String>> {
    row_values(body).map(|value| value.map(|value| String::from_utf8_lossy(value).into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(values: &[Option<&str>]) -> Vec<u8> {
        let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
        for value in values {
            let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap());
            body.extend(length.to_be_bytes());
            body.extend(value.unwrap_or_default().bytes());
        }
        body
    }

    #[test]
    fn rows_are_decoded() {
        let sent = [Some("a"), None, Some(""), Some("é")];
        let read = values(&row(&sent));
        assert_eq!(read.iter().map(Option::as_deref).collect::<Vec<_>>(), sent);
    }

    #[test]
    fn errors_are_decoded() {
        let body = b"SERROR\0C42P01\0Mno such table\0Htry\0P15\0\0".to_vec();
        let refused = BackendMessage { kind: b'E', length: body.len(), body }.refusal();
        assert_eq!((refused.sqlstate.as_str(), refused.message.as_str()), ("42P01", "no such table"));
        assert_eq!((refused.detail, refused.hint.as_deref()), (None, Some("try")));
        assert_eq!(refused.position, Some(15));
    }

    proptest! {
        #[test]
        fn decoding_never_panics(body in proptest::collection::vec(any::<u8>(), 0..60)) {
            values(&body);
            BackendMessage { kind: b'E', length: body.len(), body }.refusal();
        }
    }
}
