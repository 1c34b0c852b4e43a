//! How often a caller may call, and how often an address may fail to authenticate.
//!
//! It has no state but its own memory, which is bounded; the time is an argument. Each server counts for itself,
//! and a restart clears the counts.
//!
//! No caller is exempt: behind a proxy all of them seem to be on this machine. For the same reason a valid key is
//! accepted from any address: a stranger behind the same proxy could otherwise lock everyone else out.

use crate::settings::{EngineKind, RateLimitMode, RateLimitSettings};
use ootheca_model::{Error, PrincipalId, throttle::Throttle};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Wrong keys in a row that an address may send: people mistype, and programs keep an old key.
const FREE: u32 = 10;
const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);
/// Most callers that are remembered.
const ENTRIES: usize = 10_000;

/// The limits and who used how much of them.
#[derive(Debug)]
pub struct Limiter {
    on: bool,
    /// Time between two calls at the limit.
    interval: Duration,
    /// How far ahead of that pace a caller may be.
    tolerance: Duration,
    /// When each caller's next call would keep the pace exactly.
    callers: Mutex<HashMap<PrincipalId, Instant>>,
    failures: Throttle<()>,
}

impl Limiter {
    /// The limits of the settings; `auto` has none where nothing real runs.
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

    /// Counts a call; if it is one too many, says when the next may come.
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

    /// Whether an address may try to say who it is; if not, in how long it may.
    pub fn check(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        self.failures.check(peer, (), now)
    }

    /// An address failed to say who it is. While it has to wait this does not count, and the wait is
    /// the error.
    pub fn failed(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        if !self.on {
            return Ok(());
        }
        self.check(peer, now)?;
        self.failures.failed(peer, (), now);
        Ok(())
    }
}

/// What a caller is told who has to wait.
pub fn exceeded(wait: Duration) -> Error {
    Error::exhausted("rate limit exceeded", wait)
}

/// The value of `Retry-After` beside an error.
pub fn retry_after_of(error: &Error) -> Option<u64> {
    error.wait().map(retry_after)
}

/// Whole seconds for `Retry-After`: at least one, never too early.
fn retry_after(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Drops those who keep the pace, or else those who went ahead least.
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
