//! Renewal of the certificate while the gateway runs.

use crate::support::{PASSWORD, PostgresServer, TestGateway, USER, eventually, log_in_bound, startup};
use sha2::{Digest as _, Sha256};
use std::{fs, time::Duration};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::client::TlsStream;

const SECOND: Duration = Duration::from_secs(1);

/// The channel binding of the certificate that the client received.
fn binding(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    let chain = stream.get_ref().1.peer_certificates().expect("a certificate");
    Sha256::digest(&chain[0]).to_vec()
}

async fn connect(gateway: &TestGateway) -> TlsStream<TcpStream> {
    gateway.raw().tls("localhost").await
}

/// Whether a login that is bound to a certificate succeeds.
async fn logs_in(stream: &mut TlsStream<TcpStream>, binding: Vec<u8>) -> bool {
    let hello = startup(&[("user", USER), ("database", "shop-12.defaultdb")]);
    stream.write_all(&hello).await.expect("sent");
    let received = log_in_bound(stream, PASSWORD, binding).await;
    let refused = String::from_utf8_lossy(&received).contains("channel binding check failed");
    assert_ne!(refused, received.ends_with(b"Z\0\0\0\x05I"), "{}", String::from_utf8_lossy(&received));
    !refused
}

#[tokio::test(flavor = "multi_thread")]
async fn channel_binding_uses_the_certificate_of_the_connection() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start_with(server.socket(), |s| s.renewal = SECOND / 20).await;
    let before = gateway.raw().session().await;
    let mut early = connect(&gateway).await;
    let old = binding(&early);
    // A missing certificate is replaced like an expiring one.
    fs::remove_file(gateway.ca().with_file_name("server.pem")).expect("removed");
    eventually("there is a new certificate", async || binding(&connect(&gateway).await) != old).await;
    assert!(logs_in(&mut early, old.clone()).await, "the client received the old certificate");
    let mut late = connect(&gateway).await;
    let new = binding(&late);
    assert!(logs_in(&mut late, new.clone()).await);
    assert!(!logs_in(&mut connect(&gateway).await, old).await, "the client received the new certificate");
    let psql = gateway.psql().cluster("shop-12").with("channel_binding", "require");
    assert_eq!(psql.run("SELECT 'in'").await, Ok("in".into()), "the authority is the same");
    before.simple_query("SELECT 1").await.expect("earlier sessions continue");
    gateway.stop().await;
}
