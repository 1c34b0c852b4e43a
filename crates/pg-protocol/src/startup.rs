//! The packets that can open a connection: SSLRequest, GSSENCRequest, CancelRequest, and StartupMessage.
//! They have a length but no type.

use crate::{ProtocolViolation, backend::NEGOTIATE_PROTOCOL_VERSION, length_word, message, split_at_zero};
use std::fmt;

/// The longest opening packet; PostgreSQL has the same limit.
pub const MAX_LENGTH: usize = 10_000;

/// The whole SSLRequest.
pub const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// The whole GSSENCRequest.
pub const GSSENC_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

const CANCEL_CODE: u32 = version(1234, 5678);
const SSL_CODE: u32 = version(1234, 5679);
const GSSENC_CODE: u32 = version(1234, 5680);

const OLDEST_VERSION: u32 = version(3, 0);
const NEWEST_VERSION: u32 = version(3, 2);

/// The prefix of protocol options.
const OPTION_PREFIX: &[u8] = b"_pq_.";

const fn version(major: u32, minor: u32) -> u32 {
    major << 16 | minor
}

/// An opening packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// Requests TLS.
    SslRequest,
    /// Requests GSSAPI encryption.
    GssEncRequest,
    /// Requests the cancellation of a running statement.
    CancelRequest(CancelKey),
    /// Requests a session.
    StartupMessage(StartupMessage),
}

impl Packet {
    /// The number of bytes that follow the length word.
    pub fn body_length(length_word: [u8; 4]) -> Result<usize, ProtocolViolation> {
        let length = u32::from_be_bytes(length_word) as usize;
        if (8..=MAX_LENGTH).contains(&length) {
            Ok(length - 4)
        } else {
            Err(ProtocolViolation::new("invalid length of startup packet"))
        }
    }

    /// Decodes what follows the length word.
    pub fn parse(body: &[u8]) -> Result<Self, ProtocolViolation> {
        let Some((code, rest)) = body.split_first_chunk::<4>() else {
            return Err(ProtocolViolation::new("startup packet is too short"));
        };
        let code = u32::from_be_bytes(*code);
        match code {
            SSL_CODE | GSSENC_CODE if !rest.is_empty() => {
                Err(ProtocolViolation::new("encryption request is too long"))
            }
            SSL_CODE => Ok(Self::SslRequest),
            GSSENC_CODE => Ok(Self::GssEncRequest),
            CANCEL_CODE => CancelKey::parse(rest).map(Self::CancelRequest),
            _ if code >> 16 == 3 => StartupMessage::parse(code, rest).map(Self::StartupMessage),
            _ => {
                let (major, minor) = (code >> 16, code & 0xffff);
                Err(ProtocolViolation::new(format!(
                    "unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2"
                )))
            }
        }
    }
}

/// The key that identifies a session in a CancelRequest.
#[derive(Clone, PartialEq, Eq)]
pub struct CancelKey {
    /// The process ID, or a number in its place.
    pub pid: u32,
    /// 4 bytes, or up to 256 since protocol 3.2.
    pub secret: Vec<u8>,
}

impl fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelKey").field("pid", &self.pid).finish_non_exhaustive()
    }
}

impl CancelKey {
    /// Decodes what follows the code of a CancelRequest, or the body of a BackendKeyData.
    pub fn parse(body: &[u8]) -> Result<Self, ProtocolViolation> {
        match body.split_first_chunk::<4>() {
            Some((pid, secret)) if (4..=256).contains(&secret.len()) => {
                Ok(Self { pid: u32::from_be_bytes(*pid), secret: secret.to_vec() })
            }
            _ => Err(ProtocolViolation::new("invalid cancel key")),
        }
    }

    /// The body of a BackendKeyData.
    pub fn body(&self) -> Vec<u8> {
        [&self.pid.to_be_bytes(), self.secret.as_slice()].concat()
    }

    /// The CancelRequest with this key.
    pub fn cancel_request(&self) -> Vec<u8> {
        encode(CANCEL_CODE, &self.body())
    }
}

/// The request for a session. Values are bytes, because only the server knows their encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartupMessage {
    version: u32,
    parameters: Vec<(Vec<u8>, Vec<u8>)>,
}

impl StartupMessage {
    /// A message of protocol 3.0. Names must not be empty, and neither names nor values may contain zero
    /// bytes.
    pub fn new<'a, V: AsRef<[u8]>>(
        parameters: impl IntoIterator<Item = (&'a str, V)>,
    ) -> Result<Self, ProtocolViolation> {
        let valid = |(name, value): (&str, V)| {
            let value = value.as_ref();
            if name.is_empty() || name.contains('\0') || value.contains(&0) {
                return Err(ProtocolViolation::new("invalid name or value of a startup parameter"));
            }
            Ok((name.as_bytes().to_vec(), value.to_vec()))
        };
        let parameters = parameters.into_iter().map(valid).collect::<Result<_, _>>()?;
        Ok(Self { version: OLDEST_VERSION, parameters })
    }

    /// Decodes what follows the version.
    fn parse(version: u32, mut rest: &[u8]) -> Result<Self, ProtocolViolation> {
        let mut message = Self { version, parameters: Vec::new() };
        loop {
            let name = take_string(&mut rest)?;
            if name.is_empty() {
                break;
            }
            let value = take_string(&mut rest)?;
            if message.get_bytes(name).is_some() {
                let name = String::from_utf8_lossy(name);
                return Err(ProtocolViolation::new(format!(
                    "invalid startup packet: parameter \"{name}\" is given twice"
                )));
            }
            message.parameters.push((name.to_vec(), value.to_vec()));
        }
        if rest.is_empty() {
            Ok(message)
        } else {
            let text = "invalid startup packet layout: expected terminator as last byte";
            Err(ProtocolViolation::new(text))
        }
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_bytes(name.as_bytes())
    }

    fn get_bytes(&self, name: &[u8]) -> Option<&[u8]> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_slice())
    }

    /// Replaces the value of an existing parameter. An empty value removes it.
    pub fn replace(&mut self, name: &str, value: Vec<u8>) {
        if value.is_empty() {
            self.parameters.retain(|(key, _)| key != name.as_bytes());
        } else if let Some(entry) = self.parameters.iter_mut().find(|(key, _)| key == name.as_bytes()) {
            entry.1 = value;
        }
    }

    /// The NegotiateProtocolVersion for a client that requests a protocol newer than 3.2, or any
    /// protocol option: none is supported.
    pub fn negotiation(&self) -> Option<Vec<u8>> {
        let names = self.parameters.iter().map(|(name, _)| name);
        let options: Vec<&Vec<u8>> = names.filter(|name| name.starts_with(OPTION_PREFIX)).collect();
        if self.version <= NEWEST_VERSION && options.is_empty() {
            return None;
        }
        let mut body = self.version.min(NEWEST_VERSION).to_be_bytes().to_vec();
        body.extend_from_slice(&u32::try_from(options.len()).unwrap_or_default().to_be_bytes());
        options.into_iter().for_each(|option| body.extend(option.iter().chain(&[0])));
        Some(message::encode(NEGOTIATE_PROTOCOL_VERSION, &body))
    }

    /// Changes the message to protocol 3.0 without options, which every server accepts. The versions
    /// differ only in the length of cancel keys.
    pub fn downgrade(&mut self) {
        self.version = OLDEST_VERSION;
        self.parameters.retain(|(name, _)| !name.starts_with(OPTION_PREFIX));
    }

    /// Encodes the packet.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for text in self.parameters.iter().flat_map(|(name, value)| [name, value]) {
            body.extend_from_slice(text);
            body.push(0);
        }
        body.push(0);
        encode(self.version, &body)
    }
}

fn take_string<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], ProtocolViolation> {
    if !rest.contains(&0) {
        return Err(ProtocolViolation::new("invalid startup packet layout: unterminated text"));
    }
    let (text, after) = split_at_zero(rest);
    *rest = after;
    Ok(text)
}

fn encode(code: u32, body: &[u8]) -> Vec<u8> {
    [&length_word(body.len() + 8), code.to_be_bytes().as_slice(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message_of(parameters: &[(&str, &str)]) -> StartupMessage {
        StartupMessage::new(parameters.iter().copied()).expect("valid parameters")
    }

    fn decode(packet: &[u8]) -> Result<Packet, ProtocolViolation> {
        let (word, body) = packet.split_first_chunk::<4>().expect("a length word");
        assert_eq!(Packet::body_length(*word), Ok(body.len()));
        Packet::parse(body)
    }

    #[test]
    fn requests_round_trip() {
        assert_eq!(decode(&encode(SSL_CODE, &[])), Ok(Packet::SslRequest));
        assert_eq!(decode(&encode(GSSENC_CODE, &[])), Ok(Packet::GssEncRequest));
        assert!(decode(&encode(SSL_CODE, &[0])).is_err());
        let key = CancelKey { pid: 7, secret: vec![1, 2, 3, 4] };
        assert_eq!(decode(&key.cancel_request()), Ok(Packet::CancelRequest(key)));
        assert!(decode(&encode(CANCEL_CODE, &[0; 7])).is_err());
    }

    #[test]
    fn lengths_are_limited() {
        for length in [0u32, 4, 7, 10_001, u32::MAX] {
            assert!(Packet::body_length(length.to_be_bytes()).is_err(), "{length}");
        }
        assert_eq!(Packet::body_length(10_000u32.to_be_bytes()), Ok(9_996));
    }

    #[test]
    fn startup_messages_round_trip() {
        let startup = message_of(&[("user", "ann"), ("database", "shop")]);
        assert_eq!(decode(&startup.encode()), Ok(Packet::StartupMessage(startup)));
        assert!(decode(&encode(version(3, 0), b"user\0ann\0user\0bob\0\0")).is_err());
        assert!(decode(&encode(version(3, 0), b"user\0ann\0\0rest")).is_err());
        assert!(decode(&encode(version(3, 0), b"user\0ann")).is_err());
        assert!(decode(&encode(version(3, 2), b"\0")).is_ok());
        assert!(decode(&encode(version(2, 0), b"\0")).is_err());
    }

    #[test]
    fn newer_protocols_are_negotiated_down() {
        let mut startup = message_of(&[("user", "ann"), ("_pq_.a", "1"), ("_pq_.b", "2")]);
        let expected = b"v\0\0\0\x1a\0\x03\0\0\0\0\0\x02_pq_.a\0_pq_.b\0";
        assert_eq!(startup.negotiation().as_deref(), Some(&expected[..]));
        startup.version = version(3, 9);
        startup.downgrade();
        assert_eq!(startup, message_of(&[("user", "ann")]));
        assert_eq!(startup.negotiation(), None);
        startup.version = version(3, 2);
        assert_eq!(startup.negotiation(), None);
        startup.version = version(3, 9999);
        assert_eq!(startup.negotiation().as_deref(), Some(&b"v\0\0\0\x0c\0\x03\0\x02\0\0\0\0"[..]));
    }

    #[test]
    fn request_constants_are_the_encoded_packets() {
        assert_eq!(encode(SSL_CODE, &[]), SSL_REQUEST);
        assert_eq!(encode(GSSENC_CODE, &[]), GSSENC_REQUEST);
        assert!(StartupMessage::new([("user", "a\0b")]).is_err());
    }

    #[test]
    fn debug_output_of_a_key_hides_its_secret() {
        let shown = format!("{:?}", CancelKey { pid: 7, secret: vec![99; 4] });
        assert!(!shown.contains("99"), "{shown}");
    }

    proptest! {
        #[test]
        fn never_panics(word: [u8; 4], packet: Vec<u8>) {
            let _ = Packet::body_length(word);
            let _ = Packet::parse(&packet);
        }

        #[test]
        fn decoded_messages_encode_to_the_same_bytes(body in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..60)) {
            let mut packet = version(3, 0).to_be_bytes().to_vec();
            packet.extend(&body);
            if let Ok(Packet::StartupMessage(startup)) = Packet::parse(&packet) {
                prop_assert_eq!(&startup.encode()[4..], packet);
            }
        }

        #[test]
        fn parameters_round_trip(parameters in prop::collection::btree_map("[a-z_]{1,9}", "[^\0]{0,9}", 0..9)) {
            let pairs: Vec<(&str, &str)> = parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            let startup = message_of(&pairs);
            prop_assert_eq!(decode(&startup.encode()), Ok(Packet::StartupMessage(startup)));
        }
    }
}
