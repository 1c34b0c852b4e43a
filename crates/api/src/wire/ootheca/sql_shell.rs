//! The SQL shell of the console.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Body of `RunStatement`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunStatementRequest {
    /// Name of the database.
    #[schemars(required)]
    pub database: Option<String>,
    /// A single SQL statement.
    #[schemars(required)]
    pub statement: Option<String>,
    /// Whether the statement can write. Otherwise it runs in a read-only transaction.
    pub write: Option<bool>,
    /// Whether to return the query plan. With `write`, the statement is executed, measured, and rolled back.
    pub explain: Option<bool>,
}

/// Output of a statement.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RunStatementResponse {
    /// Columns; empty if the statement returns no rows.
    pub columns: Vec<SqlColumn>,
    /// Rows. Every value is text, and `null` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Number of rows that were returned or affected, even if not all are included.
    pub row_count: usize,
    /// Whether rows were omitted.
    pub truncated: bool,
    /// Command tag, such as `INSERT 0 1`.
    pub tag: String,
    /// Execution time in milliseconds.
    pub elapsed_ms: f64,
    /// Notices from the server.
    pub notices: Vec<String>,
}

/// A column of the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SqlColumn {
    /// Name of the column.
    pub name: String,
    /// SQL name of its type.
    pub r#type: String,
}
