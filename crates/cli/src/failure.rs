//! Errors of commands: a message, a hint, and an exit code. `main` reports the error once.

use crate::terminal::notice;
use anstyle::{AnsiColor, Style};
use serde_json::json;
use std::process::ExitCode;

/// The result of a command or a part of it.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Exit codes of failed commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The reader closed standard output, as in `ootheca events tail | head -1`. Nothing is printed.
    OutputClosed = 0,
    /// The server refused the request, or something else failed.
    Failed = 1,
    /// The arguments are invalid, or confirmation is required but there is no terminal.
    Usage = 2,
    /// The object doesn't exist.
    NotFound = 3,
    /// The API key is invalid or lacks the required role.
    Denied = 4,
    /// The server can't be reached.
    Unreachable = 5,
    /// The operation took longer than the timeout; the server continues it.
    TimedOut = 6,
    /// Interrupted from the keyboard or by a signal.
    Interrupted = 130,
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What failed and why; lower case, without secrets.
    pub(crate) message: String,
    /// The trace ID of the request, which is also in the server's log.
    pub(crate) trace_id: Option<String>,
    /// How to solve the problem.
    pub(crate) hint: Option<String>,
    /// The exit code of the process.
    pub(crate) exit: Exit,
    /// Whether the same request can succeed later without a change.
    pub(crate) transient: bool,
}

impl Failure {
    /// An error with this exit code.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        let transient = exit == Exit::Unreachable;
        Self { message: message.into(), trace_id: None, hint: None, exit, transient }
    }

    /// An error with exit code 1.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// An error with exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Adds a hint.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prints the error to standard error, as text or as JSON.
    pub(crate) fn report(&self, as_json: bool) -> ExitCode {
        if self.exit == Exit::OutputClosed {
            return ExitCode::SUCCESS;
        }
        if as_json {
            let Self { message, trace_id, hint, exit, .. } = self;
            let exit = *exit as u8;
            let error = json!({ "message": message, "trace_id": trace_id, "hint": hint, "exit": exit });
            notice(json!({ "error": error }).to_string());
        } else {
            let word = |color: AnsiColor, text: &str| {
                let style: Style = color.on_default().bold();
                format!("{style}{text}:{style:#}")
            };
            notice(format!("{} {}", word(AnsiColor::Red, "error"), self.message));
            if let Some(trace_id) = &self.trace_id {
                notice(format!("trace ID: {trace_id}"));
            }
            if let Some(hint) = &self.hint {
                notice(format!("{} {hint}", word(AnsiColor::Cyan, "hint")));
            }
        }
        ExitCode::from(self.exit as u8)
    }
}

impl From<ootheca_model::Error> for Failure {
    fn from(error: ootheca_model::Error) -> Self {
        Self::failed(error.chain())
    }
}
