//! Listening addresses.

use crate::support::{PostgresServer, TestGateway};

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_loopback_address_matches_ipv4_networks() {
    let server = PostgresServer::start().await;
    let gateway =
        TestGateway::start_with(server.socket(), |s| s.listen = "[::1]:0".parse().expect("an address")).await;
    assert!(gateway.address().is_ipv6());
    let psql = || gateway.psql().cluster("shop-12");
    assert_eq!(psql().with("hostaddr", "::1").run("SELECT 'in'").await, Ok("in".into()));
    let by_name = psql().with("host", "::1").run("SELECT 'in'").await;
    assert_eq!(by_name, Ok("in".into()), "the certificate is for the address too");
    for (network, allowed) in [
        ("127.0.0.1/32", true),
        ("127.0.0.2/32", false),
        ("10.0.0.0/8", false),
        ("::1/128", true),
        ("0.0.0.0/0", true),
    ] {
        gateway.directory.allow(&[network]);
        let answer = psql().run("SELECT 'in'").await;
        assert_eq!(answer.is_ok(), allowed, "{network}: {answer:?}");
        if let Err(error) = answer {
            assert!(error.contains("refused by its IP allowlist"), "{error}");
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn port_can_be_reused_immediately() {
    let server = PostgresServer::start().await;
    let first = TestGateway::start(server.socket()).await;
    let address = first.address();
    let session = first.raw().session().await;
    session.simple_query("SELECT 1").await.expect("an answer");
    // The gateway closes the connection first, so its end lingers in the kernel.
    first.stop().await;
    let second = TestGateway::start_with(server.socket(), |s| s.listen = address).await;
    assert_eq!(second.address(), address);
    assert_eq!(second.psql().cluster("shop-12").run("SELECT 'in'").await, Ok("in".into()));
    second.stop().await;
}
