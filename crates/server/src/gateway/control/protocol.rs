//! The messages of the control socket, one line of JSON each. Some names on the wire differ from those in the code, and
//! stay as they are for processes of earlier versions.
//!
//! Both sides start with a handshake. A gateway process then sends numbered requests without waiting for
//! responses. Responses can arrive in any order, mixed with pushed events.

use crate::identity::admin::Command;
use ootheca_gateway::{Activity, Destination, Policy};
use ootheca_model::{ClusterId, Error, ErrorKind, Result, login::Secret};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::PathBuf;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::UnixStream,
};

/// The version of these messages. Both sides must have the same version.
pub const VERSION: u32 = 1;
/// The maximum length of a line in bytes, sufficient for a report of many thousand clusters.
const LONGEST: u64 = 16 * 1024 * 1024;

/// The first message of the process that connects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientHello {
    /// The value of [`VERSION`].
    pub ootheca: u32,
    /// The role of the process.
    pub role: Role,
}

/// The role of a process that connects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A gateway process.
    Gateway {
        /// Identifies the gateway across all its connections; never 0.
        source: u64,
        /// The port for SQL clients; 0 before the gateway listens.
        port: u16,
    },
    /// A process that takes over from this one.
    Successor,
    /// The operator, with one command.
    Admin {
        /// The command.
        command: Command,
    },
}

/// The response to a [`ClientHello`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerHello {
    /// The value of [`VERSION`].
    pub ootheca: u32,
    /// Why the connection is closed, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// For a successor: the names of the descriptors that are sent with this line, in order.
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

    /// Returns an error if the connection was refused.
    pub fn check(self) -> Result<Self> {
        match &self.refused {
            Some(why) => Err(Error::precondition(format!("control socket: refused: {why}"))),
            None if self.ootheca != VERSION => Err(Error::precondition(format!(
                "control socket: the other process uses protocol version {}, this process {VERSION}; restart the older process",
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

/// A message of a gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberedRequest {
    /// The response has the same ID.
    pub id: u64,
    /// The request.
    #[serde(rename = "ask")]
    pub request: Request,
}

/// The methods of the gateway's directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    #[serde(rename = "distrust")]
    Invalidate {
        cluster: ClusterId,
    },
    Endpoint {
        cluster: ClusterId,
    },
    Report {
        activities: Vec<Activity>,
    },
    /// The port for SQL clients, once it is known.
    Port {
        port: u16,
    },
}

/// The result of a [`Request`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    Destination(Option<Destination>),
    Policy(Option<Policy>),
    Secret(Option<Secret>),
    Endpoint(PathBuf),
    #[serde(rename = "noted")]
    Done,
}

/// A message of the control plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerMessage {
    /// The response to a request.
    #[serde(rename = "answer")]
    Response {
        /// The ID of the request.
        id: u64,
        /// The result of the request.
        result: std::result::Result<Response, Failure>,
    },
    /// A cluster changed; `None` if any cluster can have changed.
    Changed(Option<ClusterId>),
}

/// An error that is sent to the other side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The code of the error kind.
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

/// Encodes a message as a line.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)
        .map_err(|error| Error::internal("control socket: could not encode a message").because(error))?;
    line.push(b'\n');
    Ok(line)
}

/// Sends a message.
pub async fn send<W: AsyncWrite + Unpin>(stream: &mut W, message: &impl Serialize) -> Result<()> {
    let line = encode(message)?;
    stream.write_all(&line).await.map_err(broken)
}

/// The next message; `None` at the end of the connection.
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

/// Parses a line.
pub fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T> {
    let malformed = || Error::invalid("control socket", "a message is truncated or malformed");
    if line.last() != Some(&b'\n') {
        return Err(malformed());
    }
    // The cause would quote the message, and messages contain secrets.
    serde_json::from_slice(line).map_err(|_| malformed())
}

/// Reads the first message. A process with another version gets an error that every version can read.
pub async fn read_hello(stream: &mut BufReader<UnixStream>) -> Result<Option<Role>> {
    let Some(hello) = receive::<_, serde_json::Value>(stream).await? else { return Ok(None) };
    match serde_json::from_value::<ClientHello>(hello) {
        Ok(hello) if hello.ootheca == VERSION => Ok(Some(hello.role)),
        _ => {
            let why = format!("only version {VERSION} of the protocol is supported");
            send(stream.get_mut(), &ServerHello::refusal(&why)).await?;
            Err(Error::precondition(why))
        }
    }
}

/// The error for a broken connection.
pub fn broken(error: std::io::Error) -> Error {
    Error::unavailable("control socket: the connection was lost").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[tokio::test]
    async fn messages_round_trip() {
        let cluster = ClusterId(uuid::Uuid::from_u128(7));
        let policy = Policy { allow: vec!["10.0.0.0/8".parse().expect("a network")], ..Policy::default() };
        let messages = [
            ServerMessage::Response {
                id: 1,
                result: Ok(Response::Destination(Some(Destination {
                    cluster,
                    policy,
                    iterations: Some(4096),
                }))),
            },
            ServerMessage::Response {
                id: 2,
                result: Ok(Response::Secret(Some(Secret::Scram("line\nbreak".into())))),
            },
            ServerMessage::Response { id: 3, result: Ok(Response::Destination(None)) },
            ServerMessage::Response { id: 4, result: Err(Error::unavailable("not now").into()) },
            ServerMessage::Changed(Some(cluster)),
            ServerMessage::Changed(None),
        ];
        let mut wire = Vec::new();
        for message in &messages {
            send(&mut wire, message).await.expect("a line");
        }
        let mut rest = wire.as_slice();
        for message in &messages {
            assert_eq!(receive(&mut rest).await.expect("a message").as_ref(), Some(message));
        }
        assert_eq!(receive::<_, ServerMessage>(&mut rest).await.expect("the end"), None);
    }

    #[test]
    fn names_on_the_wire_do_not_change() {
        let cluster = ClusterId(uuid::Uuid::nil());
        let id = cluster.to_string();
        let request = NumberedRequest { id: 1, request: Request::Invalidate { cluster } };
        let expected = json!({ "id": 1, "ask": { "distrust": { "cluster": id } } });
        assert_eq!(serde_json::to_value(&request).expect("a message"), expected);
        let response = ServerMessage::Response { id: 1, result: Ok(Response::Done) };
        let expected = json!({ "answer": { "id": 1, "result": { "Ok": "noted" } } });
        assert_eq!(serde_json::to_value(&response).expect("a message"), expected);
    }

    #[test]
    fn error_kinds_round_trip_without_causes() {
        let error = Error::precondition("no").because(std::io::Error::other("hidden"));
        let back = Error::from(Failure::from(error));
        assert_eq!((back.kind(), back.chain()), (ErrorKind::Precondition, "no".to_owned()));
        let unknown = Failure { code: 99, message: String::new() };
        assert_eq!(Error::from(unknown).kind(), ErrorKind::Internal);
    }

    #[test]
    fn another_version_is_refused_with_a_message() {
        let other = ServerHello { ootheca: VERSION + 1, ..ServerHello::new() };
        assert!(other.check().expect_err("another").message().contains("version"));
        assert!(ServerHello::refusal("busy").check().expect_err("refused").message().contains("busy"));
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<NumberedRequest>(&bytes);
            let _ = parse::<ServerMessage>(&bytes);
        }
    }
}
