//! Runs the SQL that changes restored data before it serves, for example to remove personal data.
//!
//! It runs with the role of the SQL shell, and has no other rights than a statement of the shell: never as the control
//! user, whose role a statement could take on again. The caller stops the server if it fails.

use super::{
    connection::{self, Connection, ConnectionError, unexpected},
    context::EngineContext,
    deadline::{CHECKPOINT_TIMEOUT, within},
    server::{self, SET_CHECKPOINT_STATEMENT_TIMEOUT},
    shell,
    statement_error::StatementError,
};
use crate::{files::disk_space, statement::Refused};
use ootheca_model::{Error, ErrorKind, Result, backup::MaskingScript};
use ootheca_pg_protocol::{
    backend::{COPY_BOTH_RESPONSE, COPY_IN_RESPONSE, ERROR_RESPONSE, READY_FOR_QUERY},
    frontend,
};
use std::{path::Path, time::Duration};
use tokio::time::{sleep, timeout};

/// The settings of the session. They override those of roles and databases.
const OPTIONS: &str = "-c role=admin -c default_transaction_read_only=off -c statement_timeout=0 \
                       -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 \
                       -c standard_conforming_strings=on";
/// How often the free space of the disk is checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// The transaction status of a session without a transaction.
const IDLE: u8 = b'I';

/// Runs the script on the server whose sockets are in `sockets`. `Precondition` if it fails or exceeds its time limit.
pub(super) async fn run(context: &EngineContext, sockets: &Path, script: &MaskingScript) -> Result<()> {
    let entered = shell::enter(context, sockets, &script.database, OPTIONS).await;
    let entered = entered.map_err(|error| match error.kind() {
        ErrorKind::NotFound => missing_database(&script.database),
        _ => error,
    });
    let mut connection = entered?.map_err(|refused| failed(&refused))?;
    let limit = context.settings.masking_timeout;
    // At the limit the caller stops the server, which ends whatever still runs.
    let ran = tokio::select! {
        ran = timeout(limit, execute(&mut connection, &script.text)) => ran,
        () = disk_is_full(context) => {
            return Err(Error::precondition("masking_sql: the disk of the server is full"));
        }
    };
    match ran.map_err(|late| exceeded(limit.as_secs()).because(late))? {
        Ok(()) => connection.close().await,
        Err(ConnectionError::Refused(refused)) => return Err(failed(&refused)),
        Err(ConnectionError::Broken(error)) => {
            let message = "the connection to the SQL server was lost while masking_sql ran";
            return Err(Error::unavailable(message).because(error));
        }
    }
    within(CHECKPOINT_TIMEOUT, checkpoint(context, sockets)).await
}

/// Writes what has changed, which can take longer than a server has to stop.
async fn checkpoint(context: &EngineContext, sockets: &Path) -> Result<()> {
    let failed = |error| StatementError::from(error).other("write the changes of masking_sql");
    let control = server::connect(context, sockets, "postgres").await?;
    control.batch_execute(SET_CHECKPOINT_STATEMENT_TIMEOUT).await.map_err(failed)?;
    control.batch_execute("CHECKPOINT").await.map_err(failed)
}

/// Waits until less than the reserve of the disk is free.
async fn disk_is_full(context: &EngineContext) {
    let reserve = context.settings.disk_reserve_bytes;
    while disk_space(&context.instances()).is_none_or(|space| space.free_bytes >= reserve) {
        sleep(CHECK_INTERVAL).await;
    }
}

/// Runs the whole text as one query. Its results are not of interest.
async fn execute(connection: &mut Connection, text: &str) -> connection::Result<()> {
    let mut query = Vec::new();
    frontend::put_query(&mut query, text)?;
    connection.send(&query).await?;
    let mut refused: Option<Refused> = None;
    loop {
        let message = match connection.next().await {
            Ok(message) => message,
            // A server that ends the session reports the reason first.
            Err(error) => return Err(refused.map_or(error, ConnectionError::Refused)),
        };
        match message.kind {
            ERROR_RESPONSE => refused = refused.or_else(|| Some(message.refusal())),
            READY_FOR_QUERY => {
                let is_open = message.body.first() != Some(&IDLE);
                let refused = refused.or_else(|| is_open.then(transaction_open));
                return refused.map_or(Ok(()), |refused| Err(ConnectionError::Refused(refused)));
            }
            COPY_IN_RESPONSE => return Err(ConnectionError::Refused(no_input())),
            COPY_BOTH_RESPONSE => return Err(unexpected(message.kind)),
            _ => {}
        }
    }
}

/// Its changes would be lost without an error.
fn transaction_open() -> Refused {
    refused("25001", "the text begins a transaction and does not end it")
}

fn no_input() -> Refused {
    refused("0A000", "COPY FROM STDIN is not supported")
}

fn refused(sqlstate: &str, message: &str) -> Refused {
    Refused { sqlstate: sqlstate.to_owned(), message: message.to_owned(), ..Refused::default() }
}

fn failed(refused: &Refused) -> Error {
    Error::precondition(format!("masking_sql: {} (SQLSTATE {})", refused.message, refused.sqlstate))
}

fn exceeded(seconds: u64) -> Error {
    Error::precondition(format!("masking_sql: it exceeded its time limit of {seconds} seconds"))
}

fn missing_database(name: &str) -> Error {
    Error::precondition(format!("masking_database: the data contains no database {name}"))
}
