//! Finds the error for a statement that the gateway has canceled, which the client does not receive.

use ootheca_pg_protocol::{
    backend::{ERROR_RESPONSE, READY_FOR_QUERY, SEVERITY, SQLSTATE, field},
    message,
};

const QUERY_CANCELED: &[u8] = b"57014";
const FATAL: &[u8] = b"FATAL";

/// The position of the error for a canceled statement, if only whole messages precede it and nothing follows
/// but ReadyForQuery and the error with which the server ends the session. The bytes before it end between
/// two messages.
pub(super) fn cancellation(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut found) = (0, None);
    while at < bytes.len() {
        let frame = message::first(&bytes[at..], bytes.len()).ok()??;
        match frame.kind {
            ERROR_RESPONSE if field(frame.body, SQLSTATE) == Some(QUERY_CANCELED) => found = Some(at),
            ERROR_RESPONSE if field(frame.body, SEVERITY) == Some(FATAL) => found = found.or(Some(at)),
            READY_FOR_QUERY => found = found.or(Some(at)),
            _ => found = None,
        }
        at += frame.length();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use ootheca_pg_protocol::backend::{COMMAND_COMPLETE, ROW_DESCRIPTION, error_response};

    #[test]
    fn cancellation_starts_at_the_error_that_the_reason_replaces() {
        let message = |kind, body: &[u8]| message::encode(kind, body);
        let columns = message(ROW_DESCRIPTION, b"\0\0");
        let complete = message(COMMAND_COMPLETE, b"SELECT 1\0");
        let ready = message(READY_FOR_QUERY, b"I");
        let canceled = error_response("ERROR", "57014", "canceling statement due to user request", None);
        let ended = error_response("FATAL", "57P01", "terminating connection", None);
        let failed = error_response("ERROR", "22012", "division by zero", None);
        let at = |messages: &[&Vec<u8>]| {
            cancellation(&messages.iter().copied().flatten().copied().collect::<Vec<u8>>())
        };

        for rest in [vec![], vec![&ready], vec![&ready, &ended], vec![&ended]] {
            let with = |first: &[&Vec<u8>]| at(&[first, &rest].concat());
            assert_eq!(with(&[&columns, &canceled]), Some(columns.len()), "{rest:?}");
            assert_eq!(with(&[&complete, &ready, &canceled]), Some(complete.len() + ready.len()), "{rest:?}");
        }
        assert_eq!(at(&[&columns, &ended]), Some(columns.len()), "the server ended the session");
        assert_eq!(at(&[&complete, &ready, &ended]), Some(complete.len()), "the statement was complete");
        assert_eq!(at(&[&canceled, &ready, &complete]), None, "another statement was executed");
        assert_eq!(at(&[&columns, &failed]), None, "the statement failed by itself");
        assert_eq!(at(&[&complete, &canceled[..canceled.len() - 1].to_vec()]), None, "incomplete");
    }
}
