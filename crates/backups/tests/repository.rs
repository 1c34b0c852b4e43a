//! A repository in a directory, and in a bucket.
//!
//! The access to a bucket is configured by environment variables, so `suite_passes_in_a_bucket` runs this program again
//! with other ones. It leaves out what only concerns a directory, the module `directory`.

#![allow(clippy::unwrap_used)]

mod support;

use ootheca_backups::{Archive, RecoveryKey, Repository};
use ootheca_model::{Error, ErrorKind, Result, Timestamp};
use ootheca_testkit::s3::{self, S3Server};
use proptest::prelude::*;
use std::{env, fs, io, os::unix::fs::PermissionsExt, process::Command, time::Duration};
use support::{ENDPOINT, Fixture, Place, object};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn archive(cluster: u32, epoch: u64) -> Archive {
    Archive { cluster: format!("00000000-0000-0000-0000-{cluster:012}").parse().unwrap(), epoch }
}

/// Content that can't be compressed.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut content = Vec::with_capacity(size + 8);
    while content.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_le_bytes());
    }
    content.truncate(size);
    content
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn suite_passes_in_a_bucket() {
    let server = S3Server::start();
    let mut suite = Command::new(env::current_exe().unwrap());
    suite.args(["--test-threads=1", "--skip", "suite_passes_in_a_bucket", "--skip", "directory::"]);
    suite.envs(s3::environment(server.endpoint())).env(ENDPOINT, server.endpoint());
    let output = suite.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("objects_are_encrypted ... ok"), "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Sizes around the borders of chunks, blocks, requests, and parts.
    #[test]
    fn content_is_read_as_written(
        border in prop::sample::select(vec![0, 64 * KIB, MIB, 4 * MIB, 8 * MIB]),
        more in -300..=300_isize,
        compressible in any::<bool>(),
    ) {
        let size = border.saturating_add_signed(more);
        let content = if compressible { vec![7; size] } else { noise(size) };
        run(async {
            let fixture = Fixture::new().await;
            let archive = archive(1, 0);
            let base = fixture.put_base(archive, "b", &content).await.unwrap();
            assert_eq!(fixture.read(&object(archive, "base/b")).await.len() as u64, base);
            assert!(fixture.read_base(archive, "b").await.unwrap() == content);
            let segment = fixture.repository.put_segment(archive, "s", content.clone()).await.unwrap();
            assert_eq!(fixture.read(&object(archive, "wal/s")).await.len() as u64, segment);
            assert!(fixture.repository.read_segment(archive, "s").await.unwrap() == content);
            if size > KIB {
                assert_eq!(base < size as u64, compressible);
            }
        });
    }

    #[test]
    fn damage_is_detected_while_reading(
        size in prop::sample::select(vec![100, 200 * KIB, 5 * MIB]),
        at in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        run(async {
            let fixture = Fixture::new().await;
            let (archive, content) = (archive(1, 0), noise(size));
            fixture.put_base(archive, "b", &content).await.unwrap();
            fixture.repository.put_segment(archive, "s", content.clone()).await.unwrap();
            fixture.damage(&object(archive, "base/b"), at, cut).await;
            fixture.damage(&object(archive, "wal/s"), at, cut).await;
            assert_eq!(kind(fixture.read_base(archive, "b").await), ErrorKind::Internal);
            assert_eq!(kind(fixture.repository.read_segment(archive, "s").await), ErrorKind::Internal);
        });
    }
}

#[tokio::test]
async fn exchanged_objects_are_detected() {
    let fixture = Fixture::new().await;
    let archives = [archive(1, 0), archive(1, 1), archive(2, 0)];
    for archive in archives {
        for name in ["a", "b"] {
            fixture.put_base(archive, name, b"a base").await.unwrap();
            fixture.repository.put_segment(archive, name, b"a segment".to_vec()).await.unwrap();
        }
    }
    let target = archives[0];
    for (archive, name) in [(archives[0], "b"), (archives[1], "a"), (archives[2], "a")] {
        for kind in ["base", "wal"] {
            let from = object(archive, &format!("{kind}/{name}"));
            fixture.copy(&from, &object(target, &format!("{kind}/a"))).await;
        }
        assert_eq!(kind(fixture.read_base(target, "a").await), ErrorKind::Internal);
        assert_eq!(kind(fixture.repository.read_segment(target, "a").await), ErrorKind::Internal);
    }
    fixture.copy(&object(target, "wal/b"), &object(target, "base/a")).await;
    assert_eq!(kind(fixture.read_base(target, "a").await), ErrorKind::Internal);
    assert_eq!(fixture.read_base(target, "b").await.unwrap(), b"a base");
}

#[tokio::test]
async fn large_bases_take_several_requests() {
    let fixture = Fixture::new().await;
    let archive = archive(1, 0);
    let content = noise(21 * MIB + 5);
    fixture.put_base(archive, "noise", &content).await.unwrap();
    assert!(fixture.read_base(archive, "noise").await.unwrap() == content);
    let zeros = vec![0; 100 * MIB];
    let stored = fixture.put_base(archive, "zeros", &zeros).await.unwrap();
    assert!(stored < MIB as u64, "{stored}");
    assert!(fixture.read_base(archive, "zeros").await.unwrap() == zeros);
}

#[tokio::test]
async fn repositories_open_with_their_key_only() {
    let fixture = Fixture::new().await;
    fixture.put_base(archive(1, 0), "a", b"content").await.unwrap();
    fixture.reopen().await.unwrap();
    let other = RecoveryKey::random();
    let error = Repository::open(&fixture.place.url(), other.clone(), true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Precondition);
    for part in [fixture.key.fingerprint(), other.fingerprint(), fixture.place.url()] {
        assert!(error.message().contains(&part), "{error}");
    }
    let description = "repository.json";
    let text = String::from_utf8(fixture.read(description).await).unwrap();
    fixture.write(description, text.replace(":1,", ":2,")).await;
    assert_eq!(kind(fixture.reopen().await), ErrorKind::Precondition);
    fixture.write(description, "{").await;
    assert_eq!(kind(fixture.reopen().await), ErrorKind::Precondition);
    fixture.remove(description).await;
    assert_eq!(kind(fixture.reopen().await), ErrorKind::Precondition, "the objects are of some key");
}

#[tokio::test]
async fn failed_bases_leave_nothing() {
    let fixture = Fixture::new().await;
    for size in [100, 20 * MIB] {
        let (mut writer, reader) = tokio::io::duplex(64 * KIB);
        let content = noise(size);
        let written = async move {
            writer.write_all(&content).await.unwrap();
            Err::<(), _>(Error::unavailable("the server has stopped"))
        };
        let error = fixture.repository.put_base(archive(1, 0), "a", reader, written).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Unavailable, "the server has stopped"));
        assert_eq!(fixture.files().await, [""; 0]);
    }
    assert_eq!(kind(fixture.read_base(archive(1, 0), "a").await), ErrorKind::NotFound);
    assert!(fixture.repository.bases(archive(1, 0)).await.unwrap().is_empty());
}

#[tokio::test]
async fn canceled_bases_leave_nothing() {
    let fixture = Fixture::new().await;
    let (mut writer, reader) = tokio::io::duplex(64 * KIB);
    let content = noise(20 * MIB);
    let (sender, sent) = tokio::sync::oneshot::channel();
    let written = async move {
        writer.write_all(&content).await.unwrap();
        sender.send(()).unwrap();
        std::future::pending::<Result<()>>().await
    };
    tokio::select! {
        _ = fixture.repository.put_base(archive(1, 0), "a", reader, written) => panic!("it can't end"),
        sent = sent => sent.unwrap(),
    }
    let removed = async {
        while !fixture.files().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), removed).await.expect("the upload is removed");
}

#[tokio::test]
async fn segments_are_listed_and_removed_by_name() {
    let fixture = Fixture::new().await;
    let (repository, archive) = (&fixture.repository, archive(1, 3));
    assert_eq!(repository.segments(archive, "").await.unwrap(), [""; 0]);
    let names: Vec<String> = (0x0e..=0x13).map(|number| format!("0000000100000000{number:08X}")).collect();
    for name in names.iter().rev() {
        repository.put_segment(archive, name, name.clone().into_bytes()).await.unwrap();
    }
    for (at, first) in names.iter().enumerate() {
        assert_eq!(repository.segments(archive, first).await.unwrap(), names[at..]);
    }
    assert_eq!(repository.segments(archive, "").await.unwrap(), names);
    assert_eq!(repository.segments(archive, "0000000100000000000000100").await.unwrap(), names[3..]);
    assert_eq!(repository.segments(archive, "00000002").await.unwrap(), [""; 0]);
    assert_eq!(repository.segments(Archive { epoch: 4, ..archive }, "").await.unwrap(), [""; 0]);

    repository.remove_segments(archive, Some(&names[2])).await.unwrap();
    assert_eq!(repository.segments(archive, "").await.unwrap(), names[2..]);
    assert_eq!(kind(repository.read_segment(archive, &names[1]).await), ErrorKind::NotFound);
    assert_eq!(repository.read_segment(archive, &names[2]).await.unwrap(), names[2].as_bytes());
    repository.remove_segments(archive, None).await.unwrap();
    repository.remove_segments(archive, None).await.unwrap();
    assert_eq!(fixture.files().await, [""; 0]);
}

#[tokio::test]
async fn removed_archives_leave_nothing() {
    let fixture = Fixture::new().await;
    let (repository, old, new) = (&fixture.repository, archive(1, 0), archive(1, 1));
    for archive in [old, new] {
        fixture.put_base(archive, "a", b"content").await.unwrap();
        repository.put_segment(archive, "s", b"content".to_vec()).await.unwrap();
    }
    repository.remove_base(old, "missing").await.unwrap();
    repository.remove_base(old, "a").await.unwrap();
    assert_eq!(fixture.files().await, ["a", "s", "s"]);
    repository.remove_segments(old, None).await.unwrap();
    assert_eq!(fixture.files().await, ["a", "s"]);
    if let Some(directory) = fixture.place.directory() {
        assert!(!directory.join(object(old, "")).exists());
    }
    assert_eq!(fixture.read_base(new, "a").await.unwrap(), b"content");
    repository.remove_segments(new, None).await.unwrap();
    repository.remove_base(new, "a").await.unwrap();
    repository.remove_base(new, "a").await.unwrap();
    assert_eq!(fixture.files().await, [""; 0]);
    if let Some(directory) = fixture.place.directory() {
        assert_eq!(fs::read_dir(directory.join("clusters")).unwrap().count(), 0);
    }
    fixture.put_base(new, "a", b"content").await.unwrap();
}

#[tokio::test]
async fn segments_can_be_stored_again_but_not_changed() {
    let fixture = Fixture::new().await;
    let (repository, archive, content) = (&fixture.repository, archive(1, 0), noise(MIB));
    let stored = repository.put_segment(archive, "s", content.clone()).await.unwrap();
    assert_eq!(repository.put_segment(archive, "s", content.clone()).await.unwrap(), stored);
    assert_eq!(kind(repository.put_segment(archive, "s", vec![1]).await), ErrorKind::Precondition);
    assert!(repository.read_segment(archive, "s").await.unwrap() == content);
    fixture.write(&object(archive, "wal/s"), "damaged").await;
    assert_eq!(repository.put_segment(archive, "s", content.clone()).await.unwrap(), stored);
    assert!(repository.read_segment(archive, "s").await.unwrap() == content);
    assert_eq!(fixture.files().await, ["s"]);
}

#[tokio::test]
async fn objects_are_encrypted() {
    let fixture = Fixture::new().await;
    let (archive, text) = (archive(1, 0), b"a text that can be recognized");
    fixture.put_base(archive, "a", text).await.unwrap();
    fixture.repository.put_segment(archive, "s", text.to_vec()).await.unwrap();
    for name in ["base/a", "wal/s"] {
        let stored = fixture.read(&object(archive, name)).await;
        assert!(stored.starts_with(b"OOTHECA\0"));
        assert!(!stored.windows(8).any(|part| text.starts_with(part)), "{name}");
    }
}

#[tokio::test]
async fn known_repository_is_not_created_again() {
    let (place, key) = (Place::new(), RecoveryKey::random());
    let url = place.url();
    let missing = Repository::open(&url, key.clone(), false).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Unavailable);
    if let Some(directory) = place.directory() {
        assert!(!directory.exists(), "nothing is created");
        fs::create_dir(directory).unwrap();
    }
    let empty = Repository::open(&url, key.clone(), false).await.unwrap_err();
    assert_eq!(empty.kind(), ErrorKind::Unavailable);
    Repository::open(&url, key.clone(), true).await.unwrap();
    Repository::open(&url, key, false).await.unwrap();
}

#[tokio::test]
async fn copies_of_the_control_store_are_stored_listed_and_removed() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    assert!(repository.control_copies().await.unwrap().is_empty());
    let times: Vec<Timestamp> = (1..=12).map(|minute| Timestamp(minute * 60_000_000)).collect();
    for time in &times {
        let content = time.to_string().into_bytes();
        assert!(repository.put_control_copy(*time, &content[..]).await.unwrap() > 0);
    }
    assert_eq!(repository.control_copies().await.unwrap(), times);
    repository.remove_outdated_control_copies().await.unwrap();
    assert_eq!(repository.control_copies().await.unwrap(), times[2..]);
    let mut content = String::new();
    repository.read_control_copy(times[5]).await.unwrap().read_to_string(&mut content).await.unwrap();
    assert_eq!(content, times[5].to_string());
    let Err(error) = repository.read_control_copy(times[0]).await else { panic!("it was removed") };
    assert_eq!(error.kind(), ErrorKind::NotFound);
    if let Some(directory) = fixture.place.directory() {
        let mode = fs::metadata(directory.join("control")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

#[tokio::test]
async fn exchanged_copies_of_the_control_store_are_detected() {
    let fixture = Fixture::new().await;
    let times = [Timestamp(1), Timestamp(2)];
    for time in times {
        fixture.repository.put_control_copy(time, &b"content"[..]).await.unwrap();
    }
    let name = |time: Timestamp| format!("control/{}", time.to_string().replace(':', "-"));
    fixture.copy(&name(times[0]), &name(times[1])).await;
    let mut content = Vec::new();
    let mut reader = fixture.repository.read_control_copy(times[1]).await.unwrap();
    let error = reader.read_to_end(&mut content).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

mod directory {
    use super::*;

    #[tokio::test]
    async fn next_base_removes_what_a_crash_has_left() {
        let fixture = Fixture::new().await;
        fixture.put_base(archive(1, 0), "a", b"content").await.unwrap();
        let directory = fixture.place.directory().unwrap();
        fs::write(directory.join(object(archive(1, 0), "base/b#1")), "a part").unwrap();
        let ids = |bases: Vec<(String, _)>| bases.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(ids(fixture.repository.bases(archive(1, 0)).await.unwrap()), ["a"]);
        fixture.put_base(archive(1, 0), "c", b"content").await.unwrap();
        assert_eq!(fixture.files().await, ["a", "c"]);
    }

    #[tokio::test]
    async fn missing_directory_is_not_created_again() {
        let fixture = Fixture::new().await;
        let (repository, archive) = (&fixture.repository, archive(1, 0));
        repository.put_segment(archive, "s", b"content".to_vec()).await.unwrap();
        let directory = fixture.place.directory().unwrap();
        let away = directory.with_file_name("away");
        fs::rename(&directory, &away).unwrap();
        for result in [
            repository.put_segment(archive, "t", b"content".to_vec()).await.map(drop),
            repository.read_segment(archive, "s").await.map(drop),
            repository.segments(archive, "").await.map(drop),
            repository.remove_segments(archive, None).await,
            fixture.put_base(archive, "a", b"content").await.map(drop),
            repository.read_base(archive, "a").await.map(drop),
            repository.bases(archive).await.map(drop),
            repository.remove_base(archive, "a").await,
        ] {
            assert_eq!(kind(result), ErrorKind::Unavailable);
        }
        assert!(!directory.exists());
        fs::rename(&away, &directory).unwrap();
        assert_eq!(repository.segments(archive, "").await.unwrap(), ["s"]);
    }

    #[tokio::test]
    async fn path_that_is_no_directory_is_unavailable() {
        let place = Place::new();
        fs::write(place.directory().unwrap(), "a file").unwrap();
        let error = Repository::open(&place.url(), RecoveryKey::random(), true).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let error = Repository::open("ftp://host", RecoveryKey::random(), true).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
