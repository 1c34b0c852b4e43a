//! What common statements cost, against the reference's own table of request units. The tolerance is a
//! factor of two either way: the table's numbers are averages of another engine on other machines.
//! Opening a connection starts a process, and costs what the machine makes of that: at most three times as much.

use crate::support::{PASSWORD, PROGRAM, booked, booked_after, id, number, sql_user};
use ootheca_testkit::{Engine, Launch, Ootheca};
use serde_json::{Value, json};

const TOLERANCE: f64 = 2.0;
const OPENING: f64 = 4.36;
const OPENING_AT_MOST: f64 = 3.0 * OPENING;
/// Connections that are opened to know what one costs.
const OPENED: usize = 10;

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

const WORKLOADS: [Workload; 12] = [
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
    Workload {
        name: "scan of 10,000 rows of 1 KiB",
        statement: |_| scan("rows10k"),
        times: 5,
        table: 196.05,
    },
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
    format!("SELECT max(length(value)) FROM {table} WHERE id < 10000")
}

const TABLES: [(&str, usize, usize); 6] = [
    ("rows64", 64, 0),
    ("rows1k", 1000, 0),
    ("rows2k", 1900, 0),
    ("rows10k", 1000, 0),
    ("indexed1", 1000, 1),
    ("indexed2", 1000, 2),
];

#[test]
fn common_statements_cost_about_what_the_table_says() {
    // Ticks come from the test only, and every session has a server process of its own, which writes its
    // counters when it ends.
    let launch = Launch::new(PROGRAM).engine(Engine::Postgres).arg("--test-clock");
    let server = launch.env("OOTHECA_METERING__TICK_SECONDS", "3600");
    let server = server.env("OOTHECA_GATEWAY__REUSE_SECONDS", "0").boot();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    sql_user(&server, &cluster, "keeper");
    for (name, bytes, indexes) in TABLES {
        fill(&server, &cluster, name, bytes, indexes);
    }
    let mut books = Books { server: &server, cluster: &cluster, booked: booked(&server, &cluster) };
    let opening = books.opening();
    let mut report = format!("{:<30} {:>8} {:>8}  components\n", "workload", "table", "here");
    let mut wrong = Vec::new();
    report.push_str(&line("opening a connection", OPENING, &opening));
    if !(0.05..=OPENING_AT_MOST).contains(&number(&opening["total"])) {
        wrong.push(format!("opening a connection: {} instead of {OPENING}", opening["total"]));
    }
    for workload in &WORKLOADS {
        // Without those of its connection.
        let statements: Vec<String> = (0..workload.times).map(workload.statement).collect();
        let used = books.cost(&statements);
        let each = by_component(&used, |name, used| (used - number(&opening[name])) / workload.times as f64);
        report.push_str(&line(workload.name, workload.table, &each));
        if !near(&each, workload.table, TOLERANCE) {
            wrong.push(format!("{}: {} instead of {}", workload.name, each["total"], workload.table));
        }
    }
    eprintln!("{report}");
    assert!(wrong.is_empty(), "{wrong:#?}\n{report}");
}

/// What is booked so far.
struct Books<'a> {
    server: &'a Ootheca,
    cluster: &'a str,
    booked: Value,
}

impl Books<'_> {
    /// Request units, by component, of one session that runs these statements one by one.
    fn cost(&mut self, statements: &[String]) -> Value {
        self.session(statements);
        self.used()
    }

    /// The same of a session that asks for next to nothing, on average.
    fn opening(&mut self) -> Value {
        (0..OPENED).for_each(|_| self.session(&["SELECT 1".to_owned()]));
        by_component(&self.used(), |_, used| used / OPENED as f64)
    }

    fn session(&self, statements: &[String]) {
        let mut session = self.server.session(self.cluster, "keeper", PASSWORD);
        for statement in statements {
            session.run(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }

    /// What was used since it was last asked.
    fn used(&mut self) -> Value {
        let after = booked_after(self.server, self.cluster, number(&self.booked["egress"]));
        let used = by_component(&after, |name, after| after - number(&self.booked[name]));
        self.booked = after;
        used
    }
}

fn near(each: &Value, table: f64, tolerance: f64) -> bool {
    (table / tolerance..=table * tolerance).contains(&number(&each["total"]))
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
    // What the server does of its own accord counts too: so no vacuum but ours.
    // Plain storage: values are neither compressed nor moved out of their row.
    run(&format!(
        "CREATE TABLE {name} (id int PRIMARY KEY, value text) WITH (autovacuum_enabled = off);
         ALTER TABLE {name} ALTER value SET STORAGE PLAIN"
    ));
    for index in 0..indexes {
        run(&format!("CREATE INDEX {name}_{index} ON {name} (value)"));
    }
    if indexes == 0 {
        let value = noise(bytes);
        let last = if name == "rows10k" { 9_999 } else { 999 };
        run(&format!("INSERT INTO {name} SELECT n, {value} FROM generate_series(0, {last}) n WHERE n >= 0"));
    }
    run(&format!("VACUUM ANALYZE {name}"));
}
