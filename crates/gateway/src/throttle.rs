//! Wrong logins in a row, by address and cluster: after some, the next one has to wait, twice as long
//! each time.
//!
//! Pure but for its own memory, which is bounded; the time is an argument. Ask once before a login
//! starts, and once more right before its proof is judged: logins that run side by side would
//! otherwise all be let in before the first of them has failed.

use ootheca_model::ClusterId;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// People mistype.
const FREE: u32 = 3;
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(60 * 60);
/// Without a failure for this long after the delay has ended, all is forgotten.
const MEMORY: Duration = Duration::from_secs(60 * 60);
const ENTRIES: usize = 10_000;

/// The failures that count.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<HashMap<Key, Failures>>);

type Key = (IpAddr, ClusterId);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    fn delay(self) -> Duration {
        match self.count.saturating_sub(FREE) {
            0 => Duration::ZERO,
            counted => FIRST_DELAY.saturating_mul(1 << (counted - 1).min(12)).min(LONGEST_DELAY),
        }
    }

    /// How long logins still have to wait.
    fn wait(self, now: Instant) -> Duration {
        (self.last + self.delay()).saturating_duration_since(now)
    }

    fn forgotten(self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= self.delay() + MEMORY
    }
}

impl Throttle {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the peer may try to log in to the cluster; if not, in how long it may.
    pub(crate) fn check(&self, peer: IpAddr, cluster: ClusterId, now: Instant) -> Result<(), Duration> {
        let wait = self.lock().get(&key(peer, cluster)).map_or(Duration::ZERO, |failures| failures.wait(now));
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// The peer failed to prove who it is.
    pub(crate) fn failed(&self, peer: IpAddr, cluster: ClusterId, now: Instant) {
        let (mut entries, key) = (self.lock(), key(peer, cluster));
        if entries.len() >= ENTRIES && !entries.contains_key(&key) {
            make_room(&mut entries, now);
        }
        let failures = entries.entry(key).or_insert(Failures { count: 0, last: now });
        if failures.forgotten(now) {
            failures.count = 0;
        }
        *failures = Failures { count: failures.count.saturating_add(1), last: now.max(failures.last) };
    }

    /// The peer has proven who it is.
    pub(crate) fn succeeded(&self, peer: IpAddr, cluster: ClusterId) {
        self.lock().remove(&key(peer, cluster));
    }
}

/// A customer has a /64 of IPv6 addresses, and one of IPv4.
fn key(peer: IpAddr, cluster: ClusterId) -> Key {
    let network = match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !0 << 64)),
        address => address,
    };
    (network, cluster)
}

/// Drops what is forgotten, or else a tenth: first what delays nobody now, the oldest first.
fn make_room(entries: &mut HashMap<Key, Failures>, now: Instant) {
    entries.retain(|_, failures| !failures.forgotten(now));
    if entries.len() < ENTRIES {
        return;
    }
    let mut order: Vec<_> =
        entries.iter().map(|(key, failures)| (!failures.wait(now).is_zero(), failures.last, *key)).collect();
    let tenth = ENTRIES / 10;
    order.select_nth_unstable(tenth);
    for (_, _, key) in &order[..tenth] {
        entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CLUSTER: ClusterId = ClusterId(uuid::Uuid::from_u128(1));
    const OTHER: ClusterId = ClusterId(uuid::Uuid::from_u128(2));

    fn peer(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn three_are_free_and_then_it_doubles_up_to_an_hour() {
        let (throttle, ann, mut now) = (Throttle::default(), peer("192.0.2.1"), Instant::now());
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
        let (throttle, now) = (Throttle::default(), Instant::now());
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
        let (throttle, ann, now) = (Throttle::default(), peer("192.0.2.1"), Instant::now());
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
        let (throttle, now) = (Throttle::default(), Instant::now());
        let ann = peer("192.0.2.1");
        for _ in 0..20 {
            throttle.failed(ann, CLUSTER, now);
        }
        for number in 0..25_000u32 {
            throttle.failed(IpAddr::V4(number.into()), OTHER, now + seconds(1));
        }
        assert!(throttle.lock().len() <= ENTRIES);
        assert!(throttle.check(ann, CLUSTER, now + seconds(1)).is_err());
        assert!(throttle.lock().contains_key(&key(IpAddr::V4(24_999.into()), OTHER)));
        throttle.lock().retain(|_, failures| failures.count == 1);
        for number in 30_000..50_000u32 {
            throttle.failed(IpAddr::V4(number.into()), OTHER, now + seconds(4000));
        }
        assert!(throttle.lock().len() <= ENTRIES);
    }

    proptest! {
        #[test]
        fn never_longer_than_an_hour_and_never_forever(steps in prop::collection::vec(0u64..9000, 0..60)) {
            let (throttle, ann, mut now) = (Throttle::default(), peer("192.0.2.1"), Instant::now());
            for step in steps {
                now += seconds(step);
                throttle.failed(ann, CLUSTER, now);
                let wait = throttle.check(ann, CLUSTER, now).err().unwrap_or_default();
                prop_assert!(wait <= LONGEST_DELAY);
                prop_assert_eq!(throttle.check(ann, CLUSTER, now + wait), Ok(()));
            }
        }
    }
}
