//! Cancel requests reach the right session, and no other.

use crate::support::{LIMIT, PostgresServer, TestGateway, eventually, send};
use ootheca_pg_protocol::startup::CancelKey;
use tokio::io::AsyncReadExt as _;
use tokio_postgres::{NoTls, error::SqlState};

#[tokio::test(flavor = "multi_thread")]
async fn cancel_request_reaches_its_session_with_and_without_tls() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let admin = server.admin().await;
    let raw = gateway.raw();
    let bystander = raw.session().await;
    let bystander_token = bystander.cancel_token();
    let is_running = async |seconds: u32| {
        let query = "SELECT 1 FROM pg_stat_activity WHERE query = $1 AND state = 'active'";
        let statement = format!("SELECT pg_sleep({seconds})");
        !admin.query(query, &[&statement]).await.expect("an answer").is_empty()
    };
    let bystanding = tokio::spawn(async move { bystander.simple_query("SELECT pg_sleep(601)").await });
    eventually("the other statement runs", async || is_running(601).await).await;
    for tls in [false, true] {
        let client = raw.session().await;
        let token = client.cancel_token();
        let sleeping = tokio::spawn(async move { client.simple_query("SELECT pg_sleep(600)").await });
        eventually("the statement runs", async || is_running(600).await).await;
        if tls {
            token.cancel_query_raw(raw.tls("localhost").await, NoTls).await.expect("sent");
        } else {
            token.cancel_query_raw(raw.tcp().await, NoTls).await.expect("sent");
        }
        let ended = tokio::time::timeout(LIMIT, sleeping).await.expect("in time");
        let error = ended.expect("a result").expect_err("canceled");
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error:?}");
    }
    assert!(is_running(601).await, "the other statement must not be canceled");
    bystander_token.cancel_query_raw(raw.tcp().await, NoTls).await.expect("sent");
    let error = bystanding.await.expect("a result").expect_err("canceled by its own key");
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error:?}");
    eventually("all requests are counted", async || gateway.inner.metrics().canceled == 3).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn process_id_of_the_server_is_not_a_valid_key() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let client = gateway.raw().session().await;
    let row = client.query_one("SELECT pg_backend_pid()", &[]).await.expect("a row");
    let pid: i32 = row.get(0);
    for secret in [0u32, 1, u32::MAX] {
        let mut stream = gateway.raw().tcp().await;
        let key = CancelKey { pid: pid.cast_unsigned(), secret: secret.to_be_bytes().to_vec() };
        send(&mut stream, &key.cancel_request()).await;
        assert_eq!(stream.read(&mut [0]).await.expect("the end"), 0);
    }
    assert_eq!(gateway.inner.metrics().canceled, 0, "no request was forwarded");
    client.simple_query("SELECT 1").await.expect("a live session");
    gateway.stop().await;
}
