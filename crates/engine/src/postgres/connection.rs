//! A session over the server's protocol, with every answer as text and none of any size.
//!
//! The usual client would take values in their binary form, and a message of a gigabyte into memory; and it
//! can't name a database whose name is not UTF-8.

use crate::statement::Refused;
use bytes::BytesMut;
use postgres_protocol::{
    authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    message::frontend,
};
use std::{fmt, io, path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy, sink},
    net::UnixStream,
    time::timeout,
};

/// Longer messages are passed over.
const LONGEST: usize = 1 << 20;
/// The most that is shown of an error or a notice, in bytes.
const LONGEST_TEXT: usize = 8 << 10;
/// How long the server may take to end a session.
const END: Duration = Duration::from_secs(1);

/// A message of the server.
pub(super) struct Message {
    pub(super) kind: u8,
    /// Empty if it was passed over.
    pub(super) body: Vec<u8>,
    /// Its length, also where it was passed over.
    pub(super) length: usize,
}

impl Message {
    pub(super) fn passed_over(&self) -> bool {
        self.body.len() < self.length
    }

    /// Its fields, if it is an error or a notice.
    pub(super) fn refusal(&self) -> Refused {
        if self.passed_over() {
            let message = "the server's message is too long to be shown".to_owned();
            return Refused { sqlstate: "54000".to_owned(), message, ..Refused::default() };
        }
        Refused {
            sqlstate: self.field(b'C').unwrap_or_default(),
            message: self.field(b'M').unwrap_or_default(),
            detail: self.field(b'D'),
            hint: self.field(b'H'),
            position: self.field(b'P').and_then(|text| text.parse().ok()),
        }
    }

    pub(super) fn field(&self, wanted: u8) -> Option<String> {
        let mut rest = self.body.as_slice();
        while let Some((kind, text)) = rest.split_first().filter(|(kind, _)| **kind != 0) {
            let (value, after) = cut(text);
            if *kind == wanted {
                let shown = &value[..value.len().min(LONGEST_TEXT)];
                return Some(String::from_utf8_lossy(shown).into_owned());
            }
            rest = after;
        }
        None
    }
}

/// What stands before and after the first zero byte.
pub(super) fn cut(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server says no.
    Refused(Refused),
    /// It does not answer, or not as it should.
    Broken(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => write!(f, "{} (SQLSTATE {})", refused.message, refused.sqlstate),
            Self::Broken(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

pub(super) type Result<T> = std::result::Result<T, Failure>;

/// A session that is ready for a request.
pub(super) struct Connection {
    stream: BufReader<UnixStream>,
    /// The server's process.
    pub(super) process: i32,
}

impl Connection {
    /// Logs in with SCRAM-SHA-256; `parameters` are those of the startup message.
    pub(super) async fn open(socket: &Path, parameters: &[(&str, &[u8])], password: &str) -> Result<Self> {
        let stream = BufReader::new(UnixStream::connect(socket).await?);
        let mut this = Self { stream, process: 0 };
        this.send(|out| startup(parameters, out)).await?;
        this.log_in(password).await?;
        Ok(this)
    }

    async fn log_in(&mut self, password: &str) -> Result<()> {
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        let mut proven = false;
        loop {
            let message = self.next().await?;
            let (code, rest) = match message.body.split_first_chunk::<4>() {
                Some((code, rest)) => (i32::from_be_bytes(*code), rest),
                None => (-1, &[][..]),
            };
            match (message.kind, code) {
                (b'R', 0) if proven => {}
                (b'R', 10) => {
                    let first = scram.message().to_vec();
                    self.send(|out| frontend::sasl_initial_response(SCRAM_SHA_256, &first, out)).await?;
                }
                (b'R', 11) => {
                    scram.update(rest)?;
                    let answer = scram.message().to_vec();
                    self.send(|out| frontend::sasl_response(&answer, out)).await?;
                }
                (b'R', 12) => {
                    scram.finish(rest)?;
                    proven = true;
                }
                (b'E', _) => return Err(Failure::Refused(message.refusal())),
                (b'K', process) => self.process = process,
                (b'Z', _) if proven => return Ok(()),
                (b'S' | b'N', _) => {}
                _ => return Err(unexpected(message.kind)),
            }
        }
    }

    /// Sends what `write` puts down.
    pub(super) async fn send(&mut self, write: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<()> {
        let mut out = BytesMut::new();
        write(&mut out)?;
        Ok(self.stream.get_mut().write_all(&out).await?)
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Result<Message> {
        let kind = self.stream.read_u8().await?;
        let length = usize::try_from(self.stream.read_u32().await?).unwrap_or(usize::MAX);
        let length = length.checked_sub(4).ok_or_else(|| unexpected(kind))?;
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
        Ok(Message { kind, body, length })
    }

    /// Runs statements of ours; the first values of the rows that they answer.
    pub(super) async fn simple(&mut self, text: &str) -> Result<Vec<Vec<Option<String>>>> {
        self.send(|out| frontend::query(text, out)).await?;
        let (mut rows, mut refused) = (Vec::new(), None);
        loop {
            let message = self.next().await?;
            match message.kind {
                b'D' => rows.push(values(&message.body)),
                b'E' => refused = Some(message.refusal()),
                b'Z' => return refused.map_or(Ok(rows), |refused| Err(Failure::Refused(refused))),
                _ => {}
            }
        }
    }

    /// Ends it, and waits a little until the server has: whoever comes next finds nobody here.
    pub(super) async fn close(mut self) {
        let end = async {
            self.send(|out| {
                frontend::terminate(out);
                Ok(())
            })
            .await?;
            copy(&mut self.stream, &mut sink()).await?;
            Ok::<(), Failure>(())
        };
        let _ = timeout(END, end).await;
    }
}

/// The usual encoder takes text only.
fn startup(parameters: &[(&str, &[u8])], out: &mut BytesMut) -> io::Result<()> {
    let mut body = vec![0, 3, 0, 0];
    for text in parameters.iter().flat_map(|(name, value)| [name.as_bytes(), value]) {
        if text.contains(&0) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a startup parameter has a zero byte"));
        }
        body.extend_from_slice(text);
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&body);
    Ok(())
}

pub(super) fn unexpected(kind: u8) -> Failure {
    let text = format!("a message of the kind {:?} was not expected", char::from(kind));
    Failure::Broken(io::Error::other(text))
}

/// The values of a row, as text.
pub(super) fn values(mut body: &[u8]) -> Vec<Option<String>> {
    let mut values = Vec::new();
    body = body.get(2..).unwrap_or_default();
    while let Some((length, rest)) = body.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length));
        let value = length.ok().map(|length| rest.get(..length).unwrap_or(rest));
        body = &rest[value.map_or(0, <[u8]>::len)..];
        values.push(value.map(|value| String::from_utf8_lossy(value).into_owned()));
    }
    values
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
    fn a_row_is_read() {
        let sent = [Some("a"), None, Some(""), Some("é")];
        let read = values(&row(&sent));
        assert_eq!(read.iter().map(Option::as_deref).collect::<Vec<_>>(), sent);
    }

    #[test]
    fn a_startup_message_is_that_of_the_usual_encoder() {
        let (mut ours, mut usual) = (BytesMut::new(), BytesMut::new());
        startup(&[("user", b"a"), ("database", "é".as_bytes())], &mut ours).unwrap();
        frontend::startup_message([("user", "a"), ("database", "é")], &mut usual).unwrap();
        assert_eq!(ours, usual);
        assert!(startup(&[("user", b"a\0b")], &mut ours).is_err());
    }

    #[test]
    fn an_error_is_read() {
        let body = b"SERROR\0C42P01\0Mno such table\0Htry\0P15\0\0".to_vec();
        let refused = Message { kind: b'E', length: body.len(), body }.refusal();
        assert_eq!((refused.sqlstate.as_str(), refused.message.as_str()), ("42P01", "no such table"));
        assert_eq!((refused.detail, refused.hint.as_deref()), (None, Some("try")));
        assert_eq!(refused.position, Some(15));
    }

    proptest! {
        #[test]
        fn nothing_that_a_server_sends_panics(body in proptest::collection::vec(any::<u8>(), 0..60)) {
            values(&body);
            Message { kind: b'E', length: body.len(), body }.refusal();
        }
    }
}
