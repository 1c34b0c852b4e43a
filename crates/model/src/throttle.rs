//! Failures in a row, by address and what was tried: after some, the next try has to wait, twice as long
//! each time.
//!
//! Pure but for its own memory, which is bounded; the time is an argument. Ask once before a try starts,
//! and once more right before it is judged: tries that run side by side would otherwise all be let in
//! before the first of them has failed.

use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Without a failure for this long after the delay has ended, all is forgotten.
pub const MEMORY: Duration = Duration::from_secs(60 * 60);
/// Most failures that are remembered.
const ENTRIES: usize = 10_000;

/// The failures that count, of tries at a `T`.
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
    /// So many failures in a row cost nothing; no later one costs more than `longest`.
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

    /// How long the next try still has to wait.
    fn wait(&self, failures: Failures, now: Instant) -> Duration {
        (failures.last + self.delay(failures)).saturating_duration_since(now)
    }

    fn forgotten(&self, failures: Failures, now: Instant) -> bool {
        now.saturating_duration_since(failures.last) >= self.delay(failures) + MEMORY
    }

    /// Whether the peer may try; if not, in how long it may.
    pub fn check(&self, peer: IpAddr, what: T, now: Instant) -> Result<(), Duration> {
        let known = self.lock().get(&(network(peer), what)).copied();
        let wait = known.map_or(Duration::ZERO, |failures| self.wait(failures, now));
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// The peer failed.
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

    /// The peer succeeded.
    pub fn succeeded(&self, peer: IpAddr, what: T) {
        self.lock().remove(&(network(peer), what));
    }

    /// How many peers and tries are remembered.
    pub fn remembered(&self) -> usize {
        self.lock().len()
    }

    /// Drops what is forgotten, or else a tenth: first what delays nobody now, the oldest first.
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

/// A customer has a /64 of IPv6 addresses, and one of IPv4.
fn network(peer: IpAddr) -> IpAddr {
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
    fn three_are_free_and_then_it_doubles_up_to_an_hour() {
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
    fn only_that_peer_and_that_cluster() {
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
    fn forgotten_after_a_success_or_an_hour() {
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
    fn bounded_and_what_delays_goes_last() {
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
        fn never_longer_than_an_hour_and_never_forever(steps in prop::collection::vec(0u64..9000, 0..60)) {
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
