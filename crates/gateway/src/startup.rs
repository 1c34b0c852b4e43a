//! The packets that may open a connection, before there is a session: SSLRequest, GSSENCRequest,
//! CancelRequest and StartupMessage.
//!
//! Pure. Input comes from strangers: nothing here panics or allocates more than it was given.

use crate::wire;
use std::fmt;

/// The longest opening packet; the limit of PostgreSQL itself.
pub(crate) const MAX_LENGTH: usize = 10_000;

const CANCEL: u32 = code(1234, 5678);
const TLS: u32 = code(1234, 5679);
const GSS: u32 = code(1234, 5680);

const OLDEST: u32 = code(3, 0);
const NEWEST: u32 = code(3, 2);

/// How the names of protocol options begin.
const OPTION: &[u8] = b"_pq_.";

const fn code(major: u32, minor: u32) -> u32 {
    major << 16 | minor
}

/// An opening packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    /// The client wants TLS.
    Tls,
    /// The client wants GSSAPI encryption.
    Gss,
    /// The client wants a running statement ended.
    Cancel(Key),
    /// The client wants a session.
    Startup(Startup),
}

/// The key that names a session in a cancel request. Its secret is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// Process id, or what passes for it.
    pub(crate) pid: u32,
    /// 4 bytes, up to 256 since protocol 3.2.
    pub(crate) secret: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("pid", &self.pid).finish_non_exhaustive()
    }
}

impl Key {
    /// Reads what follows the code of a CancelRequest, or the body of a BackendKeyData message.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Malformed> {
        match body.split_first_chunk::<4>() {
            Some((pid, secret)) if (4..=256).contains(&secret.len()) => {
                Ok(Self { pid: u32::from_be_bytes(*pid), secret: secret.to_vec() })
            }
            _ => Err(Malformed("invalid cancel key".into())),
        }
    }

    /// The CancelRequest that carries this key.
    pub(crate) fn cancel_request(&self) -> Vec<u8> {
        let mut body = self.pid.to_be_bytes().to_vec();
        body.extend_from_slice(&self.secret);
        encode(CANCEL, &body)
    }
}

/// The request for a session. Values are bytes: only the server knows their encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Startup {
    version: u32,
    parameters: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Startup {
    #[cfg(test)]
    pub(crate) fn new(parameters: &[(&str, &str)]) -> Self {
        let own = |text: &str| text.as_bytes().to_vec();
        let parameters = parameters.iter().map(|(name, value)| (own(name), own(value))).collect();
        Self { version: code(3, 0), parameters }
    }

    /// The value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.parameters.iter().find(|(key, _)| key == name.as_bytes());
        found.map(|(_, value)| value.as_slice())
    }

    /// Gives an existing parameter another value; an empty one removes it.
    pub(crate) fn replace(&mut self, name: &str, value: Vec<u8>) {
        if value.is_empty() {
            self.parameters.retain(|(key, _)| key != name.as_bytes());
        } else if let Some(entry) = self.parameters.iter_mut().find(|(key, _)| key == name.as_bytes()) {
            entry.1 = value;
        }
    }

    /// What the client must be told of what it asked for and does not get. The gateway speaks up to
    /// [`NEWEST`] itself, and knows no protocol options.
    pub(crate) fn negotiation(&self) -> Option<Vec<u8>> {
        let options = self.parameters.iter().map(|(key, _)| key).filter(|key| key.starts_with(OPTION));
        let options: Vec<&Vec<u8>> = options.collect();
        if self.version <= NEWEST && options.is_empty() {
            return None;
        }
        let mut body = self.version.min(NEWEST).to_be_bytes().to_vec();
        body.extend_from_slice(&u32::try_from(options.len()).unwrap_or_default().to_be_bytes());
        options.into_iter().for_each(|option| body.extend(option.iter().chain(&[0])));
        Some(wire::message(b'v', &body))
    }

    /// Makes it what a server of any version understands. Versions differ in the length of cancel keys
    /// only, and clients get one of ours.
    pub(crate) fn simplify(&mut self) {
        self.version = OLDEST;
        self.parameters.retain(|(key, _)| !key.starts_with(OPTION));
    }

    /// The packet.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, value) in &self.parameters {
            body.extend_from_slice(name);
            body.push(0);
            body.extend_from_slice(value);
            body.push(0);
        }
        body.push(0);
        encode(self.version, &body)
    }
}

/// Why a packet can not be read. The text is for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

/// The number of bytes that follow the length word.
pub(crate) fn body_length(word: [u8; 4]) -> Result<usize, Malformed> {
    let length = u32::from_be_bytes(word) as usize;
    if (8..=MAX_LENGTH).contains(&length) {
        Ok(length - 4)
    } else {
        Err(Malformed("invalid length of startup packet".into()))
    }
}

/// Reads a packet without its length word.
pub(crate) fn parse(packet: &[u8]) -> Result<Packet, Malformed> {
    let Some((word, body)) = packet.split_first_chunk::<4>() else {
        return Err(Malformed("startup packet is too short".into()));
    };
    let version = u32::from_be_bytes(*word);
    match version {
        TLS | GSS if !body.is_empty() => Err(Malformed("encryption request is too long".into())),
        TLS => Ok(Packet::Tls),
        GSS => Ok(Packet::Gss),
        CANCEL => Key::parse(body).map(Packet::Cancel),
        _ if version >> 16 == 3 => parse_startup(version, body).map(Packet::Startup),
        _ => {
            let (major, minor) = (version >> 16, version & 0xffff);
            Err(Malformed(format!(
                "unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2"
            )))
        }
    }
}

fn parse_startup(version: u32, mut rest: &[u8]) -> Result<Startup, Malformed> {
    let mut startup = Startup { version, parameters: Vec::new() };
    loop {
        let name = text(&mut rest)?;
        if name.is_empty() {
            break;
        }
        let value = text(&mut rest)?;
        if startup.parameters.iter().any(|(key, _)| key == name) {
            let name = String::from_utf8_lossy(name).into_owned();
            return Err(Malformed(format!("invalid startup packet: parameter \"{name}\" is given twice")));
        }
        startup.parameters.push((name.to_vec(), value.to_vec()));
    }
    if rest.is_empty() {
        Ok(startup)
    } else {
        Err(Malformed("invalid startup packet layout: expected terminator as last byte".into()))
    }
}

fn text<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let all = *rest;
    let end = all.iter().position(|byte| *byte == 0);
    let end = end.ok_or_else(|| Malformed("invalid startup packet layout: unterminated text".into()))?;
    *rest = &all[end + 1..];
    Ok(&all[..end])
}

fn encode(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap_or(u32::MAX);
    let mut packet = length.to_be_bytes().to_vec();
    packet.extend_from_slice(&code.to_be_bytes());
    packet.extend_from_slice(body);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reread(packet: &[u8]) -> Result<Packet, Malformed> {
        let (word, body) = packet.split_first_chunk::<4>().expect("a length word");
        assert_eq!(body_length(*word), Ok(body.len()));
        parse(body)
    }

    #[test]
    fn requests() {
        assert_eq!(reread(&encode(TLS, &[])), Ok(Packet::Tls));
        assert_eq!(reread(&encode(GSS, &[])), Ok(Packet::Gss));
        assert!(reread(&encode(TLS, &[0])).is_err());
        let key = Key { pid: 7, secret: vec![1, 2, 3, 4] };
        assert_eq!(reread(&key.cancel_request()), Ok(Packet::Cancel(key)));
        assert!(reread(&encode(CANCEL, &[0; 7])).is_err());
    }

    #[test]
    fn limits() {
        for length in [0u32, 4, 7, 10_001, u32::MAX] {
            assert!(body_length(length.to_be_bytes()).is_err(), "{length}");
        }
        assert_eq!(body_length(10_000u32.to_be_bytes()), Ok(9_996));
    }

    #[test]
    fn startup() {
        let startup = Startup::new(&[("user", "ann"), ("database", "shop")]);
        assert_eq!(reread(&startup.encode()), Ok(Packet::Startup(startup)));
        assert!(reread(&encode(code(3, 0), b"user\0ann\0user\0bob\0\0")).is_err());
        assert!(reread(&encode(code(3, 0), b"user\0ann\0\0rest")).is_err());
        assert!(reread(&encode(code(3, 0), b"user\0ann")).is_err());
        assert!(reread(&encode(code(3, 2), b"\0")).is_ok());
        assert!(reread(&encode(code(2, 0), b"\0")).is_err());
    }

    #[test]
    fn newer_protocols() {
        let mut startup = Startup::new(&[("user", "ann"), ("_pq_.a", "1"), ("_pq_.b", "2")]);
        let expected = b"v\0\0\0\x1a\0\x03\0\0\0\0\0\x02_pq_.a\0_pq_.b\0";
        assert_eq!(startup.negotiation().as_deref(), Some(&expected[..]));
        startup.version = code(3, 9);
        startup.simplify();
        assert_eq!(startup, Startup::new(&[("user", "ann")]));
        assert_eq!(startup.negotiation(), None);
        startup.version = code(3, 2);
        assert_eq!(startup.negotiation(), None);
        startup.version = code(3, 9999);
        assert_eq!(startup.negotiation().as_deref(), Some(&b"v\0\0\0\x0c\0\x03\0\x02\0\0\0\0"[..]));
    }

    #[test]
    fn a_key_hides_its_secret() {
        let shown = format!("{:?}", Key { pid: 7, secret: vec![99; 4] });
        assert!(!shown.contains("99"), "{shown}");
    }

    proptest! {
        #[test]
        fn never_panics(word: [u8; 4], packet: Vec<u8>) {
            let _ = body_length(word);
            let _ = parse(&packet);
        }

        #[test]
        fn what_is_read_is_written_again(body in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..60)) {
            let mut packet = code(3, 0).to_be_bytes().to_vec();
            packet.extend(&body);
            if let Ok(Packet::Startup(startup)) = parse(&packet) {
                prop_assert_eq!(&startup.encode()[4..], packet);
            }
        }

        #[test]
        fn any_parameters(parameters in prop::collection::btree_map("[a-z_]{1,9}", "[^\0]{0,9}", 0..9)) {
            let pairs: Vec<(&str, &str)> = parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            let startup = Startup::new(&pairs);
            prop_assert_eq!(reread(&startup.encode()), Ok(Packet::Startup(startup)));
        }
    }
}
