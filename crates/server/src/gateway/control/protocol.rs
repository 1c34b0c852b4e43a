//! The messages of the control socket, one line of JSON each.
//!
//! Both sides begin with a greeting. A gateway process then sends numbered requests, as many as it likes at a time;
//! answers come in any order, with pushed events between them.

use crate::identity::admin::Command;
use ootheca_gateway::{Activity, Destination, Policy};
use ootheca_model::{ClusterId, Error, ErrorKind, Result, login::Secret};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::PathBuf;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::UnixStream,
};

/// The version of these messages. Both sides must speak the same.
pub const VERSION: u32 = 1;
/// Longest line in bytes: a report of many thousand clusters fits.
const LONGEST: u64 = 16 * 1024 * 1024;

/// What who connects says first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientHello {
    /// [`VERSION`]
    pub ootheca: u32,
    /// Who it is.
    pub role: Role,
}

/// Who connects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A gateway that wants to ask.
    Gateway {
        /// Names it over all its connections; never 0.
        source: u64,
        /// Where its clients connect; 0 while it does not listen yet.
        port: u16,
    },
    /// A process that wants to take this one's place.
    Successor,
    /// The owner of the machine, with one command.
    Admin {
        /// What to do.
        command: Command,
    },
}

/// The answer to a greeting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerHello {
    /// [`VERSION`]
    pub ootheca: u32,
    /// Why the connection is closed now, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// For a successor: what the descriptors are that come with this line, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
}

impl ServerHello {
    /// Accepts the connection.
    pub fn new() -> Self {
        Self { ootheca: VERSION, refused: None, listeners: Vec::new() }
    }

    /// Refuses the connection.
    pub fn refusal(why: impl Into<String>) -> Self {
        Self { refused: Some(why.into()), ..Self::new() }
    }

    /// An error if this is no welcome at all.
    pub fn check(self) -> Result<Self> {
        match &self.refused {
            Some(why) => Err(Error::precondition(format!("control: refused: {why}"))),
            None if self.ootheca != VERSION => Err(Error::precondition(format!(
                "control: the other process speaks version {} of the protocol, this one {VERSION}: restart the older one",
                self.ootheca
            ))),
            None => Ok(self),
        }
    }
}

impl Default for ServerHello {
    fn default() -> Self {
        Self::new()
    }
}

/// What a gateway says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberedRequest {
    /// Comes back with the answer.
    pub id: u64,
    /// What it wants.
    pub ask: Request,
}

/// The methods of the gateway's directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Request {
    Resolve {
        routing_id: String,
    },
    Policy {
        cluster: ClusterId,
    },
    Secret {
        cluster: ClusterId,
        user: String,
    },
    Distrust {
        cluster: ClusterId,
    },
    Endpoint {
        cluster: ClusterId,
    },
    Report {
        activities: Vec<Activity>,
    },
    /// Where the gateway's clients connect, once it is known.
    Port {
        port: u16,
    },
}

/// The result of a [`Request`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Response {
    Destination(Option<Destination>),
    Policy(Option<Policy>),
    Secret(Option<Secret>),
    Endpoint(PathBuf),
    Noted,
}

/// What the control plane says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerMessage {
    /// The answer to a question.
    Answer {
        /// The number of the question.
        id: u64,
        /// What was found, or what is wrong.
        result: std::result::Result<Response, Failure>,
    },
    /// A cluster changed; without a name: any may have.
    Changed(Option<ClusterId>),
}

/// An error, for the other side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The number of its kind.
    pub code: i32,
    /// The message.
    pub message: String,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { code: error.kind() as i32, message: error.message().to_owned() }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        const KINDS: [ErrorKind; 11] = [
            ErrorKind::Invalid,
            ErrorKind::NotFound,
            ErrorKind::Exists,
            ErrorKind::Denied,
            ErrorKind::Exhausted,
            ErrorKind::Precondition,
            ErrorKind::Stale,
            ErrorKind::Unimplemented,
            ErrorKind::Internal,
            ErrorKind::Unavailable,
            ErrorKind::Unauthenticated,
        ];
        let kind = KINDS.into_iter().find(|kind| *kind as i32 == failure.code);
        Error::new(kind.unwrap_or(ErrorKind::Internal), failure.message)
    }
}

/// A message as a line.
pub fn line(message: &impl Serialize) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)
        .map_err(|error| Error::internal("control: a message can not be written").because(error))?;
    line.push(b'\n');
    Ok(line)
}

/// Sends a message.
pub async fn send<W: AsyncWrite + Unpin>(stream: &mut W, message: &impl Serialize) -> Result<()> {
    let line = line(message)?;
    stream.write_all(&line).await.map_err(broken)
}

/// The next message; `None` at the end.
pub async fn receive<R, T>(stream: &mut R) -> Result<Option<T>>
where
    R: AsyncBufRead + Unpin,
    T: DeserializeOwned,
{
    let mut line = Vec::new();
    let length = (&mut *stream).take(LONGEST).read_until(b'\n', &mut line).await.map_err(broken)?;
    if length == 0 {
        return Ok(None);
    }
    parse(&line).map(Some)
}

/// Reads a whole line.
pub fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T> {
    let malformed = || Error::invalid("control", "a message is no whole line or means nothing");
    if line.last() != Some(&b'\n') {
        return Err(malformed());
    }
    // The cause would quote the message, and messages hold secrets.
    serde_json::from_slice(line).map_err(|_| malformed())
}

/// Reads a greeting; one of another version is answered in words that any version can read.
pub async fn read_hello(stream: &mut BufReader<UnixStream>) -> Result<Option<Role>> {
    let Some(hello) = receive::<_, serde_json::Value>(stream).await? else { return Ok(None) };
    match serde_json::from_value::<ClientHello>(hello) {
        Ok(hello) if hello.ootheca == VERSION => Ok(Some(hello.role)),
        _ => {
            let why = format!("only version {VERSION} of the protocol is spoken here");
            send(stream.get_mut(), &ServerHello::refusal(&why)).await?;
            Err(Error::precondition(why))
        }
    }
}

/// The connection is gone.
pub fn broken(error: std::io::Error) -> Error {
    Error::unavailable("control: the connection broke").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[tokio::test]
    async fn messages_survive_the_way() {
        let cluster = ClusterId(uuid::Uuid::from_u128(7));
        let policy = Policy { allow: vec!["10.0.0.0/8".parse().expect("a network")], ..Policy::default() };
        let sayings = [
            ServerMessage::Answer {
                id: 1,
                result: Ok(Response::Destination(Some(Destination {
                    cluster,
                    policy,
                    iterations: Some(4096),
                }))),
            },
            ServerMessage::Answer {
                id: 2,
                result: Ok(Response::Secret(Some(Secret::Scram("line\nbreak".into())))),
            },
            ServerMessage::Answer { id: 3, result: Ok(Response::Destination(None)) },
            ServerMessage::Answer { id: 4, result: Err(Error::unavailable("not now").into()) },
            ServerMessage::Changed(Some(cluster)),
            ServerMessage::Changed(None),
        ];
        let mut wire = Vec::new();
        for saying in &sayings {
            send(&mut wire, saying).await.expect("a line");
        }
        let mut rest = wire.as_slice();
        for saying in &sayings {
            assert_eq!(receive(&mut rest).await.expect("a message").as_ref(), Some(saying));
        }
        assert_eq!(receive::<_, ServerMessage>(&mut rest).await.expect("the end"), None);
    }

    #[test]
    fn kinds_of_errors_survive_and_the_cause_stays_here() {
        let error = Error::precondition("no").because(std::io::Error::other("hidden"));
        let back = Error::from(Failure::from(error));
        assert_eq!((back.kind(), back.chain()), (ErrorKind::Precondition, "no".to_owned()));
        let unknown = Failure { code: 99, message: String::new() };
        assert_eq!(Error::from(unknown).kind(), ErrorKind::Internal);
    }

    #[test]
    fn another_version_is_refused_in_words() {
        let other = ServerHello { ootheca: VERSION + 1, ..ServerHello::new() };
        assert!(other.check().expect_err("another").message().contains("version"));
        assert!(ServerHello::refusal("busy").check().expect_err("refused").message().contains("busy"));
    }

    proptest! {
        #[test]
        fn nothing_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<NumberedRequest>(&bytes);
            let _ = parse::<ServerMessage>(&bytes);
        }
    }
}
