//! The certificate is made again while the gateway runs.

use crate::support::{Front, PASSWORD, Server, USER, eventually, log_in_bound, startup};
use sha2::{Digest as _, Sha256};
use std::{fs, time::Duration};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::client::TlsStream;

const SECOND: Duration = Duration::from_secs(1);

/// The binding of the certificate that this connection has shown.
fn binding(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    let chain = stream.get_ref().1.peer_certificates().expect("a certificate");
    Sha256::digest(&chain[0]).to_vec()
}

async fn connect(front: &Front) -> TlsStream<TcpStream> {
    front.raw().tls("localhost").await
}

/// Whether a login that is bound to a certificate succeeds.
async fn logs_in(stream: &mut TlsStream<TcpStream>, binding: Vec<u8>) -> bool {
    let hello = startup(&[("user", USER), ("database", "shop-12.defaultdb")]);
    stream.write_all(&hello).await.expect("sent");
    let said = log_in_bound(stream, PASSWORD, binding).await;
    let refused = String::from_utf8_lossy(&said).contains("channel binding check failed");
    assert_ne!(refused, said.ends_with(b"Z\0\0\0\x05I"), "{}", String::from_utf8_lossy(&said));
    !refused
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_bound_to_the_certificate_of_its_connection() {
    let server = Server::start().await;
    let front = Front::start_with(server.socket(), |s| s.renewal = SECOND / 20).await;
    let before = front.raw().session().await;
    let mut early = connect(&front).await;
    let old = binding(&early);
    assert_eq!(binding(&connect(&front).await), old, "a look alone changes nothing");
    // What is missing is made again as what runs out is.
    fs::remove_file(front.ca().with_file_name("server.pem")).expect("removed");
    eventually("there is a new certificate", 10 * SECOND, async || binding(&connect(&front).await) != old)
        .await;
    assert!(logs_in(&mut early, old.clone()).await, "it has seen the old one");
    let mut late = connect(&front).await;
    let new = binding(&late);
    assert!(logs_in(&mut late, new.clone()).await);
    assert!(!logs_in(&mut connect(&front).await, old).await, "that is not what it has seen");
    let psql = front.psql().cluster("shop-12").with("channel_binding", "require");
    assert_eq!(psql.run("SELECT 'in'").await, Ok("in".into()), "of the same authority");
    before.simple_query("SELECT 1").await.expect("who was there notices nothing");
    front.stop().await;
}
