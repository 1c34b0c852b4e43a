//! Delays attempts after repeated failures, by address and subject. The delay doubles with each further
//! failure.
//!
//! The memory is bounded, and the time is an argument. Check once before an attempt starts and again right
//! before it is evaluated. Otherwise concurrent attempts would all be admitted before the first of them has
//! failed.

use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The failures of an address are forgotten if there is no other for this long after the delay has ended.
pub const MEMORY: Duration = Duration::from_secs(60 * 60);
/// The maximum number of entries.
const ENTRIES: usize = 10_000;

/// The recent failures of attempts at a `T`.
#[derive(Debug)]
pub struct Throttle<T> {
    free: u32,
    longest: Duration,
    failures: Mutex<HashMap<(IpAddr, T), Failures>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl<T: Copy + Ord + Hash> Throttle<T> {
    /// The first `free` consecutive failures cause no delay. Later delays do not exceed `longest`.
    pub fn new(free: u32, longest: Duration) -> Self {
        Self { free, longest, failures: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(IpAddr, T), Failures>> {
        self.failures.lock()
    }

    fn delay(&self, failures: Failures) -> Duration {
        match failures.count.saturating_sub(self.free) {
            0 => Duration::ZERO,
            counted => FIRST_DELAY.saturating_mul(1 << (counted - 1).min(12)).min(self.longest),
        }
    }

    /// The remaining delay before the next attempt.
    fn wait(&self, failures: Failures, now: Instant) -> Duration {
        (failures.last + self.delay(failures)).saturating_duration_since(now)
    }

    fn forgotten(&self, failures: Failures, now: Instant) -> bool {
        now.saturating_duration_since(failures.last) >= self.delay(failures) + MEMORY
    }

    /// Checks whether the peer may try. Returns the remaining delay if it may not.
    pub fn check(&self, peer: IpAddr, what: T, now: Instant) -> Result<(), Duration> {
        let known = self.lock().get(&(network(peer), what)).copied();
        let wait = known.map_or(Duration::ZERO, |failures| self.wait(failures, now));
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// Records a failure.
    pub fn failed(&self, peer: IpAddr, what: T, now: Instant) {
        let (mut entries, key) = (self.lock(), (network(peer), what));
        if entries.len() >= ENTRIES && !entries.contains_key(&key) {
            self.make_room(&mut entries, now);
        }
        let failures = entries.entry(key).or_insert(Failures { count: 0, last: now });
        if self.forgotten(*failures, now) {
            failures.count = 0;
        }
        *failures = Failures { count: failures.count.saturating_add(1), last: now.max(failures.last) };
    }

    /// Records a success, which resets the failures.
    pub fn succeeded(&self, peer: IpAddr, what: T) {
        self.lock().remove(&(network(peer), what));
    }

    /// The number of entries.
    pub fn remembered(&self) -> usize {
        self.lock().len()
    }

    /// Drops expired entries, or a tenth of all entries if there are none: first those that cause no delay,
    /// the oldest first.
    fn make_room(&self, entries: &mut HashMap<(IpAddr, T), Failures>, now: Instant) {
        entries.retain(|_, failures| !self.forgotten(*failures, now));
        if entries.len() < ENTRIES {
            return;
        }
        let order = |(key, failures): (&(IpAddr, T), &Failures)| {
            (!self.wait(*failures, now).is_zero(), failures.last, *key)
        };
        let mut order: Vec<_> = entries.iter().map(order).collect();
        let tenth = ENTRIES / 10;
        order.select_nth_unstable(tenth);
        for (_, _, key) in &order[..tenth] {
            entries.remove(key);
        }
    }
}

/// The network that counts as one address: a customer typically has a /64 network of IPv6 addresses, but a single IPv4 address.
pub fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !0 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClusterId;
    use proptest::prelude::*;

    const CLUSTER: ClusterId = ClusterId(uuid::Uuid::from_u128(1));
    const OTHER: ClusterId = ClusterId(uuid::Uuid::from_u128(2));

    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn logins() -> Throttle<ClusterId> {
        Throttle::new(3, HOUR)
    }

    fn peer(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn delays_start_after_three_failures_and_double_up_to_an_hour() {
        let (throttle, ann, mut now) = (logins(), peer("192.0.2.1"), Instant::now());
        for _ in 0..3 {
            throttle.failed(ann, CLUSTER, now);
            assert_eq!(throttle.check(ann, CLUSTER, now), Ok(()));
        }
        for delay in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600, 3600] {
            throttle.failed(ann, CLUSTER, now);
            assert_eq!(throttle.check(ann, CLUSTER, now), Err(seconds(delay)));
            now += seconds(delay) - Duration::from_millis(1);
            assert_eq!(throttle.check(ann, CLUSTER, now), Err(Duration::from_millis(1)));
            now += Duration::from_millis(1);
            assert_eq!(throttle.check(ann, CLUSTER, now), Ok(()));
        }
    }

    #[test]
    fn delays_apply_to_one_peer_and_one_cluster() {
        let (throttle, now) = (logins(), Instant::now());
        for _ in 0..4 {
            throttle.failed(peer("192.0.2.1"), CLUSTER, now);
            throttle.failed(peer("2001:db8::1"), CLUSTER, now);
        }
        let free = |text, cluster| throttle.check(peer(text), cluster, now).is_ok();
        assert!(!free("192.0.2.1", CLUSTER) && !free("::ffff:192.0.2.1", CLUSTER));
        assert!(free("192.0.2.1", OTHER) && free("192.0.2.2", CLUSTER));
        assert!(!free("2001:db8::ffff:1", CLUSTER) && free("2001:db8:0:1::1", CLUSTER));
    }

    #[test]
    fn failures_are_forgotten_after_a_success_or_an_hour() {
        let (throttle, ann, now) = (logins(), peer("192.0.2.1"), Instant::now());
        let fail = |now| (0..4).for_each(|_| throttle.failed(ann, CLUSTER, now));
        fail(now);
        throttle.succeeded(ann, CLUSTER);
        fail(now);
        assert_eq!(throttle.check(ann, CLUSTER, now), Err(seconds(1)));
        throttle.failed(ann, CLUSTER, now + seconds(3600));
        assert_eq!(throttle.check(ann, CLUSTER, now + seconds(3600)), Err(seconds(2)));
        throttle.failed(ann, CLUSTER, now + seconds(7202));
        assert_eq!(throttle.check(ann, CLUSTER, now + seconds(7202)), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_delaying_entries_are_evicted_last() {
        let (throttle, now) = (logins(), Instant::now());
        let ann = peer("192.0.2.1");
        for _ in 0..20 {
            throttle.failed(ann, CLUSTER, now);
        }
        for number in 0..25_000u32 {
            throttle.failed(IpAddr::V4(number.into()), OTHER, now + seconds(1));
        }
        assert!(throttle.lock().len() <= ENTRIES);
        assert!(throttle.check(ann, CLUSTER, now + seconds(1)).is_err());
        assert!(throttle.lock().contains_key(&(IpAddr::V4(24_999.into()), OTHER)));
        throttle.lock().retain(|_, failures| failures.count == 1);
        for number in 30_000..50_000u32 {
            throttle.failed(IpAddr::V4(number.into()), OTHER, now + seconds(4000));
        }
        assert!(throttle.lock().len() <= ENTRIES);
    }

    proptest! {
        #[test]
        fn delays_never_exceed_an_hour(steps in prop::collection::vec(0u64..9000, 0..60)) {
            let (throttle, ann, mut now) = (logins(), peer("192.0.2.1"), Instant::now());
            for step in steps {
                now += seconds(step);
                throttle.failed(ann, CLUSTER, now);
                let wait = throttle.check(ann, CLUSTER, now).err().unwrap_or_default();
                prop_assert!(wait <= HOUR);
                prop_assert_eq!(throttle.check(ann, CLUSTER, now + wait), Ok(()));
            }
        }
    }
}
