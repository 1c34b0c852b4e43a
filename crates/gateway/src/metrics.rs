//! Metrics of a gateway since it started.

use ootheca_model::ClusterId;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// Upper bounds of the buckets of a [`Histogram`], in milliseconds.
const BOUNDS: [u64; 14] = [1, 2, 5, 10, 25, 50, 80, 100, 250, 500, 1000, 2500, 5000, 15_000];

/// The distribution of durations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// The number of durations.
    pub count: u64,
    /// The sum of the durations.
    pub sum: Duration,
    /// The upper bounds of the buckets, and their cumulative counts.
    pub buckets: Vec<(Duration, u64)>,
}

/// The usage of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The number of open authenticated sessions.
    pub sessions: u32,
    /// Bytes sent to clients.
    pub sent: u64,
    /// Bytes received from clients.
    pub received: u64,
}

/// The values of all metrics at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Accepted connections.
    pub accepted: u64,
    /// Connections that were rejected with an error before they became a session, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Connections that ended otherwise, by reason.
    pub closed: BTreeMap<&'static str, u64>,
    /// The usage of clusters that have or had sessions.
    pub clusters: BTreeMap<ClusterId, Usage>,
    /// The time from authentication until the cluster's server was ready; near zero unless the cluster was
    /// suspended.
    pub wake: Histogram,
    /// The time from the startup message until the session was ready.
    pub login: Histogram,
    /// Sessions that took a server connection from the pool.
    pub reused: u64,
    /// Forwarded cancel requests.
    pub canceled: u64,
    /// When the certificates expire: `sql` and `authority`.
    pub certificate_expiry: BTreeMap<&'static str, SystemTime>,
}

#[derive(Default)]
struct HistogramCounts {
    count: u64,
    sum: Duration,
    buckets: [u64; BOUNDS.len()],
}

impl HistogramCounts {
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
struct Counters {
    accepted: u64,
    refused: BTreeMap<&'static str, u64>,
    closed: BTreeMap<&'static str, u64>,
    wake: HistogramCounts,
    login: HistogramCounts,
    reused: u64,
    canceled: u64,
}

/// The counters. Locked a few times per connection, and never by the relay.
#[derive(Default)]
pub(crate) struct Metrics(Mutex<Counters>);

impl Metrics {
    pub(crate) fn accepted(&self) {
        self.0.lock().accepted += 1;
    }

    pub(crate) fn refused(&self, kind: &'static str) {
        *self.0.lock().refused.entry(kind).or_default() += 1;
    }

    pub(crate) fn closed(&self, kind: &'static str) {
        *self.0.lock().closed.entry(kind).or_default() += 1;
    }

    pub(crate) fn woke(&self, time: Duration) {
        self.0.lock().wake.add(time);
    }

    pub(crate) fn logged_in(&self, time: Duration, pooled: bool) {
        let mut counters = self.0.lock();
        counters.login.add(time);
        counters.reused += u64::from(pooled);
    }

    pub(crate) fn canceled(&self) {
        self.0.lock().canceled += 1;
    }

    /// The current values, with the usage of clusters.
    pub(crate) fn snapshot(&self, clusters: BTreeMap<ClusterId, Usage>) -> Snapshot {
        let counters = self.0.lock();
        Snapshot {
            accepted: counters.accepted,
            refused: counters.refused.clone(),
            closed: counters.closed.clone(),
            clusters,
            wake: counters.wake.read(),
            login: counters.login.read(),
            reused: counters.reused,
            canceled: counters.canceled,
            certificate_expiry: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_in_buckets() {
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
