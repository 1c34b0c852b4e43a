use super::*;
use crate::{Archive, archive::Kind};
use proptest::prelude::*;

fn object(name: &str) -> Object {
    let cluster = "00000000-0000-0000-0000-000000000001".parse().unwrap();
    Archive { cluster, epoch: 0 }.object(Kind::Wal, name).unwrap()
}

fn seal(key: &RecoveryKey, object: &Object, content: &[u8]) -> Vec<u8> {
    let mut sealer = Sealer::new(key, object);
    sealer.write_all(content).unwrap();
    sealer.finish().unwrap()
}

fn open(key: &RecoveryKey, object: &Object, sealed: &[u8]) -> io::Result<Vec<u8>> {
    let (header, chunks) =
        sealed.split_first_chunk().ok_or_else(|| damaged(object, "its header is missing"))?;
    Opener::new(key, object, header)?.open(0, chunks, true)
}

/// Sizes around the borders of chunks.
fn size() -> impl Strategy<Value = usize> {
    (0..=3_usize, -2..=2_isize).prop_map(|(chunks, more)| (chunks * CHUNK).saturating_add_signed(more))
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at / 7 % 251) as u8).collect()
}

#[test]
fn objects_with_the_same_content_differ() {
    let (key, object) = (RecoveryKey::random(), object("a"));
    assert_ne!(seal(&key, &object, b"content"), seal(&key, &object, b"content"));
}

#[test]
fn other_keys_names_and_clusters_are_detected() {
    let (key, object_a) = (RecoveryKey::random(), object("a"));
    let sealed = seal(&key, &object_a, b"content");
    assert_eq!(open(&key, &object_a, &sealed).unwrap(), b"content");
    let cluster = "00000000-0000-0000-0000-000000000002".parse().unwrap();
    let elsewhere = Object { cluster: Some(cluster), ..object_a.clone() };
    let nowhere = Object { cluster: None, ..object_a.clone() };
    let others =
        [(&RecoveryKey::random(), &object_a), (&key, &object("b")), (&key, &elsewhere), (&key, &nowhere)];
    for (key, object) in others {
        assert_eq!(open(key, object, &sealed).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

#[test]
fn chunks_can_not_be_exchanged_removed_or_appended() {
    let (key, object) = (RecoveryKey::random(), object("a"));
    let sealed = seal(&key, &object, &content(3 * CHUNK));
    let (header, chunks) = sealed.split_at(HEADER);
    let chunks: Vec<&[u8]> = chunks.chunks(SEALED_CHUNK).collect();
    assert_eq!(chunks.len(), 3);
    for order in [&[1, 0, 2][..], &[0, 2], &[0, 1], &[1, 2], &[0, 1, 2, 2], &[0], &[]] {
        let parts = order.iter().map(|chunk: &usize| chunks[*chunk]);
        let forged: Vec<u8> = [header].into_iter().chain(parts).flatten().copied().collect();
        assert!(open(&key, &object, &forged).is_err(), "{order:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn sealed_content_is_opened(size in size(), portion in 1..=CHUNK) {
        let (key, object, content) = (RecoveryKey::random(), object("a"), content(size));
        let mut sealer = Sealer::new(&key, &object);
        let mut sealed = Vec::new();
        for part in content.chunks(portion) {
            sealer.write_all(part).unwrap();
            sealed.extend(sealer.take());
        }
        sealed.extend(sealer.finish().unwrap());
        let chunks = size.div_ceil(CHUNK).max(1);
        prop_assert_eq!(sealed.len(), HEADER + size + chunks * TAG);
        prop_assert!(open(&key, &object, &sealed).unwrap() == content);
        let packed = pack(&key, &object, &content).unwrap();
        prop_assert!(unpack(&key, &object, &packed).unwrap() == content);
    }

    #[test]
    fn every_damage_is_detected(size in size(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let (key, object, content) = (RecoveryKey::random(), object("a"), content(size));
        let sealed = seal(&key, &object, &content);
        let at = at.index(sealed.len());
        let cut = open(&key, &object, &sealed[..at]).unwrap_err();
        prop_assert_eq!(cut.kind(), io::ErrorKind::InvalidData);
        let mut flipped = sealed;
        flipped[at] ^= 1_u8 << bit;
        let error = open(&key, &object, &flipped).unwrap_err();
        prop_assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
