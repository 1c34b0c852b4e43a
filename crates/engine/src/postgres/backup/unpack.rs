//! Unpacks a base into a new data directory.

use super::tar_stream::{BLOCK, Entry, padding};
use crate::{
    backup::BaseReader,
    files::{blocking, failed, not_written},
    postgres::{copy::make_private_folder, owner::Owner},
};
use ootheca_model::{Error, Result};
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};
use tokio::io::{AsyncReadExt as _, copy, sink};

/// The size of what is read and written at once.
const PART: usize = 1 << 20;

/// Unpacks a base into an existing folder. `advance` is told the bytes of each part, and its errors end the unpacking.
pub(super) async fn unpack(
    mut base: BaseReader,
    data: &Path,
    owner: &Owner,
    mut advance: impl FnMut(u64) -> Result<()>,
) -> Result<()> {
    let mut block = [0; BLOCK];
    loop {
        base.read_exact(&mut block).await.map_err(unreadable)?;
        let Some(entry) = Entry::decode(&block)? else { break };
        let (path, owner) = (data.join(&entry.path), owner.clone());
        if entry.is_folder {
            blocking(move || make_private_folder(&path, &owner)).await?;
        } else {
            unpack_file(&mut base, path, owner, entry.bytes, &mut advance).await?;
        }
    }
    // Only at the end of the object it is certain that nothing is missing.
    copy(&mut base, &mut sink()).await.map(drop).map_err(unreadable)
}

async fn unpack_file(
    base: &mut BaseReader,
    path: PathBuf,
    owner: Owner,
    bytes: u64,
    advance: &mut impl FnMut(u64) -> Result<()>,
) -> Result<()> {
    let mut file = blocking({
        let path = path.clone();
        move || create_file(&path, &owner)
    })
    .await?;
    let (mut left, mut part) = (bytes, Vec::new());
    while left > 0 {
        part.resize(usize::try_from(left).map_or(PART, |left| left.min(PART)), 0);
        base.read_exact(&mut part).await.map_err(unreadable)?;
        let read = part.len() as u64;
        left -= read;
        let to = path.clone();
        (file, part) = blocking(move || {
            file.write_all(&part).map_err(not_written("write", &to))?;
            Ok((file, part))
        })
        .await?;
        advance(read)?;
    }
    base.read_exact(&mut [0; BLOCK][..padding(bytes)]).await.map(drop).map_err(unreadable)
}

/// Writes a file of the data directory, and replaces one that is there.
pub(super) fn write_file(path: &Path, owner: &Owner, content: &[u8]) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("remove", path)(error)),
        _ => {}
    }
    create_file(path, owner)?.write_all(content).map_err(not_written("write", path))
}

fn create_file(path: &Path, owner: &Owner) -> Result<File> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(not_written("write", path))?;
    owner.chown(path)?;
    Ok(file)
}

fn unreadable(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData => {
            Error::internal("the base of the backup is damaged or incomplete").because(error)
        }
        _ => Error::unavailable("the base of the backup can't be read").because(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::postgres::backup::{
        data_files::DataFiles,
        tar_stream::{self, END},
    };
    use std::{io::Cursor, os::unix::fs::MetadataExt as _};

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn owner() -> Owner {
        Owner::find("root").unwrap_or_else(|_| Owner::with_id(1_234_567))
    }

    async fn unpack_all(stream: &[u8], to: &Folder) -> Result<u64> {
        let mut unpacked = 0;
        let base: BaseReader = Box::new(Cursor::new(stream.to_vec()));
        unpack(base, &to.0, &owner(), |bytes| {
            unpacked += bytes;
            Ok(())
        })
        .await?;
        Ok(unpacked)
    }

    #[tokio::test]
    async fn what_was_packed_is_unpacked() {
        let (from, to) = (Folder::new(), Folder::new());
        let large: Vec<u8> = (0..=250).cycle().take(2 * PART + 7).collect();
        fs::create_dir_all(from.0.join("base/1")).unwrap();
        fs::write(from.0.join("PG_VERSION"), "15\n").unwrap();
        fs::write(from.0.join("base/1/1259"), &large).unwrap();
        fs::write(from.0.join("base/1/empty"), "").unwrap();
        let mut files = DataFiles::list(&from.0, &|_| false).unwrap();
        let (mut stream, mut part) = (Vec::new(), Vec::new());
        while files.read(&mut part).unwrap() {
            stream.append(&mut part);
        }
        stream.append(&mut part);
        stream.extend(tar_stream::file("backup_label", b"label").unwrap());
        stream.extend(END);

        let unpacked = unpack_all(&stream, &to).await.unwrap();
        assert_eq!(unpacked, files.bytes() + 5);
        assert_eq!(fs::read(to.0.join("base/1/1259")).unwrap(), large);
        assert_eq!(fs::read(to.0.join("base/1/empty")).unwrap(), b"");
        assert_eq!(fs::read(to.0.join("backup_label")).unwrap(), b"label");
        for (name, mode) in
            [("base", 0o700), ("base/1", 0o700), ("base/1/1259", 0o600), ("PG_VERSION", 0o600)]
        {
            assert_eq!(fs::metadata(to.0.join(name)).unwrap().mode() & 0o777, mode, "{name}");
        }
    }

    #[tokio::test]
    async fn streams_that_are_cut_short_are_damaged() {
        let mut stream = tar_stream::file("a", &[1; 1000]).unwrap();
        stream.extend(tar_stream::file("b", b"").unwrap());
        for length in [0, 1, BLOCK, BLOCK + 1, 3 * BLOCK - 1, 3 * BLOCK, stream.len()] {
            let error = unpack_all(&stream[..length], &Folder::new()).await.unwrap_err();
            assert_eq!(error.kind(), ootheca_model::ErrorKind::Internal, "{length}");
        }
        stream.extend(END);
        assert_eq!(unpack_all(&stream, &Folder::new()).await.unwrap(), 1000);
    }

    #[tokio::test]
    async fn existing_files_are_not_overwritten() {
        let mut stream = tar_stream::file("a", b"1").unwrap();
        stream.extend(tar_stream::file("a", b"2").unwrap());
        stream.extend(END);
        unpack_all(&stream, &Folder::new()).await.unwrap_err();
    }

    #[tokio::test]
    async fn unpacking_can_be_stopped() {
        let mut stream = tar_stream::file("a", b"1").unwrap();
        stream.extend(END);
        let folder = Folder::new();
        let base: BaseReader = Box::new(Cursor::new(stream));
        let stopped = unpack(base, &folder.0, &owner(), |_| Err(Error::unavailable("stopped"))).await;
        assert_eq!(stopped.unwrap_err().message(), "stopped");
    }
}
