use super::*;
use ootheca_model::throttle::MEMORY;
use proptest::prelude::*;

const ANN: PrincipalId = PrincipalId(uuid::Uuid::from_u128(1));
const BOB: PrincipalId = PrincipalId(uuid::Uuid::from_u128(2));

fn limiter(requests_per_second: u32, burst: u32) -> Limiter {
    with_mode(RateLimitMode::Refuse, requests_per_second, burst)
}

fn with_mode(mode: RateLimitMode, requests_per_second: u32, burst: u32) -> Limiter {
    let settings = RateLimitSettings { mode, requests_per_second, burst };
    Limiter::new(&settings, EngineKind::Simulated)
}

/// Counts a call. Returns the time to wait if it can't start now.
fn admit(limiter: &Limiter, caller: PrincipalId, now: Instant) -> Result<(), Duration> {
    match limiter.enter(caller, now)? {
        None => Ok(()),
        Some(turn) => turn.take(now),
    }
}

/// A call that has to wait.
#[track_caller]
fn waiting(limiter: &Limiter, now: Instant) -> Turn<'_> {
    limiter.enter(ANN, now).expect("the call is not refused").expect("the call waits")
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
        assert_eq!(admit(&limiter, ANN, now), Ok(()));
    }
    assert_eq!(admit(&limiter, ANN, now), Err(millis(100)));
    assert_eq!(admit(&limiter, BOB, now), Ok(()), "each caller has a limit of its own");
    assert_eq!(admit(&limiter, ANN, now + millis(99)), Err(millis(1)));
    assert_eq!(admit(&limiter, ANN, now + millis(100)), Ok(()));
    assert_eq!(admit(&limiter, ANN, now + millis(100)), Err(millis(100)));
    let later = now + millis(60_000);
    let admitted = (0..100).filter(|_| admit(&limiter, ANN, later).is_ok()).count();
    assert_eq!(admitted, 40, "what was not used is kept up to the burst");
}

#[test]
fn changed_limits_apply_to_calls_that_wait() {
    let (limiter, now) = (with_mode(RateLimitMode::Pace, 1, 1), Instant::now());
    assert_eq!(admit(&limiter, ANN, now), Ok(()));
    let turn = waiting(&limiter, now);
    assert_eq!(turn.take(now), Err(millis(1000)));
    let settings = |mode| RateLimitSettings { mode, requests_per_second: 10, burst: 10 };
    limiter.configure(&settings(RateLimitMode::Never), EngineKind::Simulated);
    assert_eq!(turn.take(now), Ok(()));
    assert_eq!(admit(&limiter, ANN, now), Ok(()));
    limiter.configure(&settings(RateLimitMode::Refuse), EngineKind::Simulated);
    let admitted = (0..100).filter(|_| admit(&limiter, BOB, now).is_ok()).count();
    assert_eq!(admitted, 10);
}

#[test]
fn calls_wait_in_order_of_arrival_up_to_ten_seconds() {
    let (limiter, now) = (with_mode(RateLimitMode::Pace, 10, 40), Instant::now());
    for _ in 0..40 {
        assert!(limiter.enter(ANN, now).expect("the call is not refused").is_none());
    }
    let turns: Vec<Turn> = (0..100).map(|_| waiting(&limiter, now)).collect();
    assert_eq!(limiter.enter(ANN, now).err(), Some(millis(100)), "it would wait for 10.1 s");
    assert!(limiter.enter(BOB, now).expect("a limit of its own").is_none());
    for (number, turn) in (1..).zip(&turns) {
        let due = now + millis(100 * number);
        assert_eq!(turn.take(due - millis(1)), Err(millis(1)));
        assert_eq!(turn.take(due), Ok(()));
        assert!(limiter.enter(ANN, due).is_ok(), "the time that was returned is long enough");
    }
}

#[test]
fn a_call_that_leaves_does_not_use_its_turn() {
    let (limiter, now) = (with_mode(RateLimitMode::Pace, 10, 1), Instant::now());
    assert!(limiter.enter(ANN, now).expect("the call is not refused").is_none());
    let mut turns: VecDeque<Turn> = (0..5).map(|_| waiting(&limiter, now)).collect();
    let last = turns.pop_back().expect("a turn");
    assert_eq!(last.take(now), Err(millis(500)));
    drop(turns);
    assert_eq!(last.take(now), Err(millis(100)), "those before it have left");
    assert_eq!(last.take(now + millis(100)), Ok(()));
    drop(last);
    assert_eq!(waiting(&limiter, now + millis(100)).take(now + millis(100)), Err(millis(100)));
}

#[test]
fn the_mode_enables_and_disables_the_limit() {
    let waits = |mode, engine| {
        let settings = RateLimitSettings { mode, requests_per_second: 1, burst: 1 };
        let (limiter, now) = (Limiter::new(&settings, engine), Instant::now());
        assert!(limiter.enter(ANN, now).expect("the call is not refused").is_none());
        limiter.enter(ANN, now).map(|turn| turn.is_some())
    };
    assert_eq!(waits(RateLimitMode::Auto, EngineKind::Postgres), Ok(true));
    assert_eq!(waits(RateLimitMode::Auto, EngineKind::Simulated), Ok(false));
    assert_eq!(waits(RateLimitMode::Pace, EngineKind::Simulated), Ok(true));
    assert_eq!(waits(RateLimitMode::Never, EngineKind::Postgres), Ok(false));
    assert!(waits(RateLimitMode::Refuse, EngineKind::Simulated).is_err());
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
        assert_eq!(limiter.failures.check(peer("192.0.2.2"), (), now), Ok(()));
        now += millis(seconds * 1000);
        assert_eq!(limiter.failures.check(ann, (), now), Ok(()));
    }
    now += MEMORY + LONGEST_DELAY;
    assert_eq!([limiter.failed(ann, now), limiter.failed(ann, now)], [Ok(()), Ok(())], "forgotten");
}

#[test]
fn an_ipv6_network_counts_as_one_address() {
    let (limiter, now) = (limiter(10, 40), Instant::now());
    let failed = (0..11).all(|host| limiter.failed(peer(&format!("2001:db8::{host}")), now).is_ok());
    assert!(failed);
    assert!(limiter.failures.check(peer("2001:db8::ffff:1"), (), now).is_err());
    assert!(limiter.failures.check(peer("2001:db8:0:1::1"), (), now).is_ok());
}

#[test]
fn memory_is_bounded() {
    let (limiter, now) = (limiter(10, 40), Instant::now());
    for number in 0..25_000_u32 {
        let _ = admit(&limiter, PrincipalId(uuid::Uuid::from_u128(number.into())), now);
        let _ = limiter.failed(IpAddr::V4(number.into()), now);
    }
    assert!(limiter.callers.lock().queues.len() <= ENTRIES);
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
            if let Err(wait) = admit(&limiter, ANN, now) {
                now += wait;
                prop_assert!(admit(&limiter, ANN, now).is_ok(), "the wait is long enough");
            }
            admitted += 1;
            let most = f64::from(burst) + (now - start).as_secs_f64() * f64::from(rate) + 0.001;
            prop_assert!(f64::from(admitted) <= most, "{} > {}", admitted, most);
        }
    }

    #[test]
    fn waiting_calls_keep_their_order_and_the_rate(
        rate in 1_u32..50,
        burst in 1_u32..10,
        steps in prop::collection::vec((0_u64..200, 0_u8..4), 1..200),
    ) {
        let (limiter, start) = (with_mode(RateLimitMode::Pace, rate, burst), Instant::now());
        let (mut now, mut admitted, mut turns) = (start, 0_u32, VecDeque::new());
        for (step, action) in steps {
            now += millis(step);
            match action {
                // A client disconnects.
                0 => drop(turns.remove(turns.len() / 2)),
                1 => {
                    let before = turns.len();
                    let waits: Vec<Duration> =
                        turns.iter().filter_map(|turn: &Turn| turn.take(now).err()).collect();
                    admitted += u32::try_from(before - waits.len()).expect("a small number");
                    turns.drain(..before - waits.len());
                    prop_assert!(waits.is_sorted(), "{:?}", waits);
                    prop_assert!(waits.iter().all(|wait| *wait <= LONGEST_WAIT), "{:?}", waits);
                    for (turn, wait) in turns.iter().zip(waits) {
                        prop_assert_eq!(turn.take(now), Err(wait));
                    }
                }
                _ => match limiter.enter(ANN, now) {
                    Ok(None) => admitted += 1,
                    Ok(Some(turn)) => turns.push_back(turn),
                    Err(_) => {}
                },
            }
            let most = f64::from(burst) + (now - start).as_secs_f64() * f64::from(rate) + 0.001;
            prop_assert!(f64::from(admitted) <= most, "{} > {}", admitted, most);
        }
    }
}
