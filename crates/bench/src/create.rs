//! From `POST /clusters` to the first row through the gateway: a cluster, a SQL user, a `psql` with TLS.
//! Against `initdb` and a start by hand.

use crate::stats::Times;
use ootheca_testkit::{Engine, Launch, Ootheca, postgres::TemporaryPostgres};
use std::time::Duration;

const RUNS: usize = 15;
const PASSWORD: &str = "correct horse battery";

pub(crate) fn run(program: &str) {
    println!("\n== create → first SELECT through the gateway (TLS, a psql process included)");
    let warm = measure(program, 2);
    let cold = measure(program, 0);
    let hand = by_hand();
    println!("{}", warm.line("claimed from the pool"));
    println!("{}", cold.line("cold, from the template"));
    println!("{}", hand.line("by hand: initdb (unsynced), start"));
    println!(
        "ratio by hand / claimed {:.1}, by hand / cold {:.1}",
        hand.median() / warm.median(),
        hand.median() / cold.median()
    );
}

fn measure(program: &str, pool: usize) -> Times {
    let server = Launch::new(program).engine(Engine::Postgres).pool(pool).boot();
    // The certificate is fetched once, as a user would.
    let first = server.create_cluster("warming-up", "BASIC");
    server.connection_string(first["id"].as_str().unwrap_or_default(), "nobody");
    let mut times = Vec::new();
    for n in 0..RUNS {
        spares(&server, pool);
        times.push(once(&server, n));
    }
    Times::from(times)
}

fn once(server: &Ootheca, n: usize) -> Duration {
    let start = std::time::Instant::now();
    let cluster = server.create_cluster(&format!("bench-{n:04}"), "BASIC");
    let id = cluster["id"].as_str().unwrap_or_default();
    let user = serde_json::json!({ "name": "bench", "password": PASSWORD });
    server.post(&format!("/clusters/{id}/sql-users"), user).ok();
    let routing =
        cluster.pointer("/config/serverless/routing_id").and_then(|id| id.as_str()).unwrap_or_default();
    let port = server.sql_address().port();
    let string = format!(
        "postgresql://bench@localhost:{port}/defaultdb?sslmode=verify-full&options=--cluster%3D{routing}"
    );
    server.psql_at(&string, PASSWORD, "SELECT 1").ok();
    let time = start.elapsed();
    server.delete(&format!("/clusters/{id}")).ok();
    time
}

/// Waits until the pool is full again, so that a claim is measured and not the refill.
fn spares(server: &Ootheca, pool: usize) {
    ootheca_testkit::eventually("the pool is full", || {
        let spares =
            server.instances().iter().filter(|row| row["cluster"].is_null() && row["pid"].is_u64()).count();
        (spares >= pool).then_some(())
    });
}

fn by_hand() -> Times {
    Times::of(5, |_| {
        let server = TemporaryPostgres::start();
        drop(server);
    })
}
