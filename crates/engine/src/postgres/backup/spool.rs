//! The spool: the folder where a server archives its WAL until it is stored elsewhere.

use super::{
    data_files::open_regular,
    wal::{WalLayout, is_segment, segment_of},
};
use crate::{
    files::{failed, names_in},
    postgres::{binaries::Programs, copy::make_private_folder, owner::Owner},
};
use ootheca_durable::failpoint;
use ootheca_model::{Error, Result};
use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

/// The names of incomplete files begin with this. It is that of `basic_archive`.
const INCOMPLETE: &str = "archtemp.";

/// The settings with which a server archives its WAL to a spool.
pub(in crate::postgres) fn archive_options(programs: &Programs, spool: &Path) -> Vec<String> {
    let mut options = vec!["archive_mode=on".to_owned()];
    if programs.has_basic_archive() {
        options.push("archive_library=basic_archive".to_owned());
        options.push(format!("basic_archive.archive_directory={}", spool.display()));
    } else {
        options.push(format!("archive_command={}", archive_command(spool)));
    }
    options
}

/// Does the same as `basic_archive`: a file with the name of a segment is complete and durable. After a crash, the
/// server can archive a segment again, so an existing file is replaced.
fn archive_command(spool: &Path) -> String {
    // PostgreSQL replaces `%p` and `%f`.
    let spool = spool.display().to_string().replace('%', "%%").replace('\'', r"'\''");
    let (draft, complete) = (format!("'{spool}'/{INCOMPLETE}%f"), format!("'{spool}'/%f"));
    format!("cp %p {draft} && sync {draft} && mv -f {draft} {complete} && sync '{spool}'")
}

/// Creates the spool of a server that is about to start, and removes what a crash left incomplete.
pub(in crate::postgres) fn prepare_spool(spool: &Path, owner: &Owner) -> Result<()> {
    make_private_folder(spool, owner)?;
    for name in names_in(spool).into_iter().filter(|name| name.starts_with(INCOMPLETE)) {
        // It would only take space.
        let _ = fs::remove_file(spool.join(name));
    }
    Ok(())
}

/// The names of the segments in the spool, in order.
pub(super) fn segments(spool: &Path) -> Vec<String> {
    let mut names = names_in(spool);
    names.retain(|name| is_segment(name));
    names.sort_unstable();
    names
}

/// The content of a segment.
pub(super) fn read(spool: &Path, name: &str) -> Result<Vec<u8>> {
    let missing = || Error::not_found(format!("WAL segment {name:?}"));
    if !is_segment(name) {
        return Err(missing());
    }
    let path = spool.join(name);
    let (file, bytes) = match open_regular(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
        opened => opened.map_err(failed("read", &path))?,
    };
    let mut content = Vec::new();
    if WalLayout::of(name, bytes).is_some() {
        file.take(bytes).read_to_end(&mut content).map_err(failed("read", &path))?;
    }
    if content.is_empty() || content.len() as u64 != bytes {
        return Err(Error::internal(format!("{} does not have the size of a WAL segment", path.display())));
    }
    Ok(content)
}

/// Removes the segments up to and including `last`, and what belongs to them, such as the history of backups.
pub(super) fn remove(spool: &Path, last: &str) -> Result<()> {
    if !is_segment(last) {
        return Ok(());
    }
    for name in names_in(spool) {
        if segment_of(&name).is_none_or(|segment| segment > last) {
            continue;
        }
        let path = spool.join(&name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", &path)(error));
            }
            _ => failpoint::reach("archived WAL segment removed"),
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ootheca_model::ErrorKind;
    use std::path::PathBuf;

    const FIRST: &str = "000000010000000000000001";
    const SECOND: &str = "000000010000000000000002";
    const THIRD: &str = "000000010000000000000003";

    fn spool(files: &[(&str, usize)]) -> PathBuf {
        let spool = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&spool).unwrap();
        for (name, bytes) in files {
            fs::write(spool.join(name), vec![1; *bytes]).unwrap();
        }
        spool
    }

    #[test]
    fn only_complete_segments_are_listed_and_removed_up_to_one() {
        let history = "000000010000000000000002.00000028.backup";
        let incomplete = "archtemp.000000010000000000000004.4711.1";
        let files =
            [(THIRD, 1), (incomplete, 1), (FIRST, 1), ("00000002.history", 1), (history, 1), (SECOND, 1)];
        let spool = spool(&files);
        assert_eq!(segments(&spool), [FIRST, SECOND, THIRD]);
        for unknown in ["", "x", "00000002.history"] {
            remove(&spool, unknown).unwrap();
        }
        assert_eq!(segments(&spool), [FIRST, SECOND, THIRD]);
        for _ in 0..2 {
            remove(&spool, SECOND).unwrap();
            assert_eq!(segments(&spool), [THIRD]);
        }
        let mut left = names_in(&spool);
        left.sort_unstable();
        assert_eq!(left, [THIRD, "00000002.history", incomplete]);
        prepare_spool(&spool, &Owner::find("root").unwrap_or_else(|_| Owner::with_id(1_234_567))).unwrap();
        assert!(!spool.join(incomplete).exists() && spool.join(THIRD).exists());
        fs::remove_dir_all(&spool).unwrap();
        assert_eq!(segments(&spool), Vec::<String>::new(), "no folder");
        remove(&spool, SECOND).unwrap();
    }

    #[test]
    fn segments_are_read_whole() {
        let spool = spool(&[(FIRST, 1 << 20), (SECOND, 1000), (THIRD, 0)]);
        fs::write(spool.with_extension("outside"), "secret").unwrap();
        assert_eq!(read(&spool, FIRST).unwrap(), vec![1; 1 << 20]);
        for name in [SECOND, THIRD] {
            assert_eq!(read(&spool, name).unwrap_err().kind(), ErrorKind::Internal, "{name}");
        }
        let outside = format!("../{}", spool.with_extension("outside").file_name().unwrap().display());
        for name in ["000000010000000000000004", "", ".", &outside] {
            assert_eq!(read(&spool, name).unwrap_err().kind(), ErrorKind::NotFound, "{name}");
        }
        fs::remove_file(spool.with_extension("outside")).unwrap();
        fs::remove_dir_all(&spool).unwrap();
    }

    #[test]
    fn servers_without_the_library_copy_their_segments() {
        let programs = Programs { major: 14, version: "PostgreSQL 14.1".to_owned(), folder: "/x/bin".into() };
        let options = archive_options(&programs, Path::new("/it's 5%/wal"));
        assert_eq!(options.len(), 2, "{options:?}");
        let command = options[1].strip_prefix("archive_command=").unwrap();
        assert!(command.starts_with(r"cp %p '/it'\''s 5%%/wal'/archtemp.%f && "), "{command}");
    }

    #[test]
    fn the_command_replaces_an_existing_segment() {
        let spool = spool(&[(SECOND, 1 << 20)]);
        let source = spool.with_extension("source");
        fs::write(&source, "new").unwrap();
        for name in [FIRST, SECOND] {
            let command = archive_command(&spool).replace("%p", source.to_str().unwrap()).replace("%f", name);
            let status = std::process::Command::new("sh").args(["-c", &command]).status().unwrap();
            assert!(status.success(), "{command}");
            assert_eq!(fs::read_to_string(spool.join(name)).unwrap(), "new");
        }
        assert_eq!(segments(&spool), [FIRST, SECOND]);
        assert_eq!(names_in(&spool).len(), 2);
        fs::remove_file(source).unwrap();
        fs::remove_dir_all(&spool).unwrap();
    }
}
