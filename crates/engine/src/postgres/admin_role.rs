//! The role `admin`, which the administrative verbs need as the template made it.
//!
//! Every SQL user of the API may change roles, this one too. It can not be dropped: it has a right in
//! `template1`, where nobody else has one; so it is found again under whatever name.

use super::{
    host::new_id,
    object::{Name, Object},
    sql::Identifier,
};
use ootheca_model::{Error, Result};
use tokio_postgres::Client;

/// Its name.
pub(super) const NAME: &str = "admin";

const FIND: &str = "
SELECT r.oid, r.rolname,
    r.rolname = 'admin' AND r.rolinherit AND r.rolcreatedb AND r.rolcreaterole AND NOT r.rolcanlogin
        AND r.rolpassword IS NULL
FROM pg_authid r JOIN pg_shdepend s ON s.refobjid = r.oid JOIN pg_database d ON d.oid = s.dbid
WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype = 'a' AND d.datname = 'template1' AND NOT r.rolsuper";

/// One at a time: two at once would be in each other's way. Nobody else reaches the database `postgres`.
const TURN: &str = "SELECT pg_advisory_xact_lock(1)";

/// Makes the role right again if it is not. The session is in `postgres`.
pub(super) async fn mend(client: &mut Client) -> Result<()> {
    let failed = |error| Error::internal("can not make the role admin right again").because(error);
    let found = client.query_opt(FIND, &[]).await.map_err(failed)?;
    if found.is_some_and(|row| row.try_get(2).unwrap_or(false)) {
        return Ok(());
    }
    let transaction = client.transaction().await.map_err(failed)?;
    transaction.batch_execute(TURN).await.map_err(failed)?;
    let found = transaction.query_opt(FIND, &[]).await.map_err(failed)?;
    let row = found.ok_or_else(|| Error::internal("the role admin is not found"))?;
    let oid: u32 = row.try_get(0).map_err(failed)?;
    let name = row.try_get::<_, Name>(1).map_err(failed)?;
    if name.bytes() != NAME.as_bytes() {
        let other = "SELECT FROM pg_authid WHERE rolname = $1";
        if transaction.query_opt(other, &[&NAME]).await.map_err(failed)?.is_some() {
            // A name that no tenant can have taken before.
            let renamed = format!("admin_{}", new_id());
            let rename = format!("ALTER ROLE {NAME} RENAME TO {}", Identifier(&renamed));
            transaction.batch_execute(&rename).await.map_err(failed)?;
        }
        let rename = Object::Role(oid).statement("ALTER ROLE %1$I RENAME TO %2$I", NAME);
        transaction.batch_execute(&rename).await.map_err(failed)?;
    }
    let attributes = format!(
        "ALTER ROLE {NAME} NOLOGIN NOSUPERUSER CREATEDB CREATEROLE INHERIT NOREPLICATION NOBYPASSRLS \
         CONNECTION LIMIT -1 PASSWORD NULL;\n\
         ALTER ROLE {NAME} RESET ALL;\n\
         GRANT pg_read_all_data, pg_write_all_data TO {NAME};"
    );
    transaction.batch_execute(&attributes).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    tracing::info!(oid, was = %name, "made the role admin right again");
    Ok(())
}
