//! Restores of databases and tables: `pg_dump` reads them from the server of a staged instance, and `pg_restore` writes
//! them to the server of the cluster (`transfer.rs`).
//!
//! Nothing is visible to tenants before the end. Databases are restored under temporary names (`databases.rs`), tables
//! into temporary schemas (`tables.rs`). Then one transaction gives all of them their names, and creates an empty schema,
//! the marker, by which a repeated call recognizes that the restore is complete.
//!
//! `pg_restore` runs functions of tenants, for example in constraints, so it logs in as the role of the SQL shell
//! (`shell.rs`) and never as a superuser.

mod databases;
mod shape;
mod staged;
mod tables;
mod transfer;

use crate::{
    backup::{ObjectRestore, missing_in_destination},
    postgres::{
        claim::Claim,
        context::{EngineContext, Shutdown},
        deadline::{response, within_deadline},
        instance::Instance,
        object::Name,
        process,
        server::{self, not_ready},
        shared::Shared,
        shell,
        sql::Identifier,
        statement_error::StatementError,
    },
};
use ootheca_durable::failpoint;
use ootheca_model::{
    ClusterId, Error, ErrorKind, Result, backup::RestoreType, names, names::SHELL_USER, sql_name,
};
use staged::StagedServer;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::sleep};
use tokio_postgres::{Client, types::ToSql};
use transfer::{APPLICATION, RESTORE_PROGRAM};
use uuid::Uuid;

const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The database of the engine, in which tenants can create nothing.
const CONTROL_DATABASE: &str = "postgres";
/// The progress when everything is copied.
const COPIED: f64 = 0.99;

/// What the names of temporary databases and schemas begin with.
const PREFIX: &str = "ootheca-restore-";
/// A condition for rows of `pg_database`: whether the database is a temporary one.
pub(in crate::postgres) const IS_TEMPORARY: &str =
    "(starts_with(datname::text, 'ootheca-restore-') AND pg_get_userbyid(datdba) = current_user)";

const IS_COMPLETE: &str = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
const TENANT_DATABASES: &str =
    "SELECT datname FROM pg_database WHERE datallowconn AND datconnlimit <> -2 AND datname <> 'postgres'";
const ACCEPTS_CONNECTIONS: &str =
    "SELECT datallowconn AND datconnlimit <> -2 FROM pg_database WHERE namesend(datname) = $1";
/// Waits up to five seconds for the end of each session.
const END_SESSIONS: &str = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                            WHERE usename = $1 AND application_name = $2";

impl Shared {
    /// Copies databases or tables of a staged instance into the instance that serves.
    pub(in crate::postgres) async fn restore_objects(
        self: &Arc<Self>,
        claim: Claim,
        restore: &ObjectRestore,
        report: &(dyn Fn(f32) + Send + Sync),
    ) -> Result<()> {
        self.context.secret()?;
        self.note_request();
        if restore.kind == RestoreType::Cluster || restore.objects.is_empty() {
            return Err(Error::internal("the restore names no databases or tables"));
        }
        Names::of(&restore.id)?;
        let Some(guard) = self.begin() else { return Err(Error::unavailable("the engine is shutting down")) };
        let (progress, mut reported) = watch::channel(0.0);
        let (shared, restore) = (self.clone(), restore.clone());
        // Spawned, so that a disconnecting caller cannot cancel it.
        let mut work = tokio::spawn(async move {
            let _guard = guard;
            let _alone = shared.begin_change(claim.cluster).await;
            shared.run_restore(claim, &restore, &progress).await
        });
        loop {
            tokio::select! {
                ended = &mut work => {
                    let interrupted = |error| Err(Error::internal("a restore was interrupted").because(error));
                    return ended.unwrap_or_else(interrupted);
                }
                Ok(()) = reported.changed() => {
                    let fraction = *reported.borrow_and_update();
                    report(fraction);
                }
            }
        }
    }

    async fn run_restore(
        self: &Arc<Self>,
        claim: Claim,
        restore: &ObjectRestore,
        progress: &watch::Sender<f32>,
    ) -> Result<()> {
        let destination = self.ready_instance(claim.cluster)?;
        let names = Names::of(&restore.id)?;
        let context = &self.context;
        let job = Job { context, destination: &destination, restore, names, progress };
        if job.is_complete().await? {
            return Ok(());
        }
        let staged = self.table().idle.get(&(claim.cluster, claim.epoch)).cloned();
        let missing = || Error::unavailable(format!("no instance of data epoch {} is staged", claim.epoch));
        let staged = staged.ok_or_else(missing)?;
        job.clean().await?;
        let server = StagedServer::start(context, staged).await?;
        let result = tokio::select! {
            result = job.run(&server) => result,
            () = self.interrupted(claim.cluster) => Err(Error::unavailable("the restore was interrupted")),
        };
        server.stop().await;
        if result.is_err()
            && let Err(error) = job.clean().await
        {
            tracing::warn!(cluster = %claim.cluster, error = error.chain(), "could not clean up after restore");
        }
        result
    }

    /// Waits until the engine shuts down, or the cluster is being removed.
    async fn interrupted(&self, cluster: ClusterId) {
        let mut shutdown = self.context.shutdown.subscribe();
        let removed = async {
            while self.is_claimed(cluster) {
                sleep(POLL_INTERVAL).await;
            }
        };
        tokio::select! {
            _ = shutdown.wait_for(|shutdown| *shutdown != Shutdown::NotRequested) => {}
            () = removed => {}
        }
    }

    fn ready_instance(&self, cluster: ClusterId) -> Result<Arc<Instance>> {
        let instance = self.claimed(cluster).filter(|instance| instance.ready_pid().is_some());
        instance.ok_or_else(not_ready)
    }

    /// Removes what a restore has left besides the restored objects.
    pub(in crate::postgres) async fn forget_restore(
        self: &Arc<Self>,
        cluster: ClusterId,
        id: &str,
    ) -> Result<()> {
        let names = Names::of(id)?;
        let Some(_guard) = self.begin() else {
            return Err(Error::unavailable("the engine is shutting down"));
        };
        let _alone = self.begin_change(cluster).await;
        let instance = self.ready_instance(cluster)?;
        let control = server::connect(&self.context, &instance.sockets(), CONTROL_DATABASE).await?;
        end_copies(&instance, &control).await?;
        databases::drop_temporary(&control, &names).await?;
        let explain = failed("remove the marker of a restore");
        response(control.batch_execute(&names.drop_marker()), explain).await?;
        let rows = response(control.query(TENANT_DATABASES, &[]), failed("list databases")).await?;
        for row in rows {
            let database: Name = row.try_get(0).map_err(failed("list databases"))?;
            tables::forget(&self.context, &instance.sockets(), &database, &names).await?;
        }
        Ok(())
    }
}

/// The names that a restore uses in the destination and in the staged instance.
#[derive(Debug)]
struct Names(Uuid);

impl Names {
    fn of(id: &str) -> Result<Self> {
        Uuid::parse_str(id).map(Self).map_err(|error| Error::invalid("id", "must be a UUID").because(error))
    }

    /// The schema that marks a completed restore.
    fn marker(&self) -> String {
        format!("{PREFIX}{}", self.0)
    }

    /// A temporary database or schema.
    fn temporary(&self, number: usize) -> String {
        format!("{PREFIX}{}-{number}", self.0)
    }

    /// What the names of its temporary databases begin with.
    fn temporary_prefix(&self) -> String {
        format!("{PREFIX}{}-", self.0)
    }

    /// A regular expression for the names of its temporary schemas.
    fn temporary_pattern(&self) -> String {
        format!("^{}[0-9]+$", self.temporary_prefix())
    }

    fn drop_marker(&self) -> String {
        format!("DROP SCHEMA IF EXISTS {} CASCADE", Identifier(&self.marker()))
    }

    fn create_marker(&self) -> String {
        format!("CREATE SCHEMA {}", Identifier(&self.marker()))
    }
}

/// A restore of objects that is running.
struct Job<'a> {
    context: &'a Arc<EngineContext>,
    /// The instance that serves.
    destination: &'a Instance,
    restore: &'a ObjectRestore,
    names: Names,
    progress: &'a watch::Sender<f32>,
}

impl Job<'_> {
    /// Whether an earlier call has completed the restore.
    async fn is_complete(&self) -> Result<bool> {
        let database = match self.restore.kind {
            RestoreType::Table => self.target_of_tables().await?,
            _ => CONTROL_DATABASE.to_owned(),
        };
        let client = self.connect(&database).await?;
        let explain = failed("look for a completed restore");
        response(is_true(&client, IS_COMPLETE, &[&self.names.marker()]), explain).await
    }

    /// Removes what an earlier call has left. A completed restore stays.
    async fn clean(&self) -> Result<()> {
        let control = self.connect(CONTROL_DATABASE).await?;
        end_copies(self.destination, &control).await?;
        match self.restore.kind {
            RestoreType::Table => {
                let client = self.connect(&self.target_of_tables().await?).await?;
                tables::drop_temporary(&client, &self.names).await
            }
            _ => databases::drop_temporary(&control, &self.names).await,
        }
    }

    async fn run(&self, staged: &StagedServer) -> Result<()> {
        staged.ready().await?;
        within_deadline(shell::create_role(self.context, &self.destination.sockets())).await?;
        let restored = async {
            match self.restore.kind {
                RestoreType::Table => self.restore_tables(staged).await,
                _ => self.restore_databases(staged).await,
            }
        };
        // The programs that copy have no time limit. If the server of the destination hangs, it is killed.
        tokio::select! {
            restored = restored => restored?,
            () = staged.stops_responding() => {
                return Err(Error::unavailable("the server with the data of the backup does not respond"));
            }
        }
        failpoint::reach("objects restored");
        self.progress.send_replace(1.0);
        Ok(())
    }

    /// A session of the control user in the destination.
    async fn connect(&self, database: &str) -> Result<Client> {
        server::connect(self.context, &self.destination.sockets(), database).await
    }

    /// The database into which tables are restored.
    async fn target_of_tables(&self) -> Result<String> {
        let (_, displayed) = self.restore.databases_of_tables()?;
        let missing = || missing_in_destination(format!("database {displayed}"));
        let name = sql_name::parse(displayed).filter(|_| !names::engine_database(displayed));
        let name = name.ok_or_else(missing)?;
        let control = self.connect(CONTROL_DATABASE).await?;
        let what = "look up a database";
        let found = response(control.query_opt(ACCEPTS_CONNECTIONS, &[&name]), failed(what)).await?;
        let accepts = found.map(|row| row.try_get::<_, bool>(0)).transpose();
        match accepts.map_err(failed(what))? {
            Some(true) if !displayed.starts_with(PREFIX) => utf8(name, displayed),
            Some(false) => {
                let message =
                    format!("database {displayed} of the destination cluster accepts no connections");
                Err(Error::precondition(message))
            }
            _ => Err(missing()),
        }
    }

    /// Reports how many of the bytes were copied. The progress only informs, so it does not have to be exact.
    fn report(&self, copied: u64, total: u64) {
        let fraction = COPIED * (copied as f64 / total.max(1) as f64).min(1.0);
        self.progress.send_replace(fraction as f32);
    }
}

/// Ends copies that an earlier call has started. The processes come first, so that none of them opens another session.
async fn end_copies(instance: &Instance, control: &Client) -> Result<()> {
    process::clear_program(&instance.data(), RESTORE_PROGRAM).await;
    let explain = failed("end the sessions of a restore");
    response(control.query(END_SESSIONS, &[&SHELL_USER, &APPLICATION]), explain).await.map(drop)
}

/// The boolean that a query returns.
async fn is_true(
    client: &Client,
    query: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<bool, tokio_postgres::Error> {
    client.query_one(query, values).await?.try_get(0)
}

/// A name that can be part of a statement.
fn utf8(name: Vec<u8>, displayed: &str) -> Result<String> {
    String::from_utf8(name).map_err(|error| {
        let message = format!("objects: the name {displayed} is not valid UTF-8; rename it first");
        Error::precondition(message).because(error)
    })
}

fn failed(what: &str) -> impl Fn(tokio_postgres::Error) -> Error + '_ {
    move |error| StatementError::from(error).other(what)
}

/// `expected` is the SQLSTATEs of errors that the caller has to resolve. Their text names the object.
fn refused(what: &str, expected: &[&str]) -> impl Fn(tokio_postgres::Error) -> Error {
    move |error| {
        let error = StatementError::from(error);
        if expected.contains(&error.sqlstate()) {
            return Error::precondition(format!("cannot {what}: {}", error.message()));
        }
        error.other(what)
    }
}

/// Connects to a database of the backup. `None` if it does not exist.
async fn connect_to_staged(
    context: &EngineContext,
    staged: &StagedServer,
    database: &str,
) -> Result<Option<Client>> {
    match server::connect(context, &staged.sockets(), database).await {
        Ok(client) => Ok(Some(client)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_enough_and_contain_the_id() {
        let id = "0b9c1c7e-52ae-4a3c-8b57-53dfa1e5cbc9";
        let names = Names::of(id).unwrap();
        assert_eq!(names.marker(), format!("{PREFIX}{id}"));
        assert_eq!(names.temporary(7), format!("{PREFIX}{id}-7"));
        assert!(names.temporary(999_999_999).len() <= 63);
        assert!(names.temporary(7).starts_with(&names.temporary_prefix()));
        assert!(!names.marker().starts_with(&names.temporary_prefix()));
        assert!(IS_TEMPORARY.contains(PREFIX));
        assert_eq!(Names::of("x'; --").unwrap_err().kind(), ErrorKind::Invalid);
    }
}
