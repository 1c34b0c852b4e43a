//! A client that writes numbered rows all the time: a restored cluster contains exactly the rows that were committed
//! by the time of the backup, also if the server was killed or the cluster was suspended before.

use crate::{
    backups::shared::{CLOCK, DAY, boot, now, restore_into_itself, run, suspend, take_backup, users},
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

/// The rows in the order of their insertion.
#[derive(Default)]
struct Rows(Mutex<Vec<Row>>);

impl Rows {
    /// Inserts rows until `stop` is true or the server is gone. Continues with the row that is not certain.
    fn write(&self, server: &Ootheca, cluster: &str, stop: &AtomicBool) {
        let mut session = server.session(cluster, "keeper", PASSWORD);
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
        self.0.lock().expect("no panic")
    }
}

/// The time of the server, if it is running.
fn time(client: &Client) -> Option<String> {
    let answer = client.raw("GET", CLOCK).try_send().ok()?;
    answer.body["now"].as_str().map(str::to_owned)
}

/// A backup, a time at which it was already listed, and what is expected of the SQL users then.
struct Taken {
    backup: Value,
    listed: String,
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
fn while_writing(rows: &Rows, server: &Ootheca, cluster: &str, act: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| rows.write(server, cluster, &stop));
        let _stop = Stop(&stop);
        rows.grow();
        act();
    });
}

/// Asserts that the cluster contains the rows up to one number: each that was committed until the time of the
/// backup, and none whose insertion began after the backup was listed.
fn check(rows: &Rows, server: &Ootheca, cluster: &str, taken: &Taken) {
    let found = run(server, cluster, "SELECT count(*) || ' ' || coalesce(max(n), 0) FROM numbered");
    let (count, last) = found.split_once(' ').expect("two numbers");
    assert_eq!(count, last, "no row is missing in between");
    let count: usize = count.parse().expect("a number");
    let as_of = taken.backup["as_of_time"].as_str().expect("a time");
    let rows = rows.lock();
    let committed = |row: &&Row| row.committed.as_deref().is_some_and(|time| time <= as_of);
    let least = rows.iter().take_while(committed).count();
    let most = rows.iter().take_while(|row| row.began <= taken.listed).count();
    println!("restores: {count} rows at {as_of}, from {least} to {most} expected");
    assert!((least..=most).contains(&count), "{count} rows at {as_of}, from {least} to {most} expected");
}

#[test]
fn a_restored_cluster_contains_what_was_committed_by_then() {
    let mut server = boot(Engine::Postgres);
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    for user in ["changing", "keeper"] {
        sql_user(&server, &cluster, user);
    }
    run(&server, &cluster, "CREATE TABLE numbered (n int PRIMARY KEY)");
    let (rows, mut all) = (Rows::default(), Vec::new());
    let take = |server: &Ootheca, password, users| {
        let backup = take_backup(server, &cluster, DAY);
        Taken { backup, listed: now(server), password, users }
    };
    let (few, many): (&[&str], &[&str]) = (&["changing", "keeper"], &["changing", "keeper", "later"]);

    while_writing(&rows, &server, &cluster, || all.push(take(&server, PASSWORD, few)));
    let password = json!({ "password": CHANGED_PASSWORD });
    server.put(&format!("/clusters/{cluster}/sql-users/changing/password"), password).ok();
    while_writing(&rows, &server, &cluster, || all.push(take(&server, CHANGED_PASSWORD, few)));
    sql_user(&server, &cluster, "later");

    while_writing(&rows, &server, &cluster, || {
        all.push(take(&server, CHANGED_PASSWORD, many));
        rows.grow();
        server.signal(Signal::KILL);
    });
    server.kill();
    server.start();
    while_writing(&rows, &server, &cluster, || {
        rows.grow();
        all.push(take(&server, CHANGED_PASSWORD, many));
    });

    suspend(&server, &cluster);
    all.push(take(&server, CHANGED_PASSWORD, many));
    while_writing(&rows, &server, &cluster, || {
        all.push(take(&server, CHANGED_PASSWORD, many));
        rows.grow();
    });
    server.restart();
    all.push(take(&server, CHANGED_PASSWORD, many));

    // To an earlier time, forward again, and to the first one.
    for number in [3, 1, 6, 4, 5, 2, 0] {
        let taken = &all[number];
        restore_into_itself(&server, &cluster, &taken.backup);
        check(&rows, &server, &cluster, taken);
        assert_eq!(users(&server, &cluster), taken.users);
        for password in [PASSWORD, CHANGED_PASSWORD] {
            let login = server.psql(&cluster, "changing", password, "SELECT 1");
            assert_eq!(login.success, password == taken.password, "{login:?}");
        }
    }
}
