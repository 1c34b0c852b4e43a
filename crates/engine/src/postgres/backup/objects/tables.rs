//! Restores of tables: they are copied into temporary schemas of a database, and one transaction moves all of them to
//! their own schemas.

use super::{
    Job, Names, connect_to_staged, failed, is_true, refused, shape, shape::Relation, staged::StagedServer,
    transfer::Copy, utf8,
};
use crate::{
    backup::{exists_in_destination, missing_in_backup, missing_in_destination},
    postgres::{
        admin_role, connection::ConnectionError, context::EngineContext, deadline::response, object::Name,
        server, sql::Identifier, statement_error::StatementError,
    },
};
use ootheca_durable::failpoint;
use ootheca_model::{Error, ErrorKind, Result, names, sql_name};
use std::{collections::BTreeSet, path::Path};
use tokio_postgres::Client;

/// Errors while tables are moved: they, their indexes, sequences, or types exist, or the schema does not.
const MOVE_ERRORS: [&str; 5] = ["42P07", "42710", "42P01", "3F000", "42704"];

const HAS_SCHEMA: &str = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
const HAS_RELATION: &str = "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                            WHERE n.nspname = $1 AND c.relname = $2)";
const HAS_TYPE: &str = "SELECT EXISTS (SELECT FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace \
                        WHERE n.nspname = $1 AND t.typname = $2)";

/// The temporary schemas of each source have their own range of numbers, because all of them are created in the same
/// database. It does not depend on the other sources, so that a repeated call uses the same ones.
const NUMBERS_OF_A_SOURCE: usize = 1_000_000;

/// A database of the backup whose tables are ready to be copied.
struct Source {
    database: String,
    relations: Vec<Relation>,
    /// What the destination must have for them, as schema and name.
    types: Vec<(String, String)>,
}

impl Source {
    /// The temporary schemas of its tables.
    fn schemas(&self) -> Vec<String> {
        let schemas: BTreeSet<&String> =
            self.relations.iter().map(|relation| &relation.temporary_schema).collect();
        schemas.into_iter().cloned().collect()
    }

    fn bytes(&self) -> u64 {
        self.relations.iter().map(|relation| relation.bytes).sum()
    }
}

impl Job<'_> {
    pub(super) async fn restore_tables(&self, staged: &StagedServer) -> Result<()> {
        let (databases, _) = self.restore.databases_of_tables()?;
        let mut sources = Vec::with_capacity(databases.len());
        for (number, displayed) in databases.iter().enumerate() {
            sources.push(self.prepare(staged, displayed, number * NUMBERS_OF_A_SOURCE).await?);
        }

        let to = self.target_of_tables().await?;
        let mut client = self.connect(&to).await?;
        check(&client, &sources).await?;
        let total: u64 = sources.iter().map(Source::bytes).sum();
        let mut copied = 0;
        for source in &sources {
            let schemas = source.schemas();
            // Without schemas, everything would be copied.
            if schemas.is_empty() {
                continue;
            }
            create_temporary(&client, &schemas).await?;
            let copy = Copy { from: source.database.as_bytes(), to: &to, schemas: &schemas };
            let advance = |bytes: u64| {
                copied += bytes;
                self.report(copied, total);
            };
            self.copy(staged, &copy, advance).await?;
            failpoint::reach("tables copied");
        }
        self.publish_tables(&mut client, &sources).await
    }

    /// Prepares the tables of a database. The numbers of its temporary schemas begin with `first`.
    async fn prepare(&self, staged: &StagedServer, displayed: &str, first: usize) -> Result<Source> {
        let missing = || missing_in_backup(format!("database {displayed}"));
        let from = sql_name::parse(displayed).filter(|_| !names::engine_database(displayed));
        let database = utf8(from.ok_or_else(missing)?, displayed)?;
        let client = connect_to_staged(self.context, staged, &database).await?;
        let mut client = client.ok_or_else(missing)?;
        let relations = shape::shape(&mut client, self.restore, displayed, &self.names, first).await?;
        let types = shape::types(&client, &self.names).await?;
        Ok(Source { database, relations, types })
    }

    /// Moves all tables to their schemas.
    async fn publish_tables(&self, client: &mut Client, sources: &[Source]) -> Result<()> {
        let what = "move the restored tables to their schemas";
        let transaction = response(client.transaction(), failed(what)).await?;
        for source in sources {
            for relation in &source.relations {
                let Relation { temporary_schema, schema, name, .. } = relation;
                let (from, name, to) = (Identifier(temporary_schema), Identifier(name), Identifier(schema));
                let statement = format!("ALTER TABLE {from}.{name} SET SCHEMA {to}");
                response(transaction.batch_execute(&statement), refused(what, &MOVE_ERRORS)).await?;
            }
            for schema in source.schemas() {
                let statement = format!("DROP SCHEMA {} CASCADE", Identifier(&schema));
                response(transaction.batch_execute(&statement), failed(what)).await?;
            }
        }
        response(transaction.batch_execute(&self.names.create_marker()), failed(what)).await?;
        response(transaction.commit(), failed(what)).await?;
        failpoint::reach("restored tables moved");
        Ok(())
    }
}

/// Checks that the destination has what the tables need, and that all of them can have their names.
async fn check(client: &Client, sources: &[Source]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for source in sources {
        for Relation { schema, name, .. } in &source.relations {
            // Partitions are restored without being named.
            if !seen.insert((schema, name)) {
                let message =
                    format!("objects: several databases of the backup contain table {schema}.{name}");
                return Err(Error::precondition(message));
            }
        }
    }
    for source in sources {
        check_source(client, source).await?;
    }
    Ok(())
}

async fn check_source(client: &Client, source: &Source) -> Result<()> {
    let what = "look up the objects of the destination";
    for Relation { schema, name, .. } in &source.relations {
        if !response(is_true(client, HAS_SCHEMA, &[schema]), failed(what)).await? {
            return Err(missing_in_destination(format!("schema {schema}")));
        }
        if response(is_true(client, HAS_RELATION, &[schema, name]), failed(what)).await? {
            return Err(exists_in_destination(format!("table {schema}.{name}")));
        }
    }
    for (schema, name) in &source.types {
        if !response(is_true(client, HAS_TYPE, &[schema, name]), failed(what)).await? {
            return Err(missing_in_destination(format!("type {schema}.{name}")));
        }
    }
    Ok(())
}

/// Creates schemas in which the role that restores may create objects, independent of the owner of the database.
async fn create_temporary(client: &Client, schemas: &[String]) -> Result<()> {
    for schema in schemas {
        let statement = format!("CREATE SCHEMA {} AUTHORIZATION {}", Identifier(schema), admin_role::NAME);
        response(client.batch_execute(&statement), failed("create a temporary schema")).await?;
    }
    failpoint::reach("temporary schemas created");
    Ok(())
}

/// A query for the statements that drop temporary schemas.
fn drop_statements(names: &Names) -> String {
    let pattern = names.temporary_pattern();
    format!(
        "SELECT format('DROP SCHEMA IF EXISTS %I CASCADE', nspname) FROM pg_namespace WHERE nspname ~ '{pattern}'"
    )
}

/// Drops the temporary schemas of a restore.
pub(super) async fn drop_temporary(client: &Client, names: &Names) -> Result<()> {
    let what = "remove temporary schemas";
    let rows = response(client.query(&drop_statements(names), &[]), failed(what)).await?;
    for row in rows {
        let statement: String = row.try_get(0).map_err(failed(what))?;
        response(client.batch_execute(&statement), failed(what)).await?;
    }
    Ok(())
}

/// Drops the temporary schemas and the marker of a restore in a database of any encoding, which may be dropped at the same
/// time.
pub(super) async fn forget(
    context: &EngineContext,
    sockets: &Path,
    database: &Name,
    names: &Names,
) -> Result<()> {
    let failed = |error: ConnectionError| StatementError::from(error).other("remove what a restore has left");
    let mut session = match server::enter(context, sockets, database).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entered => entered?,
    };
    let rows = response(session.simple(&drop_statements(names)), failed).await?;
    let mut statements: Vec<String> = rows.into_iter().flatten().flatten().collect();
    statements.push(names.drop_marker());
    for statement in statements {
        response(session.simple(&statement), failed).await?;
    }
    session.close().await;
    Ok(())
}
