//! Quorum commit: which standbys must confirm a commit before it is acknowledged.

use super::{
    ready_primary,
    settings::{NodeSettings, synchronous_standby_names},
};
use crate::postgres::{
    control_session::{ControlSession, OpenSession},
    deadline::within_deadline,
    instance::Instance,
    replication::SESSION,
    shared::Shared,
    statement_error::StatementError,
};
use ootheca_durable::failpoint;
use ootheca_model::{
    Error, Result,
    instance::InstancePlan,
    names::REPLICATION_USER,
    node::{NodeId, Quorum},
};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tokio_postgres::{Row, types::Type};

const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// How long a call waits, so that a quorum whose standbys stream is usually applied by one call.
const PATIENCE: Duration = Duration::from_millis(300);

const SETTING: &str = "SELECT current_setting('synchronous_standby_names'), pg_current_wal_flush_lsn()::text";
/// The priority is what each sending process has made of the setting, so it shows whether all of them have applied it.
const STANDBYS: &str = "SELECT application_name, sync_priority > 0, \
    coalesce(state = 'streaming' AND flush_lsn >= $1::pg_lsn, false) \
    FROM pg_stat_replication WHERE usename = $2";

/// Applies the quorum of the plan to the primary. Returns whether it is in force, and enough of its standbys have
/// flushed what was written before.
pub(in crate::postgres) async fn apply_quorum(shared: &Arc<Shared>, plan: &InstancePlan) -> Result<bool> {
    let primary = ready_primary(shared, plan)?;
    primary.record(plan).await?;
    if NodeSettings::of_primary(plan.quorum.as_ref()).apply(&primary).await? {
        failpoint::reach("quorum applied");
    }
    let begun = Instant::now();
    let mut barrier = None;
    loop {
        let is_confirmed = is_confirmed(&primary, plan.quorum.as_ref(), &mut barrier);
        if within_deadline(is_confirmed).await? {
            return Ok(true);
        }
        if begun.elapsed() >= PATIENCE {
            return Ok(false);
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Waits until a server that is not the primary yet has the setting, so that it acknowledges no commit without the
/// quorum.
pub(super) async fn wait_for_setting(instance: &Arc<Instance>, quorum: Option<&Quorum>) -> Result<()> {
    let expected = quorum.map(synchronous_standby_names).unwrap_or_default();
    let begun = Instant::now();
    loop {
        let present = ControlSession::run(instance, SESSION, async |session| {
            let rows = session.query("SHOW synchronous_standby_names", &[], &[]).await.map_err(failed)?;
            rows.first().ok_or_else(unexpected)?.try_get::<_, String>(0).map_err(failed)
        });
        if within_deadline(present).await? == expected {
            return Ok(());
        }
        if begun.elapsed() >= PATIENCE {
            return Err(Error::unavailable("the SQL server does not apply its settings"));
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Whether the quorum is in force and has confirmed. `barrier` is the position in the WAL at the time when it was first
/// seen to be in force: what was acknowledged under another quorum comes before that.
async fn is_confirmed(
    primary: &Arc<Instance>,
    quorum: Option<&Quorum>,
    barrier: &mut Option<String>,
) -> Result<bool> {
    let expected = quorum.map(synchronous_standby_names).unwrap_or_default();
    ControlSession::run(primary, SESSION, async |session| {
        let rows = session.query(SETTING, &[], &[]).await.map_err(failed)?;
        let row = rows.first().ok_or_else(unexpected)?;
        let (setting, position): (String, String) =
            (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        let limit = barrier.clone().unwrap_or_else(|| position.clone());
        let standbys = standbys(session, &limit).await?;
        if setting != expected || !standbys.iter().all(|standby| standby.has_applied(quorum)) {
            *barrier = None;
            return Ok(false);
        }
        // Only what the sending processes confirm from now on follows the new setting.
        let is_first = barrier.is_none();
        *barrier = Some(limit);
        Ok(!is_first && has_confirmed(quorum, &standbys))
    })
    .await
}

fn has_confirmed(quorum: Option<&Quorum>, standbys: &[Standby]) -> bool {
    let Some(quorum) = quorum else { return true };
    let confirmed = standbys.iter().filter(|standby| standby.has_flushed).map(|standby| standby.node);
    let confirmed: BTreeSet<NodeId> = confirmed.filter(|node| quorum.standbys.contains(node)).collect();
    u32::try_from(confirmed.len()).is_ok_and(|confirmed| confirmed >= quorum.confirmations)
}

/// A connection of a standby.
struct Standby {
    node: NodeId,
    /// Whether its confirmations count.
    counts: bool,
    has_flushed: bool,
}

impl Standby {
    fn has_applied(&self, quorum: Option<&Quorum>) -> bool {
        self.counts == quorum.is_some_and(|quorum| quorum.standbys.contains(&self.node))
    }
}

async fn standbys(session: &mut OpenSession, limit: &str) -> Result<Vec<Standby>> {
    let types = [Type::TEXT, Type::TEXT];
    let rows = session.query(STANDBYS, &types, &[&limit, &REPLICATION_USER]).await.map_err(failed)?;
    Ok(rows.iter().filter_map(standby).collect())
}

fn standby(row: &Row) -> Option<Standby> {
    let node = row.try_get::<_, &str>(0).ok()?.parse().ok()?;
    Some(Standby { node, counts: row.try_get(1).ok()?, has_flushed: row.try_get(2).ok()? })
}

fn failed(error: tokio_postgres::Error) -> Error {
    StatementError::from(error).other("apply a quorum")
}

fn unexpected() -> Error {
    Error::internal("the SQL server returned no settings")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_standbys_of_the_quorum_must_have_flushed() {
        let quorum = Quorum { standbys: vec![NodeId(2), NodeId(3), NodeId(4)], confirmations: 2 };
        let standby = |node, has_flushed| Standby { node: NodeId(node), counts: true, has_flushed };
        let confirmed = |standbys: &[Standby]| has_confirmed(Some(&quorum), standbys);
        assert!(confirmed(&[standby(2, true), standby(4, true)]));
        assert!(!confirmed(&[standby(2, true), standby(2, true)]), "an old connection of the same node");
        assert!(!confirmed(&[standby(2, true), standby(3, false)]));
        assert!(!confirmed(&[standby(2, true), standby(5, true)]), "not of the quorum");
        assert!(has_confirmed(None, &[]));
    }

    #[test]
    fn sending_processes_that_have_not_applied_the_quorum_are_noticed() {
        let quorum = Quorum { standbys: vec![NodeId(2)], confirmations: 1 };
        let applied = |node, counts| {
            Standby { node: NodeId(node), counts, has_flushed: true }.has_applied(Some(&quorum))
        };
        assert!(applied(2, true) && applied(3, false));
        assert!(!applied(2, false) && !applied(3, true));
    }
}
