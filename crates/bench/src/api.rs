//! Requests per second of one read, compared with a bare handler that returns the same bytes; the cost of
//! authentication and authorization; and the pages of long lists in both stores. `wrk` generates the load on
//! the same two cores.

use crate::stats::{Rates, Times, cpu_time};
use ootheca_model::{Timestamp, audit::AuditEntry};
use ootheca_store::{AuditQuery, Batch, Kind, Mutation, Row};
use ootheca_testkit::{Ootheca, ServerBuilder, postgres::TemporaryPostgres};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, ExitCode, Stdio},
};
use uuid::Uuid;

const ROUNDS: usize = 5;
/// How long each round takes.
const DURATION: &str = "3s";
const CLUSTERS: usize = 10_000;
const ENTRIES: usize = 100_000;
/// The number of pages that are measured for each list.
const PAGES: usize = 400;
/// The number of rows in one transaction.
const AT_ONCE: usize = 1000;
/// The cluster that all others are copies of.
const MODEL: &str = "notorious-moose";
/// The limit of the cost of authentication, rate limiting, and authorization of a request, in microseconds.
const ADMISSION_LIMIT: f64 = 30.0;

/// Serves the bytes of a file to every request, with as little as axum needs.
pub(crate) fn bare(file: &str) -> ExitCode {
    let body = fs::read_to_string(file).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let Ok(runtime) = runtime else { return ExitCode::FAILURE };
    runtime.block_on(async {
        let answer = move || {
            let body = body.clone();
            async move { ([("content-type", "application/json")], body) }
        };
        let router = axum::Router::new().fallback(answer);
        let Ok(listener) = tokio::net::TcpListener::bind("127.0.0.1:0").await else { return };
        if let Ok(address) = listener.local_addr() {
            println!("{address}");
        }
        let _ = axum::serve(listener, router).await;
    });
    ExitCode::SUCCESS
}

pub(crate) fn run(program: &str) {
    println!("\n== GET /clusters/{{id}} with authentication, wrk with 16 connections");
    let server = ServerBuilder::new(program).boot();
    let cluster = server.create_cluster("notorious-moose", "STANDARD");
    let path = format!("/api/v1/clusters/{}", cluster["id"].as_str().unwrap_or_default());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("body.json");
    fs::write(&file, cluster.to_string()).expect("a file");
    let mut bare = Command::new(std::env::current_exe().expect("this program"))
        .arg("bare")
        .arg(&file)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the bare server starts");
    let mut line = String::new();
    BufReader::new(bare.stdout.take().expect("a pipe")).read_line(&mut line).expect("its address");
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(wrk(&format!("{}{path}", server.base()), &server.admin_key()));
        limit.push(wrk(&format!("http://{}{path}", line.trim()), "none"));
    }
    let _ = bare.kill();
    let _ = bare.wait();
    let (ours, limit) = (Rates::new(ours), Rates::new(limit));
    println!("{}", ours.line("ootheca"));
    println!("{}", limit.line("bare axum handler, same bytes"));
    println!("ratio {:.2}", ours.median() / limit.median());
}

/// CPU time of the server for each request that is refused because a role is missing, minus the time for each
/// request of an unknown path, which is not authenticated.
pub(crate) fn admission(program: &str) {
    println!("\n== authentication, rate limit and authorization, CPU time a request by difference");
    let server = ServerBuilder::new(program)
        .env("OOTHECA_RATE_LIMIT__MODE", "pace")
        .env("OOTHECA_RATE_LIMIT__REQUESTS_PER_SECOND", "1000000000")
        .env("OOTHECA_RATE_LIMIT__BURST", "1000000000")
        .boot();
    let key = server.new_key(&["BILLING_VIEWER"]);
    server.with_key(&key).get("/service-accounts").refused(403);
    let cost = |path: &str| {
        let before = cpu_time(server.pid());
        let requests = said(&format!("{}{path}", server.base()), &key, DURATION).2;
        (cpu_time(server.pid()) - before).as_secs_f64() * 1e6 / requests
    };
    let (mut whole, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        whole.push(cost("/api/v1/service-accounts"));
        bare.push(cost("/api/v1/nothing"));
    }
    let line = |name: &str, costs: &mut Vec<f64>| {
        costs.sort_by(f64::total_cmp);
        let (min, median, max) = (costs[0], costs[costs.len() / 2], costs[costs.len() - 1]);
        println!("{name:<44} median {median:>6.1} µs  min {min:>6.1}  max {max:>6.1}  n={}", costs.len());
        median
    };
    let admission =
        line("refused for want of a role, 403", &mut whole) - line("unknown path, 404", &mut bare);
    println!(
        "{:<44} {admission:.1} µs of {ADMISSION_LIMIT} µs: ratio {:.2}",
        "difference",
        admission / ADMISSION_LIMIT
    );
}

fn wrk(url: &str, key: &str) -> f64 {
    load(url, key, DURATION).0
}

/// The rate and the number of requests that `wrk` sends in this time. All of them must succeed.
pub(crate) fn load(url: &str, key: &str, duration: &str) -> (f64, f64) {
    let (text, rate, requests) = said(url, key, duration);
    assert!(!text.contains("Non-2xx"), "{text}");
    (rate, requests)
}

/// The output of `wrk`, and the rate and the number of requests in it.
fn said(url: &str, key: &str, duration: &str) -> (String, f64, f64) {
    let authorization = format!("Authorization: Bearer {key}");
    let output = Command::new("wrk")
        .args(["-t", "1", "-c", "16", "-d", duration, "-H", &authorization, "-H", "Cc-Version: latest", url])
        .output()
        .expect("wrk runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    let rate = rate.and_then(|rate| rate.trim().parse().ok()).expect("wrk says its rate");
    let requests = text.lines().find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok());
    (text, rate, requests.expect("wrk says how many requests"))
}

pub(crate) fn list(program: &str) {
    pages("SQLite", None, ServerBuilder::new(program));
    let postgres = TemporaryPostgres::start();
    pages("PostgreSQL", Some(&postgres.url()), ServerBuilder::new(program).store(&postgres.url()));
}

/// Measures pages of long lists in a store of this kind.
fn pages(store: &str, address: Option<&str>, launch: ServerBuilder) {
    println!("\n== pages of {CLUSTERS} clusters and {ENTRIES} audit entries in {store}");
    let server = launch.boot();
    let file = format!("sqlite:{}", server.data_dir().join("store.db").display());
    fill(&server, address.unwrap_or(&file));
    let clusters = walk(&server, "/clusters?", "pagination.page", "/pagination/next_page");
    println!("{}", clusters.line("GET /clusters, every page of 500"));
    let newest = "/clusters?pagination.sort_order=DESC&pagination.sort_by=CREATED_AT&";
    let clusters = walk(&server, newest, "pagination.page", "/pagination/next_page");
    println!("{}", clusters.line("the same, newest first"));
    let one = Times::of(200, |_| {
        server.get("/clusters?pagination.limit=1").ok();
    });
    println!("{}", one.line("the same, one cluster a page"));
    for order in ["ASC", "DESC"] {
        let path = format!("/auditlogevents?sort_order={order}&");
        let entries = walk(&server, &path, "starting_from", "/next_starting_from");
        println!("{}", entries.line(&format!("GET /auditlogevents {order}, every page of 200")));
    }
}

/// Measures every page of a list, from the first to the last, until there are enough results.
fn walk(server: &Ootheca, path: &str, parameter: &str, pointer: &str) -> Times {
    let (mut times, mut place) = (Vec::new(), String::new());
    while times.len() < PAGES {
        let answer = server.get(&format!("{path}{place}"));
        times.push(answer.time);
        let next = answer.ok().pointer(pointer).and_then(Value::as_str).filter(|next| !next.is_empty());
        // A list in ascending order of time has no end: its last page is empty.
        let empty = answer.body["entries"].as_array().is_some_and(Vec::is_empty);
        place = next.filter(|_| !empty).map_or_else(String::new, |next| format!("{parameter}={next}"));
    }
    Times::from(times)
}

/// Writes copies of one cluster and of one audit entry directly to the store: creating them with the API
/// would take most of an hour.
fn fill(server: &Ootheca, address: &str) {
    let model = server.create_cluster(MODEL, "BASIC");
    let id = server.when_created(model["id"].as_str().unwrap_or_default())["id"].clone();
    let id = id.as_str().unwrap_or_default().to_owned();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = ootheca_store::open(address).await.expect("the store opens");
        let row = store.get(Kind::Cluster, &id).await.expect("the store answers").expect("a cluster");
        let newest =
            AuditQuery { organization: row.organization, starting_from: None, descending: true, limit: 1 };
        let entry = store.audit(&newest).await.expect("the store answers").remove(0);
        let now = entry.created_at;
        for first in (0..ENTRIES).step_by(AT_ONCE) {
            let mut batch = Batch::server("bench");
            batch.audit = (0..AT_ONCE).map(|_| AuditEntry { id: Uuid::new_v4(), ..entry.clone() }).collect();
            if first < CLUSTERS {
                batch.mutations = (first..first + AT_ONCE).map(|n| Mutation::Insert(copy(&row, n))).collect();
            }
            store.commit(batch, now).await.expect("the rows are written");
        }
    });
}

/// A copy of this cluster in a failed state: lists show it, and the reconciler does not try to start it.
fn copy(row: &Row, n: usize) -> Row {
    let (id, name) = (Uuid::new_v4().to_string(), format!("cluster-{n:06}"));
    let other = |text: &str| text.replace(&row.id, &id).replace(MODEL, &name);
    Row {
        id: id.clone(),
        unique_key: row.unique_key.as_deref().map(other),
        alias: row.alias.as_deref().map(other),
        sort_key: other(&row.sort_key),
        document: other(&row.document).replace("\"CREATED\"", "\"CREATION_FAILED\""),
        due_at: None,
        created_at: Timestamp(row.created_at.0 + n as i64),
        ..row.clone()
    }
}
