//! Random tokens of sessions and links, and the hash under which a token is stored. Tokens must not be
//! logged.

use ootheca_model::hex;
use rand::{RngExt, distr::Alphanumeric};
use sha2::{Digest, Sha256};

const TOKEN_LENGTH: usize = 43;

/// A random token with 256 bits, as letters and digits.
pub fn random() -> String {
    rand::rng().sample_iter(Alphanumeric).take(TOKEN_LENGTH).map(char::from).collect()
}

/// Whether `text` has the format of a token.
pub fn is_token(text: &str) -> bool {
    text.len() == TOKEN_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The ID of the row for a token: its SHA-256 in hexadecimal.
pub fn id(token: &str) -> String {
    hex::encode(&Sha256::digest(token.as_bytes()))
}
