//! Messages that a server sends.

use crate::{
    message::{encode, put},
    split_at_zero,
};

/// An [`AuthenticationRequest`].
pub const AUTHENTICATION: u8 = b'R';
/// The key for cancel requests; see [`CancelKey`](crate::startup::CancelKey).
pub const BACKEND_KEY_DATA: u8 = b'K';
/// A statement has completed; the body is its command tag.
pub const COMMAND_COMPLETE: u8 = b'C';
/// The server sends the data of a COPY.
pub const COPY_OUT_RESPONSE: u8 = b'H';
/// The server expects the data of a COPY.
pub const COPY_IN_RESPONSE: u8 = b'G';
/// A COPY in both directions begins, for replication only.
pub const COPY_BOTH_RESPONSE: u8 = b'W';
/// A row; see [`row_values`].
pub const DATA_ROW: u8 = b'D';
/// An error; see [`fields`].
pub const ERROR_RESPONSE: u8 = b'E';
/// The server speaks an older protocol, or not all of its options.
pub const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';
/// A notice; see [`fields`].
pub const NOTICE_RESPONSE: u8 = b'N';
/// A notification from another session.
pub const NOTIFICATION_RESPONSE: u8 = b'A';
/// The types of a statement's parameters.
pub const PARAMETER_DESCRIPTION: u8 = b't';
/// The current value of a setting.
pub const PARAMETER_STATUS: u8 = b'S';
/// The server is ready for the next query; the body is the transaction status.
pub const READY_FOR_QUERY: u8 = b'Z';
/// The columns of a row; see [`columns`].
pub const ROW_DESCRIPTION: u8 = b'T';

/// The severity of an ErrorResponse or NoticeResponse, which is never translated.
pub const SEVERITY: u8 = b'V';
/// The error code of an ErrorResponse or NoticeResponse.
pub const SQLSTATE: u8 = b'C';
/// The message of an ErrorResponse or NoticeResponse.
pub const MESSAGE: u8 = b'M';
/// The hint of an ErrorResponse or NoticeResponse.
pub const HINT: u8 = b'H';

/// A step of authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticationRequest<'a> {
    /// Authentication is complete.
    Ok,
    /// SASL is required; the zero-terminated names of the mechanisms.
    Sasl(&'a [u8]),
    /// The server's challenge.
    SaslContinue(&'a [u8]),
    /// The server's last message of a successful exchange.
    SaslFinal(&'a [u8]),
    /// A request that is not supported here.
    Other(u32),
}

impl<'a> AuthenticationRequest<'a> {
    /// Decodes the body; `None` if it is too short.
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let (code, data) = body.split_first_chunk::<4>()?;
        Some(match u32::from_be_bytes(*code) {
            0 => Self::Ok,
            10 => Self::Sasl(data),
            11 => Self::SaslContinue(data),
            12 => Self::SaslFinal(data),
            other => Self::Other(other),
        })
    }

    /// Appends the message.
    pub fn put(self, out: &mut Vec<u8>) {
        let (code, data): (u32, &[u8]) = match self {
            Self::Ok => (0, &[]),
            Self::Sasl(data) => (10, data),
            Self::SaslContinue(data) => (11, data),
            Self::SaslFinal(data) => (12, data),
            Self::Other(code) => (code, &[]),
        };
        put(out, AUTHENTICATION, &[&code.to_be_bytes(), data].concat());
    }
}

/// Encodes an ErrorResponse. Removes zero bytes from the texts.
pub fn error_response(severity: &str, sqlstate: &str, message: &str, hint: Option<&str>) -> Vec<u8> {
    let fields = [(b'S', severity), (SEVERITY, severity), (SQLSTATE, sqlstate), (MESSAGE, message)];
    let mut body = Vec::new();
    for (code, text) in fields.into_iter().chain(hint.map(|hint| (HINT, hint))) {
        body.push(code);
        body.extend(text.bytes().filter(|byte| *byte != 0));
        body.push(0);
    }
    body.push(0);
    encode(ERROR_RESPONSE, &body)
}

/// The fields of an ErrorResponse or a NoticeResponse: codes and values.
pub fn fields(mut body: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (code, rest) = body.split_first().filter(|(code, _)| **code != 0)?;
        let (value, rest) = split_at_zero(rest);
        body = rest;
        Some((*code, value))
    })
}

/// A field of an ErrorResponse or a NoticeResponse.
pub fn field(body: &[u8], code: u8) -> Option<&[u8]> {
    fields(body).find(|(found, _)| *found == code).map(|(_, value)| value)
}

/// The values of a DataRow; `None` is NULL.
pub fn row_values(body: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = body.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length));
        let value = length.ok().map(|length| after.get(..length).unwrap_or(after));
        rest = &after[value.map_or(0, <[u8]>::len)..];
        Some(value)
    })
}

/// A column of a RowDescription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The object ID of the data type.
    pub type_oid: u32,
    /// The type modifier, such as a length; -1 without one.
    pub type_modifier: i32,
}

/// The columns of a RowDescription.
pub fn columns(body: &[u8]) -> impl Iterator<Item = Column<'_>> {
    let mut rest = body.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (name, after) = split_at_zero(rest);
        // Table oid, column number, type oid, type size, type modifier, format.
        let ([_, _, _, _, _, _, a, b, c, d, _, _, e, f, g, h, _, _], after) = after.split_first_chunk()?;
        rest = after;
        let type_oid = u32::from_be_bytes([*a, *b, *c, *d]);
        Some(Column { name, type_oid, type_modifier: i32::from_be_bytes([*e, *f, *g, *h]) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::first;
    use proptest::prelude::*;

    #[test]
    fn an_error_response_round_trips_without_zero_bytes() {
        let bytes = error_response("FATAL", "08004", "no\0pe", Some("ask"));
        assert_eq!(bytes, b"E\0\0\0\x25SFATAL\0VFATAL\0C08004\0Mnope\0Hask\0\0");
        let body = first(&bytes, 99).expect("a valid header").expect("a whole message").body;
        assert_eq!(field(body, SQLSTATE), Some(&b"08004"[..]));
        assert_eq!(field(body, HINT), Some(&b"ask"[..]));
        assert_eq!(field(body, b'D'), None);
    }

    #[test]
    fn fields_end_at_the_terminator() {
        assert_eq!(field(b"SFATAL\0\0C28P01\0\0", SQLSTATE), None);
    }

    #[test]
    fn authentication_requests_round_trip() {
        let requests = [
            AuthenticationRequest::Ok,
            AuthenticationRequest::Sasl(b"SCRAM-SHA-256\0\0"),
            AuthenticationRequest::SaslContinue(b"r=a"),
            AuthenticationRequest::SaslFinal(b"v=a"),
            AuthenticationRequest::Other(5),
        ];
        for request in requests {
            let mut out = Vec::new();
            request.put(&mut out);
            let frame = first(&out, 99).expect("a valid header").expect("a whole message");
            assert_eq!(frame.kind, AUTHENTICATION);
            assert_eq!(AuthenticationRequest::parse(frame.body), Some(request));
        }
        assert_eq!(AuthenticationRequest::parse(&[0; 3]), None);
    }

    #[test]
    fn null_and_empty_values_differ() {
        let body = b"\0\x03\0\0\0\x01a\xff\xff\xff\xff\0\0\0\0";
        let values: Vec<_> = row_values(body).collect();
        assert_eq!(values, [Some(&b"a"[..]), None, Some(&b""[..])]);
    }

    #[test]
    fn columns_have_names_and_types() {
        let described = b"\0\x02id\0\0\0\0\x01\0\x02\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0\
                          n\0\0\0\0\0\0\0\0\0\x04\x13\xff\xff\0\0\0\x0c\0\0";
        let read: Vec<_> = columns(described).collect();
        let expected = [
            Column { name: b"id", type_oid: 23, type_modifier: -1 },
            Column { name: b"n", type_oid: 1043, type_modifier: 12 },
        ];
        assert_eq!(read, expected);
    }

    proptest! {
        #[test]
        fn never_panics(body: Vec<u8>) {
            let _ = AuthenticationRequest::parse(&body);
            let _ = fields(&body).count() + row_values(&body).count() + columns(&body).count();
        }
    }
}
