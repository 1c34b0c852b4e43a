//! Changes of what a cluster contains that are interrupted by a crash after each of their side effects in the cluster.

use super::{Flow, flows::Round, run_effects};
use crate::support::{PASSWORD, column, id, sql_user};
use ootheca_testkit::{Answer, Lost, Ootheca};
use serde_json::json;

const NEW_PASSWORD: &str = "another horse battery";

impl Round {
    /// Begins a round. Creates the cluster and a user for the checks in the first one.
    fn begin(&mut self, server: &Ootheca, name: &str) {
        if self.number == 0 {
            self.cluster = id(&server.create_cluster(name, "BASIC"));
            sql_user(server, &self.cluster, "prober");
        }
        self.number += 1;
    }

    /// The user that is changed in this round.
    fn user(&self) -> String {
        format!("user-{}", self.number)
    }

    fn user_path(&self) -> String {
        format!("{}/sql-users/{}", self.path(), self.user())
    }

    #[track_caller]
    fn probe(&self, server: &Ootheca, sql: &str) -> String {
        server.psql(&self.cluster, "prober", PASSWORD, sql).ok().to_owned()
    }

    /// Whether the user can log in with a password.
    fn logs_in(&self, server: &Ootheca, password: &str) -> bool {
        let spoken = server.psql(&self.cluster, &self.user(), password, "SELECT 1");
        if !spoken.success {
            spoken.fails("authentication failed");
        }
        spoken.success
    }
}

#[derive(Default)]
struct ChangePassword(Round);

impl Flow for ChangePassword {
    fn prepare(&mut self, server: &Ootheca) {
        self.0.begin(server, "crash-password");
        sql_user(server, &self.0.cluster, &self.0.user());
    }

    fn act(&self, server: &Ootheca) -> Result<Answer, Lost> {
        let path = format!("{}/password", self.0.user_path());
        server.request("PUT", &path).json(&json!({ "password": NEW_PASSWORD })).try_send()
    }

    fn check(&self, server: &Ootheca, acknowledged: Option<&Answer>) {
        let changed = self.0.logs_in(server, NEW_PASSWORD);
        assert!(changed || acknowledged.is_none(), "acknowledged, so it is applied");
        assert_ne!(self.0.logs_in(server, PASSWORD), changed, "exactly one password is valid");
    }

    fn entry(&self) -> Option<(&'static str, String)> {
        Some(("_CHANGE_SQL_USER_PASSWORD", format!("\"{}\"", self.0.user())))
    }
}

/// Deletes a user who owns a table and a database.
#[derive(Default)]
struct DeleteUser(Round);

impl DeleteUser {
    fn table(&self) -> String {
        format!("owned_{}", self.0.number)
    }

    fn database(&self) -> String {
        format!("base_{}", self.0.number)
    }

    fn users(&self, server: &Ootheca) -> Vec<String> {
        column(&server.get(&format!("{}/sql-users", self.0.path())).ok()["users"], "name")
    }
}

impl Flow for DeleteUser {
    fn prepare(&mut self, server: &Ootheca) {
        if self.0.number > 0 && self.users(server).contains(&self.0.user()) {
            // A deletion that was interrupted can be repeated.
            server.delete(&self.0.user_path()).ok();
        }
        self.0.begin(server, "crash-owner");
        let (cluster, user) = (&self.0.cluster, self.0.user());
        sql_user(server, cluster, &user);
        let table = format!("CREATE TABLE {} AS SELECT 7 AS n", self.table());
        server.psql(cluster, &user, PASSWORD, &table).ok();
        server.psql(cluster, &user, PASSWORD, &format!("CREATE DATABASE {}", self.database())).ok();
    }

    fn act(&self, server: &Ootheca) -> Result<Answer, Lost> {
        server.request("DELETE", &self.0.user_path()).try_send()
    }

    fn check(&self, server: &Ootheca, acknowledged: Option<&Answer>) {
        let there = self.users(server).contains(&self.0.user());
        assert!(!there || acknowledged.is_none(), "acknowledged, so it is deleted");
        assert_eq!(self.0.logs_in(server, PASSWORD), there);
        assert_eq!(self.0.probe(server, &format!("SELECT n FROM {}", self.table())), "7", "its data is kept");
        let owners = format!(
            "SELECT relowner::regrole, datdba::regrole FROM pg_class, pg_database \
             WHERE relname = '{}' AND datname = '{}'",
            self.table(),
            self.database()
        );
        let owners = self.0.probe(server, &owners);
        let known = ["admin".to_owned(), format!("\"{}\"", self.0.user())];
        let valid = |owner: &str| owner == known[0] || (there && owner == known[1]);
        assert!(owners.split('|').all(valid), "{owners}");
    }

    fn entry(&self) -> Option<(&'static str, String)> {
        Some(("_DELETE_SQL_USER", format!("\"{}\"", self.0.user())))
    }
}

#[derive(Default)]
struct CreateDatabase(Round);

impl CreateDatabase {
    fn name(&self) -> String {
        format!("base-{}", self.0.number)
    }
}

impl Flow for CreateDatabase {
    fn prepare(&mut self, server: &Ootheca) {
        self.0.begin(server, "crash-database");
    }

    fn act(&self, server: &Ootheca) -> Result<Answer, Lost> {
        let path = format!("{}/databases", self.0.path());
        server.request("POST", &path).json(&json!({ "name": self.name() })).try_send()
    }

    fn check(&self, server: &Ootheca, acknowledged: Option<&Answer>) {
        let list = server.get(&format!("{}/databases", self.0.path()));
        let there = column(&list.ok()["databases"], "name").contains(&self.name());
        assert!(there || acknowledged.is_none(), "acknowledged, so it exists");
        let string = server.connection_string(&self.0.cluster, "prober");
        let string = string.replace("/defaultdb", &format!("/{}", self.name()));
        let spoken = server.psql_at(&string, PASSWORD, "CREATE TABLE t AS SELECT 7 AS n; SELECT n FROM t");
        if !there {
            spoken.fails("does not exist");
            return;
        }
        assert!(spoken.ok().ends_with('7'), "it can be used: {spoken:?}");
        let owner = format!("SELECT datdba::regrole FROM pg_database WHERE datname = '{}'", self.name());
        assert_eq!(self.0.probe(server, &owner), "admin");
    }

    fn entry(&self) -> Option<(&'static str, String)> {
        Some(("_UPDATE_CLUSTER", format!("\"{}\"", self.name())))
    }
}

#[test]
fn a_change_of_a_password_survives_a_crash() {
    run_effects("change password", ChangePassword::default(), &["password changed"]);
}

#[test]
fn a_deletion_of_a_user_survives_a_crash() {
    let effects = ["objects given to admin", "databases given to admin", "SQL user dropped"];
    run_effects("delete SQL user", DeleteUser::default(), &effects);
}

#[test]
fn a_creation_of_a_database_survives_a_crash() {
    run_effects("create database", CreateDatabase::default(), &["database created"]);
}
