//! Functions that the tests share.

use ootheca_api::operations::Operation;
use ootheca_model::Timestamp;
use ootheca_testkit::{Answer, Client, Engine, Ootheca, ServerBuilder, eventually, processes};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime},
};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_ootheca");

/// A server that starts no SQL servers.
pub(crate) fn simulated() -> Ootheca {
    ServerBuilder::new(PROGRAM).boot()
}

/// A server with real PostgreSQL clusters.
pub(crate) fn real() -> Ootheca {
    ServerBuilder::new(PROGRAM).engine(Engine::Postgres).boot()
}

/// A password that every rule accepts.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// Creates a SQL user.
#[track_caller]
pub(crate) fn sql_user(server: &Ootheca, cluster: &str, name: &str) {
    let body = serde_json::json!({ "name": name, "password": PASSWORD });
    server.post(&format!("/clusters/{cluster}/sql-users"), body).ok();
}

/// The ID of a resource.
#[track_caller]
pub(crate) fn id(thing: &Value) -> String {
    thing["id"].as_str().unwrap_or_else(|| panic!("no id: {thing}")).to_owned()
}

/// The path of an operation with a value for each parameter.
pub(crate) fn path(row: &Operation, fill: impl Fn(&str) -> String) -> String {
    let segments = row.path.split('/').map(|segment| {
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        name.map_or_else(|| segment.to_owned(), &fill)
    });
    segments.collect::<Vec<_>>().join("/")
}

/// A value for a path parameter that names nothing that a test creates.
pub(crate) fn some_value(parameter: &str) -> String {
    let value = match parameter {
        "cidr_ip" => "203.0.113.0",
        "cidr_mask" => "24",
        "resource_type" => "ORGANIZATION",
        "resource_id" => "",
        "role_name" => "CLUSTER_DEVELOPER",
        "name" => "somebody",
        _ => "6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f",
    };
    value.to_owned()
}

/// A string member of each item in a list.
pub(crate) fn column(list: &Value, name: &str) -> Vec<String> {
    let things = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    things.iter().map(|thing| thing[name].as_str().unwrap_or_default().to_owned()).collect()
}

/// The whole audit log, oldest first, read in pages.
pub(crate) fn audit_log(client: &Client) -> Vec<Value> {
    let mut entries = Vec::new();
    let mut from = String::new();
    loop {
        let page = client.get(&format!("/auditlogevents?limit=1000{from}"));
        let new = page.ok()["entries"].as_array().expect("entries").clone();
        if new.is_empty() {
            return entries;
        }
        entries.extend(new);
        from = format!("&starting_from={}", page.text("/next_starting_from"));
    }
}

/// The number of audit entries of each response, by its `Cc-Trace-Id`.
pub(crate) fn entries_by_trace(client: &Client) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for entry in audit_log(client) {
        *counts.entry(entry["trace_id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    counts
}

/// The trace ID of a response.
#[track_caller]
pub(crate) fn trace(answer: &Answer) -> String {
    answer.header("cc-trace-id").unwrap_or_else(|| panic!("no Cc-Trace-Id: {answer}")).to_owned()
}

/// Advances the test clock and waits for the meter. Returns the time.
#[track_caller]
pub(crate) fn advance(server: &Ootheca, seconds: i64) -> String {
    let body = json!({ "advance_seconds": seconds });
    let answer = server.raw("POST", "/api/ootheca/v1/clock").json(&body).send();
    answer.ok();
    answer.text("/now")
}

/// The time `days` days from now, in whole seconds.
pub(crate) fn in_days(days: u64) -> String {
    after(Timestamp::from(SystemTime::now()), days * 24 * 3600)
}

/// The time `seconds` seconds after `time`, in whole seconds.
pub(crate) fn after(time: Timestamp, seconds: u64) -> String {
    let text = time.after(Duration::from_secs(seconds)).to_string();
    let (whole, _) = text.split_once('.').expect("a fraction");
    format!("{whole}Z")
}

/// Reads a member as a number.
#[track_caller]
pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// Request units by component, once the usage of all ended sessions is recorded.
#[track_caller]
pub(crate) fn booked(server: &Ootheca, cluster: &str) -> Value {
    booked_after(server, cluster, -1.0)
}

/// The same, once the gateway has reported more bytes than that and no open session. A server process writes
/// its counters when it ends, so the processes of `keeper` must be gone. The gateway reports every second, so
/// the result must stay the same for longer than that.
#[track_caller]
pub(crate) fn booked_after(server: &Ootheca, cluster: &str, egress: f64) -> Value {
    const QUIET: Duration = Duration::from_millis(1200);
    let (mut last, mut since) = (Value::Null, Instant::now());
    eventually("all usage is recorded", || {
        let running = processes::within(&server.data_dir().join("engine/instances"));
        advance(server, 0);
        let usage = server.get(&format!("/clusters/{cluster}")).ok()["ootheca"]["usage"].clone();
        let reported = usage["connections"] == 0 && number(&usage["request_units"]["egress"]) > egress;
        let gone = !running.iter().any(|process| process.command.contains(": keeper "));
        if !reported || !gone || usage["request_units"] != last {
            (last, since) = (usage["request_units"].clone(), Instant::now());
        }
        (since.elapsed() > QUIET).then(|| last.clone())
    })
}
