//! Properties that hold for all input. The targets in `fuzz` check them for generated input, the tests
//! for the seeds of the corpora.

use crate::{
    Notice,
    session::routing::route,
    storage_guard::{StorageGuard, adds_data},
};
use ootheca_pg_protocol::{fuzzing::Target, startup::Packet};
use std::sync::{Arc, atomic::AtomicBool};

/// All targets of this crate.
pub const TARGETS: [Target; 3] =
    [("routing", routing), ("statement", statement), ("storage_guard", storage_guard)];

/// The parts that identify the cluster are removed, and the rest is a valid packet. The input is a server
/// name and a packet, separated by a zero byte.
pub fn routing(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let server_name = std::str::from_utf8(&bytes[..end]).ok().filter(|name| !name.is_empty());
    let packet = bytes.get(end + 1..).unwrap_or_default();
    let Ok(Packet::StartupMessage(mut startup)) = Packet::parse(packet) else { return };
    let domains = ["b".to_owned()];
    let Ok(id) = route(&mut startup, server_name, &domains) else { return };
    assert!(id.rsplit_once('-').is_some_and(|(name, number)| !name.is_empty() && !number.is_empty()), "{id}");
    assert_eq!(Packet::parse(&startup.encode()[4..]), Ok(Packet::StartupMessage(startup.clone())));
    startup.replace("database", Vec::new());
    assert!(route(&mut startup, None, &domains).is_err());
}

/// The result does not depend on chunks; bytes that have passed pass again; and everything passes unless
/// the limit is exceeded. The first byte is the length of the chunks.
pub fn storage_guard(bytes: &[u8]) {
    let Some((chunk_length, bytes)) = bytes.split_first() else { return };
    let whole = guarded(true, [bytes].into_iter());
    assert_eq!(guarded(true, bytes.chunks(usize::from(*chunk_length).max(1))), whole);
    assert_eq!(guarded(true, [whole.0.as_slice()].into_iter()).0, whole.0);
    let (up, down, well_formed) = guarded(false, [bytes].into_iter());
    for passed in [up, down] {
        assert!(bytes.starts_with(&passed) && (!well_formed || passed.len() + 4 >= bytes.len()));
    }
}

/// The bytes for the server and for the client, and whether the input is well-formed.
fn guarded<'a>(
    exceeded: bool,
    mut chunks: impl Iterator<Item = &'a [u8]> + Clone,
) -> (Vec<u8>, Vec<u8>, bool) {
    let notice = Notice { message: "message".into(), hint: "hint".into() };
    let mut guard = StorageGuard::new(&notice, Arc::new(AtomicBool::new(exceeded)));
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let sent = chunks.clone().all(|chunk| guard.inbound(chunk, &mut up).is_ok());
    let answered = chunks.all(|chunk| guard.outbound(chunk, &mut down).is_ok());
    (up, down, sent && answered)
}

/// A statement that adds data is recognized after any other.
pub fn statement(bytes: &[u8]) {
    let adds = adds_data(bytes);
    assert_eq!(adds_data(&[b"select ';' ;", bytes].concat()), adds);
    if !bytes.contains(&0) {
        assert!(adds_data(&[bytes, b"\n;insert into t values (1)"].concat()));
    }
}

#[cfg(test)]
mod tests {
    use super::TARGETS;
    use ootheca_pg_protocol::fuzzing::{self, run_seeds};
    use std::{fs, path::Path};

    #[test]
    fn properties_hold_for_the_seeds() {
        TARGETS.into_iter().for_each(run_seeds);
    }

    #[test]
    fn every_target_has_a_corpus_and_a_program() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
        let mut expected: Vec<_> = TARGETS.iter().chain(&fuzzing::TARGETS).map(|(name, _)| *name).collect();
        expected.sort_unstable();
        for folder in ["corpus-seeds", "targets"] {
            let entries = fs::read_dir(fuzz.join(folder)).expect("a folder").flatten();
            let mut names: Vec<_> =
                entries.filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned())).collect();
            names.sort_unstable();
            assert_eq!(names, expected, "{folder}");
        }
    }
}
