//! The operations on a repository.

mod control;

use crate::{
    archive::{ARCHIVES, Archive, Kind, Object},
    failure::unavailable,
    folder,
    key::RecoveryKey,
    location::Location,
    reader::{self, Source, fetch},
    seal::{self, blocking},
    upload::Upload,
};
use bytes::Bytes;
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use object_store::{GetOptions, ObjectMeta, ObjectStore, PutMode, PutPayload, path::Path};
use ootheca_model::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The object that describes the repository, which is not encrypted.
const DESCRIPTION: &str = "repository.json";
const FORMAT: u32 = 1;

/// How much of a base is compressed at once.
const BLOCK: usize = 1024 * 1024;

/// Where backups are stored.
#[derive(Clone)]
pub struct Repository {
    inner: Arc<Inner>,
}

struct Inner {
    url: String,
    store: Arc<dyn ObjectStore>,
    /// The directory, unless it is a bucket.
    folder: Option<PathBuf>,
    key: RecoveryKey,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Description {
    format: u32,
    /// The fingerprint of the recovery key.
    fingerprint: String,
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Repository({})", self.inner.url)
    }
}

impl Repository {
    /// Opens a repository. `create` says whether it may be new; otherwise an empty one, such as a directory that is not
    /// mounted, is `Unavailable`. `url`: a directory as `file:///path`, where the path is not encoded, or
    /// `s3://bucket/prefix`. `Precondition` if it was encrypted with another key, `Unavailable` if it can't be reached.
    pub async fn open(url: &str, key: RecoveryKey, create: bool) -> Result<Self> {
        let (store, folder) = Location::parse(url)?.connect(url, create).await?;
        let repository = Self { inner: Arc::new(Inner { url: url.to_owned(), store, folder, key }) };
        repository.verify(create).await?;
        Ok(repository)
    }

    /// Stores a base. `written` writes `content`, and closes it at its end; the object appears only if it returns Ok.
    /// Returns its result and the number of bytes stored.
    pub async fn put_base<T>(
        &self,
        archive: Archive,
        id: &str,
        content: impl AsyncRead + Send + Unpin,
        written: impl Future<Output = Result<T>> + Send,
    ) -> Result<(T, u64)> {
        let object = archive.object(Kind::Base, id)?;
        self.check_present().await?;
        self.remove_uploads(archive).await?;
        let mut upload = Upload::new(self.inner.store.clone(), object.path());
        let stored = self.store_stream(&object, content, written, &mut upload).await;
        if stored.is_err() {
            upload.abort().await;
            // The next base does it again.
            let _ = self.remove_uploads(archive).await;
        }
        stored
    }

    /// The content of a base. `NotFound` if it is missing, `Internal` if it is damaged; the rest is checked while it is
    /// read, which fails with `InvalidData`.
    pub async fn read_base(&self, archive: Archive, id: &str) -> Result<Box<dyn AsyncRead + Send + Unpin>> {
        self.read_stream(archive.object(Kind::Base, id)?).await
    }

    async fn read_stream(&self, object: Object) -> Result<Box<dyn AsyncRead + Send + Unpin>> {
        self.check_present().await?;
        let (store, path) = (self.inner.store.clone(), object.path());
        let head = store.get_opts(&path, GetOptions::new().with_head(true)).await;
        let size = head.map_err(|error| self.not_read(&object, error))?.meta.size;
        let content = reader::read(Source { store, path, size }, &self.inner.key, object.clone()).await;
        content.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => Error::internal(error.to_string()),
            io::ErrorKind::NotFound => Error::not_found(format!("backup object {object}")).because(error),
            _ => self.failed("read", &object, error),
        })
    }

    /// Stores a WAL segment. The same segment can be stored again; `Precondition` if its content differs. Returns the
    /// number of bytes stored.
    pub async fn put_segment(&self, archive: Archive, name: &str, content: Vec<u8>) -> Result<u64> {
        let object = archive.object(Kind::Wal, name)?;
        self.check_present().await?;
        let content = Bytes::from(content);
        let sealed = self.seal(&object, content.clone()).await?;
        let (path, bytes) = (object.path(), sealed.len() as u64);
        match self.put(&path, sealed.clone(), PutMode::Create).await {
            Ok(()) => return Ok(bytes),
            Err(object_store::Error::AlreadyExists { .. }) => match self.read_segment(archive, name).await {
                Ok(stored) if stored[..] == content[..] => return Ok(bytes),
                Ok(_) => return Err(self.precondition(format!("{object} exists with another content"))),
                // What is stored is damaged, or was removed just now.
                Err(error) if matches!(error.kind(), ErrorKind::Internal | ErrorKind::NotFound) => {}
                Err(error) => return Err(error),
            },
            // The server does not support conditions.
            Err(object_store::Error::NotImplemented { .. }) => {}
            Err(error) => return Err(self.failed("store", &object, error)),
        }
        let stored = self.put(&path, sealed, PutMode::Overwrite).await;
        stored.map_err(|error| self.failed("store", &object, error))?;
        Ok(bytes)
    }

    /// The content of a WAL segment. `NotFound` if it is missing, `Internal` if it is damaged.
    pub async fn read_segment(&self, archive: Archive, name: &str) -> Result<Vec<u8>> {
        let object = archive.object(Kind::Wal, name)?;
        self.check_present().await?;
        let sealed = fetch(&*self.inner.store, &object.path(), None).await;
        let sealed = sealed.map_err(|error| self.not_read(&object, error))?;
        let key = self.inner.key.clone();
        let content = blocking(move || seal::unpack(&key, &object, &sealed)).await;
        content.map_err(|error| Error::internal(error.to_string()))
    }

    /// The names of the stored segments from `first` on, in order.
    pub async fn segments(&self, archive: Archive, first: &str) -> Result<Vec<String>> {
        let directory = archive.objects(Kind::Wal);
        let path = Path::from(directory.as_str());
        // A list starts after an offset; here, the offset is `first` without its last character.
        let offset =
            first.char_indices().next_back().map(|(end, _)| format!("{directory}/{}", &first[..end]));
        let found = match offset {
            Some(offset) => self.inner.store.list_with_offset(Some(&path), &Path::from(offset)),
            None => self.inner.store.list(Some(&path)),
        };
        let objects = self.collect(&directory, found).await?;
        let mut names: Vec<String> = objects.iter().filter_map(name).collect();
        names.retain(|name| name.as_str() >= first);
        names.sort();
        Ok(names)
    }

    /// The IDs of the stored bases, with the time of their last change.
    pub async fn bases(&self, archive: Archive) -> Result<Vec<(String, SystemTime)>> {
        let directory = archive.objects(Kind::Base);
        let found = self.inner.store.list(Some(&Path::from(directory.as_str())));
        let objects = self.collect(&directory, found).await?;
        Ok(objects.iter().filter_map(|object| Some((name(object)?, object.last_modified.into()))).collect())
    }

    /// Removes a base. Ok if it is missing.
    pub async fn remove_base(&self, archive: Archive, id: &str) -> Result<()> {
        let object = archive.object(Kind::Base, id)?;
        self.remove(archive, vec![object.path()]).await
    }

    /// Removes the segments before this one, or all of them.
    pub async fn remove_segments(&self, archive: Archive, before: Option<&str>) -> Result<()> {
        let directory = archive.objects(Kind::Wal);
        let found = self.inner.store.list(Some(&Path::from(directory.as_str())));
        let mut objects = self.collect(&directory, found).await?;
        if let Some(before) = before {
            objects.retain(|object| name(object).is_some_and(|name| name.as_str() < before));
        }
        self.remove(archive, objects.into_iter().map(|object| object.location).collect()).await
    }

    /// Compares the description with the key, and stores it in a new repository.
    async fn verify(&self, create: bool) -> Result<()> {
        let path = Path::from(DESCRIPTION);
        let ours = Description { format: FORMAT, fingerprint: self.inner.key.fingerprint() };
        let mut found = self.description(&path).await?;
        if found.is_none() {
            let mut objects = self.inner.store.list(Some(&Path::from(ARCHIVES)));
            let object = objects.next().await.transpose();
            if object.map_err(|error| self.failed("list", &ARCHIVES, error))?.is_some() {
                return Err(self.precondition(format!("it contains backups, but {DESCRIPTION} is missing")));
            }
            if !create {
                return Err(Error::unavailable(format!(
                    "backup repository {}: {DESCRIPTION} is missing, but backups were stored before; restore the \
                     content of the repository",
                    self.inner.url
                )));
            }
            let text = serde_json::to_vec(&ours)
                .map_err(|error| Error::internal("could not describe the repository").because(error))?;
            self.create(&path, text.into())
                .await
                .map_err(|error| self.failed("store", &DESCRIPTION, error))?;
            found = self.description(&path).await?;
        }
        match found {
            Some(found) if found == ours => Ok(()),
            Some(Description { format, .. }) if format != FORMAT => {
                Err(self.precondition(format!("its format {format} is not supported")))
            }
            Some(Description { fingerprint, .. }) => Err(self.precondition(format!(
                "it is encrypted with the recovery key {fingerprint}; the key of this installation is {}",
                ours.fingerprint
            ))),
            None => Err(Error::unavailable(format!(
                "backup repository {}: {DESCRIPTION} was stored, but can't be read",
                self.inner.url
            ))),
        }
    }

    async fn description(&self, path: &Path) -> Result<Option<Description>> {
        let text = match fetch(&*self.inner.store, path, None).await {
            Ok(text) => text,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.failed("read", &DESCRIPTION, error)),
        };
        let description = serde_json::from_slice(&text)
            .map_err(|error| self.precondition(format!("{DESCRIPTION} is invalid")).because(error))?;
        Ok(Some(description))
    }

    /// Stores an object unless it exists.
    async fn create(&self, path: &Path, content: Bytes) -> object_store::Result<()> {
        match self.put(path, content.clone(), PutMode::Create).await {
            Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(object_store::Error::NotImplemented { .. }) => {
                self.put(path, content, PutMode::Overwrite).await
            }
            result => result,
        }
    }

    async fn put(&self, path: &Path, content: Bytes, mode: PutMode) -> object_store::Result<()> {
        self.inner.store.put_opts(path, PutPayload::from(content), mode.into()).await.map(drop)
    }

    async fn seal(&self, object: &Object, content: Bytes) -> Result<Bytes> {
        let (key, target) = (self.inner.key.clone(), object.clone());
        let sealed = blocking(move || seal::pack(&key, &target, &content)).await;
        sealed.map(Bytes::from).map_err(|error| not_sealed(object, error))
    }

    /// Stores `content`, unless `written` fails.
    async fn store_stream<T>(
        &self,
        object: &Object,
        content: impl AsyncRead + Send + Unpin,
        written: impl Future<Output = Result<T>> + Send,
        upload: &mut Upload,
    ) -> Result<(T, u64)> {
        let (result, ()) = tokio::try_join!(written, self.send(object, content, upload))?;
        let bytes = upload.complete().await.map_err(|error| self.failed("store", object, error))?;
        Ok((result, bytes))
    }

    /// Compresses, encrypts, and sends the content of an object.
    async fn send(
        &self,
        object: &Object,
        mut content: impl AsyncRead + Send + Unpin,
        upload: &mut Upload,
    ) -> Result<()> {
        let started = seal::packer(&self.inner.key, object).map_err(|error| not_sealed(object, error))?;
        let mut next = Some(started);
        while let Some(mut packer) = next {
            let mut block = Vec::with_capacity(BLOCK);
            let read = (&mut content).take(BLOCK as u64).read_to_end(&mut block).await;
            read.map_err(|error| self.failed("read the content of", object, error))?;
            let packed = blocking(move || {
                packer.write_all(&block)?;
                if block.len() < BLOCK {
                    return Ok((None, packer.finish()?.finish()?));
                }
                let sealed = packer.get_mut().take();
                Ok((Some(packer), sealed))
            });
            let (rest, sealed) = packed.await.map_err(|error| not_sealed(object, error))?;
            upload.push(&sealed).await.map_err(|error| self.failed("store", object, error))?;
            next = rest;
        }
        Ok(())
    }

    async fn collect(
        &self,
        directory: &str,
        found: BoxStream<'static, object_store::Result<ObjectMeta>>,
    ) -> Result<Vec<ObjectMeta>> {
        self.check_present().await?;
        found.try_collect().await.map_err(|error| self.failed("list", &directory, error))
    }

    async fn delete(&self, directory: &str, paths: Vec<Path>) -> Result<()> {
        self.check_present().await?;
        let mut removed = self.inner.store.delete_stream(stream::iter(paths.into_iter().map(Ok)).boxed());
        while let Some(result) = removed.next().await {
            match result {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed("remove objects of", &directory, error)),
            }
        }
        Ok(())
    }

    async fn remove(&self, archive: Archive, paths: Vec<Path>) -> Result<()> {
        self.delete(&archive.directory(), paths).await?;
        self.in_folder(move |folder| {
            folder::remove_empty(folder, archive);
            Ok(())
        })
        .await
    }

    /// Removes what interrupted uploads of bases have left in a directory. Nothing else stores a base of the archive at
    /// the same time.
    async fn remove_uploads(&self, archive: Archive) -> Result<()> {
        self.in_folder(move |folder| {
            folder::remove_uploads(&folder.join(archive.objects(Kind::Base)), Duration::ZERO)
        })
        .await
    }

    async fn in_folder(
        &self,
        work: impl FnOnce(&std::path::Path) -> io::Result<()> + Send + 'static,
    ) -> Result<()> {
        let Some(folder) = self.inner.folder.clone() else { return Ok(()) };
        let done = blocking(move || work(&folder)).await;
        done.map_err(|error| unavailable(&self.inner.url, "clean up the directory", error))
    }

    /// A directory that was moved away, or is not mounted, would be created again, or look empty.
    async fn check_present(&self) -> Result<()> {
        let Some(folder) = &self.inner.folder else { return Ok(()) };
        let url = &self.inner.url;
        match tokio::fs::try_exists(folder.join(DESCRIPTION)).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(Error::unavailable(format!("backup repository {url}: the directory is missing or empty")))
            }
            Err(error) => Err(unavailable(url, "open the directory", error)),
        }
    }

    fn precondition(&self, why: String) -> Error {
        Error::precondition(format!("backup repository {}: {why}", self.inner.url))
    }

    fn failed(
        &self,
        action: &str,
        object: &dyn fmt::Display,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        unavailable(&self.inner.url, &format!("{action} {object}"), cause)
    }

    fn not_read(&self, object: &Object, error: object_store::Error) -> Error {
        match error {
            object_store::Error::NotFound { .. } => {
                Error::not_found(format!("backup object {object}")).because(error)
            }
            error => self.failed("read", object, error),
        }
    }
}

fn not_sealed(object: &Object, error: io::Error) -> Error {
    Error::internal(format!("could not compress {object}")).because(error)
}

/// The last part of the name of an object.
fn name(object: &ObjectMeta) -> Option<String> {
    object.location.filename().map(str::to_owned)
}
