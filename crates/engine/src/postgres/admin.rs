//! The administrative operations as SQL over the server's socket.

use super::{
    admin_role,
    backup::IS_TEMPORARY,
    context::{EngineContext, new_id},
    control_session::OpenSession,
    instance::Instance,
    object::{Name, Object},
    server::{self, PolledConnection, not_ready},
    sql::{Identifier, Literal},
    statement_error::StatementError,
};
use crate::{Admin, Database};
use async_trait::async_trait;
use ootheca_durable::failpoint;
use ootheca_model::{
    Error, ErrorKind, Result,
    limit_status::MAX_ROLES,
    login::{Login, Secret},
    names, sql_name,
};
use std::{path::PathBuf, sync::Arc};
use tokio_postgres::{
    Client, Row,
    types::{FromSqlOwned, ToSql},
};

const DEPENDENT_OBJECTS_STILL_EXIST: &str = "2BP01";
const DUPLICATE_DATABASE: &str = "42P04";
const DUPLICATE_OBJECT: &str = "42710";
const NO_DATA_FOUND: &str = "P0002";
const OBJECT_IN_USE: &str = "55006";
const UNDEFINED_DATABASE: &str = "3D000";
const UNDEFINED_OBJECT: &str = "42704";

/// Returns a row if SQL users have created something in the database. Smaller identifiers are those of `initdb`, except
/// for large objects, whose identifiers users can choose. Users can drop the schema `public` and create it again.
const CONTENTS: &str = "\
    WITH spaces AS (SELECT oid, nspname FROM pg_catalog.pg_namespace \
        WHERE nspname <> 'information_schema' AND nspname !~ '^pg_') \
    SELECT 1 FROM spaces WHERE oid >= 16384 AND nspname <> 'public' \
    UNION ALL SELECT 1 FROM pg_catalog.pg_class c JOIN spaces s ON s.oid = c.relnamespace WHERE c.oid >= 16384 \
    UNION ALL SELECT 1 FROM pg_catalog.pg_proc p JOIN spaces s ON s.oid = p.pronamespace WHERE p.oid >= 16384 \
    UNION ALL SELECT 1 FROM pg_catalog.pg_type t JOIN spaces s ON s.oid = t.typnamespace WHERE t.oid >= 16384 \
    UNION ALL SELECT 1 FROM pg_catalog.pg_extension WHERE oid >= 16384 AND extname <> 'plpgsql' \
    UNION ALL SELECT 1 FROM pg_catalog.pg_largeobject_metadata \
    LIMIT 1";

/// A database of a tenant.
struct TenantDatabase {
    oid: u32,
    /// Tenants can mark their databases as templates.
    is_template: bool,
    /// Whether `DROP DATABASE` was interrupted. Such a database accepts no connections, and can only be dropped.
    is_invalid: bool,
}

/// A session of the control user.
pub(super) struct AdminSession {
    instance: Arc<Instance>,
    context: Arc<EngineContext>,
    sockets: PathBuf,
    client: Client,
    connection: PolledConnection,
    /// The process ID of the server.
    server: u32,
    /// Whether a SQL user who can log in was created or changed.
    login_follows: bool,
}

impl AdminSession {
    /// Connects to the server of an instance.
    pub(super) async fn open(instance: Arc<Instance>) -> Result<Self> {
        let (context, sockets) = (instance.context.clone(), instance.sockets());
        let server = instance.ready_pid().ok_or_else(not_ready)?;
        let (client, connection) = server::open(&context, &sockets, "postgres").await?;
        let connection = PolledConnection::new(connection);
        Ok(Self { instance, context, sockets, client, connection, server, login_follows: false })
    }

    /// Ends the session, or keeps it for a login that probably follows.
    pub(super) fn end(self) {
        let Self { instance, client, connection, server, login_follows, .. } = self;
        if login_follows {
            let open = async move { Some(OpenSession::new(client, connection.take().await?, server)) };
            instance.keep_for_logins(open);
        }
    }

    /// Returns the first column of a query. Rows that cannot be read are skipped.
    async fn column<T: FromSqlOwned>(
        &self,
        query: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<T>, StatementError> {
        let rows = self.client.query(query, values).await?;
        Ok(rows.iter().filter_map(|row| readable(row.try_get(0))).collect())
    }

    /// Returns the row that a query finds for a name in displayed form.
    async fn find(&self, query: &str, name: &str) -> Result<Option<Row>, StatementError> {
        let Some(name) = sql_name::parse(name) else { return Ok(None) };
        Ok(self.client.query_opt(query, &[&name]).await?)
    }

    /// Returns the oid of a tenant's role, or `NotFound` for roles of the engine.
    async fn role(&self, name: &str) -> Result<u32> {
        let query = "SELECT oid FROM pg_roles WHERE namesend(rolname) = $1 AND NOT rolsuper";
        let found = self.find(query, name).await.map_err(|error| user_error(name, error))?;
        let found = found.filter(|_| !names::engine_user(name));
        let row = found.ok_or_else(|| Error::not_found(format!("SQL user {name}")))?;
        row.try_get(0).map_err(|error| user_error(name, error.into()))
    }

    /// Returns a tenant's database, or `NotFound` for databases of the engine.
    async fn database(&self, name: &str) -> Result<TenantDatabase> {
        let query = format!(
            "SELECT oid, datistemplate, datconnlimit = -2 FROM pg_database \
             WHERE namesend(datname) = $1 AND NOT {IS_TEMPORARY}"
        );
        let failed = |error| database_error(name, error);
        let found = self.find(&query, name).await.map_err(failed)?;
        let found = found.filter(|_| !names::engine_database(name));
        let row = found.ok_or_else(|| Error::not_found(format!("database {name}")))?;
        let read = || {
            Ok(TenantDatabase {
                oid: row.try_get(0)?,
                is_template: row.try_get(1)?,
                is_invalid: row.try_get(2)?,
            })
        };
        read().map_err(|error: tokio_postgres::Error| failed(error.into()))
    }

    async fn end_sessions(&self, role: u32) -> Result<()> {
        let query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = $1";
        let ended = self.column::<bool>(query, &[&role]).await;
        ended.map(|_| ()).map_err(|error| error.other("end sessions"))
    }

    /// Ends the sessions in a database. Does not wait until they have ended.
    async fn end_sessions_in(&self, database: u32) -> Result<(), StatementError> {
        let query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datid = $1";
        self.column::<bool>(query, &[&database]).await.map(|_| ())
    }

    /// Databases in which the role owns objects or has privileges, and that accept connections or not.
    async fn databases_of(&self, role: u32, accept_connections: bool) -> Result<Vec<Name>> {
        let query = "SELECT DISTINCT d.datname FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid \
                     WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = $1 \
                     AND (d.datallowconn AND d.datconnlimit <> -2) = $2 AND d.datname <> 'postgres'";
        let found = self.column(query, &[&role, &accept_connections]).await;
        found.map_err(|error| error.other("look up a role"))
    }

    /// Explains why a role could not be dropped.
    async fn drop_error(&self, name: &str, role: u32, error: StatementError) -> Error {
        if error.sqlstate() == DEPENDENT_OBJECTS_STILL_EXIST
            && let Ok(closed) = self.databases_of(role, false).await
            && !closed.is_empty()
        {
            let closed = shown(&closed, names::engine_database).join(", ");
            return Error::precondition(format!(
                "SQL user {name} owns objects in databases that do not accept connections: {closed}; \
                 delete these databases first"
            ));
        }
        user_error(name, error)
    }

    async fn run(&self, statements: &str) -> Result<(), StatementError> {
        Ok(self.client.batch_execute(statements).await?)
    }

    /// Renames a database that is about to be dropped, so that its name can be part of a statement. After a
    /// crash the database is listed under the new name and can still be dropped.
    async fn make_droppable(&self, found: &TenantDatabase) -> Result<String, StatementError> {
        let database = Object::Database(found.oid);
        if !found.is_invalid {
            self.run(&database.statement("ALTER DATABASE %1$I ALLOW_CONNECTIONS false", "")).await?;
            failpoint::reach("database closed");
            self.end_sessions_in(found.oid).await?;
        }
        let name = format!("deleted-{}", new_id());
        // The statement waits until the sessions have ended.
        self.run(&database.statement("ALTER DATABASE %1$I RENAME TO %2$I", &name)).await?;
        failpoint::reach("database renamed to be dropped");
        Ok(name)
    }
}

/// Returns `None` for a row that cannot be read, so that one bad row does not fail a whole list.
pub(super) fn readable<T>(read: Result<T, tokio_postgres::Error>) -> Option<T> {
    read.inspect_err(|error| tracing::warn!(%error, "skipped unreadable catalog row")).ok()
}

fn login(row: &Row) -> Result<Login, tokio_postgres::Error> {
    let name = row.try_get::<_, Name>(0)?.to_string();
    Ok(Login { name, secret: secret(row.try_get(1)?, row.try_get(2)?) })
}

/// The tenant's names in displayed form, sorted.
fn shown(names: &[Name], is_engine: fn(&str) -> bool) -> Vec<String> {
    let mut shown: Vec<String> = names.iter().map(Name::to_string).filter(|name| !is_engine(name)).collect();
    shown.sort_unstable();
    shown
}

#[async_trait]
impl Admin for AdminSession {
    async fn users(&mut self) -> Result<Vec<String>> {
        let query = "SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper";
        let names = self.column::<Name>(query, &[]).await.map_err(|error| error.other("list SQL users"))?;
        Ok(shown(&names, names::engine_user))
    }

    async fn logins(&mut self) -> Result<Vec<Login>> {
        let query = "SELECT rolname, textsend(rolpassword), coalesce(rolvaliduntil <= now(), false) \
                     FROM pg_authid WHERE rolcanlogin AND NOT rolsuper";
        let failed = |error| StatementError::from(error).other("read the logins of SQL users");
        let rows = self.client.query(query, &[]).await.map_err(failed)?;
        let logins = rows.iter().filter_map(|row| readable(login(row)));
        let mut logins: Vec<Login> = logins.filter(|login| !names::engine_user(&login.name)).collect();
        logins.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(logins)
    }

    async fn create_user(&mut self, name: &str, password: &str) -> Result<()> {
        admin_role::restore(&mut self.client).await?;
        let verifier = crate::scram::verifier(password).await?;
        let (role, verifier) = (Identifier(name), Literal(&verifier));
        let failed = |error| user_error(name, StatementError::from(error));
        let transaction = self.client.transaction().await.map_err(failed)?;
        let count = transaction.query_one("SELECT count(*) FROM pg_authid", &[]).await.map_err(failed)?;
        let roles: i64 = count.try_get(0).map_err(failed)?;
        if u64::try_from(roles).is_ok_and(|roles| roles >= MAX_ROLES) {
            return Err(Error::precondition(format!(
                "SQL user {name}: the cluster has {roles} SQL roles, and the maximum is {MAX_ROLES}; delete some first"
            )));
        }
        let statements = format!(
            "CREATE ROLE {role} LOGIN CREATEDB CREATEROLE INHERIT IN ROLE admin PASSWORD {verifier};\n\
             GRANT admin TO {role} WITH ADMIN OPTION;"
        );
        transaction.batch_execute(&statements).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        failpoint::reach("SQL user created");
        self.login_follows = true;
        Ok(())
    }

    async fn set_password(&mut self, name: &str, password: &str) -> Result<()> {
        admin_role::restore(&mut self.client).await?;
        let role = Object::Role(self.role(name).await?);
        let verifier = crate::scram::verifier(password).await?;
        let statement = role.statement("ALTER ROLE %1$I PASSWORD %2$L", &verifier);
        self.run(&statement).await.map_err(|error| user_error(name, error))?;
        failpoint::reach("password changed");
        self.login_follows = true;
        Ok(())
    }

    async fn delete_user(&mut self, name: &str) -> Result<()> {
        admin_role::restore(&mut self.client).await?;
        let oid = self.role(name).await?;
        let role = Object::Role(oid);
        self.end_sessions(oid).await?;
        let give = role.statement("REASSIGN OWNED BY %1$I TO admin; DROP OWNED BY %1$I", "");
        for database in self.databases_of(oid, true).await? {
            let mut inside = match server::enter(&self.context, &self.sockets, &database).await {
                // It was dropped at the same time.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                entered => entered?,
            };
            inside.simple(&give).await.map_err(|error| user_error(name, error.into()))?;
            inside.close().await;
            failpoint::reach("objects given to admin");
        }
        // Also reassigns objects that belong to no single database, such as the databases themselves.
        self.run(&give).await.map_err(|error| user_error(name, error))?;
        failpoint::reach("databases given to admin");
        let drop = role.statement("DROP ROLE %1$I", "");
        if let Err(error) = self.run(&drop).await {
            return Err(self.drop_error(name, oid, error).await);
        }
        failpoint::reach("SQL user dropped");
        // Sessions that were opened in the meantime. The role cannot log in again.
        self.end_sessions(oid).await
    }

    async fn databases(&mut self) -> Result<Vec<Database>> {
        let query = format!("SELECT datname FROM pg_database WHERE NOT {IS_TEMPORARY}");
        let names = self.column::<Name>(&query, &[]).await.map_err(|error| error.other("list databases"))?;
        let names = shown(&names, names::engine_database);
        Ok(names.into_iter().map(|name| Database { name, tables: None }).collect())
    }

    async fn count_tables(&mut self, databases: &[String]) -> Result<Vec<Option<i64>>> {
        let counts = &self.instance.table_counts;
        counts.read(&self.context, &self.sockets, &self.client, databases).await
    }

    async fn is_empty(&mut self, database: &str) -> Result<bool> {
        let name = sql_name::parse(database).filter(|_| !names::engine_database(database));
        let name = name.ok_or_else(|| Error::not_found(format!("database {database}")))?;
        let mut inside = server::enter(&self.context, &self.sockets, &Name::new(name)).await?;
        let failed = |error| StatementError::from(error).other("look for objects in a database");
        let found = inside.simple(CONTENTS).await.map_err(failed)?;
        inside.close().await;
        Ok(found.is_empty())
    }

    async fn create_database(&mut self, name: &str) -> Result<()> {
        admin_role::restore(&mut self.client).await?;
        let statement = format!("CREATE DATABASE {} OWNER admin", Identifier(name));
        self.run(&statement).await.map_err(|error| database_error(name, error))?;
        failpoint::reach("database created");
        Ok(())
    }

    async fn rename_database(&mut self, name: &str, new_name: &str) -> Result<()> {
        let database = self.database(name).await?;
        if database.is_invalid {
            return Err(Error::precondition(format!(
                "database {name} can only be deleted, because an earlier attempt to drop it was interrupted"
            )));
        }
        self.end_sessions_in(database.oid).await.map_err(|error| database_error(name, error))?;
        // The statement waits until the sessions have ended.
        let statement =
            Object::Database(database.oid).statement("ALTER DATABASE %1$I RENAME TO %2$I", new_name);
        self.run(&statement).await.map_err(|error| match error.sqlstate() {
            DUPLICATE_DATABASE => database_error(new_name, error),
            _ => database_error(name, error),
        })?;
        failpoint::reach("database renamed");
        Ok(())
    }

    async fn drop_database(&mut self, name: &str) -> Result<()> {
        let database = self.database(name).await?;
        let failed = |error| database_error(name, error);
        // A database that is marked as a template cannot be dropped, and an invalid one cannot be altered.
        if database.is_template {
            let unmark =
                Object::Database(database.oid).statement("ALTER DATABASE %1$I IS_TEMPLATE false", "");
            self.run(&unmark).await.map_err(failed)?;
        }
        // DROP DATABASE cannot run inside a DO block, and a statement must be UTF-8.
        let text = sql_name::parse(name).and_then(|name| String::from_utf8(name).ok());
        let text = match text {
            Some(text) => text,
            None => self.make_droppable(&database).await.map_err(failed)?,
        };
        let statement = format!("DROP DATABASE {} WITH (FORCE)", Identifier(&text));
        self.run(&statement).await.map_err(failed)?;
        failpoint::reach("database dropped");
        Ok(())
    }
}

/// The secret of a role whose password can contain any bytes.
pub(super) fn secret(password: Option<&[u8]>, expired: bool) -> Secret {
    match password.map(str::from_utf8) {
        _ if expired => Secret::Expired,
        None => Secret::Absent,
        Some(Ok(verifier)) if verifier.starts_with("SCRAM-SHA-256$") => Secret::Scram(verifier.to_owned()),
        Some(Ok(hash)) if hash.starts_with("md5") => Secret::Other("MD5".to_owned()),
        Some(_) => Secret::Other("an unknown type of".to_owned()),
    }
}

fn user_error(name: &str, error: StatementError) -> Error {
    match error.sqlstate() {
        DUPLICATE_OBJECT => Error::exists(format!("SQL user {name}")),
        NO_DATA_FOUND => Error::not_found(format!("SQL user {name}")),
        UNDEFINED_OBJECT if !is_about_admin(&error) => Error::not_found(format!("SQL user {name}")),
        DEPENDENT_OBJECTS_STILL_EXIST => Error::precondition(format!(
            "SQL user {name} still owns objects, possibly in a database that does not allow connections"
        )),
        _ => error.other(&format!("change SQL user {name}")),
    }
}

/// Whether a statement failed because the role `admin` is missing, and not the user.
fn is_about_admin(error: &StatementError) -> bool {
    error.message() == format!("role \"{}\" does not exist", admin_role::NAME)
}

fn database_error(name: &str, error: StatementError) -> Error {
    match error.sqlstate() {
        DUPLICATE_DATABASE => Error::exists(format!("database {name}")),
        UNDEFINED_DATABASE | NO_DATA_FOUND => Error::not_found(format!("database {name}")),
        OBJECT_IN_USE => {
            Error::precondition(format!("database {name} is in use by SQL sessions; end them and try again"))
        }
        _ => error.other(&format!("change database {name}")),
    }
}
