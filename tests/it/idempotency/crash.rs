//! The server is killed after each of its side effects, also between the commit and the response. A repeated
//! request with the same key gets the response, and the change was made once.

use super::{HEADER, column};
use crate::support::{PASSWORD, PROGRAM, audit_log, id};
use ootheca_testkit::{Answer, Lost, Ootheca, ServerBuilder};
use serde_json::{Value, json};
use std::time::Duration;

const VARIABLE: &str = "OOTHECA_CRASH_AFTER_EFFECT";
/// More side effects than any of these changes has.
const ENOUGH: usize = 20;

/// A change: its request in each round, and how often it was made.
struct Flow {
    action: &'static str,
    ask: fn(&str, usize) -> (&'static str, String, Value),
    made: fn(&Ootheca, &str, usize) -> usize,
    prepare: fn(&Ootheca, &str, usize),
}

impl Flow {
    fn send(&self, server: &Ootheca, cluster: &str, round: usize) -> Result<Answer, Lost> {
        let (method, path, body) = (self.ask)(cluster, round);
        let request = server.request(method, &path).header(HEADER, &format!("round-{round}"));
        if body.is_null() { request.try_send() } else { request.json(&body).try_send() }
    }

    fn run(&self) {
        let mut server = ServerBuilder::new(PROGRAM).boot();
        let cluster = id(&server.create_cluster("crash-keys", "STANDARD"));
        for round in 1..=ENOUGH {
            (self.prepare)(&server, &cluster, round);
            let before = self.entries(&server).len();
            server.kill();
            server.relaunch(|launch| launch.env(VARIABLE, &round.to_string()));
            let started = server.try_start().is_ok();
            let first = if started { self.send(&server, &cluster, round).ok() } else { None };
            if first.is_some() && server.runs() {
                server.kill();
            } else if started {
                server.wait(Duration::from_secs(10));
            }
            server.relaunch(|launch| launch.without_env(VARIABLE));
            server.start();
            let again = self.send(&server, &cluster, round).expect("an answer");
            again.ok();
            self.check(&server, &cluster, round, before, first.as_ref(), &again);
            if first.is_some() {
                println!("idempotency: {}: {} kill points tried", self.action, round - 1);
                assert!(round > 1, "it was killed at least once");
                return;
            }
        }
        panic!("{}: more than {ENOUGH} effects", self.action);
    }

    fn check(
        &self,
        server: &Ootheca,
        cluster: &str,
        round: usize,
        before: usize,
        first: Option<&Answer>,
        again: &Answer,
    ) {
        assert_eq!((self.made)(server, cluster, round), 1, "{}: round {round}: {again}", self.action);
        let entries = self.entries(server);
        assert_eq!(entries.len(), before + 1, "{}: round {round}: {entries:#?}", self.action);
        let entry = entries.last().expect("one");
        assert!(entry.get("error").is_none_or(Value::is_null), "{}: round {round}: {entry:#}", self.action);
        assert_eq!(entry["trace_id"].as_str(), again.header("cc-trace-id"), "{again}");
        if let Some(first) = first {
            super::same(first, again);
        }
        super::same(again, &self.send(server, cluster, round).expect("an answer"));
    }

    fn entries(&self, server: &Ootheca) -> Vec<Value> {
        let ours = |entry: &Value| entry["action"].as_str().is_some_and(|found| found.ends_with(self.action));
        audit_log(server).into_iter().filter(ours).collect()
    }
}

fn count(list: &Value, member: &str, name: &str) -> usize {
    column(list, member).iter().filter(|known| *known == name).count()
}

fn nothing(_: &Ootheca, _: &str, _: usize) {}

#[test]
fn an_immediate_reply() {
    Flow {
        action: "_CREATE_SERVICE_ACCOUNT",
        ask: |_, round| ("POST", "/service-accounts".to_owned(), json!({ "name": format!("robot-{round}") })),
        made: |server, _, round| {
            let list = server.get("/service-accounts");
            count(&list.ok()["service_accounts"], "name", &format!("robot-{round}"))
        },
        prepare: nothing,
    }
    .run();
}

#[test]
fn a_pending_reply() {
    Flow {
        action: "_CREATE_CLUSTER",
        ask: |_, round| {
            let limits = json!({ "provisioned_virtual_cpus": "2" });
            let serverless = json!({ "regions": ["us-central1"], "usage_limits": limits });
            let spec = json!({ "plan": "STANDARD", "serverless": serverless });
            let body = json!({ "name": format!("cluster-{round}"), "provider": "GCP", "spec": spec });
            ("POST", "/clusters".to_owned(), body)
        },
        made: |server, _, round| {
            count(&server.get("/clusters").ok()["clusters"], "name", &format!("cluster-{round}"))
        },
        prepare: nothing,
    }
    .run();
}

#[test]
fn creation_of_a_user_inside_a_cluster() {
    Flow {
        action: "_CREATE_SQL_USER",
        ask: |cluster, round| {
            let body = json!({ "name": format!("user-{round}"), "password": PASSWORD });
            ("POST", format!("/clusters/{cluster}/sql-users"), body)
        },
        made: |server, cluster, round| {
            let list = server.get(&format!("/clusters/{cluster}/sql-users"));
            count(&list.ok()["users"], "name", &format!("user-{round}"))
        },
        prepare: nothing,
    }
    .run();
}

#[test]
fn renaming_of_a_database_inside_a_cluster() {
    Flow {
        action: "_UPDATE_CLUSTER",
        ask: |cluster, round| {
            let path = format!("/clusters/{cluster}/databases/before-{round}");
            ("PATCH", path, json!({ "new_name": format!("after-{round}") }))
        },
        made: |server, cluster, round| {
            let list = server.get(&format!("/clusters/{cluster}/databases"));
            let found = |name: String| count(&list.ok()["databases"], "name", &name);
            assert_eq!(found(format!("before-{round}")), 0);
            found(format!("after-{round}"))
        },
        prepare: |server, cluster, round| {
            let body = json!({ "name": format!("before-{round}") });
            server.post(&format!("/clusters/{cluster}/databases"), body).ok();
        },
    }
    .run();
}

#[test]
fn deletion_of_a_user_inside_a_cluster() {
    Flow {
        action: "_DELETE_SQL_USER",
        ask: |cluster, round| ("DELETE", format!("/clusters/{cluster}/sql-users/user-{round}"), Value::Null),
        made: |server, cluster, round| {
            let list = server.get(&format!("/clusters/{cluster}/sql-users"));
            1 - count(&list.ok()["users"], "name", &format!("user-{round}"))
        },
        prepare: |server, cluster, round| {
            let body = json!({ "name": format!("user-{round}"), "password": PASSWORD });
            server.post(&format!("/clusters/{cluster}/sql-users"), body).ok();
        },
    }
    .run();
}
