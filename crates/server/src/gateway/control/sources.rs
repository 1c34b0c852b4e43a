//! The gateway processes that are connected, and when the sessions of one that has left no longer count.

use crate::metering::{Metering, activity::Source};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long a gateway may be away before its sessions count as gone.
const GRACE: Duration = Duration::from_secs(15);

/// The gateways, by the number that each chose.
#[derive(Default)]
pub(super) struct Sources {
    /// Connections that are open, and how often that number came.
    known: Mutex<HashMap<Source, (u32, u64)>>,
}

impl Sources {
    fn lock(&self) -> MutexGuard<'_, HashMap<Source, (u32, u64)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A gateway came; it is there until the answer is dropped.
    pub(super) fn enter(self: &Arc<Self>, metering: &Arc<Metering>, source: Source) -> Presence {
        let mut known = self.lock();
        let (open, arrivals) = known.entry(source).or_default();
        *open += 1;
        *arrivals += 1;
        Presence { sources: self.clone(), metering: metering.clone(), source }
    }

    /// Whether it is away since that arrival; then it is forgotten.
    fn gone(&self, source: Source, arrival: u64) -> bool {
        let mut known = self.lock();
        let gone = known.get(&source) == Some(&(0, arrival));
        if gone {
            known.remove(&source);
        }
        gone
    }
}

/// A connected gateway.
pub(super) struct Presence {
    sources: Arc<Sources>,
    metering: Arc<Metering>,
    source: Source,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut known = self.sources.lock();
        let Some((open, arrivals)) = known.get_mut(&self.source) else { return };
        *open -= 1;
        if *open > 0 {
            return;
        }
        let (sources, metering, source, arrival) =
            (self.sources.clone(), self.metering.clone(), self.source, *arrivals);
        let give_up = async move {
            tokio::time::sleep(GRACE).await;
            if sources.gone(source, arrival) {
                tracing::info!("gateway process did not reconnect; its sessions no longer count");
                metering.activity.note(source, &[], metering.context.now());
            }
        };
        // Without a runtime everything ends anyway.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(give_up);
        }
    }
}
