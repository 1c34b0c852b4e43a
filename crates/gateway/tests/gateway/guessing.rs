//! Wrong passwords are delayed, and do not block other clients.

use crate::support::{PASSWORD, PostgresServer, TestGateway, USER, log_in, send, startup};
use futures_util::future::join_all;
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

const WRONG: &str = "the wrong one";

/// Logs in without psql. Returns what the gateway sends at the end.
async fn attempt(gateway: &TestGateway, user: &str, password: &str) -> String {
    let mut stream = gateway.raw().tls("localhost").await;
    let hello = startup(&[("user", user), ("database", "shop-12.defaultdb")]);
    send(&mut stream, &hello).await;
    String::from_utf8_lossy(&log_in(&mut stream, password).await).into_owned()
}

/// Logs `user` in many times while twelve clients at the same address try wrong passwords of `attacked`.
async fn logins_under_attack(user: &str, attacked: &str) {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let bob = format!("CREATE ROLE bob LOGIN PASSWORD '{PASSWORD}'");
    server.admin().await.batch_execute(&bob).await.expect("a user");
    let (done, wrong) = (AtomicBool::new(false), AtomicUsize::new(0));
    let attack = async || {
        while !done.load(Ordering::Relaxed) {
            let answer = attempt(&gateway, attacked, WRONG).await;
            assert!(answer.contains("password authentication failed"), "{answer:?}");
            wrong.fetch_add(1, Ordering::Relaxed);
        }
    };
    let logins = async {
        while wrong.load(Ordering::Relaxed) < 60 {
            let answer = attempt(&gateway, user, PASSWORD).await;
            assert!(answer.ends_with("Z\0\0\0\u{5}I"), "{answer:?}");
        }
        done.store(true, Ordering::Relaxed);
    };
    let attacks = join_all((0..12).map(|_| attack()));
    tokio::join!(attacks, logins);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_of_a_user_do_not_keep_another_user_out() {
    logins_under_attack("bob", USER).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_do_not_keep_the_right_one_out() {
    logins_under_attack(USER, USER).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_are_delayed() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let start = Instant::now();
    // Three are not delayed, then sixteen at a time take a second.
    let answers = join_all((0..40).map(|_| attempt(&gateway, USER, WRONG))).await;
    assert!(start.elapsed() >= Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(answers.iter().all(|answer| answer.contains("password authentication failed")), "{answers:?}");
    assert_eq!(gateway.directory.calls(), (0, 0), "the server was not reached");
    gateway.stop().await;
}
