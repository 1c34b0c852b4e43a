//! Server connections that one session leaves and the next one gets.

use crate::support::{Front, Server, USER, eventually};
use std::{collections::BTreeSet, sync::Mutex, time::Duration};
use tokio_postgres::{Client, error::SqlState};

const SECOND: Duration = Duration::from_secs(1);

async fn pid(client: &Client) -> i32 {
    client.query_one("SELECT pg_backend_pid()", &[]).await.expect("a row").get(0)
}

/// Ends a session, and waits until the server has seen `DISCARD ALL`.
async fn leave(admin: &Client, client: Client) {
    let pid = pid(&client).await;
    drop(client);
    let reset = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND query = 'DISCARD ALL' AND state = 'idle'";
    eventually("the connection is reset", 5 * SECOND, async || {
        admin.query_opt(reset, &[&pid]).await.expect("an answer").is_some()
    })
    .await;
}

async fn long(server: &Server) -> Front {
    Front::start_with(server.socket(), |settings| settings.reuse = 60 * SECOND).await
}

/// A session on the server process `expected`, which may become free a moment after its reset.
async fn again(front: &Front, expected: i32) -> Client {
    let client = front.raw().session().await;
    assert_eq!(pid(&client).await, expected, "another server process");
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_session_gets_it_as_new() {
    let server = Server::start().await;
    let front = long(&server).await;
    let admin = server.admin().await;
    let first = front.raw().session().await;
    let own = pid(&first).await;
    let change = "CREATE TEMP TABLE leftover (); PREPARE leftover AS SELECT 1; SET work_mem = '77kB'; \
                  SET application_name = 'leftover'; SET DateStyle = 'German'; LISTEN leftover; \
                  SELECT pg_advisory_lock(7)";
    first.batch_execute(change).await.expect("changes");
    leave(&admin, first).await;
    let second = again(&front, own).await;
    let left = "SELECT (SELECT count(*) FROM pg_class WHERE relname = 'leftover') \
                + (SELECT count(*) FROM pg_prepared_statements WHERE name = 'leftover') \
                + (SELECT count(*) FROM pg_listening_channels()) \
                + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')";
    assert_eq!(second.query_one(left, &[]).await.expect("a row").get::<_, i64>(0), 0);
    let shown = "SELECT current_setting('work_mem') <> '77kB' AND current_setting('application_name') = '' \
                 AND current_setting('DateStyle') = 'ISO, MDY'";
    assert!(second.query_one(shown, &[]).await.expect("a row").get::<_, bool>(0));
    assert_eq!(front.gateway.metrics().reused, 1);
    front.stop().await;
    let gone = "SELECT 1 FROM pg_stat_activity WHERE usename = 'ann'";
    eventually("nothing is left", 5 * SECOND, async || {
        admin.query(gone, &[]).await.expect("an answer").is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_for_the_very_same() {
    let server = Server::start().await;
    let front = long(&server).await;
    let admin = server.admin().await;
    admin.batch_execute("CREATE ROLE bob LOGIN PASSWORD 'correct horse battery'").await.expect("a user");
    let first = front.raw().session().await;
    let own = pid(&first).await;
    leave(&admin, first).await;
    let raw = front.raw();
    for other in [
        raw.session_of(|config| _ = config.user("bob")).await.expect("another user"),
        raw.session_of(|config| _ = config.dbname("with.dots")).await.expect("another database"),
        raw.session_of(|config| _ = config.application_name("x")).await.expect("another setting"),
    ] {
        assert_ne!(pid(&other).await, own);
    }
    admin.batch_execute("ALTER ROLE ann PASSWORD 'another password now'").await.expect("changed");
    let refused = raw.session_of(|_| ()).await.expect_err("the old password");
    assert_eq!(refused.code(), Some(&SqlState::INVALID_PASSWORD));
    let changed = raw.session_of(|config| _ = config.password("another password now")).await;
    assert_ne!(pid(&changed.expect("the new password")).await, own);
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_from_a_transaction_and_not_after_a_change() {
    let server = Server::start().await;
    let front = long(&server).await;
    let admin = server.admin().await;
    let open = front.raw().session().await;
    let own = pid(&open).await;
    open.batch_execute("BEGIN").await.expect("a transaction");
    drop(open);
    let there = "SELECT 1 FROM pg_stat_activity WHERE pid = $1";
    let gone = async |pid: i32| admin.query(there, &[&pid]).await.expect("an answer").is_empty();
    eventually("a transaction ends with its session", 5 * SECOND, async || gone(own).await).await;
    let idle = front.raw().session().await;
    let own = pid(&idle).await;
    leave(&admin, idle).await;
    front.town.allow(&["127.0.0.0/8"]);
    eventually("a change lets it go", 5 * SECOND, async || gone(own).await).await;
    let client = front.raw().session().await;
    let own = pid(&client).await;
    leave(&admin, client).await;
    admin.query("SELECT pg_terminate_backend($1)", &[&own]).await.expect("ended");
    eventually("the server ends it", 5 * SECOND, async || gone(own).await).await;
    front.raw().session().await.simple_query("SELECT 1").await.expect("another one");
    assert_eq!(front.gateway.metrics().reused, 0);
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_for_long_and_not_if_it_is_off() {
    let server = Server::start().await;
    let admin = server.admin().await;
    for reuse in [Duration::from_millis(50), Duration::ZERO] {
        let front = Front::start_with(server.socket(), |settings| settings.reuse = reuse).await;
        let psql = front.psql().cluster("shop-12");
        psql.run("SELECT 1").await.expect("a session");
        let count = format!("SELECT 1 FROM pg_stat_activity WHERE usename = '{USER}'");
        eventually("it is let go", 5 * SECOND, async || {
            admin.query(&count, &[]).await.expect("an answer").is_empty()
        })
        .await;
        front.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_finds_the_new_owner_only() {
    let server = Server::start().await;
    let front = long(&server).await;
    let admin = server.admin().await;
    let first = front.raw().session().await;
    let (own, old) = (pid(&first).await, first.cancel_token());
    leave(&admin, first).await;
    let second = again(&front, own).await;
    let token = second.cancel_token();
    let sleeping = tokio::spawn(async move { second.simple_query("SELECT pg_sleep(600)").await });
    let running = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'";
    eventually("the statement runs", 10 * SECOND, async || {
        !admin.query(running, &[]).await.expect("an answer").is_empty()
    })
    .await;
    old.cancel_query_raw(front.raw().tcp().await, tokio_postgres::NoTls).await.expect("sent");
    eventually("the old key is looked at", 5 * SECOND, async || front.gateway.connections() == 1).await;
    assert!(!sleeping.is_finished() && front.gateway.metrics().canceled == 0);
    token.cancel_query_raw(front.raw().tcp().await, tokio_postgres::NoTls).await.expect("sent");
    let error = sleeping.await.expect("a result").expect_err("canceled");
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_makes_room_when_the_server_is_full() {
    let server = Server::start().await;
    let front = long(&server).await;
    let admin = server.admin().await;
    admin.batch_execute("ALTER ROLE ann CONNECTION LIMIT 1").await.expect("a limit");
    leave(&admin, front.raw().session().await).await;
    let other = front.raw().session_of(|config| _ = config.dbname("with.dots")).await;
    pid(&other.expect("there is room")).await;
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_the_servers_end_gets_it() {
    use crate::support::{PASSWORD, log_in, rest, startup};
    use tokio::io::AsyncWriteExt as _;
    let server = Server::start().await;
    let front = long(&server).await;
    let mut stream = front.raw().tls("localhost").await;
    stream.write_all(&startup(&[("user", USER), ("database", "shop-12.defaultdb")])).await.expect("sent");
    log_in(&mut stream, PASSWORD).await;
    stream.write_all(b"X\0\0\0\x04").await.expect("sent");
    let end = tokio::time::timeout(5 * SECOND, rest(&mut stream)).await;
    assert_eq!(end.expect("in time"), "");
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_come_and_go() {
    let server = Server::start().await;
    let front = long(&server).await;
    let raw = std::sync::Arc::new(front.raw());
    let coming: Vec<_> = (0..8)
        .map(|_| {
            let raw = raw.clone();
            tokio::spawn(async move {
                for number in 0..25i32 {
                    let client = raw.session().await;
                    let row = client.query_one("SELECT $1::int4", &[&number]).await.expect("a row");
                    assert_eq!(row.get::<_, i32>(0), number);
                }
            })
        })
        .collect();
    for one in coming {
        one.await.expect("all answers");
    }
    let numbers = front.gateway.metrics();
    assert!(numbers.reused > 100 && numbers.login.count == 200, "{} reused", numbers.reused);
    assert_eq!(numbers.refused.len(), 0, "{:?}", numbers.refused);
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_gets_it_too() {
    let server = Server::start().await;
    let front = long(&server).await;
    let psql = front.psql().cluster("shop-12");
    let pids = Mutex::new(BTreeSet::new());
    eventually("one process serves two calls", 20 * SECOND, async || {
        let pid = psql.run("SELECT pg_backend_pid()").await.expect("a process");
        !pids.lock().expect("lock").insert(pid)
    })
    .await;
    let failing = psql.run("BEGIN; SELECT 1 / 0").await.expect_err("an error");
    assert!(failing.contains("division by zero"), "{failing}");
    assert!(psql.run("SELECT now() = statement_timestamp()").await.is_ok(), "no transaction is left");
    front.stop().await;
}
