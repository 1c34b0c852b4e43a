//! Limits what refused calls of callers without the required role cost the audit log.
//!
//! The first refusal writes an entry. Identical ones, of the same caller, operation, and error, are counted, and
//! become one entry after [`WINDOW`]. The counts are in memory: they are written when the server stops, and lost if
//! it is killed. Each server counts separately.

use crate::{context::Context, ids::fresh_id};
use ootheca_model::{PrincipalId, Result, Timestamp, audit::AuditEntry};
use ootheca_store::Batch;
use parking_lot::Mutex;
use serde_json::json;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{sync::watch, time::sleep};

/// How long identical refusals are counted before they become an entry.
const WINDOW: Duration = Duration::from_secs(60);
/// How often it is checked whether that time has passed.
const INTERVAL: Duration = Duration::from_secs(5);
/// The maximum number of different refusals in memory. Further ones are written like first ones.
const ENTRIES: usize = 4096;

/// A caller, an operation, and the error for the caller.
type Refusal = (PrincipalId, &'static str, String);

/// The refusals of the last minute.
#[derive(Default)]
pub struct Refusals {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    recent: HashMap<Refusal, Repeats>,
    /// Whether the server stops, so that nothing is counted any longer.
    closed: bool,
}

/// The calls that were refused like one that has an entry.
#[derive(Debug, Clone, PartialEq)]
struct Repeats {
    since: Timestamp,
    count: u64,
    /// The entry that the last one would have had.
    last: AuditEntry,
}

impl Refusals {
    /// Returns the entry to write now; `None` if the refusal was counted instead. `entry` contains the error.
    pub fn admit(
        &self,
        caller: PrincipalId,
        operation: &'static str,
        entry: AuditEntry,
    ) -> Option<AuditEntry> {
        let mut state = self.state.lock();
        let refusal = (caller, operation, entry.error.clone().unwrap_or_default());
        if let Some(repeats) = state.recent.get_mut(&refusal) {
            let same_cluster = repeats.last.cluster == entry.cluster;
            repeats.count += 1;
            repeats.last = entry;
            if !same_cluster {
                (repeats.last.cluster, repeats.last.cluster_name) = (None, None);
            }
            return None;
        }
        if !state.closed && state.recent.len() < ENTRIES {
            let repeats = Repeats { since: entry.created_at, count: 0, last: entry.clone() };
            state.recent.insert(refusal, repeats);
        }
        Some(entry)
    }

    /// Removes and returns what was counted long enough, or everything if the server stops.
    fn take(&self, now: Timestamp, close: bool) -> Vec<(Refusal, Repeats)> {
        let mut state = self.state.lock();
        state.closed |= close;
        let due = |_: &Refusal, repeats: &mut Repeats| close || now.since(repeats.since) >= WINDOW;
        state.recent.extract_if(due).filter(|(_, repeats)| repeats.count > 0).collect()
    }

    /// Counts again what could not be written.
    fn put_back(&self, refusal: Refusal, repeats: Repeats) {
        let mut state = self.state.lock();
        state.recent.entry(refusal).and_modify(|known| known.count += repeats.count).or_insert(repeats);
    }

    async fn write(&self, context: &Context, close: bool) {
        for (refusal, repeats) in self.take(context.now(), close) {
            if let Err(error) = write_one(context, &repeats).await {
                tracing::warn!(
                    error = error.chain(),
                    repeated = repeats.count,
                    "repeated refusals not recorded"
                );
                if !close {
                    self.put_back(refusal, repeats);
                }
            }
        }
    }
}

async fn write_one(context: &Context, repeats: &Repeats) -> Result<()> {
    let mut batch = Batch::server("audit");
    batch.audit.push(entry(repeats));
    context.store.commit(batch, context.now()).await.map(drop)
}

/// The entry for all repeats. Their requests can differ, so it only contains their number.
fn entry(Repeats { count, last, .. }: &Repeats) -> AuditEntry {
    let payload = match serde_json::from_str(&last.payload) {
        Ok(serde_json::Value::Object(payload)) => payload.get("operation").cloned().unwrap_or_default(),
        _ => serde_json::Value::Null,
    };
    let payload = json!({ "operation": payload, "repeated": count }).to_string();
    AuditEntry { id: fresh_id(), payload, ..last.clone() }
}

/// Writes entries for repeated refusals until `stop` is true.
pub async fn run(context: Arc<Context>, refusals: Arc<Refusals>, mut stop: watch::Receiver<bool>) {
    let mut moved = context.clock_moved.subscribe();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            _ = moved.changed() => {}
            () = sleep(INTERVAL) => {}
        }
        refusals.write(&context, false).await;
    }
    refusals.write(&context, true).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use ootheca_model::{ClusterId, OrganizationId};
    use uuid::Uuid;

    const ANN: PrincipalId = PrincipalId(Uuid::from_u128(1));
    const BOB: PrincipalId = PrincipalId(Uuid::from_u128(2));
    const MINUTE: i64 = 60_000_000;

    fn refused(at: i64, error: &str, cluster: u128) -> AuditEntry {
        let cluster = ClusterId(Uuid::from_u128(cluster));
        AuditEntry {
            id: Uuid::from_u128(9),
            organization: OrganizationId(Uuid::from_u128(7)),
            created_at: Timestamp(at),
            action: "DELETE_CLUSTER".to_owned(),
            source: "CC_API".to_owned(),
            cluster: Some(cluster),
            cluster_name: Some(cluster.to_string()),
            user_email: None,
            service_account_name: Some("ann".to_owned()),
            session_id: None,
            ip_address: None,
            trace_id: at.to_string(),
            payload: json!({ "operation": "DeleteCluster", "parameters": { "x": "y" } }).to_string(),
            error: Some(error.to_owned()),
        }
    }

    /// Whether an entry is written at once.
    fn is_written(
        refusals: &Refusals,
        caller: PrincipalId,
        operation: &'static str,
        entry: AuditEntry,
    ) -> bool {
        refusals.admit(caller, operation, entry).is_some()
    }

    #[test]
    fn identical_refusals_become_one_entry_after_a_minute() {
        let refusals = Refusals::default();
        assert!(is_written(&refusals, ANN, "DeleteCluster", refused(0, "no", 1)));
        for at in 1..=5 {
            assert!(!is_written(&refusals, ANN, "DeleteCluster", refused(at, "no", 1)));
        }
        assert!(is_written(&refusals, BOB, "DeleteCluster", refused(6, "no", 1)), "another caller");
        assert!(is_written(&refusals, ANN, "UpdateCluster", refused(7, "no", 1)), "another operation");
        assert!(is_written(&refusals, ANN, "DeleteCluster", refused(8, "not found", 1)), "another error");
        assert_eq!(refusals.take(Timestamp(MINUTE - 1), false), []);
        let due = refusals.take(Timestamp(MINUTE + 10), false);
        let [(_, repeats)] = due.as_slice() else { panic!("{due:?}") };
        let entry = entry(repeats);
        assert_eq!(entry.payload, r#"{"operation":"DeleteCluster","repeated":5}"#);
        assert_eq!((entry.trace_id.as_str(), entry.error.as_deref()), ("5", Some("no")));
        assert!(entry.cluster.is_some() && entry.id != Uuid::from_u128(9));
        assert!(is_written(&refusals, ANN, "DeleteCluster", refused(MINUTE + 11, "no", 1)), "counted anew");
        assert!(is_written(&refusals, BOB, "DeleteCluster", refused(MINUTE + 12, "no", 1)));
    }

    #[test]
    fn an_entry_for_several_clusters_names_none() {
        let refusals = Refusals::default();
        for at in 0..3 {
            refusals.admit(ANN, "DeleteCluster", refused(at, "no", u128::from(at.unsigned_abs()) + 1));
        }
        let due = refusals.take(Timestamp(MINUTE), false);
        assert_eq!(entry(&due[0].1).cluster, None);
    }

    #[test]
    fn what_was_not_written_is_counted_again() {
        let refusals = Refusals::default();
        refusals.admit(ANN, "DeleteCluster", refused(0, "no", 1));
        refusals.admit(ANN, "DeleteCluster", refused(1, "no", 1));
        let (refusal, repeats) = refusals.take(Timestamp(MINUTE), false).remove(0);
        refusals.put_back(refusal, repeats);
        assert!(!is_written(&refusals, ANN, "DeleteCluster", refused(2, "no", 1)));
        assert_eq!(refusals.take(Timestamp(MINUTE), false)[0].1.count, 2);
    }

    #[test]
    fn nothing_is_counted_after_the_end_and_the_memory_is_bounded() {
        let refusals = Refusals::default();
        for number in 0..2 * ENTRIES {
            assert!(is_written(&refusals, ANN, "DeleteCluster", refused(0, &number.to_string(), 1)));
        }
        assert_eq!(refusals.state.lock().recent.len(), ENTRIES);
        assert!(is_written(&refusals, ANN, "DeleteCluster", refused(0, &(2 * ENTRIES - 1).to_string(), 1)));
        assert!(!is_written(&refusals, ANN, "DeleteCluster", refused(0, "0", 1)));
        assert_eq!(refusals.take(Timestamp(1), true).len(), 1);
        for _ in 0..2 {
            assert!(is_written(&refusals, ANN, "DeleteCluster", refused(2, "0", 1)));
        }
    }
}
