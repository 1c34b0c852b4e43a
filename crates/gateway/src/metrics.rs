//! What a gateway has done since it started, in numbers.

use ootheca_model::ClusterId;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Upper bounds of the buckets of a [`Histogram`], in milliseconds.
const BOUNDS: [u64; 14] = [1, 2, 5, 10, 25, 50, 80, 100, 250, 500, 1000, 2500, 5000, 15_000];

/// How long something took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How often.
    pub count: u64,
    /// In all.
    pub sum: Duration,
    /// How often it took at most so long; each counts those before it, too.
    pub buckets: Vec<(Duration, u64)>,
}

/// What a cluster was used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Authenticated sessions that are open now.
    pub sessions: u32,
    /// Bytes to clients.
    pub sent: u64,
    /// Bytes from clients.
    pub received: u64,
}

/// The numbers at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Accepted connections.
    pub accepted: u64,
    /// Those that got an error before they were a session, by kind.
    pub refused: BTreeMap<&'static str, u64>,
    /// Those that ended otherwise, by kind.
    pub closed: BTreeMap<&'static str, u64>,
    /// Clusters that had sessions.
    pub clusters: BTreeMap<ClusterId, Usage>,
    /// From a proof until the cluster's server was there: near zero unless it was suspended.
    pub wake: Histogram,
    /// From a startup message until its session was ready.
    pub login: Histogram,
    /// Sessions that got a server connection that another one had left.
    pub reused: u64,
    /// Cancel requests that were passed on.
    pub canceled: u64,
}

#[derive(Default)]
struct Times {
    count: u64,
    sum: Duration,
    buckets: [u64; BOUNDS.len()],
}

impl Times {
    fn add(&mut self, time: Duration) {
        self.count += 1;
        self.sum += time;
        for (bound, bucket) in BOUNDS.iter().zip(&mut self.buckets) {
            *bucket += u64::from(time <= Duration::from_millis(*bound));
        }
    }

    fn read(&self) -> Histogram {
        let buckets = BOUNDS.iter().map(|bound| Duration::from_millis(*bound)).zip(self.buckets).collect();
        Histogram { count: self.count, sum: self.sum, buckets }
    }
}

#[derive(Default)]
struct Numbers {
    accepted: u64,
    refused: BTreeMap<&'static str, u64>,
    closed: BTreeMap<&'static str, u64>,
    wake: Times,
    login: Times,
    reused: u64,
    canceled: u64,
}

/// Counts. Taken a few times a connection, never while it is copied.
#[derive(Default)]
pub(crate) struct Metrics(Mutex<Numbers>);

impl Metrics {
    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn accepted(&self) {
        self.lock().accepted += 1;
    }

    pub(crate) fn refused(&self, kind: &'static str) {
        *self.lock().refused.entry(kind).or_default() += 1;
    }

    pub(crate) fn closed(&self, kind: &'static str) {
        *self.lock().closed.entry(kind).or_default() += 1;
    }

    pub(crate) fn woke(&self, time: Duration) {
        self.lock().wake.add(time);
    }

    pub(crate) fn logged_in(&self, time: Duration, reused: bool) {
        let mut numbers = self.lock();
        numbers.login.add(time);
        numbers.reused += u64::from(reused);
    }

    pub(crate) fn canceled(&self) {
        self.lock().canceled += 1;
    }

    /// The numbers now, with what is known of the clusters.
    pub(crate) fn snapshot(&self, clusters: BTreeMap<ClusterId, Usage>) -> Snapshot {
        let numbers = self.lock();
        Snapshot {
            accepted: numbers.accepted,
            refused: numbers.refused.clone(),
            closed: numbers.closed.clone(),
            clusters,
            wake: numbers.wake.read(),
            login: numbers.login.read(),
            reused: numbers.reused,
            canceled: numbers.canceled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_buckets() {
        let metrics = Metrics::default();
        for time in [1, 60, 70, 60_000] {
            metrics.woke(Duration::from_millis(time));
        }
        let wake = metrics.snapshot(BTreeMap::new()).wake;
        assert_eq!((wake.count, wake.sum), (4, Duration::from_millis(60_131)));
        let upto = |bound| wake.buckets.iter().find(|(at, _)| *at == Duration::from_millis(bound));
        assert_eq!(
            [1, 50, 80, 15_000].map(|bound| upto(bound).map(|(_, count)| *count)),
            [1, 1, 3, 3].map(Some)
        );
    }
}
