//! What ties a login to our certificate: the `tls-server-end-point` of RFC 5929, its hash with the
//! hash function of its signature.

use sha2::{Digest as _, Sha256, Sha384, Sha512};

const TAG_SEQUENCE: u8 = 0x30;
const TAG_OID: u8 = 0x06;
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
const ECDSA_SHA2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
const ECDSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];

/// The binding of a certificate in DER; `None` where RFC 5929 has no answer.
pub(crate) fn tls_server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (whole, _) = element(certificate, TAG_SEQUENCE)?;
    let (_, rest) = element(whole, TAG_SEQUENCE)?;
    let (algorithm, _) = element(rest, TAG_SEQUENCE)?;
    let (identifier, _) = element(algorithm, TAG_OID)?;
    let (family, last) = identifier.split_at(identifier.len().checked_sub(1)?);
    match (family, last.first()?) {
        // MD5 and SHA-1 count as SHA-256.
        _ if identifier == ECDSA_SHA1 => Some(Sha256::digest(certificate).to_vec()),
        (RSA, 4 | 5 | 11) | (ECDSA_SHA2, 2) => Some(Sha256::digest(certificate).to_vec()),
        (RSA, 12) | (ECDSA_SHA2, 3) => Some(Sha384::digest(certificate).to_vec()),
        (RSA, 13) | (ECDSA_SHA2, 4) => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

/// The content of a DER element, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ 0..0x80 => (usize::from(*short), rest),
        long => {
            let count = usize::from(long & 0x7f);
            if !(1..=4).contains(&count) || rest.len() < count {
                return None;
            }
            let (length, rest) = rest.split_at(count);
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
    };
    (*found == tag && length <= rest.len()).then(|| rest.split_at(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    #[test]
    fn the_hash_follows_the_signature() {
        let certificate = |algorithm| {
            let pair = KeyPair::generate_for(algorithm).expect("a key");
            let params = CertificateParams::new(vec!["localhost".into()]).expect("names");
            params.self_signed(&pair).expect("a certificate").der().to_vec()
        };
        let der = certificate(&PKCS_ECDSA_P256_SHA256);
        assert_eq!(tls_server_end_point(&der), Some(Sha256::digest(&der).to_vec()));
        let der = certificate(&PKCS_ECDSA_P384_SHA384);
        assert_eq!(tls_server_end_point(&der), Some(Sha384::digest(&der).to_vec()));
        assert_eq!(tls_server_end_point(&certificate(&PKCS_ED25519)), None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = tls_server_end_point(&bytes);
        }
    }
}
