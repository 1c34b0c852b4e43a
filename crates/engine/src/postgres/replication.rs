//! Observes which standbys stream from a primary. A hint follows every change.

use super::{
    control_session::{ControlSession, Select},
    deadline::within,
    instance::{Instance, InstanceState},
};
use ootheca_model::{Error, Result, node::NodeId};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_postgres::Row;

/// How often the standbys are observed while all of them stream, and while some don't.
const INTERVAL: Duration = Duration::from_secs(1);
const INCOMPLETE_INTERVAL: Duration = Duration::from_millis(100);
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// The name of a standby is that of its node. Copies have other names.
const READ: &str = "SELECT application_name, \
    greatest(pg_wal_lsn_diff(pg_current_wal_flush_lsn(), flush_lsn), 0)::bigint \
    FROM pg_stat_replication WHERE state = 'streaming'";

/// The session that observes the standbys.
#[derive(Debug, Default)]
pub(super) struct Replication {
    session: ControlSession,
}

impl Replication {
    /// Closes the session.
    pub(super) fn close(&self) {
        self.session.close();
    }
}

/// The session that the engine uses for replication.
pub(super) const SESSION: Select = |instance| &instance.replication.session;

impl Instance {
    /// Observes the standbys of this server as long as it runs, once its cluster has several nodes.
    pub(super) async fn observe_standbys(self: &Arc<Self>) {
        let mut states = self.state.subscribe();
        let has_several = |state: &InstanceState| state.claim.is_some_and(|claim| claim.node.is_some());
        // The sender lives as long as `self`, so this never fails.
        let _ = states.wait_for(has_several).await;
        loop {
            let observed = match self.is_standby() {
                true => Ok(BTreeMap::new()),
                false => within(READ_TIMEOUT, self.read_standbys()).await,
            };
            match observed {
                Ok(streaming) => self.record_streaming(streaming),
                // What was observed before stays true, unless the server is found to hang.
                Err(error) => {
                    tracing::debug!(instance = self.id, error = error.chain(), "could not observe standbys");
                }
            }
            sleep(self.observation_interval()).await;
        }
    }

    fn observation_interval(&self) -> Duration {
        let state = self.state.borrow();
        let nodes = state.plan.as_ref().map_or(0, |plan| plan.nodes.len());
        let is_complete = !state.leads || state.streaming.len() + 1 >= nodes;
        if is_complete { INTERVAL } else { INCOMPLETE_INTERVAL }
    }

    fn record_streaming(&self, streaming: BTreeMap<NodeId, u64>) {
        let changed = self.state.send_if_modified(|state| {
            let changed = !state.streaming.keys().eq(streaming.keys());
            state.streaming = streaming;
            changed
        });
        if changed {
            self.context.hint(self.cluster());
        }
    }

    async fn read_standbys(self: &Arc<Self>) -> Result<BTreeMap<NodeId, u64>> {
        ControlSession::run(self, SESSION, async |session| {
            let rows = session.query(READ, &[], &[]).await.map_err(|error| {
                Error::unavailable("cannot read the state of the standbys").because(error)
            })?;
            Ok(rows.iter().filter_map(standby).collect())
        })
        .await
    }
}

fn standby(row: &Row) -> Option<(NodeId, u64)> {
    let node = row.try_get::<_, &str>(0).ok()?.parse().ok()?;
    let lag = row.try_get::<_, i64>(1).ok()?;
    Some((node, u64::try_from(lag).ok()?))
}
