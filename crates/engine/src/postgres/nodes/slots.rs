//! Replication slots: each keeps the WAL that a standby has not received yet, up to a limit.

use crate::postgres::{
    control_session::ControlSession, deadline::within_deadline, instance::Instance, replication::SESSION,
    statement_error::StatementError,
};
use ootheca_model::{Error, Result, node::NodeId};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tokio_postgres::types::Type;

const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How long a primary may take to notice that a standby is gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// A slot that has exceeded the limit is of no use any more.
const DROP_LOST: &str = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
    WHERE slot_name::text = ANY ($1) AND wal_status = 'lost' AND NOT active";
const DROP: &str = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
    WHERE slot_name::text = ANY ($1) AND NOT active";
const FIND: &str = "SELECT slot_name::text FROM pg_replication_slots WHERE slot_name::text = ANY ($1)";
const CREATE: &str = "SELECT pg_create_physical_replication_slot(standby::name, true) \
    FROM unnest($1) AS wanted (standby) \
    WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = standby::name)";

/// Creates the slots of these standbys that do not exist. The server can be a standby.
pub(in crate::postgres) async fn ensure(instance: &Arc<Instance>, standbys: &[NodeId]) -> Result<()> {
    run(instance, &[DROP_LOST, CREATE], standbys, "create a replication slot").await.map(drop)
}

/// Removes the slot of a standby whose server does not run.
pub(super) async fn remove(instance: &Arc<Instance>, standby: NodeId) -> Result<()> {
    let begun = Instant::now();
    loop {
        run(instance, &[DROP], &[standby], "remove a replication slot").await?;
        let is_left = run(instance, &[FIND], &[standby], "find a replication slot").await?;
        // The primary notices only after a moment that the standby is gone.
        match is_left {
            true if begun.elapsed() < PATIENCE => sleep(POLL_INTERVAL).await,
            true => return Err(Error::unavailable("the replication slot is still in use")),
            false => return Ok(()),
        }
    }
}

/// Returns whether the last statement had a result.
async fn run(
    instance: &Arc<Instance>,
    statements: &[&'static str],
    standbys: &[NodeId],
    what: &str,
) -> Result<bool> {
    let names: Vec<String> = standbys.iter().map(NodeId::to_string).collect();
    let work = ControlSession::run(instance, SESSION, async |session| {
        let mut has_result = false;
        for &statement in statements {
            let done = session.query(statement, &[Type::TEXT_ARRAY], &[&names]).await;
            has_result = !done.map_err(|error| StatementError::from(error).other(what))?.is_empty();
        }
        Ok(has_result)
    });
    within_deadline(work).await
}
