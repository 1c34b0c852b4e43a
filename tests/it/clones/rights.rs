//! Who can clone a cluster: callers with the right to create clusters at the destination and to restore from the source.

use super::{basic, job, request_clone};
use crate::{
    backups::shared::{HOUR, backup_after, boot, furnish, now, take_backup, users},
    folders::folder,
    organizations::Rows,
    support::{advance, column, id, simulated},
};
use ootheca_model::{ClusterId, Timestamp, backup::BackupId};
use ootheca_testkit::{Client, Engine, Ootheca};
use serde_json::json;

const NOWHERE: &str = "6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f";

/// A caller with these roles.
fn caller(server: &Ootheca, roles: &[&str]) -> Client {
    server.with_key(&server.new_key(roles))
}

/// The status and the message with which a clone of the source, and one of the backup, are refused.
#[track_caller]
fn refused(client: &Client, source: &str, backup: &str) -> [(u16, String); 2] {
    let ways = [json!({ "source_cluster_id": source }), json!({ "backup_id": backup })];
    ways.map(|from| {
        let answer = request_clone(client, "some-clone", from);
        (answer.status, answer.refused(answer.status).to_owned())
    })
}

/// The same for a source and a backup that don't exist.
#[track_caller]
fn unknown(client: &Client) -> [(u16, String); 2] {
    let cluster: ClusterId = NOWHERE.parse().expect("an ID");
    let backup = BackupId::new(cluster, Timestamp(1_700_000_000_000_000)).to_string();
    refused(client, NOWHERE, &backup)
}

#[test]
fn a_caller_needs_roles_at_the_destination_and_on_the_source() {
    let server = boot(Engine::Simulated);
    let source = furnish(&server, Engine::Simulated, "source-cluster");
    let other = id(&server.create_cluster("other-cluster", "STANDARD"));
    let backup = id(&take_backup(&server, &source, HOUR));
    let on = |role: &str, cluster: &str| format!("{role}@{cluster}");
    let creator = "CLUSTER_CREATOR";

    // The roles that can restore from the other cluster don't help with this one.
    for role in ["CLUSTER_ADMIN", "CLUSTER_OPERATOR_WRITER"] {
        let invisible = caller(&server, &[creator, &on(role, &other)]);
        let [by_source, by_backup] = refused(&invisible, &source, &backup);
        assert!(by_source.0 == 404 && by_source.1.contains("source cluster"), "{role}: {by_source:?}");
        assert!(by_backup.0 == 404 && by_backup.1.contains("backup"), "{role}: {by_backup:?}");
        assert_eq!([by_source, by_backup], unknown(&invisible), "{role}: like those that don't exist");
    }
    // A role that can only read it.
    let roles = [on("CLUSTER_DEVELOPER", &source), on("CLUSTER_ADMIN", &other)];
    let visible = caller(&server, &[creator, &roles[0], &roles[1]]);
    assert_eq!(refused(&visible, &source, &backup).map(|(status, _)| status), [403, 403]);
    let nowhere = caller(&server, &[creator]);
    assert_eq!(refused(&nowhere, &source, &backup), unknown(&nowhere), "like those that don't exist");
    let only_source = caller(&server, &[&on("CLUSTER_OPERATOR_WRITER", &source)]);
    assert_eq!(refused(&only_source, &source, &backup).map(|(status, _)| status), [403, 403]);
    let names = || column(&server.get("/clusters").ok()["clusters"], "name");
    assert_eq!(names(), ["other-cluster", "source-cluster"]);

    let both = caller(&server, &[creator, &on("CLUSTER_OPERATOR_WRITER", &source)]);
    let ways = [json!({ "source_cluster_id": source }), json!({ "backup_id": backup })];
    for (number, from) in ways.into_iter().enumerate() {
        let clone = id(request_clone(&both, &format!("some-clone-{number}"), from).ok());
        server.when_created(&clone);
        // Its creator administers it.
        assert_eq!(users(&both, &clone), ["keeper"]);
        assert_eq!(job(&server, &clone)["status"], "SUCCESS");
    }
}

#[test]
fn the_folder_of_the_clone_decides_who_can_create_it() {
    let server = simulated();
    let source = furnish(&server, Engine::Simulated, "source-cluster");
    let [inside, outside] = ["inside", "outside"].map(|name| folder(&server, name, "root"));
    let roles = [format!("CLUSTER_CREATOR@FOLDER/{inside}"), format!("CLUSTER_OPERATOR_WRITER@{source}")];
    let client = caller(&server, &[&roles[0], &roles[1]]);
    let clone = |parent: &str| {
        let mut spec = basic();
        spec["parent_id"] = parent.into();
        let from = json!({ "source_cluster_id": source });
        let body = json!({ "name": "some-clone", "provider": "GCP", "spec": spec, "restore_from": from });
        client.post("/clusters", body)
    };
    let elsewhere = clone(&outside);
    assert!([400, 403, 404].contains(&elsewhere.status), "{elsewhere}");
    request_clone(&client, "some-clone", json!({ "source_cluster_id": source })).refused(403);
    let made = clone(&inside);
    assert_eq!(made.ok()["parent_id"], inside.as_str());
    server.when_created(&id(&made.body));
}

#[test]
fn clusters_and_backups_of_other_organizations_do_not_exist() {
    let mut server = boot(Engine::Simulated);
    server.terminate();
    let (_, key) = Rows::open(&server).found("other");
    server.start();
    let foreigner = server.with_key(&key);
    let body = json!({ "name": "foreign-cluster", "provider": "GCP", "spec": basic() });
    let foreign = id(foreigner.post("/clusters", body).ok());
    let before = now(&server);
    // The first backup of a BASIC cluster is taken soon after its creation.
    advance(&server, HOUR);
    let backup = id(&backup_after(&foreigner, &foreign, &before));
    let messages = refused(&server, &foreign, &backup);
    assert_eq!(messages.each_ref().map(|(status, _)| *status), [404, 404]);
    assert_eq!(messages, unknown(&server));
    assert_eq!(server.get("/clusters").ok()["clusters"], json!([]));
    let clone = request_clone(&foreigner, "some-clone", json!({ "source_cluster_id": foreign }));
    assert_eq!(clone.ok()["state"], "CREATED");
}
