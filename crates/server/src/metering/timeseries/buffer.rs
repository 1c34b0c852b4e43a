//! The recent samples of each cluster in memory: the usage that was recorded since the last sample, and the
//! samples that are not written yet.

use crate::metering::timeseries::{
    downsample::{FINE, floor},
    sample::Sample,
};
use ootheca_model::{
    ClusterId,
    units::Quantities,
    usage::{CpuCounter, Growth},
};
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// Seconds between two writes. If the server is killed, this much of a chart is lost.
const WRITTEN_EACH: i64 = 120;
/// Seconds between two removals of old rows.
const FORGOTTEN_EACH: i64 = 1200;

/// Samples by time.
pub(crate) type Timed = BTreeMap<i64, Sample>;

/// Usage since the start of the server; counters for Prometheus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Transactions that ended, except those that open a session.
    pub transactions: u64,
    /// Microseconds in which sessions executed statements.
    pub active_micros: u64,
    /// Microseconds of CPU.
    pub cpu_micros: u64,
    /// Usage that is charged in request units.
    pub used: Quantities,
}

/// All clusters.
#[derive(Default)]
pub struct SampleBuffer(Mutex<State>);

#[derive(Default)]
struct State {
    clusters: BTreeMap<ClusterId, ClusterSeries>,
    /// The time of the last samples.
    sampled: Option<i64>,
    written: Option<i64>,
    forgotten: Option<i64>,
}

#[derive(Default)]
struct ClusterSeries {
    /// The newest reading of its CPU since the last sample; `None` while it is suspended.
    cpu: Option<CpuReading>,
    /// The reading at the last sample.
    before: Option<CpuReading>,
    /// Usage recorded since then; its other numbers are not used.
    recorded: Sample,
    storage_bytes: Option<u64>,
    totals: Totals,
    newest: Option<(i64, Sample)>,
    unwritten: Timed,
}

#[derive(Clone)]
struct CpuReading {
    cpu: CpuCounter,
    at: Instant,
}

impl SampleBuffer {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// Stores a reading of the CPU of a running cluster.
    pub(crate) fn note_cpu(&self, cluster: ClusterId, cpu: &CpuCounter, at: Instant) {
        let reading = CpuReading { cpu: cpu.clone(), at };
        self.lock().clusters.entry(cluster).or_default().cpu = Some(reading);
    }

    /// Records that a cluster does not run.
    pub(crate) fn mark_suspended(&self, cluster: ClusterId) {
        if let Some(series) = self.lock().clusters.get_mut(&cluster) {
            (series.cpu, series.before, series.recorded) = (None, None, Sample::default());
        }
    }

    /// Adds recorded usage of a cluster.
    pub(crate) fn record_usage(
        &self,
        cluster: ClusterId,
        growth: &Growth,
        used: Quantities,
        storage_bytes: u64,
    ) {
        let mut state = self.lock();
        let series = state.clusters.entry(cluster).or_default();
        series.storage_bytes = Some(storage_bytes);
        if used == Quantities::default() {
            return;
        }
        let transactions = growth.transactions.saturating_sub(growth.sessions);
        let active_micros = growth.active_micros;
        series.recorded.add(&Sample { samples: 1, transactions, active_micros, used, ..Sample::default() });
        series.totals.transactions += transactions;
        series.totals.active_micros += active_micros;
        series.totals.used += used;
    }

    /// Removes all clusters except those that are wanted.
    pub(crate) fn keep(&self, wanted: impl Fn(ClusterId) -> bool) {
        self.lock().clusters.retain(|id, _| wanted(*id));
    }

    /// The usage of a cluster since the start of the server.
    pub fn totals(&self, cluster: ClusterId) -> Totals {
        self.lock().clusters.get(&cluster).map(|series| series.totals).unwrap_or_default()
    }

    /// Whether samples are due, if one is taken every `seconds`.
    pub(crate) fn is_due(&self, now: i64, seconds: i64) -> bool {
        let mut state = self.lock();
        let slot = Some(floor(now, seconds));
        std::mem::replace(&mut state.sampled, slot) != slot
    }

    /// Running clusters whose storage is not known yet.
    pub(crate) fn without_storage(&self) -> Vec<ClusterId> {
        let state = self.lock();
        let unknown = |series: &ClusterSeries| series.cpu.is_some() && series.storage_bytes.is_none();
        state.clusters.iter().filter(|(_, series)| unknown(series)).map(|(id, _)| *id).collect()
    }

    /// Sets the storage of a cluster, unless a newer value is known.
    pub(crate) fn stores(&self, cluster: ClusterId, bytes: u64) {
        if let Some(series) = self.lock().clusters.get_mut(&cluster) {
            series.storage_bytes.get_or_insert(bytes);
        }
    }

    /// Takes a sample of every running cluster.
    pub(crate) fn sample(&self, now: i64, connections: impl Fn(ClusterId) -> u32) {
        let second = floor(now, FINE.seconds);
        for (id, series) in &mut self.lock().clusters {
            let connections = connections(*id).into();
            if let Some(sample) = series.sample(connections) {
                series.newest = Some((second, sample));
                series.unwritten.entry(second).or_default().add(&sample);
            }
        }
    }

    /// The samples that are not written yet, if it is time to write them.
    pub(crate) fn unwritten(&self, now: i64) -> Option<Vec<(ClusterId, Timed)>> {
        let mut state = self.lock();
        let last = *state.written.get_or_insert(now);
        if now - last < WRITTEN_EACH {
            return None;
        }
        drop(state);
        Some(self.all_unwritten(now))
    }

    /// All samples that are not written yet.
    pub(crate) fn all_unwritten(&self, now: i64) -> Vec<(ClusterId, Timed)> {
        let mut state = self.lock();
        state.written = Some(now);
        let some = state.clusters.iter().filter(|(_, series)| !series.unwritten.is_empty());
        some.map(|(id, series)| (*id, series.unwritten.clone())).collect()
    }

    /// Marks samples as written.
    pub(crate) fn mark_written(&self, written: &[(ClusterId, Timed)]) {
        let mut state = self.lock();
        for (id, samples) in written {
            if let Some(series) = state.clusters.get_mut(id) {
                series.unwritten.retain(|second, sample| samples.get(second) != Some(&*sample));
            }
        }
    }

    /// Whether it is time to remove old rows.
    pub(crate) fn forgets(&self, now: i64) -> bool {
        let mut state = self.lock();
        let due = state.forgotten.is_none_or(|last| now - last >= FORGOTTEN_EACH);
        if due {
            state.forgotten = Some(now);
        }
        due
    }

    /// The samples of a cluster that are not written yet.
    pub(crate) fn unwritten_of(&self, cluster: ClusterId) -> Timed {
        self.lock().clusters.get(&cluster).map(|series| series.unwritten.clone()).unwrap_or_default()
    }

    /// The newest sample of a cluster, if it was taken by or loaded into this server.
    pub(crate) fn newest(&self, cluster: ClusterId) -> Option<(i64, Sample)> {
        self.lock().clusters.get(&cluster)?.newest
    }
}

impl ClusterSeries {
    fn sample(&mut self, connections: u64) -> Option<Sample> {
        let reading = self.cpu.take()?;
        let storage_bytes = self.storage_bytes.unwrap_or(0);
        let gauges = Sample { samples: 1, connections, storage_bytes, ..Sample::default() };
        // The first sample after a start has no previous reading, so the recorded usage is added to the next
        // one.
        let Some(before) = self.before.replace(reading.clone()) else { return Some(gauges) };
        let cpu_micros = reading.cpu.since(&before.cpu);
        self.totals.cpu_micros += cpu_micros;
        // At least 1, because 0 means no sample: a test clock can tick more often than once a millisecond.
        let millis = reading.at.duration_since(before.at).as_micros().div_ceil(1000).max(1);
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        let Sample { transactions, active_micros, used, .. } = std::mem::take(&mut self.recorded);
        Some(Sample { millis, transactions, active_micros, cpu_micros, used, ..gauges })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const ONE: ClusterId = ClusterId(uuid::Uuid::from_u128(1));

    fn cpu(micros: u64) -> CpuCounter {
        CpuCounter { epoch: "1".to_owned(), micros }
    }

    #[test]
    fn a_sample_contains_the_usage_since_the_previous_one() {
        let (buffer, start) = (SampleBuffer::default(), Instant::now());
        let seconds = |seconds| start + Duration::from_secs(seconds);
        let growth = Growth { transactions: 7, sessions: 2, active_micros: 900, ..Growth::default() };
        let used = Quantities { cpu_micros: 50, ..Quantities::default() };
        buffer.note_cpu(ONE, &cpu(100), start);
        buffer.record_usage(ONE, &growth, used, 4096);
        buffer.sample(1000, |_| 3);
        let (second, first) = buffer.newest(ONE).expect("a sample");
        let gauges = Sample { samples: 1, connections: 3, storage_bytes: 4096, ..Sample::default() };
        assert_eq!((second, first), (1000, gauges), "nothing to compare with");
        buffer.note_cpu(ONE, &cpu(300), seconds(5));
        buffer.note_cpu(ONE, &cpu(600), seconds(12));
        buffer.record_usage(ONE, &growth, used, 5000);
        buffer.sample(1012, |_| 0);
        let (second, next) = buffer.newest(ONE).expect("a sample");
        assert_eq!((second, next.millis, next.cpu_micros), (1010, 12_000, 500));
        assert_eq!((next.transactions, next.active_micros, next.used.cpu_micros), (10, 1800, 100));
        assert_eq!((next.connections, next.storage_bytes), (0, 5000));
        assert_eq!(buffer.totals(ONE).transactions, 10);
        buffer.sample(1022, |_| 0);
        assert_eq!(buffer.unwritten_of(ONE).len(), 2, "no rows were written since");
        buffer.mark_suspended(ONE);
        buffer.sample(1032, |_| 0);
        assert_eq!(buffer.unwritten_of(ONE).len(), 2, "a suspended cluster has no sample");
    }

    #[test]
    fn samples_are_due_once_per_step_and_written_once() {
        let buffer = SampleBuffer::default();
        assert!(buffer.is_due(1000, 10) && !buffer.is_due(1009, 10) && buffer.is_due(1010, 10));
        let sample = |second| {
            buffer.note_cpu(ONE, &cpu(1), Instant::now());
            buffer.sample(second, |_| 0);
        };
        sample(1000);
        assert!(buffer.unwritten(1000).is_none() && buffer.unwritten(1119).is_none());
        let unwritten = buffer.unwritten(1120).expect("it is time");
        assert!(buffer.unwritten(1121).is_none());
        sample(1120);
        buffer.mark_written(&unwritten);
        let left: Vec<i64> = buffer.unwritten_of(ONE).into_keys().collect();
        assert_eq!(left, [1120], "what came meanwhile is still to be written");
        assert!(buffer.forgets(1000) && !buffer.forgets(2000) && buffer.forgets(2200));
        buffer.keep(|_| false);
        assert!(buffer.newest(ONE).is_none());
    }
}
