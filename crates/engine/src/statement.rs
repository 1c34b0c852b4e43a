//! Single SQL statements that run without a session of the caller, and their output.

use std::{result, time::Duration};

/// A statement to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The name of the database.
    pub database: String,
    /// The text, which must be a single statement.
    pub text: String,
    /// Whether the statement may write. Otherwise it runs in a read-only transaction.
    pub write: bool,
    /// Whether to return the plan only. With `write` the statement is executed and measured, and then rolled
    /// back.
    pub explain: bool,
    pub limits: Limits,
}

/// Limits for the execution and the output of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The maximum number of rows.
    pub rows: usize,
    /// The maximum size of the rows, in bytes.
    pub bytes: usize,
    /// The maximum execution time.
    pub time: Duration,
}

/// A column of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// The SQL name of its type.
    pub kind: String,
}

/// The output of a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatementOutput {
    /// The columns; empty if the statement returns no rows.
    pub columns: Vec<Column>,
    /// The rows. All values are text; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Whether rows were omitted.
    pub truncated: bool,
    /// The command tag, such as `INSERT 0 1`; empty if the statement was stopped.
    pub tag: String,
    /// The execution time.
    pub elapsed: Duration,
    /// Notices from the server.
    pub notices: Vec<String>,
}

/// An error from the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// The position of the error in the text, in characters from 1.
    pub position: Option<usize>,
}

/// The output of a statement, or the error that the server returned for it.
pub type QueryOutput = result::Result<StatementOutput, Refused>;
