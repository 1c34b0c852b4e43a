//! Functions that the tests of backups and restores share.

use crate::support::{PASSWORD, PROGRAM, advance, column, id, sql_user};
use ootheca_model::Timestamp;
use ootheca_store::Kind;
use ootheca_testkit::{Answer, Client, Engine, Ootheca, ServerBuilder, eventually_within};
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

/// The time between two backups of STANDARD and ADVANCED, in seconds.
pub(crate) const HOUR: i64 = 3600;
/// The time between two backups of BASIC, in seconds.
pub(crate) const DAY: i64 = 24 * HOUR;
/// The idle time after which a BASIC cluster is suspended, in seconds.
const IDLE: i64 = 300;

/// Longer than the pauses between repeated attempts.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

pub(crate) const CLOCK: &str = "/api/ootheca/v1/clock";

/// A server that takes backups, with the test clock.
pub(crate) fn boot(engine: Engine) -> Ootheca {
    ServerBuilder::new(PROGRAM).engine(engine).backups().boot()
}

/// The time of the server, as backups show it.
#[track_caller]
pub(crate) fn now(client: &Client) -> String {
    client.raw("GET", CLOCK).send().text("/now")
}

/// A time in a response.
#[track_caller]
pub(crate) fn time(value: &Value) -> Timestamp {
    let parsed = value.as_str().and_then(|text| text.parse().ok());
    parsed.unwrap_or_else(|| panic!("no time: {value}"))
}

/// All backups of a cluster, oldest first.
#[track_caller]
pub(crate) fn backups(client: &Client, cluster: &str) -> Vec<Value> {
    let answer = client.get(&format!("/clusters/{cluster}/backups?pagination.sort_order=ASC"));
    answer.ok()["backups"].as_array().unwrap_or_else(|| panic!("no list: {answer}")).clone()
}

/// Waits for a backup that contains everything that was committed until `time`.
#[track_caller]
pub(crate) fn backup_after(client: &Client, cluster: &str, time: &str) -> Value {
    let newest = format!("/clusters/{cluster}/backups?pagination.sort_order=DESC");
    eventually_within(LIMIT, "a backup is taken", || {
        let newer = |backup: &&Value| backup["as_of_time"].as_str().is_some_and(|taken| taken > time);
        client.get(&newest).ok()["backups"].as_array()?.iter().take_while(newer).last().cloned()
    })
}

/// Advances the clock by the time until a backup is due. Returns a backup that contains everything that was
/// committed before.
#[track_caller]
pub(crate) fn take_backup(server: &Ootheca, cluster: &str, seconds: i64) -> Value {
    let before = now(server);
    advance(server, seconds);
    backup_after(server, cluster, &before)
}

/// Waits for the first backup of a cluster without advancing the clock, so that the times of commits are after that of the
/// backup.
#[track_caller]
pub(crate) fn first_backup(client: &Client, cluster: &str) -> Value {
    eventually_within(LIMIT, "a first backup is taken", || backups(client, cluster).pop())
}

/// Changes the minutes between two backups, so that one is taken at once. Returns a backup that contains everything that
/// was committed before.
#[track_caller]
pub(crate) fn backup_at_once(client: &Client, cluster: &str, minutes: i32) -> Value {
    let before = now(client);
    let change = json!({ "frequency_minutes": minutes });
    client.patch(&format!("/clusters/{cluster}/backups-config"), change).ok();
    backup_after(client, cluster, &before)
}

/// The message of a condition of a cluster.
#[track_caller]
pub(crate) fn condition(client: &Client, cluster: &str, kind: &str) -> Option<String> {
    let shown = client.get(&format!("/clusters/{cluster}"));
    let conditions = shown.ok()["ootheca"]["conditions"].as_array().expect("a list");
    let found = conditions.iter().find(|condition| condition["kind"] == kind)?;
    found["message"].as_str().map(str::to_owned)
}

/// Whether the cluster is suspended and has no process. Calling this does not resume it.
pub(crate) fn is_suspended(server: &Ootheca, cluster: &str) -> bool {
    let rows = server.instances();
    let stopped = rows.iter().all(|row| row["cluster"] != cluster || row["pid"].is_null());
    stopped && server.get(&format!("/clusters/{cluster}")).ok()["ootheca"]["suspended"] == true
}

/// Advances the clock until the BASIC cluster is suspended.
#[track_caller]
pub(crate) fn suspend(server: &Ootheca, cluster: &str) {
    eventually_within(LIMIT, "the cluster is suspended", || {
        advance(server, IDLE);
        is_suspended(server, cluster).then_some(())
    });
}

/// Requests a restore of a whole cluster with these members of the body.
#[track_caller]
pub(crate) fn restore(client: &Client, destination: &str, mut body: Value) -> Answer {
    body["type"] = "CLUSTER".into();
    client.post(&format!("/clusters/{destination}/restores"), body)
}

/// Waits until a restore has ended. Returns it.
#[track_caller]
pub(crate) fn ended(client: &Client, destination: &str, restore: &str) -> Value {
    eventually_within(LIMIT, "the restore has ended", || {
        let shown = client.get(&format!("/clusters/{destination}/restores/{restore}"));
        (shown.ok()["status"] != "PENDING").then_some(shown.body)
    })
}

/// Restores a cluster, and waits until the restore has ended. Returns it.
#[track_caller]
pub(crate) fn restored(client: &Client, destination: &str, body: Value) -> Value {
    let asked = restore(client, destination, body);
    ended(client, destination, &id(asked.ok()))
}

/// Restores a cluster from one of its own backups.
#[track_caller]
pub(crate) fn restore_into_itself(server: &Ootheca, cluster: &str, backup: &Value) {
    let ended = restored(server, cluster, json!({ "backup_id": backup["id"] }));
    assert_eq!(ended["status"], "SUCCESS", "{ended:#}");
    server.when_created(cluster);
}

/// A STANDARD cluster with the SQL user `keeper`, the database `app`, and, with PostgreSQL, a table with one row.
#[track_caller]
pub(crate) fn furnish(server: &Ootheca, engine: Engine, name: &str) -> String {
    let cluster = id(&server.create_cluster(name, "STANDARD"));
    sql_user(server, &cluster, "keeper");
    database(server, &cluster, "app");
    if engine == Engine::Postgres {
        run(server, &cluster, "CREATE TABLE kept AS SELECT 7 AS n");
    }
    cluster
}

/// Runs SQL as `keeper`.
#[track_caller]
pub(crate) fn run(server: &Ootheca, cluster: &str, sql: &str) -> String {
    server.psql(cluster, "keeper", PASSWORD, sql).ok().to_owned()
}

#[track_caller]
pub(crate) fn database(server: &Ootheca, cluster: &str, name: &str) {
    server.post(&format!("/clusters/{cluster}/databases"), json!({ "name": name })).ok();
}

/// The names of the SQL users.
#[track_caller]
pub(crate) fn users(client: &Client, cluster: &str) -> Vec<String> {
    column(&client.get(&format!("/clusters/{cluster}/sql-users")).ok()["users"], "name")
}

/// The names of the databases.
#[track_caller]
pub(crate) fn databases(client: &Client, cluster: &str) -> Vec<String> {
    column(&client.get(&format!("/clusters/{cluster}/databases")).ok()["databases"], "name")
}

/// The folder of a cluster in the repository.
pub(crate) fn archive(server: &Ootheca, cluster: &str) -> PathBuf {
    server.data_dir().join("backups/clusters").join(cluster)
}

/// The complete objects of a cluster in the repository, as `EPOCH/base/ID` and `EPOCH/wal/SEGMENT`.
pub(crate) fn objects(server: &Ootheca, cluster: &str) -> BTreeSet<String> {
    let folder = archive(server, cluster);
    let mut found = BTreeSet::new();
    collect(&folder, &folder, &mut found);
    found
}

fn collect(top: &Path, folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(top, &path, found);
        } else if let Some(name) = path.strip_prefix(top).ok().and_then(Path::to_str) {
            // An object that is being written has a number after this sign.
            found.extend((!name.contains('#')).then(|| name.to_owned()));
        }
    }
}

/// Makes the repository unreachable, or reachable again: its folder and a file change places.
pub(crate) fn swap_repository(server: &Ootheca) {
    let (folder, elsewhere) = (server.data_dir().join("backups"), server.data_dir().join("elsewhere"));
    if !elsewhere.exists() {
        File::create(&elsewhere).expect("a file");
    }
    renameat_with(CWD, &folder, CWD, &elsewhere, RenameFlags::EXCHANGE).expect("both exist");
}

/// The documents of a kind below a cluster, as they are stored.
pub(crate) fn documents(server: &Ootheca, kind: Kind, cluster: &str) -> Vec<Value> {
    let path = server.data_dir().join("store.db");
    let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the store");
    let query = "SELECT document FROM entries WHERE kind = ?1 AND parent = ?2 ORDER BY sort_key, id";
    let mut query = store.prepare(query).expect("a query");
    let rows = query.query_map([kind.name(), cluster], |row| row.get::<_, String>(0)).expect("rows");
    rows.map(|text| serde_json::from_str(&text.expect("a row")).expect("a document")).collect()
}
