//! Stores an object whose size is not known in advance.

use bytes::{Bytes, BytesMut};
use object_store::{
    MultipartUpload, ObjectStore, PutMode, PutMultipartOptions, PutPayload, Result, path::Path,
};
use std::sync::Arc;
use tokio::{runtime::Handle, task::JoinSet};

/// The size of the first parts. S3 requires 5 MiB.
const PART: usize = 8 * 1024 * 1024;
/// S3 allows 10,000 parts. After this number of parts, their size doubles, for objects of up to 480 GiB. Some servers
/// require parts of one size; they can store 16 GiB.
const PARTS_OF_ONE_SIZE: usize = 2000;
/// How many parts are sent at the same time.
const AT_ONCE: usize = 2;

/// An upload. It must be completed or aborted; if it is dropped, it is aborted in the background.
pub(crate) struct Upload {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// `None` until there is a whole part: a small object is stored with one request.
    upload: Option<Box<dyn MultipartUpload>>,
    /// Parts that are being sent.
    sending: JoinSet<Result<()>>,
    /// The number of parts before the next one.
    parts: usize,
    /// What is not sent yet.
    rest: BytesMut,
    bytes: u64,
}

impl Upload {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, path: Path) -> Self {
        let (sending, rest) = (JoinSet::new(), BytesMut::new());
        Self { store, path, upload: None, sending, parts: 0, rest, bytes: 0 }
    }

    /// Adds to the object.
    pub(crate) async fn push(&mut self, content: &[u8]) -> Result<()> {
        self.bytes += content.len() as u64;
        self.rest.extend_from_slice(content);
        while self.rest.len() >= part_size(self.parts) {
            let part = self.rest.split_to(part_size(self.parts)).freeze();
            self.send(part).await?;
        }
        Ok(())
    }

    async fn send(&mut self, part: Bytes) -> Result<()> {
        if self.upload.is_none() {
            let options = PutMultipartOptions::default();
            self.upload = Some(self.store.put_multipart_opts(&self.path, options).await?);
        }
        while self.sending.len() >= AT_ONCE {
            self.sent().await?;
        }
        if let Some(upload) = &mut self.upload {
            self.sending.spawn(upload.put_part(PutPayload::from(part)));
            self.parts += 1;
        }
        Ok(())
    }

    /// Waits for a part. Returns whether there was one.
    async fn sent(&mut self) -> Result<bool> {
        match self.sending.join_next().await {
            Some(part) => part?.map(|()| true),
            None => Ok(false),
        }
    }

    /// Completes the object, which appears at once. Returns its size.
    pub(crate) async fn complete(&mut self) -> Result<u64> {
        let rest = self.rest.split().freeze();
        if self.upload.is_none() {
            let options = PutMode::Overwrite.into();
            self.store.put_opts(&self.path, PutPayload::from(rest), options).await?;
            return Ok(self.bytes);
        }
        if !rest.is_empty() {
            self.send(rest).await?;
        }
        while self.sent().await? {}
        if let Some(upload) = &mut self.upload {
            upload.complete().await?;
        }
        self.upload = None;
        Ok(self.bytes)
    }

    /// Removes what was sent. A failure is ignored: what is left in a directory is removed later, and buckets have
    /// lifecycle rules for it.
    pub(crate) async fn abort(&mut self) {
        self.sending.shutdown().await;
        if let Some(mut upload) = self.upload.take() {
            let _ = upload.abort().await;
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(mut upload), Ok(runtime)) = (self.upload.take(), Handle::try_current()) {
            runtime.spawn(async move {
                let _ = upload.abort().await;
            });
        }
    }
}

fn part_size(parts: usize) -> usize {
    PART << (parts / PARTS_OF_ONE_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_suffice_for_large_objects() {
        let sizes = (0..10_000).map(|parts| part_size(parts) as u64);
        assert_eq!(sizes.sum::<u64>() >> 30, 484);
        assert_eq!((part_size(0), part_size(1999), part_size(2000)), (PART, PART, 2 * PART));
    }
}
