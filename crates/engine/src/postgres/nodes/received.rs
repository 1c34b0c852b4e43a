//! How far standbys have received and replayed WAL.

use super::{
    timelines::{self, parse_position},
    was_promoted,
};
use crate::{
    Received, WalPosition,
    files::blocking,
    postgres::{
        control_session::ControlSession, instance::Instance, replication::SESSION, server::not_ready,
        shared::Shared, statement_error::StatementError,
    },
};
use futures_util::future::join_all;
use ootheca_model::{ClusterId, Error, Result, node::NodeId};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a standby may take to respond.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The position from which WAL is received is unknown until everything in the data directory was replayed. It is that
/// where a segment begins at first, so what was replayed can be further.
const STATE: &str = "SELECT pg_is_in_recovery(), \
    CASE WHEN pg_last_wal_receive_lsn() IS NOT NULL \
    THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text END, \
    coalesce(pg_last_wal_replay_lsn(), '0/0')::text";

/// How far a standby is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StandbyState {
    pub(super) node: NodeId,
    pub(super) timeline: u32,
    /// The end of the WAL in its data directory, which is durable.
    pub(super) received: WalPosition,
    pub(super) replayed: WalPosition,
}

impl StandbyState {
    fn received(self) -> Received {
        Received { node: self.node, timeline: self.timeline, position: self.received }
    }
}

/// How far each standby has received WAL. A node that was told to become the primary may have begun a timeline that was
/// given up, so it does not count until it has joined again.
pub(in crate::postgres) async fn received(
    shared: &Arc<Shared>,
    cluster: ClusterId,
    epoch: u64,
) -> Result<Vec<Received>> {
    let nodes = shared.nodes(cluster, epoch);
    let standbys: Vec<Arc<Instance>> = nodes.into_iter().filter(|node| !was_promoted(node)).collect();
    Ok(received_by(&standbys).await)
}

/// The same for these nodes.
pub(super) async fn received_by(nodes: &[Arc<Instance>]) -> Vec<Received> {
    let states = join_all(nodes.iter().map(state_of)).await;
    states.into_iter().flatten().map(StandbyState::received).collect()
}

/// How far a node is; `None` if it is no standby, does not respond in time, or has not replayed its WAL yet.
pub(super) async fn state_of(instance: &Arc<Instance>) -> Option<StandbyState> {
    if !instance.is_standby() {
        return None;
    }
    match timeout(RESPONSE_TIMEOUT, read(instance)).await {
        Ok(Ok(state)) => state,
        Ok(Err(error)) => {
            tracing::debug!(instance = instance.id, error = error.chain(), "standby does not respond");
            None
        }
        Err(_) => None,
    }
}

async fn read(instance: &Arc<Instance>) -> Result<Option<StandbyState>> {
    instance.ready_pid().ok_or_else(not_ready)?;
    let before = timeline_of(instance).await?;
    let failed = |error| StatementError::from(error).other("read the position of a standby");
    let (in_recovery, received, replayed) = ControlSession::run(instance, SESSION, async |session| {
        let rows = session.query(STATE, &[], &[]).await.map_err(failed)?;
        let row = rows.first().ok_or_else(unexpected)?;
        let received: Option<String> = row.try_get(1).map_err(failed)?;
        let replayed: String = row.try_get(2).map_err(failed)?;
        Ok((row.try_get::<_, bool>(0).map_err(failed)?, received, replayed))
    })
    .await?;
    let timeline = timeline_of(instance).await?;
    // The position can't be assigned to a timeline that has begun meanwhile.
    let (true, true, Some(received)) = (in_recovery, timeline == before, received) else { return Ok(None) };
    let position = |text: &str| parse_position(text).ok_or_else(unexpected);
    let (received, replayed) = (position(&received)?, position(&replayed)?);
    Ok(Some(StandbyState { node: instance.node(), timeline, received, replayed }))
}

async fn timeline_of(instance: &Instance) -> Result<u32> {
    let data = instance.data();
    blocking(move || Ok(timelines::newest(&data))).await
}

fn unexpected() -> Error {
    Error::internal("the SQL server returned an unexpected position in the WAL")
}
