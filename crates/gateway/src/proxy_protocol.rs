//! The PROXY protocol, version 2. A stub until the real one is merged.

use crate::startup::Malformed;
use std::net::{Ipv4Addr, SocketAddr};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a proxy says about a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Its bytes.
    pub(crate) length: usize,
    /// Who the client is, if the proxy speaks for one.
    pub(crate) source: Option<SocketAddr>,
}

/// Reads a header; `None`: more bytes are needed.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    if !bytes.starts_with(&SIGNATURE[..bytes.len().min(SIGNATURE.len())]) {
        return Err(Malformed("no PROXY protocol header".into()));
    }
    if bytes.len() < 16 {
        return Ok(None);
    }
    let length = 16 + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if bytes.len() < length {
        return Ok(None);
    }
    let source = (bytes[12] & 15 == 1 && bytes[13] >> 4 == 1 && length >= 28).then(|| {
        let address = Ipv4Addr::new(bytes[16], bytes[17], bytes[18], bytes[19]);
        SocketAddr::new(address.into(), u16::from_be_bytes([bytes[24], bytes[25]]))
    });
    Ok(Some(Header { length, source }))
}
