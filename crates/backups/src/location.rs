//! Where a repository is.

use crate::{failure::unavailable, folder, seal::blocking};
use object_store::{
    ObjectStore, RetryConfig, aws::AmazonS3Builder, local::LocalFileSystem, prefix::PrefixStore,
};
use ootheca_model::{Error, Result};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The setting, for messages.
const FIELD: &str = "backups.url";

/// A request is repeated at most this often, with growing delays, and only within this time. Together with the limits
/// of the object store for one request (5 seconds to connect), an outage is reported within half a minute.
const RETRIES: usize = 6;
const RETRY_TIMEOUT: Duration = Duration::from_secs(15);

/// Checks the URL of a repository: `file:///path`, or `s3://bucket/prefix`.
pub fn check_url(url: &str) -> Result<()> {
    Location::parse(url).map(drop)
}

/// A parsed URL.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Location {
    Folder(PathBuf),
    Bucket { name: String, prefix: String },
}

impl Location {
    pub(crate) fn parse(url: &str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("file://") {
            let path = Path::new(path);
            if path.is_absolute() {
                return Ok(Self::Folder(path.to_owned()));
            }
        }
        if let Some(rest) = url.strip_prefix("s3://") {
            let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let prefix = prefix.trim_matches('/');
            if is_bucket(name) && is_prefix(prefix) {
                return Ok(Self::Bucket { name: name.to_owned(), prefix: prefix.to_owned() });
            }
        }
        let rule = "must be an absolute path as file:///path, or a bucket as s3://bucket/prefix, where the prefix \
                    consists of letters, digits, and the characters - _ . /";
        Err(Error::invalid(FIELD, rule))
    }

    /// Opens the object store. For a directory, also returns its path.
    pub(crate) async fn connect(
        self,
        url: &str,
        create: bool,
    ) -> Result<(Arc<dyn ObjectStore>, Option<PathBuf>)> {
        let (name, prefix) = match self {
            Self::Folder(path) => return connect_folder(path, url, create).await,
            Self::Bucket { name, prefix } => (name, prefix),
        };
        let retry =
            RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
        let bucket = AmazonS3Builder::from_env().with_bucket_name(name).with_retry(retry).build();
        let bucket = bucket.map_err(|error| {
            let message =
                format!("backup repository {url}: an environment variable AWS_… is missing or invalid");
            Error::precondition(message).because(error)
        })?;
        let store: Arc<dyn ObjectStore> = match prefix.as_str() {
            "" => Arc::new(bucket),
            prefix => Arc::new(PrefixStore::new(bucket, prefix)),
        };
        Ok((store, None))
    }
}

async fn connect_folder(
    path: PathBuf,
    url: &str,
    create: bool,
) -> Result<(Arc<dyn ObjectStore>, Option<PathBuf>)> {
    let prepared = blocking(move || folder::prepare(&path, create)).await;
    let path = prepared.map_err(|error| unavailable(url, "open the directory", error))?;
    let store = LocalFileSystem::new_with_prefix(&path)
        .map_err(|error| unavailable(url, "open the directory", error))?
        .with_fsync(true);
    Ok((Arc::new(store), Some(path)))
}

fn is_bucket(name: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    !name.is_empty() && name.bytes().all(valid)
}

fn is_prefix(prefix: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && part.bytes().all(valid);
    prefix.is_empty() || prefix.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_directories_or_buckets() {
        let folder = |path: &str| Location::Folder(PathBuf::from(path));
        let bucket =
            |name: &str, prefix: &str| Location::Bucket { name: name.to_owned(), prefix: prefix.to_owned() };
        for (url, location) in [
            ("file:///srv/backups", folder("/srv/backups")),
            ("file:///srv/my backups", folder("/srv/my backups")),
            ("s3://bucket", bucket("bucket", "")),
            ("s3://my.bucket-1/", bucket("my.bucket-1", "")),
            ("s3://bucket/a/b_c/", bucket("bucket", "a/b_c")),
        ] {
            assert_eq!(Location::parse(url).unwrap(), location, "{url}");
        }
        for url in
            ["", "/srv/backups", "file://srv", "s3://", "s3:///a", "s3://Bucket", "s3://b/a//b", "s3://b/.."]
        {
            let error = check_url(url).unwrap_err();
            assert!(error.message().starts_with("invalid argument: backups.url: must be"), "{url}");
        }
    }
}
