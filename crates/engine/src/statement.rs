//! One statement of a person who has no session: what is asked, and what came of it.

use std::{result, time::Duration};

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// In which database.
    pub database: String,
    /// The text; one statement.
    pub text: String,
    /// Whether it may change something. What does not, runs in a transaction that only reads.
    pub write: bool,
    /// Whether only its plan is wanted; with `write` it is run and measured, and nothing of that stays.
    pub explain: bool,
    /// How much of it.
    pub limits: Limits,
}

/// The most that a statement is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows that are kept of its answer.
    pub rows: usize,
    /// Bytes of those.
    pub bytes: usize,
    /// How long it may run.
    pub time: Duration,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The name of its type, as SQL writes it.
    pub kind: String,
}

/// What a statement answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Columns; none where it returns no rows.
    pub columns: Vec<Column>,
    /// Rows, all values as text; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Whether there were more rows than these.
    pub truncated: bool,
    /// What the server says it did, such as `INSERT 0 1`; empty where it was stopped.
    pub tag: String,
    /// How long it took.
    pub elapsed: Duration,
    /// What the server remarked.
    pub notices: Vec<String>,
}

/// The server's error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// SQLSTATE.
    pub sqlstate: String,
    /// What is wrong.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Where in the text, in characters from 1.
    pub position: Option<usize>,
}

/// What came of a statement that the server has seen.
pub type Ran = result::Result<Answer, Refused>;
