//! Limits how fast passwords can be guessed, without refusing the right one.
//!
//! An attempt takes one of a few places before its password is verified. A right password frees all places. A
//! wrong one occupies its place for a while, and longer after thousands of wrong ones in a row. This limits the
//! rate of guesses from an address for one user, and a client with the right password at the same address only has
//! to wait for a place.
//!
//! The memory is bounded, and the time is an argument.

use crate::throttle::{MEMORY, network};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher as _, Hash},
    net::IpAddr,
    time::{Duration, Instant},
};

/// The number of attempts for one user from one address that are verified at the same time.
const PLACES: usize = 16;
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The delay doubles after this number of wrong passwords in a row.
const DOUBLING: u32 = 1000;
const MAX_DELAY: Duration = Duration::from_secs(60);
/// How often to check for a place if none of them is about to become free.
const RECHECK: Duration = Duration::from_millis(20);
/// The maximum number of entries.
const ENTRIES: usize = 10_000;

/// An address, and a hash of the user, because the length of a name that does not exist is not limited.
type Key = (IpAddr, u64);

/// The recent attempts to verify passwords.
#[derive(Debug)]
pub struct Attempts {
    free: u32,
    hasher: RandomState,
    entries: Mutex<HashMap<Key, Entry>>,
}

#[derive(Debug)]
struct Entry {
    /// Wrong passwords in a row.
    failures: u32,
    last_failure: Instant,
    verifying: usize,
    /// The times at which places become free that wrong passwords occupy.
    occupied: Vec<Instant>,
}

impl Entry {
    fn forget(&mut self, now: Instant) {
        self.occupied.retain(|end| *end > now);
        if self.occupied.is_empty() && now.saturating_duration_since(self.last_failure) >= MEMORY {
            self.failures = 0;
        }
    }

    fn is_unused(&self) -> bool {
        self.failures == 0 && self.verifying == 0
    }
}

impl Attempts {
    /// The first `free` wrong passwords in a row occupy no place.
    pub fn new(free: u32) -> Self {
        Self { free, hasher: RandomState::new(), entries: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock()
    }

    /// How long the place of a wrong password stays occupied.
    fn delay(&self, failures: u32) -> Duration {
        match failures.saturating_sub(self.free) {
            0 => Duration::ZERO,
            counted => FIRST_DELAY.saturating_mul(1 << (counted / DOUBLING).min(12)).min(MAX_DELAY),
        }
    }

    /// Takes a place for an attempt to authenticate as `user`. If all places are taken, returns the time after which to
    /// try again.
    pub fn start(&self, peer: IpAddr, user: &impl Hash, now: Instant) -> Result<Attempt<'_>, Duration> {
        let key = (network(peer), self.hasher.hash_one(user));
        let mut entries = self.lock();
        if entries.len() >= ENTRIES && !entries.contains_key(&key) {
            make_room(&mut entries, now);
        }
        let entry = entries.entry(key).or_insert_with(|| Entry {
            failures: 0,
            last_failure: now,
            verifying: 0,
            occupied: Vec::new(),
        });
        entry.forget(now);
        if entry.verifying + entry.occupied.len() < PLACES {
            entry.verifying += 1;
            return Ok(Attempt { attempts: self, key });
        }
        let first = entry.occupied.iter().min();
        Err(first.map_or(RECHECK, |end| end.saturating_duration_since(now).max(RECHECK)))
    }

    /// The number of entries.
    pub fn remembered(&self) -> usize {
        self.lock().len()
    }
}

/// Removes entries that have no effect, or a tenth of all entries if there are none: those with the fewest failures
/// first, so that an address does not get rid of its own failures by trying the names of many users.
fn make_room(entries: &mut HashMap<Key, Entry>, now: Instant) {
    entries.retain(|_, entry| {
        entry.forget(now);
        !entry.is_unused()
    });
    if entries.len() < ENTRIES {
        return;
    }
    let order = |(key, entry): (&Key, &Entry)| (entry.failures, entry.last_failure, *key);
    let mut order: Vec<_> = entries.iter().map(order).collect();
    let tenth = ENTRIES / 10;
    order.select_nth_unstable(tenth);
    for (_, _, key) in &order[..tenth] {
        entries.remove(key);
    }
}

/// An attempt that has a place. Dropping it frees the place.
#[derive(Debug)]
pub struct Attempt<'a> {
    attempts: &'a Attempts,
    key: Key,
}

impl Attempt<'_> {
    /// Records a right password: all places become free.
    pub fn succeed(self) {
        if let Some(entry) = self.attempts.lock().get_mut(&self.key) {
            entry.failures = 0;
            entry.occupied.clear();
        }
    }

    /// Records a wrong password. Returns how long the place stays occupied.
    pub fn fail(self, now: Instant) -> Duration {
        let mut entries = self.attempts.lock();
        let Some(entry) = entries.get_mut(&self.key) else { return Duration::ZERO };
        entry.failures = entry.failures.saturating_add(1);
        entry.last_failure = now;
        let delay = self.attempts.delay(entry.failures);
        if !delay.is_zero() {
            entry.occupied.push(now + delay);
        }
        delay
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut entries = self.attempts.lock();
        let Some(entry) = entries.get_mut(&self.key) else { return };
        entry.verifying = entry.verifying.saturating_sub(1);
        if entry.is_unused() {
            entries.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn peer(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn fail(attempts: &Attempts, user: &str, now: Instant) -> Option<Duration> {
        attempts.start(peer("192.0.2.1"), &user, now).ok().map(|attempt| attempt.fail(now))
    }

    #[test]
    fn wrong_passwords_occupy_the_places_of_one_user_at_one_address() {
        let (attempts, now) = (Attempts::new(3), Instant::now());
        let delays: Vec<_> = std::iter::from_fn(|| fail(&attempts, "ann", now)).collect();
        assert_eq!(delays.len(), 3 + PLACES);
        assert!(
            delays[..3].iter().all(Duration::is_zero) && delays[3..].iter().all(|delay| *delay == SECOND)
        );
        let start = |address, user: &str, now| attempts.start(peer(address), &user, now).map(drop);
        assert_eq!(start("192.0.2.1", "ann", now), Err(SECOND));
        assert_eq!(start("::ffff:192.0.2.1", "ann", now), Err(SECOND));
        assert_eq!(start("192.0.2.1", "bob", now), Ok(()));
        assert_eq!(start("192.0.2.2", "ann", now), Ok(()));
        assert_eq!(start("192.0.2.1", "ann", now + SECOND), Ok(()));
    }

    #[test]
    fn a_right_password_frees_all_places() {
        let (attempts, mut now) = (Attempts::new(3), Instant::now());
        while fail(&attempts, "ann", now).is_some() {}
        now += SECOND;
        attempts.start(peer("192.0.2.1"), &"ann", now).expect("a place").succeed();
        assert_eq!(attempts.remembered(), 0);
        assert_eq!(fail(&attempts, "ann", now), Some(Duration::ZERO));
    }

    #[test]
    fn attempts_that_are_being_verified_take_places() {
        let (attempts, now) = (Attempts::new(3), Instant::now());
        let start = || attempts.start(peer("192.0.2.1"), &"ann", now);
        let mut started: Vec<_> = std::iter::from_fn(|| start().ok()).collect();
        assert_eq!(started.len(), PLACES);
        assert_eq!(start().map(drop), Err(RECHECK));
        started.pop();
        start().expect("a place");
    }

    #[test]
    fn memory_is_bounded_and_entries_with_many_failures_are_removed_last() {
        let (attempts, now) = (Attempts::new(3), Instant::now());
        for _ in 0..10 {
            fail(&attempts, "ann", now);
        }
        for number in 0..25_000 {
            fail(&attempts, &format!("user {number}"), now);
        }
        assert!(attempts.remembered() <= ENTRIES);
        assert_eq!(fail(&attempts, "ann", now), Some(SECOND), "the failures are remembered");
        fail(&attempts, "ann", now + 2 * MEMORY);
        assert_eq!(fail(&attempts, "ann", now + 4 * MEMORY), Some(Duration::ZERO), "forgotten");
    }

    proptest! {
        #[test]
        fn guesses_are_limited_and_a_place_becomes_free_in_time(steps in prop::collection::vec(0u64..500, 1..3000)) {
            let (attempts, start) = (Attempts::new(3), Instant::now());
            let (mut now, mut guesses) = (start, 0u32);
            for step in steps {
                now += Duration::from_millis(step);
                match attempts.start(peer("192.0.2.1"), &"ann", now) {
                    Ok(attempt) => {
                        prop_assert!(attempt.fail(now) <= MAX_DELAY);
                        guesses += 1;
                    }
                    Err(wait) => {
                        prop_assert!(wait <= MAX_DELAY);
                        prop_assert!(attempts.start(peer("192.0.2.1"), &"ann", now + wait).is_ok());
                    }
                }
            }
            let most = 3.0 + PLACES as f64 * ((now - start).as_secs_f64() + 1.0);
            prop_assert!(f64::from(guesses) <= most, "{guesses} > {most}");
        }
    }
}
