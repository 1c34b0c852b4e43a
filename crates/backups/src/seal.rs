//! The format of an object.
//!
//! ```text
//! magic                8 bytes
//! format version       1 byte
//! salt                32 bytes   the key of the object is derived from the recovery key, the cluster, and this
//! nonce prefix         7 bytes
//! chunks                         up to 64 KiB of the compressed content each, and the tag of AES-256-GCM
//! ```
//!
//! The nonce of a chunk is the prefix, the number of the chunk, and whether it is the last one, so that chunks can't
//! be exchanged or cut off. The associated data of each chunk is the name of the object, so that objects can't be
//! exchanged either. Only the last chunk is shorter than the others.

use crate::{
    archive::Object,
    key::{RecoveryKey, SALT, random},
};
use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use std::io::{self, Write};

const MAGIC: [u8; 8] = *b"OOTHECA\0";
const VERSION: u8 = 1;
const PREFIX: usize = 7;
const TAG: usize = 16;
const CHUNK: usize = 64 * 1024;

/// The length of the header.
pub(crate) const HEADER: usize = MAGIC.len() + 1 + SALT + PREFIX;
/// The length of a sealed chunk that is not the last one.
pub(crate) const SEALED_CHUNK: usize = CHUNK + TAG;

/// A level that costs little CPU.
const COMPRESSION_LEVEL: i32 = 3;

/// Compresses what is written to it, then encrypts it.
pub(crate) type Packer = zstd::stream::write::Encoder<'static, Sealer>;

/// Starts an object.
pub(crate) fn packer(key: &RecoveryKey, object: &Object) -> io::Result<Packer> {
    Packer::new(Sealer::new(key, object), COMPRESSION_LEVEL)
}

/// The object with this content.
pub(crate) fn pack(key: &RecoveryKey, object: &Object, content: &[u8]) -> io::Result<Vec<u8>> {
    let mut packer = packer(key, object)?;
    packer.write_all(content)?;
    packer.finish()?.finish()
}

/// The content of a whole object. `InvalidData` if it is damaged.
pub(crate) fn unpack(key: &RecoveryKey, object: &Object, sealed: &[u8]) -> io::Result<Vec<u8>> {
    let (header, chunks) =
        sealed.split_first_chunk::<HEADER>().ok_or_else(|| damaged(object, "its header is missing"))?;
    let compressed = Opener::new(key, object, header)?.open(0, chunks, true)?;
    zstd::stream::decode_all(&compressed[..]).map_err(|error| damaged(object, &error.to_string()))
}

/// The error for an object that can't be read any more.
pub(crate) fn damaged(object: &Object, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{object} is damaged: {why}"))
}

/// Runs what takes too long for a thread that runs tasks.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

/// Encrypts and decrypts the chunks of one object.
struct Cipher {
    key: LessSafeKey,
    prefix: [u8; PREFIX],
    object: Object,
}

impl Cipher {
    fn nonce(&self, number: u64, last: bool) -> io::Result<Nonce> {
        let number = u32::try_from(number).map_err(|_| io::Error::other("the object is too large"))?;
        let mut nonce = [0; PREFIX + 5];
        nonce[..PREFIX].copy_from_slice(&self.prefix);
        nonce[PREFIX..PREFIX + 4].copy_from_slice(&number.to_be_bytes());
        nonce[PREFIX + 4] = u8::from(last);
        Ok(Nonce::assume_unique_for_key(nonce))
    }

    fn associated_data(&self) -> Aad<&[u8]> {
        Aad::from(self.object.name.as_bytes())
    }
}

/// Encrypts what is written to it.
pub(crate) struct Sealer {
    cipher: Cipher,
    /// The number of the next chunk.
    next: u64,
    /// The content of the next chunk. A full chunk waits here until it is known whether it is the last one.
    chunk: Vec<u8>,
    /// What is complete.
    sealed: Vec<u8>,
}

impl Sealer {
    fn new(key: &RecoveryKey, object: &Object) -> Self {
        let (salt, prefix) = (random::<SALT>(), random::<PREFIX>());
        let sealed = [&MAGIC[..], &[VERSION], &salt, &prefix].concat();
        let key = key.derive(object.cluster, &salt);
        let cipher = Cipher { key, prefix, object: object.clone() };
        Self { cipher, next: 0, chunk: Vec::with_capacity(CHUNK), sealed }
    }

    /// Removes and returns what is complete.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.sealed)
    }

    /// Ends the object, and returns the rest of it.
    pub(crate) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.seal(true)?;
        Ok(self.sealed)
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        let nonce = self.cipher.nonce(self.next, last)?;
        let data = self.cipher.associated_data();
        let tag = self
            .cipher
            .key
            .seal_in_place_separate_tag(nonce, data, &mut self.chunk)
            .map_err(|_| io::Error::other("could not encrypt"))?;
        self.sealed.extend_from_slice(&self.chunk);
        self.sealed.extend_from_slice(tag.as_ref());
        self.chunk.clear();
        self.next += 1;
        Ok(())
    }
}

impl Write for Sealer {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        if content.is_empty() {
            return Ok(0);
        }
        if self.chunk.len() == CHUNK {
            self.seal(false)?;
        }
        let taken = content.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&content[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decrypts the chunks of an object.
pub(crate) struct Opener(Cipher);

impl Opener {
    pub(crate) fn new(key: &RecoveryKey, object: &Object, header: &[u8; HEADER]) -> io::Result<Self> {
        let (magic, rest) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(damaged(object, "its header is invalid"));
        }
        if rest[0] != VERSION {
            return Err(damaged(object, &format!("its format version is {}", rest[0])));
        }
        let (mut salt, mut prefix) = ([0; SALT], [0; PREFIX]);
        salt.copy_from_slice(&rest[1..1 + SALT]);
        prefix.copy_from_slice(&rest[1 + SALT..]);
        let key = key.derive(object.cluster, &salt);
        Ok(Self(Cipher { key, prefix, object: object.clone() }))
    }

    /// Decrypts adjacent chunks. `first` is the number of the first one, and `last` says whether the object ends with
    /// them. Returns the compressed content; `InvalidData` if it is damaged.
    pub(crate) fn open(&self, first: u64, sealed: &[u8], last: bool) -> io::Result<Vec<u8>> {
        let Self(cipher) = self;
        let mut content = Vec::with_capacity(sealed.len());
        let mut chunks = (first..).zip(sealed.chunks(SEALED_CHUNK)).peekable();
        if chunks.peek().is_none() {
            return Err(damaged(&cipher.object, "its end is missing"));
        }
        while let Some((number, chunk)) = chunks.next() {
            let (text, tag) = chunk
                .split_last_chunk::<TAG>()
                .ok_or_else(|| damaged(&cipher.object, "its end is missing"))?;
            let nonce = cipher.nonce(number, last && chunks.peek().is_none())?;
            let start = content.len();
            content.resize(start + text.len(), 0);
            cipher
                .key
                .open_separate_gather(nonce, cipher.associated_data(), text, tag, &mut content[start..])
                .map_err(|_| damaged(&cipher.object, "it was changed or cut off"))?;
        }
        Ok(content)
    }
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
