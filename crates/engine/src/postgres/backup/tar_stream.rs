//! Entries of a tar stream: folders and regular files, without links and attributes.

use ootheca_model::{Error, Result};
use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
};
use tar::{EntryType, Header};

/// Headers, and the content of files with its padding, consist of blocks of this size.
pub(super) const BLOCK: usize = 512;
/// What follows the last entry.
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The header of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Relative to the folder that was copied, and below it.
    pub(super) path: PathBuf,
    pub(super) is_folder: bool,
    /// The size of the content; 0 for a folder.
    pub(super) bytes: u64,
}

impl Entry {
    pub(super) fn encode(&self) -> Result<[u8; BLOCK]> {
        let mut header = Header::new_ustar();
        header.set_path(&self.path).map_err(|error| {
            let message = format!("cannot copy {}: {error}", self.path.display());
            Error::internal(message).because(error)
        })?;
        header.set_entry_type(if self.is_folder { EntryType::Directory } else { EntryType::Regular });
        header.set_mode(if self.is_folder { 0o700 } else { 0o600 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(self.bytes);
        header.set_cksum();
        Ok(*header.as_bytes())
    }

    /// Returns `None` for the end of the stream.
    pub(super) fn decode(block: &[u8; BLOCK]) -> Result<Option<Self>> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Header::from_byte_slice(block);
        let mut expected = header.clone();
        expected.set_cksum();
        let (checksum, bytes) = (header.cksum(), header.entry_size());
        if checksum.ok() != expected.cksum().ok() {
            return Err(damaged("the checksum of a header is wrong"));
        }
        let is_folder = header.entry_type().is_dir();
        if !is_folder && !header.entry_type().is_file() {
            return Err(damaged("an entry is neither a folder nor a regular file"));
        }
        let bytes = bytes.map_err(|error| damaged("a header has no size").because(error))?;
        let path = PathBuf::from(OsStr::from_bytes(&header.path_bytes()));
        if path.as_os_str().is_empty() || !path.components().all(|part| matches!(part, Component::Normal(_)))
        {
            return Err(damaged("a path leads out of the folder"));
        }
        Ok(Some(Self { path, is_folder, bytes: if is_folder { 0 } else { bytes } }))
    }
}

/// A file with this content.
pub(super) fn file(path: &str, content: &[u8]) -> Result<Vec<u8>> {
    let bytes = content.len() as u64;
    let entry = Entry { path: Path::new(path).to_owned(), is_folder: false, bytes };
    let mut stream = entry.encode()?.to_vec();
    stream.extend_from_slice(content);
    stream.resize(stream.len() + padding(bytes), 0);
    Ok(stream)
}

/// The number of bytes that follow the content of a file of this size.
pub(super) fn padding(bytes: u64) -> usize {
    let used = usize::try_from(bytes % BLOCK as u64).unwrap_or_default();
    (BLOCK - used) % BLOCK
}

fn damaged(why: &str) -> Error {
    Error::internal(format!("the base of the backup is damaged: {why}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(header: &Header) -> Result<Option<Entry>> {
        Entry::decode(header.as_bytes())
    }

    fn header(path: &str, kind: EntryType) -> Header {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_cksum();
        header
    }

    #[test]
    fn paths_and_types_that_lead_elsewhere_are_refused() {
        assert!(decode(&header("a/b", EntryType::Regular)).unwrap().is_some());
        for path in ["/a", "..", "a/../../b", "./a", "", "/"] {
            let error = decode(&header(path, EntryType::Regular)).unwrap_err();
            assert!(error.message().contains("leads out"), "{path}: {error}");
        }
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::Fifo, EntryType::GNULongName] {
            decode(&header("a", kind)).unwrap_err();
        }
    }

    #[test]
    fn damaged_headers_are_refused() {
        let entry = Entry { path: PathBuf::from("base/1/1259"), is_folder: false, bytes: 8192 };
        let whole = entry.encode().unwrap();
        for at in [0, 60, 124, 130, 156, 257, 400] {
            let mut block = whole;
            block[at] ^= 1;
            Entry::decode(&block).unwrap_err();
        }
        assert_eq!(Entry::decode(&whole).unwrap(), Some(entry));
        assert_eq!(Entry::decode(&[0; BLOCK]).unwrap(), None);
    }

    #[test]
    fn content_is_padded_to_blocks() {
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
        let content: Vec<u8> = (0..=255).cycle().take(700).collect();
        let stream = file("a", &content).unwrap();
        assert_eq!(stream.len(), 3 * BLOCK);
        assert_eq!(&stream[BLOCK..BLOCK + 700], content);
        assert!(stream[BLOCK + 700..].iter().all(|byte| *byte == 0));
    }

    proptest! {
        #[test]
        fn headers_are_decoded_as_they_were_encoded(
            names in proptest::collection::vec("[^/\0]{1,20}", 1..5),
            is_folder in any::<bool>(),
            bytes in any::<u64>(),
        ) {
            prop_assume!(!names.iter().any(|name| name == "." || name == ".."));
            let bytes = if is_folder { 0 } else { bytes };
            let entry = Entry { path: names.iter().collect(), is_folder, bytes };
            // The format limits the length of paths.
            if let Ok(block) = entry.encode() {
                prop_assert_eq!(Entry::decode(&block).unwrap(), Some(entry));
            } else {
                prop_assert!(entry.path.as_os_str().len() > 100);
            }
        }

        #[test]
        fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), BLOCK)) {
            let _ = Entry::decode(bytes.first_chunk().unwrap());
        }
    }
}
