//! Requests a second of one read, against a bare handler that returns the same bytes; what it costs to
//! know a caller and its rights; and the first page of a long list. The load comes from `wrk` on the same two cores.

use crate::stats::{Rates, Times, cpu_time};
use ootheca_testkit::{Launch, Ootheca};
use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, ExitCode, Stdio},
    thread,
};

const ROUNDS: usize = 5;
const CLUSTERS: usize = 10_000;
/// Most that authentication, rate limit and authorization of a request may cost together, in microseconds.
const ADMISSION_LIMIT: f64 = 30.0;

/// Serves the bytes of a file to every request, as barely as axum can.
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
    let server = Launch::new(program).boot();
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

/// CPU time of the server for each request that is refused for want of a role, without that for each
/// request of an unknown path, where nobody asks who calls.
pub(crate) fn admission(program: &str) {
    println!("\n== authentication, rate limit and authorization, CPU time a request by difference");
    let server = Launch::new(program)
        .env("OOTHECA_RATE_LIMIT__MODE", "always")
        .env("OOTHECA_RATE_LIMIT__REQUESTS_PER_SECOND", "1000000000")
        .env("OOTHECA_RATE_LIMIT__BURST", "1000000000")
        .boot();
    let key = server.new_key(&["BILLING_VIEWER"]);
    server.with_key(&key).get("/service-accounts").refused(403);
    let cost = |path: &str| {
        let before = cpu_time(server.pid());
        let requests = said(&format!("{}{path}", server.base()), &key).2;
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
    let (text, rate, _) = said(url, key);
    assert!(!text.contains("Non-2xx"), "{text}");
    rate
}

/// What `wrk` says, and in it the rate and the number of requests.
fn said(url: &str, key: &str) -> (String, f64, f64) {
    let authorization = format!("Authorization: Bearer {key}");
    let output = Command::new("wrk")
        .args(["-t", "1", "-c", "16", "-d", "3s", "-H", &authorization, "-H", "Cc-Version: 2024-09-16", url])
        .output()
        .expect("wrk runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    let rate = rate.and_then(|rate| rate.trim().parse().ok()).expect("wrk says its rate");
    let requests = text.lines().find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok());
    (text, rate, requests.expect("wrk says how many requests"))
}

pub(crate) fn list(program: &str) {
    println!("\n== first page of a list of {CLUSTERS} clusters (500 a page)");
    let server = Launch::new(program).boot();
    fill(&server);
    let pages = Times::of(200, |_| {
        server.get("/clusters").ok();
    });
    println!("{}", pages.line("GET /clusters, first page"));
    let one = Times::of(200, |_| {
        server.get("/clusters?pagination.limit=1").ok();
    });
    println!("{}", one.line("the same, one cluster a page"));
}

fn fill(server: &Ootheca) {
    thread::scope(|scope| {
        for worker in 0..8 {
            scope.spawn(move || {
                for n in 0..CLUSTERS / 8 {
                    let name = format!("cluster-{worker}-{n:05}");
                    let body = serde_json::json!({
                        "name": name, "provider": "GCP",
                        "spec": { "plan": "BASIC", "serverless": { "regions": ["us-central1"] } },
                    });
                    server.post("/clusters", body).ok();
                }
            });
        }
    });
}
