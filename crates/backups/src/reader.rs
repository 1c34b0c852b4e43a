//! Reads a base.

use crate::{
    archive::Object,
    key::RecoveryKey,
    seal::{HEADER, Opener, SEALED_CHUNK, blocking, damaged},
};
use bytes::Bytes;
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use object_store::{GetOptions, ObjectStore, path::Path};
use std::{
    io,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, ReadBuf};
use zstd::stream::raw::{Decoder, Operation};

/// How many chunks are fetched with one request.
const CHUNKS: u64 = 64;
/// How many requests run at the same time.
const AT_ONCE: usize = 2;
/// How much content is decompressed at once. A few bytes can contain gigabytes of zeros.
const OUTPUT: usize = 1024 * 1024;

/// An object of known size.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) path: Path,
    pub(crate) size: u64,
}

impl Source {
    async fn fetch(&self, range: Range<u64>) -> io::Result<Bytes> {
        fetch(&*self.store, &self.path, Some(range)).await.map_err(|error| match error {
            object_store::Error::NotFound { .. } => io::Error::new(io::ErrorKind::NotFound, error),
            error => io::Error::other(error),
        })
    }
}

/// Reads a range of an object, or all of it.
pub(crate) async fn fetch(
    store: &dyn ObjectStore,
    path: &Path,
    range: Option<Range<u64>>,
) -> object_store::Result<Bytes> {
    store.get_opts(path, GetOptions::new().with_range(range)).await?.bytes().await
}

/// The content of an object. Reading fails with `InvalidData` if it is damaged.
pub(crate) async fn read(
    source: Source,
    key: &RecoveryKey,
    object: Object,
) -> io::Result<Box<dyn AsyncRead + Send + Unpin>> {
    let missing = || damaged(&object, "its header is missing");
    if source.size < HEADER as u64 {
        return Err(missing());
    }
    let header = source.fetch(0..HEADER as u64).await?;
    let header = header.first_chunk().ok_or_else(missing)?;
    let opener = Opener::new(key, &object, header)?;
    let content = unpacked(pieces(source, Arc::new(opener)).boxed(), object)?.boxed();
    Ok(Box::new(Reader { content, current: Bytes::new() }))
}

/// Fetches and decrypts the chunks, several at a time.
fn pieces(source: Source, opener: Arc<Opener>) -> impl Stream<Item = io::Result<Vec<u8>>> + Send {
    const PIECE: u64 = CHUNKS * SEALED_CHUNK as u64;
    let count = (source.size - HEADER as u64).div_ceil(PIECE);
    let piece = move |index: u64| {
        let (source, opener) = (source.clone(), opener.clone());
        async move {
            let start = HEADER as u64 + index * PIECE;
            let end = (start + PIECE).min(source.size);
            let sealed = source.fetch(start..end).await?;
            blocking(move || opener.open(index * CHUNKS, &sealed, end == source.size)).await
        }
    };
    // Tasks continue while the reader is busy, so that requests don't exceed their time meanwhile.
    let tasks = stream::iter(0..count).map(move |index| tokio::spawn(piece(index)));
    tasks.buffered(AT_ONCE).map(|piece| piece?)
}

/// Decompresses what is decrypted.
fn unpacked(
    pieces: BoxStream<'static, io::Result<Vec<u8>>>,
    object: Object,
) -> io::Result<impl Stream<Item = io::Result<Bytes>> + Send> {
    let start = (pieces, Unpacker::new(object)?);
    Ok(stream::try_unfold(start, |(mut pieces, mut unpacker)| async move {
        loop {
            if unpacker.is_ready() {
                let (rest, content) = blocking(move || unpacker.step()).await?;
                unpacker = rest;
                if !content.is_empty() {
                    return Ok(Some((Bytes::from(content), (pieces, unpacker))));
                }
            } else if let Some(piece) = pieces.next().await {
                unpacker.feed(piece?);
            } else if unpacker.complete {
                return Ok(None);
            } else {
                return Err(damaged(&unpacker.object, "its end is missing"));
            }
        }
    }))
}

/// Decompresses with a limited output.
struct Unpacker {
    object: Object,
    decoder: Decoder<'static>,
    input: Vec<u8>,
    /// How much of the input is used.
    used: usize,
    /// Whether there is more output without more input.
    more: bool,
    /// Whether the content ends with the input.
    complete: bool,
}

impl Unpacker {
    fn new(object: Object) -> io::Result<Self> {
        let decoder = Decoder::new()?;
        Ok(Self { object, decoder, input: Vec::new(), used: 0, more: false, complete: false })
    }

    fn is_ready(&self) -> bool {
        self.more || self.used < self.input.len()
    }

    fn feed(&mut self, input: Vec<u8>) {
        (self.input, self.used) = (input, 0);
    }

    /// Returns the next content, which can be empty, and this for further steps.
    fn step(mut self) -> io::Result<(Self, Vec<u8>)> {
        let (mut content, mut length) = (vec![0; OUTPUT], 0);
        loop {
            let status = self
                .decoder
                .run_on_buffers(&self.input[self.used..], &mut content[length..])
                .map_err(|error| damaged(&self.object, &error.to_string()))?;
            self.used += status.bytes_read;
            length += status.bytes_written;
            self.complete = status.remaining == 0;
            let full = length == OUTPUT;
            if full || self.used == self.input.len() {
                self.more = full && !self.complete;
                content.truncate(length);
                return Ok((self, content));
            }
        }
    }
}

/// The content as a stream of bytes.
struct Reader {
    content: BoxStream<'static, io::Result<Bytes>>,
    current: Bytes,
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.current.is_empty() {
            match ready!(self.content.as_mut().poll_next(context)) {
                Some(content) => self.current = content?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.current.len().min(buffer.remaining());
        buffer.put_slice(&self.current.split_to(length));
        Poll::Ready(Ok(()))
    }
}
