//! Restores that are refused, and who can request one.

use crate::{
    backups::shared::{
        DAY, HOUR, backup_after, backups, boot, database, ended, furnish, now, restore, restored, take_backup,
    },
    organizations::Rows,
    support::{advance, audit_log, id, simulated, trace},
};
use ootheca_model::{ClusterId, Timestamp, backup::BackupId};
use ootheca_testkit::{Answer, Engine, Ootheca};
use serde_json::{Value, json};

const NOWHERE: &str = "6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f";

/// A cluster with a backup, and an empty cluster.
fn two_clusters(server: &Ootheca) -> (String, String, Value) {
    let source = furnish(server, Engine::Simulated, "source-cluster");
    let destination = id(&server.create_cluster("destination-cluster", "STANDARD"));
    let backup = take_backup(server, &source, HOUR);
    (source, destination, backup)
}

/// The ID of a backup that does not exist.
fn no_backup_of(cluster: &str) -> String {
    let cluster: ClusterId = cluster.parse().expect("an ID");
    BackupId::new(cluster, Timestamp(1_700_000_000_000_000)).to_string()
}

/// Asserts that a precondition is not met, with a message that contains `text`.
#[track_caller]
fn not_possible(answer: &Answer, text: &str) {
    assert!(answer.refused(400).contains(text), "{answer}");
    assert_eq!(answer.body["code"], 9, "{answer}");
}

#[test]
fn refusals_name_the_field_and_the_rule() {
    let server = boot(Engine::Simulated);
    let (source, destination, backup) = two_clusters(&server);
    let path = format!("/clusters/{destination}/restores");
    let objects = json!([{ "database": "app" }]);
    let cases = [
        (json!({ "source_cluster_id": source }), "type"),
        (json!({ "type": "EVERYTHING", "source_cluster_id": source }), "type"),
        (json!({ "type": "CLUSTER" }), "source_cluster_id"),
        (json!({ "type": "CLUSTER", "source_cluster_id": source, "objects": objects }), "objects"),
        (json!({ "type": "DATABASE", "source_cluster_id": source }), "objects"),
        (json!({ "type": "TABLE", "source_cluster_id": source, "objects": [] }), "objects"),
        (
            json!({ "type": "CLUSTER", "source_cluster_id": destination, "backup_id": backup["id"] }),
            "source_cluster_id",
        ),
    ];
    for (body, field) in cases {
        let answer = server.post(&path, body.clone());
        assert!(answer.refused(400).contains(field), "{body}: {answer}");
        assert_eq!(answer.body["code"], 3, "{body}: {answer}");
    }
    let database = json!({ "type": "DATABASE", "source_cluster_id": source, "objects": objects });
    not_possible(&server.post(&path, database), "ADVANCED");
    assert_eq!(server.get(&path).ok()["restores"], json!([]));
    assert_eq!(server.get(&format!("/clusters/{destination}")).ok()["state"], "CREATED");
}

#[test]
fn objects_and_options_belong_to_their_type() {
    let server = boot(Engine::Simulated);
    let cluster = id(&server.create_cluster("some-cluster", "ADVANCED"));
    take_backup(&server, &cluster, HOUR);
    let path = format!("/clusters/{cluster}/restores");
    let (app, table) = (json!({ "database": "app" }), json!({ "database": "app", "table": "orders" }));
    let other = json!({ "database": "shop", "table": "orders" });
    let cases = [
        ("DATABASE", json!([table]), json!({}), "objects"),
        ("DATABASE", json!([app, app]), json!({}), "objects"),
        ("DATABASE", json!([{ "database": "postgres" }]), json!({}), "objects"),
        ("DATABASE", json!([{ "schema": "public" }]), json!({}), "database"),
        ("TABLE", json!([app]), json!({}), "objects"),
        ("TABLE", json!([table, other]), json!({}), "objects"),
        (
            "TABLE",
            json!([table, { "database": "shop", "table": "items" }]),
            json!({}),
            "restore_opts.into_db",
        ),
        ("DATABASE", json!([app]), json!({ "into_db": "shop" }), "restore_opts.into_db"),
        ("DATABASE", json!([app]), json!({ "new_db_name": "a b" }), "restore_opts.new_db_name"),
        ("TABLE", json!([table]), json!({ "new_db_name": "shop" }), "restore_opts.new_db_name"),
        ("TABLE", json!([table]), json!({ "into_db": "template1" }), "restore_opts.into_db"),
    ];
    for (kind, objects, options, field) in cases {
        let body = json!({
            "type": kind, "source_cluster_id": cluster, "objects": objects, "restore_opts": options,
        });
        let answer = server.post(&path, body.clone());
        assert!(answer.refused(400).contains(field), "{body}: {answer}");
        assert_eq!(answer.body["code"], 3, "{body}: {answer}");
    }
    assert_eq!(server.get(&path).ok()["restores"], json!([]));
}

#[test]
fn both_clusters_have_the_same_plan() {
    let server = boot(Engine::Simulated);
    let (source, _, _) = two_clusters(&server);
    let basic = id(&server.create_cluster("basic-cluster", "BASIC"));
    not_possible(&restore(&server, &basic, json!({ "source_cluster_id": source })), "plan");
}

#[test]
fn a_cluster_without_backups_cannot_be_restored() {
    // It takes no backups.
    let server = simulated();
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    not_possible(&restore(&server, &cluster, json!({ "source_cluster_id": cluster })), "backup");
}

#[test]
fn the_newest_backup_is_from_the_last_seven_days() {
    let server = boot(Engine::Simulated);
    let cluster = furnish(&server, Engine::Simulated, "some-cluster");
    let by_source = json!({ "source_cluster_id": cluster });
    let old = take_backup(&server, &cluster, HOUR);
    database(&server, &cluster, "second");
    let newest = take_backup(&server, &cluster, HOUR);
    let done = restored(&server, &cluster, by_source.clone());
    assert_eq!((&done["status"], &done["backup_id"]), (&json!("SUCCESS"), &newest["id"]), "{done:#}");
    server.when_created(&cluster);
    // The data of the restore is backed up before backups are disabled.
    take_backup(&server, &cluster, HOUR);
    server.patch(&format!("/clusters/{cluster}/backups-config"), json!({ "enabled": false })).ok();
    advance(&server, 8 * DAY);
    not_possible(&restore(&server, &cluster, by_source), "backup");
    let done = restored(&server, &cluster, json!({ "backup_id": old["id"] }));
    assert_eq!(done["status"], "SUCCESS", "{done:#}");
}

#[test]
fn hidden_resources_return_404() {
    let mut server = boot(Engine::Simulated);
    server.terminate();
    let (_, key) = Rows::open(&server).found("other");
    server.start();
    let (source, destination, _) = two_clusters(&server);
    let spec = json!({ "plan": "STANDARD", "serverless": {
        "regions": ["us-central1"], "usage_limits": { "provisioned_virtual_cpus": "2" },
    }});
    let other = server.with_key(&key);
    let foreign = json!({ "name": "foreign-cluster", "provider": "GCP", "spec": spec });
    let foreign = id(other.post("/clusters", foreign).ok());
    let before = now(&server);
    advance(&server, HOUR);
    let foreign_backup = backup_after(&other, &foreign, &before);

    let message = |body: Value| restore(&server, &destination, body).refused(404).to_owned();
    let unknown = message(json!({ "source_cluster_id": NOWHERE }));
    assert_eq!(message(json!({ "source_cluster_id": foreign })), unknown);
    let unknown = message(json!({ "backup_id": no_backup_of(NOWHERE) }));
    assert_eq!(message(json!({ "backup_id": foreign_backup["id"] })), unknown);
    assert_eq!(message(json!({ "backup_id": no_backup_of(&source) })), unknown);
    let by_source = json!({ "source_cluster_id": source });
    restore(&server, NOWHERE, by_source.clone()).refused(404);
    restore(&server, &foreign, by_source).refused(404);
    server.get(&format!("/clusters/{foreign}/backups")).refused(404);
    server.get(&format!("/clusters/{foreign}/restores")).refused(404);
    server.get(&format!("/clusters/{destination}/restores/{NOWHERE}")).refused(404);
}

#[test]
fn a_restore_is_found_under_its_destination_only() {
    let server = boot(Engine::Simulated);
    let (source, destination, _) = two_clusters(&server);
    let done = restored(&server, &destination, json!({ "source_cluster_id": source }));
    server.get(&format!("/clusters/{source}/restores/{}", id(&done))).refused(404);
}

#[test]
fn a_caller_needs_a_role_on_both_clusters() {
    let server = boot(Engine::Simulated);
    let (source, destination, backup) = two_clusters(&server);
    let client = |roles: &[(&str, &str)]| {
        let roles: Vec<String> = roles.iter().map(|(role, cluster)| format!("{role}@{cluster}")).collect();
        let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
        server.with_key(&server.new_key(&roles))
    };
    let by_backup = json!({ "backup_id": backup["id"] });
    let unknown = json!({ "backup_id": no_backup_of(NOWHERE) });
    let (admin, writer) = ("CLUSTER_ADMIN", "CLUSTER_OPERATOR_WRITER");
    for role in [admin, writer] {
        let only_destination = client(&[(role, &destination)]);
        let hidden = restore(&only_destination, &destination, by_backup.clone());
        let missing = restore(&only_destination, &destination, unknown.clone());
        assert_eq!(hidden.refused(404), missing.refused(404), "{role}");
        let only_source = client(&[(role, &source)]);
        restore(&only_source, &destination, by_backup.clone()).refused(404);
    }
    assert_eq!(server.get(&format!("/clusters/{destination}")).ok()["state"], "CREATED");

    let both = client(&[(writer, &source), (admin, &destination)]);
    let asked = restore(&both, &destination, by_backup);
    let auditor = server.with_key(&server.new_key(&["AUDITOR"]));
    for reader in [&both, &auditor] {
        assert_eq!(ended(reader, &destination, &id(asked.ok()))["status"], "SUCCESS");
        assert!(backups(reader, &source).contains(&backup));
    }
}

#[test]
fn restores_are_in_the_audit_log() {
    let server = boot(Engine::Simulated);
    let (source, destination, _) = two_clusters(&server);
    let entries = audit_log(&server).len();
    let body = json!({ "source_cluster_id": source });
    let refused = restore(&server, &destination, json!({ "source_cluster_id": NOWHERE }));
    refused.refused(404);
    let asked = restore(&server, &destination, body);
    let restore_id = id(asked.ok());
    assert_eq!(ended(&server, &destination, &restore_id)["status"], "SUCCESS");
    let log = audit_log(&server);
    let new = &log[entries..];
    assert_eq!(new.len(), 2, "the server's own steps are not in it: {new:#?}");
    for (entry, answer) in new.iter().zip([&refused, &asked]) {
        assert_eq!(entry["action"], "AUDIT_LOG_ACTION_RESTORE_CLUSTER");
        assert_eq!(entry["cluster_id"], json!(destination));
        assert_eq!(entry["trace_id"], json!(trace(answer)));
        assert_eq!(entry["error"].is_string(), answer.status != 200, "{entry:#}");
    }
}
