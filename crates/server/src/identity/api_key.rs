//! API keys: creating and verifying secrets. Only a salted hash is stored.

use hmac::{Hmac, KeyInit, Mac};
use ootheca_model::{ApiKey, Error, ErrorKind, Result, ServiceAccount, Timestamp, hex};
use rand::{Rng, RngExt, distr::Alphanumeric};
use sha2::Sha256;
use std::ops::Range;
use subtle::ConstantTimeEq;

const PREFIX: &str = "CCDB1";
const ID_LENGTH: usize = 22;
const SECRET_LENGTH: usize = 40;

/// The secret of an API key: `CCDB1_<22>_<40>`, letters and digits. It must not be logged.
pub struct Secret {
    text: String,
}

/// The length of the ID of a key: its prefix, an underscore, and the rest.
const FULL_ID_LENGTH: usize = PREFIX.len() + 1 + ID_LENGTH;

impl Secret {
    /// Creates a random secret.
    pub fn random() -> Self {
        let part = |length| -> String {
            rand::rng().sample_iter(Alphanumeric).take(length).map(char::from).collect()
        };
        Self { text: format!("{PREFIX}_{}_{}", part(ID_LENGTH), part(SECRET_LENGTH)) }
    }

    /// Parses a secret; `None` if it has another format.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = text.strip_prefix(PREFIX)?.strip_prefix('_')?;
        let (id, rest) = parts.split_at_checked(ID_LENGTH)?;
        let rest = rest.strip_prefix('_').filter(|rest| rest.len() == SECRET_LENGTH)?;
        let good = id.bytes().chain(rest.bytes()).all(|byte| byte.is_ascii_alphanumeric());
        good.then(|| Self { text: text.to_owned() })
    }

    /// The ID of the key, which the secret contains.
    pub fn id(&self) -> &str {
        &self.text[..FULL_ID_LENGTH]
    }

    fn rest(&self) -> &str {
        &self.text[FULL_ID_LENGTH + 1..]
    }

    /// The full secret, to be shown to its owner once.
    pub fn reveal(&self) -> String {
        self.text.clone()
    }

    /// The row to store for the secret.
    pub fn key(&self, name: &str, account: &ServiceAccount, now: Timestamp) -> ApiKey {
        let mut salt = [0; 16];
        rand::rng().fill_bytes(&mut salt);
        let salt = hex::encode(&salt);
        let hash = hash(&salt, self.rest());
        ApiKey {
            organization: account.organization,
            id: self.id().to_owned(),
            name: name.to_owned(),
            service_account: account.id,
            created_at: now,
            salt,
            hash,
            expires_at: None,
            last_used_at: None,
        }
    }

    /// Whether this is the secret of `key`. Compares in constant time.
    pub fn matches(&self, key: &ApiKey) -> bool {
        hash(&key.salt, self.rest()).as_bytes().ct_eq(key.hash.as_bytes()).into()
    }
}

/// The range of the first secret in `text`, even if it is truncated: only the part after the ID of the key is
/// secret. Case is ignored, because a text can have been converted to lower case.
pub fn find_secret(text: &str) -> Option<Range<usize>> {
    let word = |byte: &u8| byte.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    let starts = (0..bytes.len()).filter(|at| {
        let prefix = bytes.get(*at..at + PREFIX.len());
        prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX.as_bytes()))
    });
    let mut secrets = starts.filter_map(|at| {
        let rest = bytes[at + PREFIX.len()..].strip_prefix(b"_")?;
        let (id, rest) = rest.split_at_checked(ID_LENGTH)?;
        let rest = rest.strip_prefix(b"_").filter(|_| id.iter().all(word))?;
        // Another key can follow immediately.
        let length = rest.iter().take_while(|byte| word(byte) || **byte == b'_').count();
        let start = bytes.len() - rest.len();
        (length > 0).then_some(start..start + length)
    });
    secrets.next()
}

/// The error for every token that is missing, malformed, unknown, or revoked.
pub fn unauthenticated() -> Error {
    Error::new(ErrorKind::Unauthenticated, "token bearer cannot be authenticated")
}

/// The token of an `Authorization` header.
pub fn bearer(header: Option<&str>) -> Result<&str> {
    let (scheme, token) = header.and_then(|value| value.split_once(' ')).ok_or_else(unauthenticated)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(unauthenticated()) }
}

fn hash(salt: &str, secret: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(salt.as_bytes()).expect("HMAC takes keys of any length");
    hex::encode(&mac.chain_update(secret).finalize().into_bytes())
}
