//! Samples of clusters: the data of charts, authorization, and retention. The test controls the clock.

use crate::{
    organizations::Rows,
    support::{PASSWORD, PROGRAM, advance, id, sql_user},
};
use ootheca_model::Timestamp;
use ootheca_store::SampleRows;
use ootheca_testkit::{Answer, Client, Engine, Ootheca, ServerBuilder, eventually};
use serde_json::{Value, json};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const SERIES: [&str; 13] = [
    "connections",
    "cpu",
    "latency_ms",
    "request_units.cpu",
    "request_units.egress",
    "request_units.read_batches",
    "request_units.read_bytes",
    "request_units.read_requests",
    "request_units.write_batches",
    "request_units.write_bytes",
    "request_units.write_requests",
    "statements",
    "storage_bytes",
];

fn boot(engine: Engine) -> Ootheca {
    ServerBuilder::new(PROGRAM).engine(engine).arg("--test-clock").boot()
}

fn ask(client: &Client, cluster: &str, query: &str) -> Answer {
    client.raw("GET", &format!("/api/ootheca/v1/clusters/{cluster}/samples?{query}")).send()
}

fn newest(client: &Client, clusters: &[&str]) -> Vec<Value> {
    let answer =
        client.raw("GET", &format!("/api/ootheca/v1/samples?clusters={}", clusters.join(","))).send();
    answer.ok()["samples"].as_array().expect("samples").clone()
}

/// The numbers of a series, without gaps.
fn numbers(answer: &Value, name: &str) -> Vec<f64> {
    let values = answer["series"][name].as_array().unwrap_or_else(|| panic!("no {name}: {answer}"));
    assert_eq!(values.len(), answer["times"].as_array().expect("times").len(), "{name}");
    values.iter().filter_map(Value::as_f64).collect()
}

/// Takes some samples, ten seconds apart. Returns the time of the last one.
fn sampled(server: &Ootheca, cluster: &str, count: usize) -> i64 {
    (0..count).for_each(|_| drop(advance(server, 10)));
    newest(server, &[cluster])[0]["time"].as_i64().expect("a time")
}

#[test]
fn a_load_appears_in_samples() {
    let server = boot(Engine::Postgres);
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    sql_user(&server, &cluster, "keeper");
    let mut session = server.session(&cluster, "keeper", PASSWORD);
    session
        .run("CREATE TABLE work AS SELECT n, repeat(md5(n::text), 9) AS t FROM generate_series(1, 20000) n")
        .expect("SQL");
    session.run("CREATE INDEX work_n ON work (n)").expect("SQL");
    eventually("every series has values", || {
        for row in 0..40 {
            session
                .run(&format!(
                    "UPDATE work SET t = t || 'x' WHERE n = {row}; SELECT * FROM work WHERE n = {row}"
                ))
                .expect("SQL");
        }
        advance(&server, 10);
        let answer = ask(&server, &cluster, "");
        let answer = answer.ok();
        let names: Vec<&String> = answer["series"].as_object().expect("series").keys().collect();
        assert_eq!(names, SERIES);
        SERIES.iter().all(|name| numbers(answer, name).iter().any(|value| *value > 0.0)).then_some(())
    });
    let now = &newest(&server, &[&cluster])[0];
    assert_eq!((now["cluster_id"].as_str(), &now["values"]["connections"]), (Some(&*cluster), &json!(1.0)));
    assert!(now["values"]["storage_bytes"].as_f64().expect("bytes") > 1e6, "{now}");
    let answer = ask(&server, &cluster, "points=1000");
    let connections = numbers(answer.ok(), "connections");
    assert!(connections.iter().all(|count| *count <= 1.0), "{connections:?}");
    assert!(numbers(answer.ok(), "latency_ms").iter().all(|latency| *latency < 10_000.0));

    let figures = server.raw("GET", "/metrics").send();
    let figures = String::from_utf8_lossy(&figures.bytes).into_owned();
    for name in ["statements_total", "cpu_seconds_total", "storage_bytes", "sessions", "sent_bytes_total"] {
        let series = format!("ootheca_cluster_{name}{{cluster=\"{cluster}\"");
        let value = figures.lines().find(|line| line.starts_with(&series)).expect(&series);
        assert!(!value.ends_with(" 0") && !value.ends_with(" 0.0"), "{value}");
    }
    let scrape = scrape(&server, &cluster, "us-central1");
    for name in
        ["sql_conns", "sql_txn_total", "sys_cpu_seconds_total", "tenant_sql_usage_write_requests_total"]
    {
        let series = format!("crdb_cloud_{name}{{cluster=\"some-cluster\",instance=\"");
        let value = scrape.lines().find(|line| line.starts_with(&series)).expect(&series);
        assert!(value.contains(",organization=\"Ootheca\",region=\"us-central1\"}"), "{value}");
        assert!(!value.ends_with(" 0") && !value.ends_with(" 0.0"), "{value}");
    }
}

#[test]
fn a_suspended_cluster_has_gaps_and_stays_suspended() {
    let server = boot(Engine::Simulated);
    let (sleeper, other) = (
        id(&server.create_cluster("sleeper", "BASIC")),
        id(&server.create_cluster("other-cluster", "STANDARD")),
    );
    let before = sampled(&server, &sleeper, 3);
    advance(&server, 301);
    eventually("it is suspended", || {
        (server.get(&format!("/clusters/{sleeper}")).ok()["ootheca"]["suspended"] == true).then_some(())
    });
    advance(&server, 10);
    let asleep = newest(&server, &[&sleeper])[0]["time"].as_i64().expect("a time");
    let last = sampled(&server, &other, 5);
    assert!(last >= asleep + 40, "{last} is long after {asleep}");
    let query = format!("from={}&to={}&points=1000", before - 20, last + 10);
    let (seen, all) = (ask(&server, &sleeper, &query), ask(&server, &other, &query));
    assert_eq!(seen.ok()["step_seconds"], 10);
    let after = |answer: &Answer| {
        let times = answer.ok()["times"].as_array().expect("times").clone();
        let values = answer.ok()["series"]["connections"].as_array().expect("values").clone();
        let late = times.iter().zip(values).filter(|(time, _)| time.as_i64() > Some(asleep));
        late.filter(|(_, value)| !value.is_null()).count()
    };
    assert!(numbers(seen.ok(), "connections").len() >= 3, "{seen}");
    assert_eq!(after(&seen), 0, "{seen}");
    assert!(after(&all) >= 4, "{all}");
    let shown = server.get(&format!("/clusters/{sleeper}"));
    assert_eq!(shown.ok()["ootheca"]["suspended"], true, "sampling does not resume the cluster");
}

#[test]
fn samples_require_access_to_the_cluster() {
    let server = boot(Engine::Simulated);
    let folder = server.post("/folders", json!({ "name": "team" })).text("/resource_id");
    let inside = id(&server.create_cluster("inside", "STANDARD"));
    server.patch(&format!("/clusters/{inside}"), json!({ "parent_id": folder })).ok();
    let outside = id(&server.create_cluster("outside", "BASIC"));
    sampled(&server, &inside, 1);
    let with_role = |role: &str| server.with_key(&server.new_key(&[role]));
    let both = [&*inside, &*outside];
    for role in ["METRICS_VIEWER", "CLUSTER_MONITOR", "CLUSTER_DEVELOPER", "CLUSTER_ADMIN", "ORG_ADMIN"] {
        let client = with_role(role);
        ask(&client, &outside, "").ok();
        assert_eq!(newest(&client, &both).len(), 2, "{role}");
    }
    let place = format!("FOLDER/{folder}");
    for role in [format!("METRICS_VIEWER@{inside}"), format!("CLUSTER_MONITOR@{place}")] {
        let client = with_role(&role);
        ask(&client, &inside, "").ok();
        assert_eq!(ask(&client, &outside, "").refused(404), "cluster does not exist");
        let seen = newest(&client, &both);
        assert_eq!((seen.len(), seen[0]["cluster_id"].as_str()), (1, Some(&*inside)), "{role}");
    }
    let nobody = with_role("BILLING_VIEWER");
    ask(&nobody, &outside, "").refused(403);
    assert_eq!(newest(&nobody, &both), Vec::<Value>::new());
    ask(&server.anonymous(), &outside, "").refused(401);
    server.anonymous().raw("GET", &format!("/api/ootheca/v1/samples?clusters={outside}")).send().refused(401);

    let (_, secret) = Rows::open(&server).found("other");
    let stranger = server.with_key(&secret);
    ask(&stranger, &outside, "").refused(404);
    assert_eq!(newest(&stranger, &both), Vec::<Value>::new());
    for wrong in ["nothing", "00000000-0000-4000-8000-000000000000"] {
        ask(&server, wrong, "").refused(404);
    }
    for (query, name) in [("points=0", "points"), ("from=x", "from"), ("to=x", "to"), ("from=9&to=8", "from")]
    {
        let said = ask(&server, &outside, query);
        assert!(said.refused(400).starts_with(&format!("invalid argument: {name}: ")), "{said}");
    }
}

#[test]
fn coarser_steps_keep_data_longer() {
    let mut server = boot(Engine::Simulated);
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    let last = sampled(&server, &cluster, 8);
    let look = |server: &Ootheca| {
        let answer = ask(server, &cluster, &format!("from={}&to={}&points=1000", last - 60, last + 10));
        let answer = answer.ok();
        (answer["step_seconds"].as_i64().expect("seconds"), numbers(answer, "cpu").len(), answer.clone())
    };
    let (step, seen, before) = look(&server);
    assert_eq!(step, 10);
    assert!(seen >= 6, "{before}");
    server.restart();
    assert_eq!(look(&server).2, before, "a restart loses nothing");
    server.relaunch(|launch| launch.env("OOTHECA_SAMPLES__ENABLED", "false"));
    server.restart();
    assert_eq!(look(&server).2, before, "stored samples are shown while sampling is disabled");
    server.relaunch(|launch| launch.without_env("OOTHECA_SAMPLES__ENABLED"));
    server.restart();
    for (jump, expected) in [(3 * HOUR, 120), (3 * DAY, 3600)] {
        advance(&server, jump);
        let (step, seen, answer) = look(&server);
        assert_eq!(step, expected);
        assert!((1..=2).contains(&seen), "{answer}");
    }
    let rows = Rows::open(&server);
    let before_forgotten = rows.samples(&cluster, 10);
    assert!(before_forgotten.iter().all(|at| *at > last), "fine samples are removed after three days");
    advance(&server, 100 * DAY);
    assert_eq!(look(&server).1, 0, "all samples of that time are removed");
    server.delete(&format!("/clusters/{cluster}")).ok();
    ask(&server, &cluster, "").refused(404);
    advance(&server, 130);
    for step in [10, 120, 3600] {
        assert_eq!(rows.samples(&cluster, step), Vec::<i64>::new(), "a deleted cluster has no samples");
    }
}

impl Rows {
    /// The start times of the rows of a cluster's samples, in Unix seconds.
    fn samples(&self, cluster: &str, step_seconds: i64) -> Vec<i64> {
        let clusters = [cluster.parse().expect("an id")];
        let (from, to) = (Timestamp(0), Timestamp(i64::MAX));
        let wanted = SampleRows { clusters: &clusters, step_seconds, from, to };
        let found = self.runtime.block_on(self.store.samples(&wanted)).expect("samples");
        found.iter().map(|row| row.starts_at.0 / 1_000_000).collect()
    }
}

fn scrape_of(client: &Client, cluster: &str, region: &str) -> Answer {
    client.get(&format!("/clusters/{cluster}/metricexport/prometheus/{region}/scrape"))
}

fn scrape(client: &Client, cluster: &str, region: &str) -> String {
    let answer = scrape_of(client, cluster, region);
    assert_eq!(answer.status, 200, "{answer}");
    let kind = answer.header("content-type").unwrap_or_default().to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    String::from_utf8_lossy(&answer.bytes).into_owned()
}

#[test]
fn prometheus_scrapes_one_cluster() {
    let server = boot(Engine::Simulated);
    let basic = id(&server.create_cluster("basic-cluster", "BASIC"));
    let standard = id(&server.create_cluster("standard", "STANDARD"));
    let text = scrape(&server, &standard, "us-central1");
    assert!(
        text.lines().any(|line| line.starts_with("crdb_cloud_sql_conns{") && line.ends_with(" 0")),
        "{text}"
    );
    assert!(text.ends_with("# EOF\n"), "{text}");
    let refused = scrape_of(&server, &basic, "us-central1");
    assert_eq!(refused.refused(400), "metric export is not supported for BASIC clusters");
    scrape_of(&server, &standard, "us-east1").refused(404);
    scrape_of(&server.anonymous(), &standard, "us-central1").refused(401);
    let with_role = |role: &str| server.with_key(&server.new_key(&[role]));
    scrape(&with_role("METRICS_VIEWER"), &standard, "us-central1");
    scrape(&with_role(&format!("CLUSTER_MONITOR@{standard}")), &standard, "us-central1");
    scrape_of(&with_role("BILLING_VIEWER"), &standard, "us-central1").refused(403);
    scrape_of(&with_role(&format!("METRICS_VIEWER@{basic}")), &standard, "us-central1").refused(404);
}
