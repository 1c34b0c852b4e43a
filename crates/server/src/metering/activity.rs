//! The sessions that gateways have reported for each cluster, and their bytes.
//!
//! In memory only: a crash loses what was reported since the last tick. Bytes are counted since the start, and
//! the meter stores how many of them it includes. So it notices if a write whose response was lost took effect.

use crate::ids::fresh_id;
use ootheca_gateway::Activity;
use ootheca_model::{ClusterId, Timestamp, meter::EgressCounter};
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
    /// Whether a session was open at any time since the meter last read this.
    used: bool,
    /// Bytes to and from clients since the start.
    totals: (u64, u64),
    /// The bytes to clients that are metered.
    metered: u64,
}

/// Activity that is not metered yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uncounted {
    /// Whether a session was open at any time.
    pub used: bool,
    /// Bytes to clients.
    pub sent: u64,
    /// What the meter includes once this is metered.
    pub egress: EgressCounter,
}

/// The sessions and bytes of every cluster since the start.
pub struct SessionActivity {
    epoch: String,
    clusters: Mutex<HashMap<ClusterId, ClusterActivity>>,
}

impl Default for SessionActivity {
    fn default() -> Self {
        Self { epoch: fresh_id().to_string(), clusters: Mutex::default() }
    }
}

impl SessionActivity {
    fn lock(&self) -> MutexGuard<'_, HashMap<ClusterId, ClusterActivity>> {
        self.clusters.lock()
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
                cluster.used = true;
            }
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
        clusters.iter().filter(|(_, cluster)| cluster.used).map(|(id, _)| *id).collect()
    }

    /// Returns the activity that is not metered yet. `stored` is what the meter includes. A cluster
    /// without open sessions is no longer in use.
    pub fn take(&self, cluster: ClusterId, stored: Option<&EgressCounter>) -> Uncounted {
        let mut clusters = self.lock();
        let egress = |sent| EgressCounter { epoch: self.epoch.clone(), sent };
        let Some(found) = clusters.get_mut(&cluster) else {
            return Uncounted { egress: egress(0), ..Uncounted::default() };
        };
        if let Some(stored) = stored.filter(|stored| stored.epoch == self.epoch) {
            found.metered = found.metered.max(stored.sent);
        }
        let used = std::mem::replace(&mut found.used, !found.sessions.is_empty());
        let sent = found.totals.0.saturating_sub(found.metered);
        Uncounted { used, sent, egress: egress(found.totals.0) }
    }

    /// Records that activity is metered.
    pub fn metered(&self, cluster: ClusterId, taken: &Uncounted) {
        if let Some(found) = self.lock().get_mut(&cluster) {
            found.metered = found.metered.max(taken.egress.sent);
        }
    }

    /// Puts back activity that could not be metered.
    pub fn give_back(&self, cluster: ClusterId, taken: &Uncounted) {
        self.lock().entry(cluster).or_default().used |= taken.used;
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
        let (activities, one) = (SessionActivity::default(), ClusterId(uuid::Uuid::from_u128(1)));
        let activity =
            |sessions, sent| Activity { cluster: one, sessions, sessions_seen: 1, sent, received: 1 };
        assert_eq!(activities.last_used(one, Timestamp(5)), None);
        activities.note(0, &[activity(2, 10)], Timestamp(10));
        activities.note(7, &[activity(1, 5)], Timestamp(11));
        assert_eq!(activities.sessions(one), 3);
        assert_eq!(activities.last_used(one, Timestamp(20)), Some(Timestamp(20)));
        let taken = activities.take(one, None);
        assert_eq!((taken.used, taken.sent, taken.egress.sent), (true, 15, 15));
        activities.metered(one, &taken);
        activities.note(0, &[], Timestamp(30));
        activities.note(7, &[activity(0, 1)], Timestamp(31));
        assert_eq!(activities.sessions(one), 0);
        assert_eq!(activities.last_used(one, Timestamp(90)), Some(Timestamp(31)));
        assert_eq!(activities.used(), [one]);
        let taken = activities.take(one, None);
        assert_eq!((taken.used, taken.sent), (true, 1));
        assert!(activities.used().is_empty());
        activities.give_back(one, &taken);
        assert_eq!(activities.take(one, None), taken);
        let other = EgressCounter { epoch: "another process".to_owned(), sent: 16 };
        assert_eq!(activities.take(one, Some(&other)).sent, 1);
        assert_eq!(activities.take(one, Some(&taken.egress)).sent, 0, "the meter includes it");
        assert_eq!(activities.totals(one), (16, 3));
    }
}
