//! Cancel requests reach the right session, and no other.

use crate::support::{Front, Server, eventually};
use ootheca_pg_protocol::startup::CancelKey;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_postgres::{NoTls, error::SqlState};

#[tokio::test(flavor = "multi_thread")]
async fn in_plain_text_and_over_tls() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let admin = server.admin().await;
    let raw = front.raw();
    let bystander = raw.session().await;
    let bystanding =
        tokio::spawn(async move { bystander.simple_query("SELECT pg_sleep(2), 'bystander'").await });
    for tls in [false, true] {
        let client = raw.session().await;
        let token = client.cancel_token();
        let sleeping = tokio::spawn(async move { client.simple_query("SELECT pg_sleep(600)").await });
        eventually("the statement runs", Duration::from_secs(10), async || {
            let count =
                "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND state = 'active'";
            !admin.query(count, &[]).await.expect("a count").is_empty()
        })
        .await;
        if tls {
            token.cancel_query_raw(raw.tls("localhost").await, NoTls).await.expect("sent");
        } else {
            token.cancel_query_raw(raw.tcp().await, NoTls).await.expect("sent");
        }
        let ended = tokio::time::timeout(Duration::from_secs(10), sleeping).await.expect("in time");
        let error = ended.expect("a result").expect_err("canceled");
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error:?}");
    }
    bystanding.await.expect("a result").expect("not canceled");
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_key_is_worth_nothing() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let client = front.raw().session().await;
    let row = client.query_one("SELECT pg_backend_pid()", &[]).await.expect("a row");
    let pid: i32 = row.get(0);
    for secret in [0u32, 1, u32::MAX] {
        let mut stream = front.raw().tcp().await;
        let key = CancelKey { pid: pid.cast_unsigned(), secret: secret.to_be_bytes().to_vec() };
        stream.write_all(&key.cancel_request()).await.expect("sent");
        assert_eq!(stream.read(&mut [0]).await.expect("the end"), 0);
    }
    client.simple_query("SELECT 1").await.expect("unharmed");
    front.stop().await;
}
