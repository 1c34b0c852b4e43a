//! The last reading of each cluster's CPU, in memory only: the current usage, and the value of the counter
//! while no session was open.

use ootheca_model::{ClusterId, usage::CpuCounter};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Sessions are reported every second: a reading that is older is not affected by sessions that are not
/// reported yet.
const SETTLED: Duration = Duration::from_secs(2);

/// The last readings of all clusters.
#[derive(Default)]
pub struct CpuSamples {
    turn: tokio::sync::Mutex<()>,
    looks: Mutex<HashMap<ClusterId, Look>>,
}

/// A reading of the CPU of a cluster.
struct Look {
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

    fn lock(&self) -> MutexGuard<'_, HashMap<ClusterId, Look>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a reading. `idle` is true if no session was reported since the last one. Returns the CPU time
    /// since the last reading in microseconds, `None` for the first one.
    pub(super) fn note(&self, cluster: ClusterId, cpu: &CpuCounter, idle: bool, now: Instant) -> Option<u64> {
        let mut looks = self.lock();
        let first =
            Look { at: now, cpu: cpu.clone(), millis: 0, idle: idle.then(|| cpu.clone()), used: None };
        let first_look = !looks.contains_key(&cluster);
        let look = looks.entry(cluster).or_insert(first);
        if !idle {
            look.used = Some(now);
        }
        if first_look {
            return None;
        }
        let grown = cpu.since(&look.cpu);
        let between = now.duration_since(look.at);
        if idle && between >= SETTLED {
            // The value of the previous reading: later CPU time can belong to a session.
            look.idle = Some(look.cpu.clone());
        } else if !idle {
            look.idle = None;
        }
        if between >= Duration::from_millis(100) {
            let millis = u128::from(grown) * 1000 / between.as_micros().max(1);
            look.millis = u32::try_from(millis).unwrap_or(u32::MAX);
            (look.at, look.cpu) = (now, cpu.clone());
        }
        Some(grown)
    }

    /// Whether a session was reported within `lag`.
    pub(super) fn lately(&self, cluster: ClusterId, lag: Duration, now: Instant) -> bool {
        let looks = self.lock();
        let used = looks.get(&cluster).and_then(|look| look.used);
        used.is_some_and(|used| now.duration_since(used) < lag)
    }

    /// The value of the CPU counter while no session was open, before the current session.
    pub(super) fn idle(&self, cluster: ClusterId) -> Option<CpuCounter> {
        self.lock().get(&cluster)?.idle.clone()
    }

    /// CPU usage between the last two readings, in thousandths of a vCPU.
    pub fn cpu_millis(&self, cluster: ClusterId) -> u32 {
        self.lock().get(&cluster).map_or(0, |look| look.millis)
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
    fn idle_counters_are_those_of_the_look_before() {
        let (looks, one, start) =
            (CpuSamples::default(), ClusterId(uuid::Uuid::from_u128(1)), Instant::now());
        let cpu = |micros| CpuCounter { epoch: "1".to_owned(), micros };
        let note =
            |seconds, micros, idle| looks.note(one, &cpu(micros), idle, start + Duration::from_secs(seconds));
        assert_eq!(note(0, 1_000, true), None);
        assert_eq!(looks.idle(one), Some(cpu(1_000)));
        assert_eq!(note(5, 3_000, true), Some(2_000));
        assert_eq!(looks.idle(one), Some(cpu(1_000)), "the last seconds may belong to a session");
        note(10, 3_000, true);
        assert_eq!(looks.idle(one), Some(cpu(3_000)));
        assert_eq!(note(15, 5_003_000, false), Some(5_000_000));
        assert_eq!((looks.idle(one), looks.cpu_millis(one)), (None, 1_000));
    }
}
