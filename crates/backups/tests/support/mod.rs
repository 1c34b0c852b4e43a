//! A repository in a directory, or in a bucket.

use futures_util::TryStreamExt;
use object_store::{
    ObjectStore, ObjectStoreExt, PutPayload, aws::AmazonS3Builder, local::LocalFileSystem, path::Path,
    prefix::PrefixStore,
};
use ootheca_backups::{Archive, RecoveryKey, Repository};
use ootheca_model::{Error, Result};
use ootheca_testkit::s3::{self, BUCKET};
use proptest::sample::Index;
use std::{
    env, fs, io,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The environment variable with the endpoint of the S3 server, in the process whose repositories are in its bucket.
pub(crate) const ENDPOINT: &str = "OOTHECA_TEST_S3_ENDPOINT";

/// Where a repository is.
pub(crate) enum Place {
    Directory(TempDir),
    Bucket { endpoint: String, prefix: String },
}

impl Place {
    /// A place without a repository.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        match env::var(ENDPOINT) {
            Ok(endpoint) => {
                let prefix = format!("repository-{}", NEXT.fetch_add(1, Ordering::Relaxed));
                Self::Bucket { endpoint, prefix }
            }
            Err(_) => Self::Directory(tempfile::tempdir().unwrap()),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Directory(parent) => format!("file://{}/backups", parent.path().display()),
            Self::Bucket { prefix, .. } => format!("s3://{BUCKET}/{prefix}"),
        }
    }

    /// The directory of the repository, unless it is in a bucket.
    pub(crate) fn directory(&self) -> Option<PathBuf> {
        match self {
            Self::Directory(parent) => Some(parent.path().join("backups")),
            Self::Bucket { .. } => None,
        }
    }

    /// The objects of the repository, which exists.
    fn objects(&self) -> Box<dyn ObjectStore> {
        match self {
            Self::Directory(parent) => {
                Box::new(LocalFileSystem::new_with_prefix(parent.path().join("backups")).unwrap())
            }
            Self::Bucket { prefix, .. } => {
                let bucket = AmazonS3Builder::from_env().with_bucket_name(BUCKET).build().unwrap();
                Box::new(PrefixStore::new(bucket, prefix.as_str()))
            }
        }
    }
}

/// A repository, and access to its objects that does not use it.
pub(crate) struct Fixture {
    pub(crate) place: Place,
    pub(crate) key: RecoveryKey,
    pub(crate) repository: Repository,
    objects: Box<dyn ObjectStore>,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let (place, key) = (Place::new(), RecoveryKey::random());
        let repository = Repository::open(&place.url(), key.clone(), true).await.unwrap();
        let objects = place.objects();
        Self { place, key, repository, objects }
    }

    pub(crate) async fn reopen(&self) -> Result<Repository> {
        Repository::open(&self.place.url(), self.key.clone(), true).await
    }

    pub(crate) async fn read(&self, object: &str) -> Vec<u8> {
        let found = self.objects.get(&Path::from(object)).await.unwrap();
        found.bytes().await.unwrap().to_vec()
    }

    pub(crate) async fn write(&self, object: &str, content: impl Into<PutPayload>) {
        self.objects.put(&Path::from(object), content.into()).await.unwrap();
    }

    pub(crate) async fn copy(&self, from: &str, to: &str) {
        self.write(to, self.read(from).await).await;
    }

    pub(crate) async fn remove(&self, object: &str) {
        self.objects.delete(&Path::from(object)).await.unwrap();
    }

    /// Flips a bit of an object, or cuts it off there.
    pub(crate) async fn damage(&self, object: &str, at: Index, cut: bool) {
        let mut content = self.read(object).await;
        let at = at.index(content.len());
        if cut {
            content.truncate(at);
        } else {
            content[at] ^= 0x10;
        }
        self.write(object, content).await;
    }

    /// The last parts of the names of all objects of archives, also of those that are not complete.
    pub(crate) async fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        match &self.place {
            Place::Directory(parent) => collect(&parent.path().join("backups/clusters"), &mut found),
            Place::Bucket { endpoint, prefix } => {
                let archives = Path::from("clusters");
                let objects: Vec<_> = self.objects.list(Some(&archives)).try_collect().await.unwrap();
                found.extend(objects.iter().map(|object| object.location.filename().unwrap().to_owned()));
                let uploads = s3::uploads(endpoint, &format!("{prefix}/"));
                found.extend(uploads.iter().map(|name| name.rsplit('/').next().unwrap().to_owned()));
            }
        }
        found.sort();
        found
    }

    pub(crate) async fn put_base(&self, archive: Archive, id: &str, content: &[u8]) -> Result<u64> {
        let (mut writer, reader) = tokio::io::duplex(64 * 1024);
        let written = async move {
            writer.write_all(content).await.map_err(|error| Error::internal("write").because(error))?;
            Ok(())
        };
        self.repository.put_base(archive, id, reader, written).await.map(|((), bytes)| bytes)
    }

    /// Damage has the kind `Internal`.
    pub(crate) async fn read_base(&self, archive: Archive, id: &str) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        let mut reader = self.repository.read_base(archive, id).await?;
        reader.read_to_end(&mut content).await.map_err(|error| {
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
            Error::internal(error.to_string())
        })?;
        Ok(content)
    }
}

/// The name of an object of an archive.
pub(crate) fn object(archive: Archive, name: &str) -> String {
    format!("clusters/{}/{}/{name}", archive.cluster, archive.epoch)
}

fn collect(folder: &std::path::Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
}
