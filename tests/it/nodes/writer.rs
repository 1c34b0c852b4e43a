//! A client that writes numbered rows all the time while nodes are killed or hang: every row that was acknowledged is
//! there once, and no two primaries accept writes at the same time.

use super::{Cluster, LIMIT, NODES};
use ootheca_testkit::{
    eventually_within,
    wire::{Conversation, Message, Wire},
};
use std::{
    collections::BTreeSet,
    env,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How often a node fails in each run, unless the variable says something else.
const FAULTS: usize = 6;
const VARIABLE: &str = "NODE_FAULTS";
/// The rows that are written between two faults.
const ROWS: usize = 20;

const CREATE: &str = "CREATE TABLE numbered (n bigint, timeline text)";
/// The timeline of each row, as in the names of WAL files, in which their order is that of the numbers.
const TIMELINE: &str = "left(pg_walfile_name(pg_current_wal_lsn()), 8)";
/// How often a row has an earlier timeline than the row before.
const DECREASES: &str = "SELECT count(*) FROM (SELECT timeline < lag(timeline) OVER (ORDER BY n) AS decreases \
    FROM numbered) AS pairs WHERE decreases";

/// The types of the messages that end a response, report an error, and contain a row.
const READY: u8 = b'Z';
const ERROR: u8 = b'E';
const ROW: u8 = b'D';
/// What precedes the only value of a row: the number of values, and the length of the first one.
const ROW_HEADER: usize = 6;

/// A row that was acknowledged.
struct Acknowledged {
    number: u64,
    /// Identifies the run of the server that wrote it.
    run: String,
    at: Instant,
}

struct Writer {
    wire: Wire,
    rows: Mutex<Vec<Acknowledged>>,
}

/// What happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    KillPrimary,
    KillStandby,
    PausePrimary,
}

const SEQUENCE: [Fault; 4] =
    [Fault::KillPrimary, Fault::KillStandby, Fault::KillPrimary, Fault::PausePrimary];

impl Writer {
    /// Creates the table.
    fn new(cluster: &Cluster) -> Self {
        let wire = cluster.wire();
        let mut session = wire.connect().expect("a connection").expect("a session");
        session.query(CREATE).expect("a table");
        Self { wire, rows: Mutex::default() }
    }

    /// Inserts a row for each number, and opens a new session after each failure. A number whose fate is unknown is never
    /// used again.
    fn write(&self, stop: &AtomicBool) {
        let mut session: Option<Conversation> = None;
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            let Some(mut open) = session.take().or_else(|| self.wire.connect().ok()?.ok()) else {
                thread::yield_now();
                continue;
            };
            number += 1;
            let insert = format!(
                "INSERT INTO numbered VALUES ({number}, {TIMELINE}) RETURNING pg_postmaster_start_time()::text"
            );
            let Some(run) = open.query(&insert).ok().and_then(|messages| acknowledgment(&messages)) else {
                continue;
            };
            self.lock().push(Acknowledged { number, run, at: Instant::now() });
            session = Some(open);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Acknowledged>> {
        self.rows.lock().expect("no panic")
    }

    /// Waits until some more rows are acknowledged. Returns the run of the server that wrote the last one.
    fn grow(&self) -> String {
        let before = self.lock().len();
        eventually_within(LIMIT, "rows are acknowledged", || {
            let rows = self.lock();
            rows.last().filter(|_| rows.len() >= before + ROWS).map(|row| row.run.clone())
        })
    }

    /// Waits until a row that another run of a server wrote is acknowledged. Returns when.
    fn recovered(&self, run: &str) -> Instant {
        eventually_within(LIMIT, "rows are acknowledged by another server", || {
            let rows = self.lock();
            let last = rows.iter().rposition(|row| row.run == run)?;
            rows.get(last + 1).map(|row| row.at)
        })
    }
}

/// The value that an insertion has returned, if it was acknowledged.
fn acknowledgment(messages: &[Message]) -> Option<String> {
    let complete = messages.last().is_some_and(|message| message.tag == READY);
    if !complete || messages.iter().any(|message| message.tag == ERROR) {
        return None;
    }
    let row = messages.iter().find(|message| message.tag == ROW)?;
    String::from_utf8(row.body.get(ROW_HEADER..)?.to_vec()).ok()
}

/// Lets nodes fail one after the other, each time after all of them are live. Returns how long no row was acknowledged
/// after each loss of the primary.
fn fail(cluster: &Cluster, writer: &Writer, faults: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    for fault in SEQUENCE.iter().cycle().take(faults) {
        let primary = cluster.when_live(NODES);
        let run = writer.grow();
        let begun = Instant::now();
        match fault {
            Fault::KillPrimary => cluster.kill(&primary),
            Fault::PausePrimary => cluster.pause(&primary),
            Fault::KillStandby => {
                cluster.kill(&cluster.standby(&primary));
                writer.grow();
                continue;
            }
        }
        let took = writer.recovered(&run).duration_since(begun);
        println!("nodes: {fault:?} of {primary}: first row after {took:?}");
        times.push(took);
    }
    times
}

/// Asserts that the table contains every row that was acknowledged, and none twice.
fn check(cluster: &Cluster, writer: &Writer) {
    let text = cluster.value("SELECT string_agg(n::text, ',') FROM numbered");
    let stored: Vec<u64> = text.split(',').map(|number| number.parse().expect("a number")).collect();
    let distinct: BTreeSet<u64> = stored.iter().copied().collect();
    assert_eq!(distinct.len(), stored.len(), "a row is there twice");
    let rows = writer.lock();
    let lost: Vec<u64> = rows.iter().map(|row| row.number).filter(|row| !distinct.contains(row)).collect();
    println!("nodes: {} rows acknowledged, {} stored, {} lost", rows.len(), stored.len(), lost.len());
    assert!(lost.is_empty(), "rows were acknowledged and lost: {lost:?}");
    assert_eq!(cluster.value(DECREASES), "0", "two primaries accepted writes at the same time");
}

#[test]
fn acknowledged_rows_survive_the_loss_of_nodes() {
    let faults = env::var(VARIABLE).map_or(FAULTS, |text| text.parse().expect("a number of faults"));
    let cluster = Cluster::create();
    cluster.when_live(NODES);
    let (writer, stop) = (Writer::new(&cluster), AtomicBool::new(false));
    let times = thread::scope(|scope| {
        scope.spawn(|| writer.write(&stop));
        let failing = scope.spawn(|| {
            let times = fail(&cluster, &writer, faults);
            cluster.when_live(NODES);
            writer.grow();
            times
        });
        let times = failing.join();
        stop.store(true, Ordering::Relaxed);
        times
    });
    let mut times = times.expect("rows are acknowledged after each fault");
    check(&cluster, &writer);
    times.sort_unstable();
    let (median, longest) = (times.get(times.len() / 2), times.last());
    println!("nodes: {faults} faults, {} of primaries: p50 {median:?}, max {longest:?}", times.len());
}
