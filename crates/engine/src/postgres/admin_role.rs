//! The role `admin`, which the administrative operations need as the template created it.
//!
//! Every SQL user of the API can change roles, including this one. It cannot be dropped, because it has a
//! privilege in `template1`. It is the only role with such a privilege, so it is found even if it was
//! renamed.

use super::{
    context::new_id,
    object::{Name, Object},
    sql::Identifier,
};
use ootheca_model::{Error, Result};
use tokio_postgres::Client;

pub(super) const NAME: &str = "admin";

const FIND: &str = "
SELECT r.oid, r.rolname,
    r.rolname = 'admin' AND r.rolinherit AND r.rolcreatedb AND r.rolcreaterole AND NOT r.rolcanlogin
        AND r.rolpassword IS NULL
FROM pg_authid r JOIN pg_shdepend s ON s.refobjid = r.oid JOIN pg_database d ON d.oid = s.dbid
WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype = 'a' AND d.datname = 'template1' AND NOT r.rolsuper";

/// Serializes concurrent calls. Tenants can hold advisory locks, but not this one.
pub(super) const LOCK: &str = "LOCK TABLE pg_catalog.pg_authid IN SHARE UPDATE EXCLUSIVE MODE";

/// Restores the role if it was changed. The session must be in the database `postgres`.
pub(super) async fn restore(client: &mut Client) -> Result<()> {
    let failed = |error| Error::internal("cannot restore the role admin").because(error);
    let found = client.query_opt(FIND, &[]).await.map_err(failed)?;
    if found.is_some_and(|row| row.try_get(2).unwrap_or(false)) {
        return Ok(());
    }
    let transaction = client.transaction().await.map_err(failed)?;
    transaction.batch_execute(LOCK).await.map_err(failed)?;
    let found = transaction.query_opt(FIND, &[]).await.map_err(failed)?;
    let row = found.ok_or_else(|| Error::internal("cannot find the role admin"))?;
    let oid: u32 = row.try_get(0).map_err(failed)?;
    let name = row.try_get::<_, Name>(1).map_err(failed)?;
    if name.bytes() != NAME.as_bytes() {
        let other = "SELECT FROM pg_authid WHERE rolname = $1";
        if transaction.query_opt(other, &[&NAME]).await.map_err(failed)?.is_some() {
            // A name that no tenant can have taken.
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
    tracing::info!(oid, previous_name = %name, "restored the role admin");
    Ok(())
}
