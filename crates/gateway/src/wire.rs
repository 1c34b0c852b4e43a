//! Messages of the PostgreSQL protocol after the startup packet: a type, a length, a body.

use crate::startup::Malformed;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _};

const HEAD: usize = 5;

/// Appends a message.
pub(crate) fn put(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(body);
}

/// A message.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + body.len());
    put(&mut out, kind, body);
    out
}

/// An authentication request.
pub(crate) fn put_authentication(out: &mut Vec<u8>, code: u32, body: &[u8]) {
    put(out, b'R', &[&code.to_be_bytes(), body].concat());
}

/// Type, body, and length with all.
type Message<'a> = (u8, &'a [u8], usize);

/// The first message of some bytes; `None`: it is not all there.
pub(crate) fn first(bytes: &[u8], longest: usize) -> Result<Option<Message<'_>>, Malformed> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
    let length = body_length(head, longest)?;
    Ok(rest.get(..length).map(|body| (head[0], body, HEAD + length)))
}

/// Reads a message, and not a byte more.
pub(crate) async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    longest: usize,
) -> io::Result<Result<(u8, Vec<u8>), Malformed>> {
    let mut head = [0; HEAD];
    stream.read_exact(&mut head).await?;
    let length = match body_length(&head, longest) {
        Ok(length) => length,
        Err(why) => return Ok(Err(why)),
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Ok((head[0], body)))
}

fn body_length(head: &[u8; HEAD], longest: usize) -> Result<usize, Malformed> {
    let [_, length @ ..] = *head;
    let length = (u32::from_be_bytes(length) as usize).checked_sub(4);
    length.filter(|length| *length <= longest).ok_or_else(|| Malformed("invalid message length".into()))
}

/// A field of the body of an ErrorResponse.
pub(crate) fn error_field(body: &[u8], field: u8) -> Option<&[u8]> {
    body.split(|byte| *byte == 0).find_map(|text| text.strip_prefix(&[field]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages() {
        let bytes = [message(b'S', b"a\0b\0"), message(b'Z', b"I")].concat();
        assert_eq!(first(&bytes, 9), Ok(Some((b'S', &b"a\0b\0"[..], 9))));
        assert_eq!(first(&bytes[..8], 9), Ok(None));
        assert!(first(&bytes, 3).is_err() && first(b"S\0\0\0\x03", 9).is_err());
        assert_eq!(error_field(b"SFATAL\0C28P01\0\0", b'C'), Some(&b"28P01"[..]));
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, longest in 0usize..100) {
            let _ = first(&bytes, longest);
            let _ = error_field(&bytes, b'C');
        }
    }
}
