//! The schema as numbered migrations. Migrations are only added, never changed.

use ootheca_model::{Error, Result};

/// Each migration's number is its position in the list, counted from 1. `{text}` is the database's type for
/// text that is compared bytewise.
const STEPS: &[&[&str]] = &[
    &[
        "CREATE TABLE entries (
    kind {text} NOT NULL,
    id {text} NOT NULL,
    organization {text} NOT NULL,
    parent {text} NOT NULL,
    unique_key {text},
    alias {text},
    sort_key {text} NOT NULL,
    due_at BIGINT,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    ended_at BIGINT,
    document {text} NOT NULL,
    PRIMARY KEY (kind, id)
)",
        "CREATE UNIQUE INDEX entries_unique_key ON entries (kind, unique_key)",
        "CREATE UNIQUE INDEX entries_alias ON entries (kind, alias)",
        "CREATE INDEX entries_sort_key ON entries (kind, organization, sort_key, id)",
        // Ended rows accumulate, so the most common list has an index without them.
        "CREATE INDEX entries_active ON entries (kind, organization, sort_key, id) WHERE ended_at IS NULL",
        "CREATE INDEX entries_created_at ON entries (kind, organization, created_at, id)",
        "CREATE INDEX entries_ended_at ON entries (kind, organization, (COALESCE(ended_at, created_at)), id)",
        "CREATE INDEX entries_parent ON entries (kind, parent, sort_key, id)",
        "CREATE INDEX entries_due_at ON entries (kind, due_at)",
        "CREATE TABLE audit (
    id {text} NOT NULL PRIMARY KEY,
    organization {text} NOT NULL,
    created_at BIGINT NOT NULL,
    document {text} NOT NULL
)",
        "CREATE INDEX audit_created_at ON audit (organization, created_at, id)",
        "CREATE TABLE leases (
    name {text} NOT NULL PRIMARY KEY,
    holder {text} NOT NULL,
    fence BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
)",
    ],
    // The chain of the audit log starts with the first entry after this migration. Older entries have no
    // number.
    &[
        "ALTER TABLE audit ADD COLUMN sequence BIGINT",
        "ALTER TABLE audit ADD COLUMN hash {text}",
        "CREATE UNIQUE INDEX audit_sequence ON audit (organization, sequence)",
        "CREATE TABLE audit_outcomes (
    id {text} NOT NULL PRIMARY KEY,
    organization {text} NOT NULL,
    sequence BIGINT NOT NULL,
    document {text} NOT NULL,
    hash {text} NOT NULL
)",
        "CREATE UNIQUE INDEX audit_outcomes_sequence ON audit_outcomes (organization, sequence)",
        "CREATE TABLE audit_heads (
    organization {text} NOT NULL PRIMARY KEY,
    sequence BIGINT NOT NULL,
    hash {text} NOT NULL,
    created_at BIGINT
)",
        "CREATE TABLE events (
    organization {text} NOT NULL,
    sequence BIGINT NOT NULL,
    at BIGINT NOT NULL,
    document {text} NOT NULL,
    PRIMARY KEY (organization, sequence)
)",
        "CREATE INDEX events_at ON events (at)",
        "CREATE TABLE event_heads (
    organization {text} NOT NULL PRIMARY KEY,
    sequence BIGINT NOT NULL,
    at BIGINT NOT NULL
)",
    ],
    &[
        "CREATE TABLE samples (
    cluster {text} NOT NULL,
    step BIGINT NOT NULL,
    starts_at BIGINT NOT NULL,
    document {text} NOT NULL,
    PRIMARY KEY (cluster, step, starts_at)
)",
        // Finds expired samples of all clusters. Updates of the document do not touch this index.
        "CREATE INDEX samples_starts_at ON samples (step, starts_at)",
    ],
    // No statements: since this version, rows of the kind `sql_catalog_bucket` exist. Earlier programs, which
    // cannot read them, are rejected.
    &[],
    // The same for rows of the kind `blackout_window`.
    &[],
    // The same for rows of the kinds `backup_base`, `recovery_point`, and `restore`. Earlier programs would also drop
    // the data epoch and the restore from the rows of clusters.
    &[],
];

/// Creates the table that records the applied migrations.
pub(crate) const MIGRATIONS_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS migrations (version BIGINT NOT NULL PRIMARY KEY)";
pub(crate) const VERSION: &str = "SELECT MAX(version) FROM migrations";
pub(crate) const TAKEN: &str = "INSERT INTO migrations (version) VALUES ($1)";

/// The migrations after `version`, each with its number.
pub(crate) fn after(version: i64, text: &str) -> Result<Vec<(i64, Vec<String>)>> {
    let newest = STEPS.len() as i64;
    if version > newest {
        let message = format!(
            "store: the schema has version {version}, but this program supports only {newest}; the store was used by a newer version of Ootheca"
        );
        return Err(Error::precondition(message));
    }
    let steps = (1..).zip(STEPS).filter(|(number, _)| *number > version);
    Ok(steps
        .map(|(number, step)| (number, step.iter().map(|sql| sql.replace("{text}", text)).collect()))
        .collect())
}

/// Rejects a schema of another version, for readers, which do not migrate.
pub(crate) fn check(version: i64) -> Result<()> {
    after(version, "TEXT")?;
    let newest = STEPS.len() as i64;
    if version < newest {
        let message = format!(
            "store: the schema has version {version}, but this program requires {newest}; start the server once to migrate it"
        );
        return Err(Error::precondition(message));
    }
    Ok(())
}

/// Returns the whole schema for review.
pub fn schema() -> String {
    let steps = after(0, "TEXT").unwrap_or_default();
    let mut text = String::from(
        "-- The schema of the store as created by the migrations. Generated by a test, which rewrites it if\n\
         -- UPDATE_EXPECTED=1. On PostgreSQL every TEXT is TEXT COLLATE \"C\", which is compared bytewise.\n\n",
    );
    text.push_str(&format!("{MIGRATIONS_TABLE};\n"));
    for (number, step) in steps {
        text.push_str(&format!("\n-- version {number}\n"));
        step.iter().for_each(|sql| text.push_str(&format!("{sql};\n")));
    }
    text
}
