//! Why a command failed: told once, at the end, with the exit code that scripts decide by.

use anstyle::{AnsiColor, Style};
use serde_json::json;
use std::process::ExitCode;

/// Result of everything that a command does.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// How a failed command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Refused by the server, or failed.
    Failed = 1,
    /// Asked for in a way that can't be right.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// The key is unknown or may not do this.
    Denied = 4,
    /// The server can't be reached.
    Unreachable = 5,
    /// It took longer than somebody wanted to wait.
    GivenUp = 6,
    /// Stopped from the keyboard.
    Interrupted = 130,
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What failed and what rule it broke; lower case, without a secret.
    pub(crate) message: String,
    /// How the server's log names the request.
    pub(crate) trace_id: Option<String>,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// How the process ends.
    pub(crate) exit: Exit,
}

impl Failure {
    /// A failure of one kind.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { message: message.into(), trace_id: None, hint: None, exit }
    }

    /// Something did not work.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Asked for in a way that can't be right.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The same with advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Tells it on standard error: for people, or as JSON.
    pub(crate) fn tell(&self, as_json: bool) -> ExitCode {
        if as_json {
            let Self { message, trace_id, hint, exit } = self;
            let exit = *exit as u8;
            let error = json!({ "message": message, "trace_id": trace_id, "hint": hint, "exit": exit });
            anstream::eprintln!("{}", json!({ "error": error }));
        } else {
            let word = |color: AnsiColor, text: &str| {
                let style: Style = color.on_default().bold();
                format!("{style}{text}:{style:#}")
            };
            anstream::eprintln!("{} {}", word(AnsiColor::Red, "error"), self.message);
            if let Some(trace_id) = &self.trace_id {
                anstream::eprintln!("trace id: {trace_id}");
            }
            if let Some(hint) = &self.hint {
                anstream::eprintln!("{} {hint}", word(AnsiColor::Cyan, "hint"));
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
