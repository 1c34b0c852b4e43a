//! Failed logins by address and cluster. A stub until the real one is merged.

use ootheca_model::ClusterId;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Counts failed logins.
#[derive(Default)]
pub(crate) struct Throttle(Mutex<HashMap<(IpAddr, ClusterId), (u32, Instant)>>);

impl Throttle {
    /// Whether a login may be tried now; the error says how long to wait.
    pub(crate) fn check(&self, peer: IpAddr, cluster: ClusterId, now: Instant) -> Result<(), Duration> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match failures.get(&(peer, cluster)) {
            Some((count, last)) if *count >= 5 => {
                let wait = (*last + Duration::from_secs(60)).saturating_duration_since(now);
                if wait.is_zero() { Ok(()) } else { Err(wait) }
            }
            _ => Ok(()),
        }
    }

    /// A login failed.
    pub(crate) fn failed(&self, peer: IpAddr, cluster: ClusterId, now: Instant) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = failures.entry((peer, cluster)).or_insert((0, now));
        *entry = (entry.0 + 1, now);
    }

    /// A login succeeded.
    pub(crate) fn succeeded(&self, peer: IpAddr, cluster: ClusterId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(peer, cluster));
    }
}
