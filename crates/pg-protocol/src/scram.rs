//! SCRAM-SHA-256 (RFC 5802, RFC 7677): the server's side of the exchange, and the client's side with a
//! client key in place of the password.
//!
//! A client proves that it knows the password by sending its client key, masked. The verifier suffices
//! to check the proof and to unmask the key, and the key suffices to log in to the server as the same
//! user. So a proxy can pass a login through without ever learning the password.

use crate::{ProtocolViolation, frontend::sasl_initial_response, split_at_zero};
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use std::fmt;
use subtle::ConstantTimeEq as _;

/// The client's side with a password.
pub use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256 as PasswordExchange};

/// The mechanism without channel binding.
pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
/// The mechanism with channel binding.
pub const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";

const BINDING_HEADER: &str = "p=tls-server-end-point,,";
/// PostgreSQL's default.
const DEFAULT_ITERATIONS: u32 = 4096;
const NONCE_BYTES: usize = 18;

/// A key, the hash of a key, or a signature.
pub type Digest = [u8; 32];

/// The longest message of an exchange; PostgreSQL has the same limit.
pub const MAX_MESSAGE_LENGTH: usize = 1024;

/// HMAC-SHA-256 of the parts, one after the other.
pub fn sign(key: &[u8], parts: &[&str]) -> Digest {
    // HMAC accepts keys of any length, so this cannot fail.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().into()
}

fn hash(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

fn mask(one: &Digest, other: &Digest) -> Digest {
    std::array::from_fn(|index| one[index] ^ other[index])
}

fn nonce() -> String {
    BASE64.encode(rand::random::<[u8; NONCE_BYTES]>())
}

fn malformed(what: &str) -> ProtocolViolation {
    ProtocolViolation::new(format!("malformed SCRAM message: {what}"))
}

/// What PostgreSQL stores of a password, in `pg_authid.rolpassword`.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: u32,
    salt: String,
    stored_key: Digest,
    server_key: Digest,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    /// Parses `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let iterations = iterations.parse().ok().filter(|count| *count > 0)?;
        BASE64.decode(salt).ok().filter(|salt| !salt.is_empty())?;
        let key = |text: &str| BASE64.decode(text).ok()?.try_into().ok();
        Some(Self {
            iterations,
            salt: salt.to_owned(),
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }

    /// A verifier that no password matches, for a user that does not exist. The salt is derived from
    /// `secret`, `scope`, and `user`, so that repeated attempts see the same one; `iterations` should be
    /// those of existing users.
    pub fn mock(secret: &Digest, scope: impl fmt::Display, user: &str, iterations: Option<u32>) -> Self {
        let salt = sign(secret, &[&scope.to_string(), "\0", user]);
        Self {
            iterations: iterations.filter(|count| *count > 0).unwrap_or(DEFAULT_ITERATIONS),
            salt: BASE64.encode(&salt[..16]),
            stored_key: rand::random(),
            server_key: rand::random(),
        }
    }
}

/// Why a client was not authenticated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// The client violated the protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolViolation),
    /// The client supports channel binding and was told that the server does not, which indicates an
    /// attack.
    #[error("the client supports SCRAM channel binding but was told that the server does not")]
    Downgrade,
    /// The client received a different certificate, which indicates an attack.
    #[error("SCRAM channel binding check failed")]
    ChannelBinding,
    /// The password is wrong.
    #[error("wrong password")]
    WrongPassword,
}

/// The zero-terminated list of the mechanisms that a server offers.
pub fn mechanisms(channel_binding: bool) -> Vec<u8> {
    let plus = if channel_binding { [SCRAM_SHA_256_PLUS, "\0"].concat() } else { String::new() };
    [&plus, SCRAM_SHA_256, "\0\0"].concat().into_bytes()
}

/// The server's side of an exchange, after the client's first message.
#[derive(Debug)]
pub struct ServerExchange {
    /// The expected value of `c=`.
    binding: String,
    client_first_bare: String,
    challenge: String,
    nonce: String,
}

impl ServerExchange {
    /// Starts an exchange with the body of a SASLInitialResponse. `channel_binding` is the
    /// [binding](crate::channel_binding) of the server's certificate, if the mechanism with channel
    /// binding was offered.
    pub fn start(
        verifier: &Verifier,
        channel_binding: Option<&[u8]>,
        body: &[u8],
    ) -> Result<Self, AuthenticationError> {
        let (mechanism, first) = parse_initial_response(body)?;
        let plus = match mechanism {
            SCRAM_SHA_256_PLUS if channel_binding.is_some() => true,
            SCRAM_SHA_256 => false,
            _ => return Err(ProtocolViolation::new("client selected an invalid SASL mechanism").into()),
        };
        let (header, client_first_bare) = match first.as_bytes() {
            [b'p', ..] if plus => {
                let rest = first.strip_prefix(BINDING_HEADER);
                (BINDING_HEADER, rest.ok_or_else(|| malformed("unsupported channel binding"))?)
            }
            [b'n', ..] if !plus => ("n,,", first.strip_prefix("n,,").unwrap_or_default()),
            [b'y', ..] if !plus && channel_binding.is_some() => return Err(AuthenticationError::Downgrade),
            [b'y', ..] if !plus => ("y,,", first.strip_prefix("y,,").unwrap_or_default()),
            _ => return Err(malformed("the channel binding flag does not match the mechanism").into()),
        };
        let mut parts = client_first_bare.split(',');
        let user = parts.next().and_then(|part| part.strip_prefix("n="));
        user.ok_or_else(|| malformed("no user"))?;
        let client_nonce = parts.next().and_then(|part| part.strip_prefix("r=")).unwrap_or_default();
        if client_nonce.is_empty() || !client_nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(malformed("no nonce").into());
        }
        let binding = [header.as_bytes(), channel_binding.filter(|_| plus).unwrap_or_default()].concat();
        let nonce = format!("{client_nonce}{}", nonce());
        let challenge = format!("r={nonce},s={},i={}", verifier.salt, verifier.iterations);
        let (binding, client_first_bare) = (BASE64.encode(binding), client_first_bare.to_owned());
        Ok(Self { binding, client_first_bare, challenge, nonce })
    }

    /// The server's first message.
    pub fn challenge(&self) -> &str {
        &self.challenge
    }

    /// Verifies the client's last message.
    pub fn finish(&self, verifier: &Verifier, body: &[u8]) -> Result<Proof, AuthenticationError> {
        let last = text(body)?;
        let (without_proof, proof) = last.rsplit_once(",p=").ok_or_else(|| malformed("no proof"))?;
        let proof = BASE64.decode(proof).ok().and_then(|proof| Digest::try_from(proof).ok());
        let proof = proof.ok_or_else(|| malformed("no proof"))?;
        let mut parts = without_proof.split(',');
        let binding = parts.next().and_then(|part| part.strip_prefix("c="));
        let binding = binding.ok_or_else(|| malformed("no channel binding"))?;
        if !bool::from(binding.as_bytes().ct_eq(self.binding.as_bytes())) {
            return Err(AuthenticationError::ChannelBinding);
        }
        let nonce = parts.next().and_then(|part| part.strip_prefix("r="));
        if nonce != Some(&self.nonce) {
            return Err(malformed("the nonce does not match").into());
        }
        let auth_message = [&self.client_first_bare, ",", &self.challenge, ",", without_proof];
        let client_key = ClientKey(mask(&proof, &sign(&verifier.stored_key, &auth_message)));
        if !bool::from(hash(&client_key.0).ct_eq(&verifier.stored_key)) {
            return Err(AuthenticationError::WrongPassword);
        }
        let signature = BASE64.encode(sign(&verifier.server_key, &auth_message));
        Ok(Proof { client_key, server_final: format!("v={signature}") })
    }
}

/// A key that authenticates a user as the password does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientKey(pub Digest);

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey")
    }
}

/// The result of a successful exchange.
#[derive(Debug)]
pub struct Proof {
    /// The client's key.
    pub client_key: ClientKey,
    /// The server's last message.
    pub server_final: String,
}

fn text(bytes: &[u8]) -> Result<&str, ProtocolViolation> {
    std::str::from_utf8(bytes).map_err(|_| malformed("not text"))
}

/// The mechanism and the message.
fn parse_initial_response(body: &[u8]) -> Result<(&str, &str), ProtocolViolation> {
    if !body.contains(&0) {
        return Err(malformed("no mechanism"));
    }
    let (mechanism, rest) = split_at_zero(body);
    let (length, message) = rest.split_first_chunk::<4>().ok_or_else(|| malformed("no response"))?;
    if u32::from_be_bytes(*length) as usize != message.len() {
        return Err(malformed("the length of the response is wrong"));
    }
    Ok((text(mechanism)?, text(message)?))
}

/// The client's side of an exchange, with a client key in place of a password.
pub struct KeyExchange<'a> {
    verifier: &'a Verifier,
    key: &'a ClientKey,
    nonce: String,
}

impl<'a> KeyExchange<'a> {
    /// A new exchange. The server must prove that it knows `verifier`.
    pub fn new(verifier: &'a Verifier, key: &'a ClientKey) -> Self {
        Self { verifier, key, nonce: nonce() }
    }

    fn client_first_bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// The body of the SASLInitialResponse.
    pub fn initial_response(&self) -> Vec<u8> {
        let first = format!("n,,{}", self.client_first_bare());
        sasl_initial_response(SCRAM_SHA_256, first.as_bytes())
    }

    /// The response to the server's challenge, and the signature that the server must send then.
    pub fn respond(&self, body: &[u8]) -> Result<(String, Digest), ProtocolViolation> {
        let challenge = text(body)?;
        let nonce = challenge.split(',').next().and_then(|part| part.strip_prefix("r="));
        let nonce = nonce.filter(|nonce| nonce.len() > self.nonce.len() && nonce.starts_with(&self.nonce));
        let nonce = nonce.ok_or_else(|| malformed("the nonce does not match"))?;
        let without_proof = format!("c=biws,r={nonce}");
        let client_first_bare = self.client_first_bare();
        let auth_message = [client_first_bare.as_str(), ",", challenge, ",", &without_proof];
        let proof = mask(&self.key.0, &sign(&hash(&self.key.0), &auth_message));
        let signature = sign(&self.verifier.server_key, &auth_message);
        Ok((format!("{without_proof},p={}", BASE64.encode(proof)), signature))
    }

    /// Whether the server's last message has the expected signature.
    pub fn is_signed(body: &[u8], signature: &Digest) -> bool {
        let sent = body.strip_prefix(b"v=").and_then(|text| BASE64.decode(text).ok());
        sent.is_some_and(|sent| bool::from(sent.ct_eq(signature)))
    }
}

#[cfg(test)]
#[path = "scram_tests.rs"]
mod tests;
