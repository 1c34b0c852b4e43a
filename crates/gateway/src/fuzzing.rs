//! Properties that hold for all input. The targets in `fuzz` check them for generated input, the tests
//! for the seeds of the corpora.

use crate::{
    Notice,
    session::routing::route,
    storage_guard::{Guard, adds_data},
};
use ootheca_pg_protocol::{fuzzing::Target, startup::Packet};
use std::sync::{Arc, atomic::AtomicBool};

/// All targets of this crate.
pub const TARGETS: [Target; 3] =
    [("routing", routing), ("statement", statement), ("storage_guard", storage_guard)];

/// What named the cluster is consumed, and what is left is still a packet. The bytes are a server name
/// and a packet, with a zero byte between.
pub fn routing(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let server_name = std::str::from_utf8(&bytes[..end]).ok().filter(|name| !name.is_empty());
    let packet = bytes.get(end + 1..).unwrap_or_default();
    let Ok(Packet::StartupMessage(mut startup)) = Packet::parse(packet) else { return };
    let zones = ["b".to_owned()];
    let Ok(id) = route(&mut startup, server_name, &zones) else { return };
    assert!(id.rsplit_once('-').is_some_and(|(name, number)| !name.is_empty() && !number.is_empty()), "{id}");
    assert_eq!(Packet::parse(&startup.encode()[4..]), Ok(Packet::StartupMessage(startup.clone())));
    startup.replace("database", Vec::new());
    assert!(route(&mut startup, None, &zones).is_err());
}

/// A session is read the same however it is cut; nothing is left to refuse in what goes on; and without
/// a limit all of it goes on. The first byte is the length of the cuts.
pub fn storage_guard(bytes: &[u8]) {
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
