//! Limits how often a caller can call, and how often an address can fail to authenticate.
//!
//! Its state is in memory and bounded, and the time is an argument. Each server counts separately, and a
//! restart clears the counts.
//!
//! No caller is exempt, because behind a proxy all of them seem to be on this machine. For the same reason, a
//! valid key is accepted from any address: otherwise one client behind a proxy could lock out all others.

use crate::settings::{EngineKind, RateLimitMode, RateLimitSettings};
use ootheca_model::{Error, PrincipalId, throttle::Throttle};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// The number of consecutive wrong keys without a delay: people mistype, and programs keep using an old key.
const FREE: u32 = 10;
const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);
/// The maximum number of callers in memory.
const ENTRIES: usize = 10_000;

/// The limits, and the recent calls of each caller.
#[derive(Debug)]
pub struct Limiter {
    on: bool,
    /// Time between two calls at the maximum rate.
    interval: Duration,
    /// How far ahead of that rate a caller can be.
    tolerance: Duration,
    /// When the next call of each caller would exactly match the rate.
    callers: Mutex<HashMap<PrincipalId, Instant>>,
    failures: Throttle<()>,
}

impl Limiter {
    /// Creates a limiter. With the mode `auto`, the simulated engine has no limits.
    pub fn new(settings: &RateLimitSettings, engine: EngineKind) -> Self {
        let on = match settings.mode {
            RateLimitMode::Auto => engine == EngineKind::Postgres,
            RateLimitMode::Always => true,
            RateLimitMode::Never => false,
        };
        let interval = Duration::from_secs(1) / settings.requests_per_second.max(1);
        let tolerance = interval * settings.burst.max(1).saturating_sub(1);
        Self {
            on,
            interval,
            tolerance,
            callers: Mutex::default(),
            failures: Throttle::new(FREE, LONGEST_DELAY),
        }
    }

    /// Counts a call. Returns the time to wait if it exceeds the limit.
    pub fn admit(&self, caller: PrincipalId, now: Instant) -> Result<(), Duration> {
        if !self.on {
            return Ok(());
        }
        let mut callers = lock(&self.callers);
        if callers.len() >= ENTRIES && !callers.contains_key(&caller) {
            make_room(&mut callers, now);
        }
        let next = callers.entry(caller).or_insert(now);
        let expected = (*next).max(now);
        let ahead = expected.saturating_duration_since(now);
        if ahead > self.tolerance {
            return Err(ahead - self.tolerance);
        }
        *next = expected + self.interval;
        Ok(())
    }

    /// Checks whether an address can try to authenticate. Returns the time to wait if not.
    pub fn check(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        self.failures.check(peer, (), now)
    }

    /// Records that an address failed to authenticate. During a delay, this does not count, and the remaining
    /// time is returned as the error.
    pub fn failed(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        if !self.on {
            return Ok(());
        }
        self.check(peer, now)?;
        self.failures.failed(peer, (), now);
        Ok(())
    }
}

/// The error for a caller that has to wait.
pub fn exceeded(wait: Duration) -> Error {
    Error::exhausted("rate limit exceeded", wait)
}

/// The error for an address with too many failed attempts to sign in.
pub fn too_many_failures(wait: Duration) -> Error {
    let seconds = retry_after(wait);
    Error::exhausted(format!("too many failed attempts; try again in {seconds} s"), wait)
}

/// The value of `Retry-After` for an error.
pub fn retry_after_of(error: &Error) -> Option<u64> {
    error.wait().map(retry_after)
}

/// Seconds for `Retry-After`, rounded up, at least 1.
fn retry_after(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// Removes callers that do not exceed the rate, or, if there are none, those that exceed it least.
fn make_room(callers: &mut HashMap<PrincipalId, Instant>, now: Instant) {
    callers.retain(|_, next| *next > now);
    if callers.len() < ENTRIES {
        return;
    }
    let mut order: Vec<(Instant, PrincipalId)> =
        callers.iter().map(|(caller, next)| (*next, *caller)).collect();
    order.sort_unstable_by_key(|(next, _)| *next);
    for (_, caller) in order.into_iter().take(ENTRIES / 10) {
        callers.remove(&caller);
    }
}

#[cfg(test)]
mod tests;
