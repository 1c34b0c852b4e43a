//! What a failure of the repository means.

use ootheca_model::Error;
use std::{error, io};

/// `action` failed in the repository at `url`, and may succeed later.
pub(crate) fn unavailable(
    url: &str,
    action: &str,
    cause: impl Into<Box<dyn error::Error + Send + Sync>>,
) -> Error {
    let cause = cause.into();
    let reason = reason(&*cause).map(|reason| format!(": {reason}")).unwrap_or_default();
    Error::unavailable(format!("backup repository {url}: could not {action}{reason}")).because(cause)
}

/// A reason that an operator can do something about.
fn reason(failure: &(dyn error::Error + 'static)) -> Option<&'static str> {
    let mut next = Some(failure);
    while let Some(cause) = next {
        if let Some(cause) = cause.downcast_ref::<object_store::Error>() {
            match cause {
                object_store::Error::PermissionDenied { .. } => return Some("access is denied"),
                object_store::Error::Unauthenticated { .. } => return Some("the credentials are invalid"),
                object_store::Error::NotFound { .. } => return Some("it does not exist"),
                _ => {}
            }
        }
        match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::PermissionDenied) => return Some("permission denied"),
            Some(io::ErrorKind::ReadOnlyFilesystem) => return Some("the file system is read-only"),
            Some(io::ErrorKind::StorageFull) => return Some("no space left on the disk"),
            Some(io::ErrorKind::QuotaExceeded) => return Some("the disk quota is exceeded"),
            _ => {}
        }
        next = cause.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use ootheca_model::ErrorKind;

    #[test]
    fn message_contains_the_reason_and_the_log_its_cause() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let failed = object_store::Error::Generic { store: "LocalFileSystem", source: full.into() };
        let error = unavailable("file:///backups", "store a", failed);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let message = "backup repository file:///backups: could not store a: no space left on the disk";
        assert_eq!(error.message(), message);
        assert!(error.chain().contains("LocalFileSystem"), "{}", error.chain());
        let other = unavailable("s3://bucket", "list a", io::Error::other("reset"));
        assert_eq!(other.message(), "backup repository s3://bucket: could not list a");
        assert!(other.chain().ends_with("reset"), "{}", other.chain());
    }
}
