//! Channel binding of the type `tls-server-end-point` (RFC 5929): the hash of the server's certificate,
//! with the hash function of the certificate's signature.

use sha2::{Digest as _, Sha256, Sha384, Sha512};
use x509_parser::{
    oid_registry::{
        OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_SHA1WITHRSA, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA,
        OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
        OID_SIG_ECDSA_WITH_SHA512, Oid, asn1_rs::oid,
    },
    parse_x509_certificate,
};

const ECDSA_WITH_SHA1: Oid<'_> = oid!(1.2.840.10045.4.1);

/// The binding of a certificate in DER form; `None` if it cannot be parsed, or if RFC 5929 defines none
/// for its signature algorithm.
pub fn tls_server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let algorithm = &parsed.signature_algorithm.algorithm;
    // RFC 5929 replaces MD5 and SHA-1 by SHA-256.
    let sha256 = [
        OID_PKCS1_MD5WITHRSAENC,
        OID_PKCS1_SHA1WITHRSA,
        OID_PKCS1_SHA256WITHRSA,
        ECDSA_WITH_SHA1,
        OID_SIG_ECDSA_WITH_SHA256,
    ];
    if sha256.contains(algorithm) {
        Some(Sha256::digest(certificate).to_vec())
    } else if [OID_PKCS1_SHA384WITHRSA, OID_SIG_ECDSA_WITH_SHA384].contains(algorithm) {
        Some(Sha384::digest(certificate).to_vec())
    } else if [OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA512].contains(algorithm) {
        Some(Sha512::digest(certificate).to_vec())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    #[test]
    fn the_hash_function_is_that_of_the_signature() {
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
