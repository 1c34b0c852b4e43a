//! The time from `POST /clusters` to the first row through the gateway: a cluster, a SQL user, and a `psql`
//! with TLS. Compared with `initdb` and a manual start.

use crate::stats::Times;
use ootheca_testkit::{Engine, Ootheca, ServerBuilder, postgres::TemporaryPostgres};
use std::time::{Duration, Instant};

const RUNS: usize = 15;
const PASSWORD: &str = "correct horse battery";

pub(crate) fn run(program: &str) {
    println!("\n== create → first SELECT through the gateway (TLS, a psql process included)");
    // Nothing is removed until everything is measured: ext4 creates files ten times slower for minutes after
    // many were removed.
    let (by_hand, _kept) = by_hand();
    let (cold, _cold) = measure(program, 0);
    let (warm, _warm) = measure(program, 2);
    println!("{}", warm.line("claimed from the pool"));
    println!("{}", cold.line("cold, from the template"));
    println!("{}", by_hand.line("by hand: initdb (unsynced), start"));
    let ratio = |ours: &Times| by_hand.median() / ours.median();
    println!("ratio by hand / claimed {:.1}, by hand / cold {:.1}", ratio(&warm), ratio(&cold));
}

fn by_hand() -> (Times, Vec<TemporaryPostgres>) {
    let mut servers = Vec::new();
    let times = Times::of(5, |_| servers.push(TemporaryPostgres::start()));
    (times, servers)
}

fn measure(program: &str, pool: usize) -> (Times, Ootheca) {
    let server = ServerBuilder::new(program).engine(Engine::Postgres).pool(pool).boot();
    // The certificate is downloaded once, as a user does.
    let first = server.create_cluster("warming-up", "BASIC");
    server.connection_string(first["id"].as_str().unwrap_or_default(), "nobody");
    let mut times = Vec::new();
    for n in 0..RUNS {
        spares(&server, pool);
        times.push(once(&server, n));
    }
    let column = |part: fn(&[Duration; 3]) -> Duration| {
        Times::from(times.iter().map(part).collect::<Vec<_>>()).median()
    };
    let (cluster, user, select) = (column(|t| t[0]), column(|t| t[1]), column(|t| t[2]));
    println!("  pool {pool}: cluster {cluster:.1} ms, SQL user {user:.1} ms, psql {select:.1} ms (medians)");
    (Times::from(times.iter().map(|parts| parts.iter().sum()).collect::<Vec<Duration>>()), server)
}

/// Measures a cluster, a SQL user, and a `psql`.
pub(crate) fn once(server: &Ootheca, n: usize) -> [Duration; 3] {
    let start = Instant::now();
    let cluster = server.create_cluster(&format!("bench-{n:04}"), "BASIC");
    let made = start.elapsed();
    let id = cluster["id"].as_str().unwrap_or_default();
    let user = serde_json::json!({ "name": "bench", "password": PASSWORD });
    server.post(&format!("/clusters/{id}/sql-users"), user).ok();
    let named = start.elapsed();
    let routing =
        cluster.pointer("/config/serverless/routing_id").and_then(|id| id.as_str()).unwrap_or_default();
    let port = server.sql_address().port();
    let string = format!(
        "postgresql://bench@localhost:{port}/defaultdb?sslmode=verify-full&options=--cluster%3D{routing}"
    );
    server.psql_at(&string, PASSWORD, "SELECT 1").ok();
    [made, named - made, start.elapsed() - named]
}

/// Waits until the pool is full again, so that claiming a spare is measured and not refilling the pool.
pub(crate) fn spares(server: &Ootheca, pool: usize) {
    ootheca_testkit::eventually("the pool is full", || {
        let spares =
            server.instances().iter().filter(|row| row["cluster"].is_null() && is_whole(row)).count();
        (spares >= pool).then_some(())
    });
}

/// Whether a spare is complete. Its server starts before that, and still needs the CPU.
fn is_whole(row: &serde_json::Value) -> bool {
    let data = std::path::Path::new(row["data"].as_str().unwrap_or_default());
    data.with_file_name("spare-ready").exists()
}
