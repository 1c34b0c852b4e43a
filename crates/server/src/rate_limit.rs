//! How often a caller may call, and how often an address may fail to say who it is.
//!
//! Pure but for its own memory, which is bounded; the time is an argument. In memory only: each server
//! counts for itself, and a restart forgives.
//!
//! Nobody is exempt: behind a proxy every caller seems to be on this machine. For the same reason a
//! right key is let in from any address: else a stranger behind that proxy could shut everybody out.

use crate::settings::{EngineKind, RateLimitMode, RateLimitSettings};
use ootheca_model::PrincipalId;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Wrong keys in a row that an address may send: people mistype, and programs keep an old key.
const FREE: u32 = 10;
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);
/// Without a failure for this long after the delay has ended, all is forgotten.
const MEMORY: Duration = Duration::from_secs(60 * 60);
/// Most callers, and most addresses, that are remembered.
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
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
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
        Self { on, interval, tolerance, callers: Mutex::default(), failures: Mutex::default() }
    }

    /// Counts a call; if it is one too many, says when the next may come.
    pub fn admit(&self, caller: PrincipalId, now: Instant) -> Result<(), Duration> {
        if !self.on {
            return Ok(());
        }
        let mut callers = lock(&self.callers);
        if callers.len() >= ENTRIES && !callers.contains_key(&caller) {
            make_room(&mut callers, |next| *next > now, |next| *next);
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
        let wait = lock(&self.failures).get(&network(peer)).map_or(Duration::ZERO, |known| known.wait(now));
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// An address failed to say who it is. While it has to wait this does not count, and the wait is
    /// the error.
    pub fn failed(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        if !self.on {
            return Ok(());
        }
        self.check(peer, now)?;
        let (mut failures, key) = (lock(&self.failures), network(peer));
        if failures.len() >= ENTRIES && !failures.contains_key(&key) {
            make_room(&mut failures, |known| !known.forgotten(now), |known| known.last);
        }
        let known = failures.entry(key).or_insert(Failures { count: 0, last: now });
        if known.forgotten(now) {
            known.count = 0;
        }
        *known = Failures { count: known.count.saturating_add(1), last: now.max(known.last) };
        Ok(())
    }
}

impl Failures {
    fn delay(self) -> Duration {
        match self.count.saturating_sub(FREE) {
            0 => Duration::ZERO,
            counted => FIRST_DELAY.saturating_mul(1 << (counted - 1).min(12)).min(LONGEST_DELAY),
        }
    }

    fn wait(self, now: Instant) -> Duration {
        (self.last + self.delay()).saturating_duration_since(now)
    }

    fn forgotten(self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= self.delay() + MEMORY
    }
}

/// Whole seconds for `Retry-After`: at least one, never too early.
pub fn retry_after(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A customer has a /64 of IPv6 addresses, and one of IPv4.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !0 << 64)),
        address => address,
    }
}

/// Drops what no longer counts, or else the oldest tenth.
fn make_room<K: Copy + Eq + std::hash::Hash, V>(
    entries: &mut HashMap<K, V>,
    counts: impl Fn(&V) -> bool,
    age: impl Fn(&V) -> Instant,
) {
    entries.retain(|_, value| counts(value));
    if entries.len() < ENTRIES {
        return;
    }
    let mut order: Vec<(Instant, K)> = entries.iter().map(|(key, value)| (age(value), *key)).collect();
    order.sort_unstable_by_key(|(age, _)| *age);
    for (_, key) in order.into_iter().take(ENTRIES / 10) {
        entries.remove(&key);
    }
}

#[cfg(test)]
mod tests;
