//! Authentication, and that only authenticated clients reach the server.

use crate::support::{
    LOGIN_COMPLETE, PASSWORD, PostgresServer, TestGateway, USER, accept_login, eventually, log_in,
    proxy_header, read_message, rest, send, startup,
};
use ootheca_model::login::Secret;
use ootheca_pg_protocol::{
    frontend::{sasl_initial_response, sasl_response},
    startup::SSL_REQUEST,
};
use std::time::{Duration, Instant};
use tokio::net::UnixListener;

const SET_UP: &str = "CREATE ROLE bob LOGIN PASSWORD 'bob knows a password';
    CREATE ROLE mute LOGIN; CREATE ROLE late LOGIN PASSWORD 'correct horse battery' VALID UNTIL '2001-01-01';
    CREATE ROLE idle NOLOGIN PASSWORD 'correct horse battery';
    SET password_encryption = 'md5'; CREATE ROLE old LOGIN PASSWORD 'correct horse battery'";

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_password_reaches_the_server() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    server.admin().await.batch_execute(SET_UP).await.expect("users");
    let psql = || gateway.psql().cluster("shop-12");
    for user in [USER, "nonexistent", "mute", "late", "idle"] {
        let error = psql().with("user", user).password("the wrong one").fails().await;
        assert!(error.contains(&format!("password authentication failed for user \"{user}\"")), "{error}");
        if user != USER {
            assert_eq!(psql().with("user", user).fails().await, error);
        }
        psql().run("SELECT 1").await.expect("the right password");
    }
    let old = psql().with("user", "old").fails().await;
    for text in ["user \"old\"", "MD5", "only SCRAM-SHA-256", "HINT:", "password again"] {
        assert!(old.contains(text), "{old}");
    }
    let (endpoints, _) = gateway.directory.calls();
    assert_eq!(endpoints, 5, "only with the right password");
    assert_eq!(
        psql().with("user", "bob").password("bob knows a password").run("SELECT user").await,
        Ok("bob".into())
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_logs_in_with_every_channel_binding_mode() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let psql = || gateway.psql().cluster("shop-12");
    for binding in ["require", "prefer", "disable"] {
        let asked = psql().with("channel_binding", binding);
        assert_eq!(asked.run("SELECT 'in'").await, Ok("in".into()), "{binding}");
    }
    let error = psql().with("dbname", "nowhere").fails().await;
    assert!(error.contains("database \"nowhere\" does not exist"), "{error}");
    let own = psql().with("user", USER).with("dbname", "").fails().await;
    assert!(own.contains(&format!("database \"{USER}\" does not exist")), "{own}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interception_and_malformed_responses_are_detected() {
    let gateway = TestGateway::start("/nowhere/.s.PGSQL.5432".into()).await;
    let first =
        |mechanism: &str, text: &str| sasl_response(&sasl_initial_response(mechanism, text.as_bytes()));
    for (sent, expected) in [
        (first("SCRAM-SHA-256", "y,,n=,r=abc"), "was told that the server does not"),
        (first("SCRAM-SHA-256-PLUS", "n,,n=,r=abc"), "malformed SCRAM message"),
        (first("PLAIN", "n,,n=,r=abc"), "invalid SASL mechanism"),
        (b"Q\0\0\0\x0dSELECT 1\0".to_vec(), "expected SASL response"),
        (b"p\x7f\xff\xff\xff".to_vec(), "invalid message length"),
    ] {
        let mut stream = gateway.raw().tls("localhost").await;
        send(&mut stream, &startup(&[("user", USER), ("database", "shop-12.any")])).await;
        assert_eq!(read_message(&mut stream).await.0, b'R');
        send(&mut stream, &sent).await;
        let answer = rest(&mut stream).await;
        assert!(answer.contains(expected), "{answer:?}");
    }
    assert_eq!(gateway.directory.calls(), (0, 0));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_forbidden_clusters_are_indistinguishable() {
    let gateway = TestGateway::start("/nowhere".into()).await;
    gateway.directory.allow(&["10.0.0.0/8"]);
    let mut answers = Vec::new();
    for id in ["shop-12", "shop-13"] {
        let mut stream = gateway.raw().tls("localhost").await;
        let start = Instant::now();
        let hello = startup(&[("user", USER), ("database", &format!("{id}.any"))]);
        send(&mut stream, &hello).await;
        answers.push(rest(&mut stream).await.replace(id, "it"));
        assert!(start.elapsed() >= Duration::from_millis(30), "the time must not reveal the reason");
    }
    assert!(answers[0].contains("\0C08004\0") && answers[0] == answers[1], "{answers:?}");
    let refused = gateway.inner.metrics().refused;
    assert_eq!((refused.get("denied"), refused.get("unknown_cluster")), (Some(&1), Some(&1)));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn password_changed_after_it_was_cached() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let admin = server.admin().await;
    let row = admin.query_one("SELECT rolpassword FROM pg_authid WHERE rolname = $1", &[&USER]).await;
    let before = row.expect("a row").get(0);
    admin.batch_execute("ALTER ROLE ann PASSWORD 'another password now'").await.expect("changed");
    gateway.directory.set_secret(USER, Secret::Scram(before));
    let error = gateway.psql().cluster("shop-12").fails().await;
    assert!(error.contains("has just changed") && error.to_lowercase().contains("try again"), "{error}");
    assert_eq!(gateway.directory.calls(), (1, 1));
    let psql = gateway.psql().cluster("shop-12").password("another password now");
    psql.run("SELECT 1").await.expect("the new one");
    gateway.psql().cluster("shop-12").fails().await;
    assert_eq!(gateway.directory.calls(), (2, 1), "a wrong password invalidates nothing");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_protocols_are_negotiated_down() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let parameters = [("user", USER), ("database", "shop-12.defaultdb"), ("_pq_.unheard_of", "1")];
    let mut hello = startup(&parameters);
    hello[4..8].copy_from_slice(&[0, 3, 0, 9]);
    let mut stream = gateway.raw().tls("localhost").await;
    send(&mut stream, &hello).await;
    let (kind, body) = read_message(&mut stream).await;
    assert_eq!((kind, body), (b'v', b"\0\x03\0\x02\0\0\0\x01_pq_.unheard_of\0".to_vec()));
    let received = log_in(&mut stream, PASSWORD).await;
    assert!(received.ends_with(b"Z\0\0\0\x05I"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_per_cluster_are_limited() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start_with(server.socket(), |s| s.max_connections_per_cluster = 1).await;
    let first = gateway.raw().session().await;
    let error = gateway.psql().cluster("shop-12").fails().await;
    assert!(error.contains("too many connections to this cluster"), "{error}");
    let wrong = gateway.psql().cluster("shop-12").password("wrong password").fails().await;
    assert!(wrong.contains("password authentication failed"), "{wrong}");
    drop(first);
    eventually("the connection is closed", async || {
        gateway.psql().cluster("shop-12").run("SELECT 1").await.is_ok()
    })
    .await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_header_states_the_client_address() {
    let gateway = TestGateway::start_with("/nowhere".into(), |settings| settings.proxy_protocol = true).await;
    gateway.directory.allow(&["10.0.0.0/8"]);
    let response = async |source: [u8; 4]| {
        let mut stream = gateway.raw().tcp().await;
        send(&mut stream, &proxy_header(source)).await;
        let mut stream = gateway.raw().tls_over(stream, "localhost").await;
        send(&mut stream, &startup(&[("user", USER), ("database", "shop-12.any")])).await;
        let (kind, body) = read_message(&mut stream).await;
        (kind, String::from_utf8_lossy(&body).into_owned())
    };
    assert_eq!(response([10, 1, 2, 3]).await.0, b'R', "may authenticate");
    let (kind, text) = response([192, 0, 2, 1]).await;
    assert!(kind == b'E' && text.contains("not found"), "{text}");
    let mut stream = gateway.raw().tcp().await;
    send(&mut stream, &[SSL_REQUEST, [0; 8]].concat()).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    eventually("it is counted", async || gateway.inner.metrics().closed.get("proxy_protocol") == Some(&1))
        .await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_disconnects_during_wake_frees_its_slot() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start_with(server.socket(), |s| s.max_connections_per_cluster = 1).await;
    gateway.directory.set_awake(false);
    let mut stream = gateway.raw().tls("localhost").await;
    let hello = startup(&[("user", USER), ("database", "shop-12.defaultdb")]);
    send(&mut stream, &hello).await;
    tokio::select! {
        _ = log_in(&mut stream, PASSWORD) => panic!("the server is not ready"),
        () = eventually("the login waits for the server", async || gateway.directory.calls().0 > 0) => {}
    }
    let error = gateway.psql().cluster("shop-12").fails().await;
    assert!(error.contains("too many connections to this cluster"), "{error}");
    drop(stream);
    eventually("the slot is free", async || gateway.inner.connections() == 0).await;
    assert_eq!(gateway.inner.metrics().closed.get("gone"), Some(&1));
    gateway.directory.set_awake(true);
    gateway.psql().cluster("shop-12").run("SELECT 1").await.expect("the slot is free");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_sent_during_wake_are_not_lost() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    gateway.directory.set_awake(false);
    let mut stream = gateway.raw().tls("localhost").await;
    let hello = startup(&[("user", USER), ("database", "shop-12.defaultdb")]);
    send(&mut stream, &hello).await;
    tokio::select! {
        _ = log_in(&mut stream, PASSWORD) => panic!("the server is not ready"),
        () = eventually("the login waits for the server", async || gateway.directory.calls().0 > 0) => {}
    }
    send(&mut stream, b"Q\0\0\0\x0dSELECT 1\0").await;
    gateway.directory.set_awake(true);
    let mut kinds = Vec::new();
    while kinds.iter().filter(|kind| **kind == b'Z').count() < 2 {
        kinds.push(read_message(&mut stream).await.0);
    }
    assert!(kinds.contains(&b'D'), "{kinds:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_repeated_if_the_server_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("server");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let gateway = TestGateway::start(socket).await;
    let server = tokio::spawn(async move {
        drop(listener.accept().await.expect("a connection"));
        let (mut server, _) = listener.accept().await.expect("a connection");
        accept_login(&mut server).await;
        server
    });
    let mut client = gateway.raw().tls("localhost").await;
    send(&mut client, &startup(&[("user", USER), ("database", "shop-12.any")])).await;
    let received = log_in(&mut client, PASSWORD).await;
    assert_eq!(received.len(), LOGIN_COMPLETE.len(), "{}", String::from_utf8_lossy(&received));
    drop((client, server.await.expect("a login")));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonexistent_users_are_indistinguishable() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let iterations = async |user: &str| {
        let mut stream = gateway.raw().tls("localhost").await;
        send(&mut stream, &startup(&[("user", user), ("database", "shop-12.any")])).await;
        read_message(&mut stream).await;
        let first = sasl_initial_response("SCRAM-SHA-256", b"n,,n=,r=abcd");
        send(&mut stream, &sasl_response(&first)).await;
        let (_, body) = read_message(&mut stream).await;
        String::from_utf8_lossy(&body).rsplit_once(",i=").map(|(_, count)| count.to_owned())
    };
    assert_eq!(iterations(USER).await.as_deref(), Some("4096"));
    assert_eq!(iterations("nonexistent").await.as_deref(), Some("4096"));
    gateway.directory.set_iterations(9000);
    assert_eq!(iterations("nonexistent").await.as_deref(), Some("9000"));
    gateway.stop().await;
}
