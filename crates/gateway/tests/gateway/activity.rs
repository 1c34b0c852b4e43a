//! Activity reports, metrics, and takeover of the listening socket.

use crate::support::{PostgresServer, Raw, TestGateway, eventually};
use ootheca_gateway::{Gateway, Settings};
use std::{sync::Arc, time::Duration};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_bytes_are_reported_once() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let cluster = gateway.directory.cluster();
    let client = gateway.raw().session().await;
    let open = |sessions| gateway.directory.reports().last().is_some_and(|last| last.sessions == sessions);
    eventually("it is open", async || open(1)).await;
    gateway.directory.set_reports_fail(true);
    client.simple_query("SELECT repeat('x', 100000)").await.expect("an answer");
    let briefly = gateway.psql().cluster("shop-12");
    briefly.run("SELECT 1").await.expect("an answer");
    let start = (gateway.directory.reports().len(), gateway.directory.failed_reports());
    eventually("two reports fail", async || gateway.directory.failed_reports() >= start.1 + 2).await;
    assert_eq!(gateway.directory.reports().len(), start.0);
    gateway.directory.set_reports_fail(false);
    let all = || {
        gateway.directory.reports().into_iter().fold((0, 0), |(sent, most), activity| {
            assert_eq!(activity.cluster, cluster);
            (sent + activity.sent, most.max(activity.sessions_seen))
        })
    };
    eventually("what failed is reported again", async || all().0 > 100_000 && all().1 == 2).await;
    let usage = gateway.inner.metrics().clusters[&cluster];
    assert_eq!((usage.sessions, usage.sent), (1, all().0), "each byte once");
    client.simple_query("SELECT repeat('x', 5000)").await.expect("an answer");
    drop(client);
    let (directory, before) = (gateway.directory.clone(), usage.sent);
    gateway.stop().await;
    let sent: u64 = directory.reports().iter().map(|activity| activity.sent).sum();
    assert!(sent > before + 5000 && directory.reports().last().is_some_and(|last| last.sessions == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_logins_and_bytes() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let psql = || gateway.psql().cluster("shop-12");
    psql().run("SELECT 1").await.expect("an answer");
    psql().password("wrong password").fails().await;
    eventually("both are over", async || gateway.inner.connections() == 0).await;
    let metrics = gateway.inner.metrics();
    assert_eq!((metrics.wake.count, metrics.login.count), (1, 1));
    assert!(metrics.login.sum > Duration::ZERO && metrics.accepted >= 2);
    assert_eq!(metrics.refused.get("wrong_password"), Some(&1));
    assert_eq!(metrics.closed.get("session"), Some(&1));
    let usage = metrics.clusters[&gateway.directory.cluster()];
    assert!(usage.sessions == 0 && usage.sent > 0 && usage.received > 0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_gateway_takes_over_the_listening_socket() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let old = gateway.raw().session().await;
    let listener = gateway.inner.listener().expect("the socket");
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = Settings::new(([192, 0, 2, 1], 1).into(), folder.path());
    settings.listener = Some(Arc::new(listener));
    gateway.inner.stop_accepting().await;
    assert!(gateway.inner.listener().is_err());
    // The connection waits in the backlog.
    let waiting = gateway.raw().tcp().await;
    let next = Gateway::start(settings, gateway.directory.clone()).await.expect("the next gateway");
    assert_eq!(next.local_addr(), gateway.address());
    let raw = Raw::new(next.local_addr(), next.authority());
    drop(raw.tls_over(waiting, "localhost").await);
    raw.session().await.simple_query("SELECT 1").await.expect("through the new one");
    old.simple_query("SELECT 1").await.expect("through the old one");
    let TestGateway { inner, .. } = gateway;
    inner.shutdown(5 * SECOND).await;
    eventually("the old session ends", async || old.is_closed()).await;
    raw.session().await.simple_query("SELECT 1").await.expect("through the new one");
    next.shutdown(5 * SECOND).await;
    // Another process may have the port by now.
    assert!(raw.direct(&["postgresql"]).await.is_err(), "it still answers");
}
