//! What belongs to a cluster: `cockroach_sql_user`, `cockroach_database`, and `cockroach_allow_list`.

use super::provider::{Api, Resource, find, text};
use serde_json::{Value, json};

pub(super) struct SqlUser;

impl Resource for SqlUser {
    fn create(&self, api: &Api, config: &Value) -> Value {
        let cluster = existing(api, config);
        let body = json!({ "name": config["name"], "password": config["password"] });
        api.change("POST", &format!("{cluster}/sql-users"), Some(&body));
        with_id(config.clone())
    }

    fn read(&self, api: &Api, state: &Value) -> Value {
        find(api, &format!("{}/sql-users", path(state)), "users", &json!({ "name": state["name"] }));
        state.clone()
    }

    fn update(&self, api: &Api, config: &Value, state: &Value) -> Value {
        let user = format!("{}/sql-users/{}", path(state), text(state, "name"));
        let body = json!({ "password": config["password"] });
        api.change("PUT", &format!("{user}/password"), Some(&body));
        with_id(config.clone())
    }

    fn delete(&self, api: &Api, state: &Value) {
        api.change("DELETE", &format!("{}/sql-users/{}", path(state), text(state, "name")), None);
    }

    fn imported(&self, id: &str) -> Value {
        let (cluster, name) = id.split_once(':').expect("two parts");
        json!({ "id": id, "cluster_id": cluster, "name": name })
    }
}

pub(super) struct Database;

impl Resource for Database {
    fn create(&self, api: &Api, config: &Value) -> Value {
        let cluster = existing(api, config);
        let body = json!({ "name": config["name"] });
        database(config, &api.change("POST", &format!("{cluster}/databases"), Some(&body)))
    }

    fn read(&self, api: &Api, state: &Value) -> Value {
        let wanted = json!({ "name": state["name"] });
        database(state, &find(api, &format!("{}/databases", path(state)), "databases", &wanted))
    }

    fn update(&self, api: &Api, config: &Value, state: &Value) -> Value {
        let path = format!("{}/databases/{}", path(state), text(state, "name"));
        let body = json!({ "name": "", "new_name": config["name"] });
        database(config, &api.change("PATCH", &path, Some(&body)))
    }

    fn delete(&self, api: &Api, state: &Value) {
        api.change("DELETE", &format!("{}/databases/{}", path(state), text(state, "name")), None);
    }

    fn imported(&self, id: &str) -> Value {
        SqlUser.imported(id)
    }

    /// The ID contains the name.
    fn pinned(&self, _config: &Value, _state: &Value) -> Vec<String> {
        Vec::new()
    }

    fn volatile(&self) -> &'static [&'static str] {
        &["/table_count"]
    }
}

fn database(config: &Value, shown: &Value) -> Value {
    let tables = &shown["table_count"];
    assert!(tables.is_null() || tables.is_string(), "{shown}");
    with_id(json!({ "cluster_id": config["cluster_id"], "name": shown["name"], "table_count": tables }))
}

pub(super) struct AllowList;

impl Resource for AllowList {
    fn create(&self, api: &Api, config: &Value) -> Value {
        let mut body = config.clone();
        let members = body.as_object_mut().expect("an object");
        members.remove("cluster_id");
        entry(config, &api.change("POST", &format!("{}/networking/allowlist", path(config)), Some(&body)))
    }

    fn read(&self, api: &Api, state: &Value) -> Value {
        let wanted = json!({ "cidr_ip": state["cidr_ip"], "cidr_mask": state["cidr_mask"] });
        entry(state, &find(api, &format!("{}/networking/allowlist", path(state)), "allowlist", &wanted))
    }

    fn update(&self, api: &Api, config: &Value, state: &Value) -> Value {
        let mut body = json!({ "sql": config["sql"], "ui": config["ui"] });
        if config["name"].is_string() {
            body["name"] = config["name"].clone();
        }
        entry(config, &api.change("PATCH", &entry_path(state), Some(&body)))
    }

    fn delete(&self, api: &Api, state: &Value) {
        api.change("DELETE", &entry_path(state), None);
    }

    fn imported(&self, id: &str) -> Value {
        let (cluster, network) = id.split_once(':').expect("two parts");
        let (ip, mask) = network.split_once('/').expect("two parts");
        let mask: i64 = mask.parse().expect("a number");
        json!({ "id": id, "cluster_id": cluster, "cidr_ip": ip, "cidr_mask": mask })
    }
}

fn entry(config: &Value, shown: &Value) -> Value {
    let mut state = shown.clone();
    state["cluster_id"] = config["cluster_id"].clone();
    state["id"] =
        format!("{}:{}/{}", text(config, "cluster_id"), text(shown, "cidr_ip"), shown["cidr_mask"]).into();
    state
}

fn entry_path(state: &Value) -> String {
    format!("{}/networking/allowlist/{}/{}", path(state), text(state, "cidr_ip"), state["cidr_mask"])
}

/// The path of the cluster.
fn path(value: &Value) -> String {
    format!("/clusters/{}", text(value, "cluster_id"))
}

/// The path of the cluster, which the provider reads before it creates something in it.
fn existing(api: &Api, config: &Value) -> String {
    let path = path(config);
    api.get(&path);
    path
}

/// Adds the ID that the provider derives from the cluster and the name.
fn with_id(mut state: Value) -> Value {
    state["id"] = format!("{}:{}", text(&state, "cluster_id"), text(&state, "name")).into();
    state
}
