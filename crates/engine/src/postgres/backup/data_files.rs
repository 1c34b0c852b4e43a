//! The files of a data directory, as entries of a tar stream or copied to another data directory.
//!
//! A server may change them during the copy. PostgreSQL repairs that when it replays the WAL, so it only matters that
//! each entry of a stream has the size that its header says. What `pg_basebackup` skips is skipped here as well.

use super::{
    control_file::CONTROL_FILE,
    tar_stream::{Entry, padding},
    wal::WAL_FOLDER,
    work::PRIVATE_ACCESS_FILE,
};
use crate::{
    files::failed,
    postgres::{copy::FileCopy, instance::STANDBY_SIGNAL, replication_user::PASSFILE},
};
use ootheca_model::{Error, Result};
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags},
    io::Errno,
};
use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    vec,
};

/// The size of a part of the stream. A part can be longer by a header and padding.
pub(super) const PART: usize = 1 << 20;

/// Folders whose content PostgreSQL creates at its start.
const RECREATED_FOLDERS: [&str; 7] =
    ["pg_dynshmem", "pg_notify", "pg_replslot", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans"];
/// Files, in any folder, that belong to one run of a server, to one node of a cluster, or to the backup from which it was
/// restored. Data that is restored with the settings of a node would wait for its standbys.
const SKIPPED: [&str; 13] = [
    "backup_label",
    "backup_label.old",
    "backup_manifest",
    "current_logfiles",
    PASSFILE,
    PRIVATE_ACCESS_FILE,
    "postgresql.auto.conf",
    "postgresql.auto.conf.tmp",
    "postmaster.opts",
    "postmaster.pid",
    STANDBY_SIGNAL,
    "tablespace_map",
    "tablespace_map.old",
];
/// The names of temporary files, caches, and other files that PostgreSQL creates again begin with these.
const SKIPPED_PREFIXES: [&str; 3] = ["current_logfiles.", "pg_internal.init", "pgsql_tmp"];

/// The files of a data directory that remain to be copied.
#[derive(Debug)]
pub(super) struct DataFiles {
    data: PathBuf,
    items: vec::IntoIter<Item>,
    open: Option<OpenFile>,
    /// The size of the files that were copied.
    bytes: u64,
}

#[derive(Debug)]
struct Item {
    /// Relative to the data directory.
    path: PathBuf,
    is_folder: bool,
}

impl DataFiles {
    /// Lists the files, except for `pg_control`, which has to be copied after them. `is_needed` says which WAL segments
    /// are copied.
    pub(super) fn list(data: &Path, is_needed: &dyn Fn(&str) -> bool) -> Result<Self> {
        let mut list = List { data, is_needed, items: Vec::new() };
        list.add_folder(Path::new(""))?;
        Ok(Self { data: data.to_owned(), items: list.items.into_iter(), open: None, bytes: 0 })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The size of the files that remain to be copied, without those that were removed in the meantime.
    pub(super) fn remaining_bytes(&self) -> u64 {
        let size =
            |item: &Item| fs::symlink_metadata(self.data.join(&item.path)).map_or(0, |status| status.len());
        self.items.as_slice().iter().filter(|item| !item.is_folder).map(size).sum()
    }

    /// Copies the files to an existing folder, without those that were removed in the meantime.
    pub(super) fn copy_to(self, folder: &Path, copy: &mut FileCopy<'_>) -> Result<()> {
        for Item { path, is_folder } in self.items {
            let (from, to) = (self.data.join(&path), folder.join(&path));
            if is_folder {
                copy.folder(&to)?;
                continue;
            }
            match open_regular(&from) {
                Ok((file, bytes)) => copy.file(&file, bytes, &to)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("read", &from)(error)),
            }
        }
        Ok(())
    }

    /// Appends the next part of the stream. Returns whether there is more.
    pub(super) fn read(&mut self, part: &mut Vec<u8>) -> Result<bool> {
        while part.len() < PART {
            if let Some(file) = &mut self.open {
                if file.read(part)? {
                    self.open = None;
                }
                continue;
            }
            let Some(item) = self.items.next() else { return Ok(false) };
            self.begin(item, part)?;
        }
        Ok(true)
    }

    /// Appends the header of an entry, and opens its file. A file that was removed in the meantime is skipped.
    fn begin(&mut self, item: Item, part: &mut Vec<u8>) -> Result<()> {
        let Item { path, is_folder } = item;
        let opened = if is_folder { None } else { Some(open_regular(&self.data.join(&path))) };
        let opened = match opened {
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened.transpose().map_err(failed("read", &self.data.join(&path)))?,
        };
        let bytes = opened.as_ref().map_or(0, |(_, bytes)| *bytes);
        let entry = Entry { path, is_folder, bytes };
        part.extend_from_slice(&entry.encode()?);
        self.bytes += bytes;
        self.open = opened.map(|(file, bytes)| OpenFile { file, path: entry.path, left: bytes, bytes });
        Ok(())
    }
}

/// A file whose header was copied.
#[derive(Debug)]
struct OpenFile {
    file: File,
    path: PathBuf,
    bytes: u64,
    /// What remains to be copied of it.
    left: u64,
}

impl OpenFile {
    /// Appends the next part of the content. Returns whether it was the last one, which includes the padding. If the
    /// file has become shorter, zeros follow; if it has become longer, the rest is not copied.
    fn read(&mut self, part: &mut Vec<u8>) -> Result<bool> {
        let room = PART.saturating_sub(part.len());
        let wanted = usize::try_from(self.left).map_or(room, |left| left.min(room));
        let start = part.len();
        part.resize(start + wanted, 0);
        read_available(&mut self.file, &mut part[start..]).map_err(failed("read", &self.path))?;
        self.left -= wanted as u64;
        let ended = self.left == 0;
        if ended {
            part.resize(part.len() + padding(self.bytes), 0);
        }
        Ok(ended)
    }
}

/// Reads until the buffer is full or the file ends.
fn read_available(file: &mut File, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read(buffer) {
            Ok(0) => break,
            Ok(read) => buffer = &mut buffer[read..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Opens a file that a server has written, and returns its size. Follows no link and waits for no pipe, because a
/// server with a flaw may have prepared it.
pub(super) fn open_regular(path: &Path) -> io::Result<(File, u64)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    // No folder on the way may be a link either: the server can exchange it after it was listed.
    let opened = match rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        // Before Linux 5.6, or hidden by the filter of a container.
        Err(Errno::NOSYS | Errno::PERM) => rustix::fs::open(path, flags, Mode::empty()),
        opened => opened,
    };
    let file = File::from(opened?);
    let status = file.metadata()?;
    if !status.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok((file, status.len()))
}

/// Lists what is copied. Folders come before what they contain.
struct List<'a> {
    data: &'a Path,
    is_needed: &'a dyn Fn(&str) -> bool,
    items: Vec<Item>,
}

impl List<'_> {
    /// Adds what a folder contains. One that was removed in the meantime, like that of a database, is skipped.
    fn add_folder(&mut self, folder: &Path) -> Result<()> {
        let path = self.data.join(folder);
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound && folder != Path::new("");
        let entries = match fs::read_dir(&path) {
            Err(error) if gone(&error) => return Ok(()),
            entries => entries.map_err(failed("read", &path))?,
        };
        for entry in entries {
            let entry = entry.map_err(failed("read", &path))?;
            let kind = match entry.file_type() {
                Err(error) if gone(&error) => continue,
                kind => kind.map_err(failed("inspect", &entry.path()))?,
            };
            let item = folder.join(entry.file_name());
            if kind.is_symlink() {
                return Err(Error::precondition(format!(
                    "the data directory contains the symbolic link {}, and tablespaces can't be backed up",
                    item.display()
                )));
            }
            if self.is_skipped(folder, &item) {
                continue;
            }
            if kind.is_dir() {
                self.items.push(Item { path: item.clone(), is_folder: true });
                if !is_recreated(&item) {
                    self.add_folder(&item)?;
                }
            } else if kind.is_file() && (folder != Path::new(WAL_FOLDER) || self.is_needed_segment(&item)) {
                self.items.push(Item { path: item, is_folder: false });
            }
        }
        Ok(())
    }

    fn is_needed_segment(&self, item: &Path) -> bool {
        item.file_name().and_then(|name| name.to_str()).is_some_and(self.is_needed)
    }

    fn is_skipped(&self, folder: &Path, item: &Path) -> bool {
        let name = item.file_name().unwrap_or_default().to_string_lossy();
        item == Path::new(CONTROL_FILE)
            || SKIPPED.contains(&&*name)
            || SKIPPED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            || (folder.starts_with("base") && is_temporary_relation(&name))
    }
}

/// Whether PostgreSQL creates the content of a folder at its start.
fn is_recreated(folder: &Path) -> bool {
    RECREATED_FOLDERS.iter().any(|name| folder == Path::new(name))
        || folder.parent() == Some(Path::new(WAL_FOLDER))
}

/// Whether a file contains a temporary table of a session, for example `t3_16384`.
fn is_temporary_relation(name: &str) -> bool {
    name.strip_prefix('t').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
#[path = "data_files_tests.rs"]
mod tests;
