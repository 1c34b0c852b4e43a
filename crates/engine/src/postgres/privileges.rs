//! What SQL users may do in the databases `postgres` and `template1`.
//!
//! The tools of PostgreSQL, such as `createdb` and `psql -l`, connect to `postgres` first. So SQL users may
//! connect to it, but can create nothing in it. They cannot connect to `template1`, which all new databases
//! are copied from. `vacuumdb --all` skips it, because it allows no connections at all.
//!
//! Sessions write only fatal errors to the log of the server. Otherwise it would grow with every `RAISE LOG`.

use super::{context::EngineContext, server};
use crate::files::write_for_owner;
use ootheca_model::{Error, Result};
use std::{fs, path::Path};

/// Runs in `postgres`, and can be repeated. Large objects belong to no schema, so their creation has to be
/// revoked separately. Up to PostgreSQL 14, every role may create objects in the schema `public`.
pub(super) const STATEMENTS: &str = "
GRANT CONNECT ON DATABASE postgres TO PUBLIC;
REVOKE CREATE, TEMPORARY ON DATABASE postgres FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid),
    pg_catalog.lo_from_bytea(oid, bytea) FROM PUBLIC;
REVOKE CONNECT, TEMPORARY ON DATABASE template1 FROM PUBLIC;
ALTER DATABASE template1 ALLOW_CONNECTIONS false;
ALTER ROLE ALL SET log_min_messages = fatal;
";

/// A file in the data directory. It contains the fingerprint of the statements that have been applied.
const MARKER: &str = "ootheca-privileges";

/// Records that the statements have been applied.
pub(super) fn mark(data: &Path) -> Result<()> {
    write_for_owner(data, MARKER, marker().as_bytes())
}

/// Applies the statements to an instance that an earlier version has created. Its server must be running.
pub(super) async fn upgrade(context: &EngineContext, data: &Path, sockets: &Path) -> Result<()> {
    if fs::read_to_string(data.join(MARKER)).is_ok_and(|applied| applied == marker()) {
        return Ok(());
    }
    let client = server::connect(context, sockets, "postgres").await?;
    let applied = client.batch_execute(STATEMENTS).await;
    applied.map_err(|error| Error::internal("cannot change privileges").because(error))?;
    mark(data)
}

fn marker() -> String {
    format!("{:016x}\n", super::template::fingerprint(&[STATEMENTS]))
}
