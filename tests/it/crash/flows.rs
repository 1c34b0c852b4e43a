//! The changes that are interrupted by a crash.

use super::{ENOUGH, Flow, NEVER, clear, run, run_points, suspended};
use crate::{
    sql_names::{at, databases, furnish, with_name},
    support::{PASSWORD, column, id, sql_user},
};
use ootheca_model::hex;
use ootheca_testkit::{Answer, Lost, Ootheca, eventually};
use serde_json::json;

/// The cluster that a flow uses, created for each run or kept.
#[derive(Default)]
pub(super) struct Round {
    pub(super) number: usize,
    pub(super) cluster: String,
}

impl Round {
    pub(super) fn path(&self) -> String {
        format!("/clusters/{}", self.cluster)
    }
}

#[derive(Default)]
struct Create(Round);

impl Create {
    fn name(&self) -> String {
        format!("crash-create-{}", self.0.number)
    }
}

impl Flow for Create {
    fn prepare(&mut self, server: &Ootheca) {
        clear(server);
        self.0.number += 1;
    }

    fn act(&self, server: &Ootheca) -> Result<Answer, Lost> {
        let limits = json!({ "provisioned_virtual_cpus": "2" });
        let serverless = json!({ "regions": ["us-central1"], "usage_limits": limits });
        let spec = json!({ "plan": "STANDARD", "serverless": serverless });
        let body = json!({ "name": self.name(), "provider": "GCP", "spec": spec });
        server.request("POST", "/clusters").json(&body).try_send()
    }

    fn check(&self, server: &Ootheca, acknowledged: Option<&Answer>) {
        let list = server.get("/clusters");
        let clusters = list.ok()["clusters"].as_array().expect("a list").clone();
        if let Some(answer) = acknowledged {
            assert_eq!(column(&json!(clusters), "id"), [answer.text("/id")], "acknowledged, so it exists");
        }
        for cluster in clusters {
            sql_user(server, &id(&cluster), "prober");
            assert_eq!(server.psql(&id(&cluster), "prober", PASSWORD, "SELECT 1").ok(), "1");
        }
    }

    fn entry(&self) -> Option<(&'static str, String)> {
        Some(("_CREATE_CLUSTER", format!("\"{}\"", self.name())))
    }
}

#[derive(Default)]
struct Patch(Round);

impl Patch {
    fn cpus(&self) -> String {
        (2 + self.0.number).to_string()
    }
}

impl Flow for Patch {
    fn prepare(&mut self, server: &Ootheca) {
        if self.0.number == 0 {
            self.0.cluster = id(&server.create_cluster("crash-patch", "STANDARD"));
            sql_user(server, &self.0.cluster, "prober");
        }
        self.0.number += 1;
    }

    fn act(&self, server: &Ootheca) -> Result<Answer, Lost> {
        let body = json!({ "serverless": { "usage_limits": { "provisioned_virtual_cpus": self.cpus() } } });
        server.request("PATCH", &self.0.path()).json(&body).try_send()
    }

    fn check(&self, server: &Ootheca, acknowledged: Option<&Answer>) {
        let cpus =
            server.get(&self.0.path()).text("/config/serverless/usage_limits/provisioned_virtual_cpus");
        if acknowledged.is_some() {
            assert_eq!(cpus, self.cpus(), "acknowledged, so it is applied");
        }
        let pid = server.postmaster(&self.0.cluster);
        if let Some(millis) = ootheca_testkit::processes::cpu_limit(pid) {
            assert_eq!(millis.to_string(), format!("{cpus}000"), "the API shows the running processes");
        }
        assert_eq!(server.psql(&self.0.cluster, "prober", PASSWORD, "SELECT 1").ok(), "1");
    }

    fn entry(&self) -> Option<(&'static str, String)> {
        Some(("_UPDATE_CLUSTER", format!("\"provisioned_virtual_cpus\":\"{}\"", self.cpus())))
    }
}

#[derive(Default)]
struct CreateUser(Round);

impl CreateUser {
    fn name(&self) -> String {
        format!("user-{}", self.0.number)
    }
}

impl Flow for CreateUser {
    fn prepare(&mut self, server: &Ootheca) {
        if self.0.number == 0 {
            self.0.cluster = id(&server.create_cluster("crash-users", "BASIC"));
        }
        self.0.number += 1;
    }

    fn act(&self, server: &Ootheca) -> Result<Answer, Lost> {
        let body = json!({ "name": self.name(), "password": PASSWORD });
        server.request("POST", &format!("{}/sql-users", self.0.path())).json(&body).try_send()
    }

    fn check(&self, server: &Ootheca, acknowledged: Option<&Answer>) {
        let users = column(&server.get(&format!("{}/sql-users", self.0.path())).ok()["users"], "name");
        let there = users.contains(&self.name());
        assert!(there || acknowledged.is_none(), "acknowledged, so it exists: {users:?}");
        let member = "SELECT pg_has_role('admin', 'member')";
        let spoken = server.psql(&self.0.cluster, &self.name(), PASSWORD, member);
        if there {
            assert_eq!(spoken.ok(), "t", "the data is complete");
        } else {
            spoken.fails("authentication failed");
        }
    }

    fn entry(&self) -> Option<(&'static str, String)> {
        Some(("_CREATE_SQL_USER", format!("\"{}\"", self.name())))
    }
}

#[derive(Default)]
struct Delete(Round);

impl Flow for Delete {
    fn prepare(&mut self, server: &Ootheca) {
        clear(server);
        self.0.number += 1;
        self.0.cluster = id(&server.create_cluster(&format!("crash-delete-{}", self.0.number), "BASIC"));
        sql_user(server, &self.0.cluster, "prober");
    }

    fn act(&self, server: &Ootheca) -> Result<Answer, Lost> {
        server.request("DELETE", &self.0.path()).try_send()
    }

    fn check(&self, server: &Ootheca, acknowledged: Option<&Answer>) {
        let state = server.get(&self.0.path()).text("/state");
        assert!(state == "DELETED" || acknowledged.is_none(), "acknowledged, so it is applied: {state}");
        if state == "DELETED" {
            let rows = server.instances();
            assert!(rows.iter().all(|row| row["cluster"] != self.0.cluster.as_str()), "{rows:?}");
        } else {
            assert_eq!(server.psql(&self.0.cluster, "prober", PASSWORD, "SELECT 1").ok(), "1");
        }
    }

    fn entry(&self) -> Option<(&'static str, String)> {
        Some(("_DELETE_CLUSTER", self.0.cluster.clone()))
    }
}

/// Deletes a database whose name is not UTF-8, which takes more than one step.
#[derive(Default)]
struct DeleteDatabase(Round);

impl DeleteDatabase {
    fn name(&self) -> String {
        format!(r"bad{}\xff", self.0.number)
    }

    /// The databases that a test created or that a killed server left.
    fn others(&self, server: &Ootheca) -> Vec<String> {
        let all = databases(server, &self.0.cluster).into_iter();
        all.filter(|name| !["ascii", "defaultdb"].contains(&name.as_str())).collect()
    }
}

impl Flow for DeleteDatabase {
    fn prepare(&mut self, server: &Ootheca) {
        if self.0.number == 0 {
            self.0.cluster = furnish(server, "BASIC");
        }
        for left in self.others(server) {
            server.delete(&at(&self.0.cluster, "databases", &left)).ok();
        }
        assert!(self.others(server).is_empty(), "everything that a crash has left can be deleted");
        self.0.number += 1;
        server.psql(&self.0.cluster, "keeper", PASSWORD, "CREATE DATABASE plain").ok();
        let name = hex::encode(format!("bad{}", self.0.number).as_bytes());
        with_name(server, &self.0.cluster, "ALTER DATABASE plain RENAME TO %I", &format!(r"\x{name}ff"));
        assert_eq!(self.others(server), [self.name()]);
    }

    fn act(&self, server: &Ootheca) -> Result<Answer, Lost> {
        server.request("DELETE", &at(&self.0.cluster, "databases", &self.name())).try_send()
    }

    fn check(&self, server: &Ootheca, acknowledged: Option<&Answer>) {
        let left = self.others(server);
        assert!(left.is_empty() || acknowledged.is_none(), "acknowledged, so it is deleted: {left:?}");
        assert!(left.len() <= 1, "{left:?}");
    }

    fn entry(&self) -> Option<(&'static str, String)> {
        Some(("_UPDATE_CLUSTER", format!(r"bad{}\\xff", self.0.number)))
    }
}

const KEPT: &str = "SELECT string_agg(n::text, ',') FROM kept";

impl Round {
    /// Creates a cluster that scales to zero, with a row in a table.
    fn sleeper(&mut self, server: &Ootheca, name: &str) {
        if self.number == 0 {
            self.cluster = id(&server.create_cluster(name, "BASIC"));
            sql_user(server, &self.cluster, "prober");
            let create = "CREATE TABLE kept AS SELECT 7 AS n";
            server.psql(&self.cluster, "prober", PASSWORD, create).ok();
        }
        self.number += 1;
    }

    /// Checks that the cluster has one server and all its data, whether it is suspended or not.
    fn answers(&self, server: &Ootheca) {
        let ours = |row: &&serde_json::Value| row["cluster"] == self.cluster.as_str();
        assert_eq!(server.instances().iter().filter(ours).count(), 1);
        assert_eq!(server.psql(&self.cluster, "prober", PASSWORD, KEPT).ok(), "7");
    }
}

#[derive(Default)]
struct Suspend(Round);

impl Flow for Suspend {
    fn prepare(&mut self, server: &Ootheca) {
        self.0.sleeper(server, "crash-suspend");
        // This resumes the cluster, if the previous run has suspended it.
        self.0.answers(server);
    }

    fn act(&self, server: &Ootheca) -> Result<Answer, Lost> {
        eventually("the cluster is suspended, or the server is killed", || {
            match suspended(server, &self.0.cluster) {
                Ok(false) => None,
                Ok(true) => Some(server.request("GET", &self.0.path()).try_send()),
                Err(lost) => Some(Err(lost)),
            }
        })
    }

    fn check(&self, server: &Ootheca, acknowledged: Option<&Answer>) {
        let asleep = suspended(server, &self.0.cluster).expect("it answers");
        assert!(asleep || acknowledged.is_none(), "written data is kept");
        self.0.answers(server);
        assert!(!suspended(server, &self.0.cluster).expect("it answers"));
    }

    fn entry(&self) -> Option<(&'static str, String)> {
        None
    }

    fn idle_seconds(&self) -> (&'static str, &'static str) {
        ("1", NEVER)
    }
}

#[derive(Default)]
struct Wake(Round);

impl Wake {
    fn name(&self) -> String {
        format!("waker-{}", self.0.number)
    }
}

impl Flow for Wake {
    fn prepare(&mut self, server: &Ootheca) {
        self.0.sleeper(server, "crash-wake");
        eventually("it is suspended", || {
            suspended(server, &self.0.cluster).expect("it answers").then_some(())
        });
    }

    fn act(&self, server: &Ootheca) -> Result<Answer, Lost> {
        let body = json!({ "name": self.name(), "password": PASSWORD });
        server.request("POST", &format!("{}/sql-users", self.0.path())).json(&body).try_send()
    }

    fn check(&self, server: &Ootheca, acknowledged: Option<&Answer>) {
        let users = column(&server.get(&format!("{}/sql-users", self.0.path())).ok()["users"], "name");
        let named = users.iter().filter(|user| **user == self.name()).count();
        assert!(named == 1 || (named == 0 && acknowledged.is_none()), "{users:?}");
        self.0.answers(server);
    }

    fn entry(&self) -> Option<(&'static str, String)> {
        Some(("_CREATE_SQL_USER", format!("\"{}\"", self.name())))
    }

    fn idle_seconds(&self) -> (&'static str, &'static str) {
        (NEVER, "1")
    }
}

#[test]
fn a_suspension_survives_a_crash() {
    run("suspend", 0, Suspend::default());
}

#[test]
fn a_resumption_survives_a_crash_after_an_odd_effect() {
    run_points("wake", 0, Wake::default(), (1..=ENOUGH).step_by(2));
}

#[test]
fn a_resumption_survives_a_crash_after_an_even_effect() {
    run_points("wake", 0, Wake::default(), (2..=ENOUGH).step_by(2));
}

#[test]
fn a_creation_survives_a_crash() {
    run("create from a spare", 1, Create::default());
}

#[test]
fn a_creation_without_spares_survives_a_crash() {
    run("create from the template", 0, Create::default());
}

#[test]
fn a_change_survives_a_crash() {
    run("patch", 1, Patch::default());
}

#[test]
fn a_user_creation_survives_a_crash() {
    run("create SQL user", 0, CreateUser::default());
}

#[test]
fn a_deletion_of_a_database_survives_a_crash() {
    run("delete database", 0, DeleteDatabase::default());
}

#[test]
fn a_deletion_survives_a_crash() {
    run("delete", 1, Delete::default());
}
