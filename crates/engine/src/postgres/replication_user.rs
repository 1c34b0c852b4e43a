//! The user of physical replication, in clusters with several nodes.
//!
//! It is a superuser, because up to PostgreSQL 15 a role with CREATEROLE can drop all roles but superusers. Only physical
//! replication accepts its password, so a standby that knows it can read the data of its cluster, and run no statements.

use super::{
    admin_role,
    context::{EngineContext, new_id},
    control_secret::{derive, recorded},
    deadline::within_deadline,
    instance::Instance,
    server,
    sql::{Identifier, Literal},
    template::ACCESS_FILE,
};
use crate::{
    files::{blocking, write_for_owner},
    scram::verifier,
};
use ootheca_durable::failpoint;
use ootheca_model::{ClusterId, Error, Result, names::REPLICATION_USER};
use std::path::Path;
use tokio_postgres::{Client, Row};

/// The password file of libpq in the data directory of a node. It belongs to the node and is not copied.
pub(super) const PASSFILE: &str = "ootheca-replication-passfile";

/// The rules for connections of a node. `all` does not include physical replication.
const ACCESS: &str = "\
# Written by Ootheca. Allows Unix sockets with SCRAM only, and physical replication between the nodes of the cluster.
local replication ootheca_replication scram-sha-256
local all ootheca_replication reject
local all all scram-sha-256
";

/// Prevents logins in data that is restored or cloned, whose cluster may have one node.
pub(super) const DISABLE: &str = "\
DO $$ BEGIN \
IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'ootheca_replication' AND rolsuper) \
THEN ALTER ROLE ootheca_replication NOLOGIN PASSWORD NULL; END IF; \
END $$";

/// Tenants can create a role with this name as long as there is none, but no superuser.
const FIND: &str = "\
SELECT rolsuper, rolcanlogin AND rolreplication AND rolpassword IS NOT NULL \
FROM pg_catalog.pg_authid WHERE rolname = $1";

/// A commit that waits for standbys would wait for this user.
const LOCAL_COMMIT: &str = "SET LOCAL synchronous_commit = local";

/// Admits the user to the running server of a primary, which gets the files of a node. Can be repeated.
pub(super) async fn ensure_replication_user(instance: &Instance) -> Result<()> {
    let missing = || Error::unavailable("the server does not have the control password of its cluster yet");
    let cluster = recorded(&instance.folder).ok_or_else(missing)?;
    let (context, data) = (instance.context.clone(), instance.data());
    blocking(move || write_node_files(&context, &data, cluster)).await?;
    within_deadline(async {
        let mut client = server::connect(&instance.context, &instance.sockets(), "postgres").await?;
        let password = password(&instance.context, cluster)?;
        create_role(&mut client, &password).await?;
        client.batch_execute("SELECT pg_catalog.pg_reload_conf()").await.map_err(not_created)
    })
    .await
}

/// Writes what a node needs in its data directory: the rules for connections, and the password for other nodes.
pub(super) fn write_node_files(context: &EngineContext, data: &Path, cluster: ClusterId) -> Result<()> {
    let line = format!("*:*:*:{REPLICATION_USER}:{}\n", password(context, cluster)?);
    write_for_owner(data, PASSFILE, line.as_bytes())?;
    write_for_owner(data, ACCESS_FILE, ACCESS.as_bytes())
}

fn password(context: &EngineContext, cluster: ClusterId) -> Result<String> {
    Ok(derive(context.secret()?, "replication", &cluster.to_string()))
}

/// Creates the role unless it can log in. A role of tenants with its name is renamed, because its members would become
/// superusers.
async fn create_role(client: &mut Client, password: &str) -> Result<()> {
    if find(client).await? == Some(Role { is_own: true, is_complete: true }) {
        return Ok(());
    }
    let verifier = verifier(password).await?;
    let transaction = client.transaction().await.map_err(not_created)?;
    transaction.batch_execute(LOCAL_COMMIT).await.map_err(not_created)?;
    transaction.batch_execute(admin_role::LOCK).await.map_err(not_created)?;
    let verb = match find(transaction.client()).await? {
        Some(Role { is_own: true, .. }) => "ALTER",
        None => "CREATE",
        Some(_) => {
            // A name that no tenant can have taken.
            let renamed = format!("{REPLICATION_USER}_{}", new_id());
            let rename = format!("ALTER ROLE {REPLICATION_USER} RENAME TO {}", Identifier(&renamed));
            transaction.batch_execute(&rename).await.map_err(not_created)?;
            "CREATE"
        }
    };
    let role =
        format!("{verb} ROLE {REPLICATION_USER} LOGIN SUPERUSER REPLICATION PASSWORD {}", Literal(&verifier));
    transaction.batch_execute(&role).await.map_err(not_created)?;
    transaction.commit().await.map_err(not_created)?;
    failpoint::reach("replication user created");
    Ok(())
}

/// The role with the name of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Role {
    /// Whether it is that of the engine.
    is_own: bool,
    /// Whether it can log in.
    is_complete: bool,
}

async fn find(client: &Client) -> Result<Option<Role>> {
    let row = client.query_opt(FIND, &[&REPLICATION_USER]).await.map_err(not_created)?;
    row.map(|row| role(&row)).transpose().map_err(not_created)
}

fn role(row: &Row) -> Result<Role, tokio_postgres::Error> {
    Ok(Role { is_own: row.try_get(0)?, is_complete: row.try_get(1)? })
}

fn not_created(error: tokio_postgres::Error) -> Error {
    Error::unavailable("cannot create the user for replication").because(error)
}
