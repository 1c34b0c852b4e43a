#![allow(clippy::unwrap_used)]

use super::*;
use crate::postgres::{
    backup::tar_stream::{BLOCK, END},
    owner::Owner,
};
use ootheca_model::ErrorKind;
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::OpenOptions,
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
};

/// A temporary data directory.
struct Data(PathBuf);

impl Data {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, path: impl AsRef<Path>, content: &[u8]) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn list(&self) -> DataFiles {
        DataFiles::list(&self.0, &|name| name == "000000010000000000000002").unwrap()
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn owner() -> Owner {
    Owner::find("root").unwrap_or_else(|_| Owner::with_id(1_234_567))
}

/// Copies everything that remains.
fn read_all(files: &mut DataFiles) -> Vec<u8> {
    let (mut stream, mut part) = (Vec::new(), Vec::new());
    loop {
        let more = files.read(&mut part).unwrap();
        assert!(part.len() < PART + 2 * BLOCK);
        stream.append(&mut part);
        if !more {
            stream.extend(END);
            return stream;
        }
    }
}

/// The entries of a stream, as another implementation reads it; `None` for a folder.
fn entries(stream: &[u8]) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut archive = tar::Archive::new(stream);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (path, entry.header().entry_type().is_file().then_some(content))
    });
    entries.collect()
}

#[test]
fn files_are_copied_with_their_folders() {
    let data = Data::new();
    let odd: [&[u8]; 4] = [b"base/1/with space", b"base/1/\xff\xfe", b"base/1/a\\b", b"base/1/'\n"];
    for name in odd {
        data.write(OsStr::from_bytes(name), name);
    }
    let large: Vec<u8> = (0..=250).cycle().take(3 * PART + 77).collect();
    data.write("base/5/large", &large);
    data.write("base/5/empty", b"");
    let long = format!("base/{}/{}", "x".repeat(100), "y".repeat(100));
    data.write(&long, b"long");
    fs::create_dir_all(data.0.join("pg_tblspc")).unwrap();
    let mut files = data.list();
    let copied = entries(&read_all(&mut files));
    for name in odd {
        assert_eq!(copied[Path::new(OsStr::from_bytes(name))].as_deref(), Some(name));
    }
    assert_eq!(copied[Path::new("base/5/large")].as_ref(), Some(&large));
    assert_eq!(copied[Path::new("base/5/empty")].as_deref(), Some(&b""[..]));
    assert_eq!(copied[Path::new(&long)].as_deref(), Some(&b"long"[..]));
    for folder in ["base", "base/1", "base/5", "pg_tblspc"] {
        assert_eq!(copied[Path::new(folder)], None);
    }
    assert_eq!(copied.len(), odd.len() + 3 + 5);
    let lengths: usize = odd.iter().map(|name| name.len()).sum();
    assert_eq!(files.bytes(), (lengths + large.len() + 4) as u64);
}

#[test]
fn files_that_postgresql_creates_again_are_skipped() {
    let data = Data::new();
    let kept = [
        "PG_VERSION",
        "base/1/1259",
        "base/1/1259_init",
        "base/1/PG_VERSION",
        "global/pg_filenode.map",
        "pg_stat/pgstat.stat",
        "pg_wal/000000010000000000000002",
        "t1_is_no_table",
    ];
    let skipped = [
        "backup_label",
        "backup_label.old",
        "base/1/pg_internal.init",
        "base/1/t3_16384",
        "base/1/t3_16384_fsm",
        "base/pgsql_tmp/pgsql_tmp7.0",
        "base/pgsql_tmp/pgsql_tmp7.1.fileset/0",
        "current_logfiles",
        "current_logfiles.tmp",
        "global/pg_control",
        "global/pg_internal.init.4711",
        PASSFILE,
        "pg_dynshmem/mmap.1",
        "pg_hba_private.conf",
        "pg_notify/0000",
        "pg_replslot/slot/state",
        "pg_serial/0000",
        "pg_snapshots/1",
        "pg_stat_tmp/global.stat",
        "pg_subtrans/0000",
        "pg_wal/000000010000000000000001",
        "pg_wal/000000010000000000000003",
        "pg_wal/archive_status/000000010000000000000002.done",
        "pg_wal/summaries/x.summary",
        "pg_wal/xlogtemp.7",
        "postgresql.auto.conf",
        "postgresql.auto.conf.tmp",
        "postmaster.opts",
        "postmaster.pid",
        "standby.signal",
        "tablespace_map",
    ];
    for name in kept.iter().chain(&skipped) {
        data.write(name, b"x");
    }
    let copied = entries(&read_all(&mut data.list()));
    let files: Vec<&str> = copied
        .iter()
        .filter(|(_, content)| content.is_some())
        .filter_map(|(path, _)| path.to_str())
        .collect();
    assert_eq!(files, kept);
    for folder in ["pg_wal/archive_status", "pg_wal/summaries", "pg_notify", "pg_replslot", "pg_subtrans"] {
        assert!(copied.contains_key(Path::new(folder)), "{folder} is kept");
    }
    for folder in ["base/pgsql_tmp", "pg_replslot/slot"] {
        assert!(!copied.contains_key(Path::new(folder)), "{folder}");
    }
}

#[test]
fn files_that_change_have_the_size_of_their_header() {
    let data = Data::new();
    for name in ["base/1/gone", "base/1/longer", "base/1/shorter"] {
        data.write(name, &vec![7; 2 * PART]);
    }
    data.write("base/2/1259", b"x");
    let mut files = data.list();
    fs::remove_file(data.0.join("base/1/gone")).unwrap();
    fs::remove_dir_all(data.0.join("base/2")).unwrap();
    let mut stream = Vec::new();
    // Their sizes are known as soon as their first part was read.
    let mut changed = Vec::new();
    loop {
        let mut part = Vec::new();
        let more = files.read(&mut part).unwrap();
        stream.append(&mut part);
        if let Some(open) = &files.open
            && !changed.contains(&open.path)
        {
            let path = data.0.join(&open.path);
            if open.path.ends_with("shorter") {
                OpenOptions::new().write(true).open(path).unwrap().set_len(100).unwrap();
            } else {
                OpenOptions::new().append(true).open(path).unwrap().write_all(&[9; 1000]).unwrap();
            }
            changed.push(open.path.clone());
        }
        if !more {
            break;
        }
    }
    assert_eq!(changed.len(), 2);
    stream.extend(END);
    let copied = entries(&stream);
    assert_eq!(copied[Path::new("base/1/longer")], Some(vec![7; 2 * PART]));
    let shorter = copied[Path::new("base/1/shorter")].as_ref().unwrap();
    assert_eq!(shorter.len(), 2 * PART);
    assert!(shorter.ends_with(&[0; 1000]), "zeros follow");
    assert!(!copied.contains_key(Path::new("base/1/gone")) && !copied.contains_key(Path::new("base/2/1259")));
}

#[test]
fn files_are_copied_to_another_folder() {
    let (data, copy) = (Data::new(), Data::new());
    for name in ["base/1/1259", "base/1/gone", "base/2/1259", "pg_notify/0000", "postmaster.pid"] {
        data.write(name, name.as_bytes());
    }
    let files = data.list();
    assert_eq!(files.remaining_bytes(), 33);
    fs::remove_file(data.0.join("base/1/gone")).unwrap();
    fs::remove_dir_all(data.0.join("base/2")).unwrap();
    assert_eq!(files.remaining_bytes(), 11);
    let (owner, mut copied) = (owner(), 0_u64);
    let mut advance = |bytes: u64| -> Result<()> {
        copied += bytes;
        Ok(())
    };
    files.copy_to(&copy.0, &mut FileCopy::new(&owner, &mut advance)).unwrap();
    assert_eq!(copied, 11);
    let mut found = copy.list();
    let stream = read_all(&mut found);
    assert_eq!(entries(&stream)[Path::new("base/1/1259")].as_deref(), Some(&b"base/1/1259"[..]));
    assert_eq!(found.bytes(), 11, "nothing else");
    assert!(copy.0.join("pg_notify").is_dir() && !copy.0.join("postmaster.pid").exists());
}

#[test]
fn links_are_refused() {
    let data = Data::new();
    let secret = data.0.with_extension("secret");
    fs::write(&secret, "secret").unwrap();
    data.write("base/1/1259", b"x");
    let (mut files, listed) = (data.list(), data.list());
    fs::remove_file(data.0.join("base/1/1259")).unwrap();
    symlink(&secret, data.0.join("base/1/1259")).unwrap();
    files.read(&mut Vec::new()).unwrap_err();
    let (owner, mut advance) = (owner(), |_: u64| -> Result<()> { Ok(()) });
    let copy = Data::new();
    listed.copy_to(&copy.0, &mut FileCopy::new(&owner, &mut advance)).unwrap_err();
    let error = DataFiles::list(&data.0, &|_| false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Precondition);
    assert!(error.message().contains("base/1/1259"), "{error}");
    assert!(open_regular(&data.0).is_err(), "a folder");
    fs::remove_file(secret).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn files_of_any_size_are_copied(sizes in proptest::collection::vec(0..3000_usize, 0..9)) {
        let data = Data::new();
        for (at, size) in sizes.iter().enumerate() {
            data.write(format!("base/{at}"), &vec![1; *size]);
        }
        let copied = entries(&read_all(&mut data.list()));
        for (at, size) in sizes.iter().enumerate() {
            let expected = vec![1; *size];
            prop_assert_eq!(copied[&PathBuf::from(format!("base/{at}"))].as_ref(), Some(&expected));
        }
    }
}
