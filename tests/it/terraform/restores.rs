//! `cockroach_restore`, and the paths of `cockroach_backups` and `cockroach_restores`.

use super::provider::{Api, Provider, RELEASES, Release, Resource, text};
use crate::{
    backups::shared::{HOUR, boot, database, databases, take_backup},
    support::id,
};
use ootheca_testkit::{Engine, eventually};
use serde_json::{Value, json};

pub(super) struct Restore;

impl Resource for Restore {
    fn create(&self, api: &Api, config: &Value) -> Value {
        let mut body = config.clone();
        body.as_object_mut().expect("an object").remove("destination_cluster_id");
        if let Some(blocks) = config["objects"].as_array() {
            body["objects"] = blocks.iter().flat_map(items).collect();
        }
        let created = api.change("POST", &list(config), Some(&body));
        let path = format!("{}/{}", list(config), text(&created, "id"));
        let done = eventually("the restore has succeeded", || {
            let shown = api.get(&path);
            assert_ne!(shown["status"], "FAILED", "{shown}");
            (shown["status"] == "SUCCESS" && shown["completed_at"].is_string()).then_some(shown)
        });
        in_state(config, done)
    }

    fn read(&self, api: &Api, state: &Value) -> Value {
        in_state(state, api.get(&format!("{}/{}", list(state), text(state, "id"))))
    }

    fn update(&self, _api: &Api, config: &Value, _state: &Value) -> Value {
        panic!("a restore can't be updated: {config}")
    }

    /// A restore can't be deleted. The provider only forgets it.
    fn delete(&self, _api: &Api, _state: &Value) {}

    fn imported(&self, id: &str) -> Value {
        panic!("a restore can't be imported: {id}")
    }
}

fn list(value: &Value) -> String {
    format!("/clusters/{}/restores", text(value, "destination_cluster_id"))
}

/// What the provider requests for a block `objects`: one item for each table, or one for the database.
fn items(block: &Value) -> Vec<Value> {
    let Some(tables) = block["tables"].as_array() else {
        return vec![json!({ "database": block["database"] })];
    };
    let item = |table: &Value| {
        let mut item = json!({ "database": block["database"], "table": table });
        if block["schema"].is_string() {
            item["schema"] = block["schema"].clone();
        }
        item
    };
    tables.iter().map(item).collect()
}

/// The blocks that the provider makes of objects: consecutive tables of one schema are one block.
fn blocks(objects: &[Value]) -> Value {
    let of = |object: &Value| [object["database"].clone(), object["schema"].clone()];
    let groups = objects.chunk_by(|one, next| of(one) == of(next)).map(|group| {
        let tables: Vec<&Value> =
            group.iter().map(|object| &object["table"]).filter(|name| name.is_string()).collect();
        let mut block = json!({ "database": group[0]["database"], "schema": group[0]["schema"] });
        if !tables.is_empty() {
            block["tables"] = json!(tables);
        }
        block
    });
    groups.collect()
}

/// The state for a response. The API does not return the IDs of the clusters.
fn in_state(known: &Value, mut shown: Value) -> Value {
    if let Some(objects) = shown["objects"].as_array() {
        shown["objects"] = blocks(objects);
    }
    for name in ["destination_cluster_id", "source_cluster_id"] {
        shown[name] = known[name].clone();
    }
    shown
}

/// The path from which the data source reads the newest items of a list, `backups` or `restores`.
pub(super) fn newest(cluster: &str, items: &str, limit: usize, start: &str, end: &str) -> String {
    let [start, end] = [start, end].map(|time| time.replace(':', "%3A"));
    let page = format!("pagination.limit={limit}&pagination.sort_order=DESC");
    format!("/clusters/{cluster}/{items}?end_time={end}&{page}&start_time={start}")
}

#[test]
fn databases_and_tables_are_restored() {
    for release in RELEASES {
        restore_databases_and_tables(release);
    }
}

fn restore_databases_and_tables(release: &'static Release) {
    let server = boot(Engine::Simulated);
    let mut terraform = Provider::new(&server, release);
    let cluster = id(&server.create_cluster("demo-advanced", "ADVANCED"));
    for name in ["orders", "shop"] {
        database(&server, &cluster, name);
    }
    take_backup(&server, &cluster, HOUR);
    server.delete(&format!("/clusters/{cluster}/databases/orders")).ok();
    let configuration = |terraform: &mut Provider| {
        let restore = |kind: &str, objects: Value, options: Value| {
            json!({
                "destination_cluster_id": cluster, "source_cluster_id": cluster, "type": kind,
                "objects": objects, "restore_opts": options,
            })
        };
        let renamed = restore("DATABASE", json!([{ "database": "shop" }]), json!({ "new_db_name": "copy" }));
        terraform.resource(&Restore, "cockroach_restore.renamed", renamed);
        let both = json!([{ "database": "shop", "schema": "public", "tables": ["items", "sales"] }]);
        let tables = restore("TABLE", both, json!({ "into_db": "copy", "skip_missing_views": true }));
        terraform.resource(&Restore, "cockroach_restore.tables", tables);
        let several = json!([
            { "database": "defaultdb", "schema": "public", "tables": ["users"] },
            { "database": "shop", "schema": "public", "tables": ["prices"] },
        ]);
        let several = restore("TABLE", several, json!({ "into_db": "copy" }));
        terraform.resource(&Restore, "cockroach_restore.several", several);
        let mut lost = restore("DATABASE", json!([{ "database": "orders" }]), Value::Null);
        lost.as_object_mut().expect("an object").remove("restore_opts");
        terraform.resource(&Restore, "cockroach_restore.lost", lost);
    };
    assert_eq!(terraform.apply(configuration).len(), 4);
    assert_eq!(databases(&server, &cluster), ["copy", "defaultdb", "orders", "shop"]);
    assert_eq!(terraform.plan(configuration), Vec::<String>::new());
    terraform.destroy();
    let request = |rest: &str| {
        format!(r#"POST /clusters/{cluster}/restores {{{rest},"source_cluster_id":"{cluster}","type":"#)
    };
    let expected = [
        request(r#""objects":[{"database":"shop"}],"restore_opts":{"new_db_name":"copy"}"#)
            + r#""DATABASE"}"#,
        request(
            r#""objects":[{"database":"shop","schema":"public","table":"items"},{"database":"shop","schema":"public","table":"sales"}],"restore_opts":{"into_db":"copy","skip_missing_views":true}"#,
        ) + r#""TABLE"}"#,
        request(
            r#""objects":[{"database":"defaultdb","schema":"public","table":"users"},{"database":"shop","schema":"public","table":"prices"}],"restore_opts":{"into_db":"copy"}"#,
        ) + r#""TABLE"}"#,
        request(r#""objects":[{"database":"orders"}]"#) + r#""DATABASE"}"#,
    ];
    assert_eq!(terraform.changes(), expected);
}
