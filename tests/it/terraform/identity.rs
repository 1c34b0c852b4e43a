//! Folders, service accounts, API keys, and roles.

use super::provider::{Api, Resource, text};
use serde_json::{Value, json};

pub(super) struct Folder;

impl Resource for Folder {
    fn create(&self, api: &Api, config: &Value) -> Value {
        folder(&api.change("POST", "/folders", Some(config)))
    }

    fn read(&self, api: &Api, state: &Value) -> Value {
        folder(&api.get(&format!("/folders/{}", text(state, "id"))))
    }

    fn update(&self, api: &Api, config: &Value, state: &Value) -> Value {
        folder(&api.change("PATCH", &format!("/folders/{}", text(state, "id")), Some(config)))
    }

    fn delete(&self, api: &Api, state: &Value) {
        api.change("DELETE", &format!("/folders/{}", text(state, "id")), None);
    }

    fn imported(&self, id: &str) -> Value {
        json!({ "id": id })
    }
}

fn folder(shown: &Value) -> Value {
    assert!(shown["labels"].is_object(), "{shown}");
    json!({
        "id": shown["resource_id"], "name": shown["name"], "parent_id": shown["parent_id"],
        "labels": shown["labels"],
    })
}

pub(super) struct ServiceAccount;

impl Resource for ServiceAccount {
    fn create(&self, api: &Api, config: &Value) -> Value {
        let description = config["description"].as_str().unwrap_or_default();
        let body = json!({ "description": description, "name": config["name"], "roles": [] });
        service_account(&api.change("POST", "/service-accounts", Some(&body)))
    }

    fn read(&self, api: &Api, state: &Value) -> Value {
        service_account(&api.get(&format!("/service-accounts/{}", text(state, "id"))))
    }

    fn update(&self, api: &Api, config: &Value, state: &Value) -> Value {
        let path = format!("/service-accounts/{}", text(state, "id"));
        service_account(&api.change("PATCH", &path, Some(config)))
    }

    fn delete(&self, api: &Api, state: &Value) {
        api.change("DELETE", &format!("/service-accounts/{}", text(state, "id")), None);
    }

    fn imported(&self, id: &str) -> Value {
        json!({ "id": id })
    }

    fn pinned(&self, _config: &Value, _state: &Value) -> Vec<String> {
        ["/id", "/created_at"].map(str::to_owned).to_vec()
    }
}

fn service_account(shown: &Value) -> Value {
    json!({
        "id": shown["id"], "name": shown["name"], "description": shown["description"],
        "created_at": text(shown, "created_at"),
    })
}

pub(super) struct ApiKey;

impl Resource for ApiKey {
    fn create(&self, api: &Api, config: &Value) -> Value {
        let made = api.change("POST", "/api-keys", Some(config));
        api_key(&made["api_key"], &made["secret"])
    }

    fn read(&self, api: &Api, state: &Value) -> Value {
        api_key(&api.get(&format!("/api-keys/{}", text(state, "id"))), &state["secret"])
    }

    fn update(&self, api: &Api, config: &Value, state: &Value) -> Value {
        let path = format!("/api-keys/{}", text(state, "id"));
        let body = json!({ "name": config["name"] });
        api_key(&api.change("PATCH", &path, Some(&body)), &state["secret"])
    }

    fn delete(&self, api: &Api, state: &Value) {
        api.change("DELETE", &format!("/api-keys/{}", text(state, "id")), None);
    }

    fn import_id(&self, state: &Value) -> String {
        text(state, "secret")
    }

    /// The ID is the first two of the three parts of the secret.
    fn imported(&self, id: &str) -> Value {
        let (key, _) = id.rsplit_once('_').expect("three parts");
        json!({ "id": key, "secret": id })
    }

    fn pinned(&self, _config: &Value, _state: &Value) -> Vec<String> {
        ["/id", "/created_at", "/secret"].map(str::to_owned).to_vec()
    }
}

fn api_key(shown: &Value, secret: &Value) -> Value {
    json!({
        "id": shown["id"], "name": shown["name"], "service_account_id": shown["service_account_id"],
        "created_at": text(shown, "created_at"), "secret": secret,
    })
}

/// `cockroach_user_role_grant`, one role. It can't be changed.
pub(super) struct RoleGrant;

impl Resource for RoleGrant {
    fn create(&self, api: &Api, config: &Value) -> Value {
        assert!(!held(api, config).contains(&config["role"]), "the role is already held");
        api.change("POST", &role_path(config), None);
        config.clone()
    }

    fn read(&self, api: &Api, state: &Value) -> Value {
        let roles = held(api, state);
        assert!(roles.contains(&state["role"]), "{state} is not one of {roles:?}");
        state.clone()
    }

    fn update(&self, _api: &Api, config: &Value, state: &Value) -> Value {
        panic!("the provider does not change {state} to {config}")
    }

    fn delete(&self, api: &Api, state: &Value) {
        api.change("DELETE", &role_path(state), None);
    }

    fn import_id(&self, state: &Value) -> String {
        let role = |name| text(&state["role"], name);
        [text(state, "user_id"), role("role_name"), role("resource_type"), role("resource_id")].join(",")
    }

    fn imported(&self, id: &str) -> Value {
        let parts: Vec<&str> = id.split(',').collect();
        let [user, name, kind, resource] = parts[..] else { panic!("not four parts: {id}") };
        json!({
            "user_id": user,
            "role": { "role_name": name, "resource_type": kind, "resource_id": resource },
        })
    }
}

/// `cockroach_user_role_grants`, all roles of a user or service account.
pub(super) struct RoleGrants;

impl Resource for RoleGrants {
    fn create(&self, api: &Api, config: &Value) -> Value {
        held(api, config);
        set(api, config)
    }

    fn read(&self, api: &Api, state: &Value) -> Value {
        grants(state, held(api, state))
    }

    fn update(&self, api: &Api, config: &Value, _state: &Value) -> Value {
        set(api, config)
    }

    fn delete(&self, api: &Api, state: &Value) {
        api.change("PUT", &roles_path(state), Some(&json!({ "roles": null })));
    }

    fn imported(&self, id: &str) -> Value {
        json!({ "user_id": id })
    }
}

fn set(api: &Api, config: &Value) -> Value {
    let roles = config["roles"].as_array().into_iter().flatten().map(|role| {
        let resource = json!({ "id": role["resource_id"], "type": role["resource_type"] });
        json!({ "name": role["role_name"], "resource": resource })
    });
    let body = json!({ "roles": roles.collect::<Vec<_>>() });
    let shown = api.change("PUT", &roles_path(config), Some(&body));
    grants(config, roles_of(&shown))
}

fn grants(config: &Value, roles: Vec<Value>) -> Value {
    json!({ "id": config["user_id"], "user_id": config["user_id"], "roles": roles })
}

fn roles_path(value: &Value) -> String {
    format!("/roles/{}", text(value, "user_id"))
}

/// The path of a role. The ID of the organization is empty.
fn role_path(value: &Value) -> String {
    let part = |name| text(&value["role"], name);
    format!("{}/{}/{}/{}", roles_path(value), part("resource_type"), part("resource_id"), part("role_name"))
}

/// The roles that a user or service account holds.
fn held(api: &Api, value: &Value) -> Vec<Value> {
    roles_of(&api.get(&roles_path(value)))
}

fn roles_of(shown: &Value) -> Vec<Value> {
    let roles = shown["roles"].as_array().unwrap_or_else(|| panic!("no roles: {shown}"));
    let role = |role: &Value| {
        let resource = &role["resource"];
        let id = resource["id"].as_str().unwrap_or_default();
        json!({ "role_name": role["name"], "resource_type": resource["type"], "resource_id": id })
    };
    roles.iter().map(role).collect()
}
