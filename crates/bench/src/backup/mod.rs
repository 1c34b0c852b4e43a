//! Backups: how long they, restores, and clones take, how much is stored, and what they cost a busy cluster and idle ones.
//! Compared with pgBackRest, if that is installed.

mod clones;
mod pgbackrest;
mod rest;

use crate::{
    gateway::{PASSWORD, furnish, number, pgbench},
    stats::{Rates, Times},
};
use ootheca_testkit::{Engine, Ootheca, ServerBuilder};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// In seconds.
const HOUR: i64 = 3600;
/// In seconds. A base is renewed after a day.
const DAY: i64 = 24 * HOUR;
const PATIENCE: Duration = Duration::from_secs(600);
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Sizes of clusters: the name, the scale of `pgbench`, how often each duration is measured, and how many MiB of WAL
/// a restore replays. With more WAL, a backup would have a new base.
const SIZES: [(&str, &str, usize, u64); 2] = [("small", "1", 9, 32), ("1 GiB", "70", 5, 240)];
const WAL_POSITION: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint";
/// The arguments of a load between two backups, and of one change.
const SOME_LOAD: [&str; 6] = ["-N", "-n", "-c", "8", "-T", "1"];
const ONE_CHANGE: [&str; 4] = ["-N", "-n", "-t", "1"];

/// For the cost of backups.
const ROUNDS: usize = 7;
const SCALE: &str = "10";
const BUSY: [&str; 8] = ["-N", "-n", "-c", "8", "-j", "1", "-T", "10"];

pub(crate) fn run(program: &str) {
    let compared = pgbackrest::is_installed();
    for (name, scale, count, wal) in SIZES {
        println!("\n== backups and restores of a cluster: {name}");
        durations(program, scale, count, wal);
        if compared {
            pgbackrest::run(scale, count);
        }
    }
    if !compared {
        println!("pgBackRest is missing, so there is no comparison with it");
    }
    rest::run(program);
}

pub(crate) fn clone(program: &str) {
    for (name, scale, count, _) in SIZES {
        println!("\n== clones of a running cluster: {name}");
        clones::run(program, scale, count);
    }
}

/// A server with a cluster that contains the tables of `pgbench`.
struct Subject {
    server: Ootheca,
    cluster: String,
    /// How `pgbench` connects.
    target: String,
}

impl Subject {
    fn start(launch: ServerBuilder, scale: &str) -> Self {
        let server = launch.engine(Engine::Postgres).boot();
        let (cluster, target) = furnish(&server);
        pgbench(&target, &["-i", "-q", "-s", scale]);
        Self { server, cluster, target }
    }

    fn path(&self, rest: &str) -> String {
        format!("/clusters/{}/{rest}", self.cluster)
    }

    /// The newest backup; `Null` if there is none.
    fn newest(&self) -> Value {
        let answer = self.server.get(&self.path("backups?pagination.limit=1&pagination.sort_order=DESC"));
        answer.ok()["backups"][0].clone()
    }

    /// Makes a backup due, and returns how long it takes until it is listed.
    fn back_up(&self, seconds: i64) -> Duration {
        let (before, start) = (self.newest(), Instant::now());
        let step = json!({ "advance_seconds": seconds });
        self.server.raw("POST", "/api/ootheca/v1/clock").json(&step).send().ok();
        wait("the backup is listed", || self.newest() != before);
        start.elapsed()
    }

    /// Restores the newest backup, and returns how long it takes. Then waits for the first backup of the new data.
    fn restore(&self) -> Duration {
        let (before, start) = (self.newest(), Instant::now());
        let body = json!({ "type": "CLUSTER", "backup_id": before["id"] });
        let restore = self.server.post(&self.path("restores"), body).text("/id");
        let path = self.path(&format!("restores/{restore}"));
        wait("the restore has ended", || self.server.get(&path).ok()["status"] != "PENDING");
        let elapsed = start.elapsed();
        assert_eq!(self.server.get(&path).ok()["status"], "SUCCESS");
        wait("the first backup after it is listed", || self.newest() != before);
        elapsed
    }

    /// Runs a load until it has written so many MiB of WAL.
    fn write_wal(&self, mib: u64) {
        let position = || -> u64 {
            let answer = self.server.psql(&self.cluster, "bench", PASSWORD, WAL_POSITION);
            answer.ok().parse().expect("a number")
        };
        let end = position() + mib * (1 << 20);
        while position() < end {
            pgbench(&self.target, &SOME_LOAD);
        }
    }

    /// Bytes of the objects in the repository whose path contains `part`.
    fn stored(&self, part: &str) -> u64 {
        let all = files(&self.server.data_dir().join("backups").join("clusters").join(&self.cluster));
        all.iter().filter(|(path, _)| path.contains(part)).map(|(_, bytes)| bytes).sum()
    }

    /// Bytes of the data directory, without its WAL.
    fn data(&self) -> u64 {
        let rows = self.server.instances();
        let row = rows.iter().find(|row| row["cluster"] == self.cluster.as_str());
        let data = row.and_then(|row| row["data"].as_str()).unwrap_or_default();
        let all = files(Path::new(data));
        all.iter().filter(|(path, _)| !path.contains("/pg_wal/")).map(|(_, bytes)| bytes).sum()
    }
}

/// Polls more often than the test kit, because some of these durations are short.
fn wait(what: &str, mut is_done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_done() {
        assert!(start.elapsed() < PATIENCE, "condition not met within {PATIENCE:?}: {what}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// The paths and sizes of all files in a folder.
fn files(folder: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => found.extend(files(&entry.path())),
            Ok(metadata) => found.push((entry.path().display().to_string(), metadata.len())),
            Err(_) => {}
        }
    }
    found
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn durations(program: &str, scale: &str, count: usize, wal: u64) {
    let subject = Subject::start(ServerBuilder::new(program).backups(), scale);
    subject.back_up(HOUR);
    let (base, data) = (mib(subject.stored("/base/")), mib(subject.data()));
    let times = |seconds: i64| {
        let times = (0..count).map(|_| {
            pgbench(&subject.target, &ONE_CHANGE);
            subject.back_up(seconds)
        });
        Times::from(times.collect::<Vec<_>>())
    };
    println!("{}", times(DAY + HOUR).line("a backup with a new base"));
    let before = subject.stored("/wal/");
    println!("{}", times(HOUR).line("a backup after one change"));
    let each = mib(subject.stored("/wal/").saturating_sub(before)) / count as f64;
    let unchanged = (0..count).map(|_| subject.back_up(HOUR)).collect::<Vec<_>>();
    println!("{}", Times::from(unchanged).line("a backup without changes"));
    let restores = (0..count).map(|_| {
        let bases = subject.stored("/base/");
        subject.write_wal(wal);
        subject.back_up(HOUR);
        assert_eq!(subject.stored("/base/"), bases, "the WAL belongs to the last base");
        subject.restore()
    });
    let restores = Times::from(restores.collect::<Vec<_>>());
    println!("{}", restores.line(&format!("restore, with {wal} MiB of WAL")));
    println!("{:<44} {base:.1} MiB of {data:.1} MiB of data", "stored for a base");
    println!("{:<44} {each:.3} MiB", "stored for a backup after one change");
}

/// The rate of `pgbench -N` while `act` runs.
fn rate(subject: &Subject, act: impl FnOnce()) -> f64 {
    thread::scope(|scope| {
        let load = scope.spawn(|| number(&pgbench(&subject.target, &BUSY), "tps = "));
        act();
        load.join().expect("pgbench runs")
    })
}

/// What backups cost a busy cluster, and then what a base costs it.
pub(crate) fn cost(program: &str) {
    println!("\n== pgbench -N with 8 clients, with and without backups, in turns");
    let off = Subject::start(ServerBuilder::new(program), SCALE);
    let on = Subject::start(ServerBuilder::new(program).backups(), SCALE);
    on.back_up(HOUR);
    let backups: [(&str, Option<i64>); 2] = [
        ("with backups, none of them meanwhile", None),
        ("with a backup with a new base meanwhile", Some(DAY + HOUR)),
    ];
    for (name, due) in backups {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            for is_on in [round % 2 == 0, round % 2 == 1] {
                if is_on {
                    with.push(rate(&on, || {
                        due.map(|seconds| on.back_up(seconds));
                    }));
                    // Stores what the load has written, so that the next one begins with nothing to store.
                    on.back_up(HOUR);
                } else {
                    without.push(rate(&off, || {}));
                }
            }
        }
        let (without, with) = (Rates::new(without), Rates::new(with));
        println!("{}", without.line("without backups"));
        println!("{}", with.line(name));
        println!("ratio {:.2}", with.median() / without.median());
    }
}
