//! The backup configuration of clusters, and in the modules the backups themselves.

mod bucket;
mod disabled;
pub(crate) mod faults;
pub(crate) mod lists;
mod retention;
pub(crate) mod shared;
mod taken;
mod verify;

use crate::support::{PASSWORD, PROGRAM, advance, audit_log, id, real, simulated, sql_user};
use ootheca_testkit::{Ootheca, ServerBuilder};
use serde_json::{Value, json};

/// The time after which a cluster can be changed back to STANDARD, in seconds.
const STANDARD_PAUSE: i64 = 48 * 3600;

const RETENTION_IS_SET: &str =
    "cluster already has a retention policy set, open a support ticket to change it";

fn configuration(enabled: bool, frequency: i32, retention: i32) -> Value {
    json!({ "enabled": enabled, "frequency_minutes": frequency, "retention_days": retention })
}

/// Creates a cluster, and returns its path and the one of its configuration.
fn create(server: &Ootheca, plan: &str) -> (String, String) {
    let cluster = format!("/clusters/{}", id(&server.create_cluster("some-cluster", plan)));
    let path = format!("{cluster}/backups-config");
    (cluster, path)
}

fn change_plan(server: &Ootheca, cluster: &str, plan: &str) {
    let limits = if plan == "STANDARD" { json!({ "provisioned_virtual_cpus": "2" }) } else { json!({}) };
    let body = json!({ "plan": plan, "serverless": { "usage_limits": limits } });
    assert_eq!(server.patch(cluster, body).ok()["plan"], plan);
}

#[test]
fn defaults_depend_on_the_plan() {
    let server = simulated();
    for (name, plan, minutes) in
        [("one-basic", "BASIC", 1440), ("one-standard", "STANDARD", 60), ("one-advanced", "ADVANCED", 60)]
    {
        let path = format!("/clusters/{}/backups-config", id(&server.create_cluster(name, plan)));
        assert_eq!(*server.get(&path).ok(), configuration(true, minutes, 30), "{plan}");
    }
}

#[test]
fn a_patch_changes_the_members_that_it_contains() {
    let mut server = simulated();
    for plan in ["STANDARD", "ADVANCED"] {
        let (cluster, path) = create(&server, plan);
        let change = |body: Value, expected: Value| {
            assert_eq!(*server.patch(&path, body).ok(), expected, "the response is the whole configuration");
            assert_eq!(*server.get(&path).ok(), expected, "the change is applied at once");
        };
        change(json!({ "enabled": true }), configuration(true, 60, 30));
        change(json!({ "enabled": false }), configuration(false, 60, 30));
        change(json!({ "frequency_minutes": 240 }), configuration(false, 240, 30));
        change(json!({ "enabled": true, "retention_days": null }), configuration(true, 240, 30));
        change(json!({ "frequencyMinutes": 1440 }), configuration(true, 1440, 30));
        let all = configuration(true, 5, 7);
        change(all.clone(), all.clone());
        let shown = server.get(&cluster);
        assert_eq!(
            (&shown.ok()["state"], &shown.body["operation_status"]),
            (&json!("CREATED"), &json!("UNSPECIFIED")),
            "the cluster is not locked"
        );
        server.restart();
        assert_eq!(*server.get(&path).ok(), all, "after a restart");
        server.kill();
        server.start();
        assert_eq!(*server.get(&path).ok(), all, "after a crash");
        server.delete(&cluster).ok();
    }
}

#[test]
fn an_empty_patch_changes_nothing() {
    let server = simulated();
    for (plan, minutes) in [("BASIC", 1440), ("STANDARD", 60), ("ADVANCED", 60)] {
        let (cluster, path) = create(&server, plan);
        let before = server.get(&cluster).ok()["updated_at"].clone();
        for nothing in [json!({}), json!({ "enabled": null }), json!({ "unknown": 1 })] {
            assert_eq!(*server.patch(&path, nothing).ok(), configuration(true, minutes, 30), "{plan}");
        }
        assert_eq!(server.get(&cluster).ok()["updated_at"], before, "{plan}");
        server.delete(&cluster).ok();
    }
}

#[test]
fn refusals_name_the_field_and_the_rule() {
    let server = simulated();
    for plan in ["STANDARD", "ADVANCED"] {
        let (cluster, path) = create(&server, plan);
        let frequencies = "invalid argument: frequency_minutes: must be one of 5, 10, 15, 30, 60, 240, 1440";
        let retentions = "invalid argument: retention_days: must be one of 2, 7, 30, 90, 365";
        let cases = [
            (json!({ "frequency_minutes": 120 }), frequencies),
            (json!({ "frequency_minutes": 0 }), frequencies),
            (json!({ "frequency_minutes": 5, "retention_days": 12345 }), retentions),
            (json!({ "retention_days": -7 }), retentions),
            (
                json!({ "enabled": false, "frequency_minutes": 60 }),
                "invalid argument: frequency_minutes: can't be combined with enabled: false",
            ),
            (
                json!({ "enabled": false, "retention_days": 30 }),
                "invalid argument: retention_days: can't be combined with enabled: false",
            ),
        ];
        for (body, message) in cases {
            let answer = server.patch(&path, body.clone());
            assert_eq!(answer.refused(400), message, "{body}");
            assert_eq!(answer.body["code"], 3, "{answer}");
        }
        for (body, field) in [
            (json!({ "enabled": "maybe" }), "enabled"),
            (json!({ "frequency_minutes": "often" }), "frequency_minutes"),
            (json!({ "retention_days": 3_000_000_000_i64 }), "retention_days"),
        ] {
            let answer = server.patch(&path, body);
            assert!(answer.refused(400).contains(field), "{answer}");
        }
        assert_eq!(*server.get(&path).ok(), configuration(true, 60, 30), "nothing was changed");
        server.delete(&cluster).ok();
    }
}

#[test]
fn the_retention_can_be_changed_once() {
    let mut server = simulated();
    let (_, path) = create(&server, "STANDARD");
    server.patch(&path, json!({ "retention_days": 30 })).ok();
    server.patch(&path, json!({ "enabled": false })).ok();
    let changed = server.patch(&path, json!({ "retention_days": 90 }));
    assert_eq!(*changed.ok(), configuration(false, 60, 90), "the current value was not a change");
    server.restart();
    for days in [30, 7] {
        let answer = server.patch(&path, json!({ "retention_days": days, "frequency_minutes": 5 }));
        assert_eq!(answer.refused(400), RETENTION_IS_SET);
        assert_eq!(answer.body["code"], 9, "{answer}");
    }
    let same = server.patch(&path, json!({ "retention_days": 90, "frequency_minutes": 15 }));
    assert_eq!(*same.ok(), configuration(false, 15, 90));
}

#[test]
fn the_retention_is_changed_once_under_concurrency() {
    let server = simulated();
    let (_, path) = create(&server, "STANDARD");
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let (client, path) = (server.client(), &path);
        let change =
            |days: i32| scope.spawn(move || client.patch(path, json!({ "retention_days": days })).status);
        let calls: Vec<_> = [2, 7, 90, 365].map(change).into();
        calls.into_iter().map(|call| call.join().expect("a status")).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400, 400, 400]);
}

#[test]
fn the_configuration_of_a_basic_cluster_is_fixed() {
    let server = simulated();
    let (_, path) = create(&server, "BASIC");
    for body in [
        json!({ "enabled": false }),
        json!({ "enabled": true }),
        json!({ "frequency_minutes": 60 }),
        json!({ "retention_days": 7 }),
        json!({ "retention_days": 8 }),
    ] {
        let answer = server.patch(&path, body);
        let message =
            "plan: the backup configuration of a BASIC cluster can't be changed; change its plan first";
        assert_eq!(answer.refused(400), message);
        assert_eq!(answer.body["code"], 9, "{answer}");
    }
    assert_eq!(*server.get(&path).ok(), configuration(true, 1440, 30));
}

#[test]
fn a_change_of_the_plan_keeps_or_resets_the_configuration() {
    let server = ServerBuilder::new(PROGRAM).arg("--test-clock").boot();
    let (cluster, path) = create(&server, "BASIC");
    let fixed = configuration(true, 1440, 30);
    change_plan(&server, &cluster, "STANDARD");
    assert_eq!(*server.get(&path).ok(), fixed, "STANDARD keeps the schedule of BASIC");
    server.patch(&path, json!({ "frequency_minutes": 5, "retention_days": 7 })).ok();
    server.patch(&path, json!({ "enabled": false })).ok();
    change_plan(&server, &cluster, "BASIC");
    assert_eq!(*server.get(&path).ok(), fixed, "the configuration of BASIC is fixed");
    server.patch(&path, json!({ "frequency_minutes": 60 })).refused(400);
    advance(&server, STANDARD_PAUSE);
    change_plan(&server, &cluster, "STANDARD");
    assert_eq!(*server.get(&path).ok(), fixed);
    let again = server.patch(&path, json!({ "retention_days": 7 }));
    assert_eq!(again.refused(400), RETENTION_IS_SET, "the change on STANDARD counts");
    assert_eq!(*server.patch(&path, json!({ "frequency_minutes": 60 })).ok(), configuration(true, 60, 30));
}

#[test]
fn a_change_does_not_affect_the_running_cluster() {
    let server = real();
    let (cluster, path) = create(&server, "STANDARD");
    let cluster = cluster.trim_start_matches("/clusters/");
    sql_user(&server, cluster, "keeper");
    let postmaster = server.postmaster(cluster);
    let mut session = server.session(cluster, "keeper", PASSWORD);
    let changed = server.patch(&path, json!({ "frequency_minutes": 5, "retention_days": 7 }));
    assert_eq!(*changed.ok(), configuration(true, 5, 7));
    assert_eq!(session.run("SELECT 1").expect("the session is still open"), "1");
    assert_eq!(server.postmaster(cluster), postmaster, "the server was not restarted");
}

#[test]
fn a_cluster_that_is_being_created_has_a_configuration() {
    let server = real();
    let spec = json!({ "dedicated": {
        "region_nodes": { "us-east1": 1 },
        "hardware": { "machine_spec": { "num_virtual_cpus": 2 }, "storage_gib": 15 },
    }});
    let made = server.post("/clusters", json!({ "name": "some-cluster", "provider": "GCP", "spec": spec }));
    assert_eq!(made.ok()["state"], "CREATING");
    let path = format!("/clusters/{}/backups-config", id(&made.body));
    assert_eq!(*server.get(&path).ok(), configuration(true, 60, 30));
    server.patch(&path, json!({ "retention_days": 365 })).ok();
    server.when_created(&id(&made.body));
    assert_eq!(*server.get(&path).ok(), configuration(true, 60, 365));
}

#[test]
fn a_deleted_cluster_has_no_configuration() {
    let server = simulated();
    let (cluster, path) = create(&server, "STANDARD");
    server.delete(&cluster).ok();
    let unknown = "/clusters/6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f/backups-config";
    for path in [path.as_str(), unknown, "/clusters/no-id/backups-config"] {
        assert_eq!(server.get(path).refused(404), "cluster does not exist");
        assert_eq!(server.patch(path, json!({ "enabled": false })).refused(404), "cluster does not exist");
    }
}

#[test]
fn every_version_has_the_same_format() {
    let server = simulated();
    let (_, path) = create(&server, "STANDARD");
    let changed = server.unversioned().patch(&path, json!({ "frequency_minutes": 30 }));
    assert_eq!(*changed.ok(), configuration(true, 30, 30));
    for version in ["2022-03-31", "2022-09-20", "2023-04-10", "2024-09-16", "2026-09-15", "latest"] {
        let shown = server.with_version(version).get(&path);
        assert_eq!(*shown.ok(), configuration(true, 30, 30), "{version}");
    }
}

#[test]
fn changes_are_in_the_audit_log() {
    let server = simulated();
    let (cluster, path) = create(&server, "STANDARD");
    let auditor = server.with_key(&server.new_key(&["AUDITOR"]));
    auditor.get(&path).ok();
    let entries = audit_log(&server).len();
    auditor.patch(&path, json!({ "enabled": false })).refused(403);
    server.patch(&path, json!({ "retention_days": 1 })).refused(400);
    server.patch(&path, json!({ "retention_days": 2 })).ok();
    let log = audit_log(&server);
    let new = &log[entries..];
    assert_eq!(new.len(), 3, "{new:#?}");
    for entry in new {
        assert_eq!(entry["action"], "AUDIT_LOG_ACTION_UPDATE_BACKUP_CONFIGURATION");
    }
    let failed: Vec<bool> = new.iter().map(|entry| entry["error"].is_string()).collect();
    assert_eq!(failed, [true, true, false]);
    assert_eq!(new[2]["cluster_id"], cluster.trim_start_matches("/clusters/"));
}
