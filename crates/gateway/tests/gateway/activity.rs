//! What the gateway reports, counts, and hands over to the next one.

use crate::support::{Front, Raw, Server, eventually};
use ootheca_gateway::{Gateway, Settings};
use std::{sync::Arc, time::Duration};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_bytes_are_reported_once() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let cluster = front.town.cluster();
    let client = front.raw().session().await;
    let open = |sessions| front.town.reports().last().is_some_and(|last| last.sessions == sessions);
    eventually("it is open", 5 * SECOND, async || open(1)).await;
    front.town.let_reports_fail(true);
    client.simple_query("SELECT repeat('x', 100000)").await.expect("an answer");
    let briefly = front.psql().cluster("shop-12");
    briefly.run("SELECT 1").await.expect("an answer");
    let start = (front.town.reports().len(), front.town.failed_reports());
    eventually("two reports fail", 5 * SECOND, async || front.town.failed_reports() >= start.1 + 2).await;
    assert_eq!(front.town.reports().len(), start.0);
    front.town.let_reports_fail(false);
    let all = || {
        front.town.reports().into_iter().fold((0, 0), |(sent, most), activity| {
            assert_eq!(activity.cluster, cluster);
            (sent + activity.sent, most.max(activity.sessions_seen))
        })
    };
    eventually("what failed is reported again", 5 * SECOND, async || all().0 > 100_000 && all().1 == 2).await;
    let usage = front.gateway.metrics().clusters[&cluster];
    assert_eq!((usage.sessions, usage.sent), (1, all().0), "each byte once");
    client.simple_query("SELECT repeat('x', 5000)").await.expect("an answer");
    drop(client);
    let (town, before) = (front.town.clone(), usage.sent);
    front.stop().await;
    let sent: u64 = town.reports().iter().map(|activity| activity.sent).sum();
    assert!(sent > before + 5000 && town.reports().last().is_some_and(|last| last.sessions == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let psql = || front.psql().cluster("shop-12");
    psql().run("SELECT 1").await.expect("an answer");
    psql().password("wrong password").fails().await;
    eventually("both are over", 5 * SECOND, async || front.gateway.connections() == 0).await;
    let numbers = front.gateway.metrics();
    assert_eq!((numbers.wake.count, numbers.login.count), (1, 1));
    assert!(numbers.login.sum > Duration::ZERO && numbers.accepted >= 2);
    assert_eq!(numbers.refused.get("wrong_password"), Some(&1));
    assert_eq!(numbers.closed.get("session"), Some(&1));
    let usage = numbers.clusters[&front.town.cluster()];
    assert!(usage.sessions == 0 && usage.sent > 0 && usage.received > 0);
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_gateway_takes_the_port_over() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let old = front.raw().session().await;
    let listener = front.gateway.listener().expect("the socket");
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = Settings::new(([192, 0, 2, 1], 1).into(), folder.path());
    settings.listener = Some(Arc::new(listener));
    front.gateway.stop_accepting().await;
    assert!(front.gateway.listener().is_err());
    // Nobody accepts, and nobody is refused.
    let waiting = front.raw().tcp().await;
    let next = Gateway::start(settings, front.town.clone()).await.expect("the next gateway");
    assert_eq!(next.local_addr(), front.address());
    let raw = Raw::new(next.local_addr(), next.authority());
    drop(raw.tls_over(waiting, "localhost").await);
    raw.session().await.simple_query("SELECT 1").await.expect("through the new one");
    old.simple_query("SELECT 1").await.expect("through the old one");
    let Front { gateway, .. } = front;
    gateway.shutdown(5 * SECOND).await;
    eventually("the old session ends", SECOND, async || old.is_closed()).await;
    raw.session().await.simple_query("SELECT 1").await.expect("through the new one");
    next.shutdown(5 * SECOND).await;
    // The port may be somebody else's by now.
    assert!(raw.direct(&["postgresql"]).await.is_err(), "it still answers");
}
