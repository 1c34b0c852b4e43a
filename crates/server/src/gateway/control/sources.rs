//! The connected gateway processes, and when the sessions of a disconnected one no longer count.

use crate::metering::{Metering, activity::Source};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// How long a gateway can be disconnected before its sessions no longer count.
const GRACE: Duration = Duration::from_secs(15);

/// The gateways, by the numbers that they chose.
#[derive(Default)]
pub(super) struct Sources {
    /// The number of open connections, and how often a gateway with that number has connected.
    known: Mutex<HashMap<Source, (u32, u64)>>,
}

impl Sources {
    fn lock(&self) -> MutexGuard<'_, HashMap<Source, (u32, u64)>> {
        self.known.lock()
    }

    /// Registers a connection, which counts until the returned value is dropped.
    pub(super) fn enter(self: &Arc<Self>, metering: &Arc<Metering>, source: Source) -> Presence {
        let mut known = self.lock();
        let (open, arrivals) = known.entry(source).or_default();
        *open += 1;
        *arrivals += 1;
        Presence { sources: self.clone(), metering: metering.clone(), source }
    }

    /// Whether the gateway has not connected again since that connection. If so, it is removed.
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
        // Without a runtime, the process is about to exit.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(give_up);
        }
    }
}
