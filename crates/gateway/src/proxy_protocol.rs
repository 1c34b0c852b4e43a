//! The header that a load balancer may put before everything else, to say who the client is: PROXY
//! protocol, version 2.
//!
//! Pure. Input comes from strangers: nothing here panics or allocates more than it was given.

use crate::startup::Malformed;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header. Nobody sends more than some hundred bytes.
pub(crate) const MAX_LENGTH: usize = 2048;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const FIXED: usize = 16;

/// What the header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The length of the header; what follows belongs to the client.
    pub(crate) length: usize,
    /// The client. `None` where the balancer speaks for itself, or the client has no TCP address: then
    /// the peer of the connection is meant.
    pub(crate) source: Option<SocketAddr>,
}

/// Reads a header from the first bytes of a connection; `None` says that more are needed.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let start = &bytes[..bytes.len().min(SIGNATURE.len())];
    if !SIGNATURE.starts_with(start) {
        return Err(malformed(if bytes.starts_with(b"PROXY") {
            "version 1 is not supported; have the load balancer send version 2"
        } else {
            "the connection does not begin with a header of version 2; connect through the load balancer"
        }));
    }
    let Some(([command, transport, high, low], rest)) =
        bytes.get(SIGNATURE.len()..).and_then(<[u8]>::split_first_chunk)
    else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if FIXED + length > MAX_LENGTH {
        return Err(malformed("the header is too long"));
    }
    let local = match command {
        0x20 => true,
        0x21 => false,
        0x22..=0x2f => return Err(malformed("unknown command")),
        _ => return Err(malformed("unknown version")),
    };
    // The addresses have to fit into what was announced, so that is checked before they are there.
    let needed = if local { 0 } else { addresses(*transport)? };
    if length < needed {
        return Err(malformed("the header is too short for its addresses"));
    }
    let Some(body) = rest.get(..length) else {
        return Ok(None);
    };
    let source = if local { None } else { source(*transport, body) };
    Ok(Some(Header { length: FIXED + length, source }))
}

fn malformed(why: &str) -> Malformed {
    Malformed(format!("invalid PROXY protocol header: {why}"))
}

/// The length of the addresses of a family and protocol.
fn addresses(transport: u8) -> Result<usize, Malformed> {
    match transport {
        0x00..=0x02 => Ok(0),
        0x10..=0x12 => Ok(12),
        0x20..=0x22 => Ok(36),
        0x30..=0x32 => Ok(216),
        _ => Err(malformed("unknown address family or protocol")),
    }
}

fn source(transport: u8, body: &[u8]) -> Option<SocketAddr> {
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
    fn addresses_of_clients() {
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
    fn without_an_address() {
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
    fn refused() {
        let text = |bytes: &[u8]| parse(bytes).expect_err("refused").0;
        assert!(text(b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 26257\r\n").contains("version 1"));
        for bytes in [
            &b"\0\0\0\x08\x04\xd2\x16\x2f"[..],
            b"GET / HTTP/1.1\r\n",
            b"\x16\x03\x01",
            b"\r\n\r\n\0\r\nQUIT!",
        ] {
            assert!(text(bytes).contains("does not begin with"), "{bytes:?}");
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
        fn nothing_is_said_before_the_end(v6: bool, ip: u128, port: u16, more in prop::collection::vec(any::<u8>(), 0..40)) {
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
