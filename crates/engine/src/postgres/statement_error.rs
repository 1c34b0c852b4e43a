//! Errors that the server returns for statements of the engine, from either client.

use super::connection::ConnectionError;
use ootheca_model::Error;

/// A statement that failed.
#[derive(Debug)]
pub(super) struct StatementError {
    /// The SQLSTATE; `None` if the server did not report an error.
    sqlstate: Option<String>,
    message: String,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

impl StatementError {
    /// The SQLSTATE; empty if the server did not report an error.
    pub(super) fn sqlstate(&self) -> &str {
        self.sqlstate.as_deref().unwrap_or_default()
    }

    /// The server's message; empty if the server did not report an error.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Converts an error without special handling. The server's text may quote a statement, so it is only
    /// logged.
    pub(super) fn other(self, what: &str) -> Error {
        const TRANSIENT: [&str; 5] = ["08", "40", "53", "55", "57"];
        let transient = match &self.sqlstate {
            Some(sqlstate) => TRANSIENT.iter().any(|class| sqlstate.starts_with(class)),
            None => true,
        };
        let message = format!("cannot {what}");
        let result = if transient { Error::unavailable(message) } else { Error::internal(message) };
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

impl From<ConnectionError> for StatementError {
    fn from(failure: ConnectionError) -> Self {
        let (sqlstate, message) = match &failure {
            ConnectionError::Refused(refused) => (Some(refused.sqlstate.clone()), refused.message.clone()),
            ConnectionError::Broken(_) => (None, String::new()),
        };
        Self { sqlstate, message, cause: failure.into() }
    }
}
