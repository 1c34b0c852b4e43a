//! SCRAM-SHA-256 (RFC 5802, RFC 7677): the server's side towards clients, and the client's side
//! towards servers, without ever knowing a password.
//!
//! A client proves to know the password by showing its client key, masked. The verifier is enough to
//! check that, and to unmask the key; with the key one can log in to the server as that user.
//!
//! Pure. Input comes from strangers: nothing here panics. Nothing here shows a secret.

use crate::startup::Malformed;
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use std::fmt;
use subtle::ConstantTimeEq as _;

/// The mechanism without channel binding.
pub(crate) const PLAIN: &str = "SCRAM-SHA-256";
/// The mechanism with channel binding.
pub(crate) const PLUS: &str = "SCRAM-SHA-256-PLUS";

const BINDING: &str = "p=tls-server-end-point,,";
/// What PostgreSQL makes verifiers with, unless it is told otherwise.
const ITERATIONS: u32 = 4096;
const NONCE_BYTES: usize = 18;

/// A key, or the hash of one.
type Digest = [u8; 32];

/// The longest message of an exchange; PostgreSQL's own limit.
pub(crate) const MAX_MESSAGE: usize = 1024;

fn sign(key: &[u8], parts: &[&str]) -> Digest {
    // Keys of any length are good; an error can not be.
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

fn malformed(what: &str) -> Malformed {
    Malformed(format!("malformed SCRAM message: {what}"))
}

/// What PostgreSQL keeps of a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Verifier {
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
    /// Reads `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
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

    /// One that no password fits, for a user who is none: the same user gets the same salt each time,
    /// and the `iterations` of the cluster's other users.
    pub(crate) fn mock(
        secret: &Digest,
        cluster: impl fmt::Display,
        user: &str,
        iterations: Option<u32>,
    ) -> Self {
        let salt = sign(secret, &[&cluster.to_string(), "\0", user]);
        Self {
            iterations: iterations.filter(|count| *count > 0).unwrap_or(ITERATIONS),
            salt: BASE64.encode(&salt[..16]),
            stored_key: rand::random(),
            server_key: rand::random(),
        }
    }
}

/// Why an exchange ended without a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Somebody broke the protocol.
    Malformed(Malformed),
    /// The client was told that there is no channel binding: somebody is in between.
    Downgrade,
    /// The client sees another certificate than ours: somebody is in between.
    WrongBinding,
    /// The password is wrong, or there is none.
    WrongProof,
}

impl From<Malformed> for Failure {
    fn from(why: Malformed) -> Self {
        Self::Malformed(why)
    }
}

/// The body of the message that offers the mechanisms.
pub(crate) fn offer(binding: bool) -> Vec<u8> {
    let plus = if binding { [PLUS, "\0"].concat() } else { String::new() };
    [&plus, PLAIN, "\0\0"].concat().into_bytes()
}

/// An exchange with a client that has begun: what it is asked.
#[derive(Debug)]
pub(crate) struct Challenge {
    /// What `c=` must be.
    bound: String,
    client_first: String,
    /// The server's first message.
    pub(crate) message: String,
    nonce: String,
}

impl Challenge {
    /// Reads the body of a SASLInitialResponse. `binding` is the hash of our certificate, if channel
    /// binding was offered.
    pub(crate) fn begin(verifier: &Verifier, binding: Option<&[u8]>, body: &[u8]) -> Result<Self, Failure> {
        let (mechanism, first) = initial_response(body)?;
        let plus = match mechanism {
            PLUS if binding.is_some() => true,
            PLAIN => false,
            _ => return Err(Malformed("client selected an invalid SASL mechanism".into()).into()),
        };
        let (header, client_first) = match first.as_bytes() {
            [b'p', ..] if plus => {
                let rest = first.strip_prefix(BINDING);
                (BINDING, rest.ok_or_else(|| malformed("unsupported channel binding"))?)
            }
            [b'n', ..] if !plus => ("n,,", first.strip_prefix("n,,").unwrap_or_default()),
            [b'y', ..] if !plus && binding.is_some() => return Err(Failure::Downgrade),
            [b'y', ..] if !plus => ("y,,", first.strip_prefix("y,,").unwrap_or_default()),
            _ => return Err(malformed("the channel binding flag does not fit the mechanism").into()),
        };
        let mut parts = client_first.split(',');
        let user = parts.next().and_then(|part| part.strip_prefix("n="));
        user.ok_or_else(|| malformed("no user"))?;
        let client_nonce = parts.next().and_then(|part| part.strip_prefix("r=")).unwrap_or_default();
        if client_nonce.is_empty() || !client_nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(malformed("no nonce").into());
        }
        let bound = [header.as_bytes(), binding.filter(|_| plus).unwrap_or_default()].concat();
        let nonce = format!("{client_nonce}{}", nonce());
        let message = format!("r={nonce},s={},i={}", verifier.salt, verifier.iterations);
        Ok(Self { bound: BASE64.encode(bound), client_first: client_first.to_owned(), message, nonce })
    }

    /// Checks the client's answer.
    pub(crate) fn finish(&self, verifier: &Verifier, body: &[u8]) -> Result<Proof, Failure> {
        let last = text(body)?;
        let (unproven, proof) = last.rsplit_once(",p=").ok_or_else(|| malformed("no proof"))?;
        let proof = BASE64.decode(proof).ok().and_then(|proof| Digest::try_from(proof).ok());
        let proof = proof.ok_or_else(|| malformed("no proof"))?;
        let mut parts = unproven.split(',');
        let bound = parts.next().and_then(|part| part.strip_prefix("c="));
        let bound = bound.ok_or_else(|| malformed("no channel binding"))?;
        if !bool::from(bound.as_bytes().ct_eq(self.bound.as_bytes())) {
            return Err(Failure::WrongBinding);
        }
        let nonce = parts.next().and_then(|part| part.strip_prefix("r="));
        if nonce != Some(&self.nonce) {
            return Err(malformed("another nonce").into());
        }
        let exchange = [&self.client_first, ",", &self.message, ",", unproven];
        let client_key = ClientKey(mask(&proof, &sign(&verifier.stored_key, &exchange)));
        if !bool::from(hash(&client_key.0).ct_eq(&verifier.stored_key)) {
            return Err(Failure::WrongProof);
        }
        let signature = BASE64.encode(sign(&verifier.server_key, &exchange));
        Ok(Proof { client_key, message: format!("v={signature}") })
    }
}

/// What a user can log in with, as good as the password. Never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientKey(pub(crate) Digest);

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey")
    }
}

/// A client has proven to know the password.
#[derive(Debug)]
pub(crate) struct Proof {
    /// What it has proven that with.
    pub(crate) client_key: ClientKey,
    /// The server's last message.
    pub(crate) message: String,
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| malformed("not text"))
}

fn initial_response(body: &[u8]) -> Result<(&str, &str), Malformed> {
    let end = body.iter().position(|byte| *byte == 0).ok_or_else(|| malformed("no mechanism"))?;
    let (length, message) =
        body[end + 1..].split_first_chunk::<4>().ok_or_else(|| malformed("no response"))?;
    if u32::from_be_bytes(*length) as usize != message.len() {
        return Err(malformed("its length is wrong"));
    }
    Ok((text(&body[..end])?, text(message)?))
}

/// A login at a server, as the user with a client key.
pub(crate) struct Login<'a> {
    verifier: &'a Verifier,
    key: &'a ClientKey,
    nonce: String,
}

impl<'a> Login<'a> {
    /// Begins.
    pub(crate) fn new(verifier: &'a Verifier, key: &'a ClientKey) -> Self {
        Self { verifier, key, nonce: nonce() }
    }

    fn bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// The body of the SASLInitialResponse.
    pub(crate) fn first(&self) -> Vec<u8> {
        let first = format!("n,,{}", self.bare());
        let length = u32::try_from(first.len()).unwrap_or_default().to_be_bytes();
        [PLAIN.as_bytes(), b"\0", &length, first.as_bytes()].concat()
    }

    /// Answers what the server asks; with the signature that it must show.
    pub(crate) fn answer(&self, body: &[u8]) -> Result<(String, Digest), Malformed> {
        let challenge = text(body)?;
        let nonce = challenge.split(',').next().and_then(|part| part.strip_prefix("r="));
        let nonce = nonce.filter(|nonce| nonce.len() > self.nonce.len() && nonce.starts_with(&self.nonce));
        let unproven = format!("c=biws,r={}", nonce.ok_or_else(|| malformed("another nonce"))?);
        let bare = self.bare();
        let exchange = [bare.as_str(), ",", challenge, ",", &unproven];
        let proof = mask(&self.key.0, &sign(&hash(&self.key.0), &exchange));
        let signature = sign(&self.verifier.server_key, &exchange);
        Ok((format!("{unproven},p={}", BASE64.encode(proof)), signature))
    }

    /// Whether the server's last message shows the signature.
    pub(crate) fn signed(body: &[u8], signature: &Digest) -> bool {
        let shown = body.strip_prefix(b"v=").and_then(|text| BASE64.decode(text).ok());
        shown.is_some_and(|shown| bool::from(shown.ct_eq(signature)))
    }
}

#[cfg(test)]
#[path = "scram_tests.rs"]
mod tests;
