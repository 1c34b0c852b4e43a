//! A backup, and restores of a cluster, a database, and a table that are interrupted by a crash. The flows are long, so
//! several tests share their effects.

use super::{ENOUGH, Flow, run_points};
use crate::{
    backups::shared::{
        CLOCK, DAY, HOUR, LIMIT, archive, backups, database, databases, documents, now, objects,
        restore_into_itself, take_backup,
    },
    restores::objects::{allow_all, run_in},
    support::{column, id, sql_user},
};
use ootheca_store::Kind;
use ootheca_testkit::{Answer, Lost, Ootheca, ServerBuilder, eventually, eventually_within};
use serde_json::{Value, json};
use std::fs;

const CREATE: &str = "CREATE TABLE kept AS SELECT 0 AS n";
const ROWS: &str = "SELECT string_agg(n::text, ',' ORDER BY n) FROM kept";

/// The cluster that a flow uses, and the number of the run. Its table has one row in the first backup, and one
/// more in each run.
#[derive(Default)]
struct Subject {
    number: usize,
    cluster: String,
    first: Value,
    /// Whether its plan is ADVANCED instead of STANDARD.
    advanced: bool,
}

impl Subject {
    fn prepare(&mut self, server: &Ootheca) {
        if self.number == 0 {
            let plan = if self.advanced { "ADVANCED" } else { "STANDARD" };
            self.cluster = id(&server.create_cluster("crash-backup", plan));
            sql_user(server, &self.cluster, "prober");
            if self.advanced {
                allow_all(server, &self.cluster);
            }
            self.run(server, CREATE);
            self.first = take_backup(server, &self.cluster, HOUR);
        }
        self.number += 1;
        // None is due after it, so that none begins before the server is to be killed.
        take_backup(server, &self.cluster, HOUR);
        self.run(server, &format!("DELETE FROM kept WHERE n > 0; INSERT INTO kept VALUES ({})", self.number));
    }

    #[track_caller]
    fn run(&self, server: &Ootheca, sql: &str) -> String {
        run_in(server, &self.cluster, "prober", "defaultdb", sql)
    }

    fn path(&self, rest: &str) -> String {
        format!("/clusters/{}{rest}", self.cluster)
    }

    /// All restores, newest first.
    fn restores(&self, server: &Ootheca) -> Vec<Value> {
        let list = server.get(&self.path("/restores?pagination.sort_order=DESC"));
        list.ok()["restores"].as_array().expect("a list").clone()
    }

    /// A member of the request that the server ignores and that is unique for the run.
    fn mark(&self) -> String {
        format!("restore-{}", self.number)
    }

    /// Whether there is a restore besides the `earlier` ones. Asserts that there is at most one, that it exists if it was
    /// `acknowledged`, and that all have succeeded.
    fn is_restored(&self, server: &Ootheca, earlier: usize, acknowledged: Option<&Answer>) -> bool {
        let restores = self.restores(server);
        let is_restored = restores.len() > earlier;
        assert!(is_restored || acknowledged.is_none(), "acknowledged, so it exists: {restores:#?}");
        assert!(restores.len() <= earlier + 1, "{restores:#?}");
        if let Some(answer) = acknowledged {
            assert_eq!(answer.text("/id"), id(&restores[0]));
        }
        assert!(restores.iter().all(|restore| restore["status"] == "SUCCESS"), "{restores:#?}");
        is_restored
    }

    /// Whether the engine has no WAL that waits to be stored.
    fn is_stored(&self, server: &Ootheca) -> bool {
        let rows = server.instances();
        let ours = rows.iter().find(|row| row["cluster"] == self.cluster.as_str());
        let instance = ours.and_then(|row| row["instance"].as_str()).expect("an instance");
        let spool = server.data_dir().join("engine/instances").join(instance).join("wal");
        // The name of a WAL segment has 24 digits.
        let mut entries = fs::read_dir(spool).into_iter().flatten().flatten();
        !entries.any(|entry| entry.file_name().len() == 24)
    }

    /// Waits until everything that the recovery points need is in the repository. What has expired is removed
    /// meanwhile.
    fn is_complete(&self, server: &Ootheca) {
        let archive = archive(server, &self.cluster);
        let is_complete = |point: &Value| {
            let text = |name: &str| point[name].as_str().unwrap_or_else(|| panic!("no {name}: {point}"));
            let epoch = archive.join(point["epoch"].to_string());
            let (base, last) = (epoch.join("base").join(text("base")), text("last_segment"));
            base.is_file() && (last.is_empty() || epoch.join("wal").join(last).is_file())
        };
        eventually("each recovery point is complete", || {
            let points = documents(server, Kind::RecoveryPoint, &self.cluster);
            points.iter().all(is_complete).then_some(())
        });
    }

    /// Waits until at most one base for each run is stored without being recorded: the one that a kill interrupted.
    fn bases_are_recorded(&self, server: &Ootheca) {
        eventually("at most one base for each kill is not recorded", || {
            let stored = objects(server, &self.cluster);
            let recorded: Vec<String> =
                documents(server, Kind::BackupBase, &self.cluster).iter().map(id).collect();
            let bases = stored.iter().filter_map(|name| name.split_once("/base/"));
            let others = bases.filter(|(_, base)| !recorded.iter().any(|id| id == base)).count();
            (others <= self.number).then_some(())
        });
    }
}

/// The clock is advanced so far that the backup has a new base, and that older ones expire.
#[derive(Default)]
struct TakeBackup {
    subject: Subject,
    /// A time before the backup.
    before: String,
}

impl Flow for TakeBackup {
    fn prepare(&mut self, server: &Ootheca) {
        self.subject.prepare(server);
        if self.subject.number == 1 {
            server.patch(&self.subject.path("/backups-config"), json!({ "retention_days": 2 })).ok();
            take_backup(server, &self.subject.cluster, HOUR);
        }
        self.before = now(server);
    }

    fn act(&self, server: &Ootheca) -> Result<Answer, Lost> {
        let step = json!({ "advance_seconds": DAY + HOUR });
        server.raw("POST", CLOCK).json(&step).try_send()?;
        let path = self.subject.path(&format!("/backups?start_time={}", self.before));
        eventually_within(LIMIT, "the backup is taken, or the server is killed", || {
            match server.request("GET", &path).try_send() {
                Err(lost) => Some(Err(lost)),
                Ok(answer) if answer.ok()["backups"] == json!([]) || !self.subject.is_stored(server) => None,
                Ok(answer) => Some(Ok(answer)),
            }
        })
    }

    fn check(&self, server: &Ootheca, acknowledged: Option<&Answer>) {
        let Subject { cluster, number, .. } = &self.subject;
        let newest = take_backup(server, cluster, HOUR);
        if let Some(answer) = acknowledged {
            let (listed, all) = (column(&answer.body["backups"], "id"), backups(server, cluster));
            let all = column(&json!(all), "id");
            assert!(listed.iter().all(|backup| all.contains(backup)), "{listed:?} were listed, now {all:?}");
        }
        self.subject.is_complete(server);
        self.subject.bases_are_recorded(server);
        // Restoring takes longer than everything else.
        if number.is_multiple_of(4) {
            self.subject.run(server, "DELETE FROM kept");
            restore_into_itself(server, cluster, &newest);
            assert_eq!(self.subject.run(server, ROWS), format!("0,{number}"));
        }
    }

    fn entry(&self) -> Option<(&'static str, String)> {
        None
    }

    fn launch(&self, launch: ServerBuilder) -> ServerBuilder {
        launch.backups()
    }
}

#[derive(Default)]
struct Restore {
    subject: Subject,
    /// The number of restores before the run.
    earlier: usize,
}

impl Flow for Restore {
    fn prepare(&mut self, server: &Ootheca) {
        self.subject.prepare(server);
        self.earlier = self.subject.restores(server).len();
    }

    fn act(&self, server: &Ootheca) -> Result<Answer, Lost> {
        let Subject { first, .. } = &self.subject;
        let body = json!({ "type": "CLUSTER", "backup_id": first["id"], "mark": self.subject.mark() });
        server.request("POST", &self.subject.path("/restores")).json(&body).try_send()
    }

    fn check(&self, server: &Ootheca, acknowledged: Option<&Answer>) {
        let is_restored = self.subject.is_restored(server, self.earlier, acknowledged);
        let expected = if is_restored { "0".to_owned() } else { format!("0,{}", self.subject.number) };
        assert_eq!(self.subject.run(server, ROWS), expected);
        self.subject.is_complete(server);
    }

    fn entry(&self) -> Option<(&'static str, String)> {
        Some(("_RESTORE_CLUSTER", format!("\"{}\"", self.subject.mark())))
    }

    fn launch(&self, launch: ServerBuilder) -> ServerBuilder {
        launch.backups()
    }
}

/// The database of the first backup is restored under a name that is unique for the run.
struct RestoreDatabase {
    subject: Subject,
    /// The number of restores before the run.
    earlier: usize,
}

impl Default for RestoreDatabase {
    fn default() -> Self {
        Self { subject: Subject { advanced: true, ..Subject::default() }, earlier: 0 }
    }
}

impl RestoreDatabase {
    fn name(&self) -> String {
        format!("copy_{}", self.subject.number)
    }
}

impl Flow for RestoreDatabase {
    fn prepare(&mut self, server: &Ootheca) {
        self.subject.prepare(server);
        self.earlier = self.subject.restores(server).len();
    }

    fn act(&self, server: &Ootheca) -> Result<Answer, Lost> {
        let body = json!({
            "type": "DATABASE", "backup_id": self.subject.first["id"], "mark": self.subject.mark(),
            "objects": [{ "database": "defaultdb" }], "restore_opts": { "new_db_name": self.name() },
        });
        server.request("POST", &self.subject.path("/restores")).json(&body).try_send()
    }

    fn check(&self, server: &Ootheca, acknowledged: Option<&Answer>) {
        let Subject { cluster, number, .. } = &self.subject;
        let name = self.name();
        let mut expected = vec!["defaultdb".to_owned()];
        if self.subject.is_restored(server, self.earlier, acknowledged) {
            expected.insert(0, name.clone());
        }
        assert_eq!(databases(server, cluster), expected);
        // Those of the engine are `postgres`, `template0`, and `template1`.
        let all = self.subject.run(server, "SELECT count(*) FROM pg_database");
        assert_eq!(all, (expected.len() + 3).to_string(), "no temporary database is left");
        assert_eq!(self.subject.run(server, ROWS), format!("0,{number}"), "the rest is unchanged");
        if expected.len() == 2 {
            assert_eq!(run_in(server, cluster, "prober", &name, ROWS), "0");
            server.delete(&self.subject.path(&format!("/databases/{name}"))).ok();
        }
        self.subject.is_complete(server);
    }

    fn entry(&self) -> Option<(&'static str, String)> {
        Some(("_RESTORE_CLUSTER", format!("\"{}\"", self.subject.mark())))
    }

    fn launch(&self, launch: ServerBuilder) -> ServerBuilder {
        launch.backups()
    }
}

/// The database into which the table of the first backup is restored. It exists before.
const DESTINATION: &str = "destination";

/// The table is dropped at the end of each run.
struct RestoreTable {
    subject: Subject,
    /// The number of restores before the run.
    earlier: usize,
}

impl Default for RestoreTable {
    fn default() -> Self {
        Self { subject: Subject { advanced: true, ..Subject::default() }, earlier: 0 }
    }
}

impl Flow for RestoreTable {
    fn prepare(&mut self, server: &Ootheca) {
        self.subject.prepare(server);
        if self.subject.number == 1 {
            database(server, &self.subject.cluster, DESTINATION);
        }
        self.earlier = self.subject.restores(server).len();
    }

    fn act(&self, server: &Ootheca) -> Result<Answer, Lost> {
        let body = json!({
            "type": "TABLE", "backup_id": self.subject.first["id"], "mark": self.subject.mark(),
            "objects": [{ "database": "defaultdb", "table": "kept" }],
            "restore_opts": { "into_db": DESTINATION },
        });
        server.request("POST", &self.subject.path("/restores")).json(&body).try_send()
    }

    fn check(&self, server: &Ootheca, acknowledged: Option<&Answer>) {
        let Subject { cluster, number, .. } = &self.subject;
        let run_there = |sql: &str| run_in(server, cluster, "prober", DESTINATION, sql);
        let is_restored = self.subject.is_restored(server, self.earlier, acknowledged);
        let tables = run_there("SELECT count(*) FROM pg_class WHERE relname = 'kept'");
        assert_eq!(tables, if is_restored { "1" } else { "0" });
        let schemas = run_there("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'ootheca-restore-%'");
        assert_eq!(schemas, "0", "no temporary schema is left");
        assert_eq!(databases(server, cluster), ["defaultdb", DESTINATION]);
        assert_eq!(self.subject.run(server, ROWS), format!("0,{number}"), "the rest is unchanged");
        if is_restored {
            assert_eq!(run_there(ROWS), "0");
            run_there("DROP TABLE kept");
        }
        self.subject.is_complete(server);
    }

    fn entry(&self) -> Option<(&'static str, String)> {
        Some(("_RESTORE_CLUSTER", format!("\"{}\"", self.subject.mark())))
    }

    fn launch(&self, launch: ServerBuilder) -> ServerBuilder {
        launch.backups()
    }
}

/// Kills the server after each `parts`th effect of a backup, beginning with effect number `first`.
fn backup(first: usize, parts: usize) {
    run_points("backup", 0, TakeBackup::default(), (first..=ENOUGH).step_by(parts));
}

/// The same for a restore.
fn restore(first: usize, parts: usize) {
    run_points("restore", 0, Restore::default(), (first..=ENOUGH).step_by(parts));
}

/// The same for a restore of a database.
fn restore_database(first: usize, parts: usize) {
    run_points("restore of a database", 0, RestoreDatabase::default(), (first..=ENOUGH).step_by(parts));
}

/// The same for a restore of a table.
fn restore_table(first: usize, parts: usize) {
    run_points("restore of a table", 0, RestoreTable::default(), (first..=ENOUGH).step_by(parts));
}

#[test]
fn a_backup_survives_a_crash_after_effects_1_4_7() {
    backup(1, 3);
}

#[test]
fn a_backup_survives_a_crash_after_effects_2_5_8() {
    backup(2, 3);
}

#[test]
fn a_backup_survives_a_crash_after_effects_3_6_9() {
    backup(3, 3);
}

#[test]
fn a_restore_survives_a_crash_after_effects_1_5_9() {
    restore(1, 4);
}

#[test]
fn a_restore_survives_a_crash_after_effects_2_6_10() {
    restore(2, 4);
}

#[test]
fn a_restore_survives_a_crash_after_effects_3_7_11() {
    restore(3, 4);
}

#[test]
fn a_restore_survives_a_crash_after_effects_4_8_12() {
    restore(4, 4);
}

#[test]
fn a_restore_of_a_database_survives_a_crash_after_effects_1_5_9() {
    restore_database(1, 4);
}

#[test]
fn a_restore_of_a_database_survives_a_crash_after_effects_2_6_10() {
    restore_database(2, 4);
}

#[test]
fn a_restore_of_a_database_survives_a_crash_after_effects_3_7_11() {
    restore_database(3, 4);
}

#[test]
fn a_restore_of_a_database_survives_a_crash_after_effects_4_8_12() {
    restore_database(4, 4);
}

#[test]
fn a_restore_of_a_table_survives_a_crash_after_effects_1_5_9() {
    restore_table(1, 4);
}

#[test]
fn a_restore_of_a_table_survives_a_crash_after_effects_2_6_10() {
    restore_table(2, 4);
}

#[test]
fn a_restore_of_a_table_survives_a_crash_after_effects_3_7_11() {
    restore_table(3, 4);
}

#[test]
fn a_restore_of_a_table_survives_a_crash_after_effects_4_8_12() {
    restore_table(4, 4);
}
