//! Timeouts, connection limits, and shutdown.

use crate::support::{
    LIMIT, PostgresServer, TestGateway, USER, eventually, proxy_header, read_message, rest, send, startup,
};
use ootheca_pg_protocol::backend::AUTHENTICATION;
use std::time::Duration;
use tokio::{io::AsyncReadExt as _, time::timeout};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_are_disconnected() {
    let short = Duration::from_millis(300);
    let gateway =
        TestGateway::start_with("/nowhere".into(), |settings| settings.handshake_timeout = short).await;
    let raw = gateway.raw();
    let mut silent = raw.tcp().await;
    let mut slow = raw.tcp().await;
    send(&mut slow, &[0, 0, 0]).await;
    let mut late = raw.tls("localhost").await;
    for read in [silent.read(&mut [0]), slow.read(&mut [0])] {
        let read = timeout(LIMIT, read).await.expect("in time");
        assert_eq!(read.unwrap_or(0), 0);
    }
    let read = timeout(LIMIT, late.read(&mut [0])).await.expect("in time");
    assert_eq!(read.unwrap_or(0), 0);
    eventually("all are disconnected", async || gateway.inner.connections() == 0).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_maximum_are_rejected() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start_with(server.socket(), |settings| settings.max_connections = 1).await;
    let raw = gateway.raw();
    let first = raw.session().await;
    let mut second = raw.tls("localhost").await;
    send(&mut second, &startup(&[("user", USER), ("database", "shop-12.any")])).await;
    assert!(rest(&mut second).await.contains("too many connections"));
    let error = gateway.psql().cluster("shop-12").fails().await;
    assert!(error.contains("too many connections"), "{error}");
    drop(first);
    eventually("the connection is closed", async || gateway.inner.connections() == 0).await;
    let mut third = raw.tls("localhost").await;
    send(&mut third, &startup(&[("user", USER), ("database", "shop-12.any")])).await;
    assert_eq!(read_message(&mut third).await.0, AUTHENTICATION, "admitted");
    drop(third);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_make_room_for_logins() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start_with(server.socket(), |settings| {
        settings.max_unauthenticated_per_address = 4;
        // The login of one client shows that the TLS handshakes of the clients before it are complete.
        settings.threads = 1;
    })
    .await;
    let raw = gateway.raw();
    let mut waiting = raw.tls("localhost").await;
    send(&mut waiting, &startup(&[("user", USER), ("database", "shop-12.any")])).await;
    assert_eq!(read_message(&mut waiting).await.0, AUTHENTICATION);
    let mut idle = Vec::new();
    for _ in 0..8 {
        idle.push(raw.tls("localhost").await);
        raw.session().await.simple_query("SELECT 1").await.expect("an answer");
    }
    let error = rest(&mut waiting).await;
    assert!(error.contains("too many connections that have not authenticated"), "{error:?}");
    eventually("the oldest connections are closed", async || {
        gateway.inner.metrics().closed.get("evicted").is_some_and(|count| *count >= 4)
    })
    .await;
    for stream in &mut idle[..4] {
        assert_eq!(rest(stream).await, "", "a clean end");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_does_not_take_the_connections_of_others() {
    let gateway = TestGateway::start_with("/nowhere".into(), |settings| {
        settings.proxy_protocol = true;
        settings.max_unauthenticated = 4;
    })
    .await;
    let raw = gateway.raw();
    let wait = async |last: u8| {
        let mut stream = raw.tcp().await;
        send(&mut stream, &proxy_header([10, 0, 0, last])).await;
        let mut stream = raw.tls_over(stream, "localhost").await;
        send(&mut stream, &startup(&[("user", USER), ("database", "shop-12.any")])).await;
        assert_eq!(read_message(&mut stream).await.0, AUTHENTICATION);
        stream
    };
    let mut other = wait(2).await;
    let mut many = Vec::new();
    for _ in 0..8 {
        many.push(wait(1).await);
    }
    for stream in &mut many[..5] {
        assert!(rest(stream).await.contains("have not authenticated"));
    }
    send(&mut other, b"Q\0\0\0\x0dSELECT 1\0").await;
    let received = rest(&mut other).await;
    assert!(received.contains("expected SASL response"), "still in its login: {received:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_a_terminating_server_reach_the_client() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let client = gateway.raw().session().await;
    let sleeping = tokio::spawn(async move { client.simple_query("SELECT pg_sleep(600)").await });
    let admin = server.admin().await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'";
    eventually("the session is ended", async || !admin.query(end, &[]).await.expect("an answer").is_empty())
        .await;
    let error = sleeping.await.expect("a result").expect_err("ended");
    assert_eq!(error.code().map(|code| code.code()), Some("57P01"), "{error:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_waits_for_transactions() {
    let server = PostgresServer::start().await;
    let TestGateway { inner, .. } = TestGateway::start(server.socket()).await;
    let address = inner.local_addr();
    let raw = crate::support::Raw::new(address, inner.authority());
    let (idle, busy) = (raw.session().await, raw.session().await);
    idle.simple_query("SELECT 1").await.expect("an answer");
    busy.batch_execute("BEGIN").await.expect("a transaction");
    let down = tokio::spawn(async move { inner.shutdown(600 * SECOND).await });
    eventually("the idle session ends", async || idle.is_closed()).await;
    busy.batch_execute("CREATE TABLE kept (); COMMIT").await.expect("the transaction ends");
    eventually("the busy session ends", async || busy.is_closed()).await;
    timeout(LIMIT, down).await.expect("in time").expect("the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_waits_for_the_first_statement_after_a_login() {
    let server = PostgresServer::start().await;
    let TestGateway { inner, .. } = TestGateway::start(server.socket()).await;
    let address = inner.local_addr();
    let raw = crate::support::Raw::new(address, inner.authority());
    let (new, silent) = (raw.session().await, raw.session().await);
    let down = tokio::spawn(async move { inner.shutdown(600 * SECOND).await });
    eventually("it shuts down", async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    new.simple_query("SELECT 1").await.expect("an answer");
    eventually("the session ends after its statement", async || new.is_closed()).await;
    eventually("the silent session ends", async || silent.is_closed()).await;
    timeout(LIMIT, down).await.expect("in time").expect("the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_ends_after_the_grace_period() {
    let server = PostgresServer::start().await;
    let start = TestGateway::start_with(server.socket(), |settings| settings.threads = 1);
    let TestGateway { inner, .. } = start.await;
    let raw = crate::support::Raw::new(inner.local_addr(), inner.authority());
    let mut silent = raw.tls("localhost").await;
    let client = raw.session().await;
    client.batch_execute("BEGIN").await.expect("a transaction");
    timeout(LIMIT, inner.shutdown(Duration::from_millis(100))).await.expect("in time");
    eventually("the session ends", async || client.is_closed()).await;
    assert_eq!(rest(&mut silent).await, "", "a clean end of a connection without a startup message");
}
