//! Properties that hold for all input. The targets in `fuzz` check them for generated input, the tests
//! for the seeds of the corpora.

use crate::{
    backend, message, proxy_header,
    scram::{ClientKey, KeyExchange, ServerExchange, Verifier},
    startup::Packet,
};
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use sha2::{Digest as _, Sha256};

/// The name of a target and of its corpus, and its property.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate.
pub const TARGETS: [Target; 4] =
    [("message", message), ("proxy_header", proxy_header), ("scram", scram), ("startup", startup)];

/// A decoded packet encodes to the same bytes.
pub fn startup(bytes: &[u8]) {
    match Packet::parse(bytes) {
        Ok(Packet::StartupMessage(startup)) => assert_eq!(&startup.encode()[4..], bytes),
        Ok(Packet::CancelRequest(key)) => assert_eq!(&key.cancel_request()[4..], bytes),
        Ok(Packet::SslRequest | Packet::GssEncRequest) | Err(_) => {}
    }
}

/// A decoded message encodes to the same bytes, is incomplete without its last byte, and has a body that
/// can be read as any type.
pub fn message(bytes: &[u8]) {
    let Ok(Some(frame)) = message::first(bytes, usize::MAX) else { return };
    let whole = &bytes[..frame.length()];
    assert_eq!(message::encode(frame.kind, frame.body), whole);
    assert_eq!(message::first(&whole[..whole.len() - 1], usize::MAX), Ok(None));
    if let Some(request) = backend::AuthenticationRequest::parse(frame.body) {
        let mut out = Vec::new();
        request.put(&mut out);
        assert_eq!(backend::AuthenticationRequest::parse(&out[message::HEADER_LENGTH..]), Some(request));
    }
    let parts = backend::fields(frame.body).count() + backend::row_values(frame.body).count();
    assert!(parts + backend::columns(frame.body).count() <= 3 * frame.body.len());
}

/// A header is complete from its last byte on, and bytes after it do not matter.
pub fn proxy_header(bytes: &[u8]) {
    if let Ok(Some(header)) = proxy_header::parse(bytes) {
        assert!(header.length <= bytes.len() && header.length <= proxy_header::MAX_LENGTH);
        assert_eq!(proxy_header::parse(&bytes[..header.length - 1]), Ok(None));
        assert_eq!(proxy_header::parse(&bytes[..header.length]), Ok(Some(header)));
    }
}

/// No client is authenticated without the key, and no server is accepted without the verifier. The input
/// is a verifier, two messages of a client, and two of a server, separated by a byte that UTF-8 never uses.
pub fn scram(bytes: &[u8]) {
    let mut parts = bytes.splitn(5, |byte| *byte == 0xff);
    let mut part = || parts.next().unwrap_or_default();
    let (known, first, last, challenge, end) = (part(), part(), part(), part(), part());
    let key = ClientKey([7; 32]);
    let (salt, stored) = (BASE64.encode([1; 16]), BASE64.encode(Sha256::digest(key.0)));
    let text = format!("SCRAM-SHA-256$4096:{salt}${stored}:{}", BASE64.encode([9; 32]));
    let ours = Verifier::parse(&text).unwrap_or_else(|| panic!("{text}"));
    let theirs = std::str::from_utf8(known).ok().and_then(Verifier::parse);
    for verifier in theirs.iter().chain([&ours]) {
        client_is_refused(verifier, None, first, last);
        client_is_refused(verifier, Some(b"the hash of a certificate"), first, last);
    }
    server_is_refused(&ours, &key, challenge, end);
}

/// A client without the key, which answers with the right nonce.
fn client_is_refused(verifier: &Verifier, binding: Option<&[u8]>, first: &[u8], last: &[u8]) {
    let Ok(exchange) = ServerExchange::start(verifier, binding, first) else { return };
    let nonce = exchange.challenge().strip_prefix("r=").and_then(|rest| rest.split_once(",s="));
    let (nonce, _) = nonce.unwrap_or_else(|| panic!("{}", exchange.challenge()));
    let bound = if first.starts_with(b"SCRAM-SHA-256-PLUS") {
        [b"p=tls-server-end-point,,", binding.unwrap_or_default()].concat()
    } else {
        b"n,,".to_vec()
    };
    let text = String::from_utf8_lossy(last);
    let (bound, proof) = (BASE64.encode(bound), BASE64.encode(Sha256::digest(last)));
    assert!(exchange.finish(verifier, last).is_err());
    assert!(exchange.finish(verifier, format!("c={bound},r={nonce},p={text}").as_bytes()).is_err());
    assert!(exchange.finish(verifier, format!("c={bound},r={nonce},{text},p={proof}").as_bytes()).is_err());
}

/// A server without the verifier; then one that has it.
fn server_is_refused(verifier: &Verifier, key: &ClientKey, challenge: &[u8], end: &[u8]) {
    let client = KeyExchange::new(verifier, key);
    let first = client.initial_response();
    let nonce = first.rsplit(|byte| *byte == b'=').next().unwrap_or_default();
    assert!(client.respond(challenge).is_err(), "the nonce is unknown to the input");
    if let Ok((response, signature)) = client.respond(&[b"r=", nonce, challenge].concat()) {
        assert!(response.as_bytes().starts_with(&[b"c=biws,r=", nonce].concat()), "{response}");
        assert!(!KeyExchange::is_signed(end, &signature));
        assert!(!KeyExchange::is_signed(&[b"v=", end].concat(), &signature));
    }
    let server = ServerExchange::start(verifier, None, &first).unwrap_or_else(|why| panic!("{why:?}"));
    let (response, signature) =
        client.respond(server.challenge().as_bytes()).unwrap_or_else(|why| panic!("{why:?}"));
    let proof = server.finish(verifier, response.as_bytes()).unwrap_or_else(|why| panic!("{why:?}"));
    assert!(proof.client_key == *key);
    assert!(KeyExchange::is_signed(proof.server_final.as_bytes(), &signature));
}

/// Runs a target over the seeds of its corpus.
#[track_caller]
pub fn run_seeds((name, property): Target) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus-seeds").join(name);
    let seeds = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let seeds: Vec<_> = seeds.flatten().filter_map(|entry| std::fs::read(entry.path()).ok()).collect();
    assert!(!seeds.is_empty(), "{name} has no seeds");
    seeds.iter().for_each(|seed| property(seed));
}

#[cfg(test)]
mod tests {
    #[test]
    fn properties_hold_for_the_seeds() {
        super::TARGETS.into_iter().for_each(super::run_seeds);
    }
}
