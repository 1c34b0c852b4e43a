//! The certificates that clients get, and their renewal while the gateway runs.

use crate::support::{
    PASSWORD, PostgresServer, Raw, TestGateway, USER, eventually, log_in_bound, program, send, startup,
};
use rustls::{pki_types::UnixTime, time_provider::TimeProvider};
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::{net::TcpStream, process::Command};
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
    send(stream, &hello).await;
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

/// Requests TLS for a name and verifies the certificate, as drivers for Python do. Python uses OpenSSL.
const OPENSSL: &str = r"
import socket, ssl, sys
host, port, authority, name = sys.argv[1:]
plain = socket.create_connection((host, int(port)))
plain.sendall(bytes([0, 0, 0, 8, 4, 210, 22, 47]))
assert plain.recv(1) == b'S'
ssl.create_default_context(cafile=authority).wrap_socket(plain, server_hostname=name).close()
";

/// Why OpenSSL refuses the certificate for a name.
async fn openssl(gateway: &TestGateway, name: &str) -> Result<(), String> {
    let address = gateway.address();
    let output = Command::new(program("python3"))
        .args(["-c", OPENSSL, &address.ip().to_string(), &address.port().to_string()])
        .arg(gateway.ca())
        .arg(name)
        .output()
        .await
        .expect("python3");
    output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_and_libpq_accept_the_host_name_of_a_cluster() {
    let server = PostgresServer::start().await;
    let domains = ["lan".to_owned(), "sql.example.com".to_owned()];
    let gateway = TestGateway::start_with(server.socket(), |s| s.domains = domains.into()).await;
    for name in ["localhost", "shop-12.localhost", "lan", "shop-12.lan", "shop-12.sql.example.com"] {
        assert_eq!(openssl(&gateway, name).await, Ok(()), "{name}");
    }
    for name in ["not.a.cluster.localhost", "nothing.lan", "shop-12.other"] {
        let refused = openssl(&gateway, name).await.expect_err(name);
        assert!(refused.contains("ostname mismatch"), "{name}: {refused}");
    }
    for host in ["shop-12.localhost", "shop-12.lan"] {
        let psql = gateway.psql().with("host", host).with("channel_binding", "require");
        assert_eq!(psql.run("SELECT 'in'").await, Ok("in".into()), "{host}");
    }
    gateway.stop().await;
}

/// How many days the clock of the next test is ahead.
static DAYS_AHEAD: AtomicU64 = AtomicU64::new(0);

fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(DAYS_AHEAD.load(Ordering::Relaxed) * 24 * 60 * 60)
}

/// The clock of a client that agrees with the gateway.
#[derive(Debug)]
struct Later;

impl TimeProvider for Later {
    fn current_time(&self) -> Option<UnixTime> {
        later().duration_since(SystemTime::UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_when_the_clock_jumps() {
    let server = PostgresServer::start().await;
    let gateway = TestGateway::start_with(server.socket(), |s| {
        s.renewal = SECOND / 20;
        s.now = later;
    })
    .await;
    let names = ["localhost", "shop-12.localhost"];
    let client =
        Raw::at(gateway.address(), &fs::read_to_string(gateway.ca()).expect("ca.pem"), Arc::new(Later));
    for name in names {
        client.try_tls(name).await.expect("a valid certificate");
    }
    let before = gateway.inner.metrics().certificate_expiry["sql"];
    DAYS_AHEAD.store(400, Ordering::Relaxed);
    for name in names {
        eventually("the certificate is valid again", async || client.try_tls(name).await.is_ok()).await;
    }
    let expires = gateway.inner.metrics().certificate_expiry;
    assert!(expires["sql"] > before + 390 * 24 * 60 * 60 * SECOND, "{expires:?}");
    assert!(expires["authority"] > expires["sql"], "{expires:?}");
    gateway.stop().await;
}
