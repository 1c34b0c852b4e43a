use super::*;
use std::task::Waker;

fn cut(live: &Live) -> Option<Cut> {
    live.switch.poll(&mut Context::from_waker(Waker::noop()))
}

fn id(number: u128) -> ClusterId {
    ClusterId(uuid::Uuid::from_u128(number))
}

fn notice() -> Notice {
    Notice { message: "over".into(), hint: "delete".into() }
}

fn policy(standing: Standing) -> Policy {
    Policy { allow: vec!["10.0.0.0/8".parse().expect("a network")], standing }
}

#[test]
fn only_those_that_are_not_allowed() {
    let sessions = Arc::new(Sessions::default());
    let (one, other) = (id(1), id(2));
    let near = sessions.register(one, [10, 0, 0, 1].into());
    let far = sessions.register(one, [192, 0, 2, 1].into());
    let elsewhere = sessions.register(other, [192, 0, 2, 1].into());
    sessions.enforce(one, Some(&policy(Standing::Open)));
    assert_eq!([&near, &far, &elsewhere].map(cut), [None, Some(Cut::Policy), None]);
    sessions.enforce(one, None);
    assert_eq!([&near, &far, &elsewhere].map(cut), [Some(Cut::Deleted), Some(Cut::Deleted), None]);
    drop((near, far));
    sessions.reported(&[]);
    assert!(!sessions.any(one) && sessions.any(other));
    sessions.cut_all(Cut::Drain);
    assert_eq!(cut(&elsewhere), Some(Cut::Drain));
    assert_eq!(cut(&sessions.register(one, [10, 0, 0, 1].into())), Some(Cut::Drain));
}

#[test]
fn standing_and_seats() {
    let sessions = Arc::new(Sessions::default());
    let new = || sessions.register(id(1), [10, 0, 0, 1].into());
    let (first, second, third) = (new(), new(), new());
    let throttled = Standing::Throttled(notice());
    assert!(first.enter(&Standing::Open, 2).expect("entered").is_none());
    assert!(second.enter(&Standing::Open, 2).is_ok());
    assert_eq!(third.enter(&Standing::Open, 2).err(), Some(Closed::Full));
    assert!(first.enter(&Standing::Open, 2).is_ok(), "entered once more");
    assert_eq!(third.enter(&throttled, 2).err(), Some(Closed::Throttled(notice())));
    assert_eq!(third.enter(&Standing::Disabled(notice()), 2).err(), Some(Closed::Disabled(notice())));
    sessions.enforce(id(1), Some(&policy(throttled.clone())));
    assert_eq!([&first, &second, &third].map(cut), [Some(Cut::Throttled), Some(Cut::Throttled), None]);
    assert_eq!(first.switch.notice(), Some(notice()));
    drop((first, second));
    let (_, over) = third.enter(&throttled, 2).expect("entered").expect("a guard");
    sessions.enforce(id(1), Some(&policy(throttled.clone())));
    assert!(cut(&third).is_none() && over.load(Ordering::Acquire));
    sessions.enforce(id(1), Some(&policy(Standing::Open)));
    assert!(cut(&third).is_none() && !over.load(Ordering::Acquire));
    sessions.enforce(id(1), Some(&policy(throttled)));
    assert_eq!(cut(&third), Some(Cut::Throttled));
    sessions.enforce(id(1), Some(&policy(Standing::Disabled(notice()))));
    assert_eq!(cut(&third), Some(Cut::Disabled));
}

#[test]
fn what_is_not_noted_is_reported_again() {
    let sessions = Arc::new(Sessions::default());
    let live = sessions.register(id(1), [10, 0, 0, 1].into());
    assert!(sessions.activities().is_empty(), "who has proven nothing is no session");
    assert!(live.enter(&Standing::Open, 9).is_ok());
    live.switch.sent(10);
    let expected = |sessions, sessions_seen, sent, received| {
        vec![Activity { cluster: id(1), sessions, sessions_seen, sent, received }]
    };
    assert_eq!(sessions.activities(), expected(1, 1, 10, 0));
    live.switch.sent(15);
    live.switch.received(3);
    let report = sessions.activities();
    assert_eq!(report, expected(1, 1, 15, 3));
    drop(live);
    sessions.reported(&report);
    assert_eq!(sessions.activities(), expected(0, 1, 0, 0));
    let brief = sessions.register(id(1), [10, 0, 0, 1].into());
    assert!(brief.enter(&Standing::Open, 9).is_ok());
    brief.switch.received(4);
    drop(brief);
    let report = sessions.activities();
    assert_eq!(report, expected(0, 2, 0, 4));
    sessions.reported(&report);
    assert!(sessions.activities().is_empty());
    assert_eq!(sessions.usage()[&id(1)], Usage { sessions: 0, sent: 15, received: 7 });
}
