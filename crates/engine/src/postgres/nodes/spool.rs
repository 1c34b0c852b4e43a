//! WAL that only a former primary has: segments that are complete, and were not stored before it failed.

use super::timelines;
use crate::files::{failed, names_in, remove_tree, sync_folder};
use ootheca_model::Result;
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown},
    path::Path,
};

/// The status of segments that the server has not archived yet.
const STATUS_FOLDER: &str = "archive_status";
const NOT_ARCHIVED: &str = ".ready";
/// The name of an incomplete file, which the next start of the server removes.
const DRAFT: &str = "archtemp.former-primary";

/// Moves the segments of a former primary, which does not run, to the spool of the primary. Segments that contain WAL
/// behind the end of their timeline are not kept: the cluster does not have it.
pub(super) fn move_segments(data: &Path, spool: &Path, primary_data: &Path, to: &Path) -> Result<()> {
    let wal = data.join(timelines::WAL_FOLDER);
    let waiting = names_in(&wal.join(STATUS_FOLDER));
    let waiting = waiting.iter().filter_map(|name| name.strip_suffix(NOT_ARCHIVED));
    let archived = names_in(spool);
    let archived_ones = archived.iter().map(|name| (spool, name.as_str()));
    for (folder, name) in archived_ones.chain(waiting.map(|name| (wal.as_path(), name))) {
        if is_of_history(folder, name, primary_data)? && !to.join(name).exists() {
            copy(&folder.join(name), to, name)?;
        }
    }
    for name in archived {
        // They would be stored twice, if the node became the primary again.
        remove_tree_or_file(&spool.join(name))?;
    }
    sync_folder(to)
}

/// Whether a segment ends before its timeline in the history of the primary.
fn is_of_history(folder: &Path, name: &str, primary_data: &Path) -> Result<bool> {
    let Some(timeline) = timelines::segment_timeline(name) else { return Ok(false) };
    let bytes = fs::symlink_metadata(folder.join(name)).map_or(0, |status| status.len());
    let Some(number) = timelines::segment_number(name, bytes) else { return Ok(false) };
    let end = timelines::end_of(primary_data, timeline)?;
    Ok(end.is_some_and(|end| number.saturating_add(1).saturating_mul(bytes) <= end.0))
}

/// Copies a segment durably. Follows no link, because a server with a flaw may have prepared it.
fn copy(from: &Path, to: &Path, name: &str) -> Result<()> {
    let (draft, complete) = (to.join(DRAFT), to.join(name));
    let write = || -> io::Result<()> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let mut source = OpenOptions::new().read(true).custom_flags(flags).open(from)?;
        if !source.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        io::copy(&mut source, &mut target)?;
        give_to_owner_of(to, &draft, &target)?;
        target.sync_all()?;
        fs::rename(&draft, &complete)
    };
    write().map_err(failed("copy", from))
}

fn give_to_owner_of(folder: &Path, path: &Path, file: &File) -> io::Result<()> {
    let (owner, own) = (fs::metadata(folder)?, file.metadata()?);
    if owner.uid() == own.uid() {
        return Ok(());
    }
    chown(path, Some(owner.uid()), Some(owner.gid()))
}

fn remove_tree_or_file(path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|status| status.is_dir()) {
        return remove_tree(path);
    }
    super::fence::remove_file(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn segments_before_the_end_of_the_timeline_are_moved() {
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        let [data, spool, primary, to] = ["data", "spool", "primary", "to"].map(|name| folder.join(name));
        for path in [&data.join("pg_wal/archive_status"), &spool, &primary.join("pg_wal"), &to] {
            fs::create_dir_all(path).unwrap();
        }
        let segment = |number: u32| format!("00000001000000000000000{number}");
        let create = |path: &Path| File::create(path).unwrap().set_len(1 << 20).unwrap();
        // The new timeline begins in the segment with number 6.
        fs::write(primary.join("pg_wal/00000002.history"), "1\t0/600028\tno recovery target\n").unwrap();
        create(&primary.join("pg_wal/000000020000000000000006"));
        create(&spool.join(segment(4)));
        for number in [5, 6] {
            create(&data.join("pg_wal").join(segment(number)));
            fs::write(data.join(format!("pg_wal/archive_status/{}.ready", segment(number))), "").unwrap();
        }
        for _ in 0..2 {
            move_segments(&data, &spool, &primary, &to).unwrap();
            let mut moved = names_in(&to);
            moved.sort_unstable();
            assert_eq!(moved, [segment(4), segment(5)]);
            assert_eq!(fs::metadata(to.join(segment(5))).unwrap().len(), 1 << 20);
            assert!(names_in(&spool).is_empty());
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
