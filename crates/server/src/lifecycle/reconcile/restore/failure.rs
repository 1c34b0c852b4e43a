//! What callers see of errors. Causes and internal errors are only logged.

use ootheca_model::{
    Error, ErrorKind,
    backup::{RestoreFailure, RestoreType},
};

/// Why a restore of this type has failed. `of_backup` is false if it copies the present data of another cluster.
pub(super) fn failure(error: &Error, kind: RestoreType, of_backup: bool) -> RestoreFailure {
    let internal = match kind {
        _ if !of_backup => "the data of the source cluster can't be copied",
        RestoreType::Cluster => "the backup is damaged or incomplete",
        RestoreType::Database => "the backup is damaged or incomplete, or its databases can't be copied",
        RestoreType::Table => "the backup is damaged or incomplete, or its tables can't be copied",
    };
    let (code, message) = match error.kind() {
        ErrorKind::NotFound if of_backup => (ErrorKind::NotFound, "the backup no longer exists"),
        ErrorKind::NotFound => (ErrorKind::NotFound, "the source cluster was deleted"),
        ErrorKind::Unavailable if of_backup => {
            (ErrorKind::Unavailable, "the backup could not be read, or the cluster did not respond")
        }
        ErrorKind::Unavailable => (
            ErrorKind::Unavailable,
            "the source cluster could not be copied, or the new cluster did not respond",
        ),
        ErrorKind::Precondition | ErrorKind::Unimplemented => (error.kind(), error.message()),
        _ => (ErrorKind::Internal, internal),
    };
    RestoreFailure { code: code as i32, message: message.to_owned() }
}

/// Callers don't see where the repository is.
pub(super) fn unusable(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Precondition => {
            Error::precondition("the backup repository can't be used; the log of the server has the reason")
                .because(error)
        }
        _ => error,
    }
}
