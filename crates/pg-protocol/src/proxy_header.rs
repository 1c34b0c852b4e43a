//! The header of the PROXY protocol, version 2: a load balancer sends it before anything else, to state
//! the address of the client.

use crate::ProtocolViolation;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest accepted header. Load balancers send a few hundred bytes at most.
pub const MAX_LENGTH: usize = 2048;

/// The length of the part that states the length of the rest.
pub const FIXED_LENGTH: usize = 16;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// A decoded header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The length of the header; the bytes after it are the client's.
    pub length: usize,
    /// The client's address. `None` for connections of the load balancer itself, such as health checks,
    /// and for clients without a TCP address; use the peer's address then.
    pub source: Option<SocketAddr>,
}

/// The length of the whole header, from its fixed part.
pub fn stated_length(fixed: &[u8; FIXED_LENGTH]) -> usize {
    FIXED_LENGTH + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]))
}

/// Decodes a header from the first bytes of a connection; `None` if it is incomplete.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, ProtocolViolation> {
    let start = &bytes[..bytes.len().min(SIGNATURE.len())];
    if !SIGNATURE.starts_with(start) {
        return Err(malformed(if bytes.starts_with(b"PROXY") {
            "version 1 is not supported; configure the load balancer to send version 2"
        } else {
            "the connection does not start with a version 2 header; connect through the load balancer"
        }));
    }
    let Some(([command, transport, high, low], rest)) =
        bytes.get(SIGNATURE.len()..).and_then(<[u8]>::split_first_chunk)
    else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if FIXED_LENGTH + length > MAX_LENGTH {
        return Err(malformed("the header is too long"));
    }
    let local = match command {
        0x20 => true,
        0x21 => false,
        0x22..=0x2f => return Err(malformed("unknown command")),
        _ => return Err(malformed("unknown version")),
    };
    // Checked before the addresses have arrived.
    let needed = if local { 0 } else { addresses_length(*transport)? };
    if length < needed {
        return Err(malformed("the header is too short for its addresses"));
    }
    let Some(body) = rest.get(..length) else {
        return Ok(None);
    };
    let source = if local { None } else { source_address(*transport, body) };
    Ok(Some(Header { length: FIXED_LENGTH + length, source }))
}

fn malformed(reason: &str) -> ProtocolViolation {
    ProtocolViolation::new(format!("invalid PROXY protocol header: {reason}"))
}

/// The length of the addresses of an address family and transport protocol.
fn addresses_length(transport: u8) -> Result<usize, ProtocolViolation> {
    match transport {
        0x00..=0x02 => Ok(0),
        0x10..=0x12 => Ok(12),
        0x20..=0x22 => Ok(36),
        0x30..=0x32 => Ok(216),
        _ => Err(malformed("unknown address family or protocol")),
    }
}

fn source_address(transport: u8, body: &[u8]) -> Option<SocketAddr> {
    let (address, ports): (IpAddr, _) = match transport {
        0x11 => {
            let (address, rest) = body.split_first_chunk::<4>()?;
            (Ipv4Addr::from(*address).into(), rest.get(4..)?)
        }
        0x21 => {
            let (address, rest) = body.split_first_chunk::<16>()?;
            (Ipv6Addr::from(*address).into(), rest.get(16..)?)
        }
        _ => return None,
    };
    let port = u16::from_be_bytes(*ports.first_chunk()?);
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(command: u8, transport: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).expect("a short body");
        [SIGNATURE, [command, transport].as_slice(), &length.to_be_bytes(), body].concat()
    }

    fn addressed(source: SocketAddr, more: &[u8]) -> Vec<u8> {
        let ports = [&source.port().to_be_bytes()[..], &26257u16.to_be_bytes()].concat();
        match source.ip() {
            IpAddr::V4(ip) => header(0x21, 0x11, &[&ip.octets()[..], &[10, 0, 0, 1], &ports, more].concat()),
            IpAddr::V6(ip) => header(0x21, 0x21, &[&ip.octets()[..], &[9; 16], &ports, more].concat()),
        }
    }

    #[test]
    fn client_addresses_are_decoded() {
        for text in ["192.0.2.7:5000", "[2001:db8::7]:65535"] {
            let source: SocketAddr = text.parse().expect("an address");
            for more in [&[][..], b"\x03\0\x04abcd"] {
                let bytes = addressed(source, more);
                let expected = Header { length: bytes.len(), source: Some(source) };
                assert_eq!(parse(&[&bytes[..], b"rest"].concat()), Ok(Some(expected)));
            }
        }
    }

    #[test]
    fn headers_without_a_tcp_address_have_no_source() {
        for bytes in [
            header(0x20, 0x00, &[]),
            header(0x20, 0x11, &[1; 12]),
            header(0x20, 0xff, &[]),
            header(0x21, 0x00, &[]),
            header(0x21, 0x00, b"\x03\0\x04abcd"),
            header(0x21, 0x12, &[1; 12]),
            header(0x21, 0x31, &[1; 216]),
        ] {
            assert_eq!(parse(&bytes), Ok(Some(Header { length: bytes.len(), source: None })), "{bytes:?}");
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        let text = |bytes: &[u8]| parse(bytes).expect_err("refused").to_string();
        assert!(text(b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 26257\r\n").contains("version 1"));
        for bytes in [
            &b"\0\0\0\x08\x04\xd2\x16\x2f"[..],
            b"GET / HTTP/1.1\r\n",
            b"\x16\x03\x01",
            b"\r\n\r\n\0\r\nQUIT!",
        ] {
            assert!(text(bytes).contains("does not start with"), "{bytes:?}");
        }
        assert!(text(&header(0x11, 0x11, &[1; 12])).contains("version"));
        assert!(text(&header(0x22, 0x11, &[1; 12])).contains("command"));
        assert!(text(&header(0x21, 0x43, &[1; 12])).contains("family"));
        assert!(text(&header(0x21, 0x11, &[1; 11])).contains("too short"));
        assert!(text(&header(0x21, 0x21, &[1; 35])).contains("too short"));
        assert!(text(&header(0x21, 0x11, &[0; 2033])[..16]).contains("too long"));
        assert!(parse(&header(0x21, 0x11, &[0; 2032])).is_ok());
    }

    proptest! {
        #[test]
        fn never_panics(start in 0usize..17, body in prop::collection::vec(any::<u8>(), 0..300)) {
            let whole = header(0x21, 0x11, &[]);
            let bytes = [&whole[..start.min(whole.len())], &body].concat();
            if let Ok(Some(header)) = parse(&bytes) {
                prop_assert!(header.length <= bytes.len() && header.length <= MAX_LENGTH);
            }
        }

        #[test]
        fn incomplete_headers_need_more_bytes(v6: bool, ip: u128, port: u16, more in prop::collection::vec(any::<u8>(), 0..40)) {
            let ip = if v6 { IpAddr::V6(ip.into()) } else { IpAddr::V4((ip as u32).into()) };
            let bytes = addressed(SocketAddr::new(ip, port), &more);
            for end in 0..bytes.len() {
                prop_assert_eq!(parse(&bytes[..end]), Ok(None));
            }
            let expected = Header { length: bytes.len(), source: Some(SocketAddr::new(ip, port)) };
            prop_assert_eq!(parse(&bytes), Ok(Some(expected)));
        }
    }
}
