//! Reuse of server connections.

use crate::support::{PostgresServer, TestGateway, USER, eventually};
use std::{collections::BTreeSet, sync::Mutex, time::Duration};
use tokio_postgres::{Client, error::SqlState};

const SECOND: Duration = Duration::from_secs(1);

async fn pid(client: &Client) -> i32 {
    client.query_one("SELECT pg_backend_pid()", &[]).await.expect("a row").get(0)
}

/// Ends a session, and waits until the server has processed `DISCARD ALL`.
async fn release(admin: &Client, client: Client) {
    let pid = pid(&client).await;
    drop(client);
    let reset = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND query = 'DISCARD ALL' AND state = 'idle'";
    eventually("the connection is reset", async || {
        admin.query_opt(reset, &[&pid]).await.expect("an answer").is_some()
    })
    .await;
}

async fn start(server: &PostgresServer) -> TestGateway {
    TestGateway::start_with(server.socket(), |settings| settings.pool_idle = 60 * SECOND).await
}

/// A session on the server process `expected`.
async fn reuse(gateway: &TestGateway, expected: i32) -> Client {
    let client = gateway.raw().session().await;
    assert_eq!(pid(&client).await, expected, "another server process");
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn next_session_takes_a_pooled_connection_in_its_initial_state() {
    let server = PostgresServer::start().await;
    let gateway = start(&server).await;
    let admin = server.admin().await;
    let first = gateway.raw().session().await;
    let own = pid(&first).await;
    let change = "CREATE TEMP TABLE leftover (); PREPARE leftover AS SELECT 1; SET work_mem = '77kB'; \
                  SET application_name = 'leftover'; SET DateStyle = 'German'; LISTEN leftover; \
                  SELECT pg_advisory_lock(7)";
    first.batch_execute(change).await.expect("changes");
    release(&admin, first).await;
    let second = reuse(&gateway, own).await;
    let left = "SELECT (SELECT count(*) FROM pg_class WHERE relname = 'leftover') \
                + (SELECT count(*) FROM pg_prepared_statements WHERE name = 'leftover') \
                + (SELECT count(*) FROM pg_listening_channels()) \
                + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')";
    assert_eq!(second.query_one(left, &[]).await.expect("a row").get::<_, i64>(0), 0);
    let shown = "SELECT current_setting('work_mem') <> '77kB' AND current_setting('application_name') = '' \
                 AND current_setting('DateStyle') = 'ISO, MDY'";
    assert!(second.query_one(shown, &[]).await.expect("a row").get::<_, bool>(0));
    assert_eq!(gateway.inner.metrics().reused, 1);
    gateway.stop().await;
    let gone = "SELECT 1 FROM pg_stat_activity WHERE usename = 'ann'";
    eventually("all server connections are closed", async || {
        admin.query(gone, &[]).await.expect("an answer").is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pooled_connection_is_not_handed_over_if_the_server_would_refuse_the_client() {
    let server = PostgresServer::start().await;
    let gateway = start(&server).await;
    let admin = server.admin().await;
    admin.batch_execute("CREATE ROLE bob LOGIN PASSWORD 'correct horse battery'").await.expect("a user");
    let raw = gateway.raw();
    let log_in = async || raw.session_of(|config| _ = config.user("bob")).await;
    for (refuse, accept, expected) in [
        (
            "REVOKE CONNECT ON DATABASE defaultdb FROM PUBLIC",
            "GRANT CONNECT ON DATABASE defaultdb TO PUBLIC",
            SqlState::INSUFFICIENT_PRIVILEGE,
        ),
        (
            "ALTER DATABASE defaultdb ALLOW_CONNECTIONS false",
            "ALTER DATABASE defaultdb ALLOW_CONNECTIONS true",
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        ),
        (
            "ALTER ROLE bob CONNECTION LIMIT 0",
            "ALTER ROLE bob CONNECTION LIMIT 1",
            SqlState::TOO_MANY_CONNECTIONS,
        ),
    ] {
        let first = log_in().await.expect("a session");
        let own = pid(&first).await;
        release(&admin, first).await;
        let again = log_in().await.expect("a session");
        assert_eq!(pid(&again).await, own, "reused before: {refuse}");
        release(&admin, again).await;
        admin.batch_execute(refuse).await.expect("changed");
        let error = log_in().await.expect_err("refused");
        assert_eq!(error.code(), Some(&expected), "{refuse}: {error:?}");
        admin.batch_execute(accept).await.expect("changed");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pooled_connection_is_reused_only_for_an_identical_login() {
    let server = PostgresServer::start().await;
    let gateway = start(&server).await;
    let admin = server.admin().await;
    admin.batch_execute("CREATE ROLE bob LOGIN PASSWORD 'correct horse battery'").await.expect("a user");
    let first = gateway.raw().session().await;
    let own = pid(&first).await;
    release(&admin, first).await;
    let raw = gateway.raw();
    for other in [
        raw.session_of(|config| _ = config.user("bob")).await.expect("another user"),
        raw.session_of(|config| _ = config.dbname("with.dots")).await.expect("another database"),
        raw.session_of(|config| _ = config.application_name("x")).await.expect("another setting"),
    ] {
        assert_ne!(pid(&other).await, own);
    }
    // The connection was available all the time.
    release(&admin, reuse(&gateway, own).await).await;
    admin.batch_execute("ALTER ROLE ann PASSWORD 'another password now'").await.expect("changed");
    let refused = raw.session_of(|_| ()).await.expect_err("the old password");
    assert_eq!(refused.code(), Some(&SqlState::INVALID_PASSWORD));
    let changed = raw.session_of(|config| _ = config.password("another password now")).await;
    assert_ne!(pid(&changed.expect("the new password")).await, own);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_not_reused_after_transactions_policy_changes_or_termination() {
    let server = PostgresServer::start().await;
    let gateway = start(&server).await;
    let admin = server.admin().await;
    let open = gateway.raw().session().await;
    let own = pid(&open).await;
    open.batch_execute("BEGIN").await.expect("a transaction");
    drop(open);
    let there = "SELECT 1 FROM pg_stat_activity WHERE pid = $1";
    let gone = async |pid: i32| admin.query(there, &[&pid]).await.expect("an answer").is_empty();
    eventually("a transaction ends with its session", async || gone(own).await).await;
    let idle = gateway.raw().session().await;
    let own = pid(&idle).await;
    release(&admin, idle).await;
    gateway.directory.allow(&["127.0.0.0/8"]);
    eventually("a policy change closes the connection", async || gone(own).await).await;
    let client = gateway.raw().session().await;
    let own = pid(&client).await;
    release(&admin, client).await;
    admin.query("SELECT pg_terminate_backend($1)", &[&own]).await.expect("ended");
    eventually("the server closes the connection", async || gone(own).await).await;
    gateway.raw().session().await.simple_query("SELECT 1").await.expect("another one");
    assert_eq!(gateway.inner.metrics().reused, 0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pooled_connections_expire_and_the_pool_can_be_disabled() {
    let server = PostgresServer::start().await;
    let admin = server.admin().await;
    for (max_idle, lifetime) in
        [(SECOND, 60 * SECOND), (Duration::ZERO, 60 * SECOND), (60 * SECOND, Duration::ZERO)]
    {
        let disabled = max_idle.is_zero() || lifetime.is_zero();
        let gateway = TestGateway::start_with(server.socket(), |settings| {
            (settings.pool_idle, settings.pool_lifetime) = (max_idle, lifetime);
        })
        .await;
        let first = gateway.raw().session().await;
        let own = pid(&first).await;
        if disabled {
            drop(first);
        } else {
            release(&admin, first).await;
        }
        let open = "SELECT query FROM pg_stat_activity WHERE pid = $1";
        eventually("the server connection is closed", async || {
            let row = admin.query_opt(open, &[&own]).await.expect("an answer");
            if disabled {
                let reset = row.as_ref().is_some_and(|row| row.get::<_, String>(0) == "DISCARD ALL");
                assert!(!reset, "the pool is disabled");
            }
            row.is_none()
        })
        .await;
        assert_ne!(pid(&gateway.raw().session().await).await, own);
        assert_eq!(gateway.inner.metrics().reused, 0);
        gateway.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_keys_of_earlier_sessions_are_invalid() {
    let server = PostgresServer::start().await;
    let gateway = start(&server).await;
    let admin = server.admin().await;
    let first = gateway.raw().session().await;
    let (own, old) = (pid(&first).await, first.cancel_token());
    release(&admin, first).await;
    let second = reuse(&gateway, own).await;
    let token = second.cancel_token();
    let sleeping = tokio::spawn(async move { second.simple_query("SELECT pg_sleep(600)").await });
    let running = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'";
    eventually("the statement runs", async || {
        !admin.query(running, &[]).await.expect("an answer").is_empty()
    })
    .await;
    let accepted = gateway.inner.metrics().accepted;
    old.cancel_query_raw(gateway.raw().tcp().await, tokio_postgres::NoTls).await.expect("sent");
    eventually("the request with the old key is processed", async || {
        gateway.inner.metrics().accepted == accepted + 1 && gateway.inner.connections() == 1
    })
    .await;
    assert!(!sleeping.is_finished() && gateway.inner.metrics().canceled == 0);
    token.cancel_query_raw(gateway.raw().tcp().await, tokio_postgres::NoTls).await.expect("sent");
    let error = sleeping.await.expect("a result").expect_err("canceled");
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_server_closes_pooled_connections() {
    let server = PostgresServer::start().await;
    let gateway = start(&server).await;
    let admin = server.admin().await;
    admin.batch_execute("ALTER ROLE ann CONNECTION LIMIT 1").await.expect("a limit");
    release(&admin, gateway.raw().session().await).await;
    let other = gateway.raw().session_of(|config| _ = config.dbname("with.dots")).await;
    pid(&other.expect("there is room")).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_waits_after_terminate_is_disconnected() {
    use crate::support::{LIMIT, PASSWORD, log_in, rest, send, startup};
    let server = PostgresServer::start().await;
    let gateway = start(&server).await;
    let mut stream = gateway.raw().tls("localhost").await;
    send(&mut stream, &startup(&[("user", USER), ("database", "shop-12.defaultdb")])).await;
    log_in(&mut stream, PASSWORD).await;
    send(&mut stream, b"X\0\0\0\x04").await;
    let end = tokio::time::timeout(LIMIT, rest(&mut stream)).await;
    assert_eq!(end.expect("in time"), "");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_short_sessions_share_the_pool() {
    let server = PostgresServer::start().await;
    let gateway = start(&server).await;
    let raw = std::sync::Arc::new(gateway.raw());
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
    let metrics = gateway.inner.metrics();
    assert!(metrics.reused > 100 && metrics.login.count == 200, "{} reused", metrics.reused);
    assert_eq!(metrics.refused.len(), 0, "{:?}", metrics.refused);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_reuses_pooled_connections() {
    let server = PostgresServer::start().await;
    let gateway = start(&server).await;
    let psql = gateway.psql().cluster("shop-12");
    let pids = Mutex::new(BTreeSet::new());
    eventually("one process serves two calls", async || {
        let pid = psql.run("SELECT pg_backend_pid()").await.expect("a process");
        !pids.lock().expect("lock").insert(pid)
    })
    .await;
    let failing = psql.run("BEGIN; SELECT 1 / 0").await.expect_err("an error");
    assert!(failing.contains("division by zero"), "{failing}");
    assert!(psql.run("SELECT now() = statement_timestamp()").await.is_ok(), "no transaction is left");
    gateway.stop().await;
}
