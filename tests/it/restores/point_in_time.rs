//! Restores to a moment between two backups: the data is exactly what was committed by then.
//!
//! The times of commits are those of the machine's clock. So the tests note moments before they advance the clock of the
//! server, and the first backup is taken before that as well.

use super::objects::{added, allow_all, connection_string, run_in, succeeded};
use crate::{
    backups::shared::{
        DAY, HOUR, LIMIT, archive, backup_after, backup_at_once, backups, boot, database, databases,
        first_backup, furnish, now, objects, restore, restore_into_itself, restored, run, suspend,
        take_backup, time, users,
    },
    support::{PASSWORD, advance, id, simulated, sql_user},
};
use ootheca_model::Timestamp;
use ootheca_testkit::{Answer, Client, Engine, Ootheca, Session, eventually_within};
use serde_json::{Value, json};
use std::fs;

const NOWHERE: &str = "6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f";
/// More than the time after which backups are verified, in seconds.
const WEEK: i64 = 7 * DAY;

pub(crate) const CREATE: &str = "CREATE TABLE numbered (n int PRIMARY KEY)";
/// The number of rows, and the highest of their numbers.
pub(crate) const ROWS: &str = "SELECT count(*) || ' ' || coalesce(max(n), 0) FROM numbered";
/// The time of the machine's clock, as the API expects it.
const MOMENT: &str =
    "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

/// A moment after the commit of each row of the table `numbered`, and before that of the next one.
#[derive(Default)]
pub(crate) struct Moments(Vec<String>);

impl Moments {
    /// Inserts the next rows, each in its own transaction.
    #[track_caller]
    pub(crate) fn write(&mut self, mut session: Session, rows: usize) {
        for _ in 0..rows {
            let number = self.0.len() + 1;
            let sql = format!("INSERT INTO numbered VALUES ({number}) RETURNING n;\n{MOMENT}");
            let said = session.run(&sql).expect("the session is open");
            let (inserted, moment) = said.split_once('\n').expect("two results");
            assert_eq!(inserted, number.to_string());
            assert!(moment.parse::<Timestamp>().is_ok(), "{moment}");
            self.0.push(moment.to_owned());
        }
    }

    /// The moment by which exactly the first `rows` rows were committed.
    pub(crate) fn after(&self, rows: usize) -> &str {
        &self.0[rows - 1]
    }

    /// Forgets the rows after the first `rows`.
    fn rewind(&mut self, rows: usize) {
        self.0.truncate(rows);
    }
}

/// The result of [`ROWS`] if the table contains exactly the first `rows` rows.
pub(crate) fn first(rows: usize) -> String {
    format!("{rows} {rows}")
}

/// The time `seconds` seconds after that of a backup.
pub(crate) fn shifted(backup: &Value, seconds: i64) -> String {
    Timestamp(time(&backup["as_of_time"]).0 + seconds * 1_000_000).to_string()
}

/// Restores a cluster into itself, to a moment that belongs to `backup`.
#[track_caller]
fn restore_to(server: &Ootheca, cluster: &str, moment: &str, backup: &Value) {
    let done = restored(server, cluster, json!({ "point_in_time": moment }));
    assert_eq!((&done["status"], &done["point_in_time"]), (&json!("SUCCESS"), &json!(moment)), "{done:#}");
    let before = (&done["backup_id"], &done["backup_end_time"]);
    assert_eq!(before, (&backup["id"], &backup["as_of_time"]), "{done:#}");
    server.when_created(cluster);
}

/// The second backup has a new base. The WAL in between is needed, too.
#[test]
fn a_cluster_that_was_suspended_in_between_is_restored_to_noted_moments() {
    let server = boot(Engine::Postgres);
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    sql_user(&server, &cluster, "keeper");
    run(&server, &cluster, CREATE);
    let oldest = first_backup(&server, &cluster);
    let mut moments = Moments::default();
    moments.write(server.session(&cluster, "keeper", PASSWORD), 6);
    suspend(&server, &cluster);
    moments.write(server.session(&cluster, "keeper", PASSWORD), 6);
    let newest = take_backup(&server, &cluster, DAY);
    for rows in [9, 6, 12, 1] {
        restore_to(&server, &cluster, moments.after(rows), &oldest);
        assert_eq!(run(&server, &cluster, ROWS), first(rows));
    }
    restore_to(&server, &cluster, &shifted(&newest, 0), &newest);
    assert_eq!(run(&server, &cluster, ROWS), first(12));
    super::nothing_else_is_left(&server, 1);
}

#[test]
fn databases_tables_and_clusters_are_restored_to_noted_moments() {
    let server = boot(Engine::Postgres);
    let cluster = id(&server.create_cluster("some-cluster", "ADVANCED"));
    sql_user(&server, &cluster, "keeper");
    allow_all(&server, &cluster);
    database(&server, &cluster, "app");
    let run_in = |database: &str, sql: &str| run_in(&server, &cluster, "keeper", database, sql);
    run_in("app", CREATE);
    let oldest = first_backup(&server, &cluster);
    let string = connection_string(&server, &cluster, "keeper", "app");
    let mut moments = Moments::default();
    moments.write(server.session_at(&string, PASSWORD), 8);
    backup_at_once(&server, &cluster, 240);

    let body = json!({
        "point_in_time": moments.after(5), "objects": [{ "database": "app" }],
        "restore_opts": { "new_db_name": "copy" },
    });
    let done = added(&server, &cluster, "DATABASE", body);
    succeeded(&done);
    assert_eq!((&done["point_in_time"], &done["backup_id"]), (&json!(moments.after(5)), &oldest["id"]));
    assert_eq!(run_in("copy", ROWS), first(5));
    database(&server, &cluster, "tables");
    let body = json!({
        "point_in_time": moments.after(3), "objects": [{ "database": "app", "table": "numbered" }],
        "restore_opts": { "into_db": "tables" },
    });
    succeeded(&added(&server, &cluster, "TABLE", body));
    assert_eq!(run_in("tables", ROWS), first(3));
    assert_eq!(run_in("app", ROWS), first(8));

    let before = now(&server);
    restore_to(&server, &cluster, moments.after(7), &oldest);
    assert_eq!(databases(&server, &cluster), ["app", "defaultdb"]);
    assert_eq!(run_in("app", ROWS), first(7));
    super::nothing_else_is_left(&server, 1);

    // The restored data has a timeline of its own, and moments as well.
    let oldest = backup_after(&server, &cluster, &before);
    moments.rewind(7);
    moments.write(server.session_at(&string, PASSWORD), 4);
    backup_at_once(&server, &cluster, 60);
    restore_to(&server, &cluster, moments.after(9), &oldest);
    assert_eq!(run_in("app", ROWS), first(9));
}

#[test]
fn a_restore_shows_its_moment_and_the_backup_before_it() {
    let server = boot(Engine::Simulated);
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    let destination = id(&server.create_cluster("destination-cluster", "STANDARD"));
    let first = take_backup(&server, &cluster, HOUR);
    database(&server, &cluster, "later");
    let second = take_backup(&server, &cluster, HOUR);
    let moment = shifted(&first, 60);
    let by_moment = json!({ "source_cluster_id": cluster, "point_in_time": moment });
    let done = restored(&server, &destination, by_moment);
    let expected = json!({
        "id": id(&done), "type": "CLUSTER", "status": "SUCCESS", "completion_percent": 1.0,
        "backup_id": first["id"], "backup_end_time": first["as_of_time"], "point_in_time": moment,
        "source_cluster_name": "some-cluster", "destination_cluster_name": "destination-cluster",
        "created_at": done["created_at"], "completed_at": done["completed_at"],
        "crdb_job_id": done["crdb_job_id"],
    });
    assert_eq!(done, expected);
    assert_eq!(super::restores(&server, &destination), [expected]);
    server.when_created(&destination);
    assert_eq!(users(&server, &destination), ["keeper"]);
    restore_to(&server, &cluster, &shifted(&second, 0), &second);
    let plain = restored(&server, &cluster, json!({ "backup_id": first["id"] }));
    assert!(plain["status"] == "SUCCESS" && plain.get("point_in_time").is_none(), "{plain:#}");
}

/// Asserts that a precondition is not met, with a message that contains `text`.
#[track_caller]
fn not_possible(answer: &Answer, text: &str) {
    assert!(answer.refused(400).contains(text), "{answer}");
    assert_eq!(answer.body["code"], 9, "{answer}");
}

fn enable(client: &Client, cluster: &str, enabled: bool) {
    client.patch(&format!("/clusters/{cluster}/backups-config"), json!({ "enabled": enabled })).ok();
}

#[test]
fn refusals_name_the_field_and_the_bounds() {
    let server = boot(Engine::Simulated);
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    take_backup(&server, &cluster, HOUR);
    database(&server, &cluster, "later");
    take_backup(&server, &cluster, HOUR);
    let listed = backups(&server, &cluster);
    let (oldest, newest) = (&listed[0], &listed[listed.len() - 1]);
    let at = |moment: &str| json!({ "point_in_time": moment });
    let bounds = format!(
        "must be between {} and {}, the times of the oldest and the newest backup",
        shifted(oldest, 0),
        shifted(newest, 0)
    );
    let with_backup = json!({ "point_in_time": shifted(oldest, 60), "backup_id": oldest["id"] });
    let cases = [
        (at(&shifted(oldest, -60)), bounds.as_str()),
        (at(&shifted(newest, 60)), bounds.as_str()),
        (with_backup, "can't be combined with backup_id"),
        (at("noon"), ""),
    ];
    for (body, rule) in cases {
        let answer = restore(&server, &cluster, body.clone());
        let message = answer.refused(400);
        assert!(message.contains("point_in_time") && message.ends_with(rule), "{body}: {answer}");
        assert_eq!(answer.body["code"], 3, "{body}: {answer}");
    }
    let unknown = json!({ "source_cluster_id": NOWHERE });
    let mut at_moment = unknown.clone();
    at_moment["point_in_time"] = shifted(oldest, 60).into();
    let refused = restore(&server, &cluster, unknown);
    assert_eq!(restore(&server, &cluster, at_moment).refused(404), refused.refused(404));
    assert!(super::restores(&server, &cluster).is_empty());
    assert_eq!(server.get(&format!("/clusters/{cluster}")).ok()["state"], "CREATED");
}

#[test]
fn a_cluster_without_backups_has_no_moments() {
    // It takes no backups.
    let server = simulated();
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    let moment = Timestamp::from(std::time::SystemTime::now()).to_string();
    let answer = restore(&server, &cluster, json!({ "point_in_time": moment }));
    not_possible(&answer, "the source cluster has no backup");
}

#[test]
fn a_moment_between_the_data_before_and_after_a_restore_is_refused() {
    let server = boot(Engine::Simulated);
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    let first = take_backup(&server, &cluster, HOUR);
    database(&server, &cluster, "later");
    let second = take_backup(&server, &cluster, HOUR);
    // No backup is due until then.
    advance(&server, HOUR / 2);
    let before = now(&server);
    restore_into_itself(&server, &cluster, &first);
    let third = backup_after(&server, &cluster, &before);
    let between = json!({ "point_in_time": shifted(&second, 60) });
    not_possible(&restore(&server, &cluster, between), "restored");
    restore_to(&server, &cluster, &shifted(&first, 60), &first);
    restore_to(&server, &cluster, &shifted(&third, 0), &third);
}

#[test]
fn a_moment_before_a_damaged_backup_is_refused() {
    let server = boot(Engine::Simulated);
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    let first = take_backup(&server, &cluster, HOUR);
    database(&server, &cluster, "later");
    let second = take_backup(&server, &cluster, HOUR);
    enable(&server, &cluster, false);
    let last = objects(&server, &cluster).into_iter().rfind(|name| name.contains("/wal/"));
    fs::remove_file(archive(&server, &cluster).join(last.expect("a segment"))).expect("removed");
    advance(&server, WEEK);
    eventually_within(LIMIT, "the damage is found", || {
        (!backups(&server, &cluster).contains(&second)).then_some(())
    });
    // The damaged backup is replaced, so that the moment is not after the newest one.
    let before = now(&server);
    enable(&server, &cluster, true);
    backup_after(&server, &cluster, &before);
    let moment = json!({ "point_in_time": shifted(&first, 60) });
    not_possible(&restore(&server, &cluster, moment), "damaged");
    restore_to(&server, &cluster, &shifted(&first, 0), &first);
}
