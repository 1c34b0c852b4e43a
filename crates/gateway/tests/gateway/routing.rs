//! Which connections reach a cluster, and the errors of the others.

use crate::support::{PASSWORD, PostgresServer, TestGateway, USER, log_in, rest, send, startup};
use ootheca_pg_protocol::startup::{GSSENC_REQUEST, SSL_REQUEST};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const WHERE: &str = "SELECT current_database()";

#[tokio::test(flavor = "multi_thread")]
async fn psql_reaches_its_cluster() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start_with(server.socket(), |s| s.domains = vec!["sql.test".into()]).await;
    let psql = || gateway.psql();
    let ok = |text: &str| Ok(text.to_owned());
    assert_eq!(psql().cluster("shop-12").run(WHERE).await, ok("defaultdb"));
    assert_eq!(psql().with("dbname", "shop-12.defaultdb").run(WHERE).await, ok("defaultdb"));
    assert_eq!(psql().with("dbname", "shop-12.with.dots").run(WHERE).await, ok("with.dots"));
    assert_eq!(psql().with("host", "shop-12.localhost").run(WHERE).await, ok("defaultdb"));
    assert_eq!(psql().with("host", "shop-12.sql.test").run(WHERE).await, ok("defaultdb"));
    let other_host = psql().with("host", "other-1.localhost").cluster("shop-12");
    assert_eq!(other_host.run(WHERE).await, ok("defaultdb"));
    let more = psql().with("options", "-c work_mem=77kB -c cluster=shop-12");
    assert_eq!(more.run("SHOW work_mem").await, ok("77kB"));
    let bound = psql().cluster("shop-12").with("channel_binding", "prefer");
    assert_eq!(bound.run(WHERE).await, ok("defaultdb"));
    let address = psql().with("host", "127.0.0.1").cluster("shop-12");
    assert_eq!(address.run(WHERE).await, ok("defaultdb"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_displays_the_reason_for_a_rejection() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let psql = || gateway.psql();
    let expect_error = |error: String, texts: &[&str]| {
        for text in texts {
            assert!(error.contains(text), "{text:?} is not in {error:?}");
        }
    };
    expect_error(
        psql().fails().await,
        &["codeParamsRoutingFailed: missing cluster identifier", "HINT:", "--cluster="],
    );
    expect_error(psql().cluster("shop-13").fails().await, &["cluster shop-13 not found"]);
    expect_error(psql().cluster("shop").fails().await, &["invalid cluster identifier 'shop'"]);
    let different = psql().cluster("shop-12").with("dbname", "shop-13.defaultdb");
    expect_error(different.fails().await, &["multiple different cluster identifiers"]);
    let broken = psql().cluster("broken-1").fails().await;
    expect_error(broken.clone(), &["internal error"]);
    assert!(!broken.contains("secret reason"), "{broken}");
    expect_error(
        psql().cluster("shop-12").with("user", "ootheca").fails().await,
        &["\"ootheca\" is reserved"],
    );
    expect_error(
        psql().cluster("shop-12").with("user", "Postgres").fails().await,
        &["\"Postgres\" is reserved"],
    );
    expect_error(psql().cluster("shop-12").with("replication", "database").fails().await, &["replication"]);
    expect_error(
        psql().cluster("shop-12").password("wrong password").fails().await,
        &["password authentication failed"],
    );
    expect_error(
        psql().cluster("shop-12").with("sslmode", "disable").fails().await,
        &["unsupported startup message", "sslmode=verify-full"],
    );
    let other = TestGateway::start(server.socket()).await;
    let ca = other.ca().display().to_string();
    expect_error(
        psql().cluster("shop-12").with("sslrootcert", &ca).fails().await,
        &["certificate verify failed"],
    );
    other.stop().await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejections_have_the_documented_sqlstates() {
    let gateway = TestGateway::start("/nowhere/.s.PGSQL.5432".into()).await;
    for (name, parameters, texts) in [
        ("localhost", vec![("user", USER)], ["\0C08004\0", "missing cluster identifier"]),
        (
            "localhost",
            vec![("user", USER), ("database", "shop-12.")],
            ["\0C08004\0", "invalid database param"],
        ),
        ("localhost", vec![("user", "root"), ("options", "--cluster=shop-12")], ["\0C28000\0", "reserved"]),
        ("localhost", vec![("options", "--cluster=shop-12")], ["\0C28000\0", "no PostgreSQL user name"]),
        ("localhost", vec![("user", USER), ("options", "--cluster=shop-13")], ["\0C08004\0", "not found"]),
        ("localhost", vec![("user", USER), ("user", USER)], ["\0C08P01\0", "given twice"]),
    ] {
        let mut stream = gateway.raw().tls(name).await;
        send(&mut stream, &startup(&parameters)).await;
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with('E') && texts.iter().all(|text| answer.contains(text)), "{answer:?}");
    }
    let mut stream = gateway.raw().tls("localhost").await;
    let hello = startup(&[("user", USER), ("options", "--cluster=shop-12")]);
    send(&mut stream, &hello).await;
    let answer = String::from_utf8(log_in(&mut stream, PASSWORD).await).expect("text");
    assert!(answer.contains("\0C57P03\0") && answer.contains("codeBackendDown"), "{answer:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_packets_are_negotiated() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start(server.socket()).await;
    let raw = gateway.raw();
    let mut stream = raw.tcp().await;
    stream.write_all(&GSSENC_REQUEST).await.expect("GSSENCRequest");
    assert_eq!(stream.read_u8().await.expect("an answer"), b'N');
    stream.write_all(&SSL_REQUEST).await.expect("SSLRequest");
    assert_eq!(stream.read_u8().await.expect("an answer"), b'S');
    drop(stream);

    let mut stream = raw.tcp().await;
    send(&mut stream, b"GET / HTTP/1.1\r\n\r\n").await;
    assert!(rest(&mut stream).await.contains("invalid length of startup packet"));

    let hello = startup(&[("user", USER), ("database", "shop-12.defaultdb")]);
    let mut stream = raw.direct(&["postgresql"]).await.expect("direct TLS");
    send(&mut stream, &hello).await;
    assert_eq!(stream.read_u8().await.expect("an answer"), b'R');
    drop(stream);
    let mut stream = raw.direct(&[]).await.expect("direct TLS");
    assert!(rest(&mut stream).await.contains("ALPN"));
    assert!(raw.direct(&["http/1.1"]).await.is_err());

    let mut stream = raw.tls("localhost").await;
    stream.write_all(&SSL_REQUEST).await.expect("SSLRequest again");
    assert!(rest(&mut stream).await.contains("uses TLS already"));
    gateway.stop().await;
}
