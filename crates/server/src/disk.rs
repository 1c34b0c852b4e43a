//! The free space on the disk with the data of the clusters.
//!
//! It is read several times per second. If it shrinks quickly, the collector meters the clusters early, so
//! that a cluster doesn't exceed its storage limit by much; the faster it shrinks, the more often.

use ootheca_engine::{DiskSpace, Engine};
use ootheca_model::{Error, Result, disk::DiskPressure, instance::Condition, meter::MIB};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The state of the disk.
pub struct Disk {
    reserve: u64,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    free: u64,
    pressure: DiskPressure,
    /// The free space when the clusters were last metered.
    metered: u64,
}

impl State {
    fn read(self, free: u64, reserve: u64) -> Self {
        // Free space that was gained must not hide what is written later.
        Self { free, pressure: self.pressure.next(free, reserve), metered: self.metered.max(free) }
    }

    /// Whether `early` bytes were written since the clusters were last metered.
    fn metering_is_due(self, early: u64) -> bool {
        early > 0 && self.metered.saturating_sub(self.free) >= early
    }
}

impl Disk {
    /// The state of the engine's disk. `reserve_mib` is the setting.
    pub fn new(engine: &dyn Engine, reserve_mib: u64) -> Self {
        let state = State { free: u64::MAX, ..State::default() };
        let disk = Self { reserve: reserve_mib.saturating_mul(MIB), state: watch::Sender::new(state) };
        if let Some(space) = engine.disk() {
            disk.read(&space);
        }
        disk
    }

    /// How full the disk is.
    pub fn pressure(&self) -> DiskPressure {
        self.state.borrow().pressure
    }

    /// Bytes that are free, and bytes of the reserve.
    pub fn bytes(&self) -> (u64, u64) {
        (self.state.borrow().free, self.reserve)
    }

    /// Returns `Precondition` while nothing can be created.
    pub fn check(&self) -> Result<()> {
        match self.pressure() {
            DiskPressure::Full => Err(Error::precondition(
                "the disk of the server is full except for its reserve, so clusters can't be created: delete data, or ask the operator of the server to add space",
            )),
            DiskPressure::None | DiskPressure::Low => Ok(()),
        }
    }

    /// The condition of every cluster while the disk fills up.
    pub fn condition(&self) -> Option<Condition> {
        let message = match self.pressure() {
            DiskPressure::None => return None,
            DiskPressure::Low => {
                "The disk of the server is almost full. When it is full, data can only be deleted."
            }
            DiskPressure::Full => "The disk of the server is full. Data can only be deleted.",
        };
        Some(Condition { kind: "DiskPressure".to_owned(), holds: true, message: message.to_owned() })
    }

    /// Waits until data can no longer be added, or can be added again. `before` is what the caller knows, and
    /// is updated.
    pub async fn full_changed(&self, before: &mut bool) {
        let mut states = self.state.subscribe();
        let full = |state: &State| state.pressure == DiskPressure::Full;
        if let Ok(state) = states.wait_for(|state| full(state) != *before).await {
            *before = full(&state);
        }
    }

    /// Waits until so much was written that the clusters have to be metered early.
    pub async fn metering_due(&self, early_mib: u64) {
        let mut states = self.state.subscribe();
        let early = early_mib.saturating_mul(MIB);
        if states.wait_for(|state| state.metering_is_due(early)).await.is_err() {
            std::future::pending().await
        }
    }

    /// Records that the clusters are metered now.
    pub fn metered(&self) {
        self.state.send_modify(|state| state.metered = state.free);
    }

    /// Records what is free now.
    pub(crate) fn read(&self, disk: &DiskSpace) {
        let before = self.state.borrow().pressure;
        self.state.send_if_modified(|state| {
            let next = state.read(disk.free_bytes, self.reserve);
            std::mem::replace(state, next) != next
        });
        let (free_mib, reserve_mib) = (disk.free_bytes / MIB, self.reserve / MIB);
        let (path, after) = (disk.path.display(), self.pressure());
        match after {
            _ if after == before => {}
            DiskPressure::None => tracing::info!(%path, free_mib, "the disk has enough free space again"),
            DiskPressure::Low => {
                tracing::warn!(%path, free_mib, reserve_mib, "the disk is almost full: add space or remove data");
            }
            DiskPressure::Full => tracing::error!(
                %path, free_mib, reserve_mib,
                "the disk is full except for engine.disk_reserve_mib: clusters can't be created or add data until there is more space"
            ),
        }
    }
}

/// Reads the free space until `stop` is true.
pub async fn run(engine: Arc<dyn Engine>, disk: Arc<Disk>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
        if let Some(space) = engine.disk() {
            disk.read(&space);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn metering_is_due_when_enough_was_written_since_the_last_time() {
        let state = State::default().read(1000, 0);
        assert!(!state.read(937, 0).metering_is_due(64));
        let due = state.read(936, 0);
        assert!(due.metering_is_due(64) && !due.metering_is_due(0));
        let metered = State { metered: due.free, ..due };
        assert!(!metered.metering_is_due(64));
        assert!(metered.read(2000, 0).read(1936, 0).metering_is_due(64), "after space was freed");
    }

    proptest! {
        #[test]
        fn pressure_follows_the_free_space(reads in proptest::collection::vec(0_u64..300, 1..40)) {
            let mut state = State::default();
            for free in reads {
                let before = state.pressure;
                state = state.read(free, 100);
                if free < 100 { prop_assert_eq!(state.pressure, DiskPressure::Full); }
                if free >= 250 { prop_assert_eq!(state.pressure, DiskPressure::None); }
                if state.pressure == DiskPressure::Full && before != DiskPressure::Full {
                    prop_assert!(free < 100);
                }
                prop_assert_eq!(State::default().read(free, 0).pressure, DiskPressure::None);
            }
        }
    }
}
