//! Clusters that exceed their limits.

use crate::support::{PostgresServer, TestGateway, eventually};
use ootheca_gateway::{AdmissionState, Notice};
use tokio_postgres::Client;

fn notice() -> Notice {
    Notice { message: "the cluster is over its limit".into(), hint: "Raise the limit.".into() }
}

async fn ended(client: &Client) {
    eventually("the session ends", async || client.is_closed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disabled_cluster_admits_no_sessions() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let client = gateway.raw().session().await;
    let before = gateway.directory.calls().0;
    gateway.directory.set_admission(AdmissionState::Disabled(notice()));
    ended(&client).await;
    let psql = || gateway.psql().cluster("shop-12");
    let error = psql().fails().await;
    assert!(error.contains("codeUnavailable: the cluster is over its limit"), "{error}");
    assert!(error.contains("HINT:  Raise the limit."), "{error}");
    let unauthenticated = psql().password("wrong password").fails().await;
    assert!(unauthenticated.contains("password authentication failed"), "{unauthenticated}");
    assert_eq!(gateway.directory.calls().0, before, "the cluster was not woken");
    let refused = gateway.raw().session_of(|_| ()).await.expect_err("refused");
    assert_eq!(refused.code().map(|code| code.code()), Some("57P03"));
    gateway.directory.set_admission(AdmissionState::Open);
    psql().run("SELECT 1").await.expect("open again");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn running_statement_is_canceled_when_the_cluster_is_disabled() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let admin = server.admin().await;
    let client = gateway.raw().session().await;
    let running = async || {
        let text = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'";
        !admin.query(text, &[]).await.expect("an answer").is_empty()
    };
    let sleeping = tokio::spawn(async move { client.simple_query("SELECT pg_sleep(600)").await });
    eventually("the statement runs", async || running().await).await;
    gateway.directory.set_admission(AdmissionState::Disabled(notice()));
    assert!(sleeping.await.expect("a result").is_err());
    eventually("it ends in the server, too", async || !running().await).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_cluster_admits_one_session() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let (one, two) = (gateway.raw().session().await, gateway.raw().session().await);
    gateway.directory.set_admission(AdmissionState::Throttled(notice()));
    ended(&one).await;
    ended(&two).await;
    let only = gateway.raw().session().await;
    only.simple_query("SELECT 1").await.expect("the one session");
    let refused = gateway.raw().session_of(|_| ()).await.expect_err("the slot is taken");
    assert_eq!(refused.code().map(|code| code.code()), Some("53300"));
    let error = gateway.psql().cluster("shop-12").fails().await;
    assert!(error.contains("the cluster is over its limit") && error.contains("Raise the limit."), "{error}");
    drop(only);
    eventually("the slot is free", async || gateway.psql().cluster("shop-12").run("SELECT 1").await.is_ok())
        .await;
    // The slot of psql is freed after psql has ended.
    eventually("all connections are closed", async || gateway.inner.connections() == 0).await;
    let only = gateway.raw().session().await;
    gateway.directory.set_admission(AdmissionState::Open);
    eventually("all sessions are admitted", async || {
        gateway.psql().cluster("shop-12").run("SELECT 1").await.is_ok()
    })
    .await;
    only.simple_query("SELECT 1").await.expect("still open");
    assert_eq!(gateway.inner.metrics().closed.get("over_storage"), Some(&2));
    gateway.stop().await;
}
