use super::*;
use std::task::{Context, Waker};

fn termination(session: &Registration) -> Option<Termination> {
    session.handle.poll_termination(&mut Context::from_waker(Waker::noop()))
}

fn id(number: u128) -> ClusterId {
    ClusterId(uuid::Uuid::from_u128(number))
}

fn notice() -> Notice {
    Notice { message: "over".into(), hint: "delete".into() }
}

fn policy(admission: AdmissionState) -> Policy {
    Policy { allow: vec!["10.0.0.0/8".parse().expect("a network")], admission }
}

#[test]
fn only_sessions_that_are_not_allowed_are_terminated() {
    let registry = Arc::new(Registry::default());
    let (one, other) = (id(1), id(2));
    let near = registry.register(one, [10, 0, 0, 1].into());
    let far = registry.register(one, [192, 0, 2, 1].into());
    let elsewhere = registry.register(other, [192, 0, 2, 1].into());
    registry.enforce(one, Some(&policy(AdmissionState::Open)));
    assert_eq!([&near, &far, &elsewhere].map(termination), [None, Some(Termination::NotAllowed), None]);
    registry.enforce(one, None);
    assert_eq!(
        [&near, &far, &elsewhere].map(termination),
        [Some(Termination::Deleted), Some(Termination::Deleted), None]
    );
    drop((near, far));
    registry.mark_reported(&[]);
    assert!(!registry.contains(one) && registry.contains(other));
    registry.terminate_all(Termination::Drain);
    assert_eq!(termination(&elsewhere), Some(Termination::Drain));
    assert_eq!(termination(&registry.register(one, [10, 0, 0, 1].into())), Some(Termination::Drain));
}

#[test]
fn admission_state_and_active_slots() {
    let registry = Arc::new(Registry::default());
    let new = || registry.register(id(1), [10, 0, 0, 1].into());
    let (first, second, third) = (new(), new(), new());
    let throttled = AdmissionState::Throttled(notice());
    assert!(first.activate(&AdmissionState::Open, 2).expect("activated").is_none());
    assert!(second.activate(&AdmissionState::Open, 2).is_ok());
    assert_eq!(third.activate(&AdmissionState::Open, 2).err(), Some(ActivationError::TooManySessions));
    assert!(first.activate(&AdmissionState::Open, 2).is_ok(), "activated again");
    assert_eq!(third.activate(&throttled, 2).err(), Some(ActivationError::Throttled(notice())));
    assert_eq!(
        third.activate(&AdmissionState::Disabled(notice()), 2).err(),
        Some(ActivationError::Disabled(notice()))
    );
    registry.enforce(id(1), Some(&policy(throttled.clone())));
    assert_eq!(
        [&first, &second, &third].map(termination),
        [Some(Termination::Throttled), Some(Termination::Throttled), None]
    );
    assert_eq!(first.handle.notice(), Some(notice()));
    drop((first, second));
    let limit = third.activate(&throttled, 2).expect("activated").expect("a limit");
    registry.enforce(id(1), Some(&policy(throttled.clone())));
    assert!(termination(&third).is_none() && limit.exceeded.load(Ordering::Acquire));
    registry.enforce(id(1), Some(&policy(AdmissionState::Open)));
    assert!(termination(&third).is_none() && !limit.exceeded.load(Ordering::Acquire));
    registry.enforce(id(1), Some(&policy(throttled)));
    assert_eq!(termination(&third), Some(Termination::Throttled));
    registry.enforce(id(1), Some(&policy(AdmissionState::Disabled(notice()))));
    assert_eq!(termination(&third), Some(Termination::Disabled));
}

#[test]
fn activity_is_reported_until_marked() {
    let registry = Arc::new(Registry::default());
    let live = registry.register(id(1), [10, 0, 0, 1].into());
    assert!(registry.unreported().is_empty(), "an unauthenticated session does not count");
    assert!(live.activate(&AdmissionState::Open, 9).is_ok());
    live.handle.set_sent(10);
    let expected = |sessions, sessions_seen, sent, received| {
        vec![Activity { cluster: id(1), sessions, sessions_seen, sent, received }]
    };
    assert_eq!(registry.unreported(), expected(1, 1, 10, 0));
    live.handle.set_sent(15);
    live.handle.set_received(3);
    let report = registry.unreported();
    assert_eq!(report, expected(1, 1, 15, 3));
    drop(live);
    registry.mark_reported(&report);
    assert_eq!(registry.unreported(), expected(0, 1, 0, 0));
    let brief = registry.register(id(1), [10, 0, 0, 1].into());
    assert!(brief.activate(&AdmissionState::Open, 9).is_ok());
    brief.handle.set_received(4);
    drop(brief);
    let report = registry.unreported();
    assert_eq!(report, expected(0, 2, 0, 4));
    registry.mark_reported(&report);
    assert!(registry.unreported().is_empty());
    assert_eq!(registry.usage()[&id(1)], Usage { sessions: 0, sent: 15, received: 7 });
}
