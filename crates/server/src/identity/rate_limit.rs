//! Limits how often a caller can call, and how often an address can fail to authenticate.
//!
//! Its state is in memory and bounded, and the time is an argument. Each server counts separately, and a
//! restart clears the counts.
//!
//! Calls beyond the rate wait for their turn, because many clients don't repeat a change that was refused. A
//! call that waits is only a number in the queue of its caller: it takes its turn when it is due, and leaves the
//! queue without using it if its client disconnects.
//!
//! No caller is exempt, because behind a proxy all of them can seem to be on this machine. For the same reason, a
//! valid key, link, or token is accepted from any address: otherwise one client behind a proxy could lock out all
//! others. They cannot be guessed, but passwords can: wrong ones limit how fast others of the same user are verified.

use crate::settings::{EngineKind, RateLimitMode, RateLimitSettings};
use ootheca_model::{
    Error, PrincipalId, Result as ModelResult,
    attempts::{Attempt, Attempts},
    throttle::Throttle,
};
use parking_lot::{Mutex, RwLock};
use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Notify, time::sleep};

/// The number of consecutive wrong keys without a delay: people mistype, and programs keep using an old key.
const FREE: u32 = 10;
const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);
/// The maximum number of callers in memory.
const ENTRIES: usize = 10_000;
/// The maximum time that a call waits for its turn. Clients give up on requests that take much longer.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The limits, and the recent calls of each caller.
#[derive(Debug)]
pub struct Limiter {
    limits: RwLock<Limits>,
    callers: Mutex<Callers>,
    /// Wrong keys, links, and passwords of each address.
    failures: Throttle<()>,
    /// Wrong passwords of each user.
    attempts: Attempts,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    on: bool,
    /// Time between two calls at the maximum rate.
    interval: Duration,
    /// How far ahead of that rate a caller can be.
    tolerance: Duration,
    /// The maximum time that a call waits for its turn.
    longest_wait: Duration,
}

#[derive(Debug, Default)]
struct Callers {
    queues: HashMap<PrincipalId, Queue>,
    /// The number of the last call that had to wait.
    last: u64,
}

/// The calls of one caller.
#[derive(Debug)]
struct Queue {
    /// When the next call would exactly match the rate.
    next: Instant,
    /// The numbers of the calls that wait, in ascending order.
    waiting: VecDeque<u64>,
    /// Notified when a call leaves without using its turn, so that the turns of later calls come earlier.
    shortened: Arc<Notify>,
}

impl Limiter {
    /// Creates a limiter. With the mode `auto`, the simulated engine has no limits.
    pub fn new(settings: &RateLimitSettings, engine: EngineKind) -> Self {
        Self {
            limits: RwLock::new(Limits::new(settings, engine)),
            callers: Mutex::default(),
            failures: Throttle::new(FREE, LONGEST_DELAY),
            attempts: Attempts::new(FREE),
        }
    }

    /// Changes the limits, also for calls that wait.
    pub fn configure(&self, settings: &RateLimitSettings, engine: EngineKind) {
        *self.limits.write() = Limits::new(settings, engine);
        self.callers.lock().queues.values().for_each(|queue| queue.shortened.notify_waiters());
    }

    fn limits(&self) -> Limits {
        *self.limits.read()
    }

    /// Counts a call. Returns `None` if it can start now, or its turn. If it would have to wait for too long,
    /// returns the time after which another attempt can succeed.
    pub fn enter(&self, caller: PrincipalId, now: Instant) -> Result<Option<Turn<'_>>, Duration> {
        let limits = self.limits();
        if !limits.on {
            return Ok(None);
        }
        let mut callers = self.callers.lock();
        if callers.queues.len() >= ENTRIES && !callers.queues.contains_key(&caller) {
            make_room(&mut callers.queues, now);
        }
        let Callers { queues, last } = &mut *callers;
        let queue = queues.entry(caller).or_insert_with(|| Queue {
            next: now,
            waiting: VecDeque::new(),
            shortened: Arc::default(),
        });
        let wait = limits.wait(queue, queue.waiting.len(), now);
        if wait.is_zero() {
            queue.next = queue.next.max(now) + limits.interval;
            return Ok(None);
        }
        if wait > limits.longest_wait {
            return Err(wait - limits.longest_wait);
        }
        *last += 1;
        queue.waiting.push_back(*last);
        Ok(Some(Turn { limiter: self, caller, number: *last, shortened: queue.shortened.clone() }))
    }

    /// Waits for a place to verify the password of a user; `None` without limits.
    pub async fn attempt(&self, peer: IpAddr, user: &(impl Hash + Sync)) -> ModelResult<Option<Attempt<'_>>> {
        if !self.limits().on {
            return Ok(None);
        }
        let deadline = Instant::now() + LONGEST_WAIT;
        loop {
            let now = Instant::now();
            match self.attempts.start(peer, user, now) {
                Ok(attempt) => return Ok(Some(attempt)),
                Err(wait) if now + wait > deadline => return Err(too_many_failures(wait)),
                Err(wait) => sleep(wait).await,
            }
        }
    }

    /// Records that an address failed to authenticate. During a delay, this does not count, and the remaining
    /// time is returned as the error. It applies to failures only, because other clients can have the same address.
    pub fn failed(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        if !self.limits().on {
            return Ok(());
        }
        self.failures.check(peer, (), now)?;
        self.failures.failed(peer, (), now);
        Ok(())
    }
}

impl Limits {
    fn new(settings: &RateLimitSettings, engine: EngineKind) -> Self {
        let mode = settings.mode.resolve(engine);
        let interval = Duration::from_secs(1) / settings.requests_per_second.max(1);
        Self {
            on: mode != RateLimitMode::Never,
            interval,
            tolerance: interval * settings.burst.max(1).saturating_sub(1),
            longest_wait: if mode == RateLimitMode::Pace { LONGEST_WAIT } else { Duration::ZERO },
        }
    }

    /// The time until the turn of the call at a position in the queue. If it is zero, so are those before it.
    fn wait(&self, queue: &Queue, position: usize, now: Instant) -> Duration {
        if !self.on {
            return Duration::ZERO;
        }
        let before = self.interval.saturating_mul(u32::try_from(position).unwrap_or(u32::MAX));
        let ahead = queue.next.saturating_duration_since(now).saturating_add(before);
        ahead.saturating_sub(self.tolerance)
    }
}

/// The turn of a call that has to wait. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Turn<'a> {
    limiter: &'a Limiter,
    caller: PrincipalId,
    number: u64,
    /// Notified when the turn may come earlier than [`Turn::take`] has returned.
    pub shortened: Arc<Notify>,
}

impl Turn<'_> {
    /// Takes the turn if it has come. Returns the time to wait if it has not.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut callers = self.limiter.callers.lock();
        // A caller that was forgotten, because there were too many, starts again.
        let Some(queue) = callers.queues.get_mut(&self.caller) else { return Ok(()) };
        let Ok(position) = queue.waiting.binary_search(&self.number) else { return Ok(()) };
        let limits = self.limiter.limits();
        let wait = limits.wait(queue, position, now);
        if !wait.is_zero() {
            return Err(wait);
        }
        queue.waiting.remove(position);
        queue.next = queue.next.max(now) + limits.interval;
        Ok(())
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut callers = self.limiter.callers.lock();
        let Some(queue) = callers.queues.get_mut(&self.caller) else { return };
        let Ok(position) = queue.waiting.binary_search(&self.number) else { return };
        queue.waiting.remove(position);
        if position < queue.waiting.len() {
            self.shortened.notify_waiters();
        }
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

/// Removes callers that do not exceed the rate, or, if there are none, those that exceed it least.
fn make_room(queues: &mut HashMap<PrincipalId, Queue>, now: Instant) {
    queues.retain(|_, queue| queue.next > now);
    if queues.len() < ENTRIES {
        return;
    }
    let mut order: Vec<(usize, Instant, PrincipalId)> =
        queues.iter().map(|(caller, queue)| (queue.waiting.len(), queue.next, *caller)).collect();
    order.sort_unstable_by_key(|(waiting, next, _)| (*waiting, *next));
    for (_, _, caller) in order.into_iter().take(ENTRIES / 10) {
        queues.remove(&caller);
    }
}

#[cfg(test)]
mod tests;
