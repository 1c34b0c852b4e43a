//! `GET /metrics`: authorization and contents.

use crate::support::{PASSWORD, PROGRAM, id, real, simulated, sql_user};
use ootheca_testkit::{Client, Engine, Ootheca, ServerBuilder, eventually};
use std::{fs, path::Path};

fn figures(client: &Client) -> String {
    let answer = client.raw("GET", "/metrics").send();
    assert_eq!(answer.status, 200, "{answer}");
    assert!(
        answer.header("content-type").is_some_and(|kind| kind.starts_with("application/openmetrics-text"))
    );
    String::from_utf8_lossy(&answer.bytes).into_owned()
}

/// Waits until a series of a cluster has the expected value.
fn becomes(client: &Client, cluster: &str, name: &str, expected: impl Fn(f64) -> bool) {
    let series = format!("ootheca_cluster_{name}{{cluster=\"{cluster}\",name=\"some-cluster\"}}");
    eventually(&series, || value(&figures(client), &series).filter(|found| expected(*found)));
}

/// The value of a series.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn metrics_require_access_to_every_cluster() {
    let server = simulated();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    let read = |client: Client| client.raw("GET", "/metrics").send();
    read(server.anonymous()).refused(401);
    read(server.with_key("CCDB1_unknown")).refused(401);
    let with_role = |role: &str| server.with_key(&server.new_key(&[role]));
    for role in ["CLUSTER_CREATOR", "BILLING_VIEWER", &format!("CLUSTER_ADMIN@{cluster}")] {
        read(with_role(role)).refused(403);
    }
    for role in ["METRICS_VIEWER", "CLUSTER_MONITOR", "CLUSTER_DEVELOPER", "CLUSTER_ADMIN", "ORG_ADMIN"] {
        figures(&with_role(role));
    }
}

#[test]
fn metrics_match_the_state() {
    let server = simulated();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    let text = figures(server.client());
    let labels = format!("{{cluster=\"{cluster}\",name=\"some-cluster\"}}");
    assert_eq!(value(&text, &format!("ootheca_cluster_sessions{labels}")), Some(0.0), "{text}");
    assert_eq!(value(&text, &format!("ootheca_cluster_suspended{labels}")), Some(0.0), "{text}");
    let answers = |text: &str, class: &str| {
        value(text, &format!("ootheca_api_requests_total{{class=\"{class}\"}}")).expect("a count")
    };
    let (good, bad) = (answers(&text, "2xx"), answers(&text, "4xx"));
    server.get("/clusters").ok();
    server.get("/clusters/nothing").refused(404);
    let text = figures(server.client());
    assert_eq!((answers(&text, "2xx"), answers(&text, "4xx")), (good + 1.0, bad + 1.0));
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../expected/metrics.txt");
    let expected = fs::read_to_string(expected).expect("the list of series");
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').expect("a name and a type");
        let listed =
            expected.lines().any(|line| line.starts_with(kind) && line.contains(&format!(" {name} ")));
        assert!(listed, "expected/metrics.txt does not list {name}");
    }
    server.delete(&format!("/clusters/{cluster}")).ok();
    assert!(!figures(server.client()).contains(&cluster), "a deleted cluster has no series");
}

/// A session is opened, counted, and closed.
fn follow_a_session(server: &Ootheca) {
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    sql_user(server, &cluster, "keeper");
    let mut session = server.session(&cluster, "keeper", PASSWORD);
    session.run("SELECT repeat('x', 100000)").expect("a session");
    becomes(server, &cluster, "sessions", |count| count == 1.0);
    becomes(server, &cluster, "sent_bytes_total", |bytes| bytes >= 100_000.0);
    becomes(server, &cluster, "received_bytes_total", |bytes| bytes > 0.0);
    drop(session);
    becomes(server, &cluster, "sessions", |count| count == 0.0);
}

#[test]
fn sessions_and_bytes_are_counted_per_cluster() {
    follow_a_session(&real());
}

#[test]
fn sessions_of_a_separate_gateway_are_counted() {
    let server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).arg("--no-gateway").boot();
    let gateway = server.gateway(&[]);
    follow_a_session(&server);
    gateway.terminate();
}
