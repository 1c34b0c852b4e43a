//! Where it listens.

use crate::support::{Front, Server};

#[tokio::test(flavor = "multi_thread")]
async fn over_ipv6_the_loopback_counts_as_the_one_of_ipv4() {
    let server = Server::start().await;
    let front =
        Front::start_with(server.socket(), |s| s.listen = "[::1]:0".parse().expect("an address")).await;
    assert!(front.address().is_ipv6());
    let psql = || front.psql().cluster("shop-12");
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
        front.town.allow(&[network]);
        let answer = psql().run("SELECT 'in'").await;
        assert_eq!(answer.is_ok(), allowed, "{network}: {answer:?}");
        if let Err(told) = answer {
            assert!(told.contains("refused by its IP allowlist"), "{told}");
        }
    }
    front.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_can_be_had_again_at_once() {
    let server = Server::start().await;
    let first = Front::start(server.socket()).await;
    let address = first.address();
    let session = first.raw().session().await;
    session.simple_query("SELECT 1").await.expect("an answer");
    // Ends the session from its side: its end of the connection lingers.
    first.stop().await;
    let second = Front::start_with(server.socket(), |s| s.listen = address).await;
    assert_eq!(second.address(), address);
    assert_eq!(second.psql().cluster("shop-12").run("SELECT 'in'").await, Ok("in".into()));
    second.stop().await;
}
