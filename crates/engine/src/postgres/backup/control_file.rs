//! `pg_control`: the state of a data directory, and its last checkpoint.

use super::{data_files::open_regular, wal::Lsn};
use crate::files::failed;
use ootheca_model::{Error, Result};
use std::{
    io::{self, Read as _},
    path::Path,
};

/// The path in a data directory.
pub(super) const CONTROL_FILE: &str = "global/pg_control";
/// How often the file is read if it changes all the time.
const ATTEMPTS: usize = 100;
/// The state of a server that was stopped cleanly.
const SHUT_DOWN: u32 = 1;
/// The same of a standby.
const SHUT_DOWN_IN_RECOVERY: u32 = 2;

// The positions of values in the file, which are the same in all supported versions.
const STATE: usize = 16;
const CHECKPOINT: usize = 32;
const REDO: usize = 40;
const TIMELINE: usize = 48;

/// A part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ControlFile {
    /// Whether the server was stopped cleanly, so that its data is complete without WAL.
    pub(super) shut_down: bool,
    /// Where the record of the last checkpoint is.
    pub(super) checkpoint: Lsn,
    /// Where a recovery from this checkpoint begins.
    pub(super) redo: Lsn,
}

impl ControlFile {
    pub(super) fn read(data: &Path) -> Result<Self> {
        Self::parse(&content(data)?)
    }

    pub(super) fn parse(content: &[u8]) -> Result<Self> {
        Self::values(content).ok_or_else(|| Error::internal("the file pg_control is damaged"))
    }

    fn values(content: &[u8]) -> Option<Self> {
        let position = |at: usize| content.get(at..)?.first_chunk().copied().map(u64::from_ne_bytes).map(Lsn);
        let (checkpoint, redo) = (position(CHECKPOINT)?, position(REDO)?);
        let valid = redo > Lsn(0) && redo <= checkpoint && int(content, TIMELINE)? > 0;
        valid.then_some(Self { shut_down: int(content, STATE)? == SHUT_DOWN, checkpoint, redo })
    }
}

/// Whether the server in a data directory, which can be that of a standby, was stopped cleanly.
pub(super) fn was_stopped_cleanly(data: &Path) -> Result<bool> {
    let content = content(data)?;
    let is_standby = int(&content, STATE) == Some(SHUT_DOWN_IN_RECOVERY);
    Ok(ControlFile::parse(&content)?.shut_down || is_standby)
}

fn int(content: &[u8], at: usize) -> Option<u32> {
    content.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

/// The content of the file in a data directory. It is read until it does not change, because a running server writes it
/// without a lock that others can take.
pub(super) fn content(data: &Path) -> Result<Vec<u8>> {
    let path = data.join(CONTROL_FILE);
    let read = || -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let (file, bytes) = open_regular(&path)?;
        file.take(bytes).read_to_end(&mut content).map(|_| content)
    };
    let mut last = read().map_err(failed("read", &path))?;
    for _ in 0..ATTEMPTS {
        let next = read().map_err(failed("read", &path))?;
        if next == last {
            return Ok(next);
        }
        last = next;
    }
    Err(Error::unavailable("the file pg_control changes all the time"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn file(state: u32, checkpoint: u64, redo: u64, timeline: u32) -> Vec<u8> {
        let mut content = vec![0; 8192];
        content[STATE..STATE + 4].copy_from_slice(&state.to_ne_bytes());
        content[CHECKPOINT..CHECKPOINT + 8].copy_from_slice(&checkpoint.to_ne_bytes());
        content[REDO..REDO + 8].copy_from_slice(&redo.to_ne_bytes());
        content[TIMELINE..TIMELINE + 4].copy_from_slice(&timeline.to_ne_bytes());
        content
    }

    #[test]
    fn state_and_checkpoint_are_parsed() {
        let stopped = ControlFile::parse(&file(1, 0x28, 0x28, 1)).unwrap();
        assert_eq!(stopped, ControlFile { shut_down: true, checkpoint: Lsn(0x28), redo: Lsn(0x28) });
        let running = ControlFile::parse(&file(6, 0x50, 0x28, 1)).unwrap();
        assert!(!running.shut_down && running.redo < running.checkpoint);
        for damaged in [file(1, 0x28, 0x50, 1), file(1, 0, 0, 1), file(1, 0x28, 0x28, 0), vec![1; 50]] {
            assert_eq!(ControlFile::values(&damaged), None);
        }
    }

    #[test]
    fn servers_and_standbys_can_be_stopped_cleanly() {
        let data = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir_all(data.join("global")).unwrap();
        for (state, expected) in [(1, true), (2, true), (5, false), (6, false)] {
            fs::write(data.join(CONTROL_FILE), file(state, 0x50, 0x28, 1)).unwrap();
            assert_eq!(was_stopped_cleanly(&data).unwrap(), expected, "{state}");
        }
        fs::remove_dir_all(&data).unwrap();
    }

    proptest! {
        #[test]
        fn parsing_never_panics(content in proptest::collection::vec(any::<u8>(), 0..60)) {
            ControlFile::values(&content);
        }
    }
}
