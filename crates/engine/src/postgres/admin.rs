//! The administrative verbs, as SQL over the server's socket.

use super::{
    admin_role,
    host::Host,
    server,
    sql::{Identifier, Literal},
};
use crate::{Admin, Database};
use async_trait::async_trait;
use ootheca_model::{
    Error, Result, effect,
    login::{Login, Secret},
    names,
};
use std::{path::PathBuf, sync::Arc};
use tokio_postgres::{Client, Row, error::SqlState};

/// A session of the control user.
pub(super) struct Session {
    host: Arc<Host>,
    sockets: PathBuf,
    client: Client,
}

impl Session {
    /// Connects to the server whose socket is in `sockets`.
    pub(super) async fn open(host: Arc<Host>, sockets: PathBuf) -> Result<Self> {
        let client = server::connect(&host, &sockets, "postgres").await?;
        Ok(Self { host, sockets, client })
    }

    /// The id of a tenant's role; `NotFound` for ours, whatever was asked.
    async fn role(&self, name: &str) -> Result<u32> {
        let query = "SELECT oid FROM pg_roles WHERE rolname = $1 AND NOT rolsuper";
        let row = self.client.query_opt(query, &[&name]).await.map_err(|error| user_error(name, error))?;
        let row = row.filter(|_| !names::reserved_user(name));
        row.map(|row| row.get(0)).ok_or_else(|| Error::not_found(format!("SQL user {name}")))
    }

    async fn end_sessions(&self, role: u32) -> Result<()> {
        let query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = $1";
        self.client
            .query(query, &[&role])
            .await
            .map(|_| ())
            .map_err(|error| other_error("end sessions", error))
    }

    /// Databases in which the role owns or may do something.
    async fn databases_of(&self, role: u32) -> Result<Vec<String>> {
        let query = "SELECT DISTINCT d.datname::text FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid \
                     WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = $1 AND d.datallowconn \
                     AND d.datname <> 'postgres'";
        let rows =
            self.client.query(query, &[&role]).await.map_err(|error| other_error("look up a role", error))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Checks that a tenant's database is there. Its owner may have marked it as a template.
    async fn known_database(&self, name: &str) -> Result<()> {
        let query = "SELECT FROM pg_database WHERE datname = $1";
        let row =
            self.client.query_opt(query, &[&name]).await.map_err(|error| database_error(name, error))?;
        let known = row.is_some() && !names::reserved_database(name);
        if known { Ok(()) } else { Err(Error::not_found(format!("database {name}"))) }
    }
}

#[async_trait]
impl Admin for Session {
    async fn users(&mut self) -> Result<Vec<String>> {
        let query = "SELECT rolname::text FROM pg_roles WHERE rolcanlogin AND NOT rolsuper ORDER BY rolname COLLATE \"C\"";
        let rows =
            self.client.query(query, &[]).await.map_err(|error| other_error("list SQL users", error))?;
        let names = rows.iter().map(|row| row.get::<_, String>(0));
        Ok(names.filter(|name| !names::reserved_user(name)).collect())
    }

    async fn logins(&mut self) -> Result<Vec<Login>> {
        let query = "SELECT rolname::text, rolpassword, coalesce(rolvaliduntil <= now(), false) \
                     FROM pg_authid WHERE rolcanlogin AND NOT rolsuper ORDER BY rolname COLLATE \"C\"";
        let rows = self
            .client
            .query(query, &[])
            .await
            .map_err(|error| other_error("read the logins of SQL users", error))?;
        let login = |row: &Row| Login { name: row.get(0), secret: secret(row.get(1), row.get(2)) };
        Ok(rows.iter().map(login).filter(|login| !names::reserved_user(&login.name)).collect())
    }

    async fn create_user(&mut self, name: &str, password: &str) -> Result<()> {
        admin_role::mend(&mut self.client).await?;
        let verifier = crate::scram::verifier(password).await?;
        let (role, verifier) = (Identifier(name), Literal(&verifier));
        let failed = |error| user_error(name, error);
        let transaction = self.client.transaction().await.map_err(failed)?;
        let statements = format!(
            "CREATE ROLE {role} LOGIN CREATEDB CREATEROLE INHERIT IN ROLE admin PASSWORD {verifier};\n\
             GRANT admin TO {role} WITH ADMIN OPTION;"
        );
        transaction.batch_execute(&statements).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        effect::done("SQL user created");
        Ok(())
    }

    async fn set_password(&mut self, name: &str, password: &str) -> Result<()> {
        admin_role::mend(&mut self.client).await?;
        self.role(name).await?;
        let verifier = crate::scram::verifier(password).await?;
        let statement = format!("ALTER ROLE {} PASSWORD {}", Identifier(name), Literal(&verifier));
        self.client.batch_execute(&statement).await.map_err(|error| user_error(name, error))?;
        effect::done("password changed");
        Ok(())
    }

    async fn delete_user(&mut self, name: &str) -> Result<()> {
        admin_role::mend(&mut self.client).await?;
        let role = self.role(name).await?;
        self.end_sessions(role).await?;
        let give = format!("REASSIGN OWNED BY {0} TO admin; DROP OWNED BY {0};", Identifier(name));
        for database in self.databases_of(role).await? {
            let client = server::connect(&self.host, &self.sockets, &database).await?;
            client.batch_execute(&give).await.map_err(|error| user_error(name, error))?;
            effect::done("objects given to admin");
        }
        // Here also goes what belongs to no single database: the databases themselves.
        self.client.batch_execute(&give).await.map_err(|error| user_error(name, error))?;
        effect::done("databases given to admin");
        let drop = format!("DROP ROLE {}", Identifier(name));
        self.client.batch_execute(&drop).await.map_err(|error| user_error(name, error))?;
        effect::done("SQL user dropped");
        // Those that came in the meantime; the role can not log in again.
        self.end_sessions(role).await
    }

    async fn databases(&mut self) -> Result<Vec<Database>> {
        let query = "SELECT datname::text FROM pg_database ORDER BY datname COLLATE \"C\"";
        let rows =
            self.client.query(query, &[]).await.map_err(|error| other_error("list databases", error))?;
        let names = rows.iter().map(|row| row.get::<_, String>(0));
        let tenant = names.filter(|name| !names::reserved_database(name));
        Ok(tenant.map(|name| Database { name, tables: None }).collect())
    }

    async fn count_tables(&mut self, database: &str) -> Result<Option<i64>> {
        self.known_database(database).await?;
        // Its owner may have closed it to everybody.
        let Ok(client) = server::connect(&self.host, &self.sockets, database).await else { return Ok(None) };
        let query = "SELECT count(*) FROM pg_catalog.pg_class c \
                     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                     WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";
        match client.query_one(query, &[]).await {
            Ok(row) => Ok(Some(row.get(0))),
            Err(error) => {
                tracing::debug!(%error, "tables not counted");
                Ok(None)
            }
        }
    }

    async fn create_database(&mut self, name: &str) -> Result<()> {
        admin_role::mend(&mut self.client).await?;
        let statement = format!("CREATE DATABASE {} OWNER admin", Identifier(name));
        self.client.batch_execute(&statement).await.map_err(|error| database_error(name, error))?;
        effect::done("database created");
        Ok(())
    }

    async fn rename_database(&mut self, name: &str, new_name: &str) -> Result<()> {
        self.known_database(name).await?;
        let statement = format!("ALTER DATABASE {} RENAME TO {}", Identifier(name), Identifier(new_name));
        self.client.batch_execute(&statement).await.map_err(|error| match error.code() {
            Some(&SqlState::DUPLICATE_DATABASE) => database_error(new_name, error),
            _ => database_error(name, error),
        })?;
        effect::done("database renamed");
        Ok(())
    }

    async fn drop_database(&mut self, name: &str) -> Result<()> {
        self.known_database(name).await?;
        // A template can not be dropped.
        let unmark = format!("ALTER DATABASE {} IS_TEMPLATE false", Identifier(name));
        self.client.batch_execute(&unmark).await.map_err(|error| database_error(name, error))?;
        let statement = format!("DROP DATABASE {} WITH (FORCE)", Identifier(name));
        self.client.batch_execute(&statement).await.map_err(|error| database_error(name, error))?;
        effect::done("database dropped");
        Ok(())
    }
}

fn secret(password: Option<String>, expired: bool) -> Secret {
    match password {
        _ if expired => Secret::Expired,
        None => Secret::Absent,
        Some(verifier) if verifier.starts_with("SCRAM-SHA-256$") => Secret::Scram(verifier),
        Some(hash) if hash.starts_with("md5") => Secret::Other("MD5".to_owned()),
        Some(_) => Secret::Other("an unknown kind of".to_owned()),
    }
}

fn user_error(name: &str, error: tokio_postgres::Error) -> Error {
    match error.code() {
        Some(&SqlState::DUPLICATE_OBJECT) => Error::exists(format!("SQL user {name}")),
        Some(&SqlState::UNDEFINED_OBJECT) if !is_about_admin(&error) => {
            Error::not_found(format!("SQL user {name}"))
        }
        Some(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST) => Error::precondition(format!(
            "SQL user {name} still owns objects, perhaps in a database that allows no connections"
        )),
        _ => other_error(&format!("change SQL user {name}"), error),
    }
}

/// Whether a statement failed for want of the role `admin`, not of the user.
fn is_about_admin(error: &tokio_postgres::Error) -> bool {
    let missing = format!("role \"{}\" does not exist", admin_role::NAME);
    error.as_db_error().is_some_and(|error| error.message() == missing)
}

fn database_error(name: &str, error: tokio_postgres::Error) -> Error {
    match error.code() {
        Some(&SqlState::DUPLICATE_DATABASE) => Error::exists(format!("database {name}")),
        Some(&SqlState::UNDEFINED_DATABASE) => Error::not_found(format!("database {name}")),
        Some(&SqlState::OBJECT_IN_USE) => Error::precondition(format!(
            "database {name} is in use by SQL sessions: end them, then try again"
        )),
        _ => other_error(&format!("change database {name}"), error),
    }
}

/// Trouble that has no name of its own. The server's text may quote a statement: it is for the log.
fn other_error(what: &str, error: tokio_postgres::Error) -> Error {
    let passing = error.is_closed()
        || error.code().is_none_or(|code| matches!(&code.code()[..2], "57" | "53" | "40" | "08" | "55"));
    let message = format!("can not {what}");
    let result = if passing { Error::unavailable(message) } else { Error::internal(message) };
    result.because(error)
}
