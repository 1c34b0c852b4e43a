//! What must hold for any bytes that a stranger sends. Run by the targets in `fuzz`, whose crate takes
//! in this file and the modules that it is about, and here over the seeds of their corpora.

use crate::{
    Notice,
    guard::{Guard, adds_data},
    proxy_protocol,
    route::route as routing_id,
    scram::{Challenge, ClientKey, Login, Verifier},
    startup::{self, Packet},
};
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, atomic::AtomicBool};

/// A packet that was read is written the same.
pub fn startup(bytes: &[u8]) {
    match startup::parse(bytes) {
        Ok(Packet::Startup(startup)) => assert_eq!(&startup.encode()[4..], bytes),
        Ok(Packet::Cancel(key)) => assert_eq!(&key.cancel_request()[4..], bytes),
        Ok(Packet::Tls | Packet::Gss) | Err(_) => {}
    }
}

/// What named the cluster is consumed, and what is left is still a packet. The bytes are a server name
/// and a packet, with a zero byte between.
pub fn route(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let server_name = std::str::from_utf8(&bytes[..end]).ok().filter(|name| !name.is_empty());
    let packet = bytes.get(end + 1..).unwrap_or_default();
    let Ok(Packet::Startup(mut startup)) = startup::parse(packet) else { return };
    let zones = ["b".to_owned()];
    let Ok(id) = routing_id(&mut startup, server_name, &zones) else { return };
    assert!(id.rsplit_once('-').is_some_and(|(name, number)| !name.is_empty() && !number.is_empty()), "{id}");
    assert_eq!(startup::parse(&startup.encode()[4..]), Ok(Packet::Startup(startup.clone())));
    startup.replace("database", Vec::new());
    assert!(routing_id(&mut startup, None, &zones).is_err());
}

/// A header is said to be there from its last byte on, and no bytes behind it matter.
pub fn proxy_protocol(bytes: &[u8]) {
    if let Ok(Some(header)) = proxy_protocol::parse(bytes) {
        assert!(header.length <= bytes.len() && header.length <= proxy_protocol::MAX_LENGTH);
        assert_eq!(proxy_protocol::parse(&bytes[..header.length - 1]), Ok(None));
        assert_eq!(proxy_protocol::parse(&bytes[..header.length]), Ok(Some(header)));
    }
}

/// A session is read the same however it is cut; nothing is left to refuse in what goes on; and without
/// a limit all of it goes on. The first byte is the length of the cuts.
pub fn guard(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let whole = guarded(true, [bytes].into_iter());
    assert_eq!(guarded(true, bytes.chunks(usize::from(*cut).max(1))), whole);
    assert_eq!(guarded(true, [whole.0.as_slice()].into_iter()).0, whole.0);
    let (up, down, well_formed) = guarded(false, [bytes].into_iter());
    for passed in [up, down] {
        assert!(bytes.starts_with(&passed) && (!well_formed || passed.len() + 4 >= bytes.len()));
    }
}

/// What goes on to the server and to the client, and whether all of it could be read.
fn guarded<'a>(over: bool, mut chunks: impl Iterator<Item = &'a [u8]> + Clone) -> (Vec<u8>, Vec<u8>, bool) {
    let notice = Notice { message: "message".into(), hint: "hint".into() };
    let mut guard = Guard::new(&notice, Arc::new(AtomicBool::new(over)));
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let sent = chunks.clone().all(|chunk| guard.up(chunk, &mut up).is_ok());
    let answered = chunks.all(|chunk| guard.down(chunk, &mut down).is_ok());
    (up, down, sent && answered)
}

/// A statement that adds data is found behind any other.
pub fn statement(bytes: &[u8]) {
    let adds = adds_data(bytes);
    assert_eq!(adds_data(&[b"select ';' ;", bytes].concat()), adds);
    if !bytes.contains(&0) {
        assert!(adds_data(&[bytes, b"\n;insert into t values (1)"].concat()));
    }
}

/// Nobody is let in who does not know the key, whatever he says, and no server is believed. The bytes are
/// a verifier, a client's two messages, and a server's two, with a byte between that is in no text.
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
        proves_nothing(verifier, None, first, last);
        proves_nothing(verifier, Some(b"the hash of a certificate"), first, last);
    }
    believes_nothing(&ours, &key, challenge, end);
}

/// A client that only guesses; of a nonce that is ours it knows the end.
fn proves_nothing(verifier: &Verifier, binding: Option<&[u8]>, first: &[u8], last: &[u8]) {
    let Ok(challenge) = Challenge::begin(verifier, binding, first) else { return };
    let nonce = challenge.message.strip_prefix("r=").and_then(|rest| rest.split_once(",s="));
    let (nonce, _) = nonce.unwrap_or_else(|| panic!("{}", challenge.message));
    let bound = if first.starts_with(b"SCRAM-SHA-256-PLUS") {
        [b"p=tls-server-end-point,,", binding.unwrap_or_default()].concat()
    } else {
        b"n,,".to_vec()
    };
    let shown = String::from_utf8_lossy(last);
    let (bound, proof) = (BASE64.encode(bound), BASE64.encode(Sha256::digest(last)));
    assert!(challenge.finish(verifier, last).is_err());
    assert!(challenge.finish(verifier, format!("c={bound},r={nonce},p={shown}").as_bytes()).is_err());
    assert!(challenge.finish(verifier, format!("c={bound},r={nonce},{shown},p={proof}").as_bytes()).is_err());
}

/// A server that only guesses, and the one that knows.
fn believes_nothing(verifier: &Verifier, key: &ClientKey, challenge: &[u8], end: &[u8]) {
    let login = Login::new(verifier, key);
    let first = login.first();
    let nonce = first.rsplit(|byte| *byte == b'=').next().unwrap_or_default();
    assert!(login.answer(challenge).is_err(), "not our nonce");
    if let Ok((answer, signature)) = login.answer(&[b"r=", nonce, challenge].concat()) {
        assert!(answer.as_bytes().starts_with(&[b"c=biws,r=", nonce].concat()), "{answer}");
        assert!(!Login::signed(end, &signature) && !Login::signed(&[b"v=", end].concat(), &signature));
    }
    let known = Challenge::begin(verifier, None, &first).unwrap_or_else(|why| panic!("{why:?}"));
    let (answer, signature) = login.answer(known.message.as_bytes()).unwrap_or_else(|why| panic!("{why:?}"));
    let proof = known.finish(verifier, answer.as_bytes()).unwrap_or_else(|why| panic!("{why:?}"));
    assert!(proof.client_key == *key && Login::signed(proof.message.as_bytes(), &signature));
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    type Target = fn(&[u8]);

    #[test]
    fn seeds() {
        let targets: [(&str, Target); 6] = [
            ("startup", super::startup),
            ("route", super::route),
            ("proxy_protocol", super::proxy_protocol),
            ("guard", super::guard),
            ("statement", super::statement),
            ("scram", super::scram),
        ];
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus-seeds");
        for (name, target) in targets {
            let seeds = fs::read_dir(folder.join(name)).expect("a folder of seeds");
            let seeds: Vec<_> = seeds.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
            assert!(!seeds.is_empty(), "{name}");
            seeds.iter().for_each(|seed| target(seed));
        }
        assert_eq!(fs::read_dir(folder).unwrap().count(), targets.len());
    }
}
