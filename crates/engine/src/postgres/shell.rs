//! Runs single statements of API callers, each in its own session.
//!
//! A statement runs as `admin`, which owns everything that tenants create over the API and has no other
//! rights. A session of the control user with `SET ROLE` would not be safe, because a statement could reset
//! the role. Therefore the session logs in as a role that is only a member of `admin`. That role is created
//! or restored when it cannot log in. Its password is generated for each process and each server: foreign code in a
//! server could use that of another one.

use super::{
    admin_role,
    connection::{self, Connection, ConnectionError, unexpected, values},
    context::EngineContext,
    control_secret::derive,
    deadline::within_deadline,
    server,
    sql::{Identifier, Literal},
    statement_error::StatementError,
};
use crate::statement::{Column, QueryOutput, Refused, Statement, StatementOutput};
use ootheca_model::{Error, Result, hex, names::SHELL_USER, sql_name};
use ootheca_pg_protocol::{
    backend::{
        self, COMMAND_COMPLETE, COPY_BOTH_RESPONSE, COPY_IN_RESPONSE, COPY_OUT_RESPONSE, DATA_ROW,
        ERROR_RESPONSE, NOTICE_RESPONSE, PARAMETER_DESCRIPTION, READY_FOR_QUERY, ROW_DESCRIPTION,
    },
    frontend, split_at_zero,
};
use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, Instant},
};
use tokio::{sync::Mutex, time::timeout};

/// The number of concurrent sessions for each server.
const SESSIONS: u32 = 8;
/// How long after its time limit a statement's session is terminated.
const GRACE_PERIOD: Duration = Duration::from_secs(2);
/// The maximum number of notices that are returned.
const NOTICES: usize = 100;
const PREPARED: &str = "s";
const EXPLAIN: &str = "EXPLAIN ";
const EXPLAIN_ANALYZE: &str = "EXPLAIN (ANALYZE, BUFFERS) ";

/// The credentials of the shell.
#[derive(Debug, Default)]
pub(super) struct Shell {
    secret: OnceLock<String>,
    /// Held while the role is created, because concurrent creation would fail.
    role_creation: Mutex<()>,
}

impl Shell {
    /// The password for the server with these sockets.
    pub(super) fn password(&self, sockets: &Path) -> String {
        let secret = self.secret.get_or_init(|| hex::encode(&rand::random::<[u8; 32]>()));
        derive(secret, "console", &sockets.file_name().unwrap_or_default().to_string_lossy())
    }
}

/// Runs a statement on the server whose socket is in `sockets`.
pub(super) async fn run(
    context: &EngineContext,
    sockets: PathBuf,
    statement: &Statement,
) -> Result<QueryOutput> {
    let options = options(statement);
    let mut connection = match enter(context, &sockets, &statement.database, &options).await? {
        Ok(connection) => connection,
        Err(refused) if refused.sqlstate == "53300" => {
            return Err(Error::unavailable("too many statements are running; try again later"));
        }
        Err(refused) => return Ok(Err(refused)),
    };
    let process = connection.process;
    let work = async {
        let ran = run_in_transaction(&mut connection, statement).await;
        if !matches!(ran, Err(ConnectionError::Broken(_))) {
            connection.close().await;
        }
        ran
    };
    match timeout(statement.limits.time + GRACE_PERIOD, work).await {
        Ok(Ok(answer)) => Ok(Ok(answer)),
        Ok(Err(ConnectionError::Refused(refused))) => Ok(Err(refused)),
        Ok(Err(ConnectionError::Broken(error))) => {
            Err(Error::unavailable("the connection to the SQL server was lost; try again").because(error))
        }
        Err(_) => {
            terminate(context, &sockets, process).await;
            let message = "the statement exceeded its time limit, and its session was terminated".to_owned();
            Ok(Err(Refused { sqlstate: "57014".to_owned(), message, ..Refused::default() }))
        }
    }
}

/// Terminates a session that ignores its time limit, for example because a function catches the cancellation.
async fn terminate(context: &EngineContext, sockets: &Path, process: i32) {
    let work = async {
        let client = server::connect(context, sockets, "postgres").await?;
        let query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND usename = $2";
        let ended = client.query(query, &[&process, &SHELL_USER]).await;
        ended.map_err(|error| Error::unavailable("cannot terminate a session").because(error))
    };
    if let Err(error) = within_deadline(work).await {
        tracing::warn!(error = error.chain(), "could not terminate a statement that exceeded its time limit");
    }
}

/// Opens a session as the role of the shell, which is created or restored if it cannot log in. `options` are those of
/// the startup message. `NotFound` if the database does not exist.
pub(super) async fn enter(
    context: &EngineContext,
    sockets: &Path,
    database: &str,
    options: &str,
) -> Result<std::result::Result<Connection, Refused>> {
    let socket = server::socket(sockets);
    let unknown = || Error::not_found(format!("database {database}"));
    let name = sql_name::parse(database).ok_or_else(unknown)?;
    let parameters = [
        ("user", SHELL_USER.as_bytes()),
        ("database", &name),
        ("application_name", b"ootheca console"),
        ("client_encoding", b"UTF8"),
        ("options", options.as_bytes()),
    ];
    let password = context.shell.password(sockets);
    let attempt = || Connection::open(&socket, &parameters, &password);
    let mut opened = attempt().await;
    if matches!(&opened, Err(ConnectionError::Refused(refused)) if is_about_the_role(refused)) {
        within_deadline(create_role(context, sockets)).await?;
        opened = attempt().await;
    }
    match opened {
        Ok(connection) => Ok(Ok(connection)),
        Err(ConnectionError::Broken(error)) => {
            Err(Error::unavailable("cannot connect to the SQL server").because(error))
        }
        Err(ConnectionError::Refused(refused)) => match refused.sqlstate.as_str() {
            "3D000" => Err(unknown()),
            _ => Ok(Err(refused)),
        },
    }
}

/// Settings of the session. They override the settings of roles and databases.
fn options(statement: &Statement) -> String {
    let milliseconds = statement.limits.time.as_millis();
    format!(
        "-c role=admin -c statement_timeout={milliseconds} -c lock_timeout={milliseconds} \
         -c idle_in_transaction_session_timeout={milliseconds} -c standard_conforming_strings=on \
         -c bytea_output=hex"
    )
}

/// Whether the error indicates that the role is missing or was changed.
fn is_about_the_role(refused: &Refused) -> bool {
    refused.sqlstate.starts_with("28") || matches!(refused.sqlstate.as_str(), "42501" | "22023")
}

/// Creates or restores the role that runs statements of tenants.
pub(super) async fn create_role(context: &EngineContext, sockets: &Path) -> Result<()> {
    let _guard = context.shell.role_creation.lock().await;
    let verifier = crate::scram::verifier(&context.shell.password(sockets)).await?;
    let (role, verifier) = (Identifier(SHELL_USER), Literal(&verifier));
    let statements = format!(
        "DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$;\n\
         ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT \
         CONNECTION LIMIT {SESSIONS} PASSWORD {verifier} VALID UNTIL 'infinity';\n\
         ALTER ROLE {role} RESET ALL;\n\
         GRANT admin TO {role};"
    );
    let mut client = server::connect(context, sockets, "postgres").await?;
    admin_role::restore(&mut client).await?;
    let made = client.batch_execute(&statements).await;
    made.map_err(|error| StatementError::from(error).other("create the role of the SQL shell"))
}

/// Runs the statement in a transaction.
async fn run_in_transaction(
    connection: &mut Connection,
    statement: &Statement,
) -> connection::Result<StatementOutput> {
    // The access mode of a transaction cannot be changed after its first query.
    let begin = if statement.write { "BEGIN READ WRITE; SELECT 1" } else { "BEGIN READ ONLY; SELECT 1" };
    connection.simple(begin).await?;
    let (prefix, keep) = match (statement.explain, statement.write) {
        (false, write) => ("", write),
        (true, true) => (EXPLAIN_ANALYZE, false),
        (true, false) => (EXPLAIN, false),
    };
    let shift = |failure| match failure {
        ConnectionError::Refused(refused) => ConnectionError::Refused(without_prefix(refused, prefix)),
        broken => broken,
    };
    let text = format!("{prefix}{}", statement.text);
    let columns = prepare(connection, &text).await.map_err(shift)?;
    let began = Instant::now();
    let mut answer = execute(connection, statement).await.map_err(shift)?;
    if keep {
        connection.simple("COMMIT").await?;
    }
    (answer.elapsed, answer.columns) = (began.elapsed(), columns);
    Ok(answer)
}

/// Converts the position to one in the text without the prefix.
fn without_prefix(refused: Refused, prefix: &str) -> Refused {
    let position = refused.position.and_then(|position| position.checked_sub(prefix.len()));
    Refused { position: position.filter(|position| *position > 0), ..refused }
}

/// Prepares the statement and returns its columns. A prepared statement cannot contain several statements.
async fn prepare(connection: &mut Connection, text: &str) -> connection::Result<Vec<Column>> {
    let mut out = Vec::new();
    frontend::put_parse(&mut out, PREPARED, text)?;
    frontend::put_describe_statement(&mut out, PREPARED)?;
    frontend::put_sync(&mut out);
    connection.send(&out).await?;
    let (mut described, mut refused) = (Vec::new(), None);
    loop {
        let message = connection.next().await?;
        match message.kind {
            ROW_DESCRIPTION => described = columns(&message.body),
            PARAMETER_DESCRIPTION if message.body.get(..2).is_some_and(|count| count != [0, 0]) => {
                refused = refused.or_else(|| Some(has_parameters()));
            }
            ERROR_RESPONSE => refused = Some(message.refusal()),
            READY_FOR_QUERY => break,
            _ => {}
        }
    }
    if let Some(refused) = refused {
        return Err(ConnectionError::Refused(refused));
    }
    name_types(connection, described).await
}

fn has_parameters() -> Refused {
    let message = "the statement has parameters, such as $1, which are not supported";
    Refused { sqlstate: "42P02".to_owned(), message: message.to_owned(), ..Refused::default() }
}

/// The name, type oid, and type modifier of each column.
fn columns(body: &[u8]) -> Vec<(String, u32, i32)> {
    let columns = backend::columns(body);
    columns
        .map(|column| {
            (String::from_utf8_lossy(column.name).into_owned(), column.type_oid, column.type_modifier)
        })
        .collect()
}

/// Looks up the SQL names of the types.
async fn name_types(
    connection: &mut Connection,
    described: Vec<(String, u32, i32)>,
) -> connection::Result<Vec<Column>> {
    if described.is_empty() {
        return Ok(Vec::new());
    }
    let types = described.iter().map(|(_, kind, modifier)| format!("({kind}, {modifier})"));
    let query = format!(
        "SELECT pg_catalog.format_type(k, m) FROM (VALUES {}) AS t (k, m)",
        types.collect::<Vec<_>>().join(", ")
    );
    let named = connection.simple(&query).await?.into_iter().map(|row| row.into_iter().next().flatten());
    let column = |((name, ..), kind): ((String, u32, i32), Option<String>)| Column {
        name,
        kind: kind.unwrap_or_default(),
    };
    Ok(described.into_iter().zip(named).map(column).collect())
}

/// Executes the prepared statement. A read-only statement is stopped once the limits are reached; a writing
/// one always completes.
async fn execute(connection: &mut Connection, statement: &Statement) -> connection::Result<StatementOutput> {
    let limits = statement.limits;
    let max_rows = if statement.write { 0 } else { i32::try_from(limits.rows + 1).unwrap_or(i32::MAX) };
    let mut out = Vec::new();
    frontend::put_bind(&mut out, PREPARED)?;
    frontend::put_execute(&mut out, max_rows.unsigned_abs());
    frontend::put_sync(&mut out);
    connection.send(&out).await?;
    let (mut answer, mut left, mut refused) = (StatementOutput::default(), limits.bytes, None);
    loop {
        let message = connection.next().await?;
        match message.kind {
            DATA_ROW => {
                let fits = answer.rows.len() < limits.rows && message.length <= left && !answer.truncated;
                if fits && !message.is_skipped() {
                    left -= message.length;
                    answer.rows.push(values(&message.body));
                    continue;
                }
                answer.truncated = true;
                if !statement.write {
                    return Ok(answer);
                }
            }
            COMMAND_COMPLETE => {
                answer.tag = String::from_utf8_lossy(split_at_zero(&message.body).0).into_owned()
            }
            NOTICE_RESPONSE if answer.notices.len() < NOTICES => answer.notices.push(notice(&message)),
            ERROR_RESPONSE => refused = refused.or_else(|| Some(message.refusal())),
            READY_FOR_QUERY => {
                return refused.map_or(Ok(answer), |refused| Err(ConnectionError::Refused(refused)));
            }
            COPY_IN_RESPONSE | COPY_OUT_RESPONSE | COPY_BOTH_RESPONSE => {
                return Err(unexpected(message.kind));
            }
            _ => {}
        }
    }
}

fn notice(message: &connection::BackendMessage) -> String {
    let severity = message.field(b'S').unwrap_or_else(|| "NOTICE".to_owned());
    format!("{severity}: {}", message.refusal().message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_refer_to_the_text_without_the_prefix() {
        let at = |position| {
            let refused = Refused { position, ..Refused::default() };
            without_prefix(refused, EXPLAIN).position
        };
        assert_eq!(at(Some(9)), Some(1));
        assert_eq!(at(Some(8)), None);
        assert_eq!(at(None), None);
    }
}
