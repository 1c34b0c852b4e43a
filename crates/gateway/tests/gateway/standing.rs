//! Clusters over their limits.

use crate::support::{Front, Server, eventually};
use ootheca_gateway::{Notice, Standing};
use std::time::Duration;
use tokio_postgres::Client;

const SECOND: Duration = Duration::from_secs(1);

fn notice() -> Notice {
    Notice { message: "the cluster is over its limit".into(), hint: "Raise the limit.".into() }
}

async fn ended(client: &Client) {
    eventually("the session ends", SECOND, async || client.is_closed()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disabled_means_no_session() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let client = front.raw().session().await;
    let before = front.town.calls().0;
    front.town.stand(Standing::Disabled(notice()));
    ended(&client).await;
    let psql = || front.psql().cluster("shop-12");
    let told = psql().fails().await;
    assert!(told.contains("codeUnavailable: the cluster is over its limit"), "{told}");
    assert!(told.contains("HINT:  Raise the limit."), "{told}");
    let stranger = psql().password("wrong password").fails().await;
    assert!(stranger.contains("password authentication failed"), "{stranger}");
    assert_eq!(front.town.calls().0, before, "nothing was woken");
    let refused = front.raw().session_of(|_| ()).await.expect_err("refused");
    assert_eq!(refused.code().map(|code| code.code()), Some("57P03"));
    front.town.stand(Standing::Open);
    psql().run("SELECT 1").await.expect("open again");
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_statement_is_ended_when_the_cluster_is_disabled() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let admin = server.admin().await;
    let client = front.raw().session().await;
    let running = async || {
        let text = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'";
        !admin.query(text, &[]).await.expect("an answer").is_empty()
    };
    let sleeping = tokio::spawn(async move { client.simple_query("SELECT pg_sleep(600)").await });
    eventually("the statement runs", 10 * SECOND, async || running().await).await;
    front.town.stand(Standing::Disabled(notice()));
    assert!(sleeping.await.expect("a result").is_err());
    eventually("it ends in the server, too", 5 * SECOND, async || !running().await).await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_means_one_seat() {
    let server = Server::start().await;
    let front = Front::start(server.socket()).await;
    let (one, two) = (front.raw().session().await, front.raw().session().await);
    front.town.stand(Standing::Throttled(notice()));
    ended(&one).await;
    ended(&two).await;
    let seat = front.raw().session().await;
    seat.simple_query("SELECT 1").await.expect("the one session");
    let refused = front.raw().session_of(|_| ()).await.expect_err("the seat is taken");
    assert_eq!(refused.code().map(|code| code.code()), Some("53300"));
    let told = front.psql().cluster("shop-12").fails().await;
    assert!(told.contains("the cluster is over its limit") && told.contains("Raise the limit."), "{told}");
    drop(seat);
    eventually("the seat is free", 5 * SECOND, async || {
        front.psql().cluster("shop-12").run("SELECT 1").await.is_ok()
    })
    .await;
    // psql may be gone before its seat is free.
    eventually("nobody is there", 5 * SECOND, async || front.gateway.connections() == 0).await;
    let seat = front.raw().session().await;
    front.town.stand(Standing::Open);
    eventually("all may come", 5 * SECOND, async || {
        front.psql().cluster("shop-12").run("SELECT 1").await.is_ok()
    })
    .await;
    seat.simple_query("SELECT 1").await.expect("still there");
    assert_eq!(front.gateway.metrics().closed.get("over_storage"), Some(&2));
    front.stop().await;
}
