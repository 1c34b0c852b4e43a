//! The four changes that are cut short.

use super::{Flow, clear, run};
use crate::support::{PASSWORD, column, id, sql_user};
use ootheca_testkit::{Answer, Lost, Ootheca};
use serde_json::json;

/// The cluster that a flow works on, made anew for each run or kept.
#[derive(Default)]
struct Round {
    number: usize,
    cluster: String,
}

impl Round {
    fn path(&self) -> String {
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
        let spec = json!({ "plan": "STANDARD", "serverless": { "regions": ["us-central1"] } });
        let body = json!({ "name": self.name(), "provider": "GCP", "spec": spec });
        server.request("POST", "/clusters").json(&body).try_send()
    }

    fn check(&self, server: &Ootheca, acknowledged: Option<&Answer>) {
        let list = server.get("/clusters");
        let clusters = list.ok()["clusters"].as_array().expect("a list").clone();
        if let Some(answer) = acknowledged {
            assert_eq!(column(&json!(clusters), "id"), [answer.text("/id")], "acknowledged, so it is there");
        }
        for cluster in clusters {
            sql_user(server, &id(&cluster), "prober");
            assert_eq!(server.psql(&id(&cluster), "prober", PASSWORD, "SELECT 1").ok(), "1");
        }
    }

    fn entry(&self) -> (&'static str, String) {
        ("_CREATE_CLUSTER", format!("\"{}\"", self.name()))
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
            assert_eq!(cpus, self.cpus(), "acknowledged, so it holds");
        }
        let pid = server.postmaster(&self.0.cluster);
        if let Some(millis) = ootheca_testkit::processes::cpu_limit(pid) {
            assert_eq!(millis.to_string(), format!("{cpus}000"), "what the API says is what runs");
        }
        assert_eq!(server.psql(&self.0.cluster, "prober", PASSWORD, "SELECT 1").ok(), "1");
    }

    fn entry(&self) -> (&'static str, String) {
        ("_UPDATE_CLUSTER", format!("\"provisioned_virtual_cpus\":\"{}\"", self.cpus()))
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
        assert!(there || acknowledged.is_none(), "acknowledged, so it is there: {users:?}");
        let member = "SELECT pg_has_role('admin', 'member')";
        let spoken = server.psql(&self.0.cluster, &self.name(), PASSWORD, member);
        if there {
            assert_eq!(spoken.ok(), "t", "it is whole");
        } else {
            spoken.fails("authentication failed");
        }
    }

    fn entry(&self) -> (&'static str, String) {
        ("_CREATE_SQL_USER", format!("\"{}\"", self.name()))
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
        assert!(state == "DELETED" || acknowledged.is_none(), "acknowledged, so it holds: {state}");
        if state == "DELETED" {
            let rows = server.instances();
            assert!(rows.iter().all(|row| row["cluster"] != self.0.cluster.as_str()), "{rows:?}");
        } else {
            assert_eq!(server.psql(&self.0.cluster, "prober", PASSWORD, "SELECT 1").ok(), "1");
        }
    }

    fn entry(&self) -> (&'static str, String) {
        ("_DELETE_CLUSTER", self.0.cluster.clone())
    }
}

#[test]
fn a_creation_cut_short() {
    run("create from a spare", 1, Create::default());
}

#[test]
fn a_creation_without_spares_cut_short() {
    run("create from the template", 0, Create::default());
}

#[test]
fn a_change_cut_short() {
    run("patch", 1, Patch::default());
}

#[test]
fn a_user_creation_cut_short() {
    run("create SQL user", 0, CreateUser::default());
}

#[test]
fn a_deletion_cut_short() {
    run("delete", 1, Delete::default());
}
