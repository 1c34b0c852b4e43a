//! The gateway as a separate process, with and without its control plane.

use crate::support::{PASSWORD, PROGRAM, id, sql_user};
use ootheca_testkit::{Client, Engine, Gateway, Ootheca, ServerBuilder, eventually, wire::Wire};
use std::{fs, os::unix::fs::PermissionsExt};

fn apart() -> (Ootheca, Gateway) {
    let server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).arg("--no-gateway").boot();
    let gateway = server.gateway(&["--metrics-listen", "127.0.0.1:0"]);
    (server, gateway)
}

/// Creates a cluster with a user. Returns its ID and its connection string.
fn furnish(server: &Ootheca, name: &str) -> (String, String) {
    let cluster = id(&server.create_cluster(name, "STANDARD"));
    sql_user(server, &cluster, "keeper");
    let string = server.connection_string(&cluster, "keeper");
    (cluster, string)
}

#[test]
fn a_gateway_works_without_its_control_plane() {
    let (mut server, gateway) = apart();
    let (cluster, string) = furnish(&server, "some-cluster");
    let (_, never_seen) = furnish(&server, "other-cluster");
    let port = format!(":{}/", gateway.address().port());
    assert!(string.contains(&port), "the port is the gateway's: {string}");
    assert_eq!(server.psql_at(&string, PASSWORD, "SELECT 1").ok(), "1");
    let mut session = server.session(&cluster, "keeper", PASSWORD);
    assert_eq!(session.run("SELECT 2").as_deref(), Ok("2"));

    server.kill();
    assert_eq!(session.run("SELECT 3").as_deref(), Ok("3"), "an open session continues");
    assert_eq!(server.psql_at(&string, PASSWORD, "SELECT 4").ok(), "4", "a known cluster accepts");
    server.psql_at(&never_seen, PASSWORD, "SELECT 5").fails("codeBackendDown");
    server.psql_at(&string, "not the password", "SELECT 1").fails("authentication failed");

    server.start();
    assert_eq!(server.psql_at(&never_seen, PASSWORD, "SELECT 6").ok(), "6");
    assert_eq!(session.run("SELECT 7").as_deref(), Ok("7"), "the restart terminates no session");
    assert_eq!(server.connection_string(&cluster, "keeper"), string, "the port is reported again");
    server.delete(&format!("/clusters/{cluster}")).ok();
    let words = eventually("the deletion terminates the session", || session.run("SELECT 8").err());
    assert!(words.contains("deleted") || words.contains("connection"), "{words}");
    server.psql_at(&string, PASSWORD, "SELECT 9").fails("not found");
    gateway.terminate();
}

#[test]
fn missed_changes_apply_after_reconnecting() {
    let (mut server, gateway) = apart();
    let (cluster, string) = furnish(&server, "some-cluster");
    let mut session = server.session(&cluster, "keeper", PASSWORD);
    assert_eq!(session.run("SELECT 1").as_deref(), Ok("1"));
    // The gateway receives nothing while it is paused, as if the connection were interrupted.
    ootheca_testkit::processes::pause(gateway.pid());
    server.delete(&format!("/clusters/{cluster}/networking/allowlist/0.0.0.0/0")).ok();
    server.kill();
    ootheca_testkit::processes::resume(gateway.pid());
    server.start();
    eventually("the session is terminated", || session.run("SELECT 1").err());
    server.psql_at(&string, PASSWORD, "SELECT 1").fails("connection refused");
}

#[test]
fn a_gateway_drains_and_serves_metrics() {
    let (server, gateway) = apart();
    let (cluster, _) = furnish(&server, "some-cluster");
    for socket in ["control.sock", "gateway.sock"] {
        let data = fs::metadata(server.data_dir().join(socket)).expect("a socket");
        assert_eq!(data.permissions().mode() & 0o777, 0o600, "{socket}");
    }
    let figures = Client::new(&format!("http://{}", gateway.metrics()), "").anonymous();
    let figures = figures.raw("GET", "/metrics").send();
    let text = String::from_utf8_lossy(&figures.bytes).into_owned();
    assert!(figures.status == 200 && text.contains("ootheca_gateway_connections"), "{figures}");
    let mut session = server.session(&cluster, "keeper", PASSWORD);
    session.run("SELECT 1").expect("a session");
    gateway.terminate();
    let words = session.run("SELECT 1").expect_err("it ended with the gateway");
    assert!(words.contains("administrator command") || words.contains("connection"), "{words}");
}

#[test]
fn clients_without_a_startup_message_receive_close_notify() {
    let server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).arg("--no-gateway").boot();
    let settings = [
        // With one thread, a login shows that the TLS handshakes before it are complete.
        ("OOTHECA_GATEWAY__THREADS", "1"),
        ("OOTHECA_GATEWAY__HANDSHAKE_SECONDS", "600"),
        ("OOTHECA_GATEWAY__MAX_UNAUTHENTICATED_CONNECTIONS_PER_ADDRESS", "2"),
        ("OOTHECA_DRAIN_SECONDS", "1"),
    ];
    let gateway = server.gateway_with(&[], &settings);
    let (cluster, _) = furnish(&server, "some-cluster");
    let routing_id = server.get(&format!("/clusters/{cluster}")).text("/config/serverless/routing_id");
    let wire = Wire::new(gateway.address(), &server.authority()).with("user", "keeper").password(PASSWORD);
    let wire = wire.with("database", &format!("{routing_id}.defaultdb"));
    let log_in = || drop(wire.connect().expect("a connection").expect("a session"));
    let mut evicted = wire.tls().expect("TLS");
    log_in();
    let mut last = wire.tls().expect("TLS");
    log_in();
    assert_eq!(evicted.end().expect("close_notify"), b"", "evicted");
    gateway.terminate();
    assert_eq!(last.end().expect("close_notify"), b"", "the gateway was stopped");
}

#[test]
fn a_second_gateway_in_a_data_directory_is_refused() {
    let (server, _gateway) = apart();
    let output = server.run(&["gateway", "--sql-listen", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("another gateway is using"), "{said}");
    assert!(said.contains("--take-over"), "the error contains a hint: {said}");
}
