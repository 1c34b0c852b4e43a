//! One statement of a person who has no session, over a session of its own.
//!
//! It runs as `admin`, which owns what tenants make over the API, and which can do no more than they. The
//! session is not one of the control user in disguise, which a statement could throw off: it logs in as a
//! role that is a member of `admin` and nothing else. That role is made, or made right again, when it can
//! not log in; its password is another one in every process.

use super::{
    admin_role,
    connection::{self, Connection, Failure, unexpected, values},
    host::Host,
    server,
    sql::{Identifier, Literal},
};
use crate::statement::{Answer, Column, Ran, Refused, Statement};
use ootheca_model::{Error, Result, names::SHELL_USER, sql_name};
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

/// Sessions at a time, of all that a server takes.
const SESSIONS: u32 = 8;
/// How much longer than its limit a statement may take before its session is ended by force.
const PATIENCE: Duration = Duration::from_secs(2);
/// Remarks that are kept.
const NOTICES: usize = 100;
/// The name of the prepared statement.
const PREPARED: &str = "s";
const EXPLAIN: &str = "EXPLAIN ";
const EXPLAIN_ANALYZE: &str = "EXPLAIN (ANALYZE, BUFFERS) ";

/// What logs the shell in.
#[derive(Debug, Default)]
pub(super) struct Shell {
    password: OnceLock<String>,
    /// Held while the role is made: two at once would be in each other's way.
    making: Mutex<()>,
}

impl Shell {
    fn password(&self) -> &str {
        use rand::Rng as _;
        self.password.get_or_init(|| {
            let mut bytes = [0u8; 32];
            rand::rng().fill_bytes(&mut bytes);
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        })
    }
}

/// Runs it at the server whose socket is in `sockets`.
pub(super) async fn run(host: &Host, sockets: PathBuf, statement: &Statement) -> Result<Ran> {
    let mut connection = match enter(host, &sockets, statement).await? {
        Ok(connection) => connection,
        Err(refused) => return Ok(Err(refused)),
    };
    let process = connection.process;
    let talk = async {
        let ran = talk(&mut connection, statement).await;
        if !matches!(ran, Err(Failure::Broken(_))) {
            connection.close().await;
        }
        ran
    };
    match timeout(statement.limits.time + PATIENCE, talk).await {
        Ok(Ok(answer)) => Ok(Ok(answer)),
        Ok(Err(Failure::Refused(refused))) => Ok(Err(refused)),
        Ok(Err(Failure::Broken(error))) => {
            Err(Error::unavailable("the SQL server broke off; try again").because(error))
        }
        Err(_) => {
            end(host, &sockets, process).await;
            let message = "the statement did not end in time, and its session was ended".to_owned();
            Ok(Err(Refused { sqlstate: "57014".to_owned(), message, ..Refused::default() }))
        }
    }
}

/// Ends a session that heeds no limit, as functions that catch their cancellation do.
async fn end(host: &Host, sockets: &Path, process: i32) {
    let work = async {
        let client = server::connect(host, sockets, "postgres").await?;
        let query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND usename = $2";
        let ended = client.query(query, &[&process, &SHELL_USER]).await;
        ended.map_err(|error| Error::unavailable("can not end a session").because(error))
    };
    if let Err(error) = work.await {
        tracing::warn!(error = error.chain(), "a statement runs on beyond its limit");
    }
}

async fn enter(
    host: &Host,
    sockets: &Path,
    statement: &Statement,
) -> Result<std::result::Result<Connection, Refused>> {
    let socket = server::socket(sockets);
    let unknown = || Error::not_found(format!("database {}", statement.database));
    let database = sql_name::parse(&statement.database).ok_or_else(unknown)?;
    let options = options(statement);
    let parameters = [
        ("user", SHELL_USER.as_bytes()),
        ("database", &database),
        ("application_name", b"ootheca console"),
        ("client_encoding", b"UTF8"),
        ("options", options.as_bytes()),
    ];
    let attempt = || Connection::open(&socket, &parameters, host.shell.password());
    let mut opened = attempt().await;
    if matches!(&opened, Err(Failure::Refused(refused)) if is_about_the_role(refused)) {
        make_role(host, sockets).await?;
        opened = attempt().await;
    }
    match opened {
        Ok(connection) => Ok(Ok(connection)),
        Err(Failure::Broken(error)) => {
            Err(Error::unavailable("can not connect to the SQL server").because(error))
        }
        Err(Failure::Refused(refused)) => match refused.sqlstate.as_str() {
            "3D000" => Err(unknown()),
            "53300" => Err(Error::unavailable("too many statements run at this moment; try again")),
            _ => Ok(Err(refused)),
        },
    }
}

/// Settings of the session. They win over what somebody has set for a role or a database.
fn options(statement: &Statement) -> String {
    let milliseconds = statement.limits.time.as_millis();
    format!(
        "-c role=admin -c statement_timeout={milliseconds} -c lock_timeout={milliseconds} \
         -c idle_in_transaction_session_timeout={milliseconds} -c standard_conforming_strings=on \
         -c bytea_output=hex"
    )
}

/// Whether the role is missing, or not as it was made.
fn is_about_the_role(refused: &Refused) -> bool {
    refused.sqlstate.starts_with("28") || matches!(refused.sqlstate.as_str(), "42501" | "22023")
}

async fn make_role(host: &Host, sockets: &Path) -> Result<()> {
    let _turn = host.shell.making.lock().await;
    let verifier = crate::scram::verifier(host.shell.password()).await?;
    let (role, verifier) = (Identifier(SHELL_USER), Literal(&verifier));
    let statements = format!(
        "DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$;\n\
         ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT \
         CONNECTION LIMIT {SESSIONS} PASSWORD {verifier} VALID UNTIL 'infinity';\n\
         ALTER ROLE {role} RESET ALL;\n\
         GRANT admin TO {role};"
    );
    let mut client = server::connect(host, sockets, "postgres").await?;
    admin_role::mend(&mut client).await?;
    let made = client.batch_execute(&statements).await;
    made.map_err(|error| Error::internal("can not make the role of the shell").because(error))
}

/// Begins, runs, and ends the transaction.
async fn talk(connection: &mut Connection, statement: &Statement) -> connection::Result<Answer> {
    // The first query fixes whether the transaction may write: no statement can change that later.
    let begin = if statement.write { "BEGIN READ WRITE; SELECT 1" } else { "BEGIN READ ONLY; SELECT 1" };
    connection.simple(begin).await?;
    let (prefix, keep) = match (statement.explain, statement.write) {
        (false, write) => ("", write),
        (true, true) => (EXPLAIN_ANALYZE, false),
        (true, false) => (EXPLAIN, false),
    };
    let shift = |failure| match failure {
        Failure::Refused(refused) => Failure::Refused(without_prefix(refused, prefix)),
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

/// Positions count in the text as it was given.
fn without_prefix(refused: Refused, prefix: &str) -> Refused {
    let position = refused.position.and_then(|position| position.checked_sub(prefix.len()));
    Refused { position: position.filter(|position| *position > 0), ..refused }
}

/// Has the server read the statement: it takes one here, never several. Its columns.
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
        return Err(Failure::Refused(refused));
    }
    name_types(connection, described).await
}

fn has_parameters() -> Refused {
    let message = "the statement has parameters, such as $1, and there is nothing to put in their place";
    Refused { sqlstate: "42P02".to_owned(), message: message.to_owned(), ..Refused::default() }
}

/// Name, type and modifier of each column.
fn columns(body: &[u8]) -> Vec<(String, u32, i32)> {
    let columns = backend::columns(body);
    columns
        .map(|column| {
            (String::from_utf8_lossy(column.name).into_owned(), column.type_oid, column.type_modifier)
        })
        .collect()
}

/// Types as SQL writes them.
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

/// Runs what is prepared. What only reads is stopped once enough is there; what writes runs to its end.
async fn execute(connection: &mut Connection, statement: &Statement) -> connection::Result<Answer> {
    let limits = statement.limits;
    let max_rows = if statement.write { 0 } else { i32::try_from(limits.rows + 1).unwrap_or(i32::MAX) };
    let mut out = Vec::new();
    frontend::put_bind(&mut out, PREPARED)?;
    frontend::put_execute(&mut out, max_rows.unsigned_abs());
    frontend::put_sync(&mut out);
    connection.send(&out).await?;
    let (mut answer, mut left, mut refused) = (Answer::default(), limits.bytes, None);
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
            READY_FOR_QUERY => return refused.map_or(Ok(answer), |refused| Err(Failure::Refused(refused))),
            COPY_IN_RESPONSE | COPY_OUT_RESPONSE | COPY_BOTH_RESPONSE => {
                return Err(unexpected(message.kind));
            }
            _ => {}
        }
    }
}

fn notice(message: &connection::Message) -> String {
    let severity = message.field(b'S').unwrap_or_else(|| "NOTICE".to_owned());
    format!("{severity}: {}", message.refusal().message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_one_of_the_given_text() {
        let at = |position| {
            let refused = Refused { position, ..Refused::default() };
            without_prefix(refused, EXPLAIN).position
        };
        assert_eq!(at(Some(9)), Some(1));
        assert_eq!(at(Some(8)), None);
        assert_eq!(at(None), None);
    }
}
