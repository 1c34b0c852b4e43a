//! Restores of databases: each is copied into a temporary database, and one transaction renames all of them.
//!
//! A temporary database belongs to the control user, so tenants can neither connect to it nor change it.

use super::{
    CONTROL_DATABASE, Job, Names, connect_to_staged, failed, is_true, refused, staged::StagedServer,
    transfer::Copy, utf8,
};
use crate::{
    backup::{exists_in_destination, missing_in_backup},
    postgres::{
        admin_role,
        deadline::response,
        object::Name,
        server,
        sql::{Identifier, Literal},
        statement_error::StatementError,
    },
};
use ootheca_durable::failpoint;
use ootheca_model::{Error, Result, backup::RestoreObject, names, names::SHELL_USER, sql_name};
use std::collections::BTreeSet;
use tokio_postgres::{Client, Row};

const DUPLICATE_DATABASE: &str = "42P04";
const OBJECT_IN_USE: &str = "55006";
/// Since this version, the owner of a database owns its schema `public` through a role.
const FIRST_WITH_DATABASE_OWNER: u32 = 15;

/// Columns that not every version has are read as JSON.
const FIND: &str = "
SELECT pg_encoding_to_char(encoding)::text, datcollate::text, datctype::text, to_jsonb(d)->>'datlocprovider',
    coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale'), to_jsonb(d)->>'daticurules',
    datallowconn AND datconnlimit <> -2, pg_database_size(oid)
FROM pg_database d WHERE namesend(datname) = $1";
const EXISTS: &str = "SELECT EXISTS (SELECT FROM pg_database WHERE namesend(datname) = $1)";
const TEMPORARY: &str = "SELECT datname::text FROM pg_database \
                         WHERE starts_with(datname::text, $1) AND pg_get_userbyid(datdba) = current_user";

/// Tenants use the schema as in a new database, see `template.rs`.
const PREPARE_SCHEMA: &str = "ALTER SCHEMA public OWNER TO admin";
const FINISH_SCHEMA: &str =
    "ALTER SCHEMA public OWNER TO pg_database_owner; GRANT USAGE, CREATE ON SCHEMA public TO admin";

/// A database that is restored.
struct Target {
    /// Its name in the backup.
    from: Vec<u8>,
    /// Its name in the end.
    to: String,
    temporary: String,
    locale: Locale,
    bytes: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Locale {
    encoding: String,
    collate: String,
    ctype: String,
    provider: Option<String>,
    locale: Option<String>,
    rules: Option<String>,
}

impl Job<'_> {
    pub(super) async fn restore_databases(&self, staged: &StagedServer) -> Result<()> {
        let mut control = self.connect(CONTROL_DATABASE).await?;
        let targets = self.targets(staged, &control).await?;
        let total: u64 = targets.iter().map(|target| target.bytes).sum();
        let mut copied = 0;
        for target in &targets {
            self.create_temporary(&control, target).await?;
            let copy = Copy { from: &target.from, to: &target.temporary, schemas: &[] };
            let advance = |bytes: u64| {
                copied += bytes;
                self.report(copied, total);
            };
            self.copy(staged, &copy, advance).await?;
            if self.destination.programs.major >= FIRST_WITH_DATABASE_OWNER {
                self.run_in(&target.temporary, FINISH_SCHEMA).await?;
            }
            failpoint::reach("database copied");
        }
        self.publish_databases(&mut control, &targets).await
    }

    async fn targets(&self, staged: &StagedServer, control: &Client) -> Result<Vec<Target>> {
        let source = connect_to_staged(self.context, staged, CONTROL_DATABASE).await?;
        let source = source.ok_or_else(|| Error::internal("the backup contains no system database"))?;
        let (mut targets, mut seen) = (Vec::new(), BTreeSet::new());
        for object in &self.restore.objects {
            if !seen.insert(&object.database) {
                continue;
            }
            let target = self.target(&source, object, targets.len()).await?;
            let explain = failed("look up a database");
            if response(is_true(control, EXISTS, &[&target.to.as_bytes()]), explain).await? {
                return Err(exists_in_destination(format!("database {}", target.to)));
            }
            targets.push(target);
        }
        Ok(targets)
    }

    async fn target(&self, source: &Client, object: &RestoreObject, number: usize) -> Result<Target> {
        let displayed = &object.database;
        let missing = || missing_in_backup(format!("database {displayed}"));
        let from = sql_name::parse(displayed).filter(|_| !names::engine_database(displayed));
        let from = from.ok_or_else(missing)?;
        let row = response(source.query_opt(FIND, &[&from]), failed("look up a database")).await?;
        let row = row.ok_or_else(missing)?;
        let (locale, usable, bytes) = read(&row).map_err(failed("look up a database"))?;
        if !usable {
            return Err(Error::precondition(format!(
                "objects: database {displayed} of the backup accepts no connections"
            )));
        }
        let to = self.restore.database_name(object);
        let name =
            sql_name::parse(to).ok_or_else(|| Error::precondition(format!("{to} is no valid name")))?;
        Ok(Target {
            from,
            to: utf8(name, to)?,
            temporary: self.names.temporary(number),
            locale,
            bytes: u64::try_from(bytes).unwrap_or(0),
        })
    }

    async fn create_temporary(&self, control: &Client, target: &Target) -> Result<()> {
        let what = "create a temporary database";
        let name = Identifier(&target.temporary);
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 {}", target.locale.options());
        // Locales belong to the system, which may have others than that of the backup.
        let unsupported = ["22023", "42809", "42704", "0A000"];
        response(control.batch_execute(&create), refused(what, &unsupported)).await?;
        failpoint::reach("temporary database created");
        let comment = format!("restore {}", self.restore.id);
        let limit = format!(
            "REVOKE ALL ON DATABASE {name} FROM PUBLIC;\n\
             GRANT CONNECT ON DATABASE {name} TO {SHELL_USER};\n\
             GRANT CREATE, TEMPORARY ON DATABASE {name} TO {};\n\
             COMMENT ON DATABASE {name} IS {}",
            admin_role::NAME,
            Literal(&comment)
        );
        response(control.batch_execute(&limit), failed(what)).await?;
        self.run_in(&target.temporary, PREPARE_SCHEMA).await
    }

    /// Runs statements in a temporary database, whatever its encoding.
    async fn run_in(&self, database: &str, statements: &str) -> Result<()> {
        let name = Name::new(database.as_bytes().to_vec());
        let mut session = server::enter(self.context, &self.destination.sockets(), &name).await?;
        let failed = |error| StatementError::from(error).other("prepare a temporary database");
        response(session.simple(statements), failed).await?;
        session.close().await;
        Ok(())
    }

    /// Gives all databases their names, and makes them those of tenants.
    async fn publish_databases(&self, control: &mut Client, targets: &[Target]) -> Result<()> {
        let what = "rename the restored databases";
        let transaction = response(control.transaction(), failed(what)).await?;
        for target in targets {
            let (from, to) = (Identifier(&target.temporary), Identifier(&target.to));
            let statements = format!(
                "ALTER DATABASE {from} OWNER TO {};\n\
                 REVOKE ALL ON DATABASE {from} FROM {SHELL_USER};\n\
                 GRANT CONNECT, TEMPORARY ON DATABASE {from} TO PUBLIC;\n\
                 COMMENT ON DATABASE {from} IS NULL;\n\
                 ALTER DATABASE {from} RENAME TO {to}",
                admin_role::NAME
            );
            let explain = |error| {
                let error = StatementError::from(error);
                match error.sqlstate() {
                    DUPLICATE_DATABASE => exists_in_destination(format!("database {}", target.to)),
                    OBJECT_IN_USE => Error::unavailable("a restored database is still in use"),
                    _ => error.other(what),
                }
            };
            response(transaction.batch_execute(&statements), explain).await?;
        }
        response(transaction.batch_execute(&self.names.create_marker()), failed(what)).await?;
        response(transaction.commit(), failed(what)).await?;
        failpoint::reach("restored databases renamed");
        Ok(())
    }
}

/// The locale of a database, whether it accepts connections, and its size.
fn read(row: &Row) -> Result<(Locale, bool, i64), tokio_postgres::Error> {
    let locale = Locale {
        encoding: row.try_get(0)?,
        collate: row.try_get(1)?,
        ctype: row.try_get(2)?,
        provider: row.try_get(3)?,
        locale: row.try_get(4)?,
        rules: row.try_get(5)?,
    };
    Ok((locale, row.try_get(6)?, row.try_get(7)?))
}

impl Locale {
    /// The options of `CREATE DATABASE`.
    fn options(&self) -> String {
        let (encoding, collate, ctype) =
            (Literal(&self.encoding), Literal(&self.collate), Literal(&self.ctype));
        let mut options = format!("ENCODING {encoding} LC_COLLATE {collate} LC_CTYPE {ctype}");
        let (provider, option) = match self.provider.as_deref() {
            Some("i") => ("icu", "ICU_LOCALE"),
            Some("b") => ("builtin", "BUILTIN_LOCALE"),
            _ => return options,
        };
        options += &format!(" LOCALE_PROVIDER {provider}");
        if let Some(locale) = &self.locale {
            options += &format!(" {option} {}", Literal(locale));
        }
        if let Some(rules) = &self.rules {
            options += &format!(" ICU_RULES {}", Literal(rules));
        }
        options
    }
}

/// Drops the temporary databases of a restore.
pub(super) async fn drop_temporary(control: &Client, names: &Names) -> Result<()> {
    let what = "remove temporary databases";
    let rows = response(control.query(TEMPORARY, &[&names.temporary_prefix()]), failed(what)).await?;
    for row in rows {
        let name: String = row.try_get(0).map_err(failed(what))?;
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", Identifier(&name));
        response(control.batch_execute(&statement), failed(what)).await?;
        failpoint::reach("temporary database dropped");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_keep_their_locale() {
        let text = |text: &str| text.to_owned();
        let (encoding, collate, ctype) = (text("UTF8"), text("C.UTF-8"), text("C"));
        let libc = Locale { encoding, collate, ctype, provider: Some(text("c")), ..Locale::default() };
        assert_eq!(libc.options(), "ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C'");
        let icu =
            Locale { provider: Some(text("i")), locale: Some(text("de")), rules: Some(text("&a<b")), ..libc };
        assert_eq!(
            icu.options(),
            "ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'de' ICU_RULES '&a<b'"
        );
    }
}
