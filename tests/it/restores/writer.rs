//! A client that writes numbered rows all the time: a restored cluster, database, or table contains exactly the rows that
//! were committed by the time of the backup, also if the server was killed or the cluster was suspended before.

use super::{
    objects::{added, allow_all, connection_string, run_in, succeeded},
    point_in_time::{CREATE, ROWS},
};
use crate::{
    backups::shared::{
        CLOCK, DAY, HOUR, boot, database, databases, now, restore_into_itself, suspend, take_backup, users,
    },
    support::{PASSWORD, id, sql_user},
};
use ootheca_testkit::{Client, Engine, Ootheca, Signal, eventually};
use serde_json::{Value, json};
use std::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

const CHANGED_PASSWORD: &str = "another long password";

/// An attempt to insert a row, and what is known about it. Its number is its position.
struct Row {
    began: String,
    /// A time at which the row was certainly committed.
    committed: Option<String>,
}

/// The rows of the table `numbered` in a database, in the order of their insertion.
struct Rows {
    cluster: String,
    database: &'static str,
    rows: Mutex<Vec<Row>>,
}

impl Rows {
    /// Creates the table.
    fn new(server: &Ootheca, cluster: &str, database: &'static str) -> Self {
        run_in(server, cluster, "keeper", database, CREATE);
        Self { cluster: cluster.to_owned(), database, rows: Mutex::default() }
    }

    /// Inserts rows until `stop` is true or the server is gone. Continues with the row that is not certain.
    fn write(&self, server: &Ootheca, stop: &AtomicBool) {
        let string = connection_string(server, &self.cluster, "keeper", self.database);
        let mut session = server.session_at(&string, PASSWORD);
        while !stop.load(Ordering::Relaxed) {
            let Some(began) = time(server) else { return };
            let number = self.begin(began);
            let insert = format!(
                "INSERT INTO numbered VALUES ({number}) ON CONFLICT (n) DO UPDATE SET n = excluded.n RETURNING n"
            );
            if session.run(&insert) != Ok(number.to_string()) {
                return;
            }
            let Some(committed) = time(server) else { return };
            self.lock().last_mut().expect("a row").committed = Some(committed);
        }
    }

    /// The number of the next row.
    fn begin(&self, began: String) -> usize {
        let mut rows = self.lock();
        if rows.last().is_none_or(|row| row.committed.is_some()) {
            rows.push(Row { began, committed: None });
        }
        rows.len()
    }

    /// Waits until some more rows are committed.
    fn grow(&self) {
        let before = self.committed();
        eventually("rows are written", || (self.committed() >= before + 10).then_some(()));
    }

    fn committed(&self) -> usize {
        self.lock().iter().filter(|row| row.committed.is_some()).count()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Row>> {
        self.rows.lock().expect("no panic")
    }
}

/// The time of the server, if it is running.
fn time(client: &Client) -> Option<String> {
    let answer = client.raw("GET", CLOCK).try_send().ok()?;
    answer.body["now"].as_str().map(str::to_owned)
}

/// A backup, and a time at which it was already listed.
struct Taken {
    backup: Value,
    listed: String,
}

impl Taken {
    /// Takes a backup of a cluster that has one every so many seconds.
    fn take(server: &Ootheca, cluster: &str, seconds: i64) -> Self {
        let backup = take_backup(server, cluster, seconds);
        Self { backup, listed: now(server) }
    }
}

/// A backup, and what is expected of the SQL users then.
struct Expected {
    taken: Taken,
    password: &'static str,
    users: &'static [&'static str],
}

/// Stops the writer at the end of `act`, also if that panics.
pub(super) struct Stop<'a>(pub(super) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `act` while rows are written. If `act` kills the server, the writer ends by itself.
fn while_writing(rows: &Rows, server: &Ootheca, act: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| rows.write(server, &stop));
        let _stop = Stop(&stop);
        rows.grow();
        act();
    });
}

/// Asserts that the table in a database of the cluster contains the rows up to one number: each that was committed until
/// the time of the backup, and none whose insertion began after the backup was listed.
fn check(rows: &Rows, server: &Ootheca, database: &str, taken: &Taken) {
    let found = run_in(server, &rows.cluster, "keeper", database, ROWS);
    let (count, last) = found.split_once(' ').expect("two numbers");
    assert_eq!(count, last, "no row is missing in between");
    let count: usize = count.parse().expect("a number");
    let as_of = taken.backup["as_of_time"].as_str().expect("a time");
    let rows = rows.lock();
    let committed = |row: &&Row| row.committed.as_deref().is_some_and(|time| time <= as_of);
    let least = rows.iter().take_while(committed).count();
    let most = rows.iter().take_while(|row| row.began <= taken.listed).count();
    println!("restores: {count} rows in {database} at {as_of}, from {least} to {most} expected");
    assert!((least..=most).contains(&count), "{count} rows at {as_of}, from {least} to {most} expected");
}

#[test]
fn a_restored_cluster_contains_what_was_committed_by_then() {
    let mut server = boot(Engine::Postgres);
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    for user in ["changing", "keeper"] {
        sql_user(&server, &cluster, user);
    }
    let (rows, mut all) = (Rows::new(&server, &cluster, "defaultdb"), Vec::new());
    let take = |server: &Ootheca, password, users| {
        let taken = Taken::take(server, &cluster, DAY);
        Expected { taken, password, users }
    };
    let (few, many): (&[&str], &[&str]) = (&["changing", "keeper"], &["changing", "keeper", "later"]);

    while_writing(&rows, &server, || all.push(take(&server, PASSWORD, few)));
    let password = json!({ "password": CHANGED_PASSWORD });
    server.put(&format!("/clusters/{cluster}/sql-users/changing/password"), password).ok();
    while_writing(&rows, &server, || all.push(take(&server, CHANGED_PASSWORD, few)));
    sql_user(&server, &cluster, "later");

    while_writing(&rows, &server, || {
        all.push(take(&server, CHANGED_PASSWORD, many));
        rows.grow();
        server.signal(Signal::KILL);
    });
    server.kill();
    server.start();
    while_writing(&rows, &server, || {
        rows.grow();
        all.push(take(&server, CHANGED_PASSWORD, many));
    });

    suspend(&server, &cluster);
    all.push(take(&server, CHANGED_PASSWORD, many));
    while_writing(&rows, &server, || {
        all.push(take(&server, CHANGED_PASSWORD, many));
        rows.grow();
    });
    server.restart();
    all.push(take(&server, CHANGED_PASSWORD, many));

    // To an earlier time, forward again, and to the first one.
    for number in [3, 1, 6, 4, 5, 2, 0] {
        let expected = &all[number];
        restore_into_itself(&server, &cluster, &expected.taken.backup);
        check(&rows, &server, rows.database, &expected.taken);
        assert_eq!(users(&server, &cluster), expected.users);
        for password in [PASSWORD, CHANGED_PASSWORD] {
            let login = server.psql(&cluster, "changing", password, "SELECT 1");
            assert_eq!(login.success, password == expected.password, "{login:?}");
        }
    }
}

#[test]
fn restored_databases_and_tables_contain_what_was_committed_by_then() {
    let mut server = boot(Engine::Postgres);
    let cluster = id(&server.create_cluster("some-cluster", "ADVANCED"));
    sql_user(&server, &cluster, "keeper");
    allow_all(&server, &cluster);
    database(&server, &cluster, "app");
    let (rows, mut all) = (Rows::new(&server, &cluster, "app"), Vec::new());
    while_writing(&rows, &server, || {
        for _ in 0..2 {
            all.push(Taken::take(&server, &cluster, HOUR));
            rows.grow();
        }
        server.signal(Signal::KILL);
    });
    server.kill();
    server.start();
    while_writing(&rows, &server, || {
        all.push(Taken::take(&server, &cluster, HOUR));
        rows.grow();
    });
    server.restart();
    all.push(Taken::take(&server, &cluster, HOUR));

    let present = run_in(&server, &cluster, "keeper", "app", ROWS);
    for number in [2, 0, 3, 1] {
        let (taken, copy, tables) = (&all[number], format!("copy_{number}"), format!("tables_{number}"));
        let body = json!({
            "backup_id": taken.backup["id"], "objects": [{ "database": "app" }],
            "restore_opts": { "new_db_name": copy },
        });
        succeeded(&added(&server, &cluster, "DATABASE", body));
        check(&rows, &server, &copy, taken);
        database(&server, &cluster, &tables);
        let body = json!({
            "backup_id": taken.backup["id"], "objects": [{ "database": "app", "table": "numbered" }],
            "restore_opts": { "into_db": tables },
        });
        succeeded(&added(&server, &cluster, "TABLE", body));
        check(&rows, &server, &tables, taken);
    }
    assert_eq!(run_in(&server, &cluster, "keeper", "app", ROWS), present, "the original is unchanged");
    let expected = "app copy_0 copy_1 copy_2 copy_3 defaultdb tables_0 tables_1 tables_2 tables_3";
    assert_eq!(databases(&server, &cluster).join(" "), expected);
}
