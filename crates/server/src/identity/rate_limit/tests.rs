use super::*;
use ootheca_model::throttle::MEMORY;
use proptest::prelude::*;

const ANN: PrincipalId = PrincipalId(uuid::Uuid::from_u128(1));
const BOB: PrincipalId = PrincipalId(uuid::Uuid::from_u128(2));

fn limiter(requests_per_second: u32, burst: u32) -> Limiter {
    let settings = RateLimitSettings { mode: RateLimitMode::Always, requests_per_second, burst };
    Limiter::new(&settings, EngineKind::Simulated)
}

fn peer(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn calls_after_a_burst_are_spaced() {
    let (limiter, now) = (limiter(10, 40), Instant::now());
    for _ in 0..40 {
        assert_eq!(limiter.admit(ANN, now), Ok(()));
    }
    assert_eq!(limiter.admit(ANN, now), Err(millis(100)));
    assert_eq!(limiter.admit(BOB, now), Ok(()), "each caller has a limit of its own");
    assert_eq!(limiter.admit(ANN, now + millis(99)), Err(millis(1)));
    assert_eq!(limiter.admit(ANN, now + millis(100)), Ok(()));
    assert_eq!(limiter.admit(ANN, now + millis(100)), Err(millis(100)));
    let later = now + millis(60_000);
    let admitted = (0..100).filter(|_| limiter.admit(ANN, later).is_ok()).count();
    assert_eq!(admitted, 40, "what was not used is kept up to the burst");
}

#[test]
fn the_mode_enables_and_disables_the_limit() {
    let on = |mode, engine| {
        let settings = RateLimitSettings { mode, requests_per_second: 1, burst: 1 };
        let (limiter, now) = (Limiter::new(&settings, engine), Instant::now());
        (0..2).any(|_| limiter.admit(ANN, now).is_err())
    };
    assert!(on(RateLimitMode::Auto, EngineKind::Postgres) && !on(RateLimitMode::Auto, EngineKind::Simulated));
    assert!(on(RateLimitMode::Always, EngineKind::Simulated));
    assert!(!on(RateLimitMode::Never, EngineKind::Postgres));
}

#[test]
fn delays_start_after_ten_failures_and_double() {
    let (limiter, ann, mut now) = (limiter(10, 40), peer("192.0.2.1"), Instant::now());
    for _ in 0..10 {
        assert_eq!(limiter.failed(ann, now), Ok(()));
    }
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
        assert_eq!(limiter.failed(ann, now), Ok(()));
        assert_eq!(limiter.failed(ann, now), Err(millis(seconds * 1000)), "while it waits nothing counts");
        assert_eq!(limiter.check(peer("192.0.2.2"), now), Ok(()));
        now += millis(seconds * 1000);
        assert_eq!(limiter.check(ann, now), Ok(()));
    }
    now += MEMORY + LONGEST_DELAY;
    assert_eq!([limiter.failed(ann, now), limiter.failed(ann, now)], [Ok(()), Ok(())], "forgotten");
}

#[test]
fn an_ipv6_network_counts_as_one_address() {
    let (limiter, now) = (limiter(10, 40), Instant::now());
    let failed = (0..11).all(|host| limiter.failed(peer(&format!("2001:db8::{host}")), now).is_ok());
    assert!(failed);
    assert!(limiter.check(peer("2001:db8::ffff:1"), now).is_err());
    assert!(limiter.check(peer("2001:db8:0:1::1"), now).is_ok());
}

#[test]
fn memory_is_bounded() {
    let (limiter, now) = (limiter(10, 40), Instant::now());
    for number in 0..25_000_u32 {
        let _ = limiter.admit(PrincipalId(uuid::Uuid::from_u128(number.into())), now);
        let _ = limiter.failed(IpAddr::V4(number.into()), now);
    }
    assert!(lock(&limiter.callers).len() <= ENTRIES);
    assert!(limiter.failures.remembered() <= ENTRIES);
}

#[test]
fn retry_after_is_whole_seconds_and_never_too_early() {
    let seconds = [0, 1, 999, 1000, 1001].map(|wait| retry_after(millis(wait)));
    assert_eq!(seconds, [1, 1, 1, 1, 2]);
}

proptest! {
    #[test]
    fn the_rate_is_never_exceeded(
        rate in 1_u32..50,
        burst in 1_u32..50,
        steps in prop::collection::vec(0_u64..300, 1..200),
    ) {
        let (limiter, start) = (limiter(rate, burst), Instant::now());
        let (mut now, mut admitted) = (start, 0_u32);
        for step in steps {
            now += millis(step);
            if let Err(wait) = limiter.admit(ANN, now) {
                now += wait;
                prop_assert!(limiter.admit(ANN, now).is_ok(), "the wait is long enough");
            }
            admitted += 1;
            let most = f64::from(burst) + (now - start).as_secs_f64() * f64::from(rate) + 0.001;
            prop_assert!(f64::from(admitted) <= most, "{} > {}", admitted, most);
        }
    }
}
