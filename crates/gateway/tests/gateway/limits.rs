//! Clients that want too much or say too little, and the end of the gateway.

use crate::support::{Front, Server, USER, eventually, rest, startup};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, timeout},
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_are_let_go() {
    let short = Duration::from_millis(300);
    let front = Front::start_with("/nowhere".into(), |settings| settings.handshake_timeout = short).await;
    let raw = front.raw();
    let mut silent = raw.tcp().await;
    let mut slow = raw.tcp().await;
    slow.write_all(&[0, 0, 0]).await.expect("a piece");
    let mut late = raw.tls("localhost").await;
    for read in [silent.read(&mut [0]), slow.read(&mut [0])] {
        let read = timeout(10 * SECOND, read).await.expect("in time");
        assert_eq!(read.unwrap_or(0), 0);
    }
    let read = timeout(10 * SECOND, late.read(&mut [0])).await.expect("in time");
    assert_eq!(read.unwrap_or(0), 0);
    eventually("all are gone", SECOND, async || front.gateway.connections() == 0).await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_the_most() {
    let front = Front::start_with("/nowhere".into(), |settings| settings.max_connections = 1).await;
    let raw = front.raw();
    let first = raw.tls("localhost").await;
    let mut second = raw.tls("localhost").await;
    second.write_all(&startup(&[("user", USER), ("database", "shop-12.any")])).await.expect("sent");
    assert!(rest(&mut second).await.contains("too many connections"));
    let told = front.psql().cluster("shop-12").fails().await;
    assert!(told.contains("too many connections"), "{told}");
    drop(first);
    eventually("the place is free", 5 * SECOND, async || front.gateway.connections() == 0).await;
    drop(raw.tls("localhost").await);
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_its_sessions_is_heard() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let client = front.raw().session().await;
    let sleeping = tokio::spawn(async move { client.simple_query("SELECT pg_sleep(600)").await });
    let admin = server.admin().await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'";
    eventually("the session is ended", 10 * SECOND, async || {
        !admin.query(end, &[]).await.expect("an answer").is_empty()
    })
    .await;
    let error = sleeping.await.expect("a result").expect_err("ended");
    assert_eq!(error.code().map(|code| code.code()), Some("57P01"), "{error:?}");
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_lets_transactions_end() {
    let server = Server::start().await;
    let Front { gateway, town, .. } = Front::start(server.socket()).await;
    let address = gateway.local_addr();
    let raw = crate::support::Raw::new(address, gateway.authority());
    let (idle, busy) = (raw.session().await, raw.session().await);
    idle.simple_query("SELECT 1").await.expect("an answer");
    busy.batch_execute("BEGIN").await.expect("a transaction");
    let start = Instant::now();
    let down = tokio::spawn(gateway.shutdown(20 * SECOND));
    eventually("the idle session ends", 5 * SECOND, async || idle.is_closed()).await;
    busy.batch_execute("CREATE TABLE kept (); COMMIT").await.expect("the transaction ends");
    eventually("the busy session ends", 5 * SECOND, async || busy.is_closed()).await;
    down.await.expect("the end");
    assert!(start.elapsed() < 15 * SECOND);
    drop(town);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_does_not_wait_for_ever() {
    let server = Server::start().await;
    let Front { gateway, .. } = Front::start(server.socket()).await;
    let raw = crate::support::Raw::new(gateway.local_addr(), gateway.authority());
    let client = raw.session().await;
    client.batch_execute("BEGIN").await.expect("a transaction");
    timeout(5 * SECOND, gateway.shutdown(Duration::from_millis(100))).await.expect("in time");
    eventually("the session ends", SECOND, async || client.is_closed()).await;
}
