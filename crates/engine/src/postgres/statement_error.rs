//! What the server says of a statement of ours, whichever client ran it.

use super::connection::Failure;
use ootheca_model::Error;

/// A statement that failed.
#[derive(Debug)]
pub(super) struct StatementError {
    /// SQLSTATE; `None` if the server said nothing.
    sqlstate: Option<String>,
    message: String,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

impl StatementError {
    /// SQLSTATE; empty if the server said nothing.
    pub(super) fn sqlstate(&self) -> &str {
        self.sqlstate.as_deref().unwrap_or_default()
    }

    /// The server's words; empty if it said nothing.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Trouble that has no name of its own. The server's text may quote a statement: it is for the log.
    pub(super) fn other(self, what: &str) -> Error {
        const PASSING: [&str; 5] = ["08", "40", "53", "55", "57"];
        let passing = match &self.sqlstate {
            Some(sqlstate) => PASSING.iter().any(|class| sqlstate.starts_with(class)),
            None => true,
        };
        let message = format!("can not {what}");
        let result = if passing { Error::unavailable(message) } else { Error::internal(message) };
        result.because(self.cause)
    }
}

impl From<tokio_postgres::Error> for StatementError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self {
            sqlstate: error.code().map(|code| code.code().to_owned()),
            message: error.as_db_error().map(|error| error.message().to_owned()).unwrap_or_default(),
            cause: error.into(),
        }
    }
}

impl From<Failure> for StatementError {
    fn from(failure: Failure) -> Self {
        let (sqlstate, message) = match &failure {
            Failure::Refused(refused) => (Some(refused.sqlstate.clone()), refused.message.clone()),
            Failure::Broken(_) => (None, String::new()),
        };
        Self { sqlstate, message, cause: failure.into() }
    }
}
