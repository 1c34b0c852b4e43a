//! HTTP responses for errors.

use ootheca_model::{Error, ErrorKind};
use serde::Serialize;

/// The HTTP status of a kind of error.
pub fn status(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::Invalid | ErrorKind::Precondition => 400,
        ErrorKind::Unauthenticated => 401,
        ErrorKind::Denied => 403,
        ErrorKind::NotFound => 404,
        ErrorKind::Exists | ErrorKind::Stale => 409,
        ErrorKind::Expired => 410,
        ErrorKind::Exhausted => 429,
        ErrorKind::Internal => 500,
        ErrorKind::Unimplemented => 501,
        ErrorKind::Unavailable => 503,
    }
}

/// The part of an error that clients can read. Internal causes are only logged.
pub fn message(error: &Error) -> &str {
    match error.kind() {
        ErrorKind::Internal => "internal error",
        _ => error.message(),
    }
}

/// The JSON body of an error.
pub fn body(error: &Error) -> Vec<u8> {
    let status = Status { code: error.kind() as i32, message: message(error), details: [] };
    serde_json::to_vec(&status).unwrap_or_default()
}

#[derive(Serialize)]
struct Status<'a> {
    code: i32,
    message: &'a str,
    details: [&'a str; 0],
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(error: &Error) -> serde_json::Value {
        serde_json::from_slice(&body(error)).unwrap()
    }

    #[test]
    fn an_error_body_contains_code_message_and_details() {
        let error = Error::invalid("name", "is required");
        let expected = json!({ "code": 3, "message": "invalid argument: name: is required", "details": [] });
        assert_eq!(parsed(&error), expected);
        assert_eq!(parsed(&Error::new(ErrorKind::Stale, "x"))["code"], 10);
        assert_eq!(parsed(&Error::precondition("x"))["code"], 9);
    }

    #[test]
    fn internal_messages_are_not_disclosed() {
        let error = Error::internal("table users is damaged");
        assert_eq!(parsed(&error), json!({ "code": 13, "message": "internal error", "details": [] }));
        assert_eq!(status(error.kind()), 500);
    }
}
