//! The framing of messages after the startup packet: a type, a length, a body.

use crate::{ProtocolViolation, length_word};

/// The length of a type byte and a length word.
pub const HEADER_LENGTH: usize = 5;

/// The header of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type byte.
    pub kind: u8,
    /// The number of bytes that follow the header.
    pub body_length: usize,
}

impl Header {
    /// Decodes a header whose body has at most `max_body_length` bytes.
    pub fn parse(header: [u8; HEADER_LENGTH], max_body_length: usize) -> Result<Self, ProtocolViolation> {
        let [kind, length @ ..] = header;
        // The length word counts itself.
        let body_length = (u32::from_be_bytes(length) as usize).checked_sub(length.len());
        let body_length = body_length.filter(|length| *length <= max_body_length);
        let body_length = body_length.ok_or_else(|| ProtocolViolation::new("invalid message length"))?;
        Ok(Self { kind, body_length })
    }
}

/// A message within a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The type byte.
    pub kind: u8,
    /// What follows the header.
    pub body: &'a [u8],
}

impl Frame<'_> {
    /// The length of the message with its header.
    pub fn length(&self) -> usize {
        HEADER_LENGTH + self.body.len()
    }
}

/// The first message in `bytes`; `None` if it is incomplete.
pub fn first(bytes: &[u8], max_body_length: usize) -> Result<Option<Frame<'_>>, ProtocolViolation> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LENGTH>() else { return Ok(None) };
    let Header { kind, body_length } = Header::parse(*header, max_body_length)?;
    Ok(rest.get(..body_length).map(|body| Frame { kind, body }))
}

/// Appends a message.
pub fn put(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&length_word(body.len() + 4));
    out.extend_from_slice(body);
}

/// Encodes a message.
pub fn encode(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_LENGTH + body.len());
    put(&mut out, kind, body);
    out
}

/// Appends a message whose body `write` appends.
pub(crate) fn put_with<E>(
    out: &mut Vec<u8>,
    kind: u8,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = out.len();
    out.extend_from_slice(&[kind, 0, 0, 0, 0]);
    let written = write(out);
    if written.is_err() {
        out.truncate(start);
        return written;
    }
    let length = length_word(out.len() - start - 1);
    out[start + 1..start + HEADER_LENGTH].copy_from_slice(&length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::put_string;
    use proptest::prelude::*;

    #[test]
    fn messages_are_split_at_their_lengths() {
        let bytes = [encode(b'S', b"a\0b\0"), encode(b'Z', b"I")].concat();
        let frame = first(&bytes, 9).expect("a valid header").expect("a whole message");
        assert_eq!((frame, frame.length()), (Frame { kind: b'S', body: b"a\0b\0" }, 9));
        assert_eq!(first(&bytes[..8], 9), Ok(None));
        assert!(first(&bytes, 3).is_err() && first(b"S\0\0\0\x03", 9).is_err());
    }

    #[test]
    fn a_failed_body_leaves_nothing_behind() {
        let mut out = b"before".to_vec();
        assert_eq!(put_with(&mut out, b'Q', |_| Err(())), Err(()));
        assert_eq!(out, b"before");
        assert_eq!(put_with(&mut out, b'Q', |out| put_string(out, b"ab")), Ok(()));
        assert_eq!(out, b"beforeQ\0\0\0\x07ab\0");
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, max in 0usize..100) {
            let _ = first(&bytes, max);
        }
    }
}
