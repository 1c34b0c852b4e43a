//! Refuses statements that add data, in sessions of a cluster that exceeds its storage limit.
//!
//! A refused statement never reaches the server. A text that is a syntax error takes its place, so that
//! the session's transaction is in the same state as after any failed statement. The server's error for
//! that text is replaced by the notice. If a text has several statements and one of them is refused, none
//! of them runs, not even an earlier BEGIN.
//!
//! The guard reads the types of all messages, and the text of those with SQL. The module `statement`
//! defines which statements add data; messages that call a function by its object ID always count. The
//! guard buffers at most one statement, and nothing between messages.

mod frames;
mod lexer;
mod statement;
mod text;

use crate::Notice;
use frames::{Action, FrameHandler, Frames, WholeMessage};
use ootheca_pg_protocol::{
    ProtocolViolation,
    backend::{ERROR_RESPONSE, MESSAGE, SQLSTATE, error_response, field},
    frontend::{FUNCTION_CALL, PARSE, QUERY},
    message::encode,
    split_at_zero,
};
pub(crate) use statement::adds_data;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
pub use text::{first_word, may_add_data, without_passwords};

/// The longest statement that is analyzed; longer ones are refused.
const MAX_STATEMENT_LENGTH: usize = 1 << 20;
/// The error that is replaced is far shorter.
const MAX_ERROR_LENGTH: usize = 4096;
const MARKER: &str = "ootheca_storage_limit_refused";
const SYNTAX_ERROR: &[u8] = b"42601";
const DISK_FULL: &str = "53100";

/// Guards one session, from the end of its login.
pub(crate) struct StorageGuard {
    inbound: Frames,
    outbound: Frames,
    requests: RequestHandler,
    responses: ResponseHandler,
}

impl StorageGuard {
    /// A guard that refuses statements with this notice while the limit is exceeded.
    pub(crate) fn new(notice: &Notice, exceeded: Arc<AtomicBool>) -> Self {
        let requests = RequestHandler { exceeded, refused: false };
        let responses = ResponseHandler {
            error: error_response("ERROR", DISK_FULL, &notice.message, Some(&notice.hint)),
            refused: false,
        };
        Self { inbound: Frames::default(), outbound: Frames::default(), requests, responses }
    }

    /// Takes bytes from the client, and appends those for the server.
    pub(crate) fn inbound(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolViolation> {
        let result = self.inbound.feed(bytes, &mut self.requests, out);
        self.responses.refused |= self.requests.refused;
        result
    }

    /// Takes bytes from the server, and appends those for the client.
    pub(crate) fn outbound(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolViolation> {
        self.outbound.feed(bytes, &mut self.responses, out)
    }
}

/// Handles the messages of the client.
struct RequestHandler {
    exceeded: Arc<AtomicBool>,
    refused: bool,
}

impl RequestHandler {
    /// Appends the message that takes the place of a refused one.
    fn refuse(&mut self, kind: u8, name: &[u8], out: &mut Vec<u8>) {
        self.refused = true;
        let marker = MARKER.as_bytes();
        out.extend(match kind {
            // The name, the text, and no parameter types.
            PARSE => encode(PARSE, &[name, b"\0", marker, b"\0\0\0"].concat()),
            // The server responds to a function call as to a simple query.
            _ => encode(QUERY, &[marker, b"\0"].concat()),
        });
    }
}

impl FrameHandler for RequestHandler {
    fn begin(&mut self, kind: u8, length: usize, out: &mut Vec<u8>) -> Action {
        match kind {
            QUERY | PARSE | FUNCTION_CALL if !self.exceeded.load(Ordering::Relaxed) => Action::Pass,
            QUERY | PARSE if length <= MAX_STATEMENT_LENGTH => Action::Buffer,
            QUERY | PARSE | FUNCTION_CALL => {
                self.refuse(kind, MARKER.as_bytes(), out);
                Action::Drop
            }
            _ => Action::Pass,
        }
    }

    fn complete(&mut self, message: WholeMessage<'_>, out: &mut Vec<u8>) {
        let (name, text) =
            if message.kind == PARSE { split_at_zero(message.body) } else { (&[][..], message.body) };
        if adds_data(text) {
            self.refuse(message.kind, name, out);
        } else {
            out.extend_from_slice(message.bytes);
        }
    }
}

/// Handles the messages of the server.
struct ResponseHandler {
    /// The ErrorResponse with the notice.
    error: Vec<u8>,
    /// Whether a statement has been refused in this session.
    refused: bool,
}

impl FrameHandler for ResponseHandler {
    fn begin(&mut self, kind: u8, length: usize, _: &mut Vec<u8>) -> Action {
        if self.refused && kind == ERROR_RESPONSE && length <= MAX_ERROR_LENGTH {
            Action::Buffer
        } else {
            Action::Pass
        }
    }

    fn complete(&mut self, message: WholeMessage<'_>, out: &mut Vec<u8>) {
        let replaced = is_marker_error(message.body);
        out.extend_from_slice(if replaced { &self.error } else { message.bytes });
    }
}

fn is_marker_error(body: &[u8]) -> bool {
    let names_marker = |text: &[u8]| text.windows(MARKER.len()).any(|window| window == MARKER.as_bytes());
    field(body, SQLSTATE) == Some(SYNTAX_ERROR) && field(body, MESSAGE).is_some_and(names_marker)
}

#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod tests;
