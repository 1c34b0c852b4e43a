//! What common statements cost, against the reference's own table of request units. The tolerance is a
//! factor of two either way: the table's numbers are averages of another engine on other machines.
//! Opening a connection is shown only: it starts a process, and costs what the machine makes of that.

use crate::support::{PASSWORD, PROGRAM, id, sql_user};
use ootheca_testkit::{Engine, Launch, Ootheca, eventually};
use serde_json::{Value, json};

const TOLERANCE: f64 = 2.0;

/// A workload: its statement for each number, how often it runs, what the table says that it costs.
struct Workload {
    name: &'static str,
    statement: fn(usize) -> String,
    times: usize,
    table: f64,
}

/// Characters that do not compress, so that a row is as large as it says.
fn noise(bytes: usize) -> String {
    format!(
        "(SELECT left(string_agg(md5(random()::text), ''), {bytes}) FROM generate_series(1, {}))",
        bytes / 32 + 1
    )
}

const WORKLOADS: [Workload; 11] = [
    Workload { name: "SELECT 1", statement: |_| "SELECT 1".into(), times: 1000, table: 0.14 },
    Workload { name: "point read, 64 B", statement: |n| point("rows64", n), times: 500, table: 1.03 },
    Workload { name: "point read, 1 KiB", statement: |n| point("rows1k", n), times: 500, table: 1.99 },
    Workload { name: "point read, 2 KiB", statement: |n| point("rows2k", n), times: 500, table: 3.01 },
    Workload { name: "write, 64 B", statement: |n| write("rows64", n, 64), times: 300, table: 6.71 },
    Workload { name: "write, 1 KiB", statement: |n| write("rows1k", n, 1000), times: 300, table: 9.59 },
    Workload { name: "write, 2 KiB", statement: |n| write("rows2k", n, 1900), times: 300, table: 12.62 },
    Workload {
        name: "write, one index more",
        statement: |n| write("indexed1", n, 1000),
        times: 300,
        table: 18.69,
    },
    Workload {
        name: "write, two indexes more",
        statement: |n| write("indexed2", n, 1000),
        times: 300,
        table: 27.80,
    },
    Workload { name: "scan of 1,000 rows of 64 B", statement: |_| scan("rows64"), times: 50, table: 3.26 },
    Workload { name: "scan of 1,000 rows of 1 KiB", statement: |_| scan("rows1k"), times: 20, table: 22.39 },
];

fn point(table: &str, n: usize) -> String {
    format!("SELECT value FROM {table} WHERE id = {}", n % 1000)
}

fn write(table: &str, n: usize, bytes: usize) -> String {
    // The value is made by the client, as the table's programs did: making it in SQL would be a read.
    let value: String =
        (0..bytes).map(|at| char::from(b'a' + ((n * 31 + at * at * 7 + at * n) % 26) as u8)).collect();
    format!("INSERT INTO {table} (id, value) VALUES ({}, '{value}')", 100_000 + n)
}

/// The table scans without sending the rows.
fn scan(table: &str) -> String {
    format!("SELECT max(length(value)) FROM {table} WHERE id < 1000")
}

const TABLES: [(&str, usize, usize); 5] = [
    ("rows64", 64, 0),
    ("rows1k", 1000, 0),
    ("rows2k", 1900, 0),
    ("indexed1", 1000, 1),
    ("indexed2", 1000, 2),
];

#[test]
fn common_statements_cost_about_what_the_table_says() {
    // Ticks come from the test only.
    let launch = Launch::new(PROGRAM).engine(Engine::Postgres).arg("--test-clock");
    let server = launch.env("OOTHECA_METERING__TICK_SECONDS", "3600").boot();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    sql_user(&server, &cluster, "keeper");
    for (name, bytes, indexes) in TABLES {
        fill(&server, &cluster, name, bytes, indexes);
    }
    let opening = cost(&server, &cluster, &["SELECT 1".to_owned()]);
    let mut report = format!("{:<30} {:>8} {:>8}  components\n", "workload", "table", "here");
    let mut wrong = Vec::new();
    report.push_str(&line("opening a connection", 4.36, &opening));
    for workload in &WORKLOADS {
        let each = measured(&server, &cluster, workload, &opening);
        report.push_str(&line(workload.name, workload.table, &each));
        if !near(&each, workload.table) {
            wrong.push(format!("{}: {} instead of {}", workload.name, each["total"], workload.table));
        }
    }
    eprintln!("{report}");
    assert!(wrong.is_empty(), "{wrong:#?}\n{report}");
}

/// Request units of one statement, without those of its connection. What the server does of its own
/// accord, such as vacuum, counts too: a workload that it fell into is measured again.
fn measured(server: &Ootheca, cluster: &str, workload: &Workload, opening: &Value) -> Value {
    let mut each = Value::Null;
    for round in 0..3 {
        let first = round * workload.times;
        let statements: Vec<String> = (first..first + workload.times).map(workload.statement).collect();
        let used = cost(server, cluster, &statements);
        each = by_component(&used, |name, used| (used - number(&opening[name])) / workload.times as f64);
        if near(&each, workload.table) {
            break;
        }
    }
    each
}

fn near(each: &Value, table: f64) -> bool {
    (table / TOLERANCE..=table * TOLERANCE).contains(&number(&each["total"]))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn by_component(used: &Value, change: impl Fn(&str, f64) -> f64) -> Value {
    let parts = used.as_object().expect("components").iter();
    Value::Object(parts.map(|(name, part)| (name.clone(), json!(change(name, number(part))))).collect())
}

fn line(name: &str, table: f64, used: &Value) -> String {
    let parts = used.as_object().expect("components").iter().filter(|(name, _)| *name != "total");
    let parts: Vec<String> = parts.map(|(name, part)| format!("{name} {:.3}", number(part))).collect();
    format!("{name:<30} {table:>8.2} {:>8.2}  {}\n", number(&used["total"]), parts.join(", "))
}

fn fill(server: &Ootheca, cluster: &str, name: &str, bytes: usize, indexes: usize) {
    let run = |sql: &str| {
        server.psql(cluster, "keeper", PASSWORD, sql).ok();
    };
    // Plain storage: values are neither compressed nor moved out of their row.
    run(&format!(
        "CREATE TABLE {name} (id int PRIMARY KEY, value text); ALTER TABLE {name} ALTER value SET STORAGE PLAIN"
    ));
    for index in 0..indexes {
        run(&format!("CREATE INDEX {name}_{index} ON {name} (value)"));
    }
    if indexes == 0 {
        let value = noise(bytes);
        run(&format!("INSERT INTO {name} SELECT n, {value} FROM generate_series(0, 999) n WHERE n >= 0"));
    }
    run(&format!("VACUUM ANALYZE {name}"));
}

/// Request units, by component, of one session that runs these statements one by one.
fn cost(server: &Ootheca, cluster: &str, statements: &[String]) -> Value {
    let before = settled(server, cluster);
    let mut session = server.session(cluster, "keeper", PASSWORD);
    for statement in statements {
        session.run(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    drop(session);
    let after = settled(server, cluster);
    by_component(&after, |name, after| after - number(&before[name]))
}

/// Request units once all that ended is booked: the gateway has reported that nobody is connected, and
/// another tick finds nothing more.
fn settled(server: &Ootheca, cluster: &str) -> Value {
    let look = || {
        let tick = server.raw("POST", "/api/ootheca/v1/clock").json(&json!({ "advance_seconds": 0 })).send();
        tick.ok();
        server.get(&format!("/clusters/{cluster}")).ok()["ootheca"]["usage"].clone()
    };
    let mut last = Value::Null;
    eventually("all that was used is booked", || {
        let usage = look();
        let same = usage["request_units"] == last;
        last = usage["request_units"].clone();
        (same && usage["connections"] == 0).then(|| last.clone())
    })
}
