//! Allowlists and deletion, for new sessions and for live ones.

use crate::support::{Front, Server, eventually};
use std::time::Duration;
use tokio_postgres::{Client, error::SqlState};

const SECOND: Duration = Duration::from_secs(1);

async fn ended(client: &Client) {
    eventually("the session ends", SECOND, async || client.is_closed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowlist_decides_about_new_and_live_sessions() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let client = front.raw().session().await;
    front.town.allow(&["127.0.0.0/8"]);
    front.town.noise();
    client.simple_query("SELECT 1").await.expect("still allowed");
    front.town.allow(&["10.0.0.0/8"]);
    ended(&client).await;
    let refused = front.psql().cluster("shop-12").fails().await;
    assert!(
        refused.contains("cluster shop-12 not found, or connection refused by its IP allowlist"),
        "{refused}"
    );
    front.town.allow(&["127.0.0.1/32"]);
    let client = front.raw().session().await;
    client.simple_query("SELECT 1").await.expect("allowed again");
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_statement_is_cut_too() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let admin = server.admin().await;
    let client = front.raw().session().await;
    let running = async || {
        let count =
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'";
        admin.query_one(count, &[]).await.expect("a count").get::<_, i64>(0)
    };
    let sleeping = tokio::spawn(async move { client.simple_query("SELECT pg_sleep(600)").await });
    eventually("the statement runs", 10 * SECOND, async || running().await == 1).await;
    front.town.allow(&[]);
    let error = tokio::time::timeout(SECOND, sleeping).await.expect("in time").expect("a result");
    assert!(error.is_err());
    eventually("the statement ends in the server", 5 * SECOND, async || running().await == 0).await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_runs_a_statement_is_told_why_it_ends() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let admin = server.admin().await;
    let psql = front.psql().cluster("shop-12");
    let sleeping = tokio::spawn(async move { psql.run("SELECT pg_sleep(601)").await });
    let count =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(601)%' AND state = 'active'";
    let running = async || admin.query_one(count, &[]).await.expect("a count").get::<_, i64>(0) == 1;
    eventually("the statement runs", 10 * SECOND, running).await;
    front.town.delete();
    let said = sleeping.await.expect("psql ends").expect_err("it was cut");
    assert!(said.contains("the cluster was deleted") && !said.contains("canceling statement"), "{said}");
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_ends_live_sessions_and_says_so() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let client = front.raw().session().await;
    client.simple_query("SELECT 1").await.expect("a live session");
    front.town.delete();
    let error = loop {
        if let Err(error) = client.simple_query("SELECT 1").await {
            break error;
        }
    };
    assert!(error.is_closed() || error.code() == Some(&SqlState::ADMIN_SHUTDOWN), "{error:?}");
    ended(&client).await;
    let refused = front.psql().cluster("shop-12").fails().await;
    assert!(refused.contains("cluster shop-12 not found"), "{refused}");
    front.stop().await;
}
