//! Since when standbys do not stream, and how often the reconciler tried to change that.

use crate::lifecycle::backoff;
use ootheca_model::{ClusterId, node::NodeId};
use parking_lot::Mutex;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// How long a standby that runs may do without a stream, and the longest time between two attempts to let it rejoin.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// The standbys that do not stream.
#[derive(Default)]
pub struct StandbyTracker {
    absent: Mutex<BTreeMap<(ClusterId, NodeId), Absence>>,
}

/// A time in which a standby does not stream.
struct Absence {
    /// When it was noticed, or the last attempt began.
    since: Instant,
    attempts: u32,
}

impl StandbyTracker {
    /// How long to wait before a standby that does not stream should rejoin. One that does not run has nothing to wait
    /// for, until an attempt fails.
    pub(crate) fn wait(&self, cluster: ClusterId, node: NodeId, runs: bool) -> Duration {
        let mut absent = self.absent.lock();
        let noticed = || Absence { since: Instant::now(), attempts: 0 };
        let absence = absent.entry((cluster, node)).or_insert_with(noticed);
        if absence.attempts == 0 && !runs {
            return Duration::ZERO;
        }
        let pause = backoff::pause(absence.attempts.saturating_add(1), FIRST, LONGEST);
        pause.saturating_sub(absence.since.elapsed())
    }

    /// Notes an attempt to let a standby rejoin.
    pub(crate) fn attempted(&self, cluster: ClusterId, node: NodeId) {
        let mut absent = self.absent.lock();
        let attempts = absent.get(&(cluster, node)).map_or(0, |absence| absence.attempts);
        let absence = Absence { since: Instant::now(), attempts: attempts.saturating_add(1) };
        absent.insert((cluster, node), absence);
    }

    /// Notes that a node streams, is the primary, or is removed.
    pub(crate) fn forget(&self, cluster: ClusterId, node: NodeId) {
        self.absent.lock().remove(&(cluster, node));
    }

    /// Forgets all nodes of a cluster, because it has another primary or is deleted.
    pub(crate) fn forget_all(&self, cluster: ClusterId) {
        self.absent.lock().retain(|(known, _), _| *known != cluster);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const CLUSTER: ClusterId = ClusterId(Uuid::nil());

    #[tokio::test(start_paused = true)]
    async fn a_standby_that_does_not_run_rejoins_at_once_and_then_less_and_less_often() {
        let tracker = StandbyTracker::default();
        assert_eq!(tracker.wait(CLUSTER, NodeId(2), false), Duration::ZERO);
        for seconds in [2, 4, 8, 16, 30, 30] {
            tracker.attempted(CLUSTER, NodeId(2));
            assert_eq!(tracker.wait(CLUSTER, NodeId(2), false), Duration::from_secs(seconds));
        }
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(tracker.wait(CLUSTER, NodeId(2), false), Duration::ZERO);
        tracker.forget(CLUSTER, NodeId(2));
        assert_eq!(tracker.wait(CLUSTER, NodeId(2), false), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_standby_that_runs_has_a_second_to_stream_again() {
        let tracker = StandbyTracker::default();
        assert_eq!(tracker.wait(CLUSTER, NodeId(3), true), Duration::from_secs(1));
        tokio::time::advance(Duration::from_millis(600)).await;
        assert_eq!(tracker.wait(CLUSTER, NodeId(3), true), Duration::from_millis(400));
        tracker.forget_all(CLUSTER);
        assert_eq!(tracker.wait(CLUSTER, NodeId(3), true), Duration::from_secs(1));
    }
}
