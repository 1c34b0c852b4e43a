//! The recovery key, and the keys that are derived from it.

use aws_lc_rs::{
    aead::{AES_256_GCM, LessSafeKey, UnboundKey},
    digest::{SHA256, digest},
    hkdf::{HKDF_SHA256, Salt},
    rand,
};
use ootheca_model::{ClusterId, Error, Result, hex};
use std::{fmt, str::FromStr};

/// What a key is derived for. No text is the beginning of another one.
const FOR_OBJECT: &[u8] = b"ootheca backup object of cluster ";
const FOR_CONTROL: &[u8] = b"ootheca copy of the control store";
const FOR_FINGERPRINT: &[u8] = b"ootheca recovery key fingerprint";

/// The beginning of the text form of a key.
const TEXT: &str = "oork1";
/// The digits of the text form, five bits each. Zero and one are omitted because they look like letters.
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// The number of bytes of a key, and with its checksum.
const KEY: usize = 32;
const CHECKED: usize = KEY + 3;
/// Each group of digits encodes a group of bytes.
const GROUP_DIGITS: usize = 8;
const GROUP_BYTES: usize = 5;

/// The number of random bytes from which the key of an object is derived.
pub(crate) const SALT: usize = 32;

/// The key of all backups of one installation. Without it, they can't be read.
#[derive(Clone)]
pub struct RecoveryKey([u8; KEY]);

impl RecoveryKey {
    /// Creates a new key.
    pub fn random() -> Self {
        Self(random())
    }

    pub fn from_bytes(bytes: [u8; KEY]) -> Self {
        Self(bytes)
    }

    /// The key itself, which is secret.
    pub fn to_bytes(&self) -> [u8; KEY] {
        self.0
    }

    /// Identifies the key without revealing it: 32 hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        let mut bytes = [0; 32];
        let derived = Salt::none(HKDF_SHA256).extract(&self.0);
        derived
            .expand(&[FOR_FINGERPRINT], HKDF_SHA256)
            .and_then(|output| output.fill(&mut bytes))
            .expect("HKDF can derive 32 bytes");
        hex::encode(&bytes[..16])
    }

    /// The key as text for people, with a checksum: `oork1`, and seven groups of eight letters and digits. Secret.
    pub fn reveal(&self) -> String {
        let mut text = TEXT.to_owned();
        for bytes in self.with_checksum().as_chunks::<GROUP_BYTES>().0 {
            let bits = bytes.iter().fold(0_usize, |bits, byte| (bits << 8) | usize::from(*byte));
            let digits = (0..GROUP_DIGITS).rev().map(|place| DIGITS[(bits >> (5 * place)) & 31]);
            text.push('-');
            text.extend(digits.map(char::from));
        }
        text
    }

    fn with_checksum(&self) -> [u8; CHECKED] {
        let mut bytes = [0; CHECKED];
        bytes[..KEY].copy_from_slice(&self.0);
        bytes[KEY..].copy_from_slice(&digest(&SHA256, &self.0).as_ref()[..CHECKED - KEY]);
        bytes
    }

    /// The key of an object of this cluster, or of a copy of the control store.
    pub(crate) fn derive(&self, cluster: Option<ClusterId>, salt: &[u8; SALT]) -> LessSafeKey {
        let name = cluster.map(|cluster| cluster.to_string()).unwrap_or_default();
        let derived = Salt::new(HKDF_SHA256, salt).extract(&self.0);
        let purpose = [if cluster.is_some() { FOR_OBJECT } else { FOR_CONTROL }, name.as_bytes()];
        let key = derived.expand(&purpose, &AES_256_GCM).expect("HKDF can derive a key");
        LessSafeKey::new(UnboundKey::from(key))
    }
}

impl FromStr for RecoveryKey {
    type Err = Error;

    /// Parses the text of [`RecoveryKey::reveal`], or 64 hexadecimal digits. Case, spaces, and hyphens don't matter.
    fn from_str(text: &str) -> Result<Self> {
        let mut text: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        text.make_ascii_lowercase();
        if let Some(bytes) = hex::decode(&text).and_then(|bytes| bytes.try_into().ok()) {
            return Ok(Self(bytes));
        }
        let invalid = |rule: &str| Error::invalid("recovery key", rule);
        let bytes = text.strip_prefix(TEXT).and_then(from_digits).ok_or_else(|| {
            invalid(
                "must be oork1, and seven groups of eight characters, each a letter or a digit from 2 to 7",
            )
        })?;
        let mut key = [0; KEY];
        key.copy_from_slice(&bytes[..KEY]);
        let key = Self(key);
        match key.with_checksum() == bytes {
            true => Ok(key),
            false => Err(invalid("has a wrong character: its checksum does not match")),
        }
    }
}

fn from_digits(text: &str) -> Option<[u8; CHECKED]> {
    let (groups, []) = text.as_bytes().as_chunks::<GROUP_DIGITS>() else { return None };
    let mut bytes = Vec::with_capacity(CHECKED);
    for group in groups {
        let mut bits = 0_u64;
        for digit in group {
            let value = (0_u64..).zip(DIGITS).find(|(_, known)| *known == digit)?.0;
            bits = (bits << 5) | value;
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[8 - GROUP_BYTES..]);
    }
    bytes.try_into().ok()
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoveryKey({})", self.fingerprint())
    }
}

/// Random bytes for keys.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system has random numbers");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fingerprint_identifies_the_key_without_revealing_it() {
        let (one, other) = (RecoveryKey::random(), RecoveryKey::random());
        assert_eq!(RecoveryKey::from_bytes(one.to_bytes()).fingerprint(), one.fingerprint());
        assert_ne!(one.fingerprint(), other.fingerprint());
        assert_eq!(one.fingerprint().len(), 32);
        let shown = format!("{one:?}");
        assert_eq!(shown, format!("RecoveryKey({})", one.fingerprint()));
        assert!(!hex::encode(&one.to_bytes()).contains(&one.fingerprint()));
    }

    #[test]
    fn text_form_does_not_change() {
        let zeros = "-aaaaaaaa".repeat(6);
        let text = RecoveryKey::from_bytes([0; KEY]).reveal();
        assert_eq!(text, format!("oork1{zeros}-aaagm2d2"));
    }

    #[test]
    fn text_that_is_no_key_is_refused() {
        for text in ["", "oork1", "oork1-aaaaaaaa", "oork2-aaaaaaaa", "ä", "00", "secret secret"] {
            let message = text.parse::<RecoveryKey>().unwrap_err().message().to_owned();
            assert!(message.starts_with("invalid argument: recovery key: must be"), "{text:?}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn keys_are_parsed_from_both_text_forms(bytes: [u8; KEY], spaces: bool, upper: bool) {
            let key = RecoveryKey::from_bytes(bytes);
            let mut text = key.reveal();
            if spaces {
                text = text.replace('-', " \n");
            }
            if upper {
                text.make_ascii_uppercase();
            }
            prop_assert_eq!(text.parse::<RecoveryKey>().unwrap().to_bytes(), bytes);
            prop_assert_eq!(hex::encode(&bytes).parse::<RecoveryKey>().unwrap().to_bytes(), bytes);
        }

        #[test]
        fn a_wrong_character_is_detected(bytes: [u8; KEY], at in any::<prop::sample::Index>(), digit in 0..31_usize) {
            let mut text = RecoveryKey::from_bytes(bytes).reveal().into_bytes();
            let digits: Vec<usize> = (TEXT.len()..text.len()).filter(|at| text[*at] != b'-').collect();
            let at = *at.get(&digits);
            let others: Vec<u8> = DIGITS.iter().copied().filter(|other| *other != text[at]).collect();
            text[at] = others[digit];
            prop_assert!(String::from_utf8(text).unwrap().parse::<RecoveryKey>().is_err());
        }
    }
}
