//! The PostgreSQL frontend/backend protocol, as far as Ootheca speaks it: the packets that open a
//! connection, the framing of messages, SCRAM-SHA-256, channel binding, and the PROXY header that may
//! precede all of them.
//!
//! Everything here works on bytes: no sockets, no files, no clock; only nonces are random. Most input is from
//! clients that have not authenticated, so decoding never panics and never allocates more than its
//! input requires. Secrets are not part of any `Debug` output.

pub mod backend;
pub mod channel_binding;
pub mod frontend;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod message;
pub mod proxy_header;
pub mod scram;
pub mod startup;

/// The peer sent bytes that violate the protocol. The text is fit to be sent back to the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProtocolViolation(String);

impl ProtocolViolation {
    /// A violation described by `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Splits bytes at the first zero byte, which belongs to neither part. Without a zero byte, the second
/// part is empty.
pub fn split_at_zero(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

/// Appends a zero-terminated string.
fn put_string(out: &mut Vec<u8>, text: &[u8]) -> Result<(), ProtocolViolation> {
    if text.contains(&0) {
        return Err(ProtocolViolation::new("a string contains a zero byte"));
    }
    out.extend_from_slice(text);
    out.push(0);
    Ok(())
}

/// The four bytes that state a length. Lengths beyond 4 GiB do not occur.
fn length_word(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}
