//! Clones that are interrupted by a crash: of the present of a running and of a suspended cluster, and of a backup. The
//! flows are long, so several tests share their effects.

use super::{ENOUGH, Flow, NEVER, run_points, suspended};
use crate::{
    backups::shared::{HOUR, objects, take_backup},
    restores::restores,
    support::{PASSWORD, id, sql_user},
};
use ootheca_testkit::{Answer, Lost, Ootheca, ServerBuilder, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const CREATE: &str = "CREATE TABLE kept AS SELECT 0 AS n; ALTER TABLE kept OWNER TO admin";
/// Changes the result of [`ROWS`] each time that it runs.
const MASK: &str = "UPDATE kept SET n = n + 100";
const ROWS: &str = "SELECT string_agg(n::text, ',') FROM kept";

/// What is cloned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Running,
    Suspended,
    Backup,
}

/// A clone with a masking script. Each run has another one.
struct CreateClone {
    origin: Origin,
    /// The number of the run.
    number: usize,
    source: String,
    /// The members of `restore_from` that name the origin.
    from: Value,
    /// The objects of the source in the repository.
    objects: BTreeSet<String>,
}

impl CreateClone {
    fn of(origin: Origin) -> Self {
        Self { origin, number: 0, source: String::new(), from: Value::Null, objects: BTreeSet::new() }
    }

    fn create_source(&mut self, server: &Ootheca) {
        let plan = if self.origin == Origin::Suspended { "BASIC" } else { "STANDARD" };
        self.source = id(&server.create_cluster("crash-source", plan));
        sql_user(server, &self.source, "prober");
        run(server, &self.source, CREATE);
        self.from = match self.origin {
            Origin::Running | Origin::Suspended => json!({ "source_cluster_id": self.source }),
            Origin::Backup => json!({ "backup_id": take_backup(server, &self.source, HOUR)["id"] }),
        };
    }

    /// The active clusters besides the source.
    fn clones(&self, server: &Ootheca) -> Vec<Value> {
        let list = server.get("/clusters");
        let clusters = list.ok()["clusters"].as_array().expect("a list").iter();
        clusters.filter(|cluster| id(cluster) != self.source).cloned().collect()
    }

    fn name(&self) -> String {
        format!("crash-clone-{}", self.number)
    }
}

#[track_caller]
fn run(server: &Ootheca, cluster: &str, sql: &str) -> String {
    server.psql(cluster, "prober", PASSWORD, sql).ok().to_owned()
}

impl Flow for CreateClone {
    fn prepare(&mut self, server: &Ootheca) {
        if self.number == 0 {
            self.create_source(server);
        }
        for clone in self.clones(server) {
            server.delete(&format!("/clusters/{}", id(&clone))).ok();
        }
        self.number += 1;
        match self.origin {
            Origin::Running => {}
            Origin::Suspended => eventually("the source is suspended", || {
                suspended(server, &self.source).expect("it answers").then_some(())
            }),
            Origin::Backup => {
                // None is due after it, so that none begins before the server is to be killed.
                take_backup(server, &self.source, HOUR);
                self.objects = objects(server, &self.source);
            }
        }
    }

    fn act(&self, server: &Ootheca) -> Result<Answer, Lost> {
        let mut from = self.from.clone();
        from["masking_sql"] = MASK.into();
        let body = json!({ "name": self.name(), "restore_from": from });
        server.request("POST", "/clusters").json(&body).try_send()
    }

    fn check(&self, server: &Ootheca, acknowledged: Option<&Answer>) {
        let clones = self.clones(server);
        if let Some(answer) = acknowledged {
            let ids: Vec<String> = clones.iter().map(id).collect();
            assert_eq!(ids, [answer.text("/id")], "acknowledged, so it exists");
        }
        assert!(clones.len() <= 1, "{clones:#?}");
        for clone in &clones {
            assert_eq!(clone["name"], self.name());
            let restores = restores(server, &id(clone));
            assert!(restores.len() == 1 && restores[0]["status"] == "SUCCESS", "{restores:#?}");
            assert_eq!(run(server, &id(clone), ROWS), "100", "it is complete, and was masked once");
        }
        let all = server.get("/clusters?show_inactive=true");
        let mut all = all.ok()["clusters"].as_array().expect("a list").iter();
        assert!(all.all(|cluster| cluster["state"] != "CREATION_FAILED"), "a crash is no failure");
        if self.origin == Origin::Backup {
            assert_eq!(objects(server, &self.source), self.objects);
        }
        assert_eq!(run(server, &self.source, ROWS), "0", "the source is unchanged");
    }

    fn entry(&self) -> Option<(&'static str, String)> {
        Some(("_CREATE_CLUSTER", format!("\"{}\"", self.name())))
    }

    fn idle_seconds(&self) -> (&'static str, &'static str) {
        if self.origin == Origin::Suspended { (NEVER, "1") } else { (NEVER, NEVER) }
    }

    fn launch(&self, launch: ServerBuilder) -> ServerBuilder {
        if self.origin == Origin::Backup { launch.backups() } else { launch }
    }
}

/// Kills the server after each fourth effect of a clone, beginning with effect number `first`.
fn survive(what: &str, origin: Origin, first: usize) {
    run_points(what, 0, CreateClone::of(origin), (first..=ENOUGH).step_by(4));
}

fn clone_running(first: usize) {
    survive("clone of a running cluster", Origin::Running, first);
}

fn clone_suspended(first: usize) {
    survive("clone of a suspended cluster", Origin::Suspended, first);
}

fn clone_backup(first: usize) {
    survive("clone of a backup", Origin::Backup, first);
}

#[test]
fn a_clone_of_a_running_cluster_survives_a_crash_after_effects_1_5_9() {
    clone_running(1);
}

#[test]
fn a_clone_of_a_running_cluster_survives_a_crash_after_effects_2_6_10() {
    clone_running(2);
}

#[test]
fn a_clone_of_a_running_cluster_survives_a_crash_after_effects_3_7_11() {
    clone_running(3);
}

#[test]
fn a_clone_of_a_running_cluster_survives_a_crash_after_effects_4_8_12() {
    clone_running(4);
}

#[test]
fn a_clone_of_a_suspended_cluster_survives_a_crash_after_effects_1_5_9() {
    clone_suspended(1);
}

#[test]
fn a_clone_of_a_suspended_cluster_survives_a_crash_after_effects_2_6_10() {
    clone_suspended(2);
}

#[test]
fn a_clone_of_a_suspended_cluster_survives_a_crash_after_effects_3_7_11() {
    clone_suspended(3);
}

#[test]
fn a_clone_of_a_suspended_cluster_survives_a_crash_after_effects_4_8_12() {
    clone_suspended(4);
}

#[test]
fn a_clone_of_a_backup_survives_a_crash_after_effects_1_5_9() {
    clone_backup(1);
}

#[test]
fn a_clone_of_a_backup_survives_a_crash_after_effects_2_6_10() {
    clone_backup(2);
}

#[test]
fn a_clone_of_a_backup_survives_a_crash_after_effects_3_7_11() {
    clone_backup(3);
}

#[test]
fn a_clone_of_a_backup_survives_a_crash_after_effects_4_8_12() {
    clone_backup(4);
}
