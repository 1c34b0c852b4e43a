//! The program of an earlier commit (before) compared with the current one (after). In each pair, a server of
//! each program runs, and both are measured in turns, so that the drift of the machine affects both. Two
//! servers of the same program also differ, so each pair has new ones.

mod figures;
mod memory_group;

use crate::{
    api, create,
    gateway::{furnish, pgbench, transactions},
    stats::cpu_time,
};
use figures::{Figure, Unit};
use memory_group::MemoryGroup;
use ootheca_testkit::{BACKUPS, Engine, Ootheca, ServerBuilder};
use std::{process::ExitCode, time::Duration};

const PAIRS: usize = 9;
/// The number of times that each side of a pair is measured for each figure. Even, see [`figures::turns`].
const SLICES: usize = 4;
/// The length of each of these measurements in seconds, and of the one before them, which doesn't count.
const SECONDS: &str = "2";
const WARM_UP_SECONDS: &str = "1";
/// The number of clusters that each side of a pair creates for each figure. Even as well.
const CREATIONS: usize = 6;
const SPARES: usize = 2;

pub(crate) fn run(mut args: impl Iterator<Item = String>) -> ExitCode {
    let (before, after) = (args.next(), args.next());
    let pairs = args.next().map_or(Some(PAIRS), |text| text.parse().ok());
    let (Some(before), Some(after), Some(pairs @ 1..)) = (before, after, pairs) else {
        eprintln!("usage: bench compare BEFORE AFTER [PAIRS]");
        return ExitCode::from(2);
    };
    println!("\n== {after} compared with {before}, {pairs} pairs; ratios above 1 are better");
    let programs = [before, after];
    let (mut table, mut kept) = (Vec::<Vec<Figure>>::new(), Vec::new());
    for number in 0..pairs {
        let measured = pair(&programs, number % 2, &mut kept);
        let ratios: Vec<String> = measured.iter().map(|figure| format!("{:.2}", figure.ratio())).collect();
        eprintln!("pair {} of {pairs}: {}", number + 1, ratios.join(" "));
        table.resize_with(measured.len(), Vec::new);
        for (figures, figure) in table.iter_mut().zip(measured) {
            figures.push(figure);
        }
    }
    println!("{}", figures::heading());
    for figure in &table {
        println!("{}", figures::summary(figure));
    }
    ExitCode::SUCCESS
}

/// Measures all figures once. `first` is the side that begins. The servers are stopped and kept: ext4 creates
/// files ten times slower for minutes after many were removed.
fn pair(programs: &[String; 2], first: usize, kept: &mut Vec<Ootheca>) -> Vec<Figure> {
    let mut figures = Vec::new();
    let sides = start(programs, first, SPARES, "0");
    wait_for_spares(&sides, SPARES);
    figures.extend(loads("GET /clusters/{id}, 16 connections", &sides, first, |side, seconds| {
        api::load(&side.url, &side.key, &format!("{seconds}s"))
    }));
    for clients in ["16", "1"] {
        figures.extend(prepared(&format!("pgbench -S -M prepared -c {clients}"), clients, &sides, first));
    }
    figures.extend(connections("pgbench -S -C -c 16", &sides, first));
    figures.push(creations("create → first SELECT, with a spare", &sides, first, SPARES));
    // Last, because the group remains.
    let group = MemoryGroup::around_sql_servers(sides[0].server.pid());
    if group.is_some() {
        figures.extend(prepared("pgbench -S -M prepared -c 16, before in a group", "16", &sides, first));
        figures.extend(connections("pgbench -S -C -c 16, before in a group", &sides, first));
    }
    stop(sides, kept);
    drop(group);
    let sides = start(programs, first, 0, "2");
    figures.extend(connections("pgbench -S -C -c 16, pooling", &sides, first));
    figures.push(creations("create → first SELECT, cold", &sides, first, 0));
    stop(sides, kept);
    figures
}

/// A running server, and how to reach its cluster.
struct Side {
    server: Ootheca,
    /// How `pgbench` connects.
    target: String,
    /// The cluster in the API, and the key for it.
    url: String,
    key: String,
}

impl Side {
    fn start(program: &str, spares: usize, pool_idle_seconds: &str) -> Self {
        let settings = settings(program);
        let mut launch = ServerBuilder::new(program).engine(Engine::Postgres).pool(spares);
        launch = launch.env(pooling_variable(&settings), pool_idle_seconds);
        if !settings.contains("[backups]") {
            launch = launch.without_env(BACKUPS);
        }
        let mut server = launch.env("OOTHECA_SCALE_TO_ZERO__IDLE_SECONDS", "0").boot();
        // Earlier programs don't have the newest version.
        server.speak(|client| client.with_version("latest"));
        let (id, target) = furnish(&server);
        // Saves the certificate for `psql`.
        server.connection_string(&id, "bench");
        // The smallest scale fits into the buffers of the SQL server.
        pgbench(&target, &["-i", "-q", "-s", "1"]);
        let (url, key) = (format!("{}/api/v1/clusters/{id}", server.base()), server.admin_key());
        Self { server, target, url, key }
    }
}

/// The settings file of a program, which contains every setting that it has.
fn settings(program: &str) -> String {
    let output = ServerBuilder::new(program).program().arg("settings").output().expect("the program starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The environment variable of `gateway.pool_idle_seconds`, which has another name in earlier programs.
fn pooling_variable(settings: &str) -> &'static str {
    if settings.contains("pool_idle_seconds") {
        "OOTHECA_GATEWAY__POOL_IDLE_SECONDS"
    } else {
        "OOTHECA_GATEWAY__REUSE_SECONDS"
    }
}

/// Starts a server of each program, `first` first.
fn start(programs: &[String; 2], first: usize, spares: usize, pool_idle_seconds: &str) -> [Side; 2] {
    let [one, other] = [first, 1 - first].map(|side| Side::start(&programs[side], spares, pool_idle_seconds));
    if first == 0 { [one, other] } else { [other, one] }
}

fn stop(sides: [Side; 2], kept: &mut Vec<Ootheca>) {
    for mut side in sides {
        side.server.terminate();
        kept.push(side.server);
    }
}

/// Waits for both servers, because one that creates spares takes CPU time from the other.
fn wait_for_spares(sides: &[Side; 2], spares: usize) {
    for side in sides {
        create::spares(&side.server, spares);
    }
}

/// Measures both sides in turns, `count` times each.
fn in_turns<T>(first: usize, count: usize, mut measure: impl FnMut(usize) -> T) -> [Vec<T>; 2] {
    let mut sides = [Vec::new(), Vec::new()];
    for turn in figures::turns(2 * count) {
        let side = turn ^ first;
        sides[side].push(measure(side));
    }
    sides
}

/// Two figures of a load, which runs for a number of seconds and returns its rate and the number of its
/// requests: the rate, and the CPU time of the server for each request.
fn loads(
    name: &str,
    sides: &[Side; 2],
    first: usize,
    run: impl Fn(&Side, &str) -> (f64, f64),
) -> [Figure; 2] {
    for side in sides {
        run(side, WARM_UP_SECONDS);
    }
    let values = in_turns(first, SLICES, |side| {
        let side = &sides[side];
        let before = cpu_time(side.server.pid());
        let (rate, requests) = run(side, SECONDS);
        let used = cpu_time(side.server.pid()) - before;
        (rate, used.as_secs_f64() * 1e6 / requests)
    });
    let rates = values.each_ref().map(|side| side.iter().map(|(rate, _)| *rate).collect());
    let times = values.each_ref().map(|side| side.iter().map(|(_, time)| *time).collect());
    [
        Figure::new(name, Unit::PerSecond, rates),
        Figure::new(&format!("{name}, CPU time"), Unit::Microseconds, times),
    ]
}

/// The figures of prepared statements with a number of clients.
fn prepared(name: &str, clients: &str, sides: &[Side; 2], first: usize) -> [Figure; 2] {
    loads(name, sides, first, |side, seconds| {
        transactions(&side.target, seconds, &["-M", "prepared", "-c", clients])
    })
}

/// The figures of a new connection for every transaction.
fn connections(name: &str, sides: &[Side; 2], first: usize) -> [Figure; 2] {
    loads(name, sides, first, |side, seconds| transactions(&side.target, seconds, &["-C", "-c", "16"]))
}

/// The time from `POST /clusters` to the first row; see [`create`].
fn creations(name: &str, sides: &[Side; 2], first: usize, spares: usize) -> Figure {
    let mut created = 0;
    let times = in_turns(first, CREATIONS, |side| {
        wait_for_spares(sides, spares);
        created += 1;
        let time: Duration = create::once(&sides[side].server, created).iter().sum();
        time.as_secs_f64() * 1000.0
    });
    Figure::new(name, Unit::Milliseconds, times)
}
