//! One error type for the whole program, free of any transport.
//!
//! Its kind is what code decides upon; its message is what a person reads. The three mappings
//! (HTTP, SQLSTATE, log) live where those transports live.

use std::{fmt, time::Duration};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it is. Discriminants are google.rpc codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum ErrorKind {
    /// The request itself is wrong; the message names the field and the rule.
    Invalid = 3,
    /// The object does not exist, or the caller may not know that it does.
    NotFound = 5,
    /// An object with that key exists already.
    Exists = 6,
    /// The caller is known but may not do this.
    Denied = 7,
    /// A limit is reached.
    Exhausted = 8,
    /// The object is in a state that forbids the request.
    Precondition = 9,
    /// A row changed under the caller; reading again and retrying may work.
    Stale = 10,
    /// Not built yet.
    Unimplemented = 12,
    /// A defect, or damage that a person must look at.
    Internal = 13,
    /// Passing trouble: the same request may work later.
    Unavailable = 14,
    /// The caller is not known.
    Unauthenticated = 16,
}

/// A failure with a kind, a message for people and, for the log only, its cause.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    wait: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`. Messages are lower case and say what failed, then why.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), wait: None, source: None }
    }

    /// The request is wrong: `field` names the place, `rule` says what must hold.
    pub fn invalid(field: &str, rule: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Invalid, format!("invalid argument: {field}: {rule}"))
    }

    /// `what` (for example `cluster`) does not exist.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::NotFound, format!("{what} does not exist"))
    }

    /// `what` exists already.
    pub fn exists(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Exists, format!("{what} already exists"))
    }

    /// The object's state forbids it.
    pub fn precondition(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Precondition, message)
    }

    /// A defect or damage; the text is for the log, clients see a general sentence.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Passing trouble.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// A limit is reached; after `wait` it is not.
    pub fn exhausted(message: impl Into<String>, wait: Duration) -> Self {
        Self { wait: Some(wait), ..Self::new(ErrorKind::Exhausted, message) }
    }

    /// Keeps `source` for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says what was being tried: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// The kind, for decisions.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message, for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// After which time the same may be tried again, where that is known.
    pub fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// Message and causes in one line, for the log.
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
