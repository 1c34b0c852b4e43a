//! The sessions that gateways have reported for each cluster, and the bytes that are not metered yet.
//!
//! In memory only: a crash loses what was reported since the last tick.

use ootheca_gateway::Activity;
use ootheca_model::{ClusterId, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;

/// Identifies a gateway: 0 is the one in this process.
pub type Source = u64;

#[derive(Default)]
struct ClusterActivity {
    /// Open sessions by gateway.
    sessions: HashMap<Source, u32>,
    /// When a session was last seen.
    seen_at: Timestamp,
    /// The activity since the meter last read it.
    uncounted: Uncounted,
    /// Bytes to and from clients since the start.
    totals: (u64, u64),
}

/// Activity that is not metered yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uncounted {
    /// Whether a session was open at any time.
    pub used: bool,
    /// Bytes to clients.
    pub sent: u64,
    /// Bytes from clients.
    pub received: u64,
}

/// The traffic of every cluster since the start.
#[derive(Default)]
pub struct SessionActivity(Mutex<HashMap<ClusterId, ClusterActivity>>);

impl SessionActivity {
    fn lock(&self) -> MutexGuard<'_, HashMap<ClusterId, ClusterActivity>> {
        self.0.lock()
    }

    /// Processes the report of a gateway. Clusters that are not in it have no sessions at that gateway.
    pub fn note(&self, source: Source, activities: &[Activity], now: Timestamp) {
        let mut clusters = self.lock();
        for cluster in clusters.values_mut() {
            if cluster.sessions.remove(&source).is_some() {
                cluster.seen_at = now;
            }
        }
        for activity in activities {
            let cluster = clusters.entry(activity.cluster).or_default();
            if activity.sessions > 0 {
                cluster.sessions.insert(source, activity.sessions);
            }
            if activity.sessions_seen > 0 {
                cluster.seen_at = now;
                cluster.uncounted.used = true;
            }
            cluster.uncounted.sent += activity.sent;
            cluster.uncounted.received += activity.received;
            cluster.totals.0 += activity.sent;
            cluster.totals.1 += activity.received;
        }
    }

    /// The number of open sessions of a cluster.
    pub fn sessions(&self, cluster: ClusterId) -> u32 {
        self.lock().get(&cluster).map_or(0, |cluster| cluster.sessions.values().sum())
    }

    /// Bytes to and from clients of a cluster since the start.
    pub fn totals(&self, cluster: ClusterId) -> (u64, u64) {
        self.lock().get(&cluster).map(|cluster| cluster.totals).unwrap_or_default()
    }

    /// When a session was last seen; `now` while one is open, `None` if there was none since the start.
    pub fn last_used(&self, cluster: ClusterId, now: Timestamp) -> Option<Timestamp> {
        let clusters = self.lock();
        let found = clusters.get(&cluster)?;
        Some(if found.sessions.is_empty() { found.seen_at } else { now })
    }

    /// Clusters that were used since the meter last read their activity.
    pub fn used(&self) -> Vec<ClusterId> {
        let clusters = self.lock();
        clusters.iter().filter(|(_, cluster)| cluster.uncounted.used).map(|(id, _)| *id).collect()
    }

    /// Removes and returns the activity that is not metered yet. A cluster with open sessions stays in use.
    pub fn take(&self, cluster: ClusterId) -> Uncounted {
        let mut clusters = self.lock();
        let Some(found) = clusters.get_mut(&cluster) else { return Uncounted::default() };
        let next = Uncounted { used: !found.sessions.is_empty(), ..Uncounted::default() };
        std::mem::replace(&mut found.uncounted, next)
    }

    /// Puts back activity that could not be recorded.
    pub fn give_back(&self, cluster: ClusterId, uncounted: Uncounted) {
        let mut clusters = self.lock();
        let found = &mut clusters.entry(cluster).or_default().uncounted;
        found.used |= uncounted.used;
        found.sent += uncounted.sent;
        found.received += uncounted.received;
    }

    /// Removes a cluster.
    pub fn forget(&self, cluster: ClusterId) {
        self.lock().remove(&cluster);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_bytes_and_idleness() {
        let (traffic, one) = (SessionActivity::default(), ClusterId(uuid::Uuid::from_u128(1)));
        let activity =
            |sessions, sent| Activity { cluster: one, sessions, sessions_seen: 1, sent, received: 1 };
        assert_eq!(traffic.last_used(one, Timestamp(5)), None);
        traffic.note(0, &[activity(2, 10)], Timestamp(10));
        traffic.note(7, &[activity(1, 5)], Timestamp(11));
        assert_eq!(traffic.sessions(one), 3);
        assert_eq!(traffic.last_used(one, Timestamp(20)), Some(Timestamp(20)));
        assert_eq!(traffic.take(one), Uncounted { used: true, sent: 15, received: 2 });
        traffic.note(0, &[], Timestamp(30));
        traffic.note(7, &[activity(0, 1)], Timestamp(31));
        assert_eq!(traffic.sessions(one), 0);
        assert_eq!(traffic.last_used(one, Timestamp(90)), Some(Timestamp(31)));
        assert_eq!(traffic.used(), [one]);
        let taken = traffic.take(one);
        assert_eq!(taken, Uncounted { used: true, sent: 1, received: 1 });
        assert!(traffic.used().is_empty());
        traffic.give_back(one, taken);
        assert_eq!(traffic.take(one), taken);
    }
}
