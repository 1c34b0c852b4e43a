//! Sessions of a cluster that is over its storage limit: their statements that add data are refused.
//!
//! The statement never reaches the server. A text goes in its place that no server can parse, so that
//! the session's transaction is what it is after any statement that failed; the server's error for that
//! text is replaced by the notice. Several statements in one text are refused together, and none of
//! them runs, not even a BEGIN before the one that is refused.
//!
//! Reads the types of all messages, and the text of those that carry SQL. What counts as adding data is
//! told in `statement`; messages that call a function by its number always do. Holds no more than one
//! statement, and nothing between messages.

mod frames;
mod lexer;
mod statement;
mod text;

use crate::Notice;
use frames::{Fate, Frames, Inspect, Message};
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

/// The longest statement that is looked at; a longer one is refused.
const LONGEST_STATEMENT: usize = 1 << 20;
/// The error that is looked for is far shorter.
const LONGEST_ERROR: usize = 4096;
const MARKER: &str = "ootheca_storage_limit_refused";
const SYNTAX_ERROR: &[u8] = b"42601";
const DISK_FULL: &str = "53100";

/// Reads one session, from right after its login.
pub(crate) struct Guard {
    up: Frames,
    down: Frames,
    requests: Requests,
    answers: Answers,
}

impl Guard {
    /// A guard that refuses with this notice, while the cluster is over its limit.
    pub(crate) fn new(notice: &Notice, over: Arc<AtomicBool>) -> Self {
        let requests = Requests { over, refused: false };
        let answers = Answers {
            error: error_response("ERROR", DISK_FULL, &notice.message, Some(&notice.hint)),
            refused: false,
        };
        Self { up: Frames::default(), down: Frames::default(), requests, answers }
    }

    /// Takes bytes of the client, and writes those for the server.
    pub(crate) fn up(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolViolation> {
        let fed = self.up.feed(bytes, &mut self.requests, out);
        self.answers.refused |= self.requests.refused;
        fed
    }

    /// Takes bytes of the server, and writes those for the client.
    pub(crate) fn down(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolViolation> {
        self.down.feed(bytes, &mut self.answers, out)
    }
}

/// Messages of the client.
struct Requests {
    over: Arc<AtomicBool>,
    refused: bool,
}

impl Requests {
    fn refuse(&mut self, kind: u8, name: &[u8], out: &mut Vec<u8>) {
        self.refused = true;
        let marker = MARKER.as_bytes();
        out.extend(match kind {
            // Its name, its text, and that it tells no types.
            PARSE => encode(PARSE, &[name, b"\0", marker, b"\0\0\0"].concat()),
            // A function call is answered as a simple query is.
            _ => encode(QUERY, &[marker, b"\0"].concat()),
        });
    }
}

impl Inspect for Requests {
    fn begins(&mut self, kind: u8, length: usize, out: &mut Vec<u8>) -> Fate {
        match kind {
            QUERY | PARSE | FUNCTION_CALL if !self.over.load(Ordering::Relaxed) => Fate::Pass,
            QUERY | PARSE if length <= LONGEST_STATEMENT => Fate::Keep,
            QUERY | PARSE | FUNCTION_CALL => {
                self.refuse(kind, MARKER.as_bytes(), out);
                Fate::Drop
            }
            _ => Fate::Pass,
        }
    }

    fn whole(&mut self, message: Message<'_>, out: &mut Vec<u8>) {
        let (name, text) =
            if message.kind == PARSE { split_at_zero(message.body) } else { (&[][..], message.body) };
        if adds_data(text) {
            self.refuse(message.kind, name, out);
        } else {
            out.extend_from_slice(message.bytes);
        }
    }
}

/// Messages of the server.
struct Answers {
    /// What goes to the client in place of the server's error.
    error: Vec<u8>,
    /// Whether a statement has ever been refused.
    refused: bool,
}

impl Inspect for Answers {
    fn begins(&mut self, kind: u8, length: usize, _: &mut Vec<u8>) -> Fate {
        if self.refused && kind == ERROR_RESPONSE && length <= LONGEST_ERROR {
            Fate::Keep
        } else {
            Fate::Pass
        }
    }

    fn whole(&mut self, message: Message<'_>, out: &mut Vec<u8>) {
        let ours = is_about_marker(message.body);
        out.extend_from_slice(if ours { &self.error } else { message.bytes });
    }
}

fn is_about_marker(body: &[u8]) -> bool {
    let names_marker = |text: &[u8]| text.windows(MARKER.len()).any(|window| window == MARKER.as_bytes());
    field(body, SQLSTATE) == Some(SYNTAX_ERROR) && field(body, MESSAGE).is_some_and(names_marker)
}

#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod tests;
