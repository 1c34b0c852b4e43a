//! Drivers with the real gateway: psycopg (libpq 17), node-postgres, and tokio-postgres. `./dev test`
//! installs the first two in `target/clients`.

use crate::support::{PASSWORD, PROGRAM, id, sql_user};
use ootheca_testkit::{Engine, Ootheca, ServerBuilder};
use serde_json::{Value, json};
use std::{path::PathBuf, process::Command};

const DOMAIN: &str = "db.example.test";

/// A server whose clusters have individual host names, a cluster, and a user.
fn furnished() -> (Ootheca, Value) {
    let server =
        ServerBuilder::new(PROGRAM).engine(Engine::Postgres).env("OOTHECA_GATEWAY__DOMAIN", DOMAIN).boot();
    let cluster = server.create_cluster("driver-test", "STANDARD");
    sql_user(&server, &id(&cluster), "keeper");
    (server, cluster)
}

/// The connection parameters for a client program.
fn place(server: &Ootheca, cluster: &Value) -> String {
    json!({
        "port": server.sql_address().port(),
        "domain": DOMAIN,
        "routing_id": cluster.pointer("/config/serverless/routing_id"),
        "user": "keeper",
        "password": PASSWORD,
        "ca": server.data_dir().join("certificates/ca.pem"),
    })
    .to_string()
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs a client program, which prints the name of each check that passed.
fn passes(command: &mut Command, checks: &[&str]) {
    let shown = format!("{:?}", command.get_program());
    let output = command.output().unwrap_or_else(|error| panic!("{shown}: {error}; ./dev test installs it"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().collect::<Vec<_>>(), checks);
}

#[test]
fn psycopg() {
    let (server, cluster) = furnished();
    let mut python = Command::new(repository().join("target/clients/bin/python"));
    python.arg(repository().join("tests/clients/psycopg_client.py")).arg(place(&server, &cluster));
    let checks = [
        "routing",
        "tls_modes",
        "authentication",
        "copy",
        "large_rows",
        "prepared",
        "transactions",
        "listen",
        "cancel",
    ];
    passes(&mut python, &checks);
}

#[test]
fn node_postgres() {
    let (server, cluster) = furnished();
    let mut node = Command::new("node");
    node.arg(repository().join("tests/clients/node_postgres_client.js")).arg(place(&server, &cluster));
    node.env("NODE_PATH", repository().join("target/clients/node_modules"));
    let checks = ["routing", "authentication", "prepared", "largeRows", "transactions", "listen", "pool"];
    passes(&mut node, &checks);
}
