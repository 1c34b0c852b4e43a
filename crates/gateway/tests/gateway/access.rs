//! Allowlists and deletion, for new sessions and for live ones.

use crate::support::{LIMIT, PostgresServer, TestGateway, eventually};
use tokio_postgres::{Client, error::SqlState};

async fn ended(client: &Client) {
    eventually("the session ends", async || client.is_closed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn allowlist_applies_to_new_and_live_sessions() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let client = gateway.raw().session().await;
    // The gateway reads the policy for one change after the other, so a change has been enforced once the
    // policy is read for the next one.
    let reads = gateway.directory.policy_reads();
    gateway.directory.allow(&["127.0.0.0/8"]);
    eventually("the change is read", async || gateway.directory.policy_reads() > reads).await;
    let reads = gateway.directory.policy_reads();
    // A receiver on another thread may keep up with one flood and miss nothing, so floods are repeated.
    eventually("the lagging receiver reads all", async || {
        gateway.directory.flood_changes();
        gateway.directory.policy_reads() > reads
    })
    .await;
    client.simple_query("SELECT 1").await.expect("still allowed");
    gateway.directory.allow(&["10.0.0.0/8"]);
    ended(&client).await;
    let refused = gateway.psql().cluster("shop-12").fails().await;
    assert!(
        refused.contains("cluster shop-12 not found, or connection refused by its IP allowlist"),
        "{refused}"
    );
    gateway.directory.allow(&["127.0.0.1/32"]);
    let client = gateway.raw().session().await;
    client.simple_query("SELECT 1").await.expect("allowed again");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn running_statement_is_canceled_when_the_address_is_removed() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let admin = server.admin().await;
    let client = gateway.raw().session().await;
    let running = async || {
        let count =
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'";
        admin.query_one(count, &[]).await.expect("a count").get::<_, i64>(0)
    };
    let sleeping = tokio::spawn(async move { client.simple_query("SELECT pg_sleep(600)").await });
    eventually("the statement runs", async || running().await == 1).await;
    gateway.directory.allow(&[]);
    let error = tokio::time::timeout(LIMIT, sleeping).await.expect("in time").expect("a result");
    assert!(error.is_err());
    eventually("the statement ends in the server", async || running().await == 0).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_with_a_running_statement_receives_the_reason() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let admin = server.admin().await;
    let psql = gateway.psql().cluster("shop-12");
    let sleeping = tokio::spawn(async move { psql.run("SELECT pg_sleep(601)").await });
    let count =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(601)%' AND state = 'active'";
    let running = async || admin.query_one(count, &[]).await.expect("a count").get::<_, i64>(0) == 1;
    eventually("the statement runs", running).await;
    gateway.directory.delete();
    let error = sleeping.await.expect("psql ends").expect_err("terminated");
    assert!(error.contains("the cluster was deleted") && !error.contains("canceling statement"), "{error}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_terminates_live_sessions_with_a_reason() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let client = gateway.raw().session().await;
    client.simple_query("SELECT 1").await.expect("a live session");
    gateway.directory.delete();
    let error = loop {
        if let Err(error) = client.simple_query("SELECT 1").await {
            break error;
        }
    };
    assert!(error.is_closed() || error.code() == Some(&SqlState::ADMIN_SHUTDOWN), "{error:?}");
    ended(&client).await;
    let refused = gateway.psql().cluster("shop-12").fails().await;
    assert!(refused.contains("cluster shop-12 not found"), "{refused}");
    gateway.stop().await;
}
