//! The last reading of each cluster's CPU, in memory only: the current usage, and the value of the counter
//! while no session was open.

use ootheca_model::{ClusterId, usage::CpuCounter};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// Sessions are reported every second: a reading that is older is not affected by sessions that are not
/// reported yet.
const SETTLED: Duration = Duration::from_secs(2);

/// The last readings of all clusters.
#[derive(Default)]
pub struct CpuSamples {
    turn: tokio::sync::Mutex<()>,
    samples: Mutex<HashMap<ClusterId, CpuSample>>,
}

/// A reading of the CPU of a cluster.
struct CpuSample {
    at: Instant,
    cpu: CpuCounter,
    /// CPU usage between the last two readings, in thousandths of a vCPU.
    millis: u32,
    /// The newest value of the counter that certainly contains no usage of a session.
    idle: Option<CpuCounter>,
    /// When a session was last reported.
    used: Option<Instant>,
}

impl CpuSamples {
    /// Serializes ticks.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClusterId, CpuSample>> {
        self.samples.lock()
    }

    /// Stores a reading. `idle` is true if no session was reported since the last one. Returns the CPU time
    /// since the last reading in microseconds, `None` for the first one.
    pub(super) fn note(&self, cluster: ClusterId, cpu: &CpuCounter, idle: bool, now: Instant) -> Option<u64> {
        let mut samples = self.lock();
        let first =
            CpuSample { at: now, cpu: cpu.clone(), millis: 0, idle: idle.then(|| cpu.clone()), used: None };
        let is_first = !samples.contains_key(&cluster);
        let sample = samples.entry(cluster).or_insert(first);
        if !idle {
            sample.used = Some(now);
        }
        if is_first {
            return None;
        }
        let grown = cpu.since(&sample.cpu);
        let between = now.duration_since(sample.at);
        if idle && between >= SETTLED {
            // The value of the previous reading: later CPU time can belong to a session.
            sample.idle = Some(sample.cpu.clone());
        } else if !idle {
            sample.idle = None;
        }
        if between >= Duration::from_millis(100) {
            let millis = u128::from(grown) * 1000 / between.as_micros().max(1);
            sample.millis = u32::try_from(millis).unwrap_or(u32::MAX);
            (sample.at, sample.cpu) = (now, cpu.clone());
        }
        Some(grown)
    }

    /// Whether a session was reported within `lag`.
    pub(super) fn lately(&self, cluster: ClusterId, lag: Duration, now: Instant) -> bool {
        let samples = self.lock();
        let used = samples.get(&cluster).and_then(|sample| sample.used);
        used.is_some_and(|used| now.duration_since(used) < lag)
    }

    /// The value of the CPU counter while no session was open, before the current session.
    pub(super) fn idle(&self, cluster: ClusterId) -> Option<CpuCounter> {
        self.lock().get(&cluster)?.idle.clone()
    }

    /// CPU usage between the last two readings, in thousandths of a vCPU.
    pub fn cpu_millis(&self, cluster: ClusterId) -> u32 {
        self.lock().get(&cluster).map_or(0, |sample| sample.millis)
    }

    /// Removes the readings of a cluster that does not run.
    pub(super) fn stopped(&self, cluster: ClusterId) {
        self.lock().remove(&cluster);
    }

    /// Removes all clusters except those that are wanted.
    pub(super) fn keep(&self, wanted: impl Fn(ClusterId) -> bool) {
        self.lock().retain(|id, _| wanted(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_counters_are_those_of_the_sample_before() {
        let (samples, one, start) =
            (CpuSamples::default(), ClusterId(uuid::Uuid::from_u128(1)), Instant::now());
        let cpu = |micros| CpuCounter { epoch: "1".to_owned(), micros };
        let note = |seconds, micros, idle| {
            samples.note(one, &cpu(micros), idle, start + Duration::from_secs(seconds))
        };
        assert_eq!(note(0, 1_000, true), None);
        assert_eq!(samples.idle(one), Some(cpu(1_000)));
        assert_eq!(note(5, 3_000, true), Some(2_000));
        assert_eq!(samples.idle(one), Some(cpu(1_000)), "the last seconds may belong to a session");
        note(10, 3_000, true);
        assert_eq!(samples.idle(one), Some(cpu(3_000)));
        assert_eq!(note(15, 5_003_000, false), Some(5_000_000));
        assert_eq!((samples.idle(one), samples.cpu_millis(one)), (None, 1_000));
    }
}
