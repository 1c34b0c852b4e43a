//! The error type of the whole program, independent of any transport.
//!
//! Code decides by the kind; the message is for people. The mappings to HTTP, SQLSTATE, and the log belong to
//! those transports.

use std::{fmt, time::Duration};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an error. Discriminants are google.rpc codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum ErrorKind {
    /// The request is invalid. The message names the field and the rule.
    Invalid = 3,
    /// The object does not exist, or the caller is not allowed to know whether it does.
    NotFound = 5,
    /// An object with the same key already exists.
    Exists = 6,
    /// The caller is authenticated but lacks permission.
    Denied = 7,
    /// A limit was reached.
    Exhausted = 8,
    /// The state of the object does not allow the request.
    Precondition = 9,
    /// A row was changed concurrently. Reading it again and retrying may succeed.
    Stale = 10,
    /// What the request refers to was removed because of its age.
    Expired = 11,
    /// The operation is not implemented.
    Unimplemented = 12,
    /// A bug, or corruption that an operator must repair.
    Internal = 13,
    /// A temporary failure. The same request may succeed later.
    Unavailable = 14,
    /// The caller is not authenticated.
    Unauthenticated = 16,
}

/// An error with a kind, a message for people, and a cause that is only logged.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    wait: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Creates an error of a kind. The message is lower case and says what failed, then why.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), wait: None, source: None }
    }

    /// The request is invalid. `field` is the field's path, and `rule` is the violated rule.
    pub fn invalid(field: &str, rule: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Invalid, format!("invalid argument: {field}: {rule}"))
    }

    /// `what`, for example `cluster`, does not exist.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::NotFound, format!("{what} does not exist"))
    }

    /// `what` already exists.
    pub fn exists(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Exists, format!("{what} already exists"))
    }

    /// The state of the object does not allow the request.
    pub fn precondition(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Precondition, message)
    }

    /// A bug or corruption. The message is logged, and clients get a generic message.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// A temporary failure.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// A limit was reached. The request can be repeated after `wait`.
    pub fn exhausted(message: impl Into<String>, wait: Duration) -> Self {
        Self { wait: Some(wait), ..Self::new(ErrorKind::Exhausted, message) }
    }

    /// Adds a cause, which is only logged.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds the operation that failed: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    /// The delay after which the request can be repeated, if known.
    pub fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// The message and its causes in one line, for the log.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}
