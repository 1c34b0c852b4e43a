//! Messages that a client sends. Strings must not contain zero bytes.

use crate::{
    ProtocolViolation, length_word,
    message::{encode, put, put_with},
    put_string,
};

/// Executes a function by its object ID.
pub const FUNCTION_CALL: u8 = b'F';
/// Prepares a statement.
pub const PARSE: u8 = b'P';
/// Executes SQL text; its statements are separated by semicolons.
pub const QUERY: u8 = b'Q';
/// Answers an authentication request.
pub const SASL_RESPONSE: u8 = b'p';

/// The whole Terminate message, which ends a session.
pub const TERMINATE: &[u8] = b"X\0\0\0\x04";

/// Appends a Query.
pub fn put_query(out: &mut Vec<u8>, sql: &str) -> Result<(), ProtocolViolation> {
    put_with(out, QUERY, |out| put_string(out, sql.as_bytes()))
}

/// Appends a Parse that leaves all parameter types to the server.
pub fn put_parse(out: &mut Vec<u8>, statement: &str, sql: &str) -> Result<(), ProtocolViolation> {
    put_with(out, PARSE, |out| {
        put_string(out, statement.as_bytes())?;
        put_string(out, sql.as_bytes())?;
        out.extend_from_slice(&0u16.to_be_bytes());
        Ok(())
    })
}

/// Appends a Describe of a prepared statement.
pub fn put_describe_statement(out: &mut Vec<u8>, statement: &str) -> Result<(), ProtocolViolation> {
    put_with(out, b'D', |out| {
        out.push(b'S');
        put_string(out, statement.as_bytes())
    })
}

/// Appends a Bind of the unnamed portal to a statement without parameters; all columns as text.
pub fn put_bind(out: &mut Vec<u8>, statement: &str) -> Result<(), ProtocolViolation> {
    put_with(out, b'B', |out| {
        put_string(out, b"")?;
        put_string(out, statement.as_bytes())?;
        // The numbers of parameter formats, parameters, and result formats.
        out.extend_from_slice(&[0; 6]);
        Ok(())
    })
}

/// Appends an Execute of the unnamed portal; `max_rows` of 0 means all rows.
pub fn put_execute(out: &mut Vec<u8>, max_rows: u32) {
    let body = [&[0], max_rows.to_be_bytes().as_slice()].concat();
    put(out, b'E', &body);
}

/// Appends a Sync.
pub fn put_sync(out: &mut Vec<u8>) {
    put(out, b'S', &[]);
}

/// The body of a SASLInitialResponse.
pub fn sasl_initial_response(mechanism: &str, response: &[u8]) -> Vec<u8> {
    [mechanism.as_bytes(), b"\0", &length_word(response.len()), response].concat()
}

/// Encodes a SASLInitialResponse or a SASLResponse with this body.
pub fn sasl_response(body: &[u8]) -> Vec<u8> {
    encode(SASL_RESPONSE, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extended_query_protocol() {
        let mut out = Vec::new();
        put_parse(&mut out, "s", "SELECT 1").expect("no zero bytes");
        put_describe_statement(&mut out, "s").expect("no zero bytes");
        put_bind(&mut out, "s").expect("no zero bytes");
        put_execute(&mut out, 7);
        put_sync(&mut out);
        let expected = [
            &b"P\0\0\0\x11s\0SELECT 1\0\0\0"[..],
            b"D\0\0\0\x07Ss\0",
            b"B\0\0\0\x0d\0s\0\0\0\0\0\0\0",
            b"E\0\0\0\x09\0\0\0\0\x07",
            b"S\0\0\0\x04",
        ];
        assert_eq!(out, expected.concat());
    }

    #[test]
    fn strings_with_zero_bytes_are_refused() {
        let mut out = Vec::new();
        assert!(put_query(&mut out, "SELECT 1\0").is_err());
        assert!(put_parse(&mut out, "s", "a\0b").is_err());
        assert_eq!(out, b"");
    }

    #[test]
    fn terminate_is_an_empty_message() {
        assert_eq!(TERMINATE, encode(b'X', &[]));
    }
}
